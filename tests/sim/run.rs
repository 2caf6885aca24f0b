//! One run from its seed: the same seed, the same run.

use std::time::Duration;

use erasure_drill::Weather;
use erasure_ledger::Ledger;

use crate::nemesis::Nemesis;
use crate::operator::Operator;
use crate::scenario::Scenario;
use crate::world::World;

/// How often it is looked whether all is over, and how long that may take once it is calm.
const LOOK: Duration = Duration::from_millis(500);
const HEALED_WITHIN: Duration = Duration::from_secs(120);

/// What a run came to.
pub(crate) struct Outcome {
    pub(crate) complaints: Vec<String>,
    pub(crate) hash: u64,
    pub(crate) calls: u64,
    /// How often somebody was told that a request needs attention.
    pub(crate) attention: usize,
    /// Virtual time, in milliseconds.
    pub(crate) took: i64,
    pub(crate) trace: String,
}

/// Runs the scenario of a seed.
pub(crate) fn run(seed: u64) -> Outcome {
    run_scenario(Scenario::of(seed), seed)
}

/// Runs a scenario on a runtime of its own, whose clock only moves when nobody has anything to do.
pub(crate) fn run_scenario(scenario: Scenario, seed: u64) -> Outcome {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime without input and output needs nothing");
    crate::panics::forget();
    let mut outcome = runtime.block_on(play(scenario, seed));
    drop(runtime);
    outcome.complaints.extend(crate::panics::taken());
    outcome
}

async fn play(scenario: Scenario, seed: u64) -> Outcome {
    let world = World::new(scenario, seed);
    let operator = Operator::start(&world);
    let observer = Ledger::on_double(&world.ledger, Weather::default(), world.sky.clock());
    let mut nemesis = Nemesis::new(&world, operator.clone());
    operator.produce();
    nemesis.rage().await;
    let healed = async {
        while !world.oracle.is_over(&observer).await {
            operator.attend(&observer).await;
            tokio::time::sleep(LOOK).await;
        }
    };
    if tokio::time::timeout(HEALED_WITHIN, healed).await.is_err() {
        world.oracle.complain("not everything came to its end".to_owned());
    }
    let complaints = world.oracle.judge(&observer).await;
    let took = world.sky.at();
    nemesis.stop().await;
    Outcome {
        hash: world.trace.hash(),
        calls: world.trace.calls(),
        attention: world.oracle.times_of_attention(),
        took,
        trace: if complaints.is_empty() {
            String::new()
        } else {
            format!("{:#?}\n{}", world.scenario, world.trace.shown())
        },
        complaints,
    }
}
