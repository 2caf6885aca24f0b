//! The vocabulary and the rules of Erasure Fleet: ids, identifiers that redact themselves, requests, plans, slices,
//! outcomes, faults, states and their legal transitions, the retry policy as data, and the messages on the wire.
//!
//! Nothing here does I/O, is async, or reads a clock; time is always passed in as [`Millis`].

mod act;
mod answer;
mod cloudevents;
mod codes;
mod command;
mod event;
mod fault;
mod hash;
mod ids;
mod mask;
mod operation;
mod outcome;
mod plan;
mod progress;
mod retry;
#[cfg(feature = "schema")]
mod schema;
mod sealed;
mod state;
mod subject;
mod time;
mod work;

pub use act::{ACT_VERSION, Act, ActKind};
pub use answer::{Actor, Answer, Headline, Line, LineState, Reason, TaskState, VendorWait, View, answer};
pub use cloudevents::{CLOUDEVENTS_CONTENT_TYPE, COMMAND_EVENT_TYPE, CloudEventIds, Envelope, JSON_CONTENT_TYPE};
pub use command::{
    COMMAND_BYTES_MAX, COMMAND_SUBJECTS_MAX, COMMAND_VERSION, Command, CommandCode, CommandError, CommandPart, Origin,
    PART_NUMBER_MAX, Problem, Regulation, SEALED_CONTENT_TYPE, SEALED_VERSION, SealedBody, SealedEnvelope, TENANT_BYTES_MAX,
    VersionRead, version_is_read,
};
pub use event::{EVENT_VERSION, Event, EventData, EventKind};
pub use fault::{Blame, Fault, FaultClass, FaultCode};
pub use hash::{Fingerprint, SubjectHash};
pub use ids::{EvidenceKey, IdError, LedgerId, RequestId, RequestKey, SubsystemName, TenantId};
pub use mask::{Mask, SLICE_SUBJECTS_MAX};
pub use operation::{Lane, Operation, Options, Phase};
pub use outcome::{Done, Finding, Findings, Ground, Outcome, Reference};
pub use plan::{Plan, PlanEntry};
pub use progress::{Counts, EntryProgress, Header, Progress};
pub use retry::{Disposition, RetryPolicy, Rung, dispose};
#[cfg(feature = "schema")]
pub use schema::schemas;
pub use sealed::{KeyId, Sealed, WrappedKey};
pub use state::RequestState;
pub use subject::{Identifier, IdentifierKind, Record, Resolution, Slice, Subject};
pub use time::Millis;
pub use work::{Attempt, Item, OutcomeMessage, Task, TaskOutcome, WIRE_VERSION, WorkMessage};
