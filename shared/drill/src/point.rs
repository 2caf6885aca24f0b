//! The arrows of the protocol, at each of which a process may be stopped.

/// An arrow of the protocol: between the step before it and the step after it a crash must change nothing that counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Point {
    /// Intake holds a batch of commands and has done nothing yet.
    IntakeReceived,
    /// Intake knows the people behind the identifiers.
    IntakeResolved,
    /// Everything is sealed; the ledger knows nothing of it.
    IntakeSealed,
    /// The ledger has custody; no command is acknowledged.
    IntakeAccepted,
    /// One command is acknowledged, others of the same batch are not.
    IntakeAcked,
    /// The tracker has the header; nothing is recorded as sent out.
    DispatchShown,
    /// The ledger has recorded what is sent out; nothing is.
    DispatchRecorded,
    /// One work message of several was handed to the broker; none is confirmed.
    WorkHandedOver,
    /// All work messages are confirmed.
    DispatchPublished,
    /// A worker holds a batch and has told nobody.
    WorkerReceived,
    /// The tracker has granted what is open.
    WorkerClaimed,
    /// The store's rows are changed, and not committed.
    StoreChanged,
    /// The store has committed; nobody has looked whether it is true.
    StoreCommitted,
    /// A worker has committed and read back, and has told nobody yet.
    WorkerPerformed,
    /// What the ledger must hear of is confirmed by the broker; nothing is marked.
    WorkerReported,
    /// The tracker has the marks; the remainder is not published.
    WorkerMarked,
    /// The remainder waits on its rung; the message it came from is not acknowledged.
    WorkerRemainderPublished,
    /// Everything about a batch is done; none of its messages is acknowledged.
    WorkerSettling,
    /// One message of a batch is acknowledged, others may not be.
    WorkerAcked,
    /// Reports are in the ledger and not acknowledged.
    ReportsRecorded,
    /// Notices of complete requests were read.
    FinaliserNoticed,
    /// Old evidence was renewed by looking again.
    FinaliserReadBack,
    /// The verdict is known to this process alone.
    FinaliserJudged,
    /// The ledger has the end; the tracker shows the request as running.
    FinaliserRecorded,
    /// The tracker shows the end; its notice is still there.
    FinaliserShown,
    /// Events are confirmed by the broker; the ledger has them as unsent.
    RelayPublished,
    /// The ledger counts one more projection of a request; the tracker does not have it.
    ProjectionCounted,
    /// The tracker has a request again; nothing missing is sent out.
    ProjectionShown,
    /// The ledger has recorded what is sent out again; nothing is.
    ResendRecorded,
    /// What was missing is sent out again; nothing says that the wipe is dealt with.
    ResendPublished,
    /// Waiting tasks are taken for due in the ledger, and not sent out.
    WakeTaken,
    /// Waiting tasks are sent out to be asked for again.
    WakePublished,
    /// Failed tasks are taken off the list for a redrive, in the ledger alone.
    RedriveTaken,
    /// Redriven tasks are sent out; the operator's act is not acknowledged.
    RedrivePublished,
    /// It is known what a dead letter means; it is not acknowledged.
    DeadJudged,
}

impl Point {
    /// All of them, in the order in which a request meets them.
    pub const ALL: [Self; 35] = [
        Self::IntakeReceived,
        Self::IntakeResolved,
        Self::IntakeSealed,
        Self::IntakeAccepted,
        Self::IntakeAcked,
        Self::DispatchShown,
        Self::DispatchRecorded,
        Self::WorkHandedOver,
        Self::DispatchPublished,
        Self::WorkerReceived,
        Self::WorkerClaimed,
        Self::StoreChanged,
        Self::StoreCommitted,
        Self::WorkerPerformed,
        Self::WorkerReported,
        Self::WorkerMarked,
        Self::WorkerRemainderPublished,
        Self::WorkerSettling,
        Self::WorkerAcked,
        Self::ReportsRecorded,
        Self::FinaliserNoticed,
        Self::FinaliserReadBack,
        Self::FinaliserJudged,
        Self::FinaliserRecorded,
        Self::FinaliserShown,
        Self::RelayPublished,
        Self::ProjectionCounted,
        Self::ProjectionShown,
        Self::ResendRecorded,
        Self::ResendPublished,
        Self::WakeTaken,
        Self::WakePublished,
        Self::RedriveTaken,
        Self::RedrivePublished,
        Self::DeadJudged,
    ];

    /// Its name, as in `ERASURE_DRILL_AT`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::IntakeReceived => "intake.received",
            Self::IntakeResolved => "intake.resolved",
            Self::IntakeSealed => "intake.sealed",
            Self::IntakeAccepted => "intake.accepted",
            Self::IntakeAcked => "intake.acked",
            Self::DispatchShown => "dispatch.shown",
            Self::DispatchRecorded => "dispatch.recorded",
            Self::WorkHandedOver => "work.handed_over",
            Self::DispatchPublished => "dispatch.published",
            Self::WorkerReceived => "worker.received",
            Self::WorkerClaimed => "worker.claimed",
            Self::StoreChanged => "store.changed",
            Self::StoreCommitted => "store.committed",
            Self::WorkerPerformed => "worker.performed",
            Self::WorkerReported => "worker.reported",
            Self::WorkerMarked => "worker.marked",
            Self::WorkerRemainderPublished => "worker.remainder_published",
            Self::WorkerSettling => "worker.settling",
            Self::WorkerAcked => "worker.acked",
            Self::ReportsRecorded => "reports.recorded",
            Self::FinaliserNoticed => "finaliser.noticed",
            Self::FinaliserReadBack => "finaliser.read_back",
            Self::FinaliserJudged => "finaliser.judged",
            Self::FinaliserRecorded => "finaliser.recorded",
            Self::FinaliserShown => "finaliser.shown",
            Self::RelayPublished => "relay.published",
            Self::ProjectionCounted => "projection.counted",
            Self::ProjectionShown => "projection.shown",
            Self::ResendRecorded => "resend.recorded",
            Self::ResendPublished => "resend.published",
            Self::WakeTaken => "wake.taken",
            Self::WakePublished => "wake.published",
            Self::RedriveTaken => "redrive.taken",
            Self::RedrivePublished => "redrive.published",
            Self::DeadJudged => "dead.judged",
        }
    }
}

/// Passes an arrow. In a drill that waits for it, it reports there and waits until it is let go, or killed.
#[cfg(not(feature = "drill"))]
#[inline]
pub async fn point(_at: Point) {}

/// Passes an arrow. In a drill that waits for it, it reports there and waits until it is let go, or killed.
#[cfg(feature = "drill")]
pub async fn point(at: Point) {
    if let Some(armed) = crate::armed::of_this_process() {
        armed.pass(at).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_two_points_share_a_name() {
        let names: BTreeSet<&str> = Point::ALL.iter().map(|point| point.as_str()).collect();
        assert_eq!(names.len(), Point::ALL.len());
    }
}
