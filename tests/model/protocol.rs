//! The model that the checker explores: which steps are possible in a state, where each leads, and what must never be.

use crate::action::{Action, Fault};
use crate::scope::Scope;
use crate::state::{Redis, State};
use crate::worker::Attempt;
use stateright::{Model, Property};

/// One scenario.
#[derive(Clone, Debug)]
pub(crate) struct Protocol(pub(crate) Scope);

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State::initial(&self.0)]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        state.intake_actions(&self.0, actions);
        state.reconciler_actions(&self.0, actions);
        state.worker_actions(&self.0, actions);
        state.world_actions(&self.0, actions);
        state.fault_actions(&self.0, actions);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut next = last.clone();
        next.act(&self.0, action);
        let next = next.canonical(&self.0);
        (next != *last).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("final only when everybody is erased everywhere", |_, state: &State| {
                !state.lies.not_erased
            }),
            Property::always("nothing held only of whom nobody held", |_, state: &State| {
                !state.lies.was_held
            }),
            Property::always("nobody new is erased", |_, state: &State| !state.lies.newcomer_erased),
            Property::always("nobody is purged before the grace is over", |_, state: &State| {
                !state.lies.purged_early
            }),
        ]
    }
}

impl State {
    fn act(&mut self, scope: &Scope, action: Action) {
        match action {
            Action::Resolve { request } => self.resolve(scope, at(request)),
            Action::Unite { request } => self.unite(scope, at(request)),
            Action::Accept { request } => self.accept(scope, at(request)),
            Action::Dispatch { request, entry, slice } => self.dispatch(scope, request, at(entry), at(slice), true),
            Action::Redispatch { request, entry, slice } => self.redispatch(scope, request, at(entry), at(slice), true),
            Action::Project { request } => self.project(scope, at(request)),
            Action::SettleWanted { request } => self.redis.requests[at(request)].is_wanted = false,
            Action::TellPlan { request } => {
                let ledger = &self.requests[at(request)];
                self.redis.requests[at(request)].init(scope, &ledger.plan, ledger.generation);
            }
            Action::Judge { request } => self.judge(scope, at(request)),
            Action::Finalise => self.finalise(scope),
            Action::Finish { request } => {
                self.redis.requests[at(request)].finish();
                self.redis.requests[at(request)].in_outbox = false;
            }
            Action::Register { subsystem } => self.register(scope, at(subsystem)),
            Action::Extend { request } => self.extend(scope, at(request)),
            Action::Record { report } => self.record(at(report)),
            Action::TakeFailed { request, entry, slice } => self.take_failed(request, entry, slice),
            Action::SendAgain => self.send_again(scope),
            Action::Claim { worker, item } => self.claim(scope, at(worker), at(item)),
            Action::HandBack { item } => drop(self.work.take(at(item))),
            Action::Perform { worker } => self.perform(scope, at(worker), Attempt::Well),
            Action::PerformExpired { worker, gives_up } => self.perform_expired(at(worker), gives_up),
            Action::StandbyHasIt { worker } => self.standby_has_it(at(worker)),
            Action::Tell { worker } => self.tell(at(worker)),
            Action::Mark { worker } => self.mark(scope, at(worker)),
            Action::MarkGivesUp { worker } => self.workers[at(worker)].step = crate::state::Step::Refused,
            Action::Publish { worker } => self.publish(scope, at(worker)),
            Action::Acknowledge { worker } => self.acknowledge(at(worker)),
            Action::DeployWorker { worker } => self.workers[at(worker)].map = 1,
            Action::DeployReconciler => self.reconciler.config = 1,
            Action::Replicate { subsystem } => self.stores[at(subsystem)].standby = self.stores[at(subsystem)].primary,
            Action::GraceEnds => self.is_grace_over = true,
            Action::DeadlinePasses => self.pass_deadline(),
            Action::Strike(fault) => self.strike(scope, fault),
        }
    }

    /// A fault, which takes one of those that are left.
    fn strike(&mut self, scope: &Scope, fault: Fault) {
        let faults = &mut self.faults;
        let left = match fault {
            Fault::CrashWorker { .. } | Fault::CrashReconciler | Fault::DispatchAndDie { .. } => &mut faults.crash,
            Fault::Redeliver { .. } => &mut faults.hang,
            Fault::LoseWork { .. } | Fault::LoseReport { .. } => &mut faults.lose,
            Fault::Duplicate { .. } => &mut faults.duplicate,
            Fault::Bury { .. } => &mut faults.bury,
            Fault::Wipe => &mut faults.wipe,
            Fault::RollBack => &mut faults.rollback,
            Fault::FailOver { .. } => &mut faults.failover,
            Fault::RestartPrimary { .. } => &mut faults.restart,
            Fault::PerformInVain { .. } | Fault::PerformPartly { .. } => &mut faults.retry,
            Fault::PerformRefused { .. } => &mut faults.refuse,
            Fault::Rewrite { .. } => &mut faults.rewrite,
            Fault::Arrive { .. } => &mut faults.newcomer,
            Fault::Snapshot => {
                self.older = Some(Box::new(self.redis));
                return;
            }
        };
        *left -= 1;
        self.faults_left -= 1;
        match fault {
            Fault::CrashWorker { worker } => self.crash_worker(at(worker)),
            Fault::CrashReconciler => (self.reconciler.verdict, self.reconciler.redrive) = (None, None),
            Fault::DispatchAndDie { request, entry, slice } => self.dispatch(scope, request, at(entry), at(slice), false),
            Fault::Redeliver { worker } => self.redeliver(at(worker)),
            Fault::LoseWork { item } => drop(self.work.take(at(item))),
            Fault::LoseReport { report } => drop(self.reports.take(at(report))),
            Fault::Duplicate { item } => self.duplicate(at(item)),
            Fault::Bury { item } => self.bury(scope, at(item)),
            Fault::Wipe => self.redis = Redis::default(),
            Fault::RollBack => self.roll_back(),
            Fault::FailOver { subsystem } => self.fail_over(at(subsystem)),
            Fault::RestartPrimary { subsystem } => self.restart_primary(at(subsystem)),
            Fault::PerformInVain { worker, has_committed } => {
                self.perform(scope, at(worker), Attempt::InVain { has_committed });
            }
            Fault::PerformPartly { worker } => self.perform(scope, at(worker), Attempt::Partly),
            Fault::PerformRefused { worker } => self.perform(scope, at(worker), Attempt::Refused),
            Fault::Rewrite { subsystem, person } => self.rewrite(scope, subsystem, person),
            Fault::Arrive { person } => self.arrive(person),
            Fault::Snapshot => {}
        }
        if self.faults.rollback == 0 || self.faults_left == 0 {
            self.older = None;
        }
    }
}

fn at(number: u8) -> usize {
    usize::from(number)
}
