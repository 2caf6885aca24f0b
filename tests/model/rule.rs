//! The rules of the protocol that can be broken one at a time, to see that the checker notices.

/// A rule that keeps a promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// A task is marked only after its store has committed.
    MarkAfterCommit,
    /// A delivery is acknowledged only after its remainder is published.
    AckAfterRemainder,
    /// Evidence is a bit for each task; nothing counts.
    BitsNotCounter,
    /// A message that is published again is built anew (copied `x-death` makes the broker drop it as a cycle).
    RebuiltHeaders,
    /// Each publish is confirmed by itself.
    ConfirmEachMessage,
    /// An attempt that changes nothing writes nevertheless, so that its commit waits for the standby.
    AttemptAlwaysWrites,
    /// What is missing never reads as done.
    MissingIsNotDone,
    /// Completion is judged by the plan, not by what was seen.
    CompleteByPlan,
    /// Evidence is bound to the identity of the store and the data map.
    BoundEvidenceKey,
    /// A new request takes over what open requests have found of the same people.
    SharedResolution,
    /// After its deadline an item changes nothing.
    SliceDeadline,
    /// Intake looks for people first and asks for overlaps after.
    OverlapsAfterResolving,
    /// What has stalled is sent again.
    Redispatch,
    /// The plan that was checked is the plan that becomes final.
    PlanUnchanged,
    /// Old evidence is read back again.
    ReadBackAgain,
    /// Purging waits until hiding is complete and the grace is over.
    GraceFirst,
    /// A remainder says that somebody has tried.
    TriedIsSaid,
    /// A projection from nothing counts: nobody knows any more who was there.
    ProjectionsCount,
    /// A start is on record before the work: the next one is not the first.
    StartsCount,
    /// Only a first dispatch may find that nothing was held.
    DispatchesCount,
    /// A redelivered message may have been tried.
    RedeliveryIsATry,
    /// What was marked, redriven or cut in halves has been tried.
    MarksAreTries,
    /// An entry that replaces another one asks where somebody has been.
    ReplacedIsTried,
    /// Nothing held is only said by somebody who was alone with the task.
    AloneWithTheTask,
    /// What the tracker takes for failed and the ledger does not know is sent again.
    FailedIsTheLedgers,
    /// A tracker with an older plan is told the longer one.
    OlderPlanIsTold,
    /// A projected slice has as many subjects as the ledger says.
    SlicesAreCounted,
}
