//! The soak, short enough for every run, with a seed that stays the same.

use crate::soak::{
    load::Load,
    schedule::{Pace, schedule},
    soak,
};
use anyhow::Result;
use std::collections::BTreeSet;

const SEED: u64 = 20_261_127;
const SECONDS: u32 = 60;
/// Close enough together for every kind of fault to come within a minute.
const PACE: Pace = Pace { least: 6, most: 18 };

#[tokio::test(flavor = "multi_thread")]
async fn a_minute_of_every_kind_of_fault_loses_nobody_and_tells_no_falsehood() -> Result<()> {
    soak(SEED, SECONDS, PACE).await
}

#[test]
fn the_seed_alone_decides_what_happens_to_whom_and_when() {
    let ticks = SECONDS * 4;
    let planned = schedule(SEED, ticks, PACE);
    assert_eq!(planned, schedule(SEED, ticks, PACE));
    assert_ne!(planned, schedule(SEED + 1, ticks, PACE));
    let kinds: BTreeSet<&str> = planned.iter().map(|it| it.fault.kind()).collect();
    assert_eq!(kinds.len(), 14, "{kinds:?}");
    let asked = |seed| format!("{:?}", Load::of(seed, ticks).commands);
    assert_eq!(asked(SEED), asked(SEED));
    assert_ne!(asked(SEED), asked(SEED + 1));
}
