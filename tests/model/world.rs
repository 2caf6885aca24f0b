//! What happens around the processes: roles restarted with a new configuration, time that passes, and every fault.

use crate::action::{Action, Fault};
use crate::scope::{Scope, Standby};
use crate::state::{Item, Phase, Redis, Standing, State, Step, Worker};

impl State {
    pub(crate) fn world_actions(&self, scope: &Scope, actions: &mut Vec<Action>) {
        if scope.hides && !self.is_grace_over {
            actions.push(Action::GraceEnds);
        }
        if !self.is_late && self.faults.newcomer > 0 && !scope.knows_created && self.is_everything_final(scope) {
            actions.push(Action::DeadlinePasses);
        }
        for subsystem in 0..scope.subsystems_max() {
            let store = &self.stores[usize::from(subsystem)];
            if scope.standby == Standby::Async && self.faults.failover > 0 && store.primary != store.standby {
                actions.push(Action::Replicate { subsystem });
            }
        }
    }

    pub(crate) fn fault_actions(&self, scope: &Scope, actions: &mut Vec<Action>) {
        if self.faults_left == 0 {
            return;
        }
        self.process_faults(scope, actions);
        self.broker_faults(actions);
        self.redis_faults(actions);
        self.store_faults(scope, actions);
    }

    /// Whether a fault of which so many are left may strike now.
    pub(crate) fn may(&self, left: u8) -> bool {
        left > 0 && self.faults_left > 0
    }

    fn is_everything_final(&self, scope: &Scope) -> bool {
        self.requests[..usize::from(scope.requests)]
            .iter()
            .all(|it| it.standing == Standing::Final)
    }

    fn process_faults(&self, scope: &Scope, actions: &mut Vec<Action>) {
        for (worker, _) in (0..).zip(scope.workers) {
            let it = &self.workers[usize::from(worker)];
            let has_room = self.work.has_room();
            if self.may(self.faults.crash) && it.step != Step::Idle && has_room {
                actions.push(Action::Strike(Fault::CrashWorker { worker }));
            }
            if self.may(self.faults.hang) && it.step != Step::Idle && !it.is_forsaken && has_room {
                actions.push(Action::Strike(Fault::Redeliver { worker }));
            }
            if it.step == Step::Claimed && !it.item.is_expired {
                if self.may(self.faults.retry) {
                    for has_committed in [false, true] {
                        actions.push(Action::Strike(Fault::PerformInVain { worker, has_committed }));
                    }
                    if it.item.wanted.count_ones() > 1 {
                        actions.push(Action::Strike(Fault::PerformPartly { worker }));
                    }
                }
                if self.may(self.faults.refuse) {
                    actions.push(Action::Strike(Fault::PerformRefused { worker }));
                }
            }
        }
        if self.may(self.faults.crash) && (self.reconciler.verdict.is_some() || self.reconciler.redrive.is_some()) {
            actions.push(Action::Strike(Fault::CrashReconciler));
        }
    }

    fn broker_faults(&self, actions: &mut Vec<Action>) {
        for (item, message) in (0..).zip(self.work.as_slice()) {
            if item > 0 && self.work.as_slice()[usize::from(item) - 1] == *message {
                continue;
            }
            if self.may(self.faults.lose) {
                actions.push(Action::Strike(Fault::LoseWork { item }));
            }
            if self.may(self.faults.duplicate) && self.work.has_room() {
                actions.push(Action::Strike(Fault::Duplicate { item }));
            }
            if self.may(self.faults.bury) {
                actions.push(Action::Strike(Fault::Bury { item }));
            }
        }
        if self.may(self.faults.lose) {
            let reports = 0..self.reports.as_slice().len();
            actions.extend(
                (0..)
                    .zip(reports)
                    .map(|(report, _)| Action::Strike(Fault::LoseReport { report })),
            );
        }
    }

    fn redis_faults(&self, actions: &mut Vec<Action>) {
        if self.may(self.faults.wipe) && self.redis != Redis::default() {
            actions.push(Action::Strike(Fault::Wipe));
        }
        if self.may(self.faults.rollback) {
            match &self.older {
                None => actions.push(Action::Strike(Fault::Snapshot)),
                Some(older) if **older != self.redis => actions.push(Action::Strike(Fault::RollBack)),
                Some(_) => {}
            }
        }
    }

    fn store_faults(&self, scope: &Scope, actions: &mut Vec<Action>) {
        for subsystem in 0..scope.subsystems_max() {
            let at = usize::from(subsystem);
            // The moment between the last look at a store's identity and the ledger's commit is as open as the moment after it.
            if self.may(self.faults.failover) && self.reconciler.verdict.is_none() {
                actions.push(Action::Strike(Fault::FailOver { subsystem }));
            }
            let works = |step: Step| {
                let workers = self.workers.iter().zip(scope.workers);
                workers.filter(|(it, of)| **of == subsystem && it.step == step).count() > 0
            };
            if self.may(self.faults.restart) && works(Step::Committing) {
                actions.push(Action::Strike(Fault::RestartPrimary { subsystem }));
            }
            if self.may(self.faults.rewrite) && !works(Step::Performed) && !works(Step::Told) && self.reconciler.verdict.is_none()
            {
                for person in 0..8 {
                    if self.may_return(scope, at, person) {
                        actions.push(Action::Strike(Fault::Rewrite { subsystem, person }));
                    }
                }
            }
        }
        if self.may(self.faults.newcomer) && (scope.knows_created || self.is_late) {
            for person in 0..8 {
                let bit = 1 << person;
                let store = &self.stores[0];
                if scope.population() & bit != 0 && (store.primary.held | store.newcomers) & bit == 0 {
                    actions.push(Action::Strike(Fault::Arrive { person }));
                }
            }
        }
    }

    /// Somebody whom the store held and no longer holds, and whose request is not at its end.
    fn may_return(&self, scope: &Scope, subsystem: usize, person: u8) -> bool {
        let bit = 1 << person;
        let is_asked_for = |request: usize| {
            self.requests[request].standing == Standing::Running && scope.people_of(request, scope.everyone()) & bit != 0
        };
        scope.population() & !scope.strangers & bit & !self.stores[subsystem].primary.held != 0
            && (0..usize::from(scope.requests)).any(is_asked_for)
    }

    /// The broker hands what the worker held to somebody else.
    pub(crate) fn crash_worker(&mut self, worker: usize) {
        let Worker {
            item, is_forsaken, map, ..
        } = self.workers[worker];
        self.workers[worker] = Worker {
            map,
            ..Worker::default()
        };
        if !is_forsaken {
            self.work.put(Item {
                is_redelivered: true,
                ..item
            });
        }
    }

    pub(crate) fn redeliver(&mut self, worker: usize) {
        let it = &mut self.workers[worker];
        it.is_forsaken = true;
        self.work.put(Item {
            is_redelivered: true,
            ..it.item
        });
    }

    pub(crate) fn duplicate(&mut self, at: usize) {
        self.work.put(self.work.as_slice()[at]);
    }

    pub(crate) fn roll_back(&mut self) {
        if let Some(older) = self.older.take() {
            self.redis = *older;
        }
    }

    pub(crate) fn fail_over(&mut self, subsystem: usize) {
        let store = &mut self.stores[subsystem];
        store.primary = store.standby;
        store.timeline += 1;
        self.break_commits(subsystem);
    }

    /// The primary is there again with what it had committed for itself. Who waited for the standby has got an error.
    pub(crate) fn restart_primary(&mut self, subsystem: usize) {
        self.break_commits(subsystem);
    }

    fn break_commits(&mut self, subsystem: usize) {
        let of_store = |it: &&mut Worker| it.step == Step::Committing && usize::from(it.item.subsystem) == subsystem;
        for it in self.workers.iter_mut().filter(of_store) {
            (it.erased, it.nothing_held) = (0, 0);
            it.again = it.item.wanted;
            it.step = Step::Performed;
        }
    }

    /// The standby has this commit, and with it every earlier one.
    pub(crate) fn standby_has_it(&mut self, worker: usize) {
        let it = &mut self.workers[worker];
        it.step = Step::Performed;
        let store = &mut self.stores[usize::from(it.item.subsystem)];
        store.standby = store.primary;
    }

    /// A late writer puts somebody back, more than a day after the last look: what is on record is old by then.
    pub(crate) fn rewrite(&mut self, scope: &Scope, subsystem: u8, person: u8) {
        let bit = 1 << person;
        self.stores[usize::from(subsystem)].primary.held |= bit;
        for request in 0..usize::from(scope.requests) {
            let plan = self.requests[request].plan;
            for entry in 0..usize::from(plan.version) {
                if plan.entries[entry].subsystem == subsystem && plan.entries[entry].phase == Phase::Purge {
                    let copies = std::iter::once(&mut self.redis).chain(self.older.as_deref_mut());
                    for redis in copies {
                        redis.requests[request].records[entry]
                            .iter_mut()
                            .filter(|record| record.done() != 0)
                            .for_each(|record| record.is_aged = true);
                    }
                }
            }
        }
    }

    /// Somebody new registers, and becomes known everywhere by the old identifiers.
    pub(crate) fn arrive(&mut self, person: u8) {
        self.stores.iter_mut().for_each(|store| store.newcomers |= 1 << person);
    }

    /// Seven days: whatever was sent before may change nothing any more.
    pub(crate) fn pass_deadline(&mut self) {
        self.is_late = true;
        self.work.each(|item| item.is_expired = true);
        for worker in self.workers.iter_mut().filter(|it| it.step != Step::Idle) {
            worker.item.is_expired = true;
        }
    }
}
