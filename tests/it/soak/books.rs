//! What was asked and what was told, as the oracle writes it down.

use super::load::{Command, Kind};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard},
    time::Instant,
};

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) people: Vec<u32>,
    /// Named people whom nobody had asked for before.
    pub(crate) is_fresh: bool,
    /// It was asked for when the added subsystem was in force everywhere.
    pub(crate) with_newsletter: bool,
    /// When it was handed in for the first time, whether or not anybody took it.
    pub(crate) handed_in: Instant,
    /// The broker or the API has taken it.
    pub(crate) taken: bool,
    pub(crate) accepted: bool,
    /// The ids of its final events.
    pub(crate) finals: BTreeSet<String>,
    pub(crate) words: BTreeSet<String>,
    pub(crate) ended: Option<Instant>,
}

/// Everything that is known. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Books(Arc<Mutex<Pages>>);

#[derive(Debug, Default)]
pub(crate) struct Pages {
    pub(crate) requests: BTreeMap<String, Entry>,
    /// *Erased* or *nothing held* that was not so, in words.
    pub(crate) falsehoods: Vec<String>,
    /// Other things that must not be told.
    pub(crate) surprises: Vec<String>,
    pub(crate) conflicts_handed_in: usize,
    pub(crate) duplicates_handed_in: usize,
    pub(crate) events: usize,
}

impl Books {
    pub(crate) fn open(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().expect("nobody panics with the books in hand")
    }

    /// A command is about to be handed in for the first time.
    pub(crate) fn handing_in(&self, command: &Command, with_newsletter: bool) {
        let mut pages = self.open();
        match command.kind {
            Kind::Conflict => pages.conflicts_handed_in += 1,
            Kind::Duplicate => pages.duplicates_handed_in += 1,
            Kind::Fresh | Kind::Overlap => {}
        }
        if command.kind == Kind::Conflict {
            return;
        }
        // A duplicate may be earlier than what it is a duplicate of.
        pages.requests.entry(command.id.clone()).or_insert_with(|| Entry {
            people: command.people.clone(),
            is_fresh: command.kind != Kind::Overlap,
            // Who was erased before the newsletter came is found by no other identifier any more.
            with_newsletter: with_newsletter && command.kind == Kind::Fresh,
            handed_in: Instant::now(),
            taken: false,
            accepted: false,
            finals: BTreeSet::new(),
            words: BTreeSet::new(),
            ended: None,
        });
    }

    /// Somebody took it.
    pub(crate) fn taken(&self, command: &Command) {
        if let Some(entry) = self.open().requests.get_mut(&command.id)
            && command.kind != Kind::Conflict
        {
            entry.taken = true;
        }
    }

    /// Whether the ledger has this request, as far as was told.
    pub(crate) fn is_accepted(&self, id: &str) -> bool {
        self.open().requests.get(id).is_some_and(|entry| entry.accepted)
    }

    /// How many requests were taken, and how many of those have ended.
    pub(crate) fn standing(&self) -> (usize, usize) {
        let pages = self.open();
        let taken = pages.requests.values().filter(|entry| entry.taken);
        taken.fold((0, 0), |(taken, ended), entry| {
            (taken + 1, ended + usize::from(entry.ended.is_some()))
        })
    }
}
