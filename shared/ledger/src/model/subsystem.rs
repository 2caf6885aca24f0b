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

/// Under which evidence key a process works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// The subsystem.
    pub name: SubsystemName,
    /// Its kind.
    pub kind: SubsystemKind,
    /// The key, of the store as it answered and the map.
    pub evidence: EvidenceKey,
    /// The part of the key that the process knows without a store: the digest of its section of the data map.
    pub map: [u8; 16],
    /// The key that was current *before* the store was asked; `None` when the subsystem was not known. What is replaced was then
    /// seen at the store earlier than `evidence` was.
    pub replacing: Option<EvidenceKey>,
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
    /// Another process was faster, and its store may have answered later. Nothing is changed: ask the store again.
    Overtaken {
        /// The current one.
        current: EvidenceKey,
    },
    /// This key, or its map, was current once: the process that brings it is outdated and must pause.
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
    /// The digest of the map in it, where the software that registered it said so.
    pub map: Option<[u8; 16]>,
}

impl EvidenceHistory {
    /// Whether a process with this key and this map was left behind: the subsystem, now under the key `current`, has had the key
    /// before, or the map on any store.
    #[must_use]
    pub fn has_passed(history: &[Self], current: EvidenceKey, evidence: EvidenceKey, map: [u8; 16]) -> bool {
        let had = |it: &Self| it.evidence == evidence || it.map == Some(map);
        let map_now = history.iter().find(|it| it.evidence == current).and_then(|it| it.map);
        let is_new_store = map_now == Some(map) && history.iter().all(|it| it.evidence != evidence);
        current != evidence && !is_new_store && history.iter().any(had)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn key(store: u8, map: u8) -> EvidenceKey {
        EvidenceKey([store, map, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    }

    #[test]
    fn whoever_has_an_old_key_or_an_old_map_was_left_behind() {
        let history: Vec<EvidenceHistory> = [(1, 1), (1, 2), (2, 2)]
            .map(|(store, map)| EvidenceHistory {
                evidence: key(store, map),
                since: Millis(0),
                map: Some([map; 16]),
            })
            .into();
        let passed = |store, map| EvidenceHistory::has_passed(&history, key(2, 2), key(store, map), [map; 16]);
        let old = [(1, 1), (1, 2), (2, 1), (3, 1)];
        assert_eq!(old.map(|(store, map)| passed(store, map)), [true; 4], "store and map");
        let new = [(2, 2), (3, 2), (2, 3), (3, 3)];
        assert_eq!(new.map(|(store, map)| passed(store, map)), [false; 4], "store and map");
    }

    #[test]
    fn a_map_that_nobody_wrote_down_is_known_by_its_key_alone() {
        let history = [1, 2].map(|map| EvidenceHistory {
            evidence: key(1, map),
            since: Millis(0),
            map: None,
        });
        let passed = |store, map| EvidenceHistory::has_passed(&history, key(1, 2), key(store, map), [map; 16]);
        assert_eq!(
            [passed(1, 1), passed(2, 1), passed(1, 2), passed(2, 2)],
            [true, false, false, false]
        );
    }
}
