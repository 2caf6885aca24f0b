//! The end of a request, as `workers/reconciler/src/{finalise,verdict}.rs` and the ledger's `finalise` bring it about; and the truth
//! that it is held against.

use crate::rule::Rule;
use crate::scope::{Scope, Standby};
use crate::state::{Key, Mask, SUBSYSTEMS, Standing, State, Verdict};

impl State {
    /// Checks a request that seems complete against the ledger's plan, the stores' keys and, where it is old, the stores themselves.
    pub(crate) fn judge(&mut self, scope: &Scope, request: usize) {
        let config = self.reconciler.config;
        let plan = self.requests[request].plan;
        let tracked = &mut self.redis.requests[request];
        tracked.in_outbox = false;
        if tracked.version != plan.version {
            tracked.init(scope, &plan, 1);
            return;
        }
        let keys: [Key; SUBSYSTEMS] = std::array::from_fn(|subsystem| self.key_of(scope, subsystem, config));
        let is_stale = |at: &usize| plan.entries[*at].key != keys[usize::from(plan.entries[*at].subsystem)];
        if let Some(stale) = plan.live(plan.version).find(is_stale)
            && !scope.breaks(Rule::BoundEvidenceKey)
        {
            let entry = plan.entries[stale];
            if self.register[usize::from(entry.subsystem)].current == Some(entry.key) {
                // We are outdated, or the registrar has yet to learn of it: the notice stays.
                self.redis.requests[request].in_outbox = true;
            } else {
                self.extend(scope, request);
            }
            return;
        }
        let Some(nothing_held) = self.evidence(scope, request) else {
            return;
        };
        if self.reappeared(scope, request) {
            return;
        }
        self.redis.requests[request].in_outbox = true;
        self.reconciler.verdict = Some(Verdict {
            request: u8::try_from(request).unwrap_or(u8::MAX),
            version: plan.version,
            nothing_held,
        });
    }

    /// The subjects of whom nobody held anything, if the evidence covers every task of every live entry.
    fn evidence(&self, scope: &Scope, request: usize) -> Option<Mask> {
        let (plan, tracked) = (&self.requests[request].plan, &self.redis.requests[request]);
        let mut untouched = scope.everyone();
        for entry in plan.live(plan.version) {
            for slice in 0..scope.slice_count() {
                let record = &tracked.records[entry][slice];
                let is_unseen = record.count == 0;
                let is_ignored = scope.breaks(Rule::MissingIsNotDone) && is_unseen
                    || scope.breaks(Rule::CompleteByPlan) && tracked.records[entry].iter().all(|it| it.count == 0);
                if scope.whole(slice) & !record.done() != 0 && !is_ignored {
                    return None;
                }
                if !is_ignored {
                    let held = scope.whole(slice) & !(record.nothing_held & !record.erased);
                    untouched &= !scope.subjects_of(slice, held);
                }
            }
        }
        Some(untouched)
    }

    /// Looks again for the people of aged evidence. If somebody is there again, the plan asks for new evidence.
    fn reappeared(&mut self, scope: &Scope, request: usize) -> bool {
        let plan = self.requests[request].plan;
        for at in plan.live(plan.version) {
            let entry = plan.entries[at];
            let store = &self.stores[usize::from(entry.subsystem)];
            for slice in 0..scope.slice_count() {
                let people = scope.people_of(request, scope.subjects_of(slice, scope.whole(slice)));
                let is_aged = self.redis.requests[request].records[at][slice].is_aged && !scope.breaks(Rule::ReadBackAgain);
                if is_aged && store.primary.of(entry.key.map) & people != 0 {
                    self.requests[request].plan.append(entry);
                    return true;
                }
            }
        }
        false
    }

    /// One ledger transaction: the plan is still the one that was judged, and is what is registered.
    pub(crate) fn finalise(&mut self, scope: &Scope) {
        let Some(verdict) = self.reconciler.verdict.take() else {
            return;
        };
        let request = usize::from(verdict.request);
        let plan = self.requests[request].plan;
        if plan.version != verdict.version && !scope.breaks(Rule::PlanUnchanged) || self.wants_longer_plan(scope, request) {
            self.redis.requests[request].in_outbox = false;
            return;
        }
        self.requests[request].standing = Standing::Final;
        self.lies.not_erased |= self.is_anybody_left(scope, request);
        self.lies.was_held |= verdict.nothing_held & self.requests[request].took != 0;
        let ledger = &mut self.requests[request];
        (ledger.dispatched, ledger.failed, ledger.waiting) = Default::default();
    }

    /// The truth, which no process can see: whether a store still holds somebody, as it is now and as far as today's map says.
    fn is_anybody_left(&self, scope: &Scope, request: usize) -> bool {
        let people = scope.people_of(request, scope.everyone());
        self.stores.iter().zip(&self.register).any(|(store, registered)| {
            registered.current.is_some_and(|key| {
                let behind = if scope.standby == Standby::Sync {
                    store.standby.of(key.map)
                } else {
                    0
                };
                (store.primary.of(key.map) | behind) & people != 0
            })
        })
    }
}
