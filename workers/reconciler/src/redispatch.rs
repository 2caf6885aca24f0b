//! Sends again what has stalled: work that is not done, that nobody holds, and that is not waiting for its time.

use crate::dispatch::{Outbound, Want};
use crate::ticker::{Part, Turn};
use crate::{Error, Reconciler};
use erasure_broker::Source;
use erasure_protocol::{Header, Lane, Mask, Millis, RequestKey, SubsystemName, TaskOutcome};
use erasure_tracker::Outstanding;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

const REQUESTS_PER_TURN: u32 = 100;

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
        *after = requests.last().copied();
        let mut tokens = self.config.redispatch_slices_max;
        for header in self.ledger.headers(&requests).await? {
            if tokens == 0 {
                break;
            }
            tokens = tokens.saturating_sub(self.redispatch(&header, Some(before)).await?);
        }
        Ok(Turn::Idle)
    }

    /// Sends again what is missing of one request, as far as nobody has it. `before` spares what was dispatched since; `None` spares
    /// nothing, for after a wipe. Returns how many slices were sent.
    pub(crate) async fn redispatch(&self, header: &Header, before: Option<Millis>) -> Result<usize, Error> {
        let header = match self.tracker.outstanding(header.request).await? {
            Some(_) => header.clone(),
            None => match self.project(header.request).await? {
                Some(projected) if !projected.state.is_final() => projected,
                Some(_) | None => return Ok(0),
            },
        };
        let Some(outstanding) = self.tracker.outstanding(header.request).await? else {
            return Ok(0);
        };
        let counts = self.ledger.dispatch_counts(header.request).await?;
        let counts: BTreeMap<(usize, u32), _> = counts.into_iter().map(|it| ((it.entry, it.slice), it)).collect();
        let spoken_for = self.spoken_for(&header, outstanding.now).await?;
        let mut idle = BTreeMap::new();
        let mut wants = Vec::new();
        for it in outstanding.slices.iter().filter(|it| is_free(it, outstanding.now)) {
            let Some(entry) = header.plan.entry(it.entry) else { continue };
            let tasks = it
                .missing
                .without(spoken_for.get(&(it.entry, it.slice)).unwrap_or(&Mask::EMPTY));
            let count = counts.get(&(it.entry, it.slice));
            // What was never dispatched is the dispatcher's; what was dispatched just now may still be on its way.
            let Some(count) = count.filter(|count| before.is_none_or(|before| count.last_at < before)) else {
                continue;
            };
            if tasks.is_empty() || !self.is_idle(&entry.subsystem, header.lane, &mut idle).await? {
                continue;
            }
            wants.push(Want {
                entry: it.entry,
                slice: it.slice,
                tasks,
                dispatched: count.count,
                attempt: 0,
                references: None,
            });
        }
        wants.truncate(self.config.redispatch_slices_max);
        let mut outbound = Outbound::new();
        let sent = self.collect(&header, wants, self.ledger.now().await?, &mut outbound).await?;
        self.publish(outbound).await?;
        if sent > 0 {
            tracing::info!(request = %header.request, slices = sent, "sent again");
            metrics::counter!("erasure_redispatched_slices_total").increment(sent as u64);
        }
        Ok(sent)
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

    /// Whether a lane has consumers and nothing ready: only then is a message that should be there really missing.
    async fn is_idle(
        &self,
        subsystem: &SubsystemName,
        lane: Lane,
        known: &mut BTreeMap<SubsystemName, bool>,
    ) -> Result<bool, Error> {
        if let Some(idle) = known.get(subsystem) {
            return Ok(*idle);
        }
        let state = self
            .inspector
            .queue_state(&Source::Work {
                subsystem: subsystem.clone(),
                lane,
            })
            .await?;
        let idle = state.is_some_and(|state| state.consumers > 0 && state.ready == 0);
        known.insert(subsystem.clone(), idle);
        Ok(idle)
    }
}

fn is_free(it: &Outstanding, now: Millis) -> bool {
    it.leased_until <= now && it.due <= now
}
