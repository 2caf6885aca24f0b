//! A RabbitMQ that blocks publishers in the middle of the work.

use super::{SOON, run};
use crate::drill::{
    crowd::Crowd,
    hold::Hold,
    watcher::Watcher,
    workers::{apart, publish},
};
use anyhow::{Result, ensure};
use erasure_tests::{
    eventually::eventually_true,
    private::{Kind, PrivateServer},
    world::TOKEN,
};
use serde_json::{Value, json};
use std::time::Duration;

/// Longer than any answer may take: who waits so long hangs.
const HANGS: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_memory_alarm_in_the_middle_is_answered_with_503_loses_nothing_and_heals_when_it_is_over() -> Result<()> {
    let rabbitmq = PrivateServer::start(Kind::RabbitMq)?;
    let world = apart()
        .amqp(rabbitmq.url())
        .set("reconciler.stalled_after_ms", 2_000)
        .set("broker.confirm_timeout_ms", 2_000)
        .set("broker.response_timeout_ms", 2_000)
        .build()
        .await?;
    let crowd = Crowd::of(world.company(), 600, 20).await?;
    let watcher = Watcher::start(world.amqp(), world.company(), &crowd).await?;
    let roles = run(&world, &["intake", "reconciler", "profiles", "segments", "analytics", "api"]).await?;
    let hold = Hold::writes(world.company(), "crm", "participants").await?;
    publish(world.amqp(), &crowd).await?;
    hold.holds_up(1).await?;
    rabbitmq.rabbitmq_tool("rabbitmqctl set_vm_memory_high_watermark 0.00000001")?;
    // Workers end what they hold while nothing can be published.
    hold.release().await?;

    let client = reqwest::Client::builder().timeout(HANGS).build()?;
    let url = roles[5].url("/v1/requests");
    let id = "single-600";
    let again = json!({ "version": 1, "request_id": id, "tenant": "acme", "operation": "erase", "subjects": [{ "user_id": "u-0001201" }] });
    let answer = client.post(&url).bearer_auth(TOKEN).json(&again).send().await?;
    ensure!(answer.status().as_u16() == 503, "{}", answer.status());
    ensure!(answer.headers().contains_key("retry-after"), "{:?}", answer.headers());
    let problem: Value = answer.json().await?;
    ensure!(problem["request_id"] == id, "the id to send again: {problem}");
    let status = client
        .get(format!("{url}/{id}?tenant=acme"))
        .bearer_auth(TOKEN)
        .send()
        .await?;
    ensure!(status.status().is_success(), "reading goes on: {}", status.status());

    rabbitmq.rabbitmq_tool("rabbitmqctl set_vm_memory_high_watermark absolute 1GB")?;
    let taken = || async {
        let answer = client.post(&url).bearer_auth(TOKEN).json(&again).send().await;
        answer.is_ok_and(|answer| answer.status().as_u16() == 202)
    };
    eventually_true("the same is taken", SOON, taken).await?;
    watcher.all_erased(&crowd, SOON).await?;
    crowd.is_gone_and_nobody_else(world.company()).await
}
