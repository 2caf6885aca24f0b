//! What only Redis believes does not keep a request waiting for ever.

use anyhow::{Context, Result};
use erasure_protocol::{Header, LedgerId, Mask};
use erasure_tests::{eventually::eventually, servers::Servers, world::World};
use erasure_tracker::{Config, Mark, Tracker};
use serde_json::json;

use crate::asked::{PATIENCE, quick};
use crate::desk::{Desk, command, key, user};

/// The tracker of a world's fleet.
async fn tracker(world: &World, desk: &mut Desk) -> Result<Tracker> {
    let event = desk.hears("an event", |event| event["source"].is_string()).await?;
    let source = event["source"].as_str().context("an event has a source")?;
    let ledger = source.strip_prefix("urn:erasure:ledger:").context("it names the ledger")?;
    let config = Config {
        url: Servers::of_this_run()?.redis,
        key_prefix: world.name().to_owned(),
        ..Config::default()
    };
    Ok(Tracker::connect(&config, LedgerId(ledger.parse()?)).await?)
}

/// The header of an open request, once the tracker has it.
async fn header(tracker: &Tracker, id: &str) -> Result<Header> {
    let request = key("acme", id);
    let look = || async { Some(tracker.progress(&[request]).await.ok()?.remove(0)?.header) };
    eventually("the tracker knows the request", PATIENCE, look).await
}

#[tokio::test]
async fn a_task_that_failed_in_the_tracker_alone_is_sent_again() -> Result<()> {
    let world = quick().build().await?;
    let mut keeper = world.run(&["intake", "reconciler"])?;
    keeper.ready().await?;
    let mut desk = Desk::open(&world).await?;
    desk.ask(&command("acme", "lost", &[json!({ "user_id": user(12) })])).await?;
    let tracker = tracker(&world, &mut desk).await?;
    let header = header(&tracker, "lost").await?;
    // The worker's mark, whose report was lost with the broker, or taken out of the ledger by a redrive that was cut short.
    let mark = |(entry, its): (usize, &erasure_protocol::PlanEntry)| Mark {
        request: header.request,
        slice: 0,
        entry,
        evidence: its.evidence,
        count: 1,
        erased: Mask::EMPTY,
        nothing_held: Mask::EMPTY,
        retained: Mask::EMPTY,
        failed: Mask::first(1),
        pending: Mask::EMPTY,
        retrying: Mask::EMPTY,
        due: None,
        note: None,
    };
    let marks: Vec<Mark> = header.plan.live().map(mark).collect();
    tracker.mark(&marks).await?;
    keeper.term().await?;

    let _role = world.run_all().await?;
    assert_eq!(desk.end_of("acme", "lost").await?, "erased");
    Ok(())
}
