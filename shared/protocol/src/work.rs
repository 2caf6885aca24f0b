//! What travels between the roles: items of work to the workers, reports of outcomes to the reconciler.

use crate::{
    EvidenceKey, Fault, Ground, Lane, LedgerId, Mask, Millis, Operation, Options, Phase, Reference, RequestKey, Sealed, Subject,
    SubsystemName, TenantId,
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The version of the messages between roles. Readers accept this one and the one before; a newer one pauses the lane.
pub const WIRE_VERSION: u32 = 1;

/// One message in a work queue or on a wait rung. The subsystem is in its routing key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct WorkMessage {
    /// See [`WIRE_VERSION`].
    pub version: u32,
    /// The ledger it comes from.
    pub ledger: LedgerId,
    /// The items, possibly of many requests; each settles alone.
    pub items: Vec<Item>,
}

/// One slice of one request, with the tasks that are wanted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Item {
    /// The request.
    pub request: RequestKey,
    /// Its tenant.
    pub tenant: TenantId,
    /// The slice's number within the request, from 0.
    pub slice: u32,
    /// How many subjects the slice has.
    pub count: u16,
    /// What is to be done.
    pub operation: Operation,
    /// In which phase of the plan.
    pub phase: Phase,
    /// The lane in which the request travels (the solo lane is a detour, not a home).
    pub lane: Lane,
    /// The tasks wanted.
    pub wanted: Mask,
    /// How many attempts have failed so far.
    pub attempt: u32,
    /// How often the ledger has sent these tasks out, from 1. Only a first dispatch may find that nothing was held.
    pub dispatch: u32,
    /// Whether a worker has tried these tasks since; then, too, zero rows mean erased.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tried: bool,
    /// When the request was accepted: what was created later belongs to somebody new.
    pub accepted_at: Millis,
    /// After this moment nothing may be changed any more on the strength of this item.
    pub deadline: Millis,
    /// What the request asks beyond its operation.
    #[serde(default)]
    pub options: Options,
    /// The subjects: a [`crate::Slice`] as JSON, sealed under the request's data key.
    pub sealed: Sealed,
    /// For tasks that wait for somebody else: a JSON object from position to [`Reference`], sealed likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub references: Option<Sealed>,
}

/// Whether anything was tried before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Attempt {
    /// This task was never dispatched before: zero rows mean that nothing was held.
    First,
    /// Somebody may have been here before: zero rows mean erased.
    Later,
}

/// One subject to be handled in one subsystem: what a subsystem is given.
#[derive(Clone, Debug)]
pub struct Task {
    /// The request it belongs to.
    pub request: RequestKey,
    /// Its tenant. Part of every statement.
    pub tenant: TenantId,
    /// The subject's number within the request: slice number × 512 + position.
    pub number: u64,
    /// The person.
    pub subject: Arc<Subject>,
    /// Whether zero rows mean "nothing held" or "erased".
    pub attempt: Attempt,
    /// When the request was accepted.
    pub accepted_at: Millis,
    /// After this moment nothing may be changed any more.
    pub deadline: Millis,
    /// What the request asks beyond its operation.
    pub options: Options,
    /// What an earlier attempt left to ask for.
    pub reference: Option<Reference>,
}

/// What a worker reports of tasks of one slice that are not simply erased or nothing held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct OutcomeMessage {
    /// See [`WIRE_VERSION`].
    pub version: u32,
    /// The ledger the work came from.
    pub ledger: LedgerId,
    /// The request.
    pub request: RequestKey,
    /// The slice.
    pub slice: u32,
    /// The subsystem that reports.
    pub subsystem: SubsystemName,
    /// The phase of the plan.
    pub phase: Phase,
    /// Under which evidence key.
    pub evidence: EvidenceKey,
    /// When.
    pub at: Millis,
    /// Which tasks, and what of them. Masks do not overlap.
    pub outcomes: Vec<TaskOutcome>,
}

/// One outcome that several tasks of a slice share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum TaskOutcome {
    /// Done but for what must be kept.
    Retained {
        /// Which tasks.
        tasks: Mask,
        /// Under which ground.
        ground: Ground,
        /// Until when.
        until: Millis,
    },
    /// Waiting for somebody else's confirmation.
    Pending {
        /// Which tasks.
        tasks: Mask,
        /// When to ask again.
        check_at: Millis,
        /// A JSON object from position to [`Reference`], sealed under the request's data key.
        references: Sealed,
    },
    /// Will be tried again.
    Retry {
        /// Which tasks.
        tasks: Mask,
        /// Why.
        fault: Fault,
        /// How many attempts have failed.
        attempt: u32,
        /// When it is due again.
        next_try: Millis,
    },
    /// Parked: needs attention.
    Failed {
        /// Which tasks.
        tasks: Mask,
        /// Why.
        fault: Fault,
        /// How many attempts have failed.
        attempt: u32,
    },
}

impl TaskOutcome {
    /// Which tasks it speaks of.
    #[must_use]
    pub fn tasks(&self) -> &Mask {
        match self {
            Self::Retained { tasks, .. }
            | Self::Pending { tasks, .. }
            | Self::Retry { tasks, .. }
            | Self::Failed { tasks, .. } => tasks,
        }
    }
}
