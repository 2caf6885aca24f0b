//! The protocol of the fleet as a model, and a checker that looks at every state it can get into.
//!
//! It is meant to be read as the protocol's specification: each file is one process or one thing, and each step is one that a
//! process takes between two moments at which it may die. The order of steps is that of the code, whose files are named on top of
//! each. Where code and model part, the model is wrong.
//!
//! What is modelled: intake (it only records), the reconciler (dispatch, redispatch, projection, judging and finalising, plan
//! extension, reports, redrive), workers with their batch's steps, the tracker's scripts, the ledger's compare-and-sets, stores with
//! and without a standby; and what can go wrong: any process dying at any step or hanging, a broker that loses, duplicates, reorders
//! and gives up, Redis wiped or rolled back, a failover that loses commits, a restarted primary, a late writer, a changed data map, a
//! new subsystem, a worker left on the old one, a redrive, overlapping requests, somebody new behind old identifiers.
//!
//! What is not: more people, slices and workers than a few; time, but for one deadline, one grace and "older than a day" (a lease,
//! a rung or a due date can end at any moment); reversible operations; vendors, whose *pending* is a *retry* that somebody else ends;
//! what is retained (evidence like *erased*); the contents of messages; several reconcilers (each of its steps is a compare-and-set,
//! and its parts interleave as if they were many). The moment between the last look at a store's identity and the ledger's commit is
//! taken for one: a failover there is as unforeseeable as one right after the commit.
//!
//! The code has one phase today, *purge*; the model has *hide* as well, since a plan's entries have a phase.

mod action;
mod bag;
mod intake;
mod liveness;
mod mutations;
mod protocol;
mod reconciler;
mod rule;
mod scenarios;
mod scope;
mod state;
mod tracker;
mod verdict;
mod worker;
mod world;

use liveness::Walk;
use protocol::Protocol;
use rule::Rule;
use scope::Scope;
use state::State;
use stateright::{Checker, Model};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// What a scenario has come to.
struct Checked {
    name: &'static str,
    states: usize,
    steps: usize,
    depth: usize,
    took: Duration,
    walk: Walk,
    /// What must never be, and how it came to it.
    wrong: Vec<String>,
}

/// Both checks of a scenario, beside each other: that nothing forbidden can be reached, and that completion always can.
fn check(scope: Scope) -> Checked {
    let started = Instant::now();
    let protocol = Protocol(scope);
    let (checker, walk) = std::thread::scope(|threads| {
        let walk = threads.spawn(|| protocol.walk(State::is_complete));
        let checker = protocol.clone().checker().spawn_bfs().join();
        (checker, walk.join().expect("the walk ends"))
    });
    let mut wrong: Vec<String> = Vec::new();
    for (name, path) in checker.discoveries() {
        wrong.push(format!("not so: {name}: {:?}", path.into_actions()));
    }
    if let Some(example) = &walk.example {
        wrong.push(format!("{} states are stuck, such as after: {example:?}", walk.stuck));
    }
    if checker.unique_state_count() != walk.states {
        wrong.push(format!(
            "the checker saw {} states, the walk {}",
            checker.unique_state_count(),
            walk.states
        ));
    }
    Checked {
        name: protocol.0.name,
        states: walk.states,
        steps: checker.state_count(),
        depth: checker.max_depth(),
        took: started.elapsed(),
        walk,
        wrong,
    }
}

fn is_long() -> bool {
    std::env::var_os("ERASURE_TEST_LONG").is_some()
}

/// A test's output is its report; nextest shows it on success as well.
#[allow(clippy::print_stdout, reason = "the table is what a reader of the run wants to see")]
fn show(table: &str) {
    println!("{table}");
}

#[test]
fn every_scenario_is_safe_and_live() {
    let results: Vec<Checked> = scenarios::all(is_long()).into_iter().map(check).collect();
    let mut table =
        String::from("| scenario | states | steps | depth | complete | stuck | seconds |\n|---|---|---|---|---|---|---|\n");
    for it in &results {
        let (walk, took) = (&it.walk, it.took.as_secs_f32());
        let _ = writeln!(
            table,
            "| {} | {} | {} | {} | {} | {} | {took:.1} |",
            it.name, it.states, it.steps, it.depth, walk.complete, walk.stuck
        );
    }
    let states: usize = results.iter().map(|it| it.states).sum();
    let steps: usize = results.iter().map(|it| it.steps).sum();
    let _ = writeln!(table, "| all | {states} | {steps} | | | | |");
    show(&table);
    let wrong: Vec<String> = results
        .iter()
        .flat_map(|it| it.wrong.iter().map(move |what| format!("{}: {what}", it.name)))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(results.iter().all(|it| it.walk.complete > 0));
}

#[test]
fn every_broken_rule_is_noticed() {
    let mut table = String::from("| broken | scenario | found | states |\n|---|---|---|---|\n");
    let mut wrong = Vec::new();
    for row in mutations::TABLE {
        let (found, states) = row.find();
        let _ = writeln!(table, "| {:?} | {} | {found:?} | {states} |", row.broken, row.scenario);
        if found != row.finding {
            wrong.push(format!(
                "{:?} in {}: {found:?}, not {:?}",
                row.broken, row.scenario, row.finding
            ));
        }
    }
    show(&table);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_rule_of_the_drills_has_a_row() {
    let rows: Vec<String> = mutations::TABLE
        .iter()
        .flat_map(|row| row.broken)
        .map(|rule| format!("{rule:?}"))
        .collect();
    for rule in erasure_drill::Rule::ALL {
        assert!(rows.contains(&format!("{rule:?}")), "{rule:?} is in no row");
    }
}

/// Not a promise: what the closing of this hole would have to change.
#[test]
fn redis_rolled_back_and_a_message_twice_can_turn_erased_into_nothing_held() {
    let checker = Protocol(scenarios::known_limit()).checker().spawn_bfs().join();
    let found: Vec<&str> = checker.discoveries().into_keys().collect();
    assert_eq!(
        found,
        [mutations::WAS_HELD],
        "never a false erasure, and no longer a limit if nothing is found"
    );
}

/// Not a promise either: late, but never wrong. The ledger knows better, and nobody asks it.
#[test]
fn redis_rolled_back_behind_the_end_of_a_request_says_in_progress_for_ever() {
    let mut scope = scenarios::known_limit();
    scope.faults.duplicate = 0;
    let protocol = Protocol(scope);
    assert_eq!(protocol.walk(State::is_complete).stuck, 0);
    assert!(
        protocol.walk(State::is_told).stuck > 0,
        "no longer a limit if everybody is told"
    );
    assert!(protocol.0.broken.is_empty() && !protocol.0.breaks(Rule::Redispatch));
}
