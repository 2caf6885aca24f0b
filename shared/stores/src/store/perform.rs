//! Carrying out an operation on a batch: hold what is meant, change it, settle counts, commit, read back.

use super::batch::{Parent, Person};
use super::hold::Held;
use super::{Schema, Store};
use crate::engine::{Access, Row, Session};
use crate::fault;
use crate::map::{Action, Change, Reach, Rule};
use crate::statement::Filter;
use erasure_drill::{Point, Rule as Law, is_broken, point};
use erasure_protocol::{Attempt, Fault, FaultCode, Ground, Millis, Operation, Outcome, Resolution, Task};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How many rows of a table are changed in one transaction when the map does not say.
const ROWS_AT_ONCE_DEFAULT: usize = 50_000;

/// How a batch is cut into transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// One transaction for the whole batch: all or nothing.
    Whole,
    /// Table by table, by primary key, at most as many rows at once as the map allows, each chunk committed: for big tables.
    Chunks,
}

/// What an operation does with the rows of a rule.
pub(super) enum Act<'a> {
    Delete,
    Change(&'a [Change]),
    Keep(&'a str, u32),
    Nothing,
}

impl<'a> Act<'a> {
    pub(super) fn of(rule: &'a Rule, operation: Operation) -> Self {
        match operation {
            Operation::Erase => match &rule.erase {
                Action::Delete => Self::Delete,
                Action::Anonymise(changes) => Self::Change(changes),
                Action::Keep { because, for_days } => Self::Keep(because, *for_days),
            },
            Operation::Deactivate if !rule.deactivate.is_empty() => Self::Change(&rule.deactivate),
            Operation::Reactivate if !rule.reactivate.is_empty() => Self::Change(&rule.reactivate),
            Operation::Deactivate | Operation::Reactivate => Self::Nothing,
        }
    }

    pub(super) fn changes(&self) -> &'a [Change] {
        match self {
            Self::Change(changes) => changes,
            Self::Delete | Self::Keep(..) | Self::Nothing => &[],
        }
    }
}

/// A batch on its way.
pub(super) struct Run<'a> {
    pub(super) store: &'a Store,
    pub(super) schema: Arc<Schema>,
    pub(super) operation: Operation,
    pub(super) tasks: &'a [Task],
    /// What is decided before or beside the rows; these tasks are left alone.
    decided: Vec<Option<Outcome>>,
    /// Rows removed or changed (or, of a reversible operation, met).
    pub(super) touched: Vec<u64>,
    pub(super) kept: Vec<Option<(Ground, Millis)>>,
    /// Parents' rows by rule, read before the first change: later nobody could.
    pub(super) parents: BTreeMap<String, Vec<Parent>>,
    /// The keys of changed rows by rule, where keys last.
    pub(super) changed: BTreeMap<String, Vec<(usize, Row)>>,
}

impl Store {
    /// Does the operation for each task: one outcome per task, in order. What it calls erased is committed and read back.
    ///
    /// # Errors
    /// With the fault of the whole batch, of which nothing was changed then (in [`Pace::Chunks`]: of its last transaction).
    pub async fn perform(&self, operation: Operation, tasks: &[Task], pace: Pace) -> Result<Vec<Outcome>, Fault> {
        if tasks.is_empty() {
            return Ok(Vec::new());
        }
        let ambiguous = |task: &Task| match task.subject.resolution {
            Resolution::Ambiguous => Some(Outcome::Failed(fault::of(FaultCode::Ambiguous, self.subsystem.as_str()))),
            Resolution::Found | Resolution::Nobody => None,
        };
        let mut run = Run {
            store: self,
            schema: self.schema().await?,
            operation,
            tasks,
            decided: tasks.iter().map(ambiguous).collect(),
            touched: vec![0; tasks.len()],
            kept: vec![None; tasks.len()],
            parents: BTreeMap::new(),
            changed: BTreeMap::new(),
        };
        let done = match pace {
            Pace::Whole => run.transaction(&self.section().order(), None).await.map(|_| ()),
            Pace::Chunks => run.chunks().await,
        };
        match done {
            Ok(()) => {}
            // Time ran out: rolled back, so everything that was still to be done is still to be done.
            Err(fault) if fault.code == FaultCode::Expired => return Ok(run.expired(&fault)),
            Err(fault) => return Err(fault),
        }
        let residue = run.read_back().await?;
        Ok(run.outcomes(&residue))
    }
}

impl<'a> Run<'a> {
    pub(super) fn people(&self) -> Vec<Person<'a>> {
        let (tasks, decided) = (self.tasks, &self.decided);
        let open = tasks.iter().enumerate().filter(|(at, _)| decided[*at].is_none());
        open.map(|(ordinal, task)| Person {
            ordinal,
            tenant: &task.tenant,
            subject: &task.subject,
            accepted_at: Some(task.accepted_at),
        })
        .collect()
    }

    /// One family of rules after the other (a rule and those reached through it), each in as many transactions as it takes.
    async fn chunks(&mut self) -> Result<(), Fault> {
        let order = self.store.section().order();
        self.refuse_wide(&order).await?;
        for root in order.iter().filter(|rule| matches!(rule.reach, Reach::Match(_))) {
            let family: Vec<&Rule> = order
                .iter()
                .copied()
                .filter(|rule| root_of(rule, &order) == root.name.as_str())
                .collect();
            let limit = root.rows_at_once_max.map_or(ROWS_AT_ONCE_DEFAULT, |max| max as usize).max(1);
            let limit = match Act::of(root, self.operation) {
                Act::Delete => Some(limit),
                // Rows in their final form would be met again and again; without children, they can be passed over.
                Act::Change(_) if family.len() == 1 && self.operation == Operation::Erase => Some(limit),
                Act::Change(_) | Act::Keep(..) | Act::Nothing => None,
            };
            // Full chunks, until one is not full any more.
            loop {
                let met = self.transaction(&family, limit).await?;
                if limit.is_none() || met < limit {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Before anything is committed: subjects with more rows than the cap.
    async fn refuse_wide(&mut self, rules: &[&'a Rule]) -> Result<(), Fault> {
        let (store, schema) = (self.store, Arc::clone(&self.schema));
        let mut session = store.begin(Access::Look).await?;
        for rule in rules {
            if let (Reach::Match(alternatives), Act::Delete | Act::Change(_)) = (&rule.reach, Act::of(rule, self.operation)) {
                let branches = store.branches(&schema, rule, alternatives, &self.people());
                if branches.is_empty() {
                    continue;
                }
                let sql = store.target(&schema, rule).count(&branches, Filter::default());
                for (ordinal, count) in counts(store.fetch(&mut *session, &rule.table, sql).await?) {
                    if count > u64::from(rule.rows_per_subject_max) {
                        self.decide(
                            ordinal,
                            Outcome::Failed(fault::of(FaultCode::RowCapExceeded, &store.source(&rule.table))),
                        );
                    }
                }
            }
        }
        Ok(())
    }

    pub(super) fn decide(&mut self, ordinal: usize, outcome: Outcome) {
        if let Some(decided) = self.decided.get_mut(ordinal) {
            decided.get_or_insert(outcome);
        }
    }

    /// One transaction over these rules (in their order). How many rows of the rule with the limit were held.
    async fn transaction(&mut self, rules: &[&'a Rule], limit: Option<usize>) -> Result<Option<usize>, Fault> {
        let store = self.store;
        let mut session = store.begin(Access::Change).await?;
        let now = clock(store, &mut *session).await?;
        for (ordinal, task) in self.tasks.iter().enumerate() {
            if task.deadline < now && !is_broken(Law::SliceDeadline) {
                self.decide(
                    ordinal,
                    Outcome::Retry(fault::of(FaultCode::Expired, store.subsystem.as_str())),
                );
            }
        }
        let mut held: BTreeMap<&str, Held<'a>> = BTreeMap::new();
        // Owners first, by id, then what they own, then what is reached through it.
        let mut holding: Vec<&Rule> = rules.iter().rev().copied().collect();
        holding.sort_by_key(|rule| (rule.when_last.is_none(), depth(rule, rules)));
        for rule in holding {
            let of_root = limit.filter(|_| matches!(rule.reach, Reach::Match(_)));
            let rows = self.hold(&mut *session, rule, rules, &held, of_root).await?;
            held.insert(rule.name.as_str(), rows);
        }
        let wide = self.wide(&held);
        let met = held
            .values()
            .find(|it| matches!(it.rule.reach, Reach::Match(_)))
            .map_or(0, |it| it.rows.len());
        if !wide.is_empty() {
            held.values_mut().for_each(|it| it.leave(&wide));
        }
        self.remember_parents(rules, &held);
        let mut settling = Vec::new();
        for rule in rules {
            if let Some(held) = held.get(rule.name.as_str()) {
                settling.extend(self.apply(&mut *session, held).await?);
            }
        }
        self.settle(&mut *session, settling).await?;
        let touched = session.touch().await;
        touched.map_err(|error| store.noted(fault::fault(&error, &store.name)))?;
        let open = self.tasks.iter().zip(&self.decided).filter(|(_, decided)| decided.is_none());
        let deadline = open.map(|(task, _)| task.deadline).min();
        let now = clock(store, &mut *session).await?;
        if deadline.is_some_and(|deadline| deadline < now) && !is_broken(Law::SliceDeadline) {
            return Err(fault::of(FaultCode::Expired, store.subsystem.as_str()));
        }
        point(Point::StoreChanged).await;
        let committed = session.commit().await;
        committed.map_err(|error| store.noted(fault::fault(&error, &store.name)))?;
        point(Point::StoreCommitted).await;
        Ok(limit.map(|_| met))
    }

    fn expired(self, fault: &Fault) -> Vec<Outcome> {
        let decided = self.decided.into_iter();
        decided
            .map(|it| it.unwrap_or_else(|| Outcome::Retry(fault.clone())))
            .collect()
    }

    fn outcomes(self, residue: &BTreeMap<usize, String>) -> Vec<Outcome> {
        let each = self.decided.into_iter().zip(self.kept).enumerate();
        each.map(|(at, (decided, kept))| match (decided, residue.get(&at), kept) {
            (Some(decided), _, _) => decided,
            (None, Some(source), _) => Outcome::Retry(fault::of(FaultCode::ResidueFound, source)),
            (None, None, Some((ground, until))) => Outcome::Retained { ground, until },
            (None, None, None) if self.touched[at] > 0 => Outcome::Erased,
            (None, None, None) => match self.tasks[at].attempt {
                Attempt::First => Outcome::NothingHeld,
                Attempt::Later => Outcome::Erased,
            },
        })
        .collect()
    }
}

pub(super) fn parent(rule: &Rule) -> Option<&str> {
    match &rule.reach {
        Reach::Through(through) => Some(through.rule.as_str()),
        Reach::Match(_) => None,
    }
}

/// How many parents stand above the rule.
pub(super) fn depth(rule: &Rule, rules: &[&Rule]) -> usize {
    let above = parent(rule).and_then(|name| rules.iter().find(|other| other.name.as_str() == name));
    // A map with a circle is refused when it is read.
    above.map_or(0, |above| 1 + depth(above, rules))
}

fn root_of<'a>(rule: &'a Rule, rules: &[&'a Rule]) -> &'a str {
    let above = parent(rule).and_then(|name| rules.iter().find(|other| other.name.as_str() == name));
    above.map_or(rule.name.as_str(), |above| root_of(above, rules))
}

async fn clock(store: &Store, session: &mut dyn Session) -> Result<Millis, Fault> {
    let now = session.fetch(store.dialect().clock()).await;
    let now = now.map_err(|error| store.noted(fault::fault(&error, &store.name)))?;
    let now = now.into_iter().flatten().flatten().next().and_then(|now| now.parse().ok());
    now.map(Millis)
        .ok_or_else(|| fault::of(FaultCode::StoreInternal, &store.name))
}

/// Ordinals and counts of a counting statement.
pub(super) fn counts(rows: Vec<Row>) -> impl Iterator<Item = (usize, u64)> {
    rows.into_iter().filter_map(|row| {
        let mut values = row.into_iter();
        Some((values.next()??.parse().ok()?, values.next()??.parse().ok()?))
    })
}
