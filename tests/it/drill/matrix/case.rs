//! The table: each crash point, whose process comes there, and what must have happened for it to.

use erasure_drill::Point;

/// How a request comes to the point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// It does so by itself.
    Straight,
    /// All evidence is older than a request may stand on.
    OldEvidence,
    /// The tracker is wiped while one subsystem is held up.
    Wiped,
    /// The vendor fails, and works again once the point is reached.
    VendorFails,
    /// The vendor refuses everybody, then works again, and somebody redrives.
    Redriven,
    /// A worker hands a message back.
    HandedBack,
}

/// One row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case {
    pub(super) point: Point,
    /// Which time that the process comes there.
    pub(super) pass: u32,
    /// The role of that process.
    pub(super) role: &'static str,
    pub(super) way: Way,
}

const fn row(role: &'static str, point: Point) -> Case {
    on(role, point, Way::Straight)
}

const fn on(role: &'static str, point: Point, way: Way) -> Case {
    let pass = 1;
    Case { point, pass, role, way }
}

/// Sorted by role, because a change of role starts all processes anew.
pub(super) const CASES: [Case; 35] = [
    row("intake", Point::IntakeReceived),
    row("intake", Point::IntakeResolved),
    row("intake", Point::IntakeSealed),
    row("intake", Point::IntakeAccepted),
    row("intake", Point::IntakeAcked),
    row("profiles", Point::WorkerReceived),
    row("profiles", Point::WorkerClaimed),
    row("profiles", Point::StoreChanged),
    row("profiles", Point::StoreCommitted),
    row("profiles", Point::WorkerPerformed),
    row("profiles", Point::WorkerMarked),
    row("profiles", Point::WorkerSettling),
    row("profiles", Point::WorkerAcked),
    row("subprocessors", Point::WorkerReported),
    on("subprocessors", Point::WorkerRemainderPublished, Way::VendorFails),
    row("reconciler", Point::DispatchShown),
    row("reconciler", Point::DispatchRecorded),
    Case {
        pass: 2,
        ..row("reconciler", Point::WorkHandedOver)
    },
    row("reconciler", Point::DispatchPublished),
    row("reconciler", Point::ReportsRecorded),
    row("reconciler", Point::FinaliserNoticed),
    on("reconciler", Point::FinaliserReadBack, Way::OldEvidence),
    row("reconciler", Point::FinaliserJudged),
    row("reconciler", Point::FinaliserRecorded),
    row("reconciler", Point::FinaliserShown),
    row("reconciler", Point::RelayPublished),
    on("reconciler", Point::ProjectionCounted, Way::Wiped),
    on("reconciler", Point::ProjectionShown, Way::Wiped),
    on("reconciler", Point::ResendRecorded, Way::Wiped),
    on("reconciler", Point::ResendPublished, Way::Wiped),
    row("reconciler", Point::WakeTaken),
    row("reconciler", Point::WakePublished),
    on("reconciler", Point::RedriveTaken, Way::Redriven),
    on("reconciler", Point::RedrivePublished, Way::Redriven),
    on("reconciler", Point::DeadJudged, Way::HandedBack),
];

#[test]
fn no_point_is_left_out() {
    let covered = |point: &Point| CASES.iter().any(|case| case.point == *point);
    let missing: Vec<_> = Point::ALL.iter().filter(|point| !covered(point)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
