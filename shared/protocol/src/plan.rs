//! What a request must pass before it is done.

use crate::{EvidenceKey, Phase, SubsystemName};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Fixed: it makes the ids of plans.
const NAMESPACE: Uuid = Uuid::from_u128(0x51b8_7f0e_3c6d_4e92_a7d4_0b9c_66e3_f215);

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

    /// The compact form: of each entry a letter for the phase, 16 bytes evidence key, the length of the subsystem's name, the name.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.0.len() * 32);
        for entry in &self.0 {
            let name = entry.subsystem.as_str().as_bytes();
            bytes.push(phase_letter(entry.phase));
            bytes.extend_from_slice(&entry.evidence.0);
            // A name has 40 characters at most.
            bytes.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
            bytes.extend_from_slice(name);
        }
        bytes
    }

    /// Reads the compact form; `None` when it is not one.
    #[must_use]
    pub fn from_bytes(mut bytes: &[u8]) -> Option<Self> {
        let mut entries = Vec::new();
        while let Some((phase, rest)) = bytes.split_first() {
            let (evidence, rest) = rest.split_first_chunk::<16>()?;
            let (length, rest) = rest.split_first()?;
            let (name, rest) = rest.split_at_checked(usize::from(*length))?;
            entries.push(PlanEntry {
                phase: [Phase::Hide, Phase::Purge]
                    .into_iter()
                    .find(|it| phase_letter(*it) == *phase)?,
                subsystem: SubsystemName::new(std::str::from_utf8(name).ok()?).ok()?,
                evidence: EvidenceKey(*evidence),
            });
            bytes = rest;
        }
        Some(Self(entries))
    }

    /// The name of the plan, made of all it says (UUID version 5 of the compact form): requests with one plan share it, so that it is
    /// stored once.
    #[must_use]
    pub fn id(&self) -> [u8; 16] {
        Uuid::new_v5(&NAMESPACE, &self.to_bytes()).into_bytes()
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

fn phase_letter(phase: Phase) -> u8 {
    match phase {
        Phase::Hide => b'h',
        Phase::Purge => b'p',
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
    fn the_compact_form_says_all_and_the_id_is_made_of_it() {
        let plan = Plan::new(vec![entry("profiles", 1), entry("segments", 2)]);
        assert_eq!(Plan::from_bytes(&plan.to_bytes()), Some(plan.clone()));
        assert_eq!(Plan::from_bytes(&plan.to_bytes()[1..]), None);
        assert_eq!(plan.id(), plan.clone().id());
        let others = [
            Plan::new(vec![entry("segments", 2), entry("profiles", 1)]),
            Plan::new(vec![entry("profiles", 1)]),
            Plan::default(),
        ];
        assert!(others.iter().all(|it| it.id() != plan.id()));
    }

    #[test]
    fn going_back_to_an_old_key_asks_for_new_evidence() {
        let plan = Plan::new(vec![entry("profiles", 1), entry("profiles", 2)]);
        let back = plan.extended(&[entry("profiles", 1)]).unwrap();
        assert_eq!(back.live().map(|(at, _)| at).collect::<Vec<_>>(), [2]);
    }
}
