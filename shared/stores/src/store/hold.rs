//! Holding the rows that are meant: found, locked, and remembered with whose they are.

use super::batch::Parent;
use super::perform::{Act, Run, parent};
use crate::engine::{Row, Session};
use crate::fault;
use crate::map::{Change, Ident, Reach, Rule, Strategy};
use crate::statement::{Branch, Filter};
use erasure_protocol::{Fault, FaultCode, Outcome};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The rows of a rule that are meant.
pub(super) struct Held<'a> {
    pub(super) rule: &'a Rule,
    pub(super) columns: Vec<Ident>,
    pub(super) rows: Vec<HeldRow>,
}

/// One row, and whose it is.
#[derive(Clone)]
pub(super) struct HeldRow {
    pub(super) ordinal: usize,
    pub(super) key: Row,
    pub(super) values: Row,
    /// Not in its final form yet.
    pub(super) open: bool,
}

impl<'a> Run<'a> {
    /// The rule's rows, locked when they are to be changed.
    pub(super) async fn hold(
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
        let branches = self.branches(rule, held);
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
        let mut each: Vec<HeldRow> = Vec::with_capacity(rows.len());
        for row in rows.into_iter().filter_map(|row| held_row(row, width)) {
            // In order of key: the same again can only be among the last.
            let mut of_this_key = each.iter().rev().take_while(|other| other.key == row.key);
            if of_this_key.all(|other| other.ordinal != row.ordinal) {
                each.push(row);
            }
        }
        Ok(Held {
            rule,
            columns,
            rows: each,
        })
    }

    /// How the rule's rows are reached, with the rows of its parent as they are held.
    pub(super) fn branches(&self, rule: &Rule, held: &BTreeMap<&str, Held<'a>>) -> Vec<Branch> {
        let (store, schema) = (self.store, &self.schema);
        match &rule.reach {
            Reach::Match(alternatives) => store.branches(schema, rule, alternatives, &self.people()),
            Reach::Through(through) => {
                let parents = held
                    .get(through.rule.as_str())
                    .map(|parent| self.parents_of(rule, parent))
                    .unwrap_or_default();
                store.children(schema, rule, through, &parents)
            }
        }
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

    pub(super) fn remember_parents(&mut self, rules: &[&'a Rule], held: &BTreeMap<&str, Held<'a>>) {
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
    pub(super) fn wide(&mut self, held: &BTreeMap<&str, Held<'a>>) -> BTreeSet<usize> {
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
}

impl Held<'_> {
    /// Leaves alone every row that one of these people has, also where others have it too.
    pub(super) fn leave(&mut self, people: &BTreeSet<usize>) {
        let theirs: BTreeSet<Row> = self
            .rows
            .iter()
            .filter(|row| people.contains(&row.ordinal))
            .map(|row| row.key.clone())
            .collect();
        self.rows.retain(|row| !theirs.contains(&row.key));
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
