//! Intake, as `workers/intake/src/{people,accept}.rs` do it: look for the people, then ask for overlaps, then accept. It only
//! records; nothing is dispatched from here.

use crate::action::Action;
use crate::rule::Rule;
use crate::scope::Scope;
use crate::state::{Entry, Phase, Standing, State};

impl State {
    pub(crate) fn intake_actions(&self, scope: &Scope, actions: &mut Vec<Action>) {
        let asks_first = scope.breaks(Rule::OverlapsAfterResolving);
        for request in 0..scope.requests {
            actions.extend(match (self.requests[usize::from(request)].standing, asks_first) {
                (Standing::Commanded, false) | (Standing::Resolved, true) => Some(Action::Resolve { request }),
                (Standing::Resolved, false) | (Standing::Commanded, true) => Some(Action::Unite { request }),
                (Standing::United, _) => Some(Action::Accept { request }),
                (Standing::Running | Standing::Final, _) => None,
            });
        }
    }

    /// Looks into the store that knows people by what was given: an id is found of whom it still holds.
    pub(crate) fn resolve(&mut self, scope: &Scope, request: usize) {
        let people = scope.people_of(request, scope.everyone());
        self.requests[request].resolved |= self.stores[0].primary.held & people;
        self.next_standing(request);
    }

    /// Takes over what open requests on the same people have found. They share what was given, so that their hashes meet.
    pub(crate) fn unite(&mut self, scope: &Scope, request: usize) {
        if !scope.breaks(Rule::SharedResolution) {
            let others = self.requests.iter().enumerate();
            let others = others.filter(|(at, it)| *at != request && it.standing == Standing::Running);
            let known = others.fold(0, |known, (_, it)| known | it.resolved);
            self.requests[request].resolved |= known;
        }
        self.next_standing(request);
    }

    fn next_standing(&mut self, request: usize) {
        let standing = &mut self.requests[request].standing;
        *standing = if *standing == Standing::Commanded {
            Standing::Resolved
        } else {
            Standing::United
        };
    }

    /// One transaction: the request, its sealed slices and hashes, its plan as the register is now.
    pub(crate) fn accept(&mut self, scope: &Scope, request: usize) {
        let phases: &[Phase] = if scope.hides {
            &[Phase::Hide, Phase::Purge]
        } else {
            &[Phase::Purge]
        };
        for phase in phases {
            for (subsystem, registered) in (0..).zip(&self.register) {
                if let Some(key) = registered.current {
                    let entry = Entry {
                        phase: *phase,
                        subsystem,
                        key,
                    };
                    self.requests[request].plan.append(entry);
                }
            }
        }
        self.requests[request].standing = Standing::Running;
    }
}
