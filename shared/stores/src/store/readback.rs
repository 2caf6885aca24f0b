//! The read-back: what is still there after the commit.

use super::perform::{Act, Run, counts};
use crate::engine::Access;
use crate::map::{Comparison, Reach};
use crate::statement::{Branch, Condition, Filter};
use erasure_protocol::Fault;
use std::collections::BTreeMap;
use std::sync::Arc;

impl Run<'_> {
    /// Who still has something, and where: the table's name. On the primary, in a transaction begun after the commit.
    ///
    /// By match, and of changed rows by key as well, since a row that was unlinked matches nobody any more.
    pub(super) async fn read_back(&self) -> Result<BTreeMap<usize, String>, Fault> {
        let (store, schema) = (self.store, Arc::clone(&self.schema));
        let mut residue = BTreeMap::new();
        let mut session = store.begin(Access::Look).await?;
        for rule in &store.section().rules {
            let act = Act::of(rule, self.operation);
            if matches!(act, Act::Keep(..) | Act::Nothing) {
                continue;
            }
            let mut branches = match &rule.reach {
                Reach::Match(alternatives) => {
                    let mut people = self.people();
                    people.retain(|person| !self.preserves(rule, person.ordinal));
                    store.branches(&schema, rule, alternatives, &people)
                }
                Reach::Through(through) => {
                    let parents = self.parents.get(rule.name.as_str()).map(Vec::as_slice).unwrap_or_default();
                    store.children(&schema, rule, through, parents)
                }
            };
            let target = store.target(&schema, rule);
            if let Some(changed) = self.changed.get(rule.name.as_str()).filter(|changed| !changed.is_empty()) {
                let conditions = target.key.iter().enumerate().map(|(at, key)| Condition {
                    column: key.name.clone(),
                    kind: key.kind.clone(),
                    how: Comparison::Exact,
                    slot: at + 1,
                });
                branches.push(Branch {
                    conditions: conditions.collect(),
                    created: None,
                    width: target.key.len() + 1,
                    rows: changed
                        .iter()
                        .map(|(ordinal, key)| {
                            std::iter::once(Some(ordinal.to_string()))
                                .chain(key.iter().cloned())
                                .collect()
                        })
                        .collect(),
                });
            }
            if branches.is_empty() {
                continue;
            }
            let changes = schema.typed(rule, act.changes());
            let filter = Filter {
                open: (!changes.is_empty()).then_some(&changes[..]),
                ownerless: rule.when_last.as_ref().filter(|_| matches!(act, Act::Delete)),
            };
            let sql = target.count(&branches, filter);
            for (ordinal, _) in counts(store.fetch(&mut *session, &rule.table, sql).await?).filter(|(_, count)| *count > 0) {
                residue.entry(ordinal).or_insert_with(|| store.source(&rule.table));
            }
        }
        Ok(residue)
    }
}
