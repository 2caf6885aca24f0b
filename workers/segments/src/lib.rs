//! The subsystem of kind `segments`: memberships, and the counts that are kept of them.
//!
//! A recipe over the stores' verbs: rows, then counts lowered by what was removed, in one transaction. Also lists a segment's
//! members.

use erasure_kit::{Members, Subsystem};
use erasure_protocol::{EvidenceKey, Fault, Findings, Millis, Operation, Outcome, Record, Subject, Task, TenantId};
use erasure_stores::{FindMode, Pace, Store};
use std::sync::Arc;

/// Memberships in one store.
#[derive(Clone, Debug)]
pub struct Segments {
    store: Store,
    mode: FindMode,
}

impl Segments {
    /// Works on this store by its section of the map. `mode` decides whether `find` tells values or only counts.
    #[must_use]
    pub fn new(store: Store, mode: FindMode) -> Self {
        Self { store, mode }
    }
}

impl Subsystem for Segments {
    async fn perform(&self, operation: Operation, tasks: &[Task]) -> Result<Vec<Outcome>, Fault> {
        self.store.perform(operation, tasks, Pace::Whole).await
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

impl Members for Segments {
    async fn members(
        &self,
        tenant: &TenantId,
        segment: &str,
        after: Option<String>,
        limit: usize,
    ) -> Result<(Vec<Record>, Option<String>), Fault> {
        self.store.members(tenant, segment, after, limit).await
    }
}
