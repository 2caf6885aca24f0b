//! Who knows the truth: it looks into the stores at the very moment at which the world is told that somebody was erased, and
//! compares everything at the end.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use erasure_kit::double::{MemoryRow, MemoryStore};
use erasure_ledger::Ledger;
use erasure_protocol::{Event, EventKind, Header, Millis, RequestKey, RequestState};

use crate::scenario::Ask;
use crate::sky::Sky;
use crate::world::{WITH_PEOPLE, WITHOUT_ADDRESSES, kind, subsystem_name, user_id};

/// A store that fails over while a request is being brought to its end cannot be noticed any more. The look at its identity and
/// the end are less than this apart.
const FINALISING_MS: i64 = 3_000;

/// The oracle of one run.
pub(crate) struct Oracle {
    stores: Vec<MemoryStore>,
    sky: Sky,
    asks: Vec<Ask>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    rows: Vec<Inserted>,
    failovers: Vec<(usize, Millis)>,
    /// Rows that were there when the world was told that their owner is erased.
    seen: Vec<Seen>,
    /// The final events of each request, by id.
    finals: BTreeMap<String, BTreeMap<String, Event>>,
    confirmed: BTreeSet<(String, usize)>,
    given_up: BTreeSet<RequestKey>,
    redis_went_back: bool,
    /// How often somebody was told that a request needs attention.
    attention: usize,
    complaints: Vec<String>,
}

struct Inserted {
    store: usize,
    user: String,
    person: usize,
    created_at: Millis,
    is_kept: bool,
    is_lost: bool,
}

struct Seen {
    ask: String,
    store: usize,
    created_at: Millis,
    finished_at: Millis,
    at: i64,
}

impl Oracle {
    pub(crate) fn new(stores: Vec<MemoryStore>, sky: Sky, asks: Vec<Ask>) -> Self {
        Self {
            stores,
            sky,
            asks,
            state: Mutex::default(),
        }
    }

    pub(crate) fn was_inserted(&self, store: usize, user: &str, person: usize, created_at: Millis, is_kept: bool) {
        self.state().rows.push(Inserted {
            store,
            user: user.to_owned(),
            person,
            created_at,
            is_kept,
            is_lost: false,
        });
    }

    pub(crate) fn was_confirmed(&self, ask: &str, time: usize) {
        self.state().confirmed.insert((ask.to_owned(), time));
    }

    pub(crate) fn was_given_up(&self, request: RequestKey) {
        self.state().given_up.insert(request);
    }

    pub(crate) fn times_of_attention(&self) -> usize {
        self.state().attention
    }

    pub(crate) fn redis_went_back(&self) {
        self.state().redis_went_back = true;
    }

    pub(crate) fn complain(&self, text: String) {
        self.state().complaints.push(text);
    }

    /// A failover by this deed: rows may come back, and young ones may be lost.
    pub(crate) fn fails_over(&self, store: usize, deed: impl FnOnce()) {
        let before: Vec<bool> = self.state().rows.iter().map(|row| self.is_there(row)).collect();
        deed();
        let mut state = self.state();
        state.failovers.push((store, self.sky.now()));
        for (row, was_there) in state.rows.iter_mut().zip(before) {
            row.is_lost |= was_there && !self.is_there(row);
        }
    }

    fn is_there(&self, row: &Inserted) -> bool {
        let rows = self.stores[row.store].rows_with(&kind("user_id"), &row.user);
        rows.iter()
            .any(|it| it.created_at.unwrap_or(Millis(i64::MAX)) == row.created_at)
    }

    /// What the world is told, at the moment when it is told.
    pub(crate) fn hears(&self, body: &[u8]) {
        let Ok(event) = serde_json::from_slice::<Event>(body) else {
            return self.complain("an event cannot be read".to_owned());
        };
        let Some(id) = event.data.request_id.as_ref().map(ToString::to_string) else {
            return;
        };
        if event.data.state == EventKind::NeedsAttention {
            self.state().attention += 1;
        }
        let tells = [EventKind::Erased, EventKind::ErasedWithRetention, EventKind::NothingHeld];
        if tells.contains(&event.data.state) {
            self.look(&id, &event);
        }
        if is_final(event.data.state) {
            self.state().finals.entry(id).or_default().insert(event.id.clone(), event);
        }
    }

    fn look(&self, id: &str, event: &Event) {
        let Some(ask) = self.asks.iter().find(|ask| ask.id == id) else {
            return self.complain(format!("{id} was never asked for"));
        };
        for store in 0..self.stores.len() {
            for row in self.rows_of(ask, store) {
                let seen = Seen {
                    ask: id.to_owned(),
                    store,
                    created_at: row.created_at.unwrap_or(Millis(i64::MAX)),
                    finished_at: event.data.finished_at.unwrap_or(event.time),
                    at: self.sky.at(),
                };
                self.state().seen.push(seen);
            }
        }
    }

    /// The rows in a store that the ask is about, but for those that must be kept.
    fn rows_of(&self, ask: &Ask, store: usize) -> Vec<MemoryRow> {
        let state = self.state();
        let meant = |row: &&Inserted| row.store == store && self.leads_to(ask, row, &state.rows);
        let users: BTreeSet<String> = state.rows.iter().filter(meant).map(|row| row.user.clone()).collect();
        drop(state);
        let rows = users
            .iter()
            .flat_map(|user| self.stores[store].rows_with(&kind("user_id"), user));
        rows.filter(|row| row.kept.is_none()).collect()
    }

    /// Whether the ask is about this row. To one without an address in it, an address leads only through the rows where people are
    /// found. Once another request has erased those, the row is that request's to answer for; and a failover may have lost them.
    fn leads_to(&self, ask: &Ask, row: &Inserted, rows: &[Inserted]) -> bool {
        let is_about = |ask: &Ask| ask.people.contains(&row.person) && (ask.by_email || row.user == user_id(row.person));
        let has_address = row.store != WITHOUT_ADDRESSES;
        let is_anothers = || self.asks.iter().any(|other| other.id != ask.id && is_about(other));
        let is_found = || {
            rows.iter()
                .any(|it| it.store == WITH_PEOPLE && it.user == row.user && !it.is_lost)
        };
        is_about(ask) && (!ask.by_email || has_address || (is_found() && !is_anothers()))
    }

    /// Whether every request on the person was told to be at its end.
    pub(crate) fn is_done_with(&self, person: usize) -> bool {
        let state = self.state();
        let mut asks = self.asks.iter().filter(|ask| ask.people.contains(&person));
        asks.all(|ask| state.finals.contains_key(&ask.id) && state.confirmed.contains(&(ask.id.clone(), ask.at.len() - 1)))
    }

    /// Whether every request has come to its end and the world has been told.
    pub(crate) async fn is_over(&self, ledger: &Ledger) -> bool {
        let times = self.asks.iter().map(|ask| ask.at.len()).sum::<usize>();
        if self.state().confirmed.len() < times {
            return false;
        }
        let open = ledger
            .open_requests(None, 100)
            .await
            .expect("the observer's weather is always fine");
        let unsent = ledger.unsent(1).await.expect("the observer's weather is always fine");
        let known = headers(ledger, &self.asks).await;
        open.is_empty() && unsent.is_empty() && known.len() == self.asks.len()
    }

    /// Everything that is not as it must be.
    pub(crate) async fn judge(&self, ledger: &Ledger) -> Vec<String> {
        let headers = headers(ledger, &self.asks).await;
        for ask in &self.asks {
            match headers.get(&ask.id) {
                None => self.complain(format!("{} was lost", ask.id)),
                Some(header) => self.judge_end(ask, header),
            }
        }
        self.judge_seen(&headers);
        self.judge_left(&headers);
        self.judge_untouched(&headers);
        std::mem::take(&mut self.state().complaints)
    }

    fn judge_end(&self, ask: &Ask, header: &Header) {
        let id = &ask.id;
        let finals = self.state().finals.get(id).cloned().unwrap_or_default();
        if !header.state.is_final() {
            return self.complain(format!("{id} has not come to its end: {}", header.state));
        }
        if finals.len() != 1 {
            self.complain(format!("{id} was told {} different ends: {:?}", finals.len(), finals.keys()));
        }
        for event in finals
            .values()
            .filter(|event| event.data.state.as_str() != header.state.as_str())
        {
            self.complain(format!("{id} is {} and was told to be {}", header.state, event.data.state));
        }
        self.judge_word(ask, header);
        let counted = finals
            .values()
            .filter_map(|event| event.data.counts)
            .map(|counts| counts.nothing_held)
            .max();
        let unknown = ask.strangers
            + ask
                .people
                .iter()
                .filter(|person| !self.was_there(ask, **person, header))
                .count();
        if counted.unwrap_or(0) > unknown as u64 && self.nobody_else_asked(ask) {
            self.complain(format!(
                "{id}: nothing is said to have been held of {counted:?}, {unknown} were not there"
            ));
        }
    }

    fn judge_word(&self, ask: &Ask, header: &Header) {
        let keeps = |row: &Inserted| row.is_kept && !row.is_lost && ask.people.contains(&row.person);
        let keeps = self.state().rows.iter().any(keeps);
        let is_given_up = self.state().given_up.contains(&header.request);
        // Once another request has erased the address, it no longer leads to what is kept.
        let leads = keeps && self.nobody_else_asked(ask);
        let fits = match header.state {
            RequestState::Erased | RequestState::NothingHeld => !leads,
            RequestState::ErasedWithRetention => keeps,
            RequestState::ClosedNotErased => is_given_up,
            _ => false,
        };
        if !fits {
            self.complain(format!("{} ended as {}", ask.id, header.state));
        }
    }

    /// Whether rows of the person had been there when the request was accepted.
    fn was_there(&self, ask: &Ask, person: usize, header: &Header) -> bool {
        let stores = planned(header);
        let is_meant = |row: &Inserted| row.person == person && (ask.by_email || row.user == user_id(person));
        let was = |row: &Inserted| is_meant(row) && row.created_at <= header.accepted_at && stores.contains(&row.store);
        self.state().rows.iter().any(was)
    }

    /// What another request has erased before, this one may have never seen; and a tracker that has lost its memory cannot tell.
    fn nobody_else_asked(&self, ask: &Ask) -> bool {
        let state = self.state();
        let others = self.asks.iter().filter(|other| other.id != ask.id);
        let shared = others
            .flat_map(|other| &other.people)
            .any(|person| ask.people.contains(person));
        let lost = state.rows.iter().any(|row| row.is_lost);
        !shared && !state.redis_went_back && !lost
    }

    /// Rows that were there when their owner was called erased.
    fn judge_seen(&self, headers: &BTreeMap<String, Header>) {
        let seen = std::mem::take(&mut self.state().seen);
        for it in seen {
            let Some(header) = headers.get(&it.ask) else { continue };
            if it.created_at <= header.accepted_at
                && planned(header).contains(&it.store)
                && !self.failed_over(it.store, it.finished_at)
            {
                self.complain(format!(
                    "{} was told to be {} at {} while a row was in store {}",
                    it.ask, header.state, it.at, it.store
                ));
            }
        }
    }

    /// Rows that should be gone at the end.
    fn judge_left(&self, headers: &BTreeMap<String, Header>) {
        for ask in &self.asks {
            let Some(header) = headers.get(&ask.id) else { continue };
            let done = [
                RequestState::Erased,
                RequestState::ErasedWithRetention,
                RequestState::NothingHeld,
            ];
            if !done.contains(&header.state) {
                continue;
            }
            for store in planned(header) {
                let old = |row: &MemoryRow| row.created_at.is_some_and(|at| at <= header.accepted_at);
                let left = self.rows_of(ask, store).into_iter().filter(old).count();
                if left > 0 && !self.failed_over(store, header.finished_at.unwrap_or(header.accepted_at)) {
                    self.complain(format!(
                        "{} is {}, and {left} rows are in store {store}",
                        ask.id, header.state
                    ));
                }
            }
        }
    }

    /// Rows of nobody who was asked for, or younger than every request.
    fn judge_untouched(&self, headers: &BTreeMap<String, Header>) {
        let complaints: Vec<String> = {
            let state = self.state();
            let is_asked_for = |row: &Inserted| {
                let mut asks = self.asks.iter().filter(|ask| ask.people.contains(&row.person));
                asks.any(|ask| {
                    headers
                        .get(&ask.id)
                        .is_some_and(|header| row.created_at <= header.accepted_at)
                })
            };
            let must_stay = state
                .rows
                .iter()
                .filter(|row| !row.is_lost && (row.is_kept || !is_asked_for(row)));
            let gone = must_stay.filter(|row| !self.is_there(row));
            gone.map(|row| format!("{} of store {} is gone, and nobody asked for that", row.user, row.store))
                .collect()
        };
        complaints.into_iter().for_each(|it| self.complain(it));
    }

    /// Whether the store failed over when it could not be noticed any more.
    fn failed_over(&self, store: usize, finished_at: Millis) -> bool {
        let state = self.state();
        let late = |(failed, at): &(usize, Millis)| *failed == store && at.0 >= finished_at.0 - FINALISING_MS;
        state.failovers.iter().any(late)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_final(kind: EventKind) -> bool {
    RequestState::parse(kind.as_str()).is_some_and(RequestState::is_final)
}

/// The stores that the request's plan asks.
fn planned(header: &Header) -> Vec<usize> {
    let asked = |store: &usize| header.plan.live().any(|(_, entry)| entry.subsystem == subsystem_name(*store));
    (0..crate::scenario::STORES.len()).filter(asked).collect()
}

async fn headers(ledger: &Ledger, asks: &[Ask]) -> BTreeMap<String, Header> {
    let keys: Vec<RequestKey> = asks.iter().map(Ask::key).collect();
    let headers = ledger.headers(&keys).await.expect("the observer's weather is always fine");
    headers
        .into_iter()
        .map(|header| (header.request_id.to_string(), header))
        .collect()
}
