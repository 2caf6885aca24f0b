//! The subsystem of kind `profiles`: the rows that make up the person and the account.
//!
//! A recipe over the stores' verbs: owners locked by id, then the person's rows, then accounts that nobody is left on; all in one
//! transaction. Also finds people before anything is erased.

use erasure_kit::{Resolve, Subsystem};
use erasure_protocol::{
    EvidenceKey, Fault, Findings, IdentifierKind, Millis, Operation, Outcome, Record, Subject, Task, TenantId,
};
use erasure_stores::{FindMode, Pace, Store};
use std::sync::Arc;

/// People and accounts in one store.
#[derive(Clone, Debug)]
pub struct Profiles {
    store: Store,
    mode: FindMode,
}

impl Profiles {
    /// Works on this store by its section of the map. `mode` decides whether `find` tells values or only counts.
    #[must_use]
    pub fn new(store: Store, mode: FindMode) -> Self {
        Self { store, mode }
    }
}

impl Subsystem for Profiles {
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

impl Resolve for Profiles {
    fn alternatives(&self) -> Vec<Vec<IdentifierKind>> {
        self.store.alternatives()
    }

    fn kinds(&self) -> Vec<IdentifierKind> {
        self.store.kinds()
    }

    async fn resolve(&self, tenant: &TenantId, given: &[Record]) -> Result<Vec<Subject>, Fault> {
        self.store.resolve(tenant, given).await
    }

    fn normalise(&self, kind: &IdentifierKind, value: &str) -> String {
        self.store.normalise(kind, value)
    }
}
