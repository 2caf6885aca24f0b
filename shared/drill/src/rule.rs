//! Rules of the protocol that can be broken one at a time, to see which test notices.

/// A rule that keeps a promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// A task is marked only after its store has committed and was read back. Keeps: never report an erasure that did not happen.
    /// Broken: everything claimed is marked as erased before the store is touched.
    MarkAfterCommit,
    /// A message is acknowledged only after its remainder is confirmed. Keeps: never lose a command, without waiting for the look
    /// for stalled work. Broken: nobody waits for the remainder, or hears that it failed.
    AckAfterRemainder,
    /// Evidence is bits, so what is said twice counts once. Keeps: never report an erasure that did not happen, whatever is
    /// delivered again. Broken: a slice is full once as many tasks were marked as it has subjects.
    BitsNotCounter,
    /// A message is built anew and carries nothing that the broker wrote into another one. Keeps: never lose a command to RabbitMQ
    /// before 4.0, which drops what its `x-death` makes look like a cycle. Broken: the last `x-death` received is sent along.
    RebuiltHeaders,
    /// Each message's own confirmation is awaited. Keeps: never lose a command that a full queue has refused. Broken: one
    /// `wait_for_confirms` for all, which tells of no refusal.
    ConfirmEachMessage,
    /// Every attempt writes something into its transaction. Keeps: an erasure found done waits for a synchronous standby like the
    /// one that did it. Broken: an attempt that finds nothing writes nothing.
    AttemptAlwaysWrites,
    /// Missing evidence reads as not done. Keeps: never report an erasure that did not happen. Broken: a request that the tracker
    /// has lost reads as final, and a task without evidence as done.
    MissingIsNotDone,
    /// A request is complete when everything in its plan is done. Keeps: never report an erasure that did not happen. Broken: it is
    /// complete when everything that was seen is done.
    CompleteByPlan,
    /// Evidence counts only under the evidence key of its plan entry. Keeps: never report as erased by today's data map what was
    /// erased by an older one. Broken: any key will do.
    BoundEvidenceKey,
    /// What open requests have found out about a person is shared. Keeps: never report an erasure of somebody whom another request
    /// has only begun to erase. Broken: everybody resolves alone.
    SharedResolution,
    /// Work may change nothing after its deadline. Keeps: a late duplicate is harmless to somebody who came anew. Broken: no clock
    /// is looked at.
    SliceDeadline,
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::MarkAfterCommit,
        Self::AckAfterRemainder,
        Self::BitsNotCounter,
        Self::RebuiltHeaders,
        Self::ConfirmEachMessage,
        Self::AttemptAlwaysWrites,
        Self::MissingIsNotDone,
        Self::CompleteByPlan,
        Self::BoundEvidenceKey,
        Self::SharedResolution,
        Self::SliceDeadline,
    ];

    /// Its name, as in `ERASURE_DRILL_BREAK`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MarkAfterCommit => "mark-after-commit",
            Self::AckAfterRemainder => "ack-after-remainder",
            Self::BitsNotCounter => "bits-not-counter",
            Self::RebuiltHeaders => "rebuilt-headers",
            Self::ConfirmEachMessage => "confirm-each-message",
            Self::AttemptAlwaysWrites => "attempt-always-writes",
            Self::MissingIsNotDone => "missing-is-not-done",
            Self::CompleteByPlan => "complete-by-plan",
            Self::BoundEvidenceKey => "bound-evidence-key",
            Self::SharedResolution => "shared-resolution",
            Self::SliceDeadline => "slice-deadline",
        }
    }
}

/// Whether this rule is broken on purpose. Never, without the feature `drill`.
#[cfg(not(feature = "drill"))]
#[must_use]
#[inline(always)]
pub const fn is_broken(_rule: Rule) -> bool {
    false
}

/// Whether this rule is broken on purpose: `ERASURE_DRILL_BREAK` names it.
///
/// # Panics
/// When it names no rule: then nothing would be broken, and a test that stays green would prove nothing.
#[cfg(feature = "drill")]
#[must_use]
pub fn is_broken(rule: Rule) -> bool {
    static BROKEN: std::sync::OnceLock<Option<Rule>> = std::sync::OnceLock::new();
    let read = || {
        let name = std::env::var("ERASURE_DRILL_BREAK").ok()?;
        let named = Rule::ALL.into_iter().find(|rule| rule.as_str() == name);
        Some(named.unwrap_or_else(|| panic!("ERASURE_DRILL_BREAK={name} names no rule")))
    };
    *BROKEN.get_or_init(read) == Some(rule)
}
