//! How many calls a vendor gets, and when none at all.

use crate::config::Vendor;
use crate::counter::{Counter, HORIZON, Held, LATE_MAX, Link, NoPlace, Patience, Used};
use crate::reply::transient;
use erasure_protocol::{Blame, Fault, FaultClass, FaultCode, SubsystemName};
use erasure_tracker::{Allowance, Tracker};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The longest that a batch may take before the calls not yet made are put off. A delivery is held no longer than this and one
/// round of calls.
const BATCH_MAX: Duration = Duration::from_secs(20);

/// How long a task is put off that had no turn within its batch.
const PUT_OFF: Duration = Duration::from_secs(5);

/// The permits of one vendor: how many calls this process makes at once, and how many all processes together start in a while.
#[derive(Debug)]
pub(crate) struct Gate {
    vendor: String,
    calls: Semaphore,
    counter: Option<Arc<Counter>>,
    /// The vendor asked for silence until then.
    closed_until: Mutex<Option<Instant>>,
}

/// One batch's view of a vendor: after a fault that every other call would meet as well, the vendor is left alone.
#[derive(Debug)]
pub(crate) struct Turn<'a> {
    gate: &'a Gate,
    ends: Instant,
    fault: OnceLock<Fault>,
    over: CancellationToken,
}

/// A permit for one call. Who lets go of it without [`Pass::end`] gives back what it had of the allowance only after a while.
#[derive(Debug)]
pub(crate) struct Pass<'a> {
    permit: SemaphorePermit<'a>,
    used: Option<Used>,
    /// When the vendor's answer began to arrive.
    pub(crate) answered: Option<Instant>,
}

impl Gate {
    /// A gate as the vendor's settings say. An allowance is counted in the tracker; without one nobody is let through.
    pub(crate) fn new(vendor: &Vendor, subsystem: &SubsystemName, tracker: Option<Tracker>) -> Self {
        let counter = vendor.allowance().map(|(calls, window)| {
            let allowance = Allowance {
                subsystem: subsystem.clone(),
                vendor: vendor.name.clone(),
                calls,
                window,
                arrives_within: LATE_MAX + Duration::from_millis(vendor.timeout_ms),
                horizon: HORIZON,
            };
            Arc::new(Counter::new(allowance, Link(tracker)))
        });
        Self {
            vendor: vendor.name.clone(),
            calls: Semaphore::new(vendor.calls_at_once.min(Semaphore::MAX_PERMITS)),
            counter,
            closed_until: Mutex::default(),
        }
    }

    /// A batch begins.
    pub(crate) fn turn(&self) -> Turn<'_> {
        Turn {
            gate: self,
            ends: Instant::now() + BATCH_MAX,
            fault: OnceLock::new(),
            over: CancellationToken::new(),
        }
    }

    /// How long the vendor is still to be left alone.
    fn closed_for(&self) -> Option<Duration> {
        let closed_until = *self.closed_until.lock().unwrap_or_else(PoisonError::into_inner);
        let rest = closed_until?.saturating_duration_since(Instant::now());
        (!rest.is_zero()).then_some(rest)
    }

    fn close(&self, until: Instant) {
        let mut closed_until = self.closed_until.lock().unwrap_or_else(PoisonError::into_inner);
        *closed_until = Some(closed_until.map_or(until, |other| other.max(until)));
    }
}

impl<'a> Turn<'a> {
    /// Waits for a permit to call. The fault says why there is none for this batch.
    pub(crate) async fn enter(&self) -> Result<Pass<'a>, Fault> {
        let permit = tokio::time::timeout_at(self.ends, self.gate.calls.acquire()).await;
        let permit = match permit {
            Ok(Ok(permit)) => permit,
            Ok(Err(_)) => return Err(transient(&self.gate.vendor, FaultCode::VendorUnreachable)),
            Err(_) => return Err(self.throttled(PUT_OFF)),
        };
        self.open()?;
        let held = match &self.gate.counter {
            Some(counter) => Some(self.place(counter).await?),
            None => None,
        };
        self.open()?;
        Ok(Pass {
            permit,
            used: held.map(Held::begin),
            answered: None,
        })
    }

    /// Nothing speaks against a call now.
    fn open(&self) -> Result<(), Fault> {
        if let Some(fault) = self.fault.get() {
            return Err(fault.clone());
        }
        self.gate.closed_for().map_or(Ok(()), |rest| Err(self.throttled(rest)))
    }

    async fn place(&self, counter: &Arc<Counter>) -> Result<Held, Fault> {
        let patience = Patience {
            ends: self.ends,
            over: &self.over,
        };
        match counter.place(patience).await {
            Ok(held) => Ok(held),
            Err(NoPlace::Silent(rest)) => {
                self.gate.close(Instant::now() + rest);
                Err(self.throttled(rest))
            }
            Err(NoPlace::Over) => Err(self.fault.get().cloned().unwrap_or_else(|| self.throttled(PUT_OFF))),
            Err(NoPlace::Unknown) => Err(self.throttled(PUT_OFF)),
        }
    }

    /// Notes a fault that the next call would meet as well.
    pub(crate) async fn note(&self, fault: &Fault) {
        let of_everybody = [
            FaultCode::VendorUnreachable,
            FaultCode::VendorRefusedLogin,
            FaultCode::VendorNotFound,
        ];
        if fault.code == FaultCode::VendorThrottles {
            let until = Instant::now() + Duration::from_millis(fault.retry_after_ms.unwrap_or(0));
            self.gate.close(until);
            if let Some(counter) = &self.gate.counter {
                counter.silence(until).await;
            }
        } else if of_everybody.contains(&fault.code) {
            // Whoever is first names the fault; the others met the same.
            let _ = self.fault.set(fault.clone());
            self.over.cancel();
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

impl Pass<'_> {
    /// The call is over, with an answer or without.
    pub(crate) async fn end(self) {
        let Self { permit, used, answered } = self;
        drop(permit);
        if let Some(used) = used {
            used.end(answered).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn gate(more: &str) -> Gate {
        let vendor = format!(r#"{{"name":"mailer","base_url":"https://a.example","identities":[],"calls_at_once":1{more}}}"#);
        let vendor: Vendor = serde_json::from_str(&vendor).unwrap();
        Gate::new(&vendor, &SubsystemName::new("subprocessors").unwrap(), None)
    }

    #[tokio::test]
    async fn a_vendor_that_asks_for_silence_gets_it_from_every_batch() {
        let gate = gate("");
        gate.close(Instant::now());
        assert!(gate.turn().enter().await.is_ok(), "its time is over");
        gate.close(Instant::now() + 600 * SECOND);
        gate.close(Instant::now() + 10 * SECOND);
        let refused = gate.turn().enter().await.unwrap_err();
        assert_eq!(refused.class, FaultClass::Throttled);
        assert!(
            refused.retry_after_ms > Some(300_000),
            "the longer silence counts: {refused:?}"
        );
    }

    #[tokio::test]
    async fn without_a_way_to_the_allowance_nobody_calls_and_it_is_no_attempt() {
        let gate = gate(r#","calls_per_second":10"#);
        let refused = gate.turn().enter().await.unwrap_err();
        assert_eq!((refused.class, refused.retry_after_ms), (FaultClass::Throttled, Some(5_000)));
    }

    #[tokio::test]
    async fn a_batch_leaves_alone_whom_it_cannot_reach_and_the_next_one_tries_again() {
        let gate = gate("");
        let turn = gate.turn();
        let fault = transient("mailer", FaultCode::VendorUnreachable);
        turn.note(&fault).await;
        turn.note(&transient("mailer", FaultCode::VendorRefusedLogin)).await;
        assert_eq!(turn.enter().await.unwrap_err(), fault);
        assert!(gate.turn().enter().await.is_ok());
    }

    #[tokio::test]
    async fn who_had_no_turn_within_the_batch_is_put_off() {
        let gate = gate("");
        let busy = gate.turn();
        let held = busy.enter().await.unwrap();
        let late = Turn {
            ends: Instant::now(),
            ..gate.turn()
        };
        let put_off = late.enter().await.unwrap_err();
        assert_eq!((put_off.class, put_off.retry_after_ms), (FaultClass::Throttled, Some(5_000)));
        held.end().await;
    }
}
