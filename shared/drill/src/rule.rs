//! Rules of the protocol that can be broken one at a time, to see which test notices.

/// A rule that keeps a promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// A task is marked only after its store has committed.
    MarkAfterCommit,
}

/// Whether this rule is broken on purpose. Never, without the feature `drill`.
#[must_use]
#[inline]
pub fn is_broken(_rule: Rule) -> bool {
    false
}
