//! How long a lane waits before it tries again: so that an outage of one store does not spend everybody's attempts.

use crate::lane::Pause;
use std::time::Duration;

/// The first wait. It doubles with each failure in a row up to [`WAIT_MAX`].
const WAIT_FIRST: Duration = Duration::from_millis(500);
const WAIT_MAX: Duration = Duration::from_secs(30);
/// So many batches in a row may meet the store's fault before the lane pauses: one may be bad luck.
const STORE_FAULTS_FREE: u32 = 2;

/// Counts failures in a row. Any batch without one closes it.
#[derive(Debug, Default)]
pub(crate) struct Breaker {
    in_a_row: u32,
}

impl Breaker {
    /// A batch went well.
    pub(crate) fn closed(&mut self) {
        self.in_a_row = 0;
    }

    /// A batch did not. Returns how long to wait.
    pub(crate) fn opened(&mut self, why: &Pause) -> Duration {
        self.in_a_row = self.in_a_row.saturating_add(1);
        let free = match why {
            Pause::Store(_) => STORE_FAULTS_FREE,
            Pause::Tracker(_) | Pause::NewerMessage | Pause::KeyMissing(_) | Pause::Sealing(_) | Pause::Publishing(_) => 0,
        };
        let Some(turn) = self.in_a_row.checked_sub(free + 1) else {
            return Duration::ZERO;
        };
        WAIT_FIRST.saturating_mul(1 << turn.min(10)).min(WAIT_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use erasure_protocol::{Blame, Fault, FaultClass, FaultCode};

    #[test]
    fn waits_grow_while_it_stays_bad_and_start_anew_when_it_was_good() {
        let mut breaker = Breaker::default();
        let tracker = Pause::Tracker("gone".into());
        let waits: Vec<_> = (0..9).map(|_| breaker.opened(&tracker)).collect();
        assert_eq!(waits[0], WAIT_FIRST);
        assert!(waits.is_sorted());
        assert_eq!(waits[8], WAIT_MAX);
        breaker.closed();
        assert_eq!(breaker.opened(&tracker), WAIT_FIRST);
    }

    #[test]
    fn one_bad_batch_of_the_store_is_no_outage() {
        let fault = Fault::new(FaultClass::Transient, Blame::Store, FaultCode::StoreBusy, "crm");
        let mut breaker = Breaker::default();
        let waits: Vec<_> = (0..3).map(|_| breaker.opened(&Pause::Store(fault.clone()))).collect();
        assert_eq!(waits, [Duration::ZERO, Duration::ZERO, WAIT_FIRST]);
    }
}
