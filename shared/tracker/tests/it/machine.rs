//! Random acts, told to the tracker and to a set of cells: after each of them both know the same, and the tracker shows no evidence
//! of what nobody has done, whatever was wiped, rolled back, repeated or out of date.
//!
//! `ERASURE_TEST_LONG=1` plays twenty times as many games.

mod act;
mod projection;
mod reference;
mod request;
mod tracked;

use crate::cluster::Cluster;
use crate::place::Place;
use anyhow::Result;
use proptest::test_runner::{Config, TestRunner};
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest};
use reference::Reference;
use tracked::{Stage, Tracked};

const ACTS: std::ops::Range<usize> = 1..50;

#[cfg(feature = "double")]
#[test]
fn on_the_double_the_tracker_knows_what_a_set_of_cells_knows() -> Result<()> {
    play(|_| Ok(Place::Memory), 300)
}

#[test]
fn on_a_server_the_tracker_knows_what_a_set_of_cells_knows() -> Result<()> {
    play(|_| Ok(Place::Server), 40)
}

#[test]
fn on_a_cluster_the_tracker_knows_what_a_set_of_cells_knows() -> Result<()> {
    play(|runtime| Ok(Place::Cluster(runtime.block_on(Cluster::start())?)), 24)
}

fn play(place: impl FnOnce(&tokio::runtime::Runtime) -> Result<Place>, games: u32) -> Result<()> {
    let long = std::env::var("ERASURE_TEST_LONG").is_ok_and(|it| it == "1");
    let config = Config {
        cases: if long { games * 20 } else { games },
        failure_persistence: None,
        max_shrink_time: 60_000,
        ..Config::default()
    };
    let stage = Stage::set(place)?;
    let acts = Reference::sequential_strategy(ACTS);
    let game = |(state, acts, seen)| {
        Tracked::test_sequential(config.clone(), state, acts, seen);
        Ok(())
    };
    let outcome = TestRunner::new(config.clone()).run(&acts, game);
    drop(stage);
    outcome.map_err(|failure| anyhow::anyhow!("{failure}"))
}
