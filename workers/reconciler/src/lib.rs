//! The role that brings requests to their end: it sends work out, projects the tracker from the ledger, finalises what is
//! complete, relays events, keeps the clocks, and carries out operators' acts.
//!
//! Any number of reconcilers may run. Each step is a compare-and-set in the ledger or can be repeated without harm, so none of
//! them needs to know of the others. With the SQLite ledger it runs in the one process that may write.

mod acts;
mod clocks;
mod config;
mod dead;
mod dispatch;
mod events;
mod finalise;
mod project;
mod queues;
mod redispatch;
mod registrar;
mod relay;
mod reports;
mod ticker;
mod verdict;
mod wake;

pub use config::ReconcilerConfig;

use erasure_broker::{Inspector, Publisher};
use erasure_kit::{AnySubsystem, Health};
use erasure_ledger::Ledger;
use erasure_privacy::KeyRing;
use erasure_protocol::{RetryPolicy, SubsystemName};
use erasure_tracker::Tracker;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// One subsystem as the reconciler sees it.
#[derive(Clone, Debug)]
pub struct KnownSubsystem {
    /// Its recipe, for example `profiles`.
    pub kind: String,
    /// The subsystem.
    pub subsystem: AnySubsystem,
}

/// Everything a reconciler needs, given to it.
#[derive(Clone)]
pub struct Reconciler {
    /// The authority.
    pub ledger: Ledger,
    /// The projection.
    pub tracker: Tracker,
    /// How to reach the broker.
    pub broker: erasure_broker::Config,
    /// Sends work and events.
    pub publisher: Publisher,
    /// Looks at queues.
    pub inspector: Inspector,
    /// Opens slices and seals what must be parked.
    pub keys: Arc<KeyRing>,
    /// The subsystems of the configuration.
    pub subsystems: BTreeMap<SubsystemName, KnownSubsystem>,
    /// When and how often to try again.
    pub retry: RetryPolicy,
    /// Its settings.
    pub config: ReconcilerConfig,
    /// The software's version, for the evidence.
    pub software: String,
    /// Where it says what it waits for.
    pub health: Health,
    /// Rung by intake in the same process when something new is in the ledger; the timer alone would do.
    pub news: Arc<Notify>,
}

impl std::fmt::Debug for Reconciler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reconciler")
    }
}

impl Reconciler {
    /// Works until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let this = Arc::new(self);
        this.register_once(&stop).await;
        let mut parts = JoinSet::new();
        parts.spawn(Arc::clone(&this).keep_registered(stop.clone()));
        parts.spawn(Arc::clone(&this).dispatch_new(stop.clone()));
        parts.spawn(Arc::clone(&this).dispatch_stalled(stop.clone()));
        parts.spawn(Arc::clone(&this).wake_pending(stop.clone()));
        parts.spawn(Arc::clone(&this).project_wanted(stop.clone()));
        parts.spawn(Arc::clone(&this).watch_for_wipes(stop.clone()));
        parts.spawn(Arc::clone(&this).finalise_complete(stop.clone()));
        parts.spawn(Arc::clone(&this).record_reports(stop.clone()));
        parts.spawn(Arc::clone(&this).relay_events(stop.clone()));
        parts.spawn(Arc::clone(&this).keep_clocks(stop.clone()));
        parts.spawn(Arc::clone(&this).watch_queues(stop.clone()));
        parts.spawn(Arc::clone(&this).carry_out_acts(stop.clone()));
        parts.spawn(Arc::clone(&this).collect_dead(stop.clone()));
        while let Some(ended) = parts.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a part of the reconciler ended by a defect; the process stops so that it is started afresh");
                stop.cancel();
            }
        }
    }
}

/// Why a step of the reconciler could not be done now. Each is tried again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the ledger")]
    Ledger(#[from] erasure_ledger::Error),
    #[error("the tracker")]
    Tracker(#[from] erasure_tracker::Error),
    #[error("publishing")]
    Publish(#[from] erasure_broker::PublishError),
    #[error("looking at a queue")]
    Inspect(#[from] erasure_broker::Error),
    #[error("sealing what must be parked")]
    Keys(#[from] erasure_privacy::Error),
    #[error("{0}")]
    Subsystem(#[from] erasure_protocol::Fault),
}
