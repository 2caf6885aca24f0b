//! Looking without changing anything.

use super::batch::{Parent, Person};
use super::perform::{Act, counts, depth, parent};
use super::{Schema, Store};
use crate::engine::{Access, Session};
use crate::map::{Action, Ident, Reach, Rule};
use crate::statement::{Branch, Filter};
use erasure_protocol::{Fault, Finding, Findings, Ground, Millis, Operation, Subject, TenantId};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How much a look tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FindMode {
    /// How many rows.
    Counts,
    /// The personal columns' values of the first rows as well: personal data, for whoever asked for the look-up.
    Values,
}

/// A row that children refer to: whose it is, the columns they refer to, and its values in these.
type ParentRow = (usize, Vec<Ident>, Vec<Option<String>>);

impl Store {
    /// What the store holds of each subject, in order: one finding for each rule that finds something still to be erased, and for
    /// what is kept under a ground.
    ///
    /// With `accepted_at`, rows that the map knows to be younger are spared: they belong to somebody new.
    ///
    /// A row that several people share (an account) is counted to a person only while the person has a part in it.
    ///
    /// # Errors
    /// With the store's fault.
    pub async fn find(
        &self,
        tenant: &TenantId,
        subjects: &[Arc<Subject>],
        accepted_at: Option<Millis>,
        mode: FindMode,
    ) -> Result<Vec<Findings>, Fault> {
        let mut found: Vec<BTreeMap<usize, Finding>> = vec![BTreeMap::new(); subjects.len()];
        if subjects.is_empty() {
            return Ok(Vec::new());
        }
        let schema = self.schema().await?;
        let people: Vec<Person<'_>> = subjects
            .iter()
            .enumerate()
            .map(|(ordinal, subject)| Person {
                ordinal,
                tenant,
                subject,
                accepted_at,
            })
            .collect();
        let mut session = self.begin(Access::Look).await?;
        let rules: Vec<&Rule> = self.section().rules.iter().collect();
        let mut parents: BTreeMap<&str, Vec<ParentRow>> = BTreeMap::new();
        let mut looking: Vec<(usize, &Rule)> = rules.iter().copied().enumerate().collect();
        looking.sort_by_key(|(_, rule)| depth(rule, &rules));
        for (at, rule) in looking {
            let branches = match &rule.reach {
                Reach::Match(alternatives) => self.branches(&schema, rule, alternatives, &people),
                Reach::Through(through) => {
                    let rows = parents.get(through.rule.as_str()).map(Vec::as_slice).unwrap_or_default();
                    let rows: Vec<Parent> = rows
                        .iter()
                        .map(|(ordinal, columns, values)| Parent {
                            ordinal: *ordinal,
                            tenant: tenant.clone(),
                            accepted_at,
                            values: through
                                .on
                                .iter()
                                .map(|(_, there)| {
                                    let at = columns.iter().position(|column| column == there.ident())?;
                                    values.get(at).cloned().flatten()
                                })
                                .collect(),
                        })
                        .collect();
                    self.children(&schema, rule, through, &rows)
                }
            };
            if branches.is_empty() {
                continue;
            }
            if rules.iter().any(|other| parent(other) == Some(rule.name.as_str())) {
                let rows = self.as_parents(&mut *session, &schema, rule, &rules, &branches).await?;
                parents.insert(rule.name.as_str(), rows);
            }
            for (ordinal, finding) in self.look(&mut *session, &schema, rule, &branches, mode).await? {
                if let Some(found) = found.get_mut(ordinal) {
                    found.insert(at, finding);
                }
            }
        }
        let has_part = |found: &BTreeMap<usize, Finding>, rule: &Rule| match &rule.when_last {
            Some(last) => found.keys().any(|at| rules[*at].table == last.table),
            None => true,
        };
        let findings = found.into_iter().map(|it| {
            let own = it.iter().filter(|(at, _)| has_part(&it, rules[**at]));
            Findings(own.map(|(_, finding)| finding.clone()).collect())
        });
        Ok(findings.collect())
    }

    async fn look(
        &self,
        session: &mut dyn Session,
        schema: &Schema,
        rule: &Rule,
        branches: &[Branch],
        mode: FindMode,
    ) -> Result<BTreeMap<usize, Finding>, Fault> {
        let target = self.target(schema, rule);
        let changes = schema.typed(rule, Act::of(rule, Operation::Erase).changes());
        let filter = Filter {
            open: (!changes.is_empty()).then_some(&changes[..]),
            ownerless: None,
        };
        let kept = match &rule.erase {
            Action::Keep { because, .. } => Some(Ground(because.clone())),
            Action::Delete | Action::Anonymise(_) => None,
        };
        let rows = self.fetch(session, &rule.table, target.count(branches, filter)).await?;
        let mut findings: BTreeMap<usize, Finding> = counts(rows)
            .map(|(ordinal, rows)| {
                let finding = Finding {
                    store: self.name.clone(),
                    table: rule.table.to_string(),
                    rule: rule.name.to_string(),
                    rows,
                    values: Vec::new(),
                    kept: kept.clone(),
                };
                (ordinal, finding)
            })
            .collect();
        if mode == FindMode::Values && !findings.is_empty() {
            let columns = shown(rule);
            for row in self
                .fetch(session, &rule.table, target.show(branches, &columns, filter))
                .await?
            {
                let mut values = row.into_iter();
                let ordinal = values.next().flatten().and_then(|ordinal| ordinal.parse().ok());
                if let Some(finding) = ordinal.and_then(|ordinal: usize| findings.get_mut(&ordinal)) {
                    finding
                        .values
                        .push(columns.iter().map(|column| column.as_str().to_owned()).zip(values).collect());
                }
            }
        }
        Ok(findings)
    }

    /// All rows of a rule with the columns that its children refer to.
    async fn as_parents(
        &self,
        session: &mut dyn Session,
        schema: &Schema,
        rule: &Rule,
        rules: &[&Rule],
        branches: &[Branch],
    ) -> Result<Vec<ParentRow>, Fault> {
        let mut columns: Vec<Ident> = Vec::new();
        for other in rules {
            if let Reach::Through(through) = &other.reach
                && through.rule == rule.name
            {
                columns.extend(through.on.iter().map(|(_, there)| there.ident().clone()));
            }
        }
        let target = self.target(schema, rule);
        let sql = target.hold(branches, &columns, &[], Filter::default(), false, None);
        let rows = self.fetch(session, &rule.table, sql).await?;
        let parents = rows.into_iter().filter_map(|row| {
            let mut values = row.into_iter();
            let ordinal = values.next()??.parse().ok()?;
            Some((
                ordinal,
                columns.clone(),
                values.skip(target.key.len()).take(columns.len()).collect(),
            ))
        });
        Ok(parents.collect())
    }
}

/// What a look-up shows of a row: the columns that match, those that identify, and those named personal.
fn shown(rule: &Rule) -> Vec<Ident> {
    let mut columns: Vec<Ident> = Vec::new();
    let mut add = |column: &Ident| {
        if !columns.contains(column) {
            columns.push(column.clone());
        }
    };
    rule.personal.iter().for_each(|name| add(name));
    if let Reach::Match(alternatives) = &rule.reach {
        alternatives.iter().flat_map(|it| &it.columns).for_each(|(name, _)| add(name));
    }
    rule.resolves.values().for_each(|name| add(name));
    if let Action::Anonymise(changes) = &rule.erase {
        changes.iter().for_each(|change| add(&change.column));
    }
    columns
}
