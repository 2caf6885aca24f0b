//! The reconciler, as `workers/reconciler/src/*.rs` do it: dispatch, redispatch, project, finalise, register, record, redrive.

use crate::action::{Action, Fault};
use crate::rule::Rule;
use crate::scope::Scope;
use crate::state::{Entry, Header, Item, Key, Mask, Phase, Redrive, Registered, SLICE_SUBJECTS_MAX, Standing, State};
use crate::tracker::Mark;

impl State {
    pub(crate) fn reconciler_actions(&self, scope: &Scope, actions: &mut Vec<Action>) {
        for request in 0..scope.requests {
            let (ledger, tracked) = (
                &self.requests[usize::from(request)],
                &self.redis.requests[usize::from(request)],
            );
            let is_running = ledger.standing == Standing::Running;
            if is_running {
                self.sending_actions(scope, request, actions);
                if self.wants_longer_plan(scope, usize::from(request)) {
                    actions.push(Action::Extend { request });
                }
            }
            match tracked.header {
                Header::Unknown if is_running || ledger.standing == Standing::Final && tracked.is_wanted => {
                    actions.push(Action::Project { request });
                }
                Header::Unknown => {}
                Header::Open | Header::Final if tracked.is_wanted => actions.push(Action::SettleWanted { request }),
                Header::Open | Header::Final => {}
            }
            if tracked.header == Header::Open {
                let is_older = tracked.version < ledger.plan.version && !scope.breaks(Rule::OlderPlanIsTold);
                if is_running && is_older {
                    actions.push(Action::TellPlan { request });
                }
                let is_stalled = is_running && tracked.has_nothing_outstanding(scope, &ledger.plan);
                if ledger.standing == Standing::Final && tracked.in_outbox {
                    actions.push(Action::Finish { request });
                } else if is_running && self.reconciler.verdict.is_none() && (tracked.in_outbox || is_stalled) {
                    actions.push(Action::Judge { request });
                }
            }
        }
        if self.reconciler.verdict.is_some() {
            actions.push(Action::Finalise);
        }
        if self.reconciler.redrive.is_some() {
            actions.push(Action::SendAgain);
        }
        for subsystem in 0..scope.subsystems_max() {
            let registered = &self.register[usize::from(subsystem)];
            let key = self.key_of(scope, usize::from(subsystem), self.reconciler.config);
            let is_configured = subsystem < scope.subsystems || self.reconciler.config > 0;
            if is_configured && registered.current != Some(key) && registered.seen & bit(key) == 0 {
                actions.push(Action::Register { subsystem });
            }
        }
        for (report, message) in (0..).zip(self.reports.as_slice()) {
            if report == 0 || self.reports.as_slice()[usize::from(report) - 1] != *message {
                actions.push(Action::Record { report });
            }
        }
        if scope.changes()
            && self.reconciler.config == 0
            && self.reconciler.verdict.is_none()
            && self.reconciler.redrive.is_none()
        {
            actions.push(Action::DeployReconciler);
        }
    }

    fn sending_actions(&self, scope: &Scope, request: u8, actions: &mut Vec<Action>) {
        let (ledger, tracked) = (
            &self.requests[usize::from(request)],
            &self.redis.requests[usize::from(request)],
        );
        for at in 0..usize::from(ledger.plan.version) {
            let entry = u8::try_from(at).unwrap_or(u8::MAX);
            for (slice, number) in (0..).zip(0..scope.slice_count()) {
                if ledger.failed[at][number] != 0 && self.reconciler.redrive.is_none() && self.is_live(request, at) {
                    actions.push(Action::TakeFailed { request, entry, slice });
                }
                if !self.is_live(request, at) {
                    continue;
                }
                if ledger.dispatched[at][number] == 0 {
                    if self.may_begin(scope, request, at) && self.work.has_room() {
                        actions.push(Action::Dispatch { request, entry, slice });
                        if self.may(self.faults.crash) {
                            actions.push(Action::Strike(Fault::DispatchAndDie { request, entry, slice }));
                        }
                    }
                } else if !scope.breaks(Rule::Redispatch)
                    && tracked.header == Header::Open
                    && self.missing_work(scope, request, at, number) != 0
                    && !self.is_on_its_way(request, at, slice)
                    && self.work.has_room()
                {
                    actions.push(Action::Redispatch { request, entry, slice });
                }
            }
        }
    }

    fn is_live(&self, request: u8, entry: usize) -> bool {
        let plan = &self.requests[usize::from(request)].plan;
        plan.is_live(plan.version, entry)
    }

    /// Purging is dispatched when everything is hidden, and the grace is over.
    fn may_begin(&self, scope: &Scope, request: u8, entry: usize) -> bool {
        let (plan, tracked) = (
            &self.requests[usize::from(request)].plan,
            &self.redis.requests[usize::from(request)],
        );
        let is_hidden = |at: usize| {
            plan.entries[at].phase != Phase::Hide
                || tracked.header == Header::Open
                    && tracked.version == plan.version
                    && tracked.records[at][..scope.slice_count()].iter().all(|record| record.is_full)
        };
        plan.entries[entry].phase == Phase::Hide
            || scope.breaks(Rule::GraceFirst)
            || self.is_grace_over && plan.live(plan.version).all(is_hidden)
    }

    /// What the tracker misses and nobody speaks for; an entry that the tracker or the ledger does not take for live counts nothing.
    fn missing_work(&self, scope: &Scope, request: u8, entry: usize, slice: usize) -> Mask {
        let (ledger, tracked) = (
            &self.requests[usize::from(request)],
            &self.redis.requests[usize::from(request)],
        );
        if !ledger.plan.is_live(tracked.version, entry) {
            return 0;
        }
        let mut missing = tracked.missing(scope, entry, slice);
        if !scope.breaks(Rule::FailedIsTheLedgers) {
            missing |= tracked.records[entry][slice].failed;
        }
        missing & scope.whole(slice) & !ledger.failed[entry][slice]
    }

    /// The lane has something ready, or a worker holds the lease.
    fn is_on_its_way(&self, request: u8, entry: usize, slice: u8) -> bool {
        let Entry { phase, subsystem, .. } = self.requests[usize::from(request)].plan.entries[entry];
        let is_it =
            |item: &Item| item.request == request && item.phase == phase && item.subsystem == subsystem && item.slice == slice;
        self.work.as_slice().iter().any(is_it)
            || self
                .workers
                .iter()
                .any(|it| it.step != crate::state::Step::Idle && !it.is_forsaken && is_it(&it.item))
    }

    /// Counts a dispatch in the ledger, then publishes. Before the first one the tracker is told of the request.
    pub(crate) fn dispatch(&mut self, scope: &Scope, request: u8, entry: usize, slice: usize, is_published: bool) {
        let at = usize::from(request);
        let ledger = &self.requests[at];
        self.redis.requests[at].init(scope, &ledger.plan, ledger.generation);
        self.send(scope, request, entry, slice, scope.whole(slice), is_published);
    }

    pub(crate) fn redispatch(&mut self, scope: &Scope, request: u8, entry: usize, slice: usize, is_published: bool) {
        let tasks = self.missing_work(scope, request, entry, slice);
        if !scope.breaks(Rule::FailedIsTheLedgers) {
            self.redis.requests[usize::from(request)].unfail(entry, slice, tasks);
        }
        self.send(scope, request, entry, slice, tasks, is_published);
    }

    fn send(&mut self, scope: &Scope, request: u8, entry: usize, slice: usize, wanted: Mask, is_published: bool) {
        let ledger = &mut self.requests[usize::from(request)];
        let count = &mut ledger.dispatched[entry][slice];
        *count = (*count + 1).min(2);
        let Entry { phase, subsystem, .. } = ledger.plan.entries[entry];
        let item = Item {
            request,
            subsystem,
            phase,
            slice: u8::try_from(slice).unwrap_or(u8::MAX),
            wanted: wanted & scope.whole(slice),
            is_first: *count == 1,
            // An entry that replaces another one asks again where somebody has been before.
            is_tried: ledger.plan.entries[..entry].iter().any(|it| it.subsystem == subsystem),
            ..Item::default()
        };
        // A full queue has refused it, and nobody has heard.
        let is_refused = scope.breaks(Rule::ConfirmEachMessage) && item.is_first;
        if is_published && !is_refused {
            self.work.put(item);
        }
    }

    /// Writes one request into the tracker, from nothing: header, and what the ledger knows of waiting and failed tasks.
    pub(crate) fn project(&mut self, scope: &Scope, request: usize) {
        let ledger = &mut self.requests[request];
        let tracked = &mut self.redis.requests[request];
        tracked.is_wanted = false;
        if ledger.standing != Standing::Running {
            return;
        }
        ledger.generation = (ledger.generation + 1).min(2);
        tracked.init(scope, &ledger.plan, ledger.generation);
        for entry in ledger.plan.live(ledger.plan.version) {
            for slice in 0..scope.slice_count() {
                let (failed, waiting) = (ledger.failed[entry][slice], ledger.waiting[entry][slice]);
                if failed | waiting != 0 {
                    let count = if scope.breaks(Rule::SlicesAreCounted) {
                        SLICE_SUBJECTS_MAX
                    } else {
                        scope.slices[slice]
                    };
                    let mark = Mark {
                        slice,
                        entry,
                        key: ledger.plan.entries[entry].key,
                        count,
                        failed,
                        waiting,
                        ..Mark::default()
                    };
                    tracked.mark(scope, &ledger.plan, mark);
                }
            }
        }
    }

    pub(crate) fn register(&mut self, scope: &Scope, subsystem: usize) {
        let key = self.key_of(scope, subsystem, self.reconciler.config);
        let seen = self.register[subsystem].seen | bit(key);
        self.register[subsystem] = Registered {
            current: Some(key),
            seen,
        };
    }

    pub(crate) fn wants_longer_plan(&self, scope: &Scope, request: usize) -> bool {
        !self.longer_plan(scope, request).is_empty() && !scope.breaks(Rule::BoundEvidenceKey)
            || self.register.iter().zip(0..).any(|(registered, subsystem)| {
                let plan = &self.requests[request].plan;
                registered.current.is_some() && plan.find(plan.version, Phase::Purge, subsystem).is_none()
            })
    }

    fn longer_plan(&self, scope: &Scope, request: usize) -> Vec<Entry> {
        let plan = &self.requests[request].plan;
        let phases: &[Phase] = if scope.hides {
            &[Phase::Hide, Phase::Purge]
        } else {
            &[Phase::Purge]
        };
        let mut missing = Vec::new();
        for (subsystem, registered) in (0..).zip(&self.register) {
            for phase in phases {
                let Some(key) = registered.current else { continue };
                let entry = Entry {
                    phase: *phase,
                    subsystem,
                    key,
                };
                if plan
                    .find(plan.version, *phase, subsystem)
                    .is_none_or(|at| plan.entries[at] != entry)
                {
                    missing.push(entry);
                }
            }
        }
        missing
    }

    /// Extends the plan in the ledger. The dispatcher, whose turn it is now, tells the tracker.
    pub(crate) fn extend(&mut self, scope: &Scope, request: usize) {
        for entry in self.longer_plan(scope, request) {
            let ledger = &mut self.requests[request];
            if let Some(old) = ledger.plan.find(ledger.plan.version, entry.phase, entry.subsystem) {
                // History: nobody looks at it any more.
                (ledger.dispatched[old], ledger.failed[old], ledger.waiting[old]) = Default::default();
            }
            ledger.plan.append(entry);
        }
    }

    /// Writes a report down: it replaces what was reported of the same tasks.
    pub(crate) fn record(&mut self, at: usize) {
        let report = self.reports.take(at);
        let ledger = &mut self.requests[usize::from(report.request)];
        let slice = usize::from(report.slice);
        let Some(entry) = ledger.plan.find(ledger.plan.version, report.phase, report.subsystem) else {
            return;
        };
        if ledger.plan.entries[entry].key != report.key || ledger.standing != Standing::Running {
            return;
        }
        let spoken = report.failed | report.waiting;
        ledger.failed[entry][slice] = ledger.failed[entry][slice] & !spoken | report.failed;
        ledger.waiting[entry][slice] = ledger.waiting[entry][slice] & !spoken | report.waiting;
    }

    /// An operator's redrive, first half: failed tasks are taken out of the ledger.
    pub(crate) fn take_failed(&mut self, request: u8, entry: u8, slice: u8) {
        let failed = &mut self.requests[usize::from(request)].failed[usize::from(entry)][usize::from(slice)];
        self.reconciler.redrive = Some(Redrive {
            request,
            entry,
            slice,
            tasks: std::mem::take(failed),
        });
    }

    /// Second half: the tracker is told, and they are sent again.
    pub(crate) fn send_again(&mut self, scope: &Scope) {
        let Some(redrive) = self.reconciler.redrive.take() else {
            return;
        };
        let (request, entry, slice) = (
            usize::from(redrive.request),
            usize::from(redrive.entry),
            usize::from(redrive.slice),
        );
        self.redis.requests[request].unfail(entry, slice, redrive.tasks);
        if self.requests[request].standing == Standing::Running && self.is_live(redrive.request, entry) && self.work.has_room() {
            self.send(scope, redrive.request, entry, slice, redrive.tasks, true);
        }
    }

    /// The broker gave up on an item: its tasks need attention, in the ledger first, then in the tracker.
    pub(crate) fn bury(&mut self, scope: &Scope, at: usize) {
        let item = self.work.take(at);
        let (request, slice) = (usize::from(item.request), usize::from(item.slice));
        let ledger = &mut self.requests[request];
        let Some(entry) = ledger.plan.find(ledger.plan.version, item.phase, item.subsystem) else {
            return;
        };
        let tracked = &mut self.redis.requests[request];
        let done = if tracked.header == Header::Open {
            tracked.records[entry][slice].done()
        } else {
            0
        };
        let failed = item.wanted & !done;
        if ledger.standing != Standing::Running || failed == 0 {
            return;
        }
        ledger.failed[entry][slice] |= failed;
        let mark = Mark {
            slice,
            entry,
            key: ledger.plan.entries[entry].key,
            count: scope.slices[slice],
            failed,
            ..Mark::default()
        };
        tracked.mark(scope, &ledger.plan, mark);
    }
}

fn bit(key: Key) -> u8 {
    1 << (key.timeline * 2 + key.map)
}
