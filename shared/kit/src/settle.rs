//! From the outcomes of one item's tasks to what has to be said and done about them: pure, and tested as a table.

use erasure_protocol::{
    Disposition, Done, Fault, FaultCode, Ground, Mask, Millis, Outcome, Reference, RetryPolicy, Rung, Sealed, TaskOutcome,
    dispose,
};
use std::collections::BTreeMap;

/// What became of the wanted tasks of one item. Its masks do not overlap, and together they are exactly the tasks wanted.
#[derive(Clone, Debug, Default)]
pub(crate) struct ItemReport {
    /// How many attempts have been made, this one included.
    pub(crate) attempts: u32,
    /// Evidence: erased.
    pub(crate) erased: Mask,
    /// Evidence: nothing was held.
    pub(crate) nothing_held: Mask,
    /// Evidence: erased but for what must be kept, by ground and end.
    pub(crate) retained: Vec<(Ground, Millis, Mask)>,
    /// Left to the ledger until the other side is to be asked again.
    pub(crate) pending: Vec<(Millis, BTreeMap<usize, Reference>)>,
    /// To be published again.
    pub(crate) again: Vec<Again>,
    /// Left to the ledger to be sent out afresh: what came may not change anything any more, however often it is tried.
    pub(crate) expired: Mask,
    /// Parked, by fault.
    pub(crate) parked: Vec<(Fault, Mask)>,
}

/// Checks that are due within this many milliseconds are due together, at the later end: they travel as one report and one item.
const CHECKS_TOGETHER_MS: i64 = 250;

fn together(check_at: Millis) -> Millis {
    Millis(check_at.0.saturating_add(CHECKS_TOGETHER_MS - 1) / CHECKS_TOGETHER_MS * CHECKS_TOGETHER_MS)
}

/// Tasks that share a reason and a waiting time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Again {
    pub(crate) rung: Rung,
    /// How many attempts have failed, this one included if it was one.
    pub(crate) attempt: u32,
    pub(crate) fault: Fault,
    pub(crate) tasks: Mask,
}

impl ItemReport {
    /// Sorts the outcomes of an item's tasks, given as (position, outcome). `failed_before` is the item's count of failed attempts.
    pub(crate) fn of<'a>(
        policy: &RetryPolicy,
        failed_before: u32,
        outcomes: impl IntoIterator<Item = (usize, &'a Outcome)>,
    ) -> Self {
        let mut report = Self {
            attempts: failed_before + 1,
            ..Self::default()
        };
        for (position, outcome) in outcomes {
            match outcome {
                Outcome::Retry(fault) if fault.code == FaultCode::Expired => report.expired.set(position),
                _ => report.add(position, outcome, dispose(policy, failed_before, outcome)),
            }
        }
        report
    }

    fn add(&mut self, position: usize, outcome: &Outcome, disposition: Disposition) {
        match disposition {
            Disposition::Mark(Done::Erased) => self.erased.set(position),
            Disposition::Mark(Done::NothingHeld) => self.nothing_held.set(position),
            Disposition::Mark(Done::Retained | Done::Failed) | Disposition::Follow => self.add_followed(position, outcome),
            Disposition::Again { rung, attempt } => {
                if let Outcome::Retry(fault) = outcome {
                    let same = |it: &&mut Again| it.rung == rung && it.attempt == attempt && it.fault == *fault;
                    match self.again.iter_mut().find(same) {
                        Some(again) => again.tasks.set(position),
                        None => {
                            let tasks = [position].into_iter().collect();
                            self.again.push(Again {
                                rung,
                                attempt,
                                fault: fault.clone(),
                                tasks,
                            });
                        }
                    }
                }
            }
            Disposition::Park(fault) => match self.parked.iter_mut().find(|(it, _)| *it == fault) {
                Some((_, tasks)) => tasks.set(position),
                None => self.parked.push((fault, [position].into_iter().collect())),
            },
        }
    }

    fn add_followed(&mut self, position: usize, outcome: &Outcome) {
        match outcome {
            Outcome::Retained { ground, until } => match self.retained.iter_mut().find(|(g, u, _)| g == ground && u == until) {
                Some((_, _, tasks)) => tasks.set(position),
                None => self.retained.push((ground.clone(), *until, [position].into_iter().collect())),
            },
            Outcome::Pending { reference, check_at } => {
                let check_at = together(*check_at);
                match self.pending.iter_mut().find(|(at, _)| *at == check_at) {
                    Some((_, references)) => {
                        references.insert(position, reference.clone());
                    }
                    None => self.pending.push((check_at, [(position, reference.clone())].into())),
                }
            }
            Outcome::Erased | Outcome::NothingHeld | Outcome::Retry(_) | Outcome::Failed(_) => {}
        }
    }

    /// All tasks with a retained outcome.
    pub(crate) fn retained_tasks(&self) -> Mask {
        self.retained.iter().fold(Mask::EMPTY, |all, (_, _, tasks)| all.or(tasks))
    }

    /// All tasks that wait for somebody else.
    pub(crate) fn pending_tasks(&self) -> Mask {
        self.pending
            .iter()
            .flat_map(|(_, references)| references.keys().copied())
            .collect()
    }

    /// All tasks that are tried again, now or in a fresh item.
    pub(crate) fn retrying_tasks(&self) -> Mask {
        self.again_tasks().or(&self.expired)
    }

    /// All tasks that will be published again.
    pub(crate) fn again_tasks(&self) -> Mask {
        self.again.iter().fold(Mask::EMPTY, |all, again| all.or(&again.tasks))
    }

    /// All parked tasks.
    pub(crate) fn parked_tasks(&self) -> Mask {
        self.parked.iter().fold(Mask::EMPTY, |all, (_, tasks)| all.or(tasks))
    }

    /// Every task that the report speaks of.
    pub(crate) fn all_tasks(&self) -> Mask {
        [
            self.nothing_held,
            self.retained_tasks(),
            self.pending_tasks(),
            self.retrying_tasks(),
            self.parked_tasks(),
        ]
        .iter()
        .fold(self.erased, |all, tasks| all.or(tasks))
    }

    /// When the tasks that are not at their end are due again: the earliest of their waits.
    pub(crate) fn due(&self, now: Millis) -> Option<Millis> {
        let waits = self.again.iter().map(|again| now.plus(again.rung.delay()));
        self.pending.iter().map(|(at, _)| *at).chain(waits).min()
    }

    /// What the ledger must hear of: everything but erased and nothing held. `seal` seals the references of waiting tasks.
    ///
    /// # Errors
    /// When sealing fails.
    pub(crate) fn outcomes<E>(
        &self,
        now: Millis,
        mut seal: impl FnMut(&BTreeMap<usize, Reference>) -> Result<Sealed, E>,
    ) -> Result<Vec<TaskOutcome>, E> {
        let retained = self.retained.iter().map(|(ground, until, tasks)| TaskOutcome::Retained {
            tasks: *tasks,
            ground: ground.clone(),
            until: *until,
        });
        let again = self.again.iter().map(|it| TaskOutcome::Retry {
            tasks: it.tasks,
            fault: it.fault.clone(),
            attempt: it.attempt,
            next_try: now.plus(it.rung.delay()),
        });
        let parked = self.parked.iter().map(|(fault, tasks)| TaskOutcome::Failed {
            tasks: *tasks,
            fault: fault.clone(),
            attempt: self.attempts,
        });
        let mut outcomes: Vec<_> = retained.chain(again).chain(parked).collect();
        for (check_at, references) in &self.pending {
            outcomes.push(TaskOutcome::Pending {
                tasks: references.keys().copied().collect(),
                check_at: *check_at,
                references: seal(references)?,
            });
        }
        Ok(outcomes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use erasure_protocol::{Blame, FaultClass};

    fn fault(class: FaultClass) -> Fault {
        Fault::new(class, Blame::Subject, FaultCode::StoreBusy, "crm")
    }

    #[test]
    fn the_masks_partition_the_tasks_whatever_the_outcomes() {
        let kept = Outcome::Retained {
            ground: Ground("tax".into()),
            until: Millis(9),
        };
        let waits = Outcome::Pending {
            reference: Reference("r".into()),
            check_at: Millis(7),
        };
        let outcomes = [
            Outcome::Erased,
            Outcome::NothingHeld,
            kept.clone(),
            kept,
            waits.clone(),
            waits,
            Outcome::Retry(fault(FaultClass::Transient)),
            Outcome::Retry(fault(FaultClass::Transient)),
            Outcome::Retry(fault(FaultClass::Throttled)),
            Outcome::Failed(fault(FaultClass::Permanent)),
            Outcome::Retry(Fault::new(FaultClass::Transient, Blame::Subject, FaultCode::Expired, "crm")),
        ];
        let report = ItemReport::of(&RetryPolicy::default(), 0, outcomes.iter().enumerate());
        assert_eq!(report.all_tasks(), Mask::first(11));
        let parts = [
            report.erased,
            report.nothing_held,
            report.retained_tasks(),
            report.pending_tasks(),
            report.again_tasks(),
            report.parked_tasks(),
            report.expired,
        ];
        assert_eq!(parts.iter().map(Mask::count).sum::<usize>(), 11);
        assert_eq!(report.again.len(), 2, "throttling is no attempt, so it travels apart");
        assert_eq!(report.again[0].attempt, 1);
        assert_eq!(report.again[1].attempt, 0);
        assert_eq!(
            report.due(Millis(0)),
            Some(Millis(250)),
            "checks of the same quarter of a second are one"
        );
        let said = report.outcomes(Millis(0), |_| Ok::<_, ()>(Sealed(vec![]))).unwrap();
        let spoken = said.iter().fold(Mask::EMPTY, |all, it| all.or(it.tasks()));
        assert_eq!(
            spoken,
            Mask::first(10).without(&Mask::first(2)),
            "of what has expired there is nothing to say"
        );
    }
}
