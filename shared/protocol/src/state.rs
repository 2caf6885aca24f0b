//! The states of a request in the ledger, and which may follow which.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Where a request stands in the ledger. What support reads on top of it (retrying, waiting for a vendor, needs attention,
/// overdue) is worked out from its tasks and its clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RequestState {
    /// Parts of it are still arriving; nothing is touched before the last one is here.
    Receiving,
    /// Accepted; work is under way.
    Running,
    /// Final: everything expected was erased and read back.
    Erased,
    /// Final: erased but for what must be kept, with ground and end.
    ErasedWithRetention,
    /// Final: nobody knew the subjects. Nothing was deleted.
    NothingHeld,
    /// Final: log-in blocked everywhere, all data kept.
    Deactivated,
    /// Final: a deactivation taken back everywhere.
    Reactivated,
    /// Final: an operator gave up on it, with a reason. Not erased.
    ClosedNotErased,
}

impl RequestState {
    /// Every state.
    pub const ALL: [Self; 8] = [
        Self::Receiving,
        Self::Running,
        Self::Erased,
        Self::ErasedWithRetention,
        Self::NothingHeld,
        Self::Deactivated,
        Self::Reactivated,
        Self::ClosedNotErased,
    ];

    /// The word on the wire, in the ledger and in the tracker.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Receiving => "receiving",
            Self::Running => "running",
            Self::Erased => "erased",
            Self::ErasedWithRetention => "erased_with_retention",
            Self::NothingHeld => "nothing_held",
            Self::Deactivated => "deactivated",
            Self::Reactivated => "reactivated",
            Self::ClosedNotErased => "closed_not_erased",
        }
    }

    /// Reads the word; `None` when it is none of ours.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == word)
    }

    /// Whether the request has come to its end. Final states are never left.
    #[must_use]
    pub fn is_final(self) -> bool {
        match self {
            Self::Receiving | Self::Running => false,
            Self::Erased
            | Self::ErasedWithRetention
            | Self::NothingHeld
            | Self::Deactivated
            | Self::Reactivated
            | Self::ClosedNotErased => true,
        }
    }

    /// Whether a request may go from this state to `next`.
    #[must_use]
    pub fn may_become(self, next: Self) -> bool {
        match self {
            Self::Receiving => matches!(next, Self::Running | Self::ClosedNotErased),
            Self::Running => next.is_final(),
            Self::Erased
            | Self::ErasedWithRetention
            | Self::NothingHeld
            | Self::Deactivated
            | Self::Reactivated
            | Self::ClosedNotErased => false,
        }
    }
}

impl fmt::Display for RequestState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn final_states_are_never_left() {
        for from in RequestState::ALL.into_iter().filter(|it| it.is_final()) {
            assert!(RequestState::ALL.iter().all(|next| !from.may_become(*next)), "{from}");
        }
    }

    #[test]
    fn nothing_is_erased_while_it_is_still_arriving() {
        assert!(!RequestState::Receiving.may_become(RequestState::Erased));
        assert!(RequestState::Running.may_become(RequestState::Erased));
    }

    #[test]
    fn every_state_reads_what_it_writes() {
        assert!(
            RequestState::ALL
                .iter()
                .all(|it| RequestState::parse(it.as_str()) == Some(*it))
        );
    }
}
