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
    /// Where a table has more rows than the map allows at once: table by table, by primary key, so many at a time, each chunk
    /// committed. For big tables.
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

/// Why a transaction was not carried out.
enum Halt {
    Fault(Fault),
    /// Nothing is wrong, but rows must be held before they are changed.
    HoldFirst,
    /// Nothing is wrong, but it is too much for one transaction.
    Full,
}

/// How many rows of a rule are changed in one transaction, by the rule's name.
type Limits<'a> = BTreeMap<&'a str, usize>;

/// What to do when a rule has as many rows as its limit.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Full {
    Commit,
    Undo,
}

fn is_reached(limit: Option<usize>, rows: usize, full: Full) -> Result<bool, Halt> {
    match (limit.is_some_and(|limit| rows >= limit), full) {
        (true, Full::Undo) => Err(Halt::Full),
        (is_reached, _) => Ok(is_reached),
    }
}

impl From<Fault> for Halt {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
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
            Pace::Whole => run
                .transaction(&self.section().order(), &Limits::new(), Full::Commit)
                .await
                .map(|_| ()),
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

    /// Everything in one transaction, if no table has as many rows as are changed at once. Else one family of rules after the other
    /// (a rule and those reached through it), each in as many transactions as it takes.
    async fn chunks(&mut self) -> Result<(), Fault> {
        let order = self.store.section().order();
        let limits = self.limits(&order);
        if !self.transaction(&order, &limits, Full::Undo).await? {
            return Ok(());
        }
        self.refuse_wide(&order).await?;
        for root in order.iter().filter(|rule| matches!(rule.reach, Reach::Match(_))) {
            let family = family(root, &order);
            // Full chunks, until one is not full any more.
            while self.transaction(&family, &limits, Full::Commit).await? {}
        }
        Ok(())
    }

    /// How many rows of each rule that can be cut are changed in one transaction.
    fn limits(&self, order: &[&'a Rule]) -> Limits<'a> {
        let can_be_cut = |rule: &Rule| match (&rule.reach, Act::of(rule, self.operation)) {
            (Reach::Match(_), Act::Delete) => true,
            // Rows in their final form would be met again and again; without children, they can be passed over.
            (Reach::Match(_), Act::Change(_)) => family(rule, order).len() == 1 && self.operation == Operation::Erase,
            (Reach::Match(_), Act::Keep(..) | Act::Nothing) | (Reach::Through(_), _) => false,
        };
        let cut = order.iter().filter(|rule| can_be_cut(rule));
        cut.map(|rule| {
            let limit = rule.rows_at_once_max.map_or(ROWS_AT_ONCE_DEFAULT, |max| max as usize);
            (rule.name.as_str(), limit.max(1))
        })
        .collect()
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

    /// One transaction over these rules (in their order). Whether some rule had as many rows as its limit: there may be more.
    ///
    /// Where the database can, rows that nothing else depends on are taken at once. That leaves open whose rows they were when people
    /// share them, and knows of too many only when they are gone: then it is all undone, and done again by holding first.
    async fn transaction(&mut self, rules: &[&'a Rule], limits: &Limits<'a>, full: Full) -> Result<bool, Fault> {
        let before = (self.touched.clone(), self.decided.clone());
        for takes in [self.store.dialect().takes(), false] {
            match self.attempt(rules, limits, full, takes).await {
                Ok(is_full) => return Ok(is_full),
                Err(Halt::HoldFirst) => (self.touched, self.decided) = before.clone(),
                Err(Halt::Full) => {
                    (self.touched, self.decided) = before;
                    return Ok(true);
                }
                Err(Halt::Fault(fault)) => return Err(fault),
            }
        }
        Err(fault::of(FaultCode::StoreInternal, &self.store.name))
    }

    async fn attempt(&mut self, rules: &[&'a Rule], limits: &Limits<'a>, full: Full, takes: bool) -> Result<bool, Halt> {
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
        let mut is_full = false;
        let mut held: BTreeMap<&str, Held<'a>> = BTreeMap::new();
        // Owners first, by id, then what they own, then what is reached through it.
        let is_taken = |rule: &Rule| takes && self.can_be_taken(rule, rules);
        let mut holding: Vec<&Rule> = rules.iter().rev().copied().filter(|rule| !is_taken(rule)).collect();
        holding.sort_by_key(|rule| (rule.when_last.is_none(), depth(rule, rules)));
        for rule in holding {
            let limit = limits.get(rule.name.as_str()).copied();
            let rows = self.hold(&mut *session, rule, rules, &held, limit).await?;
            is_full |= is_reached(limit, rows.rows.len(), full)?;
            held.insert(rule.name.as_str(), rows);
        }
        let wide = self.wide(&held);
        if !wide.is_empty() && takes {
            return Err(Halt::HoldFirst);
        }
        if !wide.is_empty() {
            held.values_mut().for_each(|it| it.leave(&wide));
        }
        self.remember_parents(rules, &held);
        let mut settling = Vec::new();
        for rule in rules {
            match held.get(rule.name.as_str()) {
                Some(held) => settling.extend(self.apply(&mut *session, held).await?),
                None => {
                    let limit = limits.get(rule.name.as_str()).copied();
                    let taken = self.take(&mut *session, rule, &held, limit).await?;
                    is_full |= is_reached(limit, taken, full)?;
                }
            }
        }
        self.settle(&mut *session, settling).await?;
        let touched = session.touch().await;
        touched.map_err(|error| store.noted(fault::fault(&error, &store.name)))?;
        let open = self.tasks.iter().zip(&self.decided).filter(|(_, decided)| decided.is_none());
        let deadline = open.map(|(task, _)| task.deadline).min();
        let now = clock(store, &mut *session).await?;
        if deadline.is_some_and(|deadline| deadline < now) && !is_broken(Law::SliceDeadline) {
            return Err(fault::of(FaultCode::Expired, store.subsystem.as_str()).into());
        }
        point(Point::StoreChanged).await;
        let committed = session.commit().await;
        committed.map_err(|error| store.noted(fault::fault(&error, &store.name)))?;
        point(Point::StoreCommitted).await;
        Ok(is_full)
    }

    /// Whether rows of the rule may go before anybody has seen them: nothing is reached through them, counted of them, or decided by
    /// who else has some.
    fn can_be_taken(&self, rule: &Rule, rules: &[&Rule]) -> bool {
        matches!(Act::of(rule, self.operation), Act::Delete)
            && rule.when_last.is_none()
            && rule.counted_in.is_none()
            && !rules.iter().any(|other| parent(other) == Some(rule.name.as_str()))
    }

    /// Deletes the rule's rows without having held them before. How many there were.
    async fn take(
        &mut self,
        session: &mut dyn Session,
        rule: &Rule,
        held: &BTreeMap<&str, Held<'a>>,
        limit: Option<usize>,
    ) -> Result<usize, Halt> {
        let branches = self.branches(rule, held);
        if branches.is_empty() {
            return Ok(0);
        }
        let sql = self.store.target(&self.schema, rule).take(&branches, limit);
        let mut met = 0;
        for row in self.store.fetch(session, &rule.table, sql).await? {
            let mut values = row.into_iter().map(|value| value.and_then(|value| value.parse::<u64>().ok()));
            let (Some(ordinal), Some(held), Some(gone)) =
                (values.next().flatten(), values.next().flatten(), values.next().flatten())
            else {
                return Err(Halt::HoldFirst);
            };
            let touched = usize::try_from(ordinal).ok().and_then(|at| self.touched.get_mut(at));
            let Some(touched) = touched.filter(|_| held == gone && held <= u64::from(rule.rows_per_subject_max)) else {
                return Err(Halt::HoldFirst);
            };
            *touched += gone;
            met += usize::try_from(held).unwrap_or(usize::MAX);
        }
        Ok(met)
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

/// A rule and those reached through it.
fn family<'a>(root: &Rule, rules: &[&'a Rule]) -> Vec<&'a Rule> {
    let of_root = rules.iter().filter(|rule| root_of(rule, rules) == root.name.as_str());
    of_root.copied().collect()
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
