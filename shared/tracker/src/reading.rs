//! What can be read of a request: progress, evidence, what is outstanding, one person.

use crate::connection::Routed;
use crate::header::{self, Fields, PlanId, Stored, first_number};
use crate::record::Record;
use crate::{Error, Evidence, EvidenceBits, Outstanding, OutstandingSlices, PersonTask, Tracker, VerifiedAt, answer};
use erasure_protocol::{Done, Mask, Millis, Plan, Progress, RequestKey, SLICE_SUBJECTS_MAX};
use redis::{Cmd, Value};
use std::collections::BTreeMap;
use std::sync::PoisonError;

/// How many plans are kept at hand. Few exist at a time: one for each state of the stores and the data map.
const PLANS_KEPT_MAX: usize = 1_000;

impl Tracker {
    /// How far requests are, in one read each. `None` where the tracker does not know.
    ///
    /// # Errors
    /// When Redis cannot be reached or refuses.
    pub async fn progress(&self, requests: &[RequestKey]) -> Result<Vec<Option<Progress>>, Error> {
        let reads = requests
            .iter()
            .map(|it| self.read_hash(*it, self.keys().header(*it)))
            .collect();
        let answers = self.connection.commands("reading progress", reads).await?;
        let found = self.with_plans(requests, answers).await?;
        let read = |(request, (fields, plan)): (&RequestKey, (Fields, Option<Plan>))| {
            let progress = header::progress(*request, &fields, plan?);
            progress.filter(|it| it.header.ledger == self.shared.ledger)
        };
        Ok(requests.iter().zip(found).map(read).collect())
    }

    /// All evidence of an open request. `None` when the tracker does not know it, or has it as final.
    ///
    /// # Errors
    /// When Redis cannot be reached or refuses.
    pub async fn evidence(&self, request: RequestKey) -> Result<Option<Evidence>, Error> {
        let found = self.evidence_of(&[request]).await?;
        found.into_iter().next().ok_or(Error::Unreadable { what: "an answer" })
    }

    /// As [`Self::evidence`], of several requests in two round trips: one answer each, in order.
    ///
    /// # Errors
    /// When Redis cannot be reached or refuses.
    pub async fn evidence_of(&self, requests: &[RequestKey]) -> Result<Vec<Option<Evidence>>, Error> {
        let headers = requests.iter().map(|it| self.read_hash(*it, self.keys().header(*it)));
        let answers = self.connection.commands("reading requests", headers.collect()).await?;
        let mut found = Vec::with_capacity(requests.len());
        for (request, (fields, plan)) in requests.iter().zip(self.with_plans(requests, answers).await?) {
            found.push(self.open_one(*request, fields, plan));
        }
        // The bits of a request of one slice are in its header.
        let elsewhere: Vec<RequestKey> = requests
            .iter()
            .zip(&found)
            .filter(|(_, it)| it.as_ref().is_some_and(|(stored, _)| !stored.inline))
            .map(|(request, _)| *request)
            .collect();
        let bits = elsewhere.iter().map(|it| self.read_hash(*it, self.keys().bits(*it)));
        let mut bits = self
            .connection
            .commands("reading evidence", bits.collect())
            .await?
            .into_iter();
        let mut one = |it: Option<(Stored, Fields)>| {
            let Some((stored, fields)) = it else { return Ok(None) };
            if stored.inline {
                return Ok(Some(evidence(&stored, &fields)));
            }
            let fields = answer::fields(bits.next().ok_or(Error::Unreadable { what: "an answer" })?)?;
            Ok(Some(evidence(&stored, &fields)))
        };
        found.into_iter().map(&mut one).collect()
    }

    /// The slices of an open request that are not done. `None` when the tracker does not know it, or has it as final.
    ///
    /// # Errors
    /// When Redis cannot be reached or refuses.
    pub async fn outstanding(&self, request: RequestKey) -> Result<Option<OutstandingSlices>, Error> {
        let Some((stored, fields, now)) = self.read_all(request).await? else {
            return Ok(None);
        };
        Ok(Some(OutstandingSlices {
            plan_version: stored.header.plan.version(),
            slices: outstanding(&stored, &fields),
            now,
        }))
    }

    /// What is known of one person, by live entry. `None` when the tracker does not know the request, or has it as final.
    ///
    /// # Errors
    /// When Redis cannot be reached or refuses.
    pub async fn person(&self, request: RequestKey, slice: u32, position: usize) -> Result<Option<Vec<PersonTask>>, Error> {
        let Some((stored, _)) = self.read_header(request).await? else {
            return Ok(None);
        };
        let live: Vec<usize> = stored.header.plan.live().map(|(at, _)| at).collect();
        if live.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let mut command = redis::cmd("HMGET");
        command.arg(if stored.inline {
            self.keys().header(request)
        } else {
            self.keys().bits(request)
        });
        live.iter().for_each(|entry| {
            command.arg(stored.name_of(*entry, slice));
        });
        let answer = self.connection.one("reading a person's tasks", &command).await?;
        let raw: Vec<Option<Vec<u8>>> = redis::from_redis_value(answer).map_err(|_| Error::Unreadable { what: "evidence" })?;
        let state = |bytes: Option<Vec<u8>>| Record::parse(&bytes.unwrap_or_default()).state(position);
        Ok(Some(
            live.into_iter()
                .zip(raw)
                .map(|(entry, bytes)| PersonTask {
                    entry,
                    state: state(bytes),
                })
                .collect(),
        ))
    }

    fn read_hash(&self, request: RequestKey, key: String) -> Routed<Cmd> {
        let mut command = redis::cmd("HGETALL");
        command.arg(key);
        self.routed(request, command)
    }

    async fn read_header(&self, request: RequestKey) -> Result<Option<(Stored, Fields)>, Error> {
        let (_, command) = self.read_hash(request, self.keys().header(request));
        let answer = self.connection.one("reading a request", &command).await?;
        let found = self.with_plans(&[request], vec![answer]).await?.into_iter().next();
        Ok(found.and_then(|(fields, plan)| self.open_one(request, fields, plan)))
    }

    /// The fields of headers, each with the plan that it names. A plan is asked for once: under its id it never says anything else.
    async fn with_plans(&self, requests: &[RequestKey], answers: Vec<Value>) -> Result<Vec<(Fields, Option<Plan>)>, Error> {
        let headers: Vec<Fields> = answers.into_iter().map(answer::fields).collect::<Result<_, _>>()?;
        let ids: Vec<Option<PlanId>> = headers.iter().map(header::plan_of).collect();
        let mut new = BTreeMap::new();
        {
            let known = self.shared.plans.lock().unwrap_or_else(PoisonError::into_inner);
            for (request, id) in requests.iter().zip(&ids) {
                if let Some(id) = id.filter(|id| !known.contains_key(id)) {
                    new.entry(id).or_insert(*request);
                }
            }
        }
        if !new.is_empty() {
            self.learn_plans(&new).await?;
        }
        let known = self.shared.plans.lock().unwrap_or_else(PoisonError::into_inner);
        let plan = |id: &Option<PlanId>| id.and_then(|id| known.get(&id).cloned());
        Ok(headers.into_iter().zip(&ids).map(|(fields, id)| (fields, plan(id))).collect())
    }

    /// Asks for plans where a request of each is.
    async fn learn_plans(&self, wanted: &BTreeMap<PlanId, RequestKey>) -> Result<(), Error> {
        let read = |(id, request): (&PlanId, &RequestKey)| {
            let mut command = redis::cmd("HGET");
            command.arg(self.keys().plans(self.keys().partition(*request))).arg(id);
            self.routed(*request, command)
        };
        let answers = self
            .connection
            .commands("reading plans", wanted.iter().map(read).collect())
            .await?;
        let mut plans = Vec::new();
        for (id, answer) in wanted.keys().zip(answers) {
            let text: Option<Vec<u8>> = redis::from_redis_value(answer).map_err(|_| Error::Unreadable { what: "a plan" })?;
            // A text that is not what its id says would be somebody else's plan.
            let plan = text.and_then(|text| Plan::from_bytes(&text));
            plans.extend(plan.filter(|plan| header::plan_id(plan) == *id).map(|plan| (*id, plan)));
        }
        let mut known = self.shared.plans.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() > PLANS_KEPT_MAX {
            known.clear();
        }
        known.extend(plans);
        Ok(())
    }

    /// The header of a request that is this ledger's and open.
    fn open_one(&self, request: RequestKey, fields: Fields, plan: Option<Plan>) -> Option<(Stored, Fields)> {
        let stored = Stored::read(request, &fields, plan?);
        let ours = |it: &Stored| it.header.ledger == self.shared.ledger && !it.header.state.is_final();
        stored.filter(ours).map(|it| (it, fields))
    }

    /// An open request with the fields of the hash that holds its evidence, and the time.
    async fn read_all(&self, request: RequestKey) -> Result<Option<(Stored, Fields, Millis)>, Error> {
        // The time first: what was leased after it is then never taken for expired.
        let now = self.ping().await?;
        let Some((stored, fields)) = self.read_header(request).await? else {
            return Ok(None);
        };
        if stored.inline {
            return Ok(Some((stored, fields, now)));
        }
        let (_, command) = self.read_hash(request, self.keys().bits(request));
        let bits = answer::fields(self.connection.one("reading evidence", &command).await?)?;
        Ok(Some((stored, bits, now)))
    }
}

/// The evidence in the fields of the hash that holds it.
pub(crate) fn evidence(stored: &Stored, fields: &Fields) -> Evidence {
    let mut evidence = Evidence {
        plan_version: stored.header.plan.version(),
        ..Evidence::default()
    };
    for (entry, slice, record) in records(stored, fields) {
        let bits = Done::ALL.into_iter().map(|done| EvidenceBits {
            entry,
            slice,
            done,
            mask: record.mask(done),
        });
        evidence.bits.extend(bits.filter(|it| !it.mask.is_empty()));
        if record.at > Millis(0) {
            evidence.verified.push(VerifiedAt {
                entry,
                slice,
                at: record.at,
            });
        }
    }
    evidence
}

/// The slices of the live entries that are not done.
pub(crate) fn outstanding(stored: &Stored, fields: &Fields) -> Vec<Outstanding> {
    let subjects = usize::try_from(stored.header.subjects).unwrap_or(SLICE_SUBJECTS_MAX);
    let one = |entry: usize, slice: u32| {
        let name = stored.name_of(entry, slice);
        let record = fields
            .get(name.as_bytes())
            .map(|bytes| Record::parse(bytes))
            .unwrap_or_default();
        let count = if record.count > 0 {
            record.count
        } else {
            subjects.min(SLICE_SUBJECTS_MAX)
        };
        Outstanding {
            entry,
            slice,
            missing: Mask::first(count).without(&record.done()).without(&record.failed),
            leased_until: Millis(first_number(fields.get(format!("l{name}").as_bytes()))),
            due: Millis(first_number(fields.get(format!("d{name}").as_bytes()))),
        }
    };
    let live: Vec<usize> = stored.header.plan.live().map(|(at, _)| at).collect();
    live.into_iter()
        .flat_map(|entry| (0..stored.header.slices).map(move |slice| (entry, slice)))
        .map(|(entry, slice)| one(entry, slice))
        .filter(|it| !it.missing.is_empty())
        .collect()
}

/// The records among the fields of a hash, in order.
fn records(stored: &Stored, fields: &Fields) -> Vec<(usize, u32, Record)> {
    let place = |name: &[u8]| -> Option<(usize, u32)> {
        let text = std::str::from_utf8(name).ok()?;
        let (entry, slice) = if stored.inline { (text, "0") } else { text.split_once('.')? };
        let place: (usize, u32) = (entry.parse().ok()?, slice.parse().ok()?);
        // As the scripts write it: `0.00` is no slice of anybody, and no evidence.
        (stored.name_of(place.0, place.1) == text).then_some(place)
    };
    let mut records: Vec<_> = fields
        .iter()
        .filter_map(|(name, bytes)| place(name).map(|(entry, slice)| (entry, slice, Record::parse(bytes))))
        .collect();
    records.sort_unstable_by_key(|(entry, slice, _)| (*entry, *slice));
    records
}
