//! The parts of the estate that the ledger expects.

use erasure_protocol::{EvidenceKey, Millis, SubsystemName};

/// The kind of a subsystem: its recipe, for example `profiles` or `analytics`. The ledger only stores it.
pub type SubsystemKind = String;

/// A registered subsystem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subsystem {
    /// Its name.
    pub name: SubsystemName,
    /// Its kind.
    pub kind: SubsystemKind,
    /// The key under which evidence counts today.
    pub evidence: EvidenceKey,
    /// It was taken out by an operator; new requests need not pass it.
    pub retired: bool,
}

/// What registering a subsystem has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Registered {
    /// This key is the current one.
    Current,
    /// This key was never seen before and is the current one from now on. Open plans want extending.
    NewCurrent {
        /// The one it replaces; `None` when the subsystem is new.
        replaced: Option<EvidenceKey>,
    },
    /// This key was current once: the process that brings it is outdated and must pause.
    Outdated {
        /// The current one.
        current: EvidenceKey,
    },
}

/// One evidence key that a subsystem has or had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvidenceHistory {
    /// The key.
    pub evidence: EvidenceKey,
    /// Since when.
    pub since: Millis,
}
