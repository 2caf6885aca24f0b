//! What the reconciler tells the world.

use erasure_ledger::Event as Outgoing;
use erasure_protocol::{Counts, Event, EventData, EventKind, Fault, Header, Millis, RequestState, SubsystemName};

/// The request has come to its end.
pub(crate) fn finished(header: &Header, state: RequestState, people: &Counts, now: Millis) -> Outgoing {
    let data = EventData {
        counts: Some(*people),
        finished_at: Some(now),
        ..EventData::of(header, kind(state))
    };
    Event::new(header.ledger, header.request, header.plan.version(), now, data).into()
}

/// Somebody gave up on the request.
pub(crate) fn closed(header: &Header, reason: &str, now: Millis) -> Outgoing {
    let reason = Some(reason.to_owned());
    let data = EventData {
        reason,
        finished_at: Some(now),
        ..EventData::of(header, EventKind::ClosedNotErased)
    };
    Event::new(header.ledger, header.request, header.plan.version(), now, data).into()
}

/// Somebody must act; said once for each subsystem, fault and plan.
pub(crate) fn needs_attention(header: &Header, subsystem: &SubsystemName, fault: &Fault, now: Millis) -> Outgoing {
    let data = EventData::of(header, EventKind::NeedsAttention).because(fault.code);
    let id = format!(
        "{}:{}:needs_attention:{subsystem}:{}",
        header.request,
        header.plan.version(),
        fault.code
    );
    Event::with_id(id, header.ledger, now, data).into()
}

/// The due date has passed.
pub(crate) fn overdue(header: &Header, now: Millis) -> Outgoing {
    let data = EventData::of(header, EventKind::Overdue);
    Event::new(header.ledger, header.request, header.plan.version(), now, data).into()
}

/// The due date is near.
pub(crate) fn at_risk(header: &Header, now: Millis) -> Outgoing {
    let data = EventData::of(header, EventKind::AtRisk);
    Event::new(header.ledger, header.request, header.plan.version(), now, data).into()
}

fn kind(state: RequestState) -> EventKind {
    match state {
        RequestState::Receiving => EventKind::Accepted,
        RequestState::Running => EventKind::Running,
        RequestState::Erased => EventKind::Erased,
        RequestState::ErasedWithRetention => EventKind::ErasedWithRetention,
        RequestState::NothingHeld => EventKind::NothingHeld,
        RequestState::Deactivated => EventKind::Deactivated,
        RequestState::Reactivated => EventKind::Reactivated,
        RequestState::ClosedNotErased => EventKind::ClosedNotErased,
    }
}
