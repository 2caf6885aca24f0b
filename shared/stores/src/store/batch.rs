//! Subjects as the rows that statements join with.

use super::{Schema, Store};
use crate::engine::Row;
use crate::map::{Alternative, Comparison, Rule, Tenancy, Through};
use crate::statement::{Branch, Condition};
use erasure_protocol::{Millis, Resolution, Subject, TenantId};

/// One subject of a batch: what of it decides which rows are its.
pub(super) struct Person<'a> {
    pub(super) ordinal: usize,
    pub(super) tenant: &'a TenantId,
    pub(super) subject: &'a Subject,
    /// Younger rows belong to somebody new.
    pub(super) accepted_at: Option<Millis>,
}

/// A parent's row: whose it is, and the values that its children refer to.
#[derive(Clone)]
pub(super) struct Parent {
    pub(super) ordinal: usize,
    pub(super) tenant: TenantId,
    pub(super) accepted_at: Option<Millis>,
    pub(super) values: Row,
}

impl Store {
    /// How the rule finds these people by their identifiers. Empty when none has any that the rule knows.
    pub(super) fn branches(
        &self,
        schema: &Schema,
        rule: &Rule,
        alternatives: &[Alternative],
        people: &[Person<'_>],
    ) -> Vec<Branch> {
        let one = |at: usize, alternative: &Alternative| {
            let kinds: Vec<_> = alternative.columns.iter().map(|(_, kind)| kind).collect();
            let meant = people.iter().filter(|person| uses(rule, alternatives, at, person.subject));
            let rows = meant.flat_map(|person| {
                let tuples = person.subject.tuples(&kinds);
                tuples
                    .into_iter()
                    .filter_map(|tuple| self.row(schema, rule, alternative, person, &tuple))
            });
            let rows: Vec<Row> = rows.collect();
            self.branch(schema, rule, &columns_of(self, schema, rule, alternative), rows)
        };
        let branches = alternatives.iter().enumerate().map(|(at, alternative)| one(at, alternative));
        branches.filter(|branch| !branch.rows.is_empty()).collect()
    }

    /// How a child's rows are found from its parents' rows.
    pub(super) fn children(&self, schema: &Schema, rule: &Rule, through: &Through, parents: &[Parent]) -> Vec<Branch> {
        let kinds: Vec<_> = through.on.iter().map(|(child, _)| schema.kind(&rule.table, child)).collect();
        let rows = parents.iter().filter_map(|parent| {
            let mut row = self.head(schema, rule, parent.ordinal, &parent.tenant, parent.accepted_at)?;
            for (kind, value) in kinds.iter().zip(&parent.values) {
                row.push(Some(kind.fit(value.as_deref()?)?));
            }
            Some(row)
        });
        let mut rows: Vec<Row> = rows.collect();
        rows.sort_unstable();
        rows.dedup();
        let columns: Vec<_> = through
            .on
            .iter()
            .zip(kinds.iter().cloned())
            .map(|((child, _), kind)| (child.ident().clone(), kind, Comparison::Exact))
            .collect();
        let branch = self.branch(schema, rule, &columns, rows);
        Some(branch).filter(|branch| !branch.rows.is_empty()).into_iter().collect()
    }

    fn row(&self, schema: &Schema, rule: &Rule, alternative: &Alternative, person: &Person<'_>, tuple: &[&str]) -> Option<Row> {
        let mut row = self.head(schema, rule, person.ordinal, person.tenant, person.accepted_at)?;
        for ((column, kind), value) in alternative.columns.iter().zip(tuple) {
            let value = if self.map.comparison(kind).trims() {
                value.trim()
            } else {
                value
            };
            row.push(Some(schema.kind(&rule.table, column).fit(value)?));
        }
        Some(row)
    }

    /// The slots before the values: ordinal, tenant, moment of acceptance; the latter two only where the rule has them.
    fn head(&self, schema: &Schema, rule: &Rule, ordinal: usize, tenant: &TenantId, accepted_at: Option<Millis>) -> Option<Row> {
        let mut row = vec![Some(ordinal.to_string())];
        if let Tenancy::Column(column) = &rule.tenancy {
            row.push(Some(schema.kind(&rule.table, column).fit(tenant.as_str())?));
        }
        if rule.created.is_some() {
            // A look without a request sees everything.
            row.push(Some(accepted_at.map_or(i64::MAX, |at| at.0).to_string()));
        }
        Some(row)
    }

    fn branch(
        &self,
        schema: &Schema,
        rule: &Rule,
        columns: &[(crate::map::Ident, crate::live::TypeName, Comparison)],
        rows: Vec<Row>,
    ) -> Branch {
        let mut conditions = Vec::with_capacity(columns.len() + 1);
        let mut slot = 1;
        if let Tenancy::Column(column) = &rule.tenancy {
            conditions.push(Condition {
                column: column.ident().clone(),
                kind: schema.kind(&rule.table, column),
                how: Comparison::Exact,
                slot,
            });
            slot += 1;
        }
        let created = rule.created.as_ref().map(|column| {
            slot += 1;
            (column.ident().clone(), schema.kind(&rule.table, column), slot - 1)
        });
        for (column, kind, how) in columns {
            conditions.push(Condition {
                column: column.clone(),
                kind: kind.clone(),
                how: *how,
                slot,
            });
            slot += 1;
        }
        Branch {
            conditions,
            created,
            width: slot,
            rows,
        }
    }
}

fn columns_of(
    store: &Store,
    schema: &Schema,
    rule: &Rule,
    alternative: &Alternative,
) -> Vec<(crate::map::Ident, crate::live::TypeName, Comparison)> {
    let columns = alternative.columns.iter();
    columns
        .map(|(column, kind)| {
            (
                column.ident().clone(),
                schema.kind(&rule.table, column),
                store.map.comparison(kind),
            )
        })
        .collect()
}

/// Whether this alternative is used for the subject. Where people are found, a person who has been found is known by an id, and an
/// e-mail address may be somebody else's by now: the first complete alternative alone counts. Elsewhere all of them do.
fn uses(rule: &Rule, alternatives: &[Alternative], at: usize, subject: &Subject) -> bool {
    if rule.resolves.is_empty() || subject.resolution != Resolution::Found {
        return true;
    }
    let complete = |alternative: &Alternative| {
        let kinds: Vec<_> = alternative.columns.iter().map(|(_, kind)| kind).collect();
        !subject.tuples(&kinds).is_empty()
    };
    alternatives.iter().position(complete) == Some(at)
}
