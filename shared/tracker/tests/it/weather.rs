//! What the weather does to the tracker's double: a lost call is an error like that of a server that cannot be reached.

use crate::place::Place;
use crate::world::{World, all_erased, purge};
use anyhow::Result;
use erasure_drill::{Blow, Lost, Weather};
use erasure_protocol::{Mask, Millis};
use erasure_tracker::double::MemoryRedis;
use erasure_tracker::{Error, Marked, Tracker};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Blows on the calls that mark, and on no other: with the number of the call, from 0.
fn on_marks(blow: impl Fn(usize) -> Blow + Send + Sync + 'static) -> Weather {
    let calls = AtomicUsize::new(0);
    Weather::new(move |call| match call {
        "tracker.marking tasks" => blow(calls.fetch_add(1, Ordering::Relaxed)),
        _ => Blow::default(),
    })
}

fn losing(lost: Lost) -> Blow {
    Blow {
        lost: Some(lost),
        ..Blow::default()
    }
}

async fn worker_in(world: &World, weather: Weather) -> Result<Tracker> {
    let redis = world.redis.memory()?;
    Ok(Tracker::on_double(&redis, &world.config, world.ledger, weather).await?)
}

#[tokio::test]
async fn after_a_lost_question_nothing_has_happened_and_after_a_lost_answer_all() -> Result<()> {
    for (lost, done) in [(Lost::Question, Mask::EMPTY), (Lost::Answer, Mask::first(1))] {
        let world = World::at(&Place::Memory).await?;
        let header = world.running(1, &[purge("profiles", 1)]).await?;
        let worker = worker_in(&world, on_marks(move |_| losing(lost))).await?;
        let failed = worker.mark(&[all_erased(&header, 0, 0)]).await;
        assert!(
            matches!(
                failed,
                Err(Error::Unreachable {
                    doing: "marking tasks",
                    ..
                })
            ),
            "{failed:?}"
        );
        let evidence = world.tracker.evidence(header.request).await?.unwrap();
        assert_eq!(evidence.done(0, 0), done, "{lost:?}");
        let again = world.mark(all_erased(&header, 0, 0)).await?;
        assert_eq!(again, Marked::Ok { complete: true });
    }
    Ok(())
}

#[tokio::test]
async fn of_a_lost_pipeline_a_part_may_have_happened() -> Result<()> {
    let world = World::at(&Place::Memory).await?;
    // More than one call of the script is for.
    let slices = 65;
    let header = world.running(u64::from(slices) * 512, &[purge("profiles", 1)]).await?;
    let second = |call| if call == 1 { losing(Lost::Question) } else { Blow::default() };
    let worker = worker_in(&world, on_marks(second)).await?;
    let marks: Vec<_> = (0..slices).map(|slice| all_erased(&header, 0, slice)).collect();
    let failed = worker.mark(&marks).await;
    assert!(matches!(failed, Err(Error::Unreachable { .. })));
    let evidence = world.tracker.evidence(header.request).await?.unwrap();
    assert_eq!((evidence.done(0, 0), evidence.done(0, 64)), (Mask::first(512), Mask::EMPTY));
    Ok(())
}

#[tokio::test]
async fn an_answer_that_takes_too_long_is_lost() -> Result<()> {
    let mut world = World::at(&Place::Memory).await?;
    world.config.response_timeout_ms = 1;
    let header = world.running(1, &[purge("profiles", 1)]).await?;
    let slow = Blow {
        after: Duration::from_secs(3_600),
        ..Blow::default()
    };
    let worker = worker_in(&world, on_marks(move |_| slow)).await?;
    let failed = worker.mark(&[all_erased(&header, 0, 0)]).await;
    assert!(matches!(failed, Err(Error::Unreachable { .. })));
    assert_eq!(
        world.tracker.evidence(header.request).await?.unwrap().done(0, 0),
        Mask::first(1)
    );
    Ok(())
}

#[tokio::test]
async fn the_time_is_that_of_the_clock_it_was_given() -> Result<()> {
    let world = World::at(&Place::Memory).await?;
    let redis = MemoryRedis::new(|| Millis(7_001));
    let tracker = Tracker::on_double(&redis, &world.config, world.ledger, Weather::default()).await?;
    assert_eq!(tracker.ping().await?, Millis(7_001));
    Ok(())
}
