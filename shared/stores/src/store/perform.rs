//! Carrying out an operation on a batch: hold what is meant, change it, settle counts, commit, read back.

use super::batch::{Parent, Person};
use super::{Schema, Store};
use crate::engine::{Access, Row, Session};
use crate::fault;
use crate::live::TypeName;
use crate::map::{Action, Change, CountedIn, Ident, KeepOption, Reach, Rule, Strategy};
use crate::statement::{Branch, Condition, Filter, Target};
use erasure_protocol::{Attempt, Fault, FaultCode, Ground, Millis, Operation, Outcome, Resolution, Task, TenantId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const DAY_MS: i64 = 86_400_000;

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
    touched: Vec<u64>,
    kept: Vec<Option<(Ground, Millis)>>,
    /// Parents' rows by rule, read before the first change: later nobody could.
    pub(super) parents: BTreeMap<String, Vec<Parent>>,
    /// The keys of changed rows by rule, where keys last.
    pub(super) changed: BTreeMap<String, Vec<(usize, Row)>>,
}

/// The rows of a rule that are meant.
struct Held<'a> {
    rule: &'a Rule,
    columns: Vec<Ident>,
    rows: Vec<HeldRow>,
}

#[derive(Clone)]
struct HeldRow {
    ordinal: usize,
    key: Row,
    values: Row,
    open: bool,
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

    fn decide(&mut self, ordinal: usize, outcome: Outcome) {
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
            if task.deadline < now {
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
        if deadline.is_some_and(|deadline| deadline < now) {
            return Err(fault::of(FaultCode::Expired, store.subsystem.as_str()));
        }
        let committed = session.commit().await;
        committed.map_err(|error| store.noted(fault::fault(&error, &store.name)))?;
        Ok(limit.map(|_| met))
    }

    /// The rule's rows, locked when they are to be changed.
    async fn hold(
        &mut self,
        session: &mut dyn Session,
        rule: &'a Rule,
        rules: &[&'a Rule],
        held: &BTreeMap<&str, Held<'a>>,
        limit: Option<usize>,
    ) -> Result<Held<'a>, Fault> {
        let (store, schema, act) = (self.store, Arc::clone(&self.schema), Act::of(rule, self.operation));
        let columns = needed(rule, rules, act.changes());
        let nothing = Held {
            rule,
            columns: Vec::new(),
            rows: Vec::new(),
        };
        let parent_of_others = rules.iter().any(|other| parent(other) == Some(rule.name.as_str()));
        if matches!(act, Act::Nothing) && !parent_of_others {
            return Ok(nothing);
        }
        let branches = match &rule.reach {
            Reach::Match(alternatives) => store.branches(&schema, rule, alternatives, &self.people()),
            Reach::Through(through) => {
                let parents = held
                    .get(through.rule.as_str())
                    .map(|parent| self.parents_of(rule, parent))
                    .unwrap_or_default();
                store.children(&schema, rule, through, &parents)
            }
        };
        if branches.is_empty() {
            return Ok(nothing);
        }
        let changes = schema.typed(rule, act.changes());
        let only_open = limit.is_some() && !changes.is_empty();
        let filter = Filter {
            open: only_open.then_some(&changes[..]),
            ownerless: None,
        };
        let lock = matches!(act, Act::Delete | Act::Change(_));
        let target = store.target(&schema, rule);
        let sql = target.hold(&branches, &columns, &changes, filter, lock, limit);
        let width = target.key.len();
        let rows = store.fetch(session, &rule.table, sql).await?;
        let rows = rows.into_iter().filter_map(|row| held_row(row, width)).collect();
        Ok(Held { rule, columns, rows })
    }

    /// The parent's rows as its child needs them.
    fn parents_of(&self, child: &Rule, parent: &Held<'_>) -> Vec<Parent> {
        let Reach::Through(through) = &child.reach else {
            return Vec::new();
        };
        let slots: Vec<_> = through
            .on
            .iter()
            .filter_map(|(_, there)| parent.columns.iter().position(|column| column == there.ident()))
            .collect();
        let rows = parent.rows.iter();
        rows.map(|row| Parent {
            ordinal: row.ordinal,
            tenant: self.tasks[row.ordinal].tenant.clone(),
            accepted_at: Some(self.tasks[row.ordinal].accepted_at),
            values: slots.iter().map(|at| row.values.get(*at).cloned().flatten()).collect(),
        })
        .collect()
    }

    fn remember_parents(&mut self, rules: &[&'a Rule], held: &BTreeMap<&str, Held<'a>>) {
        for child in rules {
            if let Some(parent) = parent(child).and_then(|parent| held.get(parent)) {
                let parents = self.parents_of(child, parent);
                self.parents
                    .entry(child.name.as_str().to_owned())
                    .or_default()
                    .extend(parents);
            }
        }
    }

    /// Who has more rows than the cap; each is decided as failed.
    fn wide(&mut self, held: &BTreeMap<&str, Held<'a>>) -> BTreeSet<usize> {
        let mut wide = BTreeSet::new();
        let operation = self.operation;
        for it in held
            .values()
            .filter(|it| matches!(Act::of(it.rule, operation), Act::Delete | Act::Change(_)))
        {
            let mut counts: BTreeMap<usize, u64> = BTreeMap::new();
            it.rows.iter().for_each(|row| *counts.entry(row.ordinal).or_default() += 1);
            for (ordinal, _) in counts
                .into_iter()
                .filter(|(_, count)| *count > u64::from(it.rule.rows_per_subject_max))
            {
                let source = self.store.source(&it.rule.table);
                self.decide(ordinal, Outcome::Failed(fault::of(FaultCode::RowCapExceeded, &source)));
                wide.insert(ordinal);
            }
        }
        wide
    }

    /// Changes the rows held; what that takes off counts elsewhere.
    async fn apply(&mut self, session: &mut dyn Session, held: &Held<'a>) -> Result<Vec<(&'a CountedIn, TenantId, Row)>, Fault> {
        let (store, schema, rule) = (self.store, Arc::clone(&self.schema), held.rule);
        let target = store.target(&schema, rule);
        match Act::of(rule, self.operation) {
            Act::Nothing => Ok(Vec::new()),
            Act::Keep(because, for_days) => {
                for row in &held.rows {
                    let until = Millis(
                        self.tasks[row.ordinal]
                            .accepted_at
                            .0
                            .saturating_add(i64::from(for_days) * DAY_MS),
                    );
                    // Of several grounds, the one that lasts longest is the answer.
                    let kept = &mut self.kept[row.ordinal];
                    if kept.as_ref().is_none_or(|(_, other)| *other < until) {
                        *kept = Some((Ground(because.to_owned()), until));
                    }
                }
                Ok(Vec::new())
            }
            Act::Change(changes) => {
                let typed = schema.typed(rule, changes);
                let open: Vec<&HeldRow> = held.rows.iter().filter(|row| row.open).collect();
                let rows = self.pseudonymised(&target, &typed, held, &open)?;
                if !rows.is_empty() {
                    let sql = target.change(&rows, &typed);
                    let went = store.fetch(session, &rule.table, sql).await?;
                    if self.operation == Operation::Erase {
                        self.credit(&open, &went);
                    }
                    if schema.table(&rule.table).is_some_and(|live| live.key_lasts(store.dialect())) {
                        let keys = open.iter().map(|row| (row.ordinal, row.key.clone()));
                        self.changed.entry(rule.name.as_str().to_owned()).or_default().extend(keys);
                    }
                }
                // A person who was inactive already has been deactivated: whoever was met counts.
                if self.operation != Operation::Erase {
                    held.rows.iter().for_each(|row| self.touched[row.ordinal] += 1);
                }
                Ok(Vec::new())
            }
            Act::Delete => {
                let meant: Vec<&HeldRow> = held.rows.iter().filter(|row| !self.preserves(rule, row.ordinal)).collect();
                let rows = self.keys(&target, &meant);
                if rows.is_empty() {
                    return Ok(Vec::new());
                }
                let counted: Vec<Ident> = rule
                    .counted_in
                    .iter()
                    .flat_map(|it| &it.on)
                    .map(|(here, _)| here.ident().clone())
                    .collect();
                let sql = target.delete(&rows, &counted, rule.when_last.as_ref());
                let went = store.fetch(session, &rule.table, sql).await?;
                self.credit(&meant, &went);
                let Some(counted_in) = &rule.counted_in else {
                    return Ok(Vec::new());
                };
                let width = target.key.len();
                let owner: BTreeMap<&[Option<String>], usize> = meant.iter().map(|row| (&row.key[..], row.ordinal)).collect();
                let settling = went.into_iter().filter_map(|row| {
                    let ordinal = owner.get(row.get(..width)?)?;
                    Some((counted_in, self.tasks[*ordinal].tenant.clone(), row.get(width..)?.to_vec()))
                });
                Ok(settling.collect())
            }
        }
    }

    pub(super) fn preserves(&self, rule: &Rule, ordinal: usize) -> bool {
        match rule.when_last.as_ref().and_then(|last| last.unless) {
            Some(KeepOption::PreserveEmptyAccount) => self.tasks[ordinal].options.preserve_empty_account,
            None => false,
        }
    }

    /// Rows to name rows by: key, and tenant where there is one. Each row once, however many people it belongs to.
    fn keys(&self, target: &Target<'_>, rows: &[&HeldRow]) -> Vec<Row> {
        let mut keys: Vec<Row> = rows.iter().map(|row| self.key(target, row)).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    fn key(&self, target: &Target<'_>, row: &HeldRow) -> Row {
        let mut key = row.key.clone();
        if let Some((_, kind)) = &target.tenant {
            key.push(kind.fit(self.tasks[row.ordinal].tenant.as_str()));
        }
        key
    }

    fn pseudonymised(
        &self,
        target: &Target<'_>,
        changes: &[(Change, TypeName)],
        held: &Held<'_>,
        rows: &[&HeldRow],
    ) -> Result<Vec<Row>, Fault> {
        let wanted = changes.iter().filter(|(change, _)| change.strategy == Strategy::Pseudonym);
        let mut slots = Vec::new();
        for (change, kind) in wanted {
            let at = held.columns.iter().position(|column| column == change.column.ident());
            let fits = kind.is_text() || kind.is_uuid();
            let Some(at) = at.filter(|_| fits) else {
                let source = format!("{}.{}", self.store.source(target.table), change.column);
                return Err(fault::of(FaultCode::DataNotFit, &source));
            };
            slots.push((at, kind));
        }
        let mut keys: Vec<Row> = Vec::with_capacity(rows.len());
        for row in rows {
            let mut key = self.key(target, row);
            for (at, kind) in &slots {
                let old = row.values.get(*at).cloned().flatten();
                key.push(old.map(|old| self.store.pseudonym(&self.tasks[row.ordinal].tenant, &old, kind)));
            }
            keys.push(key);
        }
        keys.sort_unstable();
        keys.dedup();
        Ok(keys)
    }

    /// Each row that went counts for everyone who held it.
    fn credit(&mut self, rows: &[&HeldRow], went: &[Row]) {
        let width = rows.first().map_or(0, |row| row.key.len());
        let went: BTreeSet<&[Option<String>]> = went.iter().filter_map(|row| row.get(..width)).collect();
        for row in rows.iter().filter(|row| went.contains(&row.key[..])) {
            self.touched[row.ordinal] += 1;
        }
    }

    /// Takes what was removed off the materialised counts, all counters of a table at once, locked in the order of their ids.
    async fn settle(&self, session: &mut dyn Session, removed: Vec<(&'a CountedIn, TenantId, Row)>) -> Result<(), Fault> {
        let mut tallies: BTreeMap<String, (&CountedIn, BTreeMap<Row, u64>)> = BTreeMap::new();
        for (counted, _, row) in removed {
            let tally = tallies
                .entry(counted.table.to_string())
                .or_insert_with(|| (counted, BTreeMap::new()));
            *tally.1.entry(row).or_default() += 1;
        }
        let (store, schema) = (self.store, &self.schema);
        for (counted, tally) in tallies.into_values() {
            let kinds = counted
                .on
                .iter()
                .map(|(_, there)| (there.ident().clone(), schema.kind(&counted.table, there)));
            let conditions = kinds.enumerate().map(|(at, (column, kind))| Condition {
                column,
                kind,
                how: crate::map::Comparison::Exact,
                slot: at + 1,
            });
            let branch = Branch {
                conditions: conditions.collect(),
                created: None,
                width: counted.on.len() + 1,
                rows: tally
                    .into_iter()
                    .map(|(row, count)| std::iter::once(Some(count.to_string())).chain(row).collect())
                    .collect(),
            };
            let target = Target {
                dialect: store.dialect(),
                table: &counted.table,
                key: schema
                    .table(&counted.table)
                    .map(|live| live.key(store.dialect()))
                    .unwrap_or_default(),
                tenant: None,
            };
            store.fetch(session, &counted.table, target.lock_counters(&branch)).await?;
            store
                .fetch(session, &counted.table, target.subtract(&branch, &counted.column))
                .await?;
        }
        Ok(())
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

impl Held<'_> {
    /// Leaves alone every row that one of these people has, also where others have it too.
    fn leave(&mut self, people: &BTreeSet<usize>) {
        let theirs: BTreeSet<Row> = self
            .rows
            .iter()
            .filter(|row| people.contains(&row.ordinal))
            .map(|row| row.key.clone())
            .collect();
        self.rows.retain(|row| !theirs.contains(&row.key));
    }
}

impl Store {
    /// Equal values of a tenant stay equal, in every table, and nobody without the key gets back.
    fn pseudonym(&self, tenant: &TenantId, old: &str, kind: &TypeName) -> String {
        let mut bytes = erasure_privacy::keyed16(
            &self.pseudonym_key,
            &[b"pseudonym", tenant.as_str().as_bytes(), old.as_bytes()],
        );
        if kind.is_uuid() {
            // RFC 9562: version 8, variant 10.
            bytes[6] = (bytes[6] & 0x0f) | 0x80;
            bytes[8] = (bytes[8] & 0x3f) | 0x80;
        }
        let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        if kind.is_uuid() { digits } else { format!("anon-{digits}") }
    }
}

/// What is wanted of a rule's rows beside their keys: what children refer to, and what a pseudonym is made of.
fn needed(rule: &Rule, rules: &[&Rule], changes: &[Change]) -> Vec<Ident> {
    let mut columns: Vec<Ident> = Vec::new();
    for other in rules {
        if let Reach::Through(through) = &other.reach
            && through.rule == rule.name
        {
            columns.extend(through.on.iter().map(|(_, there)| there.ident().clone()));
        }
    }
    let pseudonyms = changes.iter().filter(|change| change.strategy == Strategy::Pseudonym);
    columns.extend(pseudonyms.map(|change| change.column.ident().clone()));
    columns.sort();
    columns.dedup();
    columns
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

fn held_row(row: Row, width: usize) -> Option<HeldRow> {
    let mut values = row.into_iter();
    let ordinal = values.next()??.parse().ok()?;
    let key = values.by_ref().take(width).collect();
    let mut values: Row = values.collect();
    let open = values.pop()?.as_deref() == Some("1");
    Some(HeldRow {
        ordinal,
        key,
        values,
        open,
    })
}

/// Ordinals and counts of a counting statement.
pub(super) fn counts(rows: Vec<Row>) -> impl Iterator<Item = (usize, u64)> {
    rows.into_iter().filter_map(|row| {
        let mut values = row.into_iter();
        Some((values.next()??.parse().ok()?, values.next()??.parse().ok()?))
    })
}
