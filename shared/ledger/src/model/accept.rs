//! What intake hands over, and what the ledger answers.

use crate::Event;
use erasure_protocol::{
    Fault, KeyId, Lane, Mask, Millis, Operation, Options, PlanEntry, RequestId, RequestKey, RequestState, Sealed, SubsystemName,
    TenantId, WrappedKey,
};

/// A request, or one part of a request that arrives in parts.
#[derive(Clone, Debug)]
pub struct NewPart {
    /// The tenant.
    pub tenant: TenantId,
    /// The request id as the producer chose it.
    pub request_id: RequestId,
    /// [`RequestKey::of`] the two.
    pub request: RequestKey,
    /// What is asked. The same in every part.
    pub operation: Operation,
    /// What is asked beyond. The same in every part.
    pub options: Options,
    /// Who sent it: the CloudEvents source, or the producer's name.
    pub source: String,
    /// Why it was sent, for example `data_subject` or `inactivity`.
    pub origin: String,
    /// The ticket, if one was given.
    pub ticket: Option<String>,
    /// When the person asked.
    pub received_at: Millis,
    /// The name of the regulation in the configuration, from which `due_at` was worked out.
    pub regulation: String,
    /// By when it must be done.
    pub due_at: Millis,
    /// Now, when the fleet takes custody. The first part's counts.
    pub accepted_at: Millis,
    /// In which lane it travels.
    pub lane: Lane,
    /// A keyed hash of the content of this part, its header fields included.
    pub fingerprint: Vec<u8>,
    /// Which part it is; `None` for a request that arrives whole.
    pub part: Option<Part>,
    /// The slices. Whole: numbered from 0 without gaps. In parts: exactly one, numbered as the part.
    pub slices: Vec<NewSlice>,
    /// The keyed hashes of the subjects' identifiers.
    pub hashes: Vec<SubjectHash>,
    /// The data key under which this part's slices are sealed. See [`Accepted::OtherKey`].
    pub key: WrappedKey,
    /// What the request must pass, under today's evidence keys.
    pub plan: Vec<PlanEntry>,
    /// Tasks that are failed from the start, in every entry of the plan: ambiguous subjects.
    pub failed_now: Vec<FailedNow>,
    /// Written to the outbox in the transaction in which the request starts running; dropped otherwise.
    pub events: Vec<Event>,
}

/// The place of a part in its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its number, from 0.
    pub number: u32,
    /// Whether it is the one with the highest number.
    pub last: bool,
}

/// One sealed slice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSlice {
    /// Its number, from 0.
    pub number: u32,
    /// How many subjects it has, 1 to 512.
    pub count: u16,
    /// The subjects.
    pub sealed: Sealed,
}

/// One keyed hash of one identifier (or set of identifiers) of one subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectHash {
    /// The slice the subject is in.
    pub slice: u32,
    /// Its position there.
    pub position: u16,
    /// Under which key it was hashed.
    pub key_id: KeyId,
    /// The hash.
    pub hash: [u8; 32],
}

/// Tasks that are failed from the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedNow {
    /// The slice.
    pub slice: u32,
    /// Which subjects.
    pub tasks: Mask,
    /// Why.
    pub fault: Fault,
}

/// What the ledger answers to a part. Only `New` and `Incomplete` have written anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// Taken, complete and running.
    New {
        /// The ledger's sequence after it: the high-water mark for the tracker.
        seq: u64,
    },
    /// Taken; other parts are missing. The request is in state *receiving*.
    Incomplete {
        /// The ledger's sequence after it.
        seq: u64,
    },
    /// The same content was taken before; the request is in this state now.
    Same(RequestState),
    /// The same id was taken before with other content. Nothing is changed.
    Conflict,
    /// The request's data key is another one (another part came first): seal the slices under this one and ask again.
    OtherKey(WrappedKey),
    /// The plan names another evidence key than the subsystem's current one: plan anew and ask again.
    Outdated(SubsystemName),
    /// A registered subsystem is missing from the plan: the configuration of this process lacks it.
    MissingSubsystem(SubsystemName),
    /// The plan names a subsystem that is not registered, or retired.
    UnknownSubsystem(SubsystemName),
}
