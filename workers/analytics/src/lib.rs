//! The subsystem of kind `analytics`: events, reports and everything else of which there is much.
//!
//! A recipe over the stores' verbs: table by table, chunk by chunk by primary key, each chunk committed; children through their
//! parents in the parents' transaction.

use erasure_kit::Subsystem;
use erasure_protocol::{EvidenceKey, Fault, Findings, Millis, Operation, Outcome, Subject, Task, TenantId};
use erasure_stores::{FindMode, Pace, Store};
use std::sync::Arc;

/// Events and reports in one store.
#[derive(Clone, Debug)]
pub struct Analytics {
    store: Store,
    mode: FindMode,
}

impl Analytics {
    /// Works on this store by its section of the map. `mode` decides whether `find` tells values or only counts.
    #[must_use]
    pub fn new(store: Store, mode: FindMode) -> Self {
        Self { store, mode }
    }
}

impl Subsystem for Analytics {
    async fn perform(&self, operation: Operation, tasks: &[Task]) -> Result<Vec<Outcome>, Fault> {
        self.store.perform(operation, tasks, Pace::Chunks).await
    }

    async fn find(
        &self,
        tenant: &TenantId,
        subjects: &[Arc<Subject>],
        accepted_at: Option<Millis>,
    ) -> Result<Vec<Findings>, Fault> {
        self.store.find(tenant, subjects, accepted_at, self.mode).await
    }

    async fn evidence(&self) -> Result<EvidenceKey, Fault> {
        self.store.evidence().await
    }

    fn map_digest(&self) -> [u8; 16] {
        self.store.map_digest()
    }
}
