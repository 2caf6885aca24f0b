//! Brings a request to its end: check the tracker's evidence against the ledger's plan and the stores as they are now, then one
//! ledger transaction. Only after that may anybody read *erased*.

use crate::ticker::{Part, Turn};
use crate::verdict::{Evidence, Verdict, judge};
use crate::{Error, Reconciler, events};
use erasure_drill::{Point, Rule, is_broken, point};
use erasure_kit::Subsystem as _;
use erasure_ledger::{EvidenceRow, Final, Finalised};
use erasure_privacy::slice_aad;
use erasure_protocol::{EvidenceKey, Header, Mask, Millis, Plan, PlanEntry, RequestKey, RequestState, Slice, SubsystemName};
use erasure_tracker::{Evidence as Tracked, Notice};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

const REQUESTS_PER_TURN: usize = 256;

/// What became of a complete request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Its notice can go: it is final, or it will be announced again once more evidence is there.
    Settled,
    /// It cannot be judged now; the notice stays.
    Later,
}

/// What the look at a complete request has led to.
enum Judged {
    /// Its end is to be written.
    End(Box<(Header, Final)>),
    /// It is not at its end.
    Not(End),
}

impl Reconciler {
    pub(crate) async fn finalise_complete(self: Arc<Self>, stop: CancellationToken) {
        let poll = self.config.poll();
        let part = Part {
            health: &self.health,
            name: "reconciler.finalise",
            every: poll,
            bell: None,
        };
        part.repeat(&stop, || self.finalise_turn()).await;
    }

    async fn finalise_turn(&self) -> Result<Turn, Error> {
        let notices = self.tracker.next_complete(REQUESTS_PER_TURN).await?;
        if notices.is_empty() {
            return Ok(Turn::Idle);
        }
        point(Point::FinaliserNoticed).await;
        // Asked afresh for every batch: a store that failed over a second ago has another key now.
        let keys = self.evidence_keys().await?;
        let requests: Vec<RequestKey> = notices.iter().map(|notice| notice.request).collect();
        let (ends, failed) = self.finalise_all(&requests, &keys).await?;
        let is_settled = |notice: &Notice| ends.get(&notice.request) == Some(&End::Settled);
        let is_left = ends.values().any(|end| *end == End::Later);
        let settled: Vec<Notice> = notices.into_iter().filter(is_settled).collect();
        self.tracker.settle_complete(&settled).await?;
        if let Some(error) = failed {
            return Err(error);
        }
        Ok(if !is_left && !settled.is_empty() {
            Turn::More
        } else {
            Turn::Idle
        })
    }

    /// Finalises a request that has nothing left to be done and was not announced, or whose notice was lost with this process.
    pub(crate) async fn finalise_unannounced(&self, request: RequestKey) -> Result<(), Error> {
        let keys = self.evidence_keys().await?;
        let (_, failed) = self.finalise_all(&[request], &keys).await?;
        failed.map_or(Ok(()), Err)
    }

    async fn evidence_keys(&self) -> Result<BTreeMap<SubsystemName, EvidenceKey>, Error> {
        let mut keys = BTreeMap::new();
        for (name, known) in &self.subsystems {
            keys.insert(name.clone(), known.subsystem.evidence().await?);
        }
        Ok(keys)
    }

    /// What becomes of each request, and the last error. One that cannot be brought to its end now keeps nobody else from theirs.
    async fn finalise_all(
        &self,
        requests: &[RequestKey],
        keys: &BTreeMap<SubsystemName, EvidenceKey>,
    ) -> Result<(BTreeMap<RequestKey, End>, Option<Error>), Error> {
        // Of what the ledger, or the tracker, does not know as open there is nothing to be written.
        let mut ends: BTreeMap<RequestKey, End> = requests.iter().map(|it| (*it, End::Settled)).collect();
        let mut failed = None;
        let headers = self.ledger.headers(&ends.keys().copied().collect::<Vec<_>>()).await?;
        let (final_already, open): (Vec<Header>, Vec<Header>) = headers.into_iter().partition(|it| it.state.is_final());
        self.tracker.finish(&final_already).await?;
        let tracked = self.tracker.evidence_of(&keys_of(&open)).await?;
        let now = self.ledger.now().await?;
        let mut judged = Vec::new();
        for (header, tracked) in open.into_iter().zip(tracked) {
            let Some(tracked) = tracked else { continue };
            let request = header.request;
            match self.judge(header, &tracked, keys, now).await {
                Ok(Judged::End(end)) => judged.push(*end),
                Ok(Judged::Not(end)) => drop(ends.insert(request, end)),
                Err(error) => {
                    ends.remove(&request);
                    failed = Some(error);
                }
            }
        }
        if !judged.is_empty() {
            point(Point::FinaliserJudged).await;
            for request in self.write_all(judged, &mut failed).await? {
                ends.remove(&request);
            }
        }
        Ok((ends, failed))
    }

    async fn judge(
        &self,
        header: Header,
        tracked: &Tracked,
        keys: &BTreeMap<SubsystemName, EvidenceKey>,
        now: Millis,
    ) -> Result<Judged, Error> {
        if tracked.plan_version != header.plan.version() {
            self.tracker.init(std::slice::from_ref(&header)).await?;
            return Ok(Judged::Not(End::Settled));
        }
        if let Some(stale) = header
            .plan
            .live()
            .find(|(_, entry)| keys.get(&entry.subsystem) != Some(&entry.evidence))
            .filter(|_| !is_broken(Rule::BoundEvidenceKey))
        {
            return self.settle_stale(header.clone(), stale.1).await.map(Judged::Not);
        }
        let mut evidence = Evidence::new();
        for bits in tracked.bits.iter().filter(|bits| header.plan.is_live(bits.entry)) {
            evidence
                .entry((bits.entry, bits.slice))
                .or_default()
                .add(bits.done, &bits.mask);
        }
        let counts = self.counts_of(&header).await?;
        let Some(verdict) = judge(header.operation, &header.plan, &counts, &evidence) else {
            return Ok(Judged::Not(End::Settled));
        };
        let verified: BTreeMap<(usize, u32), Millis> = tracked.verified.iter().map(|it| ((it.entry, it.slice), it.at)).collect();
        let aged = self.aged(&header, &counts, &verified, now);
        let verified = if aged.is_empty() {
            verified
        } else {
            match self.read_back_again(&header, &aged).await? {
                Some(renewed) => verified.into_iter().chain(renewed).collect(),
                None => return Ok(Judged::Not(End::Settled)),
            }
        };
        let end = Final {
            request: header.request,
            plan_version: header.plan.version(),
            state: verdict.state,
            at: now,
            evidence: rows(&evidence, &verified, now),
            verified_at: verified.values().copied().min().unwrap_or(now),
            software: self.software.clone(),
            confirmations: confirmations(&self.software, &header.plan, &verdict),
            event: events::finished(&header, verdict.state, &verdict.people, now),
        };
        Ok(Judged::End(Box::new((header, end))))
    }

    /// How many subjects each slice has. All are in the only one of a request that has no more.
    async fn counts_of(&self, header: &Header) -> Result<Vec<u16>, Error> {
        match (header.slices, u16::try_from(header.subjects)) {
            (1, Ok(subjects)) => Ok(vec![subjects]),
            _ => Ok(self.ledger.slice_counts(header.request).await?),
        }
    }

    /// The plan asks for a key that the store no longer has, or this process is the outdated one.
    async fn settle_stale(&self, header: Header, stale: &PlanEntry) -> Result<End, Error> {
        let registered = self.ledger.subsystems().await?;
        let current = registered.iter().find(|it| it.name == stale.subsystem).map(|it| it.evidence);
        if current == Some(stale.evidence) {
            // The plan is right, and we see another store or map: either we are outdated, or the registrar has yet to learn of it.
            return Ok(End::Later);
        }
        self.extend(header).await?;
        Ok(End::Settled)
    }

    /// Slices whose evidence is too old to stand on, by entry.
    fn aged(&self, header: &Header, counts: &[u16], verified: &BTreeMap<(usize, u32), Millis>, now: Millis) -> Vec<(usize, u32)> {
        let slices = 0..u32::try_from(counts.len()).unwrap_or(u32::MAX);
        let all = header
            .plan
            .live()
            .flat_map(|(entry, _)| slices.clone().map(move |slice| (entry, slice)));
        let is_old = |it: &(usize, u32)| {
            verified
                .get(it)
                .is_none_or(|at| now.since(*at).as_secs() >= self.config.evidence_age_s_max)
        };
        all.filter(is_old).collect()
    }

    /// Looks again for the people of aged slices. `None` when somebody is there again: then the plan asks for new evidence.
    async fn read_back_again(
        &self,
        header: &Header,
        aged: &[(usize, u32)],
    ) -> Result<Option<Vec<((usize, u32), Millis)>>, Error> {
        let mut renewed = Vec::new();
        for (entry, slice) in aged {
            let Some(plan_entry) = header.plan.entry(*entry) else {
                continue;
            };
            if !self.is_clear(header, &plan_entry.subsystem, *slice).await? {
                let entries = header.plan.entries().iter().chain([plan_entry]).cloned().collect();
                let plan = Plan::new(entries);
                if self.ledger.extend_plan(header.request, header.plan.version(), &plan).await? {
                    tracing::warn!(request = %header.request, subsystem = %plan_entry.subsystem, slice, "somebody is there again; erasing again");
                    self.tracker.init(&[Header { plan, ..header.clone() }]).await?;
                    self.news.notify_one();
                }
                return Ok(None);
            }
            renewed.push(((*entry, *slice), self.ledger.now().await?));
        }
        point(Point::FinaliserReadBack).await;
        Ok(Some(renewed))
    }

    async fn is_clear(&self, header: &Header, subsystem: &SubsystemName, slice: u32) -> Result<bool, Error> {
        // Without key, slice or subsystem nothing can be said, and what cannot be said is not clear.
        let key = header.key.as_ref().and_then(|key| self.keys.unwrap(key).ok());
        let stored = self.ledger.slice(header.request, slice).await?;
        let (Some(key), Some(stored), Some(known)) = (key, stored, self.subsystems.get(subsystem)) else {
            return Ok(false);
        };
        let opened = key
            .open(&slice_aad(&header.tenant, &header.request, slice), &stored.sealed)
            .ok();
        let Some(slice) = opened.and_then(|bytes| serde_json::from_slice::<Slice>(&bytes).ok()) else {
            return Ok(false);
        };
        let subjects: Vec<_> = slice.subjects.into_iter().map(Arc::new).collect();
        let findings = known
            .subsystem
            .find(&header.tenant, &subjects, Some(header.accepted_at))
            .await?;
        Ok(findings.iter().all(erasure_protocol::Findings::is_clear))
    }

    /// Writes the ends in one transaction, or, when that fails, each in its own. Those that are not written; and the last error.
    async fn write_all(&self, judged: Vec<(Header, Final)>, failed: &mut Option<Error>) -> Result<Vec<RequestKey>, Error> {
        let (headers, ends): (Vec<Header>, Vec<Final>) = judged.into_iter().unzip();
        let mut answers = Vec::with_capacity(ends.len());
        match self.ledger.finalise_all(ends.clone()).await {
            Ok(all) => answers = all.into_iter().map(Some).collect(),
            Err(error) if ends.len() == 1 => {
                answers.push(None);
                *failed = Some(error.into());
            }
            Err(_) => {
                for end in ends.clone() {
                    match self.ledger.finalise(end).await {
                        Ok(answer) => answers.push(Some(answer)),
                        Err(error) => {
                            answers.push(None);
                            *failed = Some(error.into());
                        }
                    }
                }
            }
        }
        let (mut done, mut again, mut unwritten) = (Vec::new(), Vec::new(), Vec::new());
        for ((header, end), answer) in headers.into_iter().zip(ends).zip(answers) {
            match answer {
                Some(Finalised::Now) => {
                    tracing::info!(request = %header.request, state = %end.state, subjects = header.subjects, "final");
                    metrics::counter!("erasure_requests_finished_total", "state" => end.state.as_str()).increment(1);
                    done.push(Header {
                        state: end.state,
                        finished_at: Some(end.at),
                        ..header
                    });
                }
                Some(Finalised::Already(_) | Finalised::PlanChanged) => again.push(header.request),
                Some(Finalised::NotCovered | Finalised::NotRunning | Finalised::Unknown) => {}
                Some(Finalised::NoEnd) => {
                    tracing::error!(request = %header.request, state = %end.state, "no end for this operation")
                }
                None => unwritten.push(header.request),
            }
        }
        point(Point::FinaliserRecorded).await;
        for header in self.ledger.headers(&again).await? {
            if header.state.is_final() {
                done.push(header);
            } else {
                self.extend(header.clone()).await?;
                self.tracker.init(&[header]).await?;
            }
        }
        if !done.is_empty() {
            self.tracker.finish(&done).await?;
            point(Point::FinaliserShown).await;
            self.news.notify_one();
        }
        Ok(unwritten)
    }
}

fn keys_of(headers: &[Header]) -> Vec<RequestKey> {
    headers.iter().map(|header| header.request).collect()
}

fn rows(evidence: &Evidence, verified: &BTreeMap<(usize, u32), Millis>, now: Millis) -> Vec<EvidenceRow> {
    use erasure_protocol::Done;
    let row = |at: &(usize, u32), done, tasks: Mask| EvidenceRow {
        entry: at.0,
        slice: at.1,
        done,
        tasks,
        verified_at: verified.get(at).copied().unwrap_or(now),
    };
    let all = evidence.iter().flat_map(|(at, found)| {
        [
            row(at, Done::Erased, found.erased),
            row(at, Done::NothingHeld, found.nothing_held),
            row(at, Done::Retained, found.retained),
        ]
    });
    all.filter(|row| !row.tasks.is_empty()).collect()
}

fn confirmations(software: &str, plan: &Plan, verdict: &Verdict) -> String {
    let entries: Vec<_> = plan
        .live()
        .map(|(_, it)| serde_json::json!({ "phase": it.phase, "subsystem": it.subsystem, "evidence": it.evidence }))
        .collect();
    let state: RequestState = verdict.state;
    serde_json::json!({ "software": software, "state": state, "people": verdict.people, "entries": entries }).to_string()
}
