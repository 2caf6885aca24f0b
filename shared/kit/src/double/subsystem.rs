//! The subsystem of the double: one process's way to a store in memory.

use super::store::{MemoryStore, State, Trouble};
use crate::{Subsystem, digest16};
use erasure_drill::{Rule, Weather, is_broken};
use erasure_protocol::{
    Attempt, Blame, EvidenceKey, Fault, FaultClass, FaultCode, Finding, Findings, Ground, Millis, Operation, Outcome, Reference,
    Resolution, Subject, Task, TenantId,
};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// A subsystem over a [`MemoryStore`]. Every call passes its weather, as `store.perform`, `store.read_back`, `store.find`,
/// `store.evidence` or `store.resolve`.
#[derive(Clone)]
pub struct MemorySubsystem {
    pub(super) store: MemoryStore,
    revision: u32,
    pub(super) weather: Weather,
    clock: Arc<dyn Fn() -> Millis + Send + Sync>,
    tasks_at_once: usize,
    takes: Option<Duration>,
}

impl fmt::Debug for MemorySubsystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemorySubsystem({})", self.store.state().name)
    }
}

impl MemorySubsystem {
    /// Works on this store, by this revision of the data map. The store's own clock is `clock`.
    #[must_use]
    pub fn new(store: &MemoryStore, revision: u32, weather: Weather, clock: impl Fn() -> Millis + Send + Sync + 'static) -> Self {
        Self {
            store: store.clone(),
            revision,
            weather,
            clock: Arc::new(clock),
            tasks_at_once: usize::MAX,
            takes: None,
        }
    }

    /// Commits after so many tasks, instead of once for all: a process that dies has done a part.
    #[must_use]
    pub fn in_chunks(mut self, tasks_at_once: usize) -> Self {
        self.tasks_at_once = tasks_at_once.max(1);
        self
    }

    /// Is a vendor, who accepts at once and has done it after this long.
    #[must_use]
    pub fn as_vendor(mut self, takes: Duration) -> Self {
        self.takes = Some(takes);
        self
    }

    pub(super) fn fault(&self, class: FaultClass, blame: Blame, code: FaultCode) -> Fault {
        Fault::new(class, blame, code, self.store.state().name.clone())
    }

    pub(super) fn unreachable(&self) -> Fault {
        self.fault(FaultClass::Transient, Blame::Store, FaultCode::StoreUnreachable)
    }

    /// One call, in which the store is asked once.
    pub(super) async fn ask<T>(
        &self,
        call: &'static str,
        effect: impl FnOnce(&mut State) -> Result<T, FaultCode>,
    ) -> Result<T, Fault> {
        let answer = self.weather.around(call, || {
            let mut state = self.store.state();
            match state.trouble {
                Some(Trouble::Unreachable) => Err(FaultCode::StoreUnreachable),
                Some(Trouble::Busy) if call == "store.perform" => Err(FaultCode::StoreBusy),
                Some(Trouble::Busy) | None => effect(&mut state),
            }
        });
        match answer.await {
            Err(_lost) => Err(self.unreachable()),
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(FaultCode::ConstraintHolds)) => {
                Err(self.fault(FaultClass::Permanent, Blame::Batch, FaultCode::ConstraintHolds))
            }
            Ok(Err(code)) => Err(self.fault(FaultClass::Transient, Blame::Store, code)),
        }
    }

    async fn chunk(&self, operation: Operation, tasks: &[Task]) -> Result<Vec<Outcome>, Fault> {
        let now = || (self.clock)();
        let done = self
            .ask("store.perform", |state| match self.takes {
                None => change(state, operation, tasks, now()),
                Some(takes) => hand_over(state, operation, tasks, now(), takes),
            })
            .await?;
        let residue = self
            .ask("store.read_back", |state| {
                Ok(tasks.iter().map(|task| is_left(state, operation, task)).collect::<Vec<_>>())
            })
            .await?;
        let outcomes = tasks.iter().zip(done).zip(residue);
        Ok(outcomes.map(|((task, done), left)| self.outcome(task, done, left)).collect())
    }

    fn outcome(&self, task: &Task, done: Effect, is_left: bool) -> Outcome {
        let fault = |class, code| self.fault(class, Blame::Subject, code);
        match done {
            Effect::Expired => Outcome::Retry(fault(FaultClass::Transient, FaultCode::Expired)),
            Effect::Ambiguous => Outcome::Failed(fault(FaultClass::Permanent, FaultCode::Ambiguous)),
            Effect::HandedOver(reference, check_at) => Outcome::Pending { reference, check_at },
            Effect::Touched(_) | Effect::Kept(..) if is_left => {
                Outcome::Retry(fault(FaultClass::Transient, FaultCode::ResidueFound))
            }
            Effect::Kept(ground, until) => Outcome::Retained { ground, until },
            Effect::Touched(0) if task.attempt == Attempt::First => Outcome::NothingHeld,
            Effect::Touched(_) => Outcome::Erased,
        }
    }
}

impl Subsystem for MemorySubsystem {
    async fn perform(&self, operation: Operation, tasks: &[Task]) -> Result<Vec<Outcome>, Fault> {
        let mut outcomes = Vec::with_capacity(tasks.len());
        for chunk in tasks.chunks(self.tasks_at_once.min(tasks.len()).max(1)) {
            outcomes.extend(self.chunk(operation, chunk).await?);
        }
        Ok(outcomes)
    }

    async fn find(
        &self,
        tenant: &TenantId,
        subjects: &[Arc<Subject>],
        accepted_at: Option<Millis>,
    ) -> Result<Vec<Findings>, Fault> {
        self.ask("store.find", |state| {
            let each = subjects.iter();
            Ok(each.map(|subject| findings(state, tenant, subject, accepted_at)).collect())
        })
        .await
    }

    async fn evidence(&self) -> Result<EvidenceKey, Fault> {
        let revision = self.revision;
        self.ask("store.evidence", |state| {
            let timeline = state.timeline.to_be_bytes();
            Ok(EvidenceKey(digest16(&[
                state.name.as_bytes(),
                &timeline,
                &revision.to_be_bytes(),
            ])))
        })
        .await
    }

    fn map_digest(&self) -> [u8; 16] {
        digest16(&[&self.revision.to_be_bytes()])
    }
}

/// What the store did for one task, before it was looked at again.
enum Effect {
    Touched(usize),
    Kept(Ground, Millis),
    HandedOver(Reference, Millis),
    Expired,
    Ambiguous,
}

/// One transaction: all of it, or nothing.
fn change(state: &mut State, operation: Operation, tasks: &[Task], now: Millis) -> Result<Vec<Effect>, FaultCode> {
    let is_guarded = |task: &&Task| {
        let rows = state.rows_of(&task.tenant, &task.subject, Some(task.accepted_at));
        let mut values = rows.iter().flat_map(|id| state.rows[id].record.values());
        values.any(|it| state.guarded.contains(it.expose()))
    };
    if tasks.iter().any(|task| is_guarded(&task)) {
        return Err(FaultCode::ConstraintHolds);
    }
    // Whose rows they were is asked before the first of them goes: one person may stand in a batch twice.
    let rows: Vec<Vec<u64>> = tasks
        .iter()
        .map(|task| state.rows_of(&task.tenant, &task.subject, Some(task.accepted_at)))
        .collect();
    let pairs = tasks.iter().zip(rows);
    Ok(pairs
        .map(|(task, rows)| change_one(state, operation, task, &rows, now))
        .collect())
}

fn change_one(state: &mut State, operation: Operation, task: &Task, rows: &[u64], now: Millis) -> Effect {
    if task.subject.resolution == Resolution::Ambiguous {
        return Effect::Ambiguous;
    }
    if task.deadline < now && !is_broken(Rule::SliceDeadline) {
        return Effect::Expired;
    }
    let kept = rows.iter().find_map(|id| state.rows.get(id)?.kept.clone());
    match operation {
        Operation::Erase => erase(state, rows),
        Operation::Deactivate | Operation::Reactivate => {
            let active = operation == Operation::Reactivate;
            for id in rows {
                if let Some(row) = state.rows.get_mut(id) {
                    row.active = active;
                }
            }
            return Effect::Touched(rows.len());
        }
    }
    kept.map_or(Effect::Touched(rows.len()), |(ground, until)| Effect::Kept(ground, until))
}

fn erase(state: &mut State, rows: &[u64]) {
    for id in rows {
        let Some(row) = state.rows.get(id).filter(|row| row.kept.is_none()).cloned() else {
            continue;
        };
        state.rows.remove(id);
        let named = row.record.values().map(|it| it.expose().to_owned());
        let named: Vec<String> = named.filter(|it| state.written_back.contains(it)).collect();
        if !named.is_empty() {
            state.written_back.retain(|it| !named.contains(it));
            state.insert(row);
        }
    }
}

/// A vendor: whoever asks twice has asked once.
fn hand_over(
    state: &mut State,
    operation: Operation,
    tasks: &[Task],
    now: Millis,
    takes: Duration,
) -> Result<Vec<Effect>, FaultCode> {
    let mut effects = Vec::with_capacity(tasks.len());
    for task in tasks {
        let reference = format!("{}/{}", task.request, task.number);
        let done_at = *state.jobs.entry(reference.clone()).or_insert(now.plus(takes));
        if now < done_at {
            effects.push(Effect::HandedOver(Reference(reference), done_at));
        } else {
            let rows = state.rows_of(&task.tenant, &task.subject, Some(task.accepted_at));
            effects.push(change_one(state, operation, task, &rows, now));
        }
    }
    Ok(effects)
}

fn is_left(state: &State, operation: Operation, task: &Task) -> bool {
    let rows = state.rows_of(&task.tenant, &task.subject, Some(task.accepted_at));
    rows.iter().filter_map(|id| state.rows.get(id)).any(|row| match operation {
        Operation::Erase => row.kept.is_none(),
        Operation::Deactivate => row.active,
        Operation::Reactivate => !row.active,
    })
}

fn findings(state: &State, tenant: &TenantId, subject: &Subject, accepted_at: Option<Millis>) -> Findings {
    let rows = state.rows_of(tenant, subject, accepted_at);
    let finding = |id: &u64| Finding {
        store: state.name.clone(),
        table: "people".to_owned(),
        rule: "people".to_owned(),
        rows: 1,
        values: Vec::new(),
        kept: state.rows[id].kept.as_ref().map(|(ground, _)| ground.clone()),
    };
    Findings(rows.iter().map(finding).collect())
}
