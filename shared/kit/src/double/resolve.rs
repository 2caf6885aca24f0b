//! Finding people in the store of the double.

use super::store::{State, normalise};
use super::subsystem::MemorySubsystem;
use crate::Resolve;
use erasure_protocol::{Fault, IdentifierKind, Record, Resolution, Subject, TenantId};
use std::collections::BTreeSet;

impl Resolve for MemorySubsystem {
    fn alternatives(&self) -> Vec<Vec<IdentifierKind>> {
        self.store.state().alternatives.clone()
    }

    fn kinds(&self) -> Vec<IdentifierKind> {
        let kinds: BTreeSet<IdentifierKind> = self.alternatives().into_iter().flatten().collect();
        kinds.into_iter().collect()
    }

    async fn resolve(&self, tenant: &TenantId, given: &[Record]) -> Result<Vec<Subject>, Fault> {
        self.ask("store.resolve", |state| {
            Ok(given.iter().map(|record| look_for(state, tenant, record)).collect())
        })
        .await
    }

    fn normalise(&self, kind: &IdentifierKind, value: &str) -> String {
        normalise(kind, value)
    }
}

/// The first way to find a person is by an id that is theirs alone: rows that share it are aliases of one person.
fn look_for(state: &State, tenant: &TenantId, given: &Record) -> Subject {
    let mut subject = Subject::given(given.clone());
    let rows = state.rows_of(tenant, &subject, None);
    let mut records: BTreeSet<Record> = rows.iter().map(|id| state.rows[id].record.clone()).collect();
    let id_of = |record: &Record| {
        let kinds = state.alternatives.first().map_or(&[][..], Vec::as_slice);
        kinds.iter().map(|kind| record.get(kind).cloned()).collect::<Option<Vec<_>>>()
    };
    let people: BTreeSet<_> = records.iter().map(id_of).collect();
    let aliases = state.rows.values().filter(|row| row.tenant == *tenant);
    let aliases: Vec<Record> = aliases
        .filter(|row| id_of(&row.record).is_some() && people.contains(&id_of(&row.record)))
        .map(|row| row.record.clone())
        .collect();
    match people.len() {
        0 => {}
        1 => {
            records.extend(aliases);
            subject.resolution = Resolution::Found;
            subject.records.extend(records);
        }
        _ => subject.resolution = Resolution::Ambiguous,
    }
    subject
}
