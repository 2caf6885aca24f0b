//! What a worker says of a task.

use crate::{Fault, Millis};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What became of one task in one attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Outcome {
    /// The operation was carried out, committed durably and read back.
    Erased,
    /// Nothing of the person was there. Only ever said by a first attempt on a task never dispatched before.
    NothingHeld,
    /// Carried out but for what must be kept.
    Retained {
        /// Under which ground.
        ground: Ground,
        /// Until when.
        until: Millis,
    },
    /// Accepted by somebody else, not confirmed yet.
    Pending {
        /// What to ask for.
        reference: Reference,
        /// When to ask again.
        check_at: Millis,
    },
    /// Not done; try again.
    Retry(Fault),
    /// Not done; somebody must act.
    Failed(Fault),
}

/// The outcomes that leave a bit of evidence. `done` is the union of the first three.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Done {
    /// See [`Outcome::Erased`].
    Erased,
    /// See [`Outcome::NothingHeld`].
    NothingHeld,
    /// See [`Outcome::Retained`].
    Retained,
    /// See [`Outcome::Failed`]: an end of the work, not of the task. Never done.
    Failed,
}

impl Done {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Erased, Self::NothingHeld, Self::Retained, Self::Failed];

    /// One letter, the name of its bitmap in the tracker and the ledger.
    #[must_use]
    pub fn letter(self) -> char {
        match self {
            Self::Erased => 'e',
            Self::NothingHeld => 'n',
            Self::Retained => 'r',
            Self::Failed => 'f',
        }
    }

    /// Reads the letter; `None` when it is none of ours.
    #[must_use]
    pub fn from_letter(letter: char) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.letter() == letter)
    }
}

/// The legal ground for keeping something, for example `GDPR Art. 17(3)(b)`. Comes from the configuration, never from data.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Ground(pub String);

/// What a subsystem needs to ask after work that it handed to somebody else. Opaque to all but that subsystem; sealed wherever
/// it is stored or sent.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Reference(pub String);

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// What is held of one subject in one place. The values are personal data and are shown only to whoever asked for the look-up.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The store, or the vendor, by its name in the configuration.
    pub store: String,
    /// The table, or the vendor's kind of record.
    pub table: String,
    /// The rule of the data map that finds it.
    pub rule: String,
    /// How many rows.
    pub rows: u64,
    /// The personal columns and the values of the first rows, for the look-up. Empty where only counts were asked.
    pub values: Vec<Vec<(String, Option<String>)>>,
    /// Whether the rule says to keep these rows.
    pub kept: Option<Ground>,
}

impl fmt::Debug for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Finding({}.{}: {} rows)", self.store, self.table, self.rows)
    }
}

/// All that one subsystem holds of one subject.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Findings(pub Vec<Finding>);

impl Findings {
    /// Whether nothing is held, or only what is to be kept.
    #[must_use]
    pub fn is_clear(&self) -> bool {
        self.0.iter().all(|finding| finding.rows == 0 || finding.kept.is_some())
    }

    /// Whether nothing is held at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|finding| finding.rows == 0)
    }
}
