//! Work that nobody asked for, and work that nobody comes for.

use anyhow::{Context, Result};
use erasure_tests::{
    eventually::eventually_true,
    producer::{Message, Published},
    world::World,
};
use serde_json::json;

use crate::desk::{Desk, SOON, command, parked, user};

#[tokio::test]
async fn work_of_a_request_that_nobody_knows_is_parked_and_its_lane_goes_on() -> Result<()> {
    let world = World::builder().set("worker.hold_s", 1).build().await?;
    let _role = world.run_all().await?;
    let mut desk = Desk::open(&world).await?;
    desk.ask(&command("acme", "first", &[json!({ "user_id": user(12) })])).await?;
    assert_eq!(desk.end_of("acme", "first").await?, "erased");
    let source = desk.heard[0]["source"].as_str().context("an event has a source")?.to_owned();
    let ledger = source
        .strip_prefix("urn:erasure:ledger:")
        .context("the source names the ledger")?;
    let item = json!({
        "request": "00000000-0000-4000-8000-000000000000", "tenant": "acme", "slice": 0, "count": 1, "operation": "erase",
        "phase": "purge", "lane": "single", "wanted": "gA", "attempt": 0, "dispatch": 1, "accepted_at": 0,
        "deadline": 9_999_999_999_999_i64, "sealed": "AAAA",
    });
    let orphan = Message {
        exchange: "er.work".into(),
        routing_key: "profiles.single".into(),
        content_type: Some("application/json".into()),
        body: json!({ "version": 1, "ledger": ledger, "items": [item] })
            .to_string()
            .into_bytes(),
        ..Message::default()
    };
    assert_eq!(desk.producer.publish(&orphan).await?, Published::Confirmed);
    eventually_true("the orphan is put aside", SOON, || async {
        parked(&world)
            .await
            .is_ok_and(|parked| parked.iter().any(|(code, ..)| code == "WORK-002"))
    })
    .await?;
    desk.ask(&command("acme", "second", &[json!({ "user_id": user(14) })]))
        .await?;
    assert_eq!(desk.end_of("acme", "second").await?, "erased");
    Ok(())
}

#[tokio::test]
async fn work_that_no_worker_comes_for_is_said_and_measured() -> Result<()> {
    let world = World::builder().build().await?;
    let role = world.run(&["intake", "reconciler"])?;
    let desk = Desk::open(&world).await?;
    desk.ask(&command("acme", "alone", &[json!({ "user_id": user(12) })])).await?;
    eventually_true("somebody is told", SOON, || async {
        role.log()
            .is_ok_and(|log| log.contains("no worker comes for it") && log.contains("erasure run profiles"))
    })
    .await?;
    let metrics = reqwest::get(role.url("/metrics")).await?.text().await?;
    let waiting = r#"erasure_queue_ready{subsystem="profiles",lane="single"} 1"#;
    assert!(metrics.contains(waiting), "{metrics}");
    Ok(())
}
