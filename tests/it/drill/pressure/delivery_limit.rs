//! Messages that the broker gives up.

use super::{SOON, depth, ledger, ready, run, until_ledger};
use crate::{
    asked::{listed, until_state},
    drill::{
        crowd::{Crowd, rows_in},
        workers::{apart, publish},
    },
};
use anyhow::{Context as _, Result, ensure};
use erasure_tests::{eventually::eventually_true, producer::Producer, world::World};
use lapin::{
    Connection, ConnectionProperties,
    options::{BasicGetOptions, BasicRejectOptions},
};

const QUEUE: &str = "er.work.profiles.single.v1";
/// Above any limit that the queue may have, by far.
const DELIVERIES_MAX: u32 = 10_000;
const GIVEN_UP: &str = "select count(*) from {}.report where kind = 'failed' and code = 'WORK-005'";

/// Takes whatever is in the queue and gives it back as failed, until the broker has given up all of it and the reconciler has seen so.
async fn wear_out(world: &World, tasks: i64) -> Result<u32> {
    let connection = Connection::connect(world.amqp(), ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    let mut deliveries = 0;
    while deliveries < DELIVERIES_MAX {
        match channel.basic_get(QUEUE.into(), BasicGetOptions::default()).await? {
            Some(message) => {
                message.delivery.acker.reject(BasicRejectOptions { requeue: true }).await?;
                deliveries += 1;
            }
            None if ledger(world, GIVEN_UP).await? == tasks => return Ok(deliveries),
            None => {}
        }
    }
    anyhow::bail!("the queue has no limit")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_broker_gives_up_needs_attention_and_a_redrive_brings_it_to_its_end() -> Result<()> {
    let world = apart().set("reconciler.stalled_after_ms", 1_000).build().await?;
    let crowd = Crowd::of(world.company(), 0, 3).await?;
    let keepers = run(&world, &["intake", "reconciler", "segments", "analytics"]).await?;
    publish(world.amqp(), &crowd).await?;
    let producer = Producer::connect(world.amqp()).await?;
    ready(&producer, QUEUE, 1).await?;
    until_ledger(
        &world,
        "all are sent out",
        "select count(distinct request) from {}.dispatch where last_at is not null",
        3,
    )
    .await?;
    let deliveries = wear_out(&world, 3).await?;
    ensure!(
        deliveries > 100,
        "after {deliveries} deliveries an innocent message would be given up"
    );

    // The reconciler has taken them in: each person is on the list, and nobody's work is lost or sent out unasked.
    ensure!(depth(&world, "er.dead.profiles.v1").await? == 0);
    ensure!(depth(&world, QUEUE).await? == 0);
    let entries = listed(&world, &["attention", "list"]).await?;
    ensure!(entries.len() == 1, "{entries:?}");
    ensure!(entries[0]["code"] == "WORK-005" && entries[0]["tasks"] == 3, "{entries:?}");
    ensure!(rows_in(world.company(), "crm", &crowd.people()).await? == 3);

    let _worker = run(&world, &["profiles"]).await?;
    world
        .command(&["attention", "redrive", "--code", "WORK-005", "--actor", "ops"])
        .await?
        .done()?;
    for asked in crowd.requests() {
        until_state(&world, &asked.id, "erased").await.context("after the redrive")?;
    }
    let nothing = || async { listed(&world, &["attention", "list"]).await.is_ok_and(|list| list.is_empty()) };
    eventually_true("nothing needs attention", SOON, nothing).await?;
    drop(keepers);
    crowd.is_gone_and_nobody_else(world.company()).await
}
