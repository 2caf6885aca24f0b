//! One batch against a subsystem: bounded in time, safe against a panic, and cut in halves when something in it is to blame.

use crate::{AnySubsystem, Subsystem as _};
use erasure_drill::die_of;
use erasure_protocol::{Blame, Fault, FaultClass, FaultCode, Operation, Outcome, SubsystemName, Task};
use futures_util::FutureExt as _;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

/// What a batch came to: an outcome for each task, and the fault of the store, if it was that, so that the lane can pause.
pub(crate) struct Performed {
    pub(crate) outcomes: Vec<Outcome>,
    pub(crate) store_fault: Option<Fault>,
}

/// Performs the tasks. A fault of the store is everybody's outcome; a fault of the batch, or a panic, is pursued by halving until
/// the culprit stands alone.
pub(crate) async fn perform(
    subsystem: &AnySubsystem,
    name: &SubsystemName,
    operation: Operation,
    tasks: &[Task],
    limit: Duration,
) -> Performed {
    let mut outcomes: Vec<Option<Outcome>> = vec![None; tasks.len()];
    let mut store_fault = None;
    let mut open = Vec::from([std::ops::Range {
        start: 0,
        end: tasks.len(),
    }]);
    while let Some(range) = open.pop() {
        if range.is_empty() {
            continue;
        }
        match attempt(subsystem, name, operation, &tasks[range.clone()], limit).await {
            Ok(answers) => {
                outcomes[range]
                    .iter_mut()
                    .zip(answers)
                    .for_each(|(slot, answer)| *slot = Some(answer));
            }
            Err(fault) if fault.blame == Blame::Store => {
                outcomes[range].iter_mut().for_each(|slot| *slot = Some(fall(&fault)));
                // The store is not asked again in this batch: who is still open shares its fate.
                open.drain(..)
                    .for_each(|rest| outcomes[rest].iter_mut().for_each(|slot| *slot = Some(fall(&fault))));
                store_fault = Some(fault);
            }
            Err(fault) if range.len() == 1 => outcomes[range.start] = Some(fall(&fault)),
            Err(_) => {
                let middle = range.start + range.len() / 2;
                open.push(middle..range.end);
                open.push(range.start..middle);
            }
        }
    }
    let unanswered = Fault::new(FaultClass::Transient, Blame::Subject, FaultCode::Panicked, name.as_str());
    let outcomes = outcomes
        .into_iter()
        .map(|it| it.unwrap_or_else(|| Outcome::Retry(unanswered.clone())))
        .collect();
    Performed { outcomes, store_fault }
}

async fn attempt(
    subsystem: &AnySubsystem,
    name: &SubsystemName,
    operation: Operation,
    tasks: &[Task],
    limit: Duration,
) -> Result<Vec<Outcome>, Fault> {
    tasks.iter().for_each(|task| die_of(&task.request, task.number));
    let work = AssertUnwindSafe(subsystem.perform(operation, tasks)).catch_unwind();
    match tokio::time::timeout(limit, work).await {
        Ok(Ok(Ok(outcomes))) if outcomes.len() == tasks.len() => Ok(outcomes),
        Ok(Ok(Err(fault))) => Err(fault),
        // A panic and an answer of the wrong length are the same defect: it cannot be said what became of whom.
        Ok(Ok(Ok(_)) | Err(_)) => Err(Fault::new(
            FaultClass::Poison,
            Blame::Batch,
            FaultCode::Panicked,
            name.as_str(),
        )),
        Err(_) => Err(Fault::new(
            FaultClass::Transient,
            Blame::Store,
            FaultCode::StoreTimeout,
            name.as_str(),
        )),
    }
}

fn fall(fault: &Fault) -> Outcome {
    match fault.class {
        FaultClass::Transient | FaultClass::Throttled => Outcome::Retry(fault.clone()),
        FaultClass::Permanent | FaultClass::Poison => Outcome::Failed(fault.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Subsystem;
    use erasure_protocol::{Attempt, EvidenceKey, Findings, Millis, Options, Record, RequestId, RequestKey, Subject, TenantId};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Panics on one subject, blames the batch for another, and is otherwise well.
    struct Moody {
        panics_on: u64,
        refuses: u64,
        store_down: bool,
        calls: Arc<AtomicUsize>,
    }

    impl Subsystem for Moody {
        async fn perform(&self, _: Operation, tasks: &[Task]) -> Result<Vec<Outcome>, Fault> {
            self.calls.fetch_add(1, Ordering::SeqCst);
            if self.store_down {
                return Err(Fault::new(
                    FaultClass::Transient,
                    Blame::Store,
                    FaultCode::StoreUnreachable,
                    "crm",
                ));
            }
            assert!(tasks.iter().all(|task| task.number != self.panics_on), "told to");
            if tasks.iter().any(|task| task.number == self.refuses) {
                return Err(Fault::new(
                    FaultClass::Permanent,
                    Blame::Batch,
                    FaultCode::ConstraintHolds,
                    "crm",
                ));
            }
            Ok(vec![Outcome::Erased; tasks.len()])
        }
        async fn find(&self, _: &TenantId, subjects: &[Arc<Subject>], _: Option<Millis>) -> Result<Vec<Findings>, Fault> {
            Ok(vec![Findings::default(); subjects.len()])
        }
        async fn evidence(&self) -> Result<EvidenceKey, Fault> {
            Ok(EvidenceKey([0; 16]))
        }
        fn map_digest(&self) -> [u8; 16] {
            [0; 16]
        }
    }

    fn tasks(count: u64) -> Vec<Task> {
        let tenant = TenantId::new("acme").unwrap();
        let request = RequestKey::of(&tenant, &RequestId::new("1").unwrap());
        let task = |number| Task {
            request,
            tenant: tenant.clone(),
            number,
            subject: Arc::new(Subject::given(Record::new())),
            attempt: Attempt::First,
            accepted_at: Millis(0),
            deadline: Millis(1),
            options: Options::default(),
            reference: None,
        };
        (0..count).map(task).collect()
    }

    async fn run(panics_on: u64, refuses: u64, store_down: bool) -> (Performed, usize) {
        let calls = Arc::new(AtomicUsize::new(0));
        let moody = AnySubsystem::new(Moody {
            panics_on,
            refuses,
            store_down,
            calls: Arc::clone(&calls),
        });
        let name = SubsystemName::new("moody").unwrap();
        let done = perform(&moody, &name, Operation::Erase, &tasks(64), Duration::from_secs(5)).await;
        (done, calls.load(Ordering::SeqCst))
    }

    #[tokio::test]
    async fn one_that_panics_and_one_that_is_refused_cost_nobody_else_anything() {
        let (done, _) = run(17, 40, false).await;
        let failed: Vec<_> = done
            .outcomes
            .iter()
            .enumerate()
            .filter_map(|(at, it)| {
                if let Outcome::Failed(fault) = it {
                    Some((at, fault.code))
                } else {
                    None
                }
            })
            .collect();
        assert_eq!(failed, [(17, FaultCode::Panicked), (40, FaultCode::ConstraintHolds)]);
        assert_eq!(done.outcomes.iter().filter(|it| **it == Outcome::Erased).count(), 62);
        assert!(done.store_fault.is_none());
    }

    #[tokio::test]
    async fn a_store_that_is_down_is_asked_once() {
        let (done, calls) = run(u64::MAX, u64::MAX, true).await;
        assert_eq!(calls, 1);
        assert!(
            done.outcomes
                .iter()
                .all(|it| matches!(it, Outcome::Retry(fault) if fault.code == FaultCode::StoreUnreachable))
        );
        assert!(done.store_fault.is_some());
    }
}
