//! The customer's store of the double: rows of people, an identity, and the troubles a store can have.

use erasure_protocol::{Ground, IdentifierKind, Millis, Record, Resolution, Subject, TenantId};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// One row of a person.
#[derive(Clone, Debug)]
pub struct MemoryRow {
    /// Whose customer the person is.
    pub tenant: TenantId,
    /// The identifiers in the row.
    pub record: Record,
    /// When it was made. A row without it is never spared.
    pub created_at: Option<Millis>,
    /// It is kept on this ground until this moment.
    pub kept: Option<(Ground, Millis)>,
    /// The person may log in.
    pub active: bool,
}

impl MemoryRow {
    /// A plain row.
    #[must_use]
    pub fn new(tenant: TenantId, record: Record, created_at: Millis) -> Self {
        Self {
            tenant,
            record,
            created_at: Some(created_at),
            kept: None,
            active: true,
        }
    }
}

/// What is wrong with a store for as long as nobody mends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Nobody can connect.
    Unreachable,
    /// It can be looked into, but not changed now.
    Busy,
}

/// Everything in a store at one moment, such as a standby has it.
#[derive(Clone, Debug)]
pub struct Snapshot(BTreeMap<u64, MemoryRow>);

/// A store in memory. It outlives the "processes" that work on it. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct MemoryStore(Arc<Mutex<State>>);

/// What one transaction sees.
#[derive(Debug)]
pub(super) struct State {
    pub(super) name: String,
    pub(super) timeline: u32,
    pub(super) trouble: Option<Trouble>,
    pub(super) rows: BTreeMap<u64, MemoryRow>,
    /// What finds a person, each a set of kinds.
    pub(super) alternatives: Vec<Vec<IdentifierKind>>,
    /// Its rows say who is who.
    pub(super) knows_people: bool,
    /// Rows that the store refuses to change, by any identifier in them.
    pub(super) guarded: BTreeSet<String>,
    /// People whom somebody writes back once, right after they were erased.
    pub(super) written_back: BTreeSet<String>,
    /// What a vendor was asked to do, by reference: when it will be done.
    pub(super) jobs: BTreeMap<String, Millis>,
    next: u64,
}

impl MemoryStore {
    /// An empty store of this name, in which any of `alternatives` finds a person.
    #[must_use]
    pub fn new(name: impl Into<String>, alternatives: Vec<Vec<IdentifierKind>>) -> Self {
        Self(Arc::new(Mutex::new(State {
            name: name.into(),
            timeline: 1,
            trouble: None,
            rows: BTreeMap::new(),
            alternatives,
            knows_people: true,
            guarded: BTreeSet::new(),
            written_back: BTreeSet::new(),
            jobs: BTreeMap::new(),
            next: 0,
        })))
    }

    /// The store has rows of people, but is not asked who they are.
    #[must_use]
    pub fn that_only_follows(self) -> Self {
        self.state().knows_people = false;
        self
    }

    /// Adds a row.
    pub fn insert(&self, row: MemoryRow) {
        self.state().insert(row);
    }

    /// The rows that hold this identifier, whoever owns them and whenever they were made.
    #[must_use]
    pub fn rows_with(&self, kind: &IdentifierKind, value: &str) -> Vec<MemoryRow> {
        let state = self.state();
        let holds = |row: &&MemoryRow| row.record.get(kind).is_some_and(|it| it.expose() == value);
        state.rows.values().filter(holds).cloned().collect()
    }

    /// How many rows there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.state().rows.len()
    }

    /// What a standby has at this moment.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(self.state().rows.clone())
    }

    /// A standby with an older copy takes over: what was committed since is lost, and the store is on a new timeline.
    pub fn fail_over_to(&self, copy: Snapshot) {
        let mut state = self.state();
        state.rows = copy.0;
        state.timeline += 1;
    }

    /// Something is wrong from now on, or nothing any more.
    pub fn set_trouble(&self, trouble: Option<Trouble>) {
        self.state().trouble = trouble;
    }

    /// A constraint forbids to change rows with this identifier, until [`Self::unguard`].
    pub fn guard(&self, value: &str) {
        self.state().guarded.insert(value.to_owned());
    }

    /// Somebody lifted the constraints.
    pub fn unguard(&self) {
        self.state().guarded.clear();
    }

    /// Somebody will write the person with this identifier back, once, between the erasure and the read-back.
    pub fn write_back_once(&self, value: &str) {
        self.state().written_back.insert(value.to_owned());
    }

    /// The vendor behind the store forgets what it was asked to do.
    pub fn forget_jobs(&self) {
        self.state().jobs.clear();
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    pub(super) fn insert(&mut self, row: MemoryRow) {
        self.next += 1;
        self.rows.insert(self.next, row);
    }

    /// The rows of a person that may be touched. With `accepted_at`, younger rows belong to somebody new.
    pub(super) fn rows_of(&self, tenant: &TenantId, subject: &Subject, accepted_at: Option<Millis>) -> Vec<u64> {
        let is_spared = |row: &MemoryRow| matches!((row.created_at, accepted_at), (Some(made), Some(at)) if made > at);
        let ways = self.ways_to(subject);
        let matches = |row: &MemoryRow| subject.records.iter().any(|record| is_same(ways, record, &row.record));
        self.rows
            .iter()
            .filter(|(_, row)| row.tenant == *tenant && !is_spared(row) && matches(row))
            .map(|(id, _)| *id)
            .collect()
    }

    /// Where people are found, who was found is known by the first complete way alone: an e-mail address may be somebody else's by
    /// now. Elsewhere all ways count, as in a store behind a data map.
    fn ways_to(&self, subject: &Subject) -> &[Vec<IdentifierKind>] {
        let is_complete = |kinds: &Vec<IdentifierKind>| {
            let mut records = subject.records.iter();
            records.any(|record| kinds.iter().all(|kind| record.contains_key(kind)))
        };
        let is_known = self.knows_people && subject.resolution == Resolution::Found;
        match self.alternatives.iter().position(is_complete) {
            Some(first) if is_known => &self.alternatives[first..=first],
            Some(_) | None => &self.alternatives,
        }
    }
}

/// Whether one of the ways to find a person leads from one record to the other.
fn is_same(ways: &[Vec<IdentifierKind>], one: &Record, other: &Record) -> bool {
    let equal = |kind: &IdentifierKind| match (one.get(kind), other.get(kind)) {
        (Some(one), Some(other)) => normalise(kind, one.expose()) == normalise(kind, other.expose()),
        (Some(_) | None, _) => false,
    };
    ways.iter().any(|kinds| kinds.iter().all(equal))
}

/// E-mail addresses compare without case, everything else as it is.
pub(super) fn normalise(kind: &IdentifierKind, value: &str) -> String {
    match kind.as_str() {
        "email" => value.trim().to_lowercase(),
        _ => value.to_owned(),
    }
}
