//! A worker, as `shared/kit/src/batch.rs` does it: claim, perform, read back, report, mark, publish the remainder, acknowledge.
//! Never another order.

use crate::action::Action;
use crate::rule::Rule;
use crate::scope::{Scope, Standby};
use crate::state::{Item, Key, Mask, Phase, Report, State, Step, Worker};
use crate::tracker::{Claimed, Mark, Marked};

/// So many starts without a finish send an item to the solo lane.
const UNFINISHED_STARTS_MAX: u8 = 2;

/// How an attempt goes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attempt {
    Well,
    /// Refused for the moment; what was committed before that stays.
    InVain {
        has_committed: bool,
    },
    /// For one of several it went well; the others are to be tried again.
    Partly,
    /// Refused for good.
    Refused,
}

impl State {
    pub(crate) fn worker_actions(&self, scope: &Scope, actions: &mut Vec<Action>) {
        for (worker, subsystem) in (0..).zip(scope.workers) {
            let it = &self.workers[usize::from(worker)];
            match it.step {
                Step::Idle => {
                    for (item, message) in (0..).zip(self.work.as_slice()) {
                        let is_same = item > 0 && self.work.as_slice()[usize::from(item) - 1] == *message;
                        if message.subsystem == *subsystem && !is_same {
                            actions.push(Action::Claim { worker, item });
                        }
                    }
                    if scope.changes() && it.map == 0 {
                        actions.push(Action::DeployWorker { worker });
                    }
                }
                Step::Claimed if scope.breaks(Rule::MarkAfterCommit) && it.erased == 0 => actions.push(Action::Mark { worker }),
                Step::Claimed if it.item.is_expired && !scope.breaks(Rule::SliceDeadline) => {
                    actions.push(Action::PerformExpired { worker, gives_up: false });
                    actions.push(Action::PerformExpired { worker, gives_up: true });
                }
                Step::Claimed => actions.push(Action::Perform { worker }),
                Step::Committing => actions.push(Action::StandbyHasIt { worker }),
                Step::Performed if it.again | it.failed != 0 => {
                    if self.reports.has_room() {
                        actions.push(Action::Tell { worker });
                    }
                }
                Step::Performed | Step::Told => actions.push(Action::Mark { worker }),
                Step::Marked if it.again != 0 => actions.push(Action::Publish { worker }),
                Step::Refused => actions.push(Action::Publish { worker }),
                Step::Marked | Step::Published => actions.push(Action::Acknowledge { worker }),
            }
            if matches!(it.step, Step::Performed | Step::Told) && self.is_unknown(&it.item) {
                actions.push(Action::MarkGivesUp { worker });
            }
        }
        for (item, message) in (0..).zip(self.work.as_slice()) {
            if self.is_unknown(message) {
                actions.push(Action::HandBack { item });
            }
        }
    }

    fn is_unknown(&self, item: &Item) -> bool {
        let request = usize::from(item.request);
        let (tracked, plan) = (&self.redis.requests[request], &self.requests[request].plan);
        match tracked.header {
            crate::state::Header::Unknown => true,
            crate::state::Header::Open => plan.find(tracked.version, item.phase, item.subsystem).is_none(),
            crate::state::Header::Final => false,
        }
    }

    /// The evidence key of a store, as a process with a map of this revision sees it.
    pub(crate) fn key_of(&self, scope: &Scope, subsystem: usize, config: u8) -> Key {
        Key {
            timeline: self.stores[subsystem].timeline,
            map: if scope.remaps { config } else { 0 },
        }
    }

    /// Takes a delivery and claims it. What nobody wants any more is acknowledged at once.
    pub(crate) fn claim(&mut self, scope: &Scope, worker: usize, at: usize) {
        let item = self.work.as_slice()[at];
        let request = usize::from(item.request);
        let key = self.key_of(scope, usize::from(item.subsystem), self.workers[worker].map);
        let plan = self.requests[request].plan;
        let was_redelivered = item.is_redelivered && !scope.breaks(Rule::RedeliveryIsATry);
        let fresh = Item {
            is_redelivered: false,
            is_tried: item.is_tried || was_redelivered,
            ..item
        };
        match self.redis.requests[request].claim(scope, &plan, &item, key) {
            Claimed::Final => drop(self.work.take(at)),
            // It stays in hand and is asked for again.
            Claimed::Unknown => {}
            // Either the plan is about to be extended, or this worker is the one left behind: on a rung, as it is.
            Claimed::Stale => {
                self.work.take(at);
                self.work.put(fresh);
            }
            Claimed::Open {
                entry,
                done,
                failed,
                starts,
                generation,
            } => {
                self.work.take(at);
                let wanted = item.wanted & scope.whole(usize::from(item.slice)) & !done & !failed;
                if wanted == 0 {
                    return;
                }
                if !item.is_solo && starts >= UNFINISHED_STARTS_MAX {
                    let is_tried = fresh.is_tried || !scope.breaks(Rule::RedeliveryIsATry);
                    self.work.put(Item {
                        is_solo: true,
                        is_tried,
                        ..fresh
                    });
                    return;
                }
                if item.is_solo && wanted.count_ones() > 1 {
                    self.halve(scope, fresh, wanted, entry, key);
                    return;
                }
                let is_first = item.is_first || scope.breaks(Rule::DispatchesCount);
                let may_deny = is_first
                    && (!item.is_tried || scope.breaks(Rule::TriedIsSaid))
                    && !was_redelivered
                    && (starts == 0 || scope.breaks(Rule::StartsCount))
                    && (generation <= 1 || scope.breaks(Rule::ProjectionsCount));
                self.workers[worker] = Worker {
                    map: self.workers[worker].map,
                    step: Step::Claimed,
                    item: Item { wanted, ..item },
                    entry: u8::try_from(entry).unwrap_or(u8::MAX),
                    key,
                    may_deny,
                    ..Worker::default()
                };
            }
        }
    }

    /// In the solo lane a slice is cut in halves by publishing them, before the store is touched.
    fn halve(&mut self, scope: &Scope, item: Item, wanted: Mask, entry: usize, key: Key) {
        let lowest = wanted & wanted.wrapping_neg();
        for half in [lowest, wanted & !lowest] {
            self.work.put(Item { wanted: half, ..item });
        }
        let request = usize::from(item.request);
        let mark = Mark {
            slice: usize::from(item.slice),
            entry,
            key,
            count: scope.slices[usize::from(item.slice)],
            waiting: if scope.breaks(Rule::MarksAreTries) { 0 } else { wanted },
            ..Mark::default()
        };
        let plan = self.requests[request].plan;
        self.redis.requests[request].mark(scope, &plan, mark);
    }

    /// One transaction against the store as it is now, and the read-back.
    pub(crate) fn perform(&mut self, scope: &Scope, worker: usize, attempt: Attempt) {
        let it = self.workers[worker];
        let wanted = it.item.wanted;
        let meant = if attempt == Attempt::Partly {
            wanted & wanted.wrapping_neg()
        } else {
            wanted
        };
        let is_changed = !matches!(attempt, Attempt::InVain { has_committed: false } | Attempt::Refused);
        let touched = if is_changed { self.change(scope, &it, meant) } else { 0 };
        let waits = scope.standby == Standby::Sync && is_changed && (touched != 0 || !scope.breaks(Rule::AttemptAlwaysWrites));
        let worker = &mut self.workers[worker];
        worker.step = if waits { Step::Committing } else { Step::Performed };
        match attempt {
            Attempt::Well if scope.breaks(Rule::MarkAfterCommit) => worker.step = Step::Marked,
            Attempt::Well | Attempt::Partly => {
                worker.nothing_held = if it.may_deny { meant & !touched } else { 0 };
                worker.erased = meant & !worker.nothing_held;
                worker.again = wanted & !meant;
            }
            Attempt::InVain { .. } => worker.again = wanted,
            Attempt::Refused => worker.failed = wanted,
        }
    }

    /// An expired item changes nothing: it is tried again, until its attempts are spent and somebody has to look.
    pub(crate) fn perform_expired(&mut self, worker: usize, gives_up: bool) {
        let worker = &mut self.workers[worker];
        worker.step = Step::Performed;
        if gives_up {
            worker.failed = worker.item.wanted;
        } else {
            worker.again = worker.item.wanted;
        }
    }

    /// Changes the rows of the people of an item. Which of its tasks met somebody.
    fn change(&mut self, scope: &Scope, worker: &Worker, meant: Mask) -> Mask {
        let item = &worker.item;
        let (request, slice, at) = (
            usize::from(item.request),
            usize::from(item.slice),
            usize::from(item.subsystem),
        );
        let subjects = scope.subjects_of(slice, meant);
        // The first store knows people by what was given. The others know ids only.
        let known = if at == 0 {
            subjects
        } else {
            subjects & self.requests[request].resolved
        };
        let people = scope.people_of(request, known);
        let store = &mut self.stores[at];
        let met = match item.phase {
            Phase::Hide => store.primary.shown & people,
            Phase::Purge => store.primary.of(worker.map) & people,
        };
        store.primary.shown &= !people;
        if item.phase == Phase::Purge {
            self.lies.purged_early |= !self.is_grace_over;
            store.primary.held &= !people;
            if worker.map > 0 {
                store.primary.further &= !people;
            }
            if !scope.knows_created {
                self.lies.newcomer_erased |= store.newcomers & people != 0;
                store.newcomers &= !people;
            }
        }
        let mut touched = 0;
        for position in 0..scope.slices[slice] {
            let subject = scope.subjects_of(slice, 1 << position);
            if met & scope.people_of(request, subject) != 0 {
                touched |= 1 << position;
                self.requests[request].took |= subject;
            }
        }
        touched
    }

    /// Reports everything but erased and nothing held, before the mark.
    pub(crate) fn tell(&mut self, worker: usize) {
        let it = &mut self.workers[worker];
        it.step = Step::Told;
        self.reports.put(Report {
            request: it.item.request,
            subsystem: it.item.subsystem,
            phase: it.item.phase,
            slice: it.item.slice,
            key: it.key,
            failed: it.failed,
            waiting: it.again,
        });
    }

    pub(crate) fn mark(&mut self, scope: &Scope, worker: usize) {
        let it = self.workers[worker];
        let request = usize::from(it.item.request);
        let slice = usize::from(it.item.slice);
        let is_early = it.step == Step::Claimed;
        let mark = Mark {
            slice,
            entry: usize::from(it.entry),
            key: it.key,
            count: scope.slices[slice],
            erased: if is_early { it.item.wanted } else { it.erased },
            nothing_held: it.nothing_held,
            failed: it.failed,
            waiting: it.again,
        };
        let plan = self.requests[request].plan;
        let marked = self.redis.requests[request].mark(scope, &plan, mark);
        let it = &mut self.workers[worker];
        match marked {
            Marked::Taken if is_early => it.erased = it.item.wanted,
            Marked::Taken => {
                it.step = Step::Marked;
                it.is_forsaken |= scope.breaks(Rule::AckAfterRemainder);
            }
            Marked::Final => {
                it.step = Step::Marked;
                it.again = 0;
            }
            Marked::Stale => it.step = Step::Refused,
            // Asked again for as long as it may be held.
            Marked::Unknown => {}
        }
    }

    /// Publishes what is left of the item, built anew.
    pub(crate) fn publish(&mut self, scope: &Scope, worker: usize) {
        let it = &mut self.workers[worker];
        let wanted = if it.step == Step::Refused { it.item.wanted } else { it.again };
        it.step = Step::Published;
        if scope.breaks(Rule::RebuiltHeaders) {
            return;
        }
        let item = Item {
            wanted,
            is_tried: true,
            is_redelivered: false,
            is_solo: false,
            ..it.item
        };
        self.work.put(item);
    }

    /// The worker is free again, and the broker forgets the delivery.
    pub(crate) fn acknowledge(&mut self, worker: usize) {
        self.workers[worker] = Worker {
            map: self.workers[worker].map,
            ..Worker::default()
        };
    }
}
