//! Changing the rows held, and settling what was counted of them.

use super::Store;
use super::hold::{Held, HeldRow};
use super::perform::{Act, Run};
use crate::engine::{Row, Session};
use crate::fault;
use crate::live::TypeName;
use crate::map::{Change, CountedIn, Ident, KeepOption, Rule, Strategy};
use crate::statement::{Branch, Condition, Target};
use erasure_protocol::{Fault, FaultCode, Ground, Millis, Operation, TenantId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const DAY_MS: i64 = 86_400_000;

impl<'a> Run<'a> {
    /// Changes the rows held; what that takes off counts elsewhere.
    pub(super) async fn apply(
        &mut self,
        session: &mut dyn Session,
        held: &Held<'a>,
    ) -> Result<Vec<(&'a CountedIn, TenantId, Row)>, Fault> {
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
    pub(super) async fn settle(
        &self,
        session: &mut dyn Session,
        removed: Vec<(&'a CountedIn, TenantId, Row)>,
    ) -> Result<(), Fault> {
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
