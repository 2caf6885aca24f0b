//! When the vendor was called: counted where it begins to hear a call, before anything of it is read.

use std::time::{Duration, Instant};

/// The moments of all calls, in order.
#[derive(Clone, Debug, Default)]
pub struct Traffic(Vec<Instant>);

impl Traffic {
    /// Notes a call at this moment. Whether it is one too many: there were `calls` in the window that ends with it.
    pub(super) fn hear(&mut self, now: Instant, allowed: Option<(usize, Duration)>) -> bool {
        self.0.push(now);
        allowed.is_some_and(|(calls, window)| self.0.iter().rev().take_while(|at| now - **at < window).count() > calls)
    }

    /// The moments.
    #[must_use]
    pub fn moments(&self) -> &[Instant] {
        &self.0
    }

    /// The largest number of calls in any window of this length.
    #[must_use]
    pub fn most_in(&self, window: Duration) -> usize {
        let mut first = 0;
        let mut most = 0;
        for (at, moment) in self.0.iter().enumerate() {
            while *moment - self.0[first] >= window {
                first += 1;
            }
            most = most.max(at + 1 - first);
        }
        most
    }
}
