//! How many calls a vendor gets, and when none at all.

use crate::reply::transient;
use erasure_protocol::{Blame, Fault, FaultClass, FaultCode};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

/// The longest that a batch may take before the calls not yet made are put off. A delivery is held no longer than this and one
/// round of calls.
const BATCH_MAX: Duration = Duration::from_secs(20);

/// How long a task is put off that had no turn within its batch.
const PUT_OFF: Duration = Duration::from_secs(5);

/// The permits of one vendor, shared by all batches of this process.
#[derive(Debug)]
pub(crate) struct Gate {
    vendor: String,
    calls: Semaphore,
    interval: Option<Duration>,
    pace: Mutex<Pace>,
}

#[derive(Debug, Default)]
struct Pace {
    /// When the next call may start.
    next: Option<Instant>,
    /// The vendor asked for silence until then.
    closed_until: Option<Instant>,
}

/// One batch's view of a vendor: after a fault that every other call would meet as well, the vendor is left alone.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    gate: &'a Gate,
    ends: Instant,
    fault: OnceLock<Fault>,
}

impl Gate {
    /// So many calls at once, and so many a second.
    pub(crate) fn new(vendor: &str, calls_at_once: usize, calls_per_second: Option<u32>) -> Self {
        Self {
            vendor: vendor.to_owned(),
            calls: Semaphore::new(calls_at_once.min(Semaphore::MAX_PERMITS)),
            interval: calls_per_second.map(|calls| Duration::from_secs(1) / calls.max(1)),
            pace: Mutex::default(),
        }
    }

    /// A batch begins.
    pub(crate) fn turn(&self) -> Turn<'_> {
        Turn {
            gate: self,
            ends: Instant::now() + BATCH_MAX,
            fault: OnceLock::new(),
        }
    }

    /// When the next call may start, taking that place; or how long everybody has to wait.
    fn place(&self, now: Instant, ends: Instant) -> Result<Instant, Duration> {
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(until) = pace.closed_until.filter(|until| *until > now) {
            return Err(until - now);
        }
        let start = pace.next.map_or(now, |next| next.max(now));
        if start > ends {
            return Err(PUT_OFF);
        }
        pace.next = self.interval.map(|interval| start + interval);
        Ok(start)
    }

    fn close(&self, until: Instant) {
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        pace.closed_until = Some(pace.closed_until.map_or(until, |other| other.max(until)));
    }
}

impl Turn<'_> {
    /// Waits for a permit to call. The fault says why there is none for this batch.
    pub(crate) async fn enter(&self) -> Result<SemaphorePermit<'_>, Fault> {
        let permit = tokio::time::timeout_at(self.ends, self.gate.calls.acquire()).await;
        let permit = match permit {
            Ok(Ok(permit)) => permit,
            Ok(Err(_)) => return Err(transient(&self.gate.vendor, FaultCode::VendorUnreachable)),
            Err(_) => return Err(self.throttled(PUT_OFF)),
        };
        if let Some(fault) = self.fault.get() {
            return Err(fault.clone());
        }
        let start = self
            .gate
            .place(Instant::now(), self.ends)
            .map_err(|wait| self.throttled(wait))?;
        tokio::time::sleep_until(start).await;
        Ok(permit)
    }

    /// Notes a fault that the next call would meet as well.
    pub(crate) fn note(&self, fault: &Fault) {
        let of_everybody = [
            FaultCode::VendorUnreachable,
            FaultCode::VendorRefusedLogin,
            FaultCode::VendorNotFound,
        ];
        if fault.code == FaultCode::VendorThrottles {
            let wait = Duration::from_millis(fault.retry_after_ms.unwrap_or(0));
            self.gate.close(Instant::now() + wait);
        } else if of_everybody.contains(&fault.code) {
            // Whoever is first names the fault; the others met the same.
            let _ = self.fault.set(fault.clone());
        }
    }

    fn throttled(&self, wait: Duration) -> Fault {
        Fault::new(
            FaultClass::Throttled,
            Blame::Store,
            FaultCode::VendorThrottles,
            &self.gate.vendor,
        )
        .after(wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn calls_keep_the_pace_and_what_does_not_fit_the_batch_is_put_off() {
        let gate = Gate::new("mailer", 4, Some(1));
        let now = Instant::now();
        let ends = now + 2 * SECOND;
        for place in 0..=2 {
            assert_eq!(gate.place(now, ends), Ok(now + place * SECOND));
        }
        assert_eq!(gate.place(now, ends), Err(PUT_OFF));
        assert_eq!(gate.place(now + 9 * SECOND, now + 20 * SECOND), Ok(now + 9 * SECOND));
    }

    #[test]
    fn a_vendor_that_asks_for_silence_gets_it_from_every_batch() {
        let gate = Gate::new("mailer", 4, None);
        let now = Instant::now();
        gate.close(now + 60 * SECOND);
        gate.close(now + 10 * SECOND);
        let ends = now + 90 * SECOND;
        assert_eq!(gate.place(now + 20 * SECOND, ends), Err(40 * SECOND));
        assert_eq!(gate.place(now + 60 * SECOND, ends), Ok(now + 60 * SECOND));
    }

    #[tokio::test]
    async fn a_batch_leaves_alone_whom_it_cannot_reach_and_the_next_one_tries_again() {
        let gate = Gate::new("mailer", 1, None);
        let turn = gate.turn();
        let fault = transient("mailer", FaultCode::VendorUnreachable);
        turn.note(&fault);
        turn.note(&transient("mailer", FaultCode::VendorRefusedLogin));
        assert_eq!(turn.enter().await.unwrap_err(), fault);
        assert!(gate.turn().enter().await.is_ok());
    }

    #[tokio::test]
    async fn who_had_no_turn_within_the_batch_is_put_off() {
        let gate = Gate::new("mailer", 1, None);
        let busy = gate.turn();
        let held = busy.enter().await.unwrap();
        let late = Turn {
            ends: Instant::now(),
            ..gate.turn()
        };
        let put_off = late.enter().await.unwrap_err();
        assert_eq!((put_off.class, put_off.retry_after_ms), (FaultClass::Throttled, Some(5_000)));
        drop(held);
    }
}
