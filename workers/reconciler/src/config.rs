//! The reconciler's settings, all with defaults.

use serde::Deserialize;
use std::time::Duration;

/// Settings of the reconciler.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReconcilerConfig {
    /// How often new requests, complete requests, wanted projections and unsent events are looked for, in milliseconds.
    pub poll_ms: u64,
    /// Work without progress for this long is looked at, and sent again if nobody has it, in milliseconds.
    pub stalled_after_ms: u64,
    /// At most so many slices are sent again per look.
    pub redispatch_slices_max: usize,
    /// How often stores are asked for their identity, in milliseconds.
    pub register_every_ms: u64,
    /// Evidence older than this is read back again before a request is final, in seconds.
    pub evidence_age_s_max: u64,
    /// A request not done this long before its due date is at risk, in hours.
    pub at_risk_hours: u64,
    /// Finished requests are kept this long in the ledger, in days.
    pub keep_finished_days: u64,
    /// Sent events are kept this long in the outbox, in days.
    pub keep_events_days: u64,
    /// Parked messages are kept this long, in days.
    pub keep_parked_days: u64,
}

impl Default for ReconcilerConfig {
    fn default() -> Self {
        Self {
            poll_ms: 50,
            stalled_after_ms: 20_000,
            redispatch_slices_max: 256,
            register_every_ms: 10_000,
            evidence_age_s_max: 24 * 3600,
            at_risk_hours: 72,
            keep_finished_days: 1095,
            keep_events_days: 7,
            keep_parked_days: 90,
        }
    }
}

impl ReconcilerConfig {
    pub(crate) fn poll(&self) -> Duration {
        Duration::from_millis(self.poll_ms)
    }

    /// How long a parked message is kept.
    #[must_use]
    pub fn keep_parked(&self) -> Duration {
        Self::days(self.keep_parked_days)
    }

    pub(crate) fn days(days: u64) -> Duration {
        Duration::from_secs(days.saturating_mul(24 * 3600))
    }
}
