//! One person at one vendor: submit, ask, and say where it stands.

use crate::client::Client;
use crate::config::OnUnidentified;
use crate::gate::Turn;
use crate::reference::Seen;
use crate::reply::{self, Created, Polled, permanent, refused, transient};
use crate::secret::Secret;
use crate::wait::{RETRY_AFTER_DEFAULT, after_errors, next_poll};
use erasure_protocol::{Blame, Fault, FaultClass, FaultCode, Millis, Subject, Task};
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;
use uuid::Uuid;

/// How often one person's request is submitted under a new id because the vendor cancelled the one before.
const SUBMISSIONS_MAX: u32 = 8;

/// Where one person stands at one vendor after a look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// We know no identifier that this vendor knows.
    Nothing,
    /// The vendor said `completed`.
    Confirmed(Seen),
    /// The vendor accepted; ask again.
    Waiting {
        /// What it said.
        seen: Seen,
        /// When to ask again.
        check_at: Millis,
    },
    /// The vendor did not accept yet; submit again.
    Later {
        /// Why.
        fault: Fault,
        /// The errors so far.
        seen: Seen,
        /// When to submit again.
        check_at: Millis,
    },
    /// Somebody must act.
    Failed(Fault),
}

/// What is to be done about one person at one vendor.
#[derive(Debug)]
pub(crate) enum Need {
    /// Nothing: it is known where the person stands.
    Nothing(Step),
    /// Ask after accepted work.
    Follow(Seen),
    /// Submit it.
    Submit {
        /// What the vendor is told of the person.
        identities: Vec<Value>,
        /// What is known of earlier attempts.
        open: Option<Seen>,
    },
}

/// One vendor during one batch.
#[derive(Debug)]
pub(crate) struct Visit<'a> {
    pub(crate) client: &'a Client,
    pub(crate) turn: Turn<'a>,
    pub(crate) secret: Result<Option<Secret>, Fault>,
    /// A digest of what the vendor is told: another mapping is another request.
    pub(crate) fingerprint: &'a str,
    pub(crate) now: fn() -> Millis,
}

impl Visit<'_> {
    /// What is to be done about one person at this vendor.
    pub(crate) fn need(&self, task: &Task, seen: Option<&Seen>) -> Need {
        let identities = self.identities(&task.subject);
        if identities.is_empty() {
            return Need::Nothing(self.unidentified());
        }
        match seen.filter(|seen| seen.id == self.id(task, seen.again)).cloned() {
            Some(seen) if seen.confirmed_at.is_some() => Need::Nothing(Step::Confirmed(seen)),
            Some(seen) if seen.accepted_at.is_some() => Need::Follow(seen),
            open => Need::Submit { identities, open },
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.client.vendor().name
    }

    /// The same id whenever the same is asked for the same person, so that asking twice is asking once.
    pub(crate) fn id(&self, task: &Task, again: u32) -> Uuid {
        let part = format!("{}/{}/{}", self.name(), task.number, self.fingerprint);
        task.request
            .derive(&if again == 0 { part } else { format!("{part}/{again}") })
    }

    fn identities(&self, subject: &Subject) -> Vec<Value> {
        let maps = &self.client.vendor().identities;
        maps.iter()
            .flat_map(|map| {
                let values = subject.tuples(&[&map.kind]).into_iter().flatten();
                // Addresses that differ in case alone are one hash.
                let values: BTreeSet<String> = values.map(|value| map.formatted(value)).collect();
                values.into_iter().map(|value| {
                    json!({
                        "identity_type": map.identity_type,
                        "identity_value": value,
                        "identity_format": map.identity_format.as_str(),
                    })
                })
            })
            .collect()
    }

    fn unidentified(&self) -> Step {
        match self.client.vendor().on_unidentified {
            OnUnidentified::NothingHeld => Step::Nothing,
            OnUnidentified::Attention => Step::Failed(permanent(self.name(), FaultCode::NoIdentifierForVendor, Blame::Subject)),
        }
    }

    /// Submits, under the next id for as long as the vendor has cancelled the one before.
    pub(crate) async fn submit(&self, task: &Task, identities: &[Value], open: Option<Seen>) -> Step {
        let open = open.unwrap_or_default();
        for again in 0..SUBMISSIONS_MAX {
            let id = self.id(task, again);
            let seen = Seen {
                id,
                again,
                ..open.clone()
            };
            if (self.now)() > task.deadline {
                return self.fault(seen, transient(self.name(), FaultCode::Expired));
            }
            let said = self.create(id, task, identities).await;
            if let Some(step) = self.settle(said, seen).await {
                return step;
            }
        }
        Step::Failed(permanent(self.name(), FaultCode::VendorCancelled, Blame::Subject))
    }

    /// What follows from the answer to a new request; nothing when the vendor knew it and has cancelled it.
    pub(crate) async fn settle(&self, said: Created, seen: Seen) -> Option<Step> {
        match said {
            Created::Accepted { expected_by } => Some(self.accepted(seen, expected_by).await),
            Created::Fault(fault) => Some(self.fault(seen, fault)),
            Created::PerhapsKnown => match self.poll(seen.id).await {
                Polled::Completed => Some(self.confirmed(seen)),
                Polled::Working { expected_by } => Some(self.waiting(seen, expected_by)),
                Polled::Cancelled => None,
                Polled::Unknown => Some(Step::Failed(refused(self.name()))),
                Polled::Fault(fault) => Some(self.fault(seen, fault)),
            },
        }
    }

    /// Asks at once only when the vendor says that it is done by now; its acceptance alone proves nothing. Whoever was submitted
    /// together is asked for together, later.
    async fn accepted(&self, seen: Seen, expected_by: Option<Millis>) -> Step {
        let now = (self.now)();
        tracing::debug!(vendor = self.name(), subject_request_id = %seen.id, "a vendor accepted an erasure");
        let seen = Seen {
            accepted_at: Some(now),
            expected_by,
            ..seen
        };
        if seen.batch.is_none() && expected_by.is_some_and(|at| at <= now) {
            return self.follow(seen).await;
        }
        self.waiting(seen, expected_by)
    }

    /// Asks after accepted work.
    pub(crate) async fn follow(&self, seen: Seen) -> Step {
        let said = self.poll(seen.id).await;
        self.heard(seen, said)
    }

    /// What follows from an answer about accepted work.
    pub(crate) fn heard(&self, seen: Seen, said: Polled) -> Step {
        match said {
            Polled::Completed => self.confirmed(seen),
            Polled::Working { expected_by } => self.waiting(seen, expected_by),
            Polled::Cancelled => Step::Failed(permanent(self.name(), FaultCode::VendorCancelled, Blame::Subject)),
            Polled::Unknown => Step::Failed(permanent(self.name(), FaultCode::VendorForgot, Blame::Subject)),
            Polled::Fault(fault) => self.fault(seen, fault),
        }
    }

    fn confirmed(&self, seen: Seen) -> Step {
        tracing::debug!(vendor = self.name(), subject_request_id = %seen.id, "a vendor confirmed an erasure");
        let now = (self.now)();
        Step::Confirmed(Seen {
            accepted_at: seen.accepted_at.or(Some(now)),
            confirmed_at: Some(now),
            trouble_since: None,
            errors: 0,
            ..seen
        })
    }

    fn waiting(&self, seen: Seen, expected_by: Option<Millis>) -> Step {
        let now = (self.now)();
        let expected_by = expected_by.or(seen.expected_by);
        if expected_by.is_some_and(|at| at < now) {
            let code = FaultCode::VendorOverdue;
            tracing::debug!(vendor = self.name(), subject_request_id = %seen.id, %code, "{}", code.meaning());
        }
        let seen = Seen {
            accepted_at: seen.accepted_at.or(Some(now)),
            expected_by,
            trouble_since: None,
            errors: 0,
            ..seen
        };
        let check_at = next_poll(now, self.client.vendor().poll_every(), expected_by);
        Step::Waiting { seen, check_at }
    }

    /// What a fault means depends on whether the vendor has accepted: then its promise is followed in spite of errors, until
    /// there was nothing else for too long.
    pub(crate) fn fault(&self, seen: Seen, fault: Fault) -> Step {
        let now = (self.now)();
        let vendor = self.client.vendor();
        let (seen, check_at) = match fault.class {
            FaultClass::Permanent | FaultClass::Poison => return Step::Failed(fault),
            FaultClass::Throttled => {
                let told = fault.retry_after_ms.map_or(RETRY_AFTER_DEFAULT, Duration::from_millis);
                let soonest = after_errors(now, vendor.poll_every(), 1);
                (seen, now.plus(told).max(soonest))
            }
            FaultClass::Transient => {
                let errors = seen.errors.saturating_add(1);
                let since = seen.trouble_since.unwrap_or(now);
                if now.since(since) >= Duration::from_millis(vendor.give_up_after_ms) {
                    return Step::Failed(fault);
                }
                let check_at = after_errors(now, vendor.poll_every(), errors);
                (
                    Seen {
                        errors,
                        trouble_since: Some(since),
                        ..seen
                    },
                    check_at,
                )
            }
        };
        if seen.accepted_at.is_some() {
            Step::Waiting { seen, check_at }
        } else {
            Step::Later { fault, seen, check_at }
        }
    }

    async fn create(&self, id: Uuid, task: &Task, identities: &[Value]) -> Created {
        let body = self.body(id, task, identities);
        let answer = self.call(|secret| self.client.create(secret, &body)).await;
        let said = match answer {
            Ok(raw) => reply::created(self.name(), id, &raw, (self.now)()),
            Err(fault) => return Created::Fault(fault),
        };
        if let Created::Fault(fault) = &said {
            self.turn.note(fault).await;
        }
        said
    }

    /// One request, as it is submitted.
    pub(crate) fn body(&self, id: Uuid, task: &Task, identities: &[Value]) -> Value {
        let vendor = self.client.vendor();
        let mut body = json!({
            "subject_request_id": id,
            "subject_request_type": "erasure",
            "submitted_time": task.accepted_at.to_rfc3339(),
            "subject_identities": identities,
        });
        let more = [
            ("api_version", vendor.version.on_the_wire()),
            ("property_id", vendor.property_id.as_deref()),
            ("platform", vendor.platform.as_deref()),
            (
                "regulation",
                (vendor.version == crate::Version::V2).then(|| vendor.regulation.as_str()),
            ),
        ];
        for (name, value) in more {
            if let Some(value) = value {
                body[name] = value.into();
            }
        }
        body
    }

    async fn poll(&self, id: Uuid) -> Polled {
        let answer = self.call(|secret| self.client.poll(secret, id)).await;
        let said = match answer {
            Ok(raw) => reply::polled(self.name(), id, &raw, (self.now)()),
            Err(fault) => return Polled::Fault(fault),
        };
        if let Polled::Fault(fault) = &said {
            self.turn.note(fault).await;
        }
        said
    }

    /// Makes a call as soon as the vendor may be called. It is written before, so that nothing comes between its time and itself.
    pub(crate) async fn call(&self, call: impl FnOnce(Option<&Secret>) -> RequestBuilder) -> Result<reply::Raw, Fault> {
        let secret = self.secret.as_ref().map_err(Clone::clone)?;
        let request = call(secret.as_ref());
        let mut pass = self.turn.enter().await?;
        let answer = self.client.send(request, &mut pass.answered).await;
        pass.end().await;
        // Having had no turn is nothing that the vendor said.
        if let Err(fault) = &answer {
            self.turn.note(fault).await;
        }
        answer
    }
}
