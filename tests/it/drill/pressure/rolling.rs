//! Restarts of all workers, with work in hand and more before it.

use super::{SOON, run, until_ledger};
use crate::drill::{
    crowd::Crowd,
    hold::Hold,
    watcher::Watcher,
    workers::{all_ready, apart},
};
use anyhow::{Result, ensure};
use erasure_tests::{
    process::{Signal, signal},
    producer::{Message, Producer},
};

#[tokio::test(flavor = "multi_thread")]
async fn two_rolling_restarts_with_messages_in_hand_put_none_into_the_solo_lane() -> Result<()> {
    // Four in work and four before them, for each of two workers: two restarts leave some for the last.
    let world = apart().set("worker.single_messages_max", 4).build().await?;
    let crowd = Crowd::of(world.company(), 1_000, 40).await?;
    let watcher = Watcher::start(world.amqp(), world.company(), &crowd).await?;
    let _keepers = run(&world, &["intake", "reconciler", "segments", "analytics"]).await?;
    let producer = Producer::connect(world.amqp()).await?;
    // Whatever is published to the lane comes here as well.
    let mut solo = producer.tap("er.work", "profiles.solo").await?;
    for (sent, asked) in (1..).zip(crowd.requests()) {
        producer.publish(&asked.message()).await?;
        // Each has a message of its own.
        let out = "select count(distinct request) from {}.dispatch where last_at is not null";
        until_ledger(&world, "it is sent out", out, sent).await?;
    }
    for _ in 0..2 {
        let hold = Hold::writes(world.company(), "crm", "participants").await?;
        let mut workers = [world.run(&["profiles"])?, world.run(&["profiles"])?];
        all_ready(&mut workers).await?;
        hold.holds_up(2).await?;
        for worker in &workers {
            signal(worker.pid(), Signal::Term)?;
        }
        hold.release().await?;
        for worker in &mut workers {
            ensure!(worker.ended().await?.code() == Some(0), "a drained worker ends with 0");
        }
    }
    let _last = run(&world, &["profiles"]).await?;
    watcher.all_erased(&crowd, SOON).await?;
    // A message of ours comes last: whatever had entered the lane would come before it.
    let last = Message {
        exchange: "er.work".to_owned(),
        routing_key: "profiles.solo".to_owned(),
        body: b"the last".to_vec(),
        ..Message::default()
    };
    producer.publish(&last).await?;
    let first = solo.next(SOON).await?;
    ensure!(
        first.body == b"the last",
        "a message entered the solo lane: {} bytes",
        first.body.len()
    );
    crowd.is_gone_and_nobody_else(world.company()).await
}
