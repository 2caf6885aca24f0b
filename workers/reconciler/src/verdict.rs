//! What the evidence of a request amounts to: pure, and tested as a table.

use erasure_drill::{Rule, is_broken};
use erasure_protocol::{Counts, Done, Mask, Operation, Plan, RequestState};
use std::collections::BTreeMap;

/// The evidence of a request by entry and slice.
pub(crate) type Evidence = BTreeMap<(usize, u32), EntrySlice>;

/// The evidence of one slice in one entry of the plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct EntrySlice {
    pub(crate) erased: Mask,
    pub(crate) nothing_held: Mask,
    pub(crate) retained: Mask,
}

impl EntrySlice {
    pub(crate) fn add(&mut self, done: Done, mask: &Mask) {
        match done {
            Done::Erased => self.erased = self.erased.or(mask),
            Done::NothingHeld => self.nothing_held = self.nothing_held.or(mask),
            Done::Retained => self.retained = self.retained.or(mask),
            // Not evidence: an end of the work, not of the task.
            Done::Failed => {}
        }
    }

    pub(crate) fn done(&self) -> Mask {
        self.erased.or(&self.nothing_held).or(&self.retained)
    }
}

/// What a request came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) state: RequestState,
    pub(crate) people: Counts,
}

/// Judges a request by its live plan entries. `slice_counts` says how many subjects each slice has. `None` when a task of a live
/// entry has no evidence: missing never reads as done.
pub(crate) fn judge(operation: Operation, plan: &Plan, slice_counts: &[u16], evidence: &Evidence) -> Option<Verdict> {
    let live: Vec<usize> = plan.live().map(|(entry, _)| entry).collect();
    if live.is_empty() || slice_counts.is_empty() {
        return None;
    }
    let mut people = Counts::default();
    for (slice, count) in (0u32..).zip(slice_counts) {
        let everyone = Mask::first(usize::from(*count));
        let mut retained = Mask::EMPTY;
        let mut untouched = everyone;
        for entry in &live {
            let found = match evidence.get(&(*entry, slice)) {
                None if is_broken(Rule::CompleteByPlan) || is_broken(Rule::MissingIsNotDone) => continue,
                found => found?,
            };
            if !everyone.without(&found.done()).is_empty() && !is_broken(Rule::MissingIsNotDone) {
                return None;
            }
            retained = retained.or(&found.retained);
            // A bit can be both: a second attempt finds nothing left of what the first one erased.
            untouched = untouched
                .and(&found.nothing_held)
                .without(&found.erased)
                .without(&found.retained);
        }
        let retained = retained.and(&everyone);
        people.retained += retained.count() as u64;
        people.nothing_held += untouched.count() as u64;
        people.erased += everyone.without(&retained).without(&untouched).count() as u64;
    }
    Some(Verdict {
        state: state(operation, &people),
        people,
    })
}

fn state(operation: Operation, people: &Counts) -> RequestState {
    if people.total() == people.nothing_held {
        return RequestState::NothingHeld;
    }
    match operation {
        Operation::Erase if people.retained > 0 => RequestState::ErasedWithRetention,
        Operation::Erase => RequestState::Erased,
        Operation::Deactivate => RequestState::Deactivated,
        Operation::Reactivate => RequestState::Reactivated,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use erasure_protocol::{EvidenceKey, Phase, PlanEntry, SubsystemName};

    fn plan(subsystems: &[(&str, u8)]) -> Plan {
        let entry = |(name, key): &(&str, u8)| PlanEntry {
            phase: Phase::Purge,
            subsystem: SubsystemName::new(*name).unwrap(),
            evidence: EvidenceKey([*key; 16]),
        };
        Plan::new(subsystems.iter().map(entry).collect())
    }

    fn evidence(rows: &[(usize, u32, Done, &[usize])]) -> Evidence {
        let mut evidence = Evidence::new();
        for (entry, slice, done, positions) in rows {
            evidence
                .entry((*entry, *slice))
                .or_default()
                .add(*done, &positions.iter().copied().collect());
        }
        evidence
    }

    fn verdict(plan: &Plan, counts: &[u16], rows: &[(usize, u32, Done, &[usize])]) -> Option<(RequestState, Counts)> {
        judge(Operation::Erase, plan, counts, &evidence(rows)).map(|it| (it.state, it.people))
    }

    #[test]
    fn a_missing_bit_anywhere_is_no_verdict() {
        let plan = plan(&[("profiles", 1), ("analytics", 1)]);
        assert_eq!(
            verdict(&plan, &[2], &[(0, 0, Done::Erased, &[0, 1]), (1, 0, Done::Erased, &[0])]),
            None
        );
        assert_eq!(verdict(&plan, &[2], &[(0, 0, Done::Erased, &[0, 1])]), None);
        assert_eq!(
            verdict(&plan, &[1, 1], &[(0, 0, Done::Erased, &[0]), (1, 0, Done::Erased, &[0])]),
            None
        );
        assert_eq!(verdict(&plan, &[], &[]), None);
        assert_eq!(verdict(&Plan::default(), &[1], &[]), None);
    }

    #[test]
    fn failed_is_never_done() {
        assert_eq!(verdict(&plan(&[("profiles", 1)]), &[1], &[(0, 0, Done::Failed, &[0])]), None);
    }

    #[test]
    fn an_entry_that_was_replaced_does_not_count() {
        let plan = plan(&[("profiles", 1), ("profiles", 2)]);
        assert_eq!(verdict(&plan, &[1], &[(0, 0, Done::Erased, &[0])]), None);
        assert!(verdict(&plan, &[1], &[(1, 0, Done::Erased, &[0])]).is_some());
    }

    #[test]
    fn people_are_counted_once_whatever_their_subsystems_say() {
        let plan = plan(&[("profiles", 1), ("analytics", 1)]);
        let rows: [(usize, u32, Done, &[usize]); 5] = [
            (0, 0, Done::Erased, &[0]),
            (0, 0, Done::NothingHeld, &[1, 2, 3]),
            (1, 0, Done::NothingHeld, &[0, 1]),
            (1, 0, Done::Retained, &[2]),
            (1, 0, Done::Erased, &[3]),
        ];
        let (state, people) = verdict(&plan, &[4], &rows).unwrap();
        assert_eq!(state, RequestState::ErasedWithRetention);
        assert_eq!(
            (people.erased, people.nothing_held, people.retained, people.total()),
            (2, 1, 1, 4)
        );
    }

    #[test]
    fn nothing_held_needs_everybody_to_be_unknown_everywhere() {
        let plan = plan(&[("profiles", 1)]);
        let unknown: [(usize, u32, Done, &[usize]); 1] = [(0, 0, Done::NothingHeld, &[0])];
        assert_eq!(verdict(&plan, &[1], &unknown).unwrap().0, RequestState::NothingHeld);
        let both: [(usize, u32, Done, &[usize]); 2] = [(0, 0, Done::NothingHeld, &[0]), (0, 0, Done::Erased, &[0])];
        assert_eq!(verdict(&plan, &[1], &both).unwrap().0, RequestState::Erased);
    }

    #[test]
    fn each_operation_has_its_own_end() {
        let plan = plan(&[("profiles", 1)]);
        let found = evidence(&[(0, 0, Done::Erased, &[0])]);
        let end = |operation| judge(operation, &plan, &[1], &found).map(|it| it.state);
        assert_eq!(end(Operation::Erase), Some(RequestState::Erased));
        assert_eq!(end(Operation::Deactivate), Some(RequestState::Deactivated));
        assert_eq!(end(Operation::Reactivate), Some(RequestState::Reactivated));
    }
}
