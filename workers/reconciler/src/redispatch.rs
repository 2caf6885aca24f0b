//! Sends again what has stalled: work that is not done, that nobody holds, and that is not waiting for its time.

use crate::dispatch::{Outbound, Want};
use crate::ticker::{Part, Turn};
use crate::{Error, Reconciler};
use erasure_broker::Source;
use erasure_drill::{Point, point};
use erasure_protocol::{Done, Header, Lane, Mask, Millis, RequestKey, SubsystemName, TaskOutcome};
use erasure_tracker::{Outstanding, OutstandingSlices};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

const REQUESTS_PER_TURN: u32 = 100;

/// What a look at a request for missing work has led to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Looked {
    /// So many slices were sent again.
    pub(crate) sent: usize,
    /// So many slices would have been, but their lane still has messages, or the look has sent enough.
    pub(crate) held_back: usize,
    /// Nothing is left to be done: only the end is missing.
    pub(crate) done: bool,
}

/// What is known of lanes during one look.
pub(crate) type Lanes = BTreeMap<(SubsystemName, Lane), Traffic>;

/// What a lane does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Traffic {
    /// It has consumers and nothing ready: only then is a message that should be there really missing.
    Idle,
    /// Its consumers have messages before them.
    Busy,
    /// Nobody consumes.
    Deserted,
}

impl Reconciler {
    pub(crate) async fn dispatch_stalled(self: Arc<Self>, stop: CancellationToken) {
        let stalled_after = Duration::from_millis(self.config.stalled_after_ms);
        // Where the last look ended, so that each request gets its turn.
        let after: Mutex<Option<RequestKey>> = Mutex::new(None);
        let every = (stalled_after / 6).max(self.config.poll());
        let part = Part {
            health: &self.health,
            name: "reconciler.redispatch",
            every,
            bell: None,
        };
        part.repeat(&stop, || self.stalled_turn(stalled_after, &after)).await;
    }

    async fn stalled_turn(&self, stalled_after: Duration, after: &Mutex<Option<RequestKey>>) -> Result<Turn, Error> {
        let now = self.ledger.now().await?;
        let before = Millis(now.0 - i64::try_from(stalled_after.as_millis()).unwrap_or(i64::MAX));
        let mut after = after.lock().await;
        let requests = self.ledger.stalled(before, *after, REQUESTS_PER_TURN).await?;
        let is_last_page = requests.len() < REQUESTS_PER_TURN as usize;
        let mut tokens = self.config.redispatch_slices_max;
        let (mut lanes, mut outbound) = (Lanes::new(), Outbound::new());
        for header in self.ledger.headers(&requests).await? {
            if tokens == 0 {
                break;
            }
            let looked = self.redispatch(&header, before, &mut lanes, &mut outbound).await?;
            if looked.done {
                self.finalise_unannounced(header.request).await?;
            }
            tokens = tokens.saturating_sub(looked.sent);
            *after = Some(header.request);
        }
        self.publish_again(outbound).await?;
        if is_last_page && tokens > 0 {
            *after = None;
        }
        Ok(if is_last_page || tokens == 0 { Turn::Idle } else { Turn::More })
    }

    /// Records what is missing of one request as sent again, as far as it was last dispatched before `before` and nobody has it,
    /// and adds it to `outbound`.
    pub(crate) async fn redispatch(
        &self,
        header: &Header,
        before: Millis,
        lanes: &mut Lanes,
        outbound: &mut Outbound,
    ) -> Result<Looked, Error> {
        self.send_what_failed_here_alone(header).await?;
        let Some((header, outstanding)) = self.outstanding(header).await? else {
            return Ok(Looked::default());
        };
        if outstanding.slices.is_empty() {
            let done = true;
            return Ok(Looked {
                done,
                ..Looked::default()
            });
        }
        let counts = self.ledger.dispatch_counts(header.request).await?;
        let counts: BTreeMap<(usize, u32), _> = counts.into_iter().map(|it| ((it.entry, it.slice), it)).collect();
        let spoken_for = self.spoken_for(&header, outstanding.now).await?;
        let mut looked = Looked::default();
        let mut wants = Vec::new();
        for it in outstanding.slices.iter().filter(|it| is_free(it, outstanding.now)) {
            let Some(entry) = header.plan.entry(it.entry) else { continue };
            let tasks = it
                .missing
                .without(spoken_for.get(&(it.entry, it.slice)).unwrap_or(&Mask::EMPTY));
            // What was never dispatched is the dispatcher's; what was dispatched just now may still be on its way.
            let Some(count) = counts.get(&(it.entry, it.slice)).filter(|count| count.last_at < before) else {
                continue;
            };
            if tasks.is_empty() {
                continue;
            }
            match self.traffic(&entry.subsystem, header.lane, lanes).await? {
                Traffic::Idle if wants.len() < self.config.redispatch_slices_max => wants.push(Want {
                    entry: it.entry,
                    slice: it.slice,
                    tasks,
                    dispatched: count.count,
                    attempt: 0,
                    references: None,
                }),
                Traffic::Idle | Traffic::Busy => looked.held_back += 1,
                Traffic::Deserted => {}
            }
        }
        looked.sent = self.collect(&header, wants, self.ledger.now().await?, outbound).await?;
        if looked.sent > 0 {
            tracing::info!(request = %header.request, slices = looked.sent, "sent again");
            metrics::counter!("erasure_redispatched_slices_total").increment(looked.sent as u64);
        }
        Ok(looked)
    }

    /// Takes tasks for open again that the tracker takes for failed and the ledger does not know to be: their report was lost, or a
    /// redrive was cut short between the two. Nobody is shown them, so that nobody would ever send them again.
    async fn send_what_failed_here_alone(&self, header: &Header) -> Result<(), Error> {
        let Some(tracked) = self.tracker.evidence(header.request).await? else {
            return Ok(());
        };
        let mut failed = tracked.bits;
        failed.retain(|bits| bits.done == Done::Failed);
        if failed.is_empty() {
            return Ok(());
        }
        let known = self.failed(header).await?;
        for bits in failed {
            let unknown = bits
                .mask
                .without(known.get(&(bits.entry, bits.slice)).unwrap_or(&Mask::EMPTY));
            if !unknown.is_empty() {
                tracing::info!(request = %header.request, slice = bits.slice, tasks = unknown.count(), "failed in the tracker alone; taken for open again");
                self.tracker.unfail(header.request, bits.entry, bits.slice, &unknown).await?;
            }
        }
        Ok(())
    }

    /// What is outstanding of a request by the ledger's plan, and the request. The tracker is told what it has lost: the request, or
    /// that its plan is longer by now. It may have gone back to an older copy, or whoever extended the plan has died before saying so;
    /// and workers under the new evidence key wait for it.
    async fn outstanding(&self, header: &Header) -> Result<Option<(Header, OutstandingSlices)>, Error> {
        match self.tracker.outstanding(header.request).await? {
            Some(outstanding) if outstanding.plan_version >= header.plan.version() => {
                return Ok(Some((header.clone(), outstanding)));
            }
            Some(_) => {
                tracing::warn!(request = %header.request, "the tracker went by an older plan");
                self.tracker.init(std::slice::from_ref(header)).await?;
                let outstanding = self.tracker.outstanding(header.request).await?;
                return Ok(outstanding.map(|it| (header.clone(), it)));
            }
            None => {}
        }
        match self.project(header.request).await? {
            Some(projected) if !projected.state.is_final() => {
                let outstanding = self.tracker.outstanding(header.request).await?;
                Ok(outstanding.map(|it| (projected, it)))
            }
            Some(_) | None => Ok(None),
        }
    }

    /// Publishes what is recorded as sent again.
    pub(crate) async fn publish_again(&self, outbound: Outbound) -> Result<(), Error> {
        if outbound.is_empty() {
            return Ok(());
        }
        point(Point::ResendRecorded).await;
        self.publish(outbound).await?;
        point(Point::ResendPublished).await;
        Ok(())
    }

    /// Tasks that the ledger knows to be failed, or waiting for a time that has not come.
    async fn spoken_for(&self, header: &Header, now: Millis) -> Result<BTreeMap<(usize, u32), Mask>, Error> {
        let mut spoken_for: BTreeMap<(usize, u32), Mask> = BTreeMap::new();
        for report in self.ledger.reports(header.request).await? {
            let waits = match &report.outcome {
                TaskOutcome::Failed { tasks, .. } | TaskOutcome::Pending { tasks, .. } => *tasks,
                TaskOutcome::Retry { tasks, next_try, .. } if *next_try > now => *tasks,
                TaskOutcome::Retry { .. } | TaskOutcome::Retained { .. } => Mask::EMPTY,
            };
            let all = spoken_for.entry((report.entry, report.slice)).or_default();
            *all = all.or(&waits);
        }
        Ok(spoken_for)
    }

    async fn traffic(&self, subsystem: &SubsystemName, lane: Lane, known: &mut Lanes) -> Result<Traffic, Error> {
        let at = (subsystem.clone(), lane);
        if let Some(traffic) = known.get(&at) {
            return Ok(*traffic);
        }
        let subsystem = subsystem.clone();
        let state = self.inspector.queue_state(&Source::Work { subsystem, lane }).await?;
        let traffic = match state {
            Some(state) if state.consumers > 0 && state.ready == 0 => Traffic::Idle,
            Some(state) if state.consumers > 0 => Traffic::Busy,
            Some(_) | None => Traffic::Deserted,
        };
        known.insert(at, traffic);
        Ok(traffic)
    }
}

fn is_free(it: &Outstanding, now: Millis) -> bool {
    it.leased_until <= now && it.due <= now
}
