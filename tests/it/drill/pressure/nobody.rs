//! A subsystem without workers.

use super::{SOON, depth, ledger, ready, run, until_ledger};
use crate::{
    asked::{line, until_status},
    drill::{
        crowd::Crowd,
        watcher::Watcher,
        workers::{apart, is_empty, publish},
    },
};
use anyhow::{Result, ensure};
use erasure_tests::{eventually::eventually_true, producer::Producer};

const LANES: [&str; 2] = ["er.work.segments.single.v1", "er.work.segments.bulk.v1"];

#[tokio::test(flavor = "multi_thread")]
async fn work_for_a_subsystem_without_workers_waits_is_said_and_does_not_multiply() -> Result<()> {
    let world = apart().set("reconciler.stalled_after_ms", 1_000).build().await?;
    let crowd = Crowd::of(world.company(), 600, 20).await?;
    let watcher = Watcher::start(world.amqp(), world.company(), &crowd).await?;
    let mut workers = run(&world, &["intake", "reconciler", "profiles", "analytics", "segments"]).await?;
    // There was a worker, and it goes.
    workers.pop().expect("the last one").term().await?;
    publish(world.amqp(), &crowd).await?;
    is_empty(world.company(), "crm", &crowd).await?;
    is_empty(world.company(), "warehouse", &crowd).await?;
    let producer = Producer::connect(world.amqp()).await?;
    for queue in LANES {
        ready(&producer, queue, 1).await?;
    }
    // One slice a single, and two for six hundred people; each goes to all subsystems at once.
    let sent = "select count(*) from {}.dispatch where last_at is not null";
    until_ledger(&world, "all of it is sent out", sent, 22).await?;
    let last = "select max(last_at) from {}.dispatch";
    let sent_at = ledger(&world, last).await?;
    let before = [depth(&world, LANES[0]).await?, depth(&world, LANES[1]).await?];

    // By its own clock the ledger has seen many looks for stalled work: one every sixth of a second, a second after the dispatch.
    let long_ago = "select count(*) from {}.dispatch where last_at < extract(epoch from now()) * 1000 - 8000";
    until_ledger(&world, "it was looked many times", long_ago, 22).await?;
    let after = [depth(&world, LANES[0]).await?, depth(&world, LANES[1]).await?];
    ensure!(before == after, "{before:?} messages became {after:?}");
    ensure!(ledger(&world, last).await? == sent_at, "something was sent again");
    ensure!(watcher.ended() == 0, "nobody is erased without segments");
    let is_waiting = |status: &serde_json::Value| {
        line(status, "profiles")["state"] == "done" && line(status, "segments")["state"] != "done" && status["state"] == "running"
    };
    until_status(&world, "single-600", "it waits for segments", is_waiting).await?;
    let said = || async {
        let log = workers[1].log().unwrap_or_default();
        log.lines()
            .any(|line| line.contains("no worker comes for it") && line.contains("segments"))
    };
    eventually_true("the reconciler says that nobody comes", SOON, said).await?;

    let _back = run(&world, &["segments"]).await?;
    watcher.all_erased(&crowd, SOON).await?;
    crowd.is_gone_and_nobody_else(world.company()).await
}
