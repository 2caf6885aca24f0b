//! How far a request is: what the ledger projects, the tracker keeps, and support reads.

use crate::{
    Lane, LedgerId, Millis, Operation, Options, Plan, RequestId, RequestKey, RequestState, TaskOutcome, TenantId, WrappedKey,
};
use serde::{Deserialize, Serialize};

/// All that the tracker knows of a request before any work is done. Written only from the ledger. Holds no identifier of a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The ledger that projected it.
    pub ledger: LedgerId,
    /// The request.
    pub request: RequestKey,
    /// Its id as the producer chose it.
    pub request_id: RequestId,
    /// Its tenant.
    pub tenant: TenantId,
    /// What was asked.
    pub operation: Operation,
    /// What was asked beyond the operation.
    #[serde(default)]
    pub options: Options,
    /// The lane it travels in.
    pub lane: Lane,
    /// What must be passed.
    pub plan: Plan,
    /// How many subjects.
    pub subjects: u64,
    /// How many slices; all but the last one hold 512 subjects.
    pub slices: u32,
    /// The wrapped data key; gone when the request is final.
    pub key: Option<WrappedKey>,
    /// When the person asked: the clock counts from here.
    pub received_at: Millis,
    /// When the fleet took custody.
    pub accepted_at: Millis,
    /// By when the law or the contract wants it done.
    pub due_at: Millis,
    /// The ticket it belongs to, if one was given.
    pub ticket: Option<String>,
    /// Where it stands. Only the ledger decides; a tracker never says final before the ledger does.
    pub state: RequestState,
    /// When it came to its end.
    pub finished_at: Option<Millis>,
    /// The due date has passed.
    pub overdue: bool,
    /// Due soon and not done.
    pub at_risk: bool,
    /// How often the ledger has projected this request from nothing, from 1. Above 1 no task counts as never tried.
    pub generation: u32,
}

/// Tasks or people by what is known of them; they always sum to the number asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Counts {
    /// Erased and read back.
    pub erased: u64,
    /// Nothing was held.
    pub nothing_held: u64,
    /// Erased but for what must be kept.
    pub retained: u64,
    /// Parked; somebody must act.
    pub needs_attention: u64,
    /// Accepted by a vendor, not confirmed yet.
    pub waiting_for_vendor: u64,
    /// Will be tried again.
    pub retrying: u64,
    /// Not reported yet.
    pub in_progress: u64,
}

impl Counts {
    /// The sum of all.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.done() + self.needs_attention + self.waiting_for_vendor + self.retrying + self.in_progress
    }

    /// Erased, nothing held, or retained.
    #[must_use]
    pub fn done(&self) -> u64 {
        self.erased + self.nothing_held + self.retained
    }
}

/// How far one entry of the plan is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryProgress {
    /// Its tasks.
    pub counts: Counts,
    /// The last thing a worker reported beyond "done" (its masks are empty), for the reason and the next try.
    pub note: Option<TaskOutcome>,
}

/// How far a request is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// What was projected.
    pub header: Header,
    /// By position in the plan, as many as the plan has entries.
    pub entries: Vec<EntryProgress>,
    /// By person: the least finished of the person's tasks decides.
    pub people: Counts,
}
