//! Every seed and every past crash of the fuzzer, and a short run of inputs made of them. The long run, guided by coverage, is
//! `./tests/fuzz/run`.

use anyhow::{Result, ensure};
use erasure_tests::fuzz::{INPUT_BYTES_MAX, Mutator, Target};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// How many inputs are made for each target.
const INPUTS: usize = 1_000;
const INPUTS_LONG: usize = 200_000;

/// Names the seed of a run that is to be repeated.
const SEED: &str = "ERASURE_TEST_SEED";

fn judge(target: Target, what: &str, data: &[u8]) -> Result<()> {
    let judged = catch_unwind(AssertUnwindSafe(|| target.judge(data)));
    ensure!(judged.is_ok(), "{}: {what}: {}", target.as_str(), data.escape_ascii());
    Ok(())
}

#[test]
fn every_seed_and_every_past_crash_holds() -> Result<()> {
    let mut fallen = Vec::new();
    for target in Target::ALL {
        for (path, data) in target.inputs()? {
            fallen.extend(judge(target, &path.display().to_string(), &data).err());
        }
    }
    ensure!(fallen.is_empty(), "{} inputs: {fallen:#?}", fallen.len());
    Ok(())
}

fn short_run(target: Target) -> Result<()> {
    let inputs: Vec<Vec<u8>> = target.inputs()?.into_iter().map(|(_, data)| data).collect();
    let seed = match std::env::var(SEED) {
        Ok(seed) => seed.parse()?,
        Err(_) => u64::from_le_bytes(uuid::Uuid::new_v4().as_bytes()[..8].try_into()?),
    };
    let count = if std::env::var_os("ERASURE_TEST_LONG").is_some() {
        INPUTS_LONG
    } else {
        INPUTS
    };
    let mut mutator = Mutator::new(seed, INPUT_BYTES_MAX);
    for number in 0..count {
        judge(target, &format!("{SEED}={seed}, input {number}"), &mutator.next(&inputs))?;
    }
    Ok(())
}

#[test]
fn commands_hold_under_a_short_run() -> Result<()> {
    short_run(Target::Commands)
}

#[test]
fn files_hold_under_a_short_run() -> Result<()> {
    short_run(Target::Files)
}

#[test]
fn configuration_holds_under_a_short_run() -> Result<()> {
    short_run(Target::Configuration)
}

#[test]
fn the_trackers_messages_hold_under_a_short_run() -> Result<()> {
    short_run(Target::Tracker)
}

#[test]
fn vendors_answers_hold_under_a_short_run() -> Result<()> {
    short_run(Target::Vendors)
}
