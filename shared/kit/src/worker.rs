//! One subsystem's worker: its three lanes over one store.

use crate::lane::LaneRun;
use crate::pace::Singles;
use crate::{AnySubsystem, BulkPace, Health, WorkerConfig};
use erasure_broker::Publisher;
use erasure_privacy::KeyRing;
use erasure_protocol::{Lane, LedgerId, RetryPolicy, SubsystemName};
use erasure_tracker::Tracker;
use std::sync::Arc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Everything a worker needs, given to it.
#[derive(Clone)]
pub struct Worker {
    /// Which subsystem it works for.
    pub name: SubsystemName,
    /// The subsystem.
    pub subsystem: AnySubsystem,
    /// The ledger whose work it does.
    pub ledger: LedgerId,
    /// Where its messages come from and go to.
    pub broker: erasure_broker::Config,
    /// Publishes reports and remainders.
    pub publisher: Publisher,
    /// Says what is open and takes the marks.
    pub tracker: Tracker,
    /// Opens sealed slices.
    pub keys: Arc<KeyRing>,
    /// When and how often to try again.
    pub retry: RetryPolicy,
    /// Its settings.
    pub config: WorkerConfig,
    /// How much of the store its bulk lane may take.
    pub pace: BulkPace,
    /// Where it says what it waits for.
    pub health: Health,
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Worker({})", self.name)
    }
}

impl Worker {
    /// Works until `stop`, then finishes what it has in hand.
    pub async fn run(self, stop: CancellationToken) {
        let worker = Arc::new(self);
        let singles = Arc::new(Singles::default());
        let mut lanes = JoinSet::new();
        for lane in Lane::ALL {
            lanes.spawn(LaneRun::new(Arc::clone(&worker), lane, Arc::clone(&singles)).run(stop.clone()));
        }
        while let Some(ended) = lanes.join_next().await {
            if let Err(error) = ended {
                tracing::error!(subsystem = %worker.name, %error, "a lane ended by a defect; the process stops so that it is started afresh");
                stop.cancel();
            }
        }
    }
}
