//! Queues without room.

use super::{SOON, ledger, run, until_ledger};
use crate::drill::{crowd::Crowd, watcher::Watcher, workers::apart};
use anyhow::{Context as _, Result, ensure};
use erasure_tests::{
    eventually::eventually_true,
    private::{Kind, PrivateServer},
    producer::{Producer, Published},
    world::TOKEN,
};
use serde_json::json;

/// So many messages a queue takes. RabbitMQ counts with a delay, so a few more get in.
const ROOM: u32 = 1;
/// So many lines about one trouble are patience; thousands would be spinning.
const LINES_MAX: usize = 200;

#[tokio::test(flavor = "multi_thread")]
async fn full_queues_refuse_and_everybody_tries_again_without_losing_or_spinning() -> Result<()> {
    let rabbitmq = PrivateServer::start(Kind::RabbitMq)?;
    let world = apart()
        .amqp(rabbitmq.url())
        .set("reconciler.stalled_after_ms", 1_000)
        .set("worker.single_messages_max", 2)
        .build()
        .await?;
    let crowd = Crowd::of(world.company(), 600, 80).await?;
    let watcher = Watcher::start(world.amqp(), world.company(), &crowd).await?;
    let policy = format!(r#"'^er\.' '{{"max-length":{ROOM}}}' --apply-to queues"#);
    rabbitmq.rabbitmq_tool(&format!("rabbitmqctl set_policy little-room {policy}"))?;
    let mut api = run(&world, &["api"]).await?.remove(0);

    // Nobody takes commands: producers are refused, by AMQP and by HTTP, and may come again.
    let producer = Producer::connect(world.amqp()).await?;
    let mut refused = Vec::new();
    for asked in crowd.requests() {
        match producer.publish(&asked.message()).await? {
            Published::Confirmed => {}
            Published::Refused => refused.push(asked),
            Published::Returned => anyhow::bail!("{} was returned", asked.id),
        }
    }
    ensure!(refused.len() > 20, "only {} were refused", refused.len());
    let url = api.url("/v1/requests");
    let nobody = json!({ "version": 1, "request_id": "by-http", "tenant": "acme", "operation": "erase", "subjects": [{ "user_id": "u-none" }] });
    let answer = reqwest::Client::new()
        .post(&url)
        .bearer_auth(TOKEN)
        .json(&nobody)
        .send()
        .await?;
    ensure!(answer.status().as_u16() == 503, "{}", answer.status());
    ensure!(answer.headers().contains_key("retry-after"), "{:?}", answer.headers());
    api.term().await?;

    // Intake makes room in its own queue, and the dispatcher finds none in those of the workers.
    let keepers = run(&world, &["intake", "reconciler"]).await?;
    for asked in refused {
        let taken = || async {
            producer
                .publish(&asked.message())
                .await
                .is_ok_and(|said| said == Published::Confirmed)
        };
        eventually_true("there is room", SOON, taken).await?;
    }
    let all = i64::try_from(crowd.requests().len())?;
    until_ledger(&world, "everything is in the ledger", "select count(*) from {}.request", all).await?;
    let waits = || async {
        let readiness = reqwest::get(keepers[1].url("/readyz")).await;
        let Ok(answer) = readiness else { return false };
        answer.text().await.is_ok_and(|text| text.contains("the queue is full"))
    };
    eventually_true("the reconciler says that a queue is full", SOON, waits).await?;

    let workers = run(&world, &["profiles", "segments", "analytics"]).await?;
    let ended = watcher.all_erased(&crowd, SOON).await;
    let left = "select count(*) from {}.request where finished_at is null";
    ended.with_context(|| format!("room for {ROOM}"))?;
    ensure!(ledger(&world, left).await? == 0);
    for role in keepers.iter().chain(&workers) {
        let log = role.log()?;
        let lines = log
            .lines()
            .filter(|line| line.contains("full") || line.contains("takes messages"))
            .count();
        ensure!(lines <= LINES_MAX, "{lines} lines about a full queue");
    }
    crowd.is_gone_and_nobody_else(world.company()).await
}
