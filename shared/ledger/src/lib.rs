//! The durable record of Erasure Fleet in SQL: requests, plans, sealed slices, reports, evidence, events. SQLite or PostgreSQL,
//! by one implementation.
//!
//! The ledger is the authority: *erased* exists only as a final state in here, and a final state is never left.

mod config;
mod error;
mod model;

pub use config::{Access, Config};
pub use error::Error;
pub use model::*;

use erasure_protocol::*;

/// The ledger, opened. Cheap to clone.
#[derive(Clone)]
pub struct Ledger;
/// What migrating has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migrated {
    /// The ledger.
    pub ledger: LedgerId,
    /// The schema's version before; 0 when there was none.
    pub from: u32,
    /// The schema's version now.
    pub to: u32,
}

#[allow(clippy::todo, unused_variables, missing_docs)]
mod pending {
    use super::*;
    type R<T> = Result<T, Error>;
    /// Brings the schema up to date. Needs a login that may create tables.
    pub async fn migrate(config: &Config) -> R<Migrated> {
        todo!()
    }
    /// The statements that an administrator runs so that `role` may run the fleet on a PostgreSQL ledger.
    pub fn grants(config: &Config, role: &str) -> R<String> {
        todo!()
    }
    impl Ledger {
        pub async fn open(config: &Config, access: Access) -> R<Self> {
            todo!()
        }
        pub fn id(&self) -> LedgerId {
            todo!()
        }
        /// The database's clock.
        pub async fn now(&self) -> R<Millis> {
            todo!()
        }
        /// The high-water mark.
        pub async fn seq(&self) -> R<u64> {
            todo!()
        }
        pub async fn close(&self) {
            todo!()
        }

        pub async fn register_subsystem(
            &self,
            name: &SubsystemName,
            kind: &str,
            evidence: EvidenceKey,
            now: Millis,
        ) -> R<Registered> {
            todo!()
        }
        pub async fn subsystems(&self) -> R<Vec<Subsystem>> {
            todo!()
        }
        pub async fn evidence_history(&self, name: &SubsystemName) -> R<Vec<EvidenceHistory>> {
            todo!()
        }
        /// false: not registered, or retired already, or the act was carried out before.
        pub async fn retire_subsystem(&self, name: &SubsystemName, act: &NewAct) -> R<bool> {
            todo!()
        }

        pub async fn accept(&self, part: NewPart) -> R<Accepted> {
            todo!()
        }
        /// Several at once in one transaction (one commit): one answer each, in order.
        pub async fn accept_all(&self, parts: Vec<NewPart>) -> R<Vec<Accepted>> {
            todo!()
        }
        /// The key is `None` once the request is final.
        pub async fn data_key_of(&self, request: RequestKey) -> R<Option<(RequestState, Option<WrappedKey>)>> {
            todo!()
        }
        /// Open requests with any of these hashes.
        pub async fn overlaps(&self, tenant: &TenantId, hashes: &[[u8; 32]]) -> R<Vec<Overlap>> {
            todo!()
        }

        pub async fn header(&self, request: RequestKey) -> R<Option<Header>> {
            todo!()
        }
        /// In order of `requests`; unknown ones are left out.
        pub async fn headers(&self, requests: &[RequestKey]) -> R<Vec<Header>> {
            todo!()
        }
        pub async fn bump_generation(&self, request: RequestKey) -> R<Option<Header>> {
            todo!()
        }
        pub async fn options(&self, request: RequestKey) -> R<Option<Options>> {
            todo!()
        }
        pub async fn slice(&self, request: RequestKey, number: u32) -> R<Option<StoredSlice>> {
            todo!()
        }
        pub async fn slices(&self, request: RequestKey, range: std::ops::Range<u32>) -> R<Vec<StoredSlice>> {
            todo!()
        }
        pub async fn slice_counts(&self, request: RequestKey) -> R<Vec<u16>> {
            todo!()
        }
        pub async fn find_by_request_id(&self, id: &RequestId) -> R<Vec<(TenantId, RequestKey)>> {
            todo!()
        }
        pub async fn open_requests(&self, after: Option<RequestKey>, limit: u32) -> R<Vec<RequestKey>> {
            todo!()
        }

        /// Running requests with a live entry and slice that was never dispatched, oldest first.
        pub async fn undispatched(&self, limit: u32) -> R<Vec<RequestKey>> {
            todo!()
        }
        /// Compare-and-set in one transaction: the new count for each, `None` where the request is not running or the count differs.
        pub async fn dispatch(&self, wanted: &[Dispatch], now: Millis) -> R<Vec<Option<u32>>> {
            todo!()
        }
        pub async fn try_dispatch(&self, wanted: Dispatch, now: Millis) -> R<Option<u32>> {
            todo!()
        }
        pub async fn dispatch_counts(&self, request: RequestKey) -> R<Vec<DispatchCount>> {
            todo!()
        }
        /// Running requests whose last dispatch is before `before`, in order of key.
        pub async fn stalled(&self, before: Millis, after: Option<RequestKey>, limit: u32) -> R<Vec<RequestKey>> {
            todo!()
        }

        pub async fn report(&self, message: &OutcomeMessage) -> R<Reported> {
            todo!()
        }
        /// Several in one transaction: one answer each, in order.
        pub async fn report_all(&self, messages: &[OutcomeMessage]) -> R<Vec<Reported>> {
            todo!()
        }
        pub async fn reports(&self, request: RequestKey) -> R<Vec<Report>> {
            todo!()
        }
        /// Takes pending tasks whose check is due, moving the check to `next_check`, so that nobody else takes them before.
        pub async fn take_due_pending(&self, now: Millis, next_check: Millis, limit: u32) -> R<Vec<DuePending>> {
            todo!()
        }
        /// Takes these tasks out of the pending, retrying and failed reports: they are done.
        pub async fn clear_reports(&self, request: RequestKey, entry: usize, slice: u32, tasks: &Mask) -> R<()> {
            todo!()
        }

        pub async fn finalise(&self, end: Final) -> R<Finalised> {
            todo!()
        }
        pub async fn close_not_erased(&self, request: RequestKey, act: &NewAct, event: Event) -> R<Closed> {
            todo!()
        }
        /// false: the plan has another version, or the request is final.
        pub async fn extend_plan(&self, request: RequestKey, expected_version: u32, plan: &Plan) -> R<bool> {
            todo!()
        }
        /// Open requests whose live entries differ from what is registered now (another evidence key, or a subsystem is missing).
        pub async fn requests_to_extend(&self, after: Option<RequestKey>, limit: u32) -> R<Vec<RequestKey>> {
            todo!()
        }
        pub async fn evidence(&self, request: RequestKey) -> R<Vec<EvidenceRow>> {
            todo!()
        }

        pub async fn find(&self, tenant: &TenantId, hashes: &[[u8; 32]]) -> R<Vec<FoundPerson>> {
            todo!()
        }
        pub async fn person(&self, request: RequestKey, slice: u32, position: u16) -> R<Option<Vec<PersonTask>>> {
            todo!()
        }
        /// Rebuilt from evidence and reports.
        pub async fn progress(&self, request: RequestKey) -> R<Option<Progress>> {
            todo!()
        }

        pub async fn unsent(&self, limit: u32) -> R<Vec<Event>> {
            todo!()
        }
        pub async fn mark_sent(&self, ids: &[String], now: Millis) -> R<()> {
            todo!()
        }

        pub async fn park(&self, parked: &NewParked) -> R<()> {
            todo!()
        }
        pub async fn parked(&self, filter: &ParkedFilter, after: Option<&str>, limit: u32) -> R<Vec<Parked>> {
            todo!()
        }
        pub async fn parked_one(&self, id: &str) -> R<Option<Parked>> {
            todo!()
        }
        /// Ends an open parked message, with the act, in one transaction. false: it was not open.
        pub async fn set_parked_state(&self, id: &str, state: ParkedState, act: &NewAct) -> R<bool> {
            todo!()
        }

        pub async fn attention(&self, filter: &AttentionFilter, after: Option<AttentionKey>, limit: u32) -> R<Vec<Attention>> {
            todo!()
        }
        /// Takes the failed tasks out for a redrive, with the act, in one transaction: which ones. Empty when there are none left.
        pub async fn take_failed(
            &self,
            request: RequestKey,
            entry: usize,
            slice: u32,
            code: Option<FaultCode>,
            act: &NewAct,
        ) -> R<Mask> {
            todo!()
        }
        /// false: an act of this id is there already.
        pub async fn record_act(&self, act: &NewAct) -> R<bool> {
            todo!()
        }
        /// By target, oldest first.
        pub async fn acts(&self, target: &str) -> R<Vec<Act>> {
            todo!()
        }

        pub async fn mark_overdue<F: Fn(&Header) -> Event + Send + Sync>(
            &self,
            now: Millis,
            limit: u32,
            event: F,
        ) -> R<Vec<Header>> {
            todo!()
        }
        pub async fn mark_at_risk<F: Fn(&Header) -> Event + Send + Sync>(
            &self,
            now: Millis,
            window: std::time::Duration,
            limit: u32,
            event: F,
        ) -> R<Vec<Header>> {
            todo!()
        }
        pub async fn purge(&self, before: PurgeBefore) -> R<Purged> {
            todo!()
        }
        pub async fn key_references(&self, key: &KeyId) -> R<KeyReferences> {
            todo!()
        }
    }
}
pub use pending::{grants, migrate};
