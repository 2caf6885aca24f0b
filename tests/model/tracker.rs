//! The tracker's scripts, in the order of their lines: `init.lua`, `claim.lua`, `mark.lua`, `unfail.lua`, `finish.lua`.

use crate::rule::Rule;
use crate::scope::{Scope, first};
use crate::state::{Header, Item, Key, Mask, Plan, Record, SLICE_SUBJECTS_MAX, Tracked};

/// What CLAIM answers.
pub(crate) enum Claimed {
    Open {
        entry: usize,
        done: Mask,
        failed: Mask,
        starts: u8,
        generation: u8,
    },
    Final,
    Unknown,
    Stale,
}

/// What MARK answers.
pub(crate) enum Marked {
    Taken,
    Final,
    Unknown,
    Stale,
}

/// What MARK is told of one slice in one entry.
#[derive(Clone, Copy, Default)]
pub(crate) struct Mark {
    pub(crate) slice: usize,
    pub(crate) entry: usize,
    pub(crate) key: Key,
    pub(crate) count: u8,
    pub(crate) erased: Mask,
    pub(crate) nothing_held: Mask,
    pub(crate) failed: Mask,
    pub(crate) waiting: Mask,
}

impl Tracked {
    /// INIT in the modes *init* and *project*: creates the request, adopts a longer plan. Never lowers anything.
    pub(crate) fn init(&mut self, scope: &Scope, plan: &Plan, generation: u8) {
        match self.header {
            Header::Final => return,
            Header::Unknown => {
                *self = Self {
                    header: Header::Open,
                    version: plan.version,
                    generation,
                    in_outbox: self.in_outbox,
                    is_wanted: self.is_wanted,
                    ..Self::default()
                };
                return;
            }
            Header::Open => {}
        }
        self.generation = self.generation.max(generation);
        self.version = self.version.max(plan.version);
        self.announce(scope, plan);
    }

    /// CLAIM: what is open; records a start.
    pub(crate) fn claim(&mut self, scope: &Scope, plan: &Plan, item: &Item, key: Key) -> Claimed {
        match self.header {
            Header::Unknown => return self.want(),
            Header::Final => return Claimed::Final,
            Header::Open => {}
        }
        let Some(entry) = plan.find(self.version, item.phase, item.subsystem) else {
            return self.want();
        };
        if plan.entries[entry].key != key && !scope.breaks(Rule::BoundEvidenceKey) {
            return Claimed::Stale;
        }
        let record = &mut self.records[entry][usize::from(item.slice)];
        let starts = record.starts;
        let was_touched = record.done() | record.waiting != 0 && !scope.breaks(Rule::MarksAreTries);
        let replaces = plan.entries[..entry].iter().any(|it| it.subsystem == item.subsystem);
        let was_there = was_touched || replaces && !scope.breaks(Rule::ReplacedIsTried);
        if record.count == 0 || first(record.count) & !record.done() & !record.failed != 0 {
            record.starts = (starts + 1).min(2);
        }
        Claimed::Open {
            entry,
            done: record.done(),
            failed: record.failed,
            starts: starts.max(u8::from(was_there)),
            generation: self.generation,
        }
    }

    fn want(&mut self) -> Claimed {
        self.is_wanted = true;
        Claimed::Unknown
    }

    /// MARK: takes evidence in, and ends the start.
    pub(crate) fn mark(&mut self, scope: &Scope, plan: &Plan, mark: Mark) -> Marked {
        match self.header {
            Header::Unknown => {
                self.is_wanted = true;
                return Marked::Unknown;
            }
            Header::Final => return Marked::Final,
            Header::Open => {}
        }
        if mark.entry >= usize::from(self.version) {
            self.is_wanted = true;
            return Marked::Unknown;
        }
        let is_bound = plan.entries[mark.entry].key == mark.key && plan.is_live(self.version, mark.entry);
        if !is_bound && !scope.breaks(Rule::BoundEvidenceKey) {
            return Marked::Stale;
        }
        let old = self.records[mark.entry][mark.slice];
        // Of a request of one slice the header knows the number.
        let count = if scope.slices.len() == 1 {
            scope.slices[0]
        } else {
            mark.count
        };
        let count = old.count.max(count);
        let within = first(count);
        let (mut erased, mut nothing_held) = (mark.erased & within, mark.nothing_held & within);
        if !scope.breaks(Rule::AloneWithTheTask) {
            // Somebody else has started as well, or may have been here: zero rows mean erased.
            let is_alone = old.starts < 2 && self.generation < 2;
            let doubtful = nothing_held & !old.nothing_held & if is_alone { old.waiting } else { Mask::MAX };
            erased |= doubtful;
            nothing_held &= !doubtful;
        }
        let spoken = erased | nothing_held | mark.failed | mark.waiting;
        let mut record = Record {
            count,
            erased: old.erased | erased,
            nothing_held: old.nothing_held | nothing_held,
            ..old
        };
        if scope.breaks(Rule::BitsNotCounter) {
            let seen = (old.erased.count_ones() + (erased | nothing_held).count_ones()).min(u32::from(count));
            record.erased = first(u8::try_from(seen).unwrap_or(count));
            record.nothing_held = 0;
        }
        let done = record.done();
        record.failed = (old.failed | mark.failed & within) & !done;
        record.waiting = (old.waiting & !spoken | mark.waiting & within) & !done;
        record.starts = 0;
        record.is_full |= is_covered(&record);
        let fresh = erased | nothing_held;
        if fresh != 0 && done & !fresh == 0 {
            record.is_aged = false;
        }
        self.records[mark.entry][mark.slice] = record;
        self.announce(scope, plan);
        Marked::Taken
    }

    /// UNFAIL: takes tasks off the failed ones.
    pub(crate) fn unfail(&mut self, entry: usize, slice: usize, tasks: Mask) {
        if self.header == Header::Open && entry < usize::from(self.version) {
            self.records[entry][slice].failed &= !tasks;
        }
    }

    /// FINISH: the ledger has come to its end with the request.
    pub(crate) fn finish(&mut self) {
        if self.header == Header::Open {
            *self = Self {
                header: Header::Final,
                is_wanted: self.is_wanted,
                in_outbox: self.in_outbox,
                ..Self::default()
            };
        }
    }

    fn announce(&mut self, scope: &Scope, plan: &Plan) {
        if self.is_full(scope, plan) && self.announced < self.version {
            self.announced = self.version;
            self.in_outbox = true;
        }
    }

    fn is_full(&self, scope: &Scope, plan: &Plan) -> bool {
        let full = |record: &Record| record.is_full || scope.breaks(Rule::MissingIsNotDone) && record.count == 0;
        let is_seen = |at: &usize| self.records[*at].iter().any(|record| record.count > 0);
        let mut live = plan
            .live(self.version)
            .filter(|at| !scope.breaks(Rule::CompleteByPlan) || is_seen(at))
            .peekable();
        live.peek().is_some() && live.all(|at| self.records[at][..scope.slices.len()].iter().all(full))
    }

    /// What is not done of one slice in one entry, as far as the tracker knows how many there are.
    pub(crate) fn missing(&self, scope: &Scope, entry: usize, slice: usize) -> Mask {
        let record = &self.records[entry][slice];
        let count = match record.count {
            0 => scope.subjects().min(SLICE_SUBJECTS_MAX),
            count => count,
        };
        first(count) & !record.done() & !record.failed
    }

    /// Whether nothing is left to be done, as far as the tracker knows.
    pub(crate) fn has_nothing_outstanding(&self, scope: &Scope, plan: &Plan) -> bool {
        plan.live(self.version)
            .all(|entry| (0..scope.slices.len()).all(|slice| self.missing(scope, entry, slice) == 0))
    }
}

fn is_covered(record: &Record) -> bool {
    record.count > 0 && first(record.count) & !record.done() == 0
}
