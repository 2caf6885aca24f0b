//! From commands to requests in the ledger: one transaction for a whole batch, and only then the acknowledgements.

use crate::read::{Candidate, Read, Refusal};
use crate::{Error, Intake, due_at};
use erasure_broker::Delivery;
use erasure_drill::{Point, point};
use erasure_kit::Subsystem as _;
use erasure_ledger::{Accepted, FailedNow, NewPart, NewSlice, Part, SubjectHash};
use erasure_privacy::{DataKey, slice_aad};
use erasure_protocol::{
    Blame, CommandCode, EVENT_VERSION, Event, EventData, EventKind, Fault, FaultClass, FaultCode, Lane, Mask, Millis, Origin,
    Phase, PlanEntry, RequestKey, Resolution, SLICE_SUBJECTS_MAX, Slice, Subject, TenantId, WrappedKey,
};
use std::collections::BTreeMap;

/// How often a batch is prepared anew because another process was first.
const TRIES_MAX: usize = 5;

impl Intake {
    /// Takes a batch. On error nothing is acknowledged that is not in the ledger, and the rest comes again.
    pub(crate) async fn take(&self, queue: &str, deliveries: Vec<Delivery>) -> Result<(), Error> {
        self.not_older_than_the_tracker().await?;
        let plan = self.plan().await?;
        let now = self.ledger.now().await?;
        let mut candidates = Vec::new();
        let mut not_now = None;
        for delivery in deliveries {
            match self.read(delivery) {
                Ok(Read::Candidate(candidate)) => candidates.push(*candidate),
                Ok(Read::Refused(refused)) => {
                    let (delivery, refusal) = *refused;
                    self.refuse(queue, delivery, &refusal, now).await?;
                }
                Err(error) => not_now = Some(error),
            }
        }
        point(Point::IntakeReceived).await;
        self.accept(queue, candidates, &plan, now).await?;
        not_now.map_or(Ok(()), Err)
    }

    /// A ledger that went back in time knows less than it had promised: nothing is taken on top of it. Without an answer of the
    /// tracker there is nothing to compare with, and commands are not kept waiting for that.
    async fn not_older_than_the_tracker(&self) -> Result<(), Error> {
        // The tracker first: what it remembers the ledger had said before, however fast others take requests meanwhile.
        let tracker = match self.tracker.high_water().await {
            Ok(tracker) => tracker,
            Err(error) => {
                tracing::debug!(%error, "the tracker does not answer; the ledger's age is not compared");
                return Ok(());
            }
        };
        let ledger = self.ledger.seq().await?;
        if tracker > ledger {
            return Err(Error::OlderLedger { ledger, tracker });
        }
        Ok(())
    }

    /// What a request must pass: every subsystem that is registered, under the key that counts today. A subsystem that is
    /// configured and not registered yet would be missing in the plan, so nothing is taken before it is.
    async fn plan(&self) -> Result<Vec<PlanEntry>, Error> {
        let registered = self.ledger.subsystems().await?;
        if let Some(missing) = self
            .subsystems
            .keys()
            .find(|name| registered.iter().all(|it| it.name != **name))
        {
            return Err(Error::NotRegistered(missing.clone()));
        }
        let mut plan = Vec::new();
        for it in registered.into_iter().filter(|it| !it.retired) {
            let Some(own) = self.subsystems.get(&it.name) else {
                return Err(Error::MissingSubsystem(it.name));
            };
            match own.evidence().await {
                // A process on an old data map may not resolve people by it.
                Ok(evidence) if evidence != it.evidence => return Err(Error::Outdated(it.name)),
                Ok(_) => {}
                // A store that is down keeps nobody from asking; the worker says what is wrong with it.
                Err(fault) => tracing::debug!(subsystem = %it.name, %fault, "the store cannot be asked for its identity"),
            }
            plan.push(PlanEntry {
                phase: Phase::Purge,
                subsystem: it.name,
                evidence: it.evidence,
            });
        }
        Ok(plan)
    }

    async fn accept(&self, queue: &str, candidates: Vec<Candidate>, plan: &[PlanEntry], now: Millis) -> Result<(), Error> {
        let people = self.people_of(&candidates).await?;
        point(Point::IntakeResolved).await;
        let mut open: Vec<(Candidate, Vec<Subject>, Option<WrappedKey>)> = candidates
            .into_iter()
            .zip(people)
            .map(|(candidate, people)| (candidate, people, None))
            .collect();
        for _ in 0..TRIES_MAX {
            if open.is_empty() {
                return Ok(());
            }
            let mut parts = Vec::with_capacity(open.len());
            for (candidate, people, key) in &open {
                parts.push(self.part(candidate, people, key.as_ref(), plan, now).await?);
            }
            point(Point::IntakeSealed).await;
            let answers = self.ledger.accept_all(parts).await?;
            point(Point::IntakeAccepted).await;
            let mut again = Vec::new();
            for ((candidate, people, _), answer) in open.into_iter().zip(answers) {
                match answer {
                    Accepted::New { .. } | Accepted::Incomplete { .. } => {
                        metrics::counter!("erasure_commands_accepted_total").increment(1);
                        self.news.notify_one();
                        let _settled = candidate.delivery.ack().await;
                        point(Point::IntakeAcked).await;
                    }
                    Accepted::Same(_) => {
                        let _settled = candidate.delivery.ack().await;
                    }
                    Accepted::Conflict => {
                        let refusal = conflict(&candidate);
                        self.refuse(queue, candidate.delivery, &refusal, now).await?;
                    }
                    Accepted::OtherKey(key) => again.push((candidate, people, Some(key))),
                    Accepted::Outdated(name) => return Err(Error::Outdated(name)),
                    Accepted::MissingSubsystem(name) | Accepted::UnknownSubsystem(name) => {
                        return Err(Error::MissingSubsystem(name));
                    }
                }
            }
            open = again;
        }
        Ok(())
    }

    /// The people of every candidate, looked for once per tenant.
    async fn people_of(&self, candidates: &[Candidate]) -> Result<Vec<Vec<Subject>>, Error> {
        let mut by_tenant: BTreeMap<&TenantId, Vec<usize>> = BTreeMap::new();
        for (at, candidate) in candidates.iter().enumerate() {
            by_tenant.entry(&candidate.tenant).or_default().push(at);
        }
        let mut people = vec![Vec::new(); candidates.len()];
        for (tenant, members) in by_tenant {
            let given: Vec<_> = members
                .iter()
                .flat_map(|at| candidates[*at].command.subjects.iter().cloned())
                .collect();
            let mut found = self.people(tenant, &given).await?.into_iter();
            for at in members {
                people[at] = found.by_ref().take(candidates[at].command.subjects.len()).collect();
            }
        }
        Ok(people)
    }

    async fn part(
        &self,
        candidate: &Candidate,
        people: &[Subject],
        known_key: Option<&WrappedKey>,
        plan: &[PlanEntry],
        now: Millis,
    ) -> Result<NewPart, Error> {
        let command = &candidate.command;
        let tenant = &candidate.tenant;
        let request = RequestKey::of(tenant, &command.request_id);
        let (data_key, wrapped) = self.data_key(request, known_key, command.part.is_some()).await?;
        let received_at = command.received_at.unwrap_or(now).min(now);
        let first = command.part.map_or(0, |part| part.number);
        let mut slices = Vec::new();
        let mut hashes = Vec::new();
        let mut failed_now = Vec::new();
        for (number, chunk) in (first..).zip(people.chunks(SLICE_SUBJECTS_MAX)) {
            slices.push(seal(&data_key, tenant, request, number, chunk)?);
            hashes.extend(self.slice_hashes(tenant, number, chunk));
            failed_now.extend(ambiguous(number, chunk));
        }
        let subjects = people.len() as u64;
        let lane = if command.part.is_some() {
            Lane::Bulk
        } else {
            Lane::for_subjects(subjects)
        };
        let fingerprint = self.keys.fingerprint(tenant, &command.to_json());
        let accepted = self.accepted(candidate, request, subjects, received_at, now);
        let mut events = vec![erasure_ledger::Event::from(accepted.clone())];
        // A command in parts says it once, like each of its faults.
        if let Some(first) = failed_now.first() {
            events.push(needs_attention(accepted, request, &first.fault).into());
        }
        Ok(NewPart {
            tenant: tenant.clone(),
            request_id: command.request_id.clone(),
            request,
            operation: command.operation,
            options: command.options,
            source: candidate.source.clone(),
            origin: command.origin.unwrap_or(Origin::Producer).as_str().to_owned(),
            ticket: command.ticket.clone(),
            received_at,
            regulation: candidate.regulation.as_str().to_owned(),
            due_at: due_at(candidate.regulation, received_at),
            accepted_at: now,
            lane,
            fingerprint: [fingerprint.key.0.as_bytes(), b"/", &fingerprint.hash].concat(),
            part: command.part.map(|part| Part {
                number: part.number,
                last: part.last,
            }),
            slices,
            hashes,
            key: wrapped,
            plan: plan.to_vec(),
            failed_now,
            events,
        })
    }

    fn accepted(&self, candidate: &Candidate, request: RequestKey, subjects: u64, received_at: Millis, now: Millis) -> Event {
        let command = &candidate.command;
        let data = EventData {
            version: EVENT_VERSION,
            request_id: Some(command.request_id.clone()),
            tenant: Some(candidate.tenant.clone()),
            operation: Some(command.operation),
            state: EventKind::Accepted,
            // A request in parts is as large as all its parts; only a whole one is known here.
            subjects: command.part.is_none().then_some(subjects),
            counts: None,
            ticket: command.ticket.clone(),
            received_at: Some(received_at),
            due_at: Some(due_at(candidate.regulation, received_at)),
            finished_at: None,
            reason: None,
            parked: None,
        };
        Event::new(self.ledger.id(), request, 0, now, data)
    }

    /// The data key of a request: the one it has, or a new one.
    async fn data_key(
        &self,
        request: RequestKey,
        known: Option<&WrappedKey>,
        in_parts: bool,
    ) -> Result<(DataKey, WrappedKey), Error> {
        let stored = match known {
            Some(key) => Some(key.clone()),
            None if in_parts => self.ledger.data_key_of(request).await?.and_then(|(_, key)| key),
            None => None,
        };
        Ok(match stored {
            Some(wrapped) => (self.keys.unwrap(&wrapped)?, wrapped),
            None => self.keys.new_data_key()?,
        })
    }

    fn slice_hashes(&self, tenant: &TenantId, slice: u32, people: &[Subject]) -> Vec<SubjectHash> {
        let at = |position: usize| u16::try_from(position).unwrap_or(u16::MAX);
        let hashes = people.iter().enumerate().flat_map(|(position, subject)| {
            self.hashes_of(tenant, subject).into_iter().map(move |hash| SubjectHash {
                slice,
                position: at(position),
                key_id: hash.key,
                hash: hash.hash,
            })
        });
        hashes.collect()
    }
}

fn seal(key: &DataKey, tenant: &TenantId, request: RequestKey, number: u32, people: &[Subject]) -> Result<NewSlice, Error> {
    let slice = Slice {
        subjects: people.to_vec(),
    };
    let plain = serde_json::to_vec(&slice).expect("records have text keys and text values");
    let sealed = key.seal(&slice_aad(tenant, &request, number), &plain)?;
    Ok(NewSlice {
        number,
        count: u16::try_from(people.len()).unwrap_or(u16::MAX),
        sealed,
    })
}

/// Of some of its people it was plain at once that somebody must decide.
fn needs_attention(accepted: Event, request: RequestKey, fault: &Fault) -> Event {
    let kind = EventKind::NeedsAttention;
    let data = EventData {
        state: kind,
        ..accepted.data
    }
    .because(fault.code);
    Event {
        id: format!("{request}:0:{kind}:{}:{}", fault.source.0, fault.code),
        event_type: kind.event_type(),
        data,
        ..accepted
    }
}

/// Subjects whose identifiers fit several people: nothing is done for them until somebody decides.
fn ambiguous(slice: u32, people: &[Subject]) -> Option<FailedNow> {
    let is_ambiguous = |it: &(usize, &Subject)| it.1.resolution == Resolution::Ambiguous;
    let tasks: Mask = people
        .iter()
        .enumerate()
        .filter(is_ambiguous)
        .map(|(position, _)| position)
        .collect();
    let fault = Fault::new(FaultClass::Permanent, Blame::Subject, FaultCode::Ambiguous, "identifiers");
    (!tasks.is_empty()).then_some(FailedNow { slice, tasks, fault })
}

fn conflict(candidate: &Candidate) -> Refusal {
    Refusal {
        field: Some("request_id".to_owned()),
        tenant: Some(candidate.tenant.clone()),
        request_id: Some(candidate.command.request_id.clone()),
        ..Refusal::of(CommandCode::Conflict)
    }
}
