//! All vendors as one subsystem.

use crate::call::{Step, Visit};
use crate::client::Client;
use crate::config::{Config, ConfigError};
use crate::gate::Gate;
use crate::reference::Followed;
use erasure_kit::{Subsystem, digest16};
use erasure_protocol::{
    Blame, EvidenceKey, Fault, FaultClass, FaultCode, Findings, Millis, Operation, Outcome, Resolution, Subject, SubsystemName,
    Task, TenantId,
};
use erasure_tracker::Tracker;
use futures_util::future::join_all;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// The vendors that must forget people, as one [`Subsystem`].
///
/// A task is [`Outcome::Erased`] when every vendor said `completed`, [`Outcome::NothingHeld`] when we know no identifier that any
/// of them knows, [`Outcome::Pending`] as soon as one has accepted, whatever the others said, unless somebody must act.
///
/// Deactivating and reactivating end with [`Outcome::NothingHeld`] without a call: vendors are not told of reversible operations.
#[derive(Debug)]
pub struct Subprocessors {
    vendors: Vec<Known>,
    now: fn() -> Millis,
}

#[derive(Debug)]
struct Known {
    client: Client,
    gate: Gate,
    fingerprint: String,
}

impl Subprocessors {
    /// The vendors of a configuration. Calls nobody.
    ///
    /// # Errors
    /// When a rule of the configuration is broken, or the system's certificates cannot be loaded.
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        config.check()?;
        let nobody = SubsystemName::new("subprocessors").expect("a word of letters is a name");
        let vendors = config.vendors.into_iter().map(|vendor| {
            Ok(Known {
                gate: Gate::new(&vendor, &nobody, None),
                fingerprint: EvidenceKey(digest16(&vendor.identity())).to_string(),
                client: Client::new(vendor)?,
            })
        });
        Ok(Self {
            vendors: vendors.collect::<Result<_, _>>()?,
            now: system_now,
        })
    }

    /// The same with a tracker, in which the allowances of vendors are shared with all processes that work for the subsystem of this
    /// name. Without one, nobody calls a vendor that has an allowance.
    #[must_use]
    pub fn with_tracker(mut self, name: &SubsystemName, tracker: &Tracker) -> Self {
        for known in &mut self.vendors {
            known.gate = Gate::new(known.client.vendor(), name, Some(tracker.clone()));
        }
        self
    }

    /// The same with another clock, for tests.
    #[must_use]
    pub fn with_clock(self, now: fn() -> Millis) -> Self {
        Self { now, ..self }
    }

    async fn visits(&self) -> Vec<Visit<'_>> {
        join_all(self.vendors.iter().map(async |known| Visit {
            client: &known.client,
            turn: known.gate.turn(),
            secret: known.client.secret().await,
            fingerprint: &known.fingerprint,
            now: self.now,
        }))
        .await
    }
}

impl Subsystem for Subprocessors {
    async fn perform(&self, operation: Operation, tasks: &[Task]) -> Result<Vec<Outcome>, Fault> {
        match operation {
            Operation::Deactivate | Operation::Reactivate => Ok(vec![Outcome::NothingHeld; tasks.len()]),
            Operation::Erase => {
                let visits = self.visits().await;
                let followed: Vec<Followed> = tasks.iter().map(|task| Followed::read(task.reference.as_ref())).collect();
                let known = |task: &&Task| task.subject.resolution != Resolution::Ambiguous;
                let at_all = visits.iter().map(async |visit| {
                    let name = &visit.client.vendor().name;
                    let people = tasks.iter().zip(&followed).filter(|(task, _)| known(task));
                    let people: Vec<_> = people.map(|(task, followed)| (task, followed.vendors.get(name))).collect();
                    (name, visit.steps(&people).await.into_iter())
                });
                let mut at_all = join_all(at_all).await;
                let mut person = |task: &Task| {
                    if !known(&task) {
                        return ambiguous();
                    }
                    let steps = at_all.iter_mut();
                    outcome(
                        steps
                            .filter_map(|(name, steps)| Some((name.clone(), steps.next()?)))
                            .collect(),
                    )
                };
                Ok(tasks.iter().map(&mut person).collect())
            }
        }
    }

    /// `OpenDSR` has no look-up: what a vendor holds is never known here, so nothing is ever found.
    async fn find(&self, _tenant: &TenantId, subjects: &[Arc<Subject>], _: Option<Millis>) -> Result<Vec<Findings>, Fault> {
        Ok(vec![Findings::default(); subjects.len()])
    }

    async fn evidence(&self) -> Result<EvidenceKey, Fault> {
        Ok(EvidenceKey(self.map_digest()))
    }

    fn map_digest(&self) -> [u8; 16] {
        let parts: Vec<_> = self.vendors.iter().map(|known| known.fingerprint.as_bytes()).collect();
        digest16(&parts)
    }
}

fn ambiguous() -> Outcome {
    let fault = Fault::new(FaultClass::Permanent, Blame::Subject, FaultCode::Ambiguous, "subprocessors");
    Outcome::Failed(fault)
}

/// One outcome of what the vendors said. Erased needs everybody; who must be acted upon decides before who is waited for.
fn outcome(steps: Vec<(String, Step)>) -> Outcome {
    let mut followed = Followed::default();
    let (mut accepted, mut confirmed) = (false, false);
    let mut check_at: Option<Millis> = None;
    let mut later: Option<Fault> = None;
    for (name, step) in steps {
        match step {
            Step::Failed(fault) => return Outcome::Failed(fault),
            Step::Nothing => {}
            Step::Confirmed(seen) => {
                confirmed = true;
                followed.vendors.insert(name, seen);
            }
            Step::Waiting { seen, check_at: at } => {
                accepted = true;
                check_at = sooner(check_at, at);
                followed.vendors.insert(name, seen);
            }
            Step::Later {
                fault,
                seen,
                check_at: at,
            } => {
                check_at = sooner(check_at, at);
                later = Some(graver(later, fault));
                followed.vendors.insert(name, seen);
            }
        }
    }
    match (check_at, later) {
        (None, _) if confirmed => Outcome::Erased,
        (None, _) => Outcome::NothingHeld,
        (Some(_), Some(fault)) if !accepted && !confirmed => Outcome::Retry(fault),
        (Some(check_at), _) => Outcome::Pending {
            reference: followed.write(),
            check_at,
        },
    }
}

fn sooner(one: Option<Millis>, other: Millis) -> Option<Millis> {
    Some(one.map_or(other, |one| one.min(other)))
}

/// Of two faults the one that counts as an attempt; of two throttles the longer.
fn graver(one: Option<Fault>, other: Fault) -> Fault {
    let weight = |fault: &Fault| (fault.class != FaultClass::Throttled, fault.retry_after_ms);
    match one {
        Some(one) if weight(&one) >= weight(&other) => one,
        Some(_) | None => other,
    }
}

fn system_now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reference::Seen;

    fn waiting(at: i64) -> Step {
        Step::Waiting {
            seen: Seen::default(),
            check_at: Millis(at),
        }
    }

    fn confirmed() -> Step {
        Step::Confirmed(Seen::default())
    }

    fn later(class: FaultClass) -> Step {
        Step::Later {
            fault: fault(class),
            seen: Seen::default(),
            check_at: Millis(3),
        }
    }

    fn fault(class: FaultClass) -> Fault {
        Fault::new(class, Blame::Store, FaultCode::VendorError, "mailer")
    }

    fn of(steps: Vec<Step>) -> Outcome {
        let named = steps.into_iter().enumerate().map(|(at, step)| (format!("vendor{at}"), step));
        outcome(named.collect())
    }

    #[test]
    fn erased_needs_every_vendor() {
        assert_eq!(of(vec![confirmed(), confirmed()]), Outcome::Erased);
        assert_eq!(of(vec![confirmed(), Step::Nothing]), Outcome::Erased);
        assert_eq!(of(vec![Step::Nothing, Step::Nothing]), Outcome::NothingHeld);
        for other in [waiting(5), later(FaultClass::Transient), later(FaultClass::Throttled)] {
            assert!(matches!(of(vec![confirmed(), other]), Outcome::Pending { .. }));
        }
        let failed = Step::Failed(fault(FaultClass::Permanent));
        assert_eq!(
            of(vec![confirmed(), failed, waiting(1)]),
            Outcome::Failed(fault(FaultClass::Permanent))
        );
    }

    #[test]
    fn what_one_vendor_accepted_is_kept_while_another_is_tried_again() {
        let Outcome::Pending { check_at, reference } = of(vec![waiting(5), later(FaultClass::Throttled)]) else {
            panic!("one has accepted")
        };
        assert_eq!(check_at, Millis(3));
        assert_eq!(Followed::read(Some(&reference)).vendors.len(), 2);
    }

    #[test]
    fn before_anybody_accepted_an_error_counts_before_a_throttle() {
        let steps = |a, b| of(vec![later(a), later(b)]);
        let transient = Outcome::Retry(fault(FaultClass::Transient));
        assert_eq!(steps(FaultClass::Transient, FaultClass::Throttled), transient);
        assert_eq!(steps(FaultClass::Throttled, FaultClass::Transient), transient);
        let throttled = Outcome::Retry(fault(FaultClass::Throttled));
        assert_eq!(steps(FaultClass::Throttled, FaultClass::Throttled), throttled);
    }
}
