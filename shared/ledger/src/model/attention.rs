//! What needs somebody's attention.

use erasure_protocol::{Fault, FaultCode, Lane, Mask, Millis, Operation, Phase, RequestId, RequestKey, SubsystemName, TenantId};

/// Which failed tasks to list. Empty: all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttentionFilter {
    /// Only this code.
    pub code: Option<FaultCode>,
    /// Only this subsystem.
    pub subsystem: Option<SubsystemName>,
    /// Only this request.
    pub request: Option<RequestKey>,
    /// Only this tenant.
    pub tenant: Option<TenantId>,
}

/// Where a page of the list ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttentionKey {
    pub(crate) request: RequestKey,
    pub(crate) entry: i64,
    pub(crate) slice: i64,
    pub(crate) ordinal: i64,
}

/// Failed tasks of one slice of an open request, with one fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attention {
    /// To go on after this one.
    pub key: AttentionKey,
    /// The request.
    pub request: RequestKey,
    /// Its id as the producer chose it.
    pub request_id: RequestId,
    /// Its tenant.
    pub tenant: TenantId,
    /// Its ticket.
    pub ticket: Option<String>,
    /// What was asked.
    pub operation: Operation,
    /// The lane.
    pub lane: Lane,
    /// By when it must be done.
    pub due_at: Millis,
    /// The entry's position in the plan.
    pub entry: usize,
    /// Its phase.
    pub phase: Phase,
    /// Its subsystem.
    pub subsystem: SubsystemName,
    /// The slice.
    pub slice: u32,
    /// Which tasks.
    pub tasks: Mask,
    /// Why.
    pub fault: Fault,
    /// How many attempts have failed.
    pub attempt: u32,
    /// When it was reported.
    pub at: Millis,
}
