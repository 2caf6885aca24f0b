//! The retry policy as data, and the one place where an outcome becomes a decision.
//!
//! This is the only module that names `backoff`. The crate is unmaintained (RUSTSEC-2025-0012, and RUSTSEC-2024-0384 for its
//! `instant`); here it computes growing delays from constants, touches no clock and no network, and is named by the project's
//! owners. Both exceptions stand in `.cargo/deny.toml`.

use crate::{Done, Fault, FaultClass, Outcome};
use backoff::backoff::Backoff as _;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// One waiting time that the broker offers: a queue with this fixed delay. In milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Rung(pub u64);

impl Rung {
    /// The rung's delay.
    #[must_use]
    pub fn delay(self) -> Duration {
        Duration::from_millis(self.0)
    }
}

/// How often, and after which delays, a task is tried again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetryPolicy {
    /// The waiting times, ascending. Each is a queue on the broker.
    pub rungs: Vec<Rung>,
    /// After this many failed attempts the task is parked and needs attention.
    pub attempts_max: u32,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            rungs: [5_000, 30_000, 120_000, 600_000, 3_600_000, 21_600_000].map(Rung).to_vec(),
            attempts_max: 12,
        }
    }
}

impl RetryPolicy {
    /// What is wrong with the policy, if anything.
    ///
    /// # Errors
    /// With a sentence, when there is no rung, one is zero, they do not ascend, or no attempt is allowed.
    pub fn check(&self) -> Result<(), &'static str> {
        if self.rungs.is_empty() {
            return Err("retry.rungs needs at least one waiting time, in milliseconds");
        }
        if self.rungs[0].0 == 0 || !self.rungs.is_sorted_by(|a, b| a < b) {
            return Err("retry.rungs must be ascending and above zero, in milliseconds");
        }
        if self.attempts_max == 0 {
            return Err("retry.attempts_max must be at least 1");
        }
        Ok(())
    }

    /// The rung after this many failed attempts (0 = the first has just failed): delays grow geometrically from the first rung
    /// to the last, each snapped to the nearest rung that is not shorter.
    #[must_use]
    pub fn rung(&self, failed_before: u32) -> Rung {
        let first = self.rungs.first().copied().unwrap_or(Rung(5_000));
        let last = self.rungs.last().copied().unwrap_or(first);
        let steps = i32::try_from(self.rungs.len().saturating_sub(1)).unwrap_or(i32::MAX).max(1);
        #[allow(clippy::cast_precision_loss, reason = "delays are far below 2^52 ms")]
        let growth = (last.0 as f64 / first.0 as f64).powf(1.0 / f64::from(steps));
        let mut delays = backoff::ExponentialBackoff {
            current_interval: first.delay(),
            initial_interval: first.delay(),
            randomization_factor: 0.0,
            multiplier: growth.max(1.0),
            max_interval: last.delay(),
            max_elapsed_time: None,
            ..backoff::ExponentialBackoff::default()
        };
        let turns = failed_before.min(u32::try_from(self.rungs.len()).unwrap_or(u32::MAX));
        let delay = (0..=turns).fold(first.delay(), |_, _| delays.next_backoff().unwrap_or(last.delay()));
        self.rung_for(delay)
    }

    /// The shortest rung that waits at least this long (with 1 % of tolerance); the longest when none does.
    #[must_use]
    pub fn rung_for(&self, wait: Duration) -> Rung {
        let enough = wait.mul_f64(0.99);
        let last = self.rungs.last().copied().unwrap_or(Rung(5_000));
        self.rungs.iter().copied().find(|rung| rung.delay() >= enough).unwrap_or(last)
    }
}

/// What is to be done with a task after an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// Leave its bit of evidence.
    Mark(Done),
    /// Leave it to the ledger, which wakes it when the other side is to be asked again.
    Follow,
    /// Publish it again on this rung.
    Again {
        /// How long to wait.
        rung: Rung,
        /// How many attempts have failed then. The same as before when this was no attempt.
        attempt: u32,
    },
    /// Park it: it needs attention.
    Park(Fault),
}

/// The one function from an outcome to what follows. `attempt` is how many attempts had failed before this one.
#[must_use]
pub fn dispose(policy: &RetryPolicy, attempt: u32, outcome: &Outcome) -> Disposition {
    match outcome {
        Outcome::Erased => Disposition::Mark(Done::Erased),
        Outcome::NothingHeld => Disposition::Mark(Done::NothingHeld),
        Outcome::Retained { .. } => Disposition::Mark(Done::Retained),
        Outcome::Pending { .. } => Disposition::Follow,
        Outcome::Failed(fault) => Disposition::Park(fault.clone()),
        Outcome::Retry(fault) => match fault.class {
            FaultClass::Throttled => {
                let wait = fault.retry_after_ms.map_or(policy.rung(0).delay(), Duration::from_millis);
                Disposition::Again {
                    rung: policy.rung_for(wait),
                    attempt,
                }
            }
            FaultClass::Transient if attempt + 1 < policy.attempts_max => Disposition::Again {
                rung: policy.rung(attempt),
                attempt: attempt + 1,
            },
            FaultClass::Transient | FaultClass::Permanent | FaultClass::Poison => Disposition::Park(fault.clone()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Blame, FaultCode, Ground, Millis, Reference};

    fn fault(class: FaultClass) -> Fault {
        Fault::new(class, Blame::Store, FaultCode::StoreBusy, "crm")
    }

    #[test]
    fn delays_climb_every_rung_and_stay_on_the_last() {
        let policy = RetryPolicy::default();
        let climbed: Vec<u64> = (0..8).map(|failed| policy.rung(failed).0).collect();
        assert!(climbed.is_sorted());
        assert_eq!(climbed[0], 5_000);
        assert_eq!(climbed[7], 21_600_000);
        assert_eq!(policy.rung(u32::MAX), Rung(21_600_000));
        assert_eq!(
            RetryPolicy {
                rungs: vec![Rung(100)],
                attempts_max: 3
            }
            .rung(2),
            Rung(100)
        );
    }

    #[test]
    fn a_policy_without_rungs_or_out_of_order_is_refused() {
        let policy = |rungs: &[u64]| RetryPolicy {
            rungs: rungs.iter().copied().map(Rung).collect(),
            attempts_max: 1,
        };
        assert!(policy(&[]).check().is_err());
        assert!(policy(&[0]).check().is_err());
        assert!(policy(&[5, 5]).check().is_err());
        assert_eq!(policy(&[5, 6]).check(), Ok(()));
        assert!(
            RetryPolicy {
                attempts_max: 0,
                ..policy(&[1])
            }
            .check()
            .is_err()
        );
    }

    #[test]
    fn every_outcome_has_one_disposition() {
        let policy = RetryPolicy {
            attempts_max: 3,
            ..RetryPolicy::default()
        };
        let at = |attempt, outcome: Outcome| dispose(&policy, attempt, &outcome);
        assert_eq!(at(0, Outcome::Erased), Disposition::Mark(Done::Erased));
        assert_eq!(at(0, Outcome::NothingHeld), Disposition::Mark(Done::NothingHeld));
        let kept = Outcome::Retained {
            ground: Ground("x".into()),
            until: Millis(1),
        };
        assert_eq!(at(0, kept), Disposition::Mark(Done::Retained));
        let pending = Outcome::Pending {
            reference: Reference(String::new()),
            check_at: Millis(1),
        };
        assert_eq!(at(9, pending), Disposition::Follow);
        for class in [
            FaultClass::Transient,
            FaultClass::Throttled,
            FaultClass::Permanent,
            FaultClass::Poison,
        ] {
            assert_eq!(at(0, Outcome::Failed(fault(class))), Disposition::Park(fault(class)));
        }
        assert_eq!(
            at(0, Outcome::Retry(fault(FaultClass::Permanent))),
            Disposition::Park(fault(FaultClass::Permanent))
        );
        assert_eq!(
            at(0, Outcome::Retry(fault(FaultClass::Poison))),
            Disposition::Park(fault(FaultClass::Poison))
        );
        let again = Disposition::Again {
            rung: Rung(30_000),
            attempt: 2,
        };
        assert_eq!(at(1, Outcome::Retry(fault(FaultClass::Transient))), again);
        assert_eq!(
            at(2, Outcome::Retry(fault(FaultClass::Transient))),
            Disposition::Park(fault(FaultClass::Transient))
        );
    }

    #[test]
    fn throttling_waits_as_asked_and_is_no_attempt() {
        let policy = RetryPolicy::default();
        let told = Outcome::Retry(fault(FaultClass::Throttled).after(Duration::from_secs(90)));
        assert_eq!(
            dispose(&policy, 11, &told),
            Disposition::Again {
                rung: Rung(120_000),
                attempt: 11
            }
        );
    }
}
