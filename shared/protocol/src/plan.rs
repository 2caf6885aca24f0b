//! What a request must pass before it is done.

use crate::{EvidenceKey, Phase, SubsystemName};
use serde::{Deserialize, Serialize};

/// One requirement: this subsystem, in this phase, with evidence under this key, for every subject.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PlanEntry {
    /// When in the plan it is due.
    pub phase: Phase,
    /// Who has to do it.
    pub subsystem: SubsystemName,
    /// What its evidence must be bound to.
    pub evidence: EvidenceKey,
}

/// The list of requirements, fixed when the request is accepted and only ever extended.
///
/// An entry is known by its position. A later entry of the same phase and subsystem *replaces* the earlier one: the earlier
/// stays as history, and its evidence no longer counts. So completion is always asked of [`Plan::live`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Plan(Vec<PlanEntry>);

impl Plan {
    /// A plan of these entries.
    #[must_use]
    pub fn new(entries: Vec<PlanEntry>) -> Self {
        Self(entries)
    }

    /// All entries ever, by position.
    #[must_use]
    pub fn entries(&self) -> &[PlanEntry] {
        &self.0
    }

    /// The entry at a position.
    #[must_use]
    pub fn entry(&self, at: usize) -> Option<&PlanEntry> {
        self.0.get(at)
    }

    /// The plan's version: how many entries it has. It only grows.
    #[must_use]
    pub fn version(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }

    /// The entries that count, with their positions: the last one of each phase and subsystem.
    pub fn live(&self) -> impl Iterator<Item = (usize, &PlanEntry)> {
        self.0.iter().enumerate().filter(|(at, _)| self.is_live(*at))
    }

    /// Whether the entry at this position counts.
    #[must_use]
    pub fn is_live(&self, at: usize) -> bool {
        self.0.get(at).is_some_and(|entry| {
            !self.0[at + 1..]
                .iter()
                .any(|later| later.phase == entry.phase && later.subsystem == entry.subsystem)
        })
    }

    /// The live entry of a subsystem in a phase, with its position.
    #[must_use]
    pub fn find(&self, phase: Phase, subsystem: &SubsystemName) -> Option<(usize, &PlanEntry)> {
        self.live()
            .find(|(_, entry)| entry.phase == phase && entry.subsystem == *subsystem)
    }

    /// This plan and the entries of `wanted` that it does not require yet, or requires under another evidence key.
    /// `None` when there is nothing to add.
    #[must_use]
    pub fn extended(&self, wanted: &[PlanEntry]) -> Option<Self> {
        let missing = wanted.iter().filter(|entry| {
            self.find(entry.phase, &entry.subsystem)
                .is_none_or(|(_, live)| live.evidence != entry.evidence)
        });
        let entries: Vec<_> = self.0.iter().chain(missing).cloned().collect();
        (entries.len() > self.0.len()).then_some(Self(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(subsystem: &str, evidence: u8) -> PlanEntry {
        PlanEntry {
            phase: Phase::Purge,
            subsystem: SubsystemName::new(subsystem).unwrap(),
            evidence: EvidenceKey([evidence; 16]),
        }
    }

    #[test]
    fn a_changed_evidence_key_extends_the_plan_and_retires_the_old_entry() {
        let plan = Plan::new(vec![entry("profiles", 1), entry("segments", 1)]);
        let longer = plan.extended(&[entry("profiles", 2), entry("segments", 1)]).unwrap();
        assert_eq!(longer.version(), 3);
        assert_eq!(longer.live().map(|(at, _)| at).collect::<Vec<_>>(), [1, 2]);
        assert!(!longer.is_live(0));
        assert_eq!(longer.extended(&[entry("profiles", 2)]), None);
    }

    #[test]
    fn going_back_to_an_old_key_asks_for_new_evidence() {
        let plan = Plan::new(vec![entry("profiles", 1), entry("profiles", 2)]);
        let back = plan.extended(&[entry("profiles", 1)]).unwrap();
        assert_eq!(back.live().map(|(at, _)| at).collect::<Vec<_>>(), [2]);
    }
}
