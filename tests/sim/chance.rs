//! Chance that can be repeated: everything that is random in a run comes from its seed.

use std::sync::{Arc, Mutex, PoisonError};

/// A stream of random numbers. Clones draw from the same stream. (SplitMix64: Steele, Lea, Flood, OOPSLA 2014.)
#[derive(Clone, Debug)]
pub(crate) struct Chance(Arc<Mutex<u64>>);

impl Chance {
    /// The stream of this name of a seed.
    pub(crate) fn of(seed: u64, name: &str) -> Self {
        let start = name
            .bytes()
            .fold(seed ^ 0x9e37_79b9_7f4a_7c15, |state, byte| mix(state ^ u64::from(byte)));
        Self(Arc::new(Mutex::new(start)))
    }

    pub(crate) fn next(&self) -> u64 {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(*state)
    }

    /// A number below `bound`, which is above 0.
    pub(crate) fn below(&self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// A number between these, both included.
    pub(crate) fn between(&self, low: u64, high: u64) -> u64 {
        low + self.below(high - low + 1)
    }

    /// Whether one of so many in a thousand is met.
    pub(crate) fn in_thousand(&self, many: u64) -> bool {
        self.below(1000) < many
    }

    /// One of them; there is at least one.
    pub(crate) fn pick<'a, T>(&self, among: &'a [T]) -> &'a T {
        &among[usize::try_from(self.below(among.len() as u64)).unwrap_or(0)]
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
