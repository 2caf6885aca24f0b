//! What the seeds have found, each as a scenario of its own that does not depend on how seeds are read.

use crate::run::{Outcome, run_scenario};
use crate::scenario::{Ask, Person, Scenario, Trouble};

/// One person in both stores, one request, and this trouble.
fn one_request(calm_at: i64, blows: Vec<(i64, Trouble)>) -> Scenario {
    Scenario {
        people: vec![Person {
            rows: [1, 1, 0],
            kept: false,
        }],
        asks: vec![Ask {
            id: "request-0".to_owned(),
            people: vec![0],
            by_email: false,
            strangers: 0,
            at: vec![300],
        }],
        blows,
        calm_at,
        lost: 0,
        two_reconcilers: false,
        stores: 2,
        evidence_age_s: 86_400,
    }
}

#[track_caller]
fn ends_well(scenario: Scenario) -> Outcome {
    let outcome = run_scenario(scenario, 1);
    assert!(outcome.complaints.is_empty(), "{}\n{:#?}", outcome.trace, outcome.complaints);
    outcome
}

/// Both workers are stopped until the plan is extended and Redis is back at a copy from before.
#[test]
fn a_tracker_that_goes_back_behind_a_longer_plan_is_told_it_again() {
    let hold = |process| Trouble::Hold { process, for_ms: 9_000 };
    ends_well(one_request(
        6_000,
        vec![
            (200, hold(2)),
            (200, hold(3)),
            (1_500, Trouble::RedisIsCopied),
            (1_600, Trouble::NewMap),
            (5_000, Trouble::RedisGoesBack),
        ],
    ));
}

/// Somebody in the last slice, which has one subject, has failed when Redis is wiped: what is shown of that is one task, not 512.
#[test]
fn a_short_slice_whose_failure_is_shown_again_after_a_wipe_still_comes_to_its_end() {
    let mut scenario = one_request(
        7_000,
        vec![
            (0, Trouble::ConstraintOn { person: 0, store: 0 }),
            (5_000, Trouble::RedisIsWiped),
        ],
    );
    scenario.asks[0].strangers = 512;
    ends_well(scenario);
}

/// A new subsystem is in the plan and its work on the way when Redis goes back to where it was not. The work comes back and back
/// as unknown, and each time counts as dispatched, so that nothing ever looks stalled.
#[test]
fn a_tracker_that_goes_back_behind_a_new_subsystem_is_told_of_it() {
    let crash = |back_after| Trouble::Crash { process: 3, back_after };
    ends_well(one_request(
        4_100,
        vec![
            (0, crash(10_000)),
            (250, Trouble::Hold { process: 2, for_ms: 800 }),
            (1_000, Trouble::RedisIsCopied),
            (1_001, Trouble::NewStore),
            (2_600, Trouble::RedisGoesBack),
        ],
    ));
}

/// Everybody stands still until what the workers have in hand is too old to change anything; the workers go on first. It is
/// nobody's fault, and nobody's to mend.
#[test]
fn work_that_grew_too_old_is_sent_afresh() {
    let hold = |process, for_ms| Trouble::Hold { process, for_ms };
    let outcome = ends_well(one_request(
        18_000,
        vec![
            (250, hold(2, 2_500)),
            (250, hold(3, 2_500)),
            (1_500, hold(0, 16_000)),
            (2_000, Trouble::AWeekPasses { person: 0 }),
        ],
    ));
    assert_eq!(outcome.attention, 0);
}
