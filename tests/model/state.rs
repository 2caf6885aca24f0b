//! Everything there is at one moment: what the ledger, Redis, the broker and the stores hold, and what each process has in hand.

use crate::bag::Bag;
use crate::scope::{Faults, Scope, Standby};

/// A set of subjects, by position: in a slice, in a request, or among all people.
pub(crate) type Mask = u8;

pub(crate) const REQUESTS: usize = 2;
pub(crate) const SUBSYSTEMS: usize = 3;
pub(crate) const SLICES: usize = 2;
pub(crate) const ENTRIES: usize = 4;
pub(crate) const WORKERS: usize = 3;
/// The most subjects that a slice may have, as the tracker knows it.
pub(crate) const SLICE_SUBJECTS_MAX: u8 = 3;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) requests: [Request; REQUESTS],
    pub(crate) register: [Registered; SUBSYSTEMS],
    pub(crate) redis: Redis,
    /// An older copy that Redis may go back to.
    pub(crate) older: Option<Box<Redis>>,
    pub(crate) stores: [Store; SUBSYSTEMS],
    /// Work on its way, in no order.
    pub(crate) work: Bag<Item, 6>,
    /// Reports on their way, in no order.
    pub(crate) reports: Bag<Report, 4>,
    pub(crate) workers: [Worker; WORKERS],
    pub(crate) reconciler: Reconciler,
    /// Whether seven days have passed: what was sent before is past its deadline.
    pub(crate) is_late: bool,
    pub(crate) is_grace_over: bool,
    /// What may still go wrong.
    pub(crate) faults: Faults,
    pub(crate) faults_left: u8,
    /// What was said or done and must never be.
    pub(crate) lies: Lies,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Lies {
    pub(crate) not_erased: bool,
    pub(crate) was_held: bool,
    pub(crate) newcomer_erased: bool,
    pub(crate) purged_early: bool,
}

/// What evidence is bound to: the store's timeline and the data map's revision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key {
    pub(crate) timeline: u8,
    pub(crate) map: u8,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Phase {
    Hide,
    #[default]
    Purge,
}

// ---- the ledger

/// One request in the ledger. Never lost, never rolled back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Request {
    pub(crate) standing: Standing,
    pub(crate) plan: Plan,
    /// How often each slice was dispatched to each entry: never, once, more often.
    pub(crate) dispatched: [[u8; SLICES]; ENTRIES],
    /// Tasks that need attention.
    pub(crate) failed: [[Mask; SLICES]; ENTRIES],
    /// Tasks that are reported as waiting for their next attempt.
    pub(crate) waiting: [[Mask; SLICES]; ENTRIES],
    /// How often it was projected from nothing, from 1.
    pub(crate) generation: u8,
    /// The subjects whose ids are in the sealed slices; of the others only what was given.
    pub(crate) resolved: Mask,
    /// Not in the ledger: of whom the work of this request has really taken something away.
    pub(crate) took: Mask,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Standing {
    /// A command in the ingest queue.
    #[default]
    Commanded,
    /// Intake has looked for the people.
    Resolved,
    /// Intake has also asked for overlaps.
    United,
    /// Accepted.
    Running,
    Final,
}

/// Entries by position; a later one of the same phase and subsystem replaces the earlier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Plan {
    pub(crate) entries: [Entry; ENTRIES],
    pub(crate) version: u8,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Entry {
    pub(crate) phase: Phase,
    pub(crate) subsystem: u8,
    pub(crate) key: Key,
}

/// One subsystem in the ledger's register.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Registered {
    pub(crate) current: Option<Key>,
    /// Every key there ever was, as bits.
    pub(crate) seen: u8,
}

// ---- Redis

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Redis {
    pub(crate) requests: [Tracked; REQUESTS],
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Tracked {
    pub(crate) header: Header,
    /// The ledger's plan up to here. A plan is only ever extended, so a prefix is all that can be known of it.
    pub(crate) version: u8,
    pub(crate) generation: u8,
    /// The plan version under which it was announced as complete.
    pub(crate) announced: u8,
    pub(crate) in_outbox: bool,
    pub(crate) is_wanted: bool,
    pub(crate) records: [[Record; SLICES]; ENTRIES],
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) enum Header {
    #[default]
    Unknown,
    Open,
    Final,
}

/// The evidence of one entry in one slice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Record {
    /// How many subjects the slice has, as far as anybody has said.
    pub(crate) count: u8,
    pub(crate) erased: Mask,
    pub(crate) nothing_held: Mask,
    pub(crate) failed: Mask,
    /// Retrying or pending.
    pub(crate) waiting: Mask,
    /// Starts without a finish: none, one, more.
    pub(crate) starts: u8,
    pub(crate) is_full: bool,
    /// More than a day old.
    pub(crate) is_aged: bool,
}

// ---- the stores

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Store {
    pub(crate) primary: Rows,
    pub(crate) standby: Rows,
    pub(crate) timeline: u8,
    /// People who came to these identifiers after the requests.
    pub(crate) newcomers: Mask,
}

/// Who has rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Rows {
    /// In the tables that every map covers.
    pub(crate) held: Mask,
    /// In a table that only the new map covers.
    pub(crate) further: Mask,
    /// Not hidden.
    pub(crate) shown: Mask,
}

// ---- the broker

/// One slice of one request for one subsystem.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Item {
    pub(crate) request: u8,
    pub(crate) subsystem: u8,
    pub(crate) phase: Phase,
    pub(crate) slice: u8,
    pub(crate) wanted: Mask,
    /// The ledger's first dispatch of this slice to this entry.
    pub(crate) is_first: bool,
    /// Somebody has tried since, or an earlier entry has.
    pub(crate) is_tried: bool,
    /// Sent before the deadline that has passed.
    pub(crate) is_expired: bool,
    /// The broker has delivered it before.
    pub(crate) is_redelivered: bool,
    /// In the solo lane: one item at a time, cut in halves until one person is left.
    pub(crate) is_solo: bool,
}

/// What a worker tells the ledger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Report {
    pub(crate) request: u8,
    pub(crate) subsystem: u8,
    pub(crate) phase: Phase,
    pub(crate) slice: u8,
    pub(crate) key: Key,
    pub(crate) failed: Mask,
    pub(crate) waiting: Mask,
}

// ---- the processes

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Worker {
    /// The revision of its data map.
    pub(crate) map: u8,
    pub(crate) step: Step,
    pub(crate) item: Item,
    /// The position in the plan that CLAIM named.
    pub(crate) entry: u8,
    pub(crate) key: Key,
    /// Whether zero rows mean that nothing was held.
    pub(crate) may_deny: bool,
    pub(crate) erased: Mask,
    pub(crate) nothing_held: Mask,
    pub(crate) again: Mask,
    pub(crate) failed: Mask,
    /// The broker has given its delivery to somebody else; its own acknowledgement is worth nothing.
    pub(crate) is_forsaken: bool,
}

/// What a worker has done last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Step {
    #[default]
    Idle,
    Claimed,
    /// Its commit waits for the standby.
    Committing,
    /// Committed and read back.
    Performed,
    /// The report is in its queue.
    Told,
    Marked,
    /// The mark was not taken: the item is to be sent round again as it is.
    Refused,
    /// The remainder is in its queue.
    Published,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Reconciler {
    /// The revision of its configuration.
    pub(crate) config: u8,
    /// A request found complete, on its way into the ledger.
    pub(crate) verdict: Option<Verdict>,
    /// Failed tasks taken out of the ledger, to be sent again.
    pub(crate) redrive: Option<Redrive>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Verdict {
    pub(crate) request: u8,
    pub(crate) version: u8,
    /// Subjects of the request of whom nobody held anything.
    pub(crate) nothing_held: Mask,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Redrive {
    pub(crate) request: u8,
    pub(crate) entry: u8,
    pub(crate) slice: u8,
    pub(crate) tasks: Mask,
}

impl State {
    /// The moment at which the requests of a scenario have been commanded, or accepted.
    pub(crate) fn initial(scope: &Scope) -> Self {
        let held = scope.population() & !scope.strangers;
        let rows = Rows {
            held,
            further: if scope.remaps { held } else { 0 },
            shown: if scope.hides { held } else { 0 },
        };
        let store = Store {
            primary: rows,
            standby: if scope.standby == Standby::None {
                Rows::default()
            } else {
                rows
            },
            ..Store::default()
        };
        let mut state = Self {
            requests: Default::default(),
            register: Default::default(),
            redis: Redis::default(),
            older: None,
            stores: [store; SUBSYSTEMS],
            work: Bag::default(),
            reports: Bag::default(),
            workers: Default::default(),
            reconciler: Reconciler::default(),
            is_late: false,
            is_grace_over: !scope.hides,
            faults: scope.faults,
            faults_left: scope.faults_max,
            lies: Lies::default(),
        };
        for subsystem in 0..scope.subsystems {
            state.register[usize::from(subsystem)] = Registered {
                current: Some(Key::default()),
                seen: 1,
            };
        }
        for request in 0..usize::from(scope.requests) {
            state.requests[request].generation = 1;
            if !scope.overlap {
                state.requests[request].resolved = scope.everyone() & !scope.strangers;
                state.accept(scope, request);
            }
        }
        state
    }

    /// Whether every request has come to its end.
    pub(crate) fn is_complete(&self, scope: &Scope) -> bool {
        let mut requests = self.requests[..usize::from(scope.requests)].iter();
        requests.all(|it| it.standing == Standing::Final)
    }

    /// Whether everybody who asks is told so: by Redis, or by the ledger where Redis knows nothing.
    pub(crate) fn is_told(&self, scope: &Scope) -> bool {
        let mut tracked = self.redis.requests[..usize::from(scope.requests)].iter();
        self.is_complete(scope) && tracked.all(|it| it.header != Header::Open)
    }

    /// The same state whichever of two workers of one subsystem has done what.
    pub(crate) fn canonical(mut self, scope: &Scope) -> Self {
        for from in 0..scope.workers.len() {
            for to in from + 1..scope.workers.len() {
                if scope.workers[from] == scope.workers[to] && self.workers[to] < self.workers[from] {
                    self.workers.swap(from, to);
                }
            }
        }
        self
    }
}

impl Plan {
    /// Whether the entry counts in the first `version` entries.
    pub(crate) fn is_live(&self, version: u8, at: usize) -> bool {
        let same = |other: &Entry| other.phase == self.entries[at].phase && other.subsystem == self.entries[at].subsystem;
        at < usize::from(version) && !self.entries[at + 1..usize::from(version)].iter().any(same)
    }

    /// The positions of the entries that count in the first `version` ones.
    pub(crate) fn live(&self, version: u8) -> impl Iterator<Item = usize> + '_ {
        (0..usize::from(version)).filter(move |at| self.is_live(version, *at))
    }

    /// The entry of a subsystem in a phase that counts in the first `version` ones.
    pub(crate) fn find(&self, version: u8, phase: Phase, subsystem: u8) -> Option<usize> {
        self.live(version)
            .find(|at| self.entries[*at].phase == phase && self.entries[*at].subsystem == subsystem)
    }

    pub(crate) fn append(&mut self, entry: Entry) {
        self.entries[usize::from(self.version)] = entry;
        self.version += 1;
    }
}

impl Record {
    pub(crate) fn done(&self) -> Mask {
        self.erased | self.nothing_held
    }
}

impl Rows {
    /// Whom these rows hold, as far as a map of this revision sees.
    pub(crate) fn of(&self, map: u8) -> Mask {
        if map > 0 { self.held | self.further } else { self.held }
    }
}
