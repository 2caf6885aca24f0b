//! How a worker works: the settings that a deployment may want to change, all with defaults.

use serde::Deserialize;
use std::time::Duration;

/// Settings of a worker's lanes.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WorkerConfig {
    /// How many messages of the single lane are handled as one batch at most.
    pub single_messages_max: usize,
    /// How many messages of the bulk lane are handled as one batch at most; each holds up to 512 subjects or more.
    pub bulk_messages_max: usize,
    /// How long a batch that is not full waits for more, in milliseconds.
    pub linger_ms: u64,
    /// How long one batch may take against the store, in seconds. Must stay below the tracker's lease.
    pub perform_timeout_s: u64,
    /// How long work is held that the tracker does not know, in seconds, before the lane is paused.
    pub hold_s: u64,
}

impl Default for WorkerConfig {
    fn default() -> Self {
        Self {
            single_messages_max: 512,
            bulk_messages_max: 2,
            linger_ms: 5,
            perform_timeout_s: 45,
            hold_s: 30,
        }
    }
}

impl WorkerConfig {
    /// How long one batch may take against the store.
    #[must_use]
    pub fn perform_timeout(&self) -> Duration {
        Duration::from_secs(self.perform_timeout_s)
    }

    /// How long work is held that the tracker does not know.
    #[must_use]
    pub fn hold(&self) -> Duration {
        Duration::from_secs(self.hold_s)
    }
}
