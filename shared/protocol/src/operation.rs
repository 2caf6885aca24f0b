//! What was asked.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What is to be done with the subjects of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Permanent: the person is forgotten.
    Erase,
    /// Reversible: log-in is blocked, all data stays.
    Deactivate,
    /// Takes a deactivation back.
    Reactivate,
}

impl Operation {
    /// The word on the wire and in the ledger.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Erase => "erase",
            Self::Deactivate => "deactivate",
            Self::Reactivate => "reactivate",
        }
    }

    /// Reads the word; `None` when it is none of ours.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Erase, Self::Deactivate, Self::Reactivate]
            .into_iter()
            .find(|it| it.as_str() == word)
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A stage of a plan. An immediate erasure, and every other operation, has only `purge`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Taken out of the live system, reversible until the purge starts; never called erased.
    Hide,
    /// The operation itself.
    Purge,
}

impl Phase {
    /// The word on the wire and in the ledger.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hide => "hide",
            Self::Purge => "purge",
        }
    }

    /// Reads the word; `None` when it is none of ours.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Hide, Self::Purge].into_iter().find(|it| it.as_str() == word)
    }
}

/// Which queue of a subsystem a message travels in, so that one person never waits behind ten thousand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Lane {
    /// Requests on one subject.
    Single,
    /// Requests on many.
    Bulk,
    /// Work under suspicion of killing its worker: one message at a time, one item each.
    Solo,
}

impl Lane {
    /// Every lane, in the order of their urgency.
    pub const ALL: [Self; 3] = [Self::Single, Self::Bulk, Self::Solo];

    /// The word in queue names and in the ledger.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::Bulk => "bulk",
            Self::Solo => "solo",
        }
    }

    /// Reads the word; `None` when it is none of ours.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == word)
    }

    /// The lane of a request on this many subjects.
    #[must_use]
    pub fn for_subjects(count: u64) -> Self {
        if count > 1 { Self::Bulk } else { Self::Single }
    }
}

/// What a request may ask beyond its operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Options {
    /// Keep the account when its last participant is erased.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub preserve_empty_account: bool,
}
