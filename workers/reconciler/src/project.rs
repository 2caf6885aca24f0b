//! Projects the tracker from the ledger: requests that a worker asks for, and all open ones after a wipe.

use crate::dispatch::Outbound;
use crate::redispatch::Lanes;
use crate::ticker::{Part, Turn};
use crate::{Error, Reconciler};
use erasure_drill::{Point, point};
use erasure_ledger::Report;
use erasure_protocol::{Header, Mask, Millis, RequestKey, RequestState, TaskOutcome};
use erasure_tracker::Mark;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The key whose absence says that Redis was wiped, or is another one.
const PROJECTED: &str = "projected";
/// When the wipe was noticed, in the ledger's time. What was dispatched since need not be sent again because of it.
const WIPED_AT: &str = "wiped_at";
const REQUESTS_PER_TURN: usize = 256;
/// How often it is looked whether Redis was wiped.
const WIPE_WATCH: Duration = Duration::from_millis(500);

/// The failed tasks in the reports of a request, by entry and slice.
pub(crate) fn failed_in(reports: &[Report]) -> BTreeMap<(usize, u32), Mask> {
    let mut failed: BTreeMap<(usize, u32), Mask> = BTreeMap::new();
    for report in reports {
        if let TaskOutcome::Failed { tasks, .. } = &report.outcome {
            let all = failed.entry((report.entry, report.slice)).or_default();
            *all = all.or(tasks);
        }
    }
    failed
}

impl Reconciler {
    pub(crate) async fn project_wanted(self: Arc<Self>, stop: CancellationToken) {
        let poll = self.config.poll();
        let part = Part {
            health: &self.health,
            name: "reconciler.project",
            every: poll,
            bell: None,
        };
        part.repeat(&stop, || self.project_turn()).await;
    }

    async fn project_turn(&self) -> Result<Turn, Error> {
        let notices = self.tracker.next_wanted(REQUESTS_PER_TURN).await?;
        if notices.is_empty() {
            return Ok(Turn::Idle);
        }
        let requests: Vec<RequestKey> = notices.iter().map(|notice| notice.request).collect();
        let mut known = Vec::new();
        for (request, progress) in requests.iter().zip(self.tracker.progress(&requests).await?) {
            match progress {
                Some(_) => known.push(*request),
                None => drop(self.project(*request).await?),
            }
        }
        self.bring_up_to_date(&known).await?;
        self.tracker.settle_wanted(&notices).await?;
        Ok(Turn::More)
    }

    /// A request that the tracker knows was projected since it was asked for, or what the tracker knows is older than the work: its
    /// plan or its slices have grown since.
    async fn bring_up_to_date(&self, known: &[RequestKey]) -> Result<(), Error> {
        if known.is_empty() {
            return Ok(());
        }
        let headers = self.ledger.headers(known).await?;
        let (ended, open): (Vec<Header>, Vec<Header>) = headers.into_iter().partition(|it| it.state.is_final());
        self.tracker.finish(&ended).await?;
        self.tracker.init(&open).await?;
        Ok(())
    }

    /// Writes one request into the tracker, from nothing: header, and what the ledger knows of waiting and failed tasks.
    pub(crate) async fn project(&self, request: RequestKey) -> Result<Option<Header>, Error> {
        let Some(header) = self.ledger.bump_generation(request).await? else {
            tracing::warn!(%request, "work for a request that the ledger does not know; it stays in the queue");
            return Ok(None);
        };
        point(Point::ProjectionCounted).await;
        if header.state.is_final() {
            self.tracker.finish(std::slice::from_ref(&header)).await?;
            return Ok(Some(header));
        }
        self.tracker.project(std::slice::from_ref(&header)).await?;
        self.show_reports(&header).await?;
        point(Point::ProjectionShown).await;
        tracing::debug!(%request, generation = header.generation, "projected");
        Ok(Some(header))
    }

    /// Restores what is shown beyond evidence. Evidence itself is never restored from here: what was lost is done again.
    pub(crate) async fn show_reports(&self, header: &Header) -> Result<(), Error> {
        let reports = self.ledger.reports(header.request).await?;
        if reports.is_empty() {
            return Ok(());
        }
        // The tracker takes the number for the slice's own: with a greater one a short last slice would never be full.
        let counts = self.ledger.slice_counts(header.request).await?;
        let live = |entry: usize| header.plan.is_live(entry).then(|| header.plan.entry(entry)).flatten();
        let marks: Vec<Mark> = reports
            .into_iter()
            .filter_map(|report| {
                let entry = live(report.entry)?;
                let (failed, pending, retrying, due) = shown(&report.outcome)?;
                let count = *counts.get(usize::try_from(report.slice).ok()?)?;
                Some(Mark {
                    request: header.request,
                    slice: report.slice,
                    entry: report.entry,
                    evidence: entry.evidence,
                    count,
                    erased: Mask::EMPTY,
                    nothing_held: Mask::EMPTY,
                    retained: Mask::EMPTY,
                    failed,
                    pending,
                    retrying,
                    due,
                    note: Some(report.outcome),
                })
            })
            .collect();
        if !marks.is_empty() {
            self.tracker.mark(&marks).await?;
        }
        Ok(())
    }

    /// The failed tasks of a request, by entry and slice.
    pub(crate) async fn failed(&self, header: &Header) -> Result<BTreeMap<(usize, u32), Mask>, Error> {
        Ok(failed_in(&self.ledger.reports(header.request).await?))
    }

    pub(crate) async fn watch_for_wipes(self: Arc<Self>, stop: CancellationToken) {
        let part = Part {
            health: &self.health,
            name: "reconciler.tracker",
            every: WIPE_WATCH,
            bell: None,
        };
        part.repeat(&stop, || self.wipe_turn()).await;
    }

    async fn wipe_turn(&self) -> Result<Turn, Error> {
        let here = self.ledger.id().to_string();
        if self.tracker.meta_get(PROJECTED).await?.as_deref() == Some(here.as_str()) {
            return Ok(Turn::Idle);
        }
        let noticed = self.tracker.meta_get(WIPED_AT).await?.and_then(|at| at.parse().ok());
        let wiped_at = match noticed {
            Some(at) => Millis(at),
            None => {
                let now = self.ledger.now().await?;
                self.tracker.meta_set(WIPED_AT, &now.0.to_string()).await?;
                now
            }
        };
        let (projected, held_back) = self.project_all(wiped_at).await?;
        if projected > 0 {
            tracing::warn!(
                requests = projected,
                "the tracker had lost open requests; all were projected and are sent again"
            );
        }
        // Behind a lane that is still at work something may be missing: that is looked at again in a moment. So it is when the
        // tracker was wiped once more meanwhile.
        let is_same_wipe = self.tracker.meta_get(WIPED_AT).await?.and_then(|at| at.parse().ok()) == Some(wiped_at.0);
        if held_back == 0 && is_same_wipe {
            self.tracker.meta_set(PROJECTED, &here).await?;
        }
        Ok(Turn::Idle)
    }

    /// Projects every open request that the tracker does not know, and sends out again what is missing of any: one that it knows
    /// may have been projected for a worker since the wipe. Returns how many were projected, and how many slices must wait.
    async fn project_all(&self, wiped_at: Millis) -> Result<(usize, usize), Error> {
        let mut after = None;
        let (mut projected, mut held_back) = (0, 0);
        loop {
            let page = self
                .ledger
                .open_requests(after, u32::try_from(REQUESTS_PER_TURN).unwrap_or(u32::MAX))
                .await?;
            let Some(last) = page.last().copied() else {
                return Ok((projected, held_back));
            };
            let known = self.tracker.progress(&page).await?;
            for (request, _) in page.iter().zip(known).filter(|(_, known)| known.is_none()) {
                projected += usize::from(self.project(*request).await?.is_some());
            }
            let (mut lanes, mut outbound) = (Lanes::new(), Outbound::new());
            for header in self.ledger.headers(&page).await? {
                if header.state == RequestState::Running {
                    let looked = self.redispatch(&header, wiped_at, &mut lanes, &mut outbound).await?;
                    held_back += looked.held_back;
                    if outbound.values().map(Vec::len).sum::<usize>() >= self.config.redispatch_slices_max {
                        self.publish(std::mem::take(&mut outbound)).await?;
                    }
                }
            }
            self.publish_again(outbound).await?;
            after = Some(last);
        }
    }
}

/// What of a report is shown in the tracker: failed, pending, retrying, and when it is due.
fn shown(outcome: &TaskOutcome) -> Option<(Mask, Mask, Mask, Option<Millis>)> {
    match outcome {
        TaskOutcome::Failed { tasks, .. } => Some((*tasks, Mask::EMPTY, Mask::EMPTY, None)),
        TaskOutcome::Pending { tasks, check_at, .. } => Some((Mask::EMPTY, *tasks, Mask::EMPTY, Some(*check_at))),
        TaskOutcome::Retry { tasks, next_try, .. } => Some((Mask::EMPTY, Mask::EMPTY, *tasks, Some(*next_try))),
        TaskOutcome::Retained { .. } => None,
    }
}
