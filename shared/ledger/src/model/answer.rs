//! Dispatches, reports, evidence, and what is read back of them.

use crate::Event;
use erasure_protocol::{
    Done, Fault, Ground, Lane, Mask, Millis, Operation, Phase, RequestId, RequestKey, RequestState, Sealed, SubsystemName,
    TaskOutcome, TenantId,
};

/// A slice as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSlice {
    /// Its number.
    pub number: u32,
    /// How many subjects.
    pub count: u16,
    /// The subjects, sealed.
    pub sealed: Sealed,
}

/// A subject of an open request that shares an identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Overlap {
    /// The hash they share.
    pub hash: [u8; 32],
    /// The open request.
    pub request: RequestKey,
    /// The slice.
    pub slice: u32,
    /// The position there.
    pub position: u16,
}

/// One dispatch of one slice to one entry of the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Dispatch {
    /// The request.
    pub request: RequestKey,
    /// The entry's position in the plan.
    pub entry: usize,
    /// The slice.
    pub slice: u32,
    /// How many dispatches there were, as the caller knows it: 0 for the first one.
    pub expected: u32,
}

/// How often a slice was dispatched to an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DispatchCount {
    /// The entry's position in the plan.
    pub entry: usize,
    /// The slice.
    pub slice: u32,
    /// How often.
    pub count: u32,
    /// When last.
    pub last_at: Millis,
}

/// What became of a worker's report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reported {
    /// Written down.
    Recorded,
    /// The request is final, or the entry is no longer the live one under this evidence key: dropped.
    Stale,
    /// The ledger does not know the request.
    Unknown,
}

/// One stored report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// The entry's position in the plan.
    pub entry: usize,
    /// The slice.
    pub slice: u32,
    /// When the worker reported.
    pub at: Millis,
    /// Which tasks, and what of them.
    pub outcome: TaskOutcome,
}

/// Tasks that wait for somebody else, and whose turn it is to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DuePending {
    /// The request.
    pub request: RequestKey,
    /// The slice.
    pub slice: u32,
    /// The entry's position in the plan.
    pub entry: usize,
    /// Which tasks.
    pub tasks: Mask,
    /// What to ask for, sealed.
    pub references: Sealed,
}

/// One bitmap of evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvidenceRow {
    /// The entry's position in the plan.
    pub entry: usize,
    /// The slice.
    pub slice: u32,
    /// Which outcome.
    pub done: Done,
    /// Which tasks.
    pub tasks: Mask,
    /// When the oldest of them was read back.
    pub verified_at: Millis,
}

/// How a request ends.
#[derive(Clone, Debug)]
pub struct Final {
    /// The request.
    pub request: RequestKey,
    /// The plan's version that the evidence was checked against.
    pub plan_version: u32,
    /// The final state. [`RequestState::ClosedNotErased`] is not for here: see [`crate::Ledger::close_not_erased`].
    pub state: RequestState,
    /// When.
    pub at: Millis,
    /// The evidence of every live entry. It must cover every task.
    pub evidence: Vec<EvidenceRow>,
    /// The oldest read-back that the end stands on.
    pub verified_at: Millis,
    /// The software's version.
    pub software: String,
    /// Data-map version, store identities, kinds of confirmation: a JSON text without personal data.
    pub confirmations: String,
    /// Written to the outbox in the same transaction.
    pub event: Event,
}

/// What the ledger answers to a final state. Only `Now` has written anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finalised {
    /// It is final now: data key, sealed slices and references are gone.
    Now,
    /// It was final already.
    Already(RequestState),
    /// The plan has another version, or no longer names what is registered: extend it, and collect evidence for that.
    PlanChanged,
    /// The evidence does not cover every task of every live entry, or does not agree with the state.
    NotCovered,
    /// The request is still receiving.
    NotRunning,
    /// The ledger does not know the request.
    Unknown,
    /// The state is no end for this operation: a defect of whoever asked. [`crate::Ledger::finalise`] says so as an error.
    NoEnd,
}

/// What closing a request without erasing has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closed {
    /// Closed now.
    Now,
    /// It was final already.
    Already(RequestState),
    /// The ledger does not know the request.
    Unknown,
}

/// A person of a request, found by a keyed hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundPerson {
    /// The request.
    pub request: RequestKey,
    /// Its id as the producer chose it.
    pub request_id: RequestId,
    /// Its tenant.
    pub tenant: TenantId,
    /// The slice the person is in.
    pub slice: u32,
    /// The position there.
    pub position: u16,
    /// What was asked.
    pub operation: Operation,
    /// The lane.
    pub lane: Lane,
    /// Where the request stands.
    pub state: RequestState,
    /// The ticket.
    pub ticket: Option<String>,
    /// When the person asked.
    pub received_at: Millis,
    /// By when it must be done.
    pub due_at: Millis,
    /// When it came to its end.
    pub finished_at: Option<Millis>,
}

/// What is known of one person in one live entry of the plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PersonTask {
    /// The entry's position in the plan.
    pub entry: usize,
    /// Its phase.
    pub phase: Phase,
    /// Its subsystem.
    pub subsystem: SubsystemName,
    /// What is known.
    pub standing: Standing,
}

/// What the ledger knows of one task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Erased and read back (evidence of a final request).
    Erased,
    /// Nothing was held (evidence of a final request).
    NothingHeld,
    /// Done but for what must be kept.
    Retained {
        /// Under which ground.
        ground: Ground,
        /// Until when.
        until: Millis,
    },
    /// Waiting for somebody else.
    Pending {
        /// When to ask again.
        check_at: Millis,
    },
    /// Will be tried again.
    Retrying {
        /// Why.
        fault: Fault,
        /// How many attempts have failed.
        attempt: u32,
        /// When it is due again.
        next_try: Millis,
    },
    /// Needs attention.
    Failed {
        /// Why.
        fault: Fault,
        /// How many attempts have failed.
        attempt: u32,
    },
    /// Nothing was reported to the ledger. While the request is open, the tracker may know more.
    InProgress,
}

/// Something that an operator did, to be written down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAct {
    /// Its id: the same act delivered twice is written once.
    pub id: String,
    /// When.
    pub at: Millis,
    /// Who.
    pub actor: String,
    /// In which role.
    pub role: String,
    /// What, for example `redrive`.
    pub kind: String,
    /// To what: a request key, a subsystem, a parked message.
    pub target: String,
    /// Why, as a code.
    pub reason: String,
    /// Further data as a JSON text without personal data.
    pub payload: String,
    /// What came of it.
    pub result: String,
}

/// Something that an operator did.
pub type Act = NewAct;

/// How many things still need a key of the ring.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyReferences {
    /// Open requests whose data key it wraps.
    pub data_keys: u64,
    /// Hashes of subjects under it: who retires the key can no longer find these by identifier.
    pub hashes: u64,
}

impl KeyReferences {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.data_keys + self.hashes
    }
}

/// What may go. `None` keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PurgeBefore {
    /// Requests that came to their end before, with all that belongs to them.
    pub requests_finished: Option<Millis>,
    /// Outbox events sent before.
    pub events_sent: Option<Millis>,
    /// Parked messages that expire before.
    pub parked_expire: Option<Millis>,
    /// At most so many requests at a time.
    pub limit: u32,
}

/// What is gone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Purged {
    /// The requests: the tracker may forget them.
    pub requests: Vec<RequestKey>,
    /// How many events.
    pub events: u64,
    /// How many parked messages.
    pub parked: u64,
}
