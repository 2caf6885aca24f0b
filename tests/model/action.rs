//! What can happen next. Each is one step of one process, or one fault: between any two of them everybody else may act, or die.

/// One step. Names follow the code: see the file of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    // Intake
    Resolve {
        request: u8,
    },
    Unite {
        request: u8,
    },
    Accept {
        request: u8,
    },
    // The reconciler
    Dispatch {
        request: u8,
        entry: u8,
        slice: u8,
    },
    Redispatch {
        request: u8,
        entry: u8,
        slice: u8,
    },
    Project {
        request: u8,
    },
    SettleWanted {
        request: u8,
    },
    TellPlan {
        request: u8,
    },
    Judge {
        request: u8,
    },
    Finalise,
    Finish {
        request: u8,
    },
    Register {
        subsystem: u8,
    },
    Extend {
        request: u8,
    },
    Record {
        report: u8,
    },
    TakeFailed {
        request: u8,
        entry: u8,
        slice: u8,
    },
    SendAgain,
    // A worker
    Claim {
        worker: u8,
        item: u8,
    },
    HandBack {
        item: u8,
    },
    Perform {
        worker: u8,
    },
    PerformExpired {
        worker: u8,
        gives_up: bool,
    },
    StandbyHasIt {
        worker: u8,
    },
    Tell {
        worker: u8,
    },
    Mark {
        worker: u8,
    },
    MarkGivesUp {
        worker: u8,
    },
    Publish {
        worker: u8,
    },
    Acknowledge {
        worker: u8,
    },
    // The world
    DeployWorker {
        worker: u8,
    },
    DeployReconciler,
    Replicate {
        subsystem: u8,
    },
    GraceEnds,
    DeadlinePasses,
    /// Something goes wrong.
    Strike(Fault),
}

/// Something that goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Not yet wrong: a copy of Redis is taken, which it may go back to.
    Snapshot,
    CrashWorker {
        worker: u8,
    },
    CrashReconciler,
    DispatchAndDie {
        request: u8,
        entry: u8,
        slice: u8,
    },
    Redeliver {
        worker: u8,
    },
    LoseWork {
        item: u8,
    },
    LoseReport {
        report: u8,
    },
    Duplicate {
        item: u8,
    },
    Bury {
        item: u8,
    },
    Wipe,
    RollBack,
    FailOver {
        subsystem: u8,
    },
    RestartPrimary {
        subsystem: u8,
    },
    PerformInVain {
        worker: u8,
        has_committed: bool,
    },
    PerformPartly {
        worker: u8,
    },
    PerformRefused {
        worker: u8,
    },
    Rewrite {
        subsystem: u8,
        person: u8,
    },
    Arrive {
        person: u8,
    },
}

impl Action {
    /// Whether something has to go wrong for it. Completion must be reachable without any more of these.
    pub(crate) fn is_fault(self) -> bool {
        matches!(self, Self::Strike(_))
    }
}
