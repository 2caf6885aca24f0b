//! The pause before connecting again: full jitter, growing, for ever.

use crate::Config;
use std::time::Duration;

/// Pauses that grow with every failure in a row.
#[derive(Debug)]
pub(crate) struct Pauses {
    min_ms: u64,
    max_ms: u64,
    failures: u32,
    /// Where below the bound.
    choose: fn(u64) -> u64,
}

impl Pauses {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            // Before the double, the same must happen each time.
            choose: if config.is_double() { longest } else { anywhere },
            min_ms: config.reconnect_pause_ms_min,
            max_ms: config.reconnect_pause_ms_max,
            failures: 0,
        }
    }

    /// A session was opened: the next failure is a first one.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    /// The next pause, anywhere between nothing and an upper bound that doubles.
    pub(crate) fn next(&mut self) -> Duration {
        let bound = self.bound_ms();
        self.failures = self.failures.saturating_add(1);
        Duration::from_millis((self.choose)(bound))
    }

    fn bound_ms(&self) -> u64 {
        self.min_ms.saturating_mul(1 << self.failures.min(20)).min(self.max_ms)
    }
}

/// Version 4 UUIDs are random in their low 62 bits, which spares a crate.
fn anywhere(bound_ms: u64) -> u64 {
    (uuid::Uuid::new_v4().as_u64_pair().1 & (u64::MAX >> 2)) % (bound_ms + 1)
}

fn longest(bound_ms: u64) -> u64 {
    bound_ms
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_bound_and_start_over() {
        let mut pauses = Pauses {
            min_ms: 100,
            max_ms: 1_000,
            failures: 0,
            choose: anywhere,
        };
        let bounds: Vec<u64> = (0..6)
            .map(|_| {
                let bound = pauses.bound_ms();
                assert!(pauses.next() <= Duration::from_millis(bound));
                bound
            })
            .collect();
        assert_eq!(bounds, [100, 200, 400, 800, 1_000, 1_000]);
        pauses.reset();
        assert_eq!(pauses.bound_ms(), 100);
    }
}
