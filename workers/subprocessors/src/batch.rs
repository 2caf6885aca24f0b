//! Everybody of one batch at one vendor: as many people per call as the vendor takes.

use crate::call::{Need, Step, Visit};
use crate::many::{CreatedMany, PolledMany, created_many, polled_many};
use crate::reference::{Batch, Seen};
use crate::reply::transient;
use erasure_protocol::{FaultCode, Task};
use futures_util::future::{BoxFuture, join_all};
use futures_util::stream::{self, StreamExt as _};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// How many calls are prepared at once; the vendor's gate narrows it further.
const CALLS_AT_ONCE: usize = 64;

/// One person to be submitted: where in the batch, and what the vendor is told.
struct Submission<'a> {
    at: usize,
    task: &'a Task,
    identities: Vec<Value>,
    open: Seen,
}

/// What one call is about, in the order of the first of its people.
enum Errand<'a> {
    Submit(Vec<Submission<'a>>),
    Follow(Option<Batch>, Vec<(usize, Seen)>),
}

type Steps = Vec<(usize, Step)>;

impl Visit<'_> {
    /// Takes everybody one step further at this vendor. One step for each, in their order.
    pub(crate) async fn steps(&self, people: &[(&Task, Option<&Seen>)]) -> Vec<Step> {
        let (mut steps, errands) = self.errands(people);
        let mut calls: Vec<BoxFuture<'_, Steps>> = Vec::with_capacity(errands.len());
        for errand in errands {
            calls.push(match errand {
                Errand::Submit(group) => Box::pin(self.submit_together(group)),
                Errand::Follow(Some(batch), group) => Box::pin(self.follow_together(batch, group)),
                Errand::Follow(None, group) => Box::pin(self.follow_each(group)),
            });
        }
        let mut done = stream::iter(calls).buffer_unordered(CALLS_AT_ONCE);
        while let Some(some) = done.next().await {
            steps.extend(some);
        }
        drop(done);
        // Nobody is left out: whoever has no step has not been asked for.
        let unsaid = || self.fault(Seen::default(), transient(self.name(), FaultCode::VendorUnreadable));
        (0..people.len()).map(|at| steps.remove(&at).unwrap_or_else(unsaid)).collect()
    }

    /// Who needs no call, and the calls for the others.
    fn errands<'t>(&self, people: &[(&'t Task, Option<&Seen>)]) -> (BTreeMap<usize, Step>, Vec<Errand<'t>>) {
        let people_per_call = self.client.vendor().people_per_call;
        let (mut steps, mut errands) = (BTreeMap::new(), Vec::new());
        let mut group: Vec<Submission<'t>> = Vec::new();
        let mut ids: BTreeSet<Uuid> = BTreeSet::new();
        let mut together: BTreeMap<Batch, usize> = BTreeMap::new();
        for (at, (task, seen)) in people.iter().enumerate() {
            match self.need(task, *seen) {
                Need::Nothing(step) => drop(steps.insert(at, step)),
                Need::Follow(seen) => match seen.batch.clone() {
                    None => errands.push(Errand::Follow(None, vec![(at, seen)])),
                    Some(batch) => {
                        let place = *together.entry(batch.clone()).or_insert(errands.len());
                        match errands.get_mut(place) {
                            Some(Errand::Follow(_, group)) => group.push((at, seen)),
                            Some(Errand::Submit(_)) | None => errands.push(Errand::Follow(Some(batch), vec![(at, seen)])),
                        }
                    }
                },
                Need::Submit { identities, open } => {
                    // The same task may be there twice; in one call, an id may not.
                    if group.len() >= people_per_call || !ids.insert(self.id(task, 0)) {
                        errands.push(Errand::Submit(std::mem::take(&mut group)));
                        ids = [self.id(task, 0)].into();
                    }
                    let open = open.unwrap_or_default();
                    group.push(Submission {
                        at,
                        task,
                        identities,
                        open,
                    });
                }
            }
        }
        if !group.is_empty() {
            errands.push(Errand::Submit(group));
        }
        (steps, errands)
    }

    /// Submits them in one call, or in smaller ones where the vendor does not take them together.
    async fn submit_together(&self, group: Vec<Submission<'_>>) -> Steps {
        let mut steps = Vec::with_capacity(group.len());
        let mut open = vec![group];
        while let Some(mut group) = open.pop() {
            if group.len() <= 1 {
                for it in group {
                    steps.push((it.at, self.submit(it.task, &it.identities, Some(it.open)).await));
                }
                continue;
            }
            match self.create_many(&group).await {
                CreatedMany::Each { batch, said } => {
                    let each = group.iter().zip(said).map(async |(it, said)| {
                        let seen = Seen {
                            batch: batch.clone(),
                            ..self.seen(it)
                        };
                        let step = match self.settle(said, seen).await {
                            Some(step) => step,
                            // The vendor has cancelled what it had under the first id.
                            None => self.submit(it.task, &it.identities, Some(it.open.clone())).await,
                        };
                        (it.at, step)
                    });
                    steps.extend(join_all(each).await);
                }
                CreatedMany::Split => {
                    let rest = group.split_off(group.len().div_ceil(2));
                    open.extend([rest, group]);
                }
                CreatedMany::Fault(fault) => {
                    steps.extend(group.iter().map(|it| (it.at, self.fault(self.seen(it), fault.clone()))));
                }
            }
        }
        steps
    }

    fn seen(&self, it: &Submission<'_>) -> Seen {
        Seen {
            id: self.id(it.task, 0),
            again: 0,
            ..it.open.clone()
        }
    }

    async fn create_many(&self, group: &[Submission<'_>]) -> CreatedMany {
        let now = (self.now)();
        if group.iter().any(|it| now > it.task.deadline) {
            // Whose time is over must be told so alone.
            return CreatedMany::Split;
        }
        let ids: Vec<Uuid> = group.iter().map(|it| self.id(it.task, 0)).collect();
        let requests = ids.iter().zip(group).map(|(id, it)| self.body(*id, it.task, &it.identities));
        let vendor = self.client.vendor();
        let mut body = json!({ "meta": { "property_id": vendor.property_id }, "requests": requests.collect::<Vec<_>>() });
        if let Some(platform) = &vendor.platform {
            body["meta"]["platform"] = platform.as_str().into();
        }
        let said = match self.call(|secret| self.client.create_many(secret, &body)).await {
            Ok(raw) => created_many(self.name(), &ids, &raw, (self.now)()),
            Err(fault) => return CreatedMany::Fault(fault),
        };
        if let CreatedMany::Fault(fault) = &said {
            self.turn.note(fault).await;
        }
        said
    }

    /// Asks after those who were submitted together. Of whom the answer does not speak, that one is asked for alone.
    async fn follow_together(&self, batch: Batch, group: Vec<(usize, Seen)>) -> Steps {
        if group.len() == 1 {
            return self.follow_each(group).await;
        }
        match self.poll_many(&batch).await {
            PolledMany::Each(mut said) => {
                let (mut steps, mut missing) = (Vec::with_capacity(group.len()), Vec::new());
                for (at, seen) in group {
                    match said.remove(&seen.id) {
                        Some(said) => steps.push((at, self.heard(seen, said))),
                        None => missing.push((at, seen)),
                    }
                }
                steps.extend(self.follow_each(missing).await);
                steps
            }
            PolledMany::Unknown => self.follow_each(group).await,
            PolledMany::Fault(fault) => {
                let each = group.into_iter().map(|(at, seen)| (at, self.fault(seen, fault.clone())));
                each.collect()
            }
        }
    }

    async fn poll_many(&self, batch: &Batch) -> PolledMany {
        let said = match self.call(|secret| self.client.poll_many(secret, batch)).await {
            Ok(raw) => polled_many(self.name(), &raw, (self.now)()),
            Err(fault) => return PolledMany::Fault(fault),
        };
        if let PolledMany::Fault(fault) = &said {
            self.turn.note(fault).await;
        }
        said
    }

    async fn follow_each(&self, group: Vec<(usize, Seen)>) -> Steps {
        join_all(group.into_iter().map(async |(at, seen)| (at, self.follow(seen).await))).await
    }
}
