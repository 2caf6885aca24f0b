//! Sends work out: what was never sent, as soon as it is in the ledger.

use crate::project::failed_in;
use crate::ticker::{Part, Turn};
use crate::{Error, Reconciler};
use erasure_drill::{Point, point};
use erasure_kit::messages::{self, ItemPart};
use erasure_ledger::Dispatch;
use erasure_protocol::{Header, Item, Lane, Mask, Millis, RequestKey, RequestState, Sealed, SubsystemName};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// How many requests of one slice are looked at in one turn, so that many share messages.
const REQUESTS_PER_TURN: u32 = 256;
/// How many large requests are looked at in one turn; small ones never wait behind them.
const LARGE_PER_TURN: u32 = 4;
/// How many slices of large requests are sent in one turn. It bounds the memory, and how long a small request waits that comes while a
/// large one is sent.
const SLICES_PER_TURN: usize = 4;

/// Tasks of one slice to be sent to one entry of the plan.
#[derive(Clone, Debug)]
pub(crate) struct Want {
    pub(crate) entry: usize,
    pub(crate) slice: u32,
    pub(crate) tasks: Mask,
    /// How many dispatches the ledger is known to have: the compare-and-set.
    pub(crate) dispatched: u32,
    pub(crate) attempt: u32,
    pub(crate) references: Option<Sealed>,
}

impl Want {
    /// All tasks of a slice that have not failed from the start, for the first time.
    fn new(entry: usize, slice: u32, failed: Option<&Mask>) -> Self {
        Self {
            entry,
            slice,
            tasks: Mask::first(usize::MAX).without(failed.unwrap_or(&Mask::EMPTY)),
            dispatched: 0,
            attempt: 0,
            references: None,
        }
    }
}

/// Items on their way, by subsystem and lane.
pub(crate) type Outbound = BTreeMap<(SubsystemName, Lane), Vec<Item>>;

impl Reconciler {
    pub(crate) async fn dispatch_new(self: Arc<Self>, stop: CancellationToken) {
        let bell = Some(&*self.news);
        let part = Part {
            health: &self.health,
            name: "reconciler.dispatch",
            every: self.config.poll(),
            bell,
        };
        part.repeat(&stop, || self.dispatch_turn()).await;
    }

    async fn dispatch_turn(&self) -> Result<Turn, Error> {
        let requests = self.ledger.undispatched(REQUESTS_PER_TURN, LARGE_PER_TURN).await?;
        if requests.is_empty() {
            return Ok(Turn::Idle);
        }
        let headers = self.ledger.headers(&requests).await?;
        self.tracker.init(&headers).await?;
        point(Point::DispatchShown).await;
        self.tracker.raise_high_water(self.ledger.seq().await?).await?;
        let now = self.ledger.now().await?;
        let mut outbound = Outbound::new();
        let running = headers.iter().filter(|header| header.state == RequestState::Running);
        let (small, large): (Vec<&Header>, Vec<&Header>) = running.partition(|header| header.slices == 1);
        self.dispatch_small(&small, now, &mut outbound).await?;
        let mut left = SLICES_PER_TURN;
        for header in large {
            left = left.saturating_sub(self.dispatch_large(header, left, now, &mut outbound).await?);
        }
        point(Point::DispatchRecorded).await;
        self.publish(outbound).await?;
        point(Point::DispatchPublished).await;
        Ok(Turn::More)
    }

    /// Requests of one slice, all in one go.
    async fn dispatch_small(&self, headers: &[&Header], now: Millis, outbound: &mut Outbound) -> Result<(), Error> {
        let keys: Vec<RequestKey> = headers.iter().map(|header| header.request).collect();
        if keys.is_empty() {
            return Ok(());
        }
        let sent = self.ledger.dispatch_counts_of(&keys).await?;
        let reports = self.ledger.reports_of(&keys).await?;
        let mut wants = Vec::new();
        for header in headers {
            let failed = failed_in(reports.get(&header.request).map_or(&[][..], Vec::as_slice));
            if !failed.is_empty() {
                // No worker will ever speak of them: who waits for whom must be seen from here.
                self.show_reports(header).await?;
            }
            let sent: BTreeSet<usize> = sent.get(&header.request).into_iter().flatten().map(|it| it.entry).collect();
            let entries = header
                .plan
                .live()
                .map(|(entry, _)| entry)
                .filter(|entry| !sent.contains(entry));
            wants.extend(entries.map(|entry| (*header, Want::new(entry, 0, failed.get(&(entry, 0))))));
        }
        self.collect_all(wants, now, outbound).await.map(|_| ())
    }

    /// The next slices of a request of many. How many.
    async fn dispatch_large(
        &self,
        header: &Header,
        slices_max: usize,
        now: Millis,
        outbound: &mut Outbound,
    ) -> Result<usize, Error> {
        if slices_max == 0 {
            return Ok(0);
        }
        let counts = self.ledger.dispatch_counts(header.request).await?;
        let sent: BTreeSet<(u32, usize)> = counts.iter().map(|it| (it.slice, it.entry)).collect();
        let failed = self.failed(header).await?;
        if !failed.is_empty() {
            // No worker will ever speak of them: who waits for whom must be seen from here.
            self.show_reports(header).await?;
        }
        let entries_to_send = |slice: u32| {
            let live = header.plan.live().map(|(entry, _)| entry);
            live.filter(|entry| !sent.contains(&(slice, *entry))).collect::<Vec<_>>()
        };
        let slices = (0..header.slices).map(|slice| (slice, entries_to_send(slice)));
        let next: Vec<_> = slices.filter(|(_, entries)| !entries.is_empty()).take(slices_max).collect();
        let wants = next
            .iter()
            .flat_map(|(slice, entries)| entries.iter().map(|entry| (*entry, *slice)));
        let wants = wants.map(|(entry, slice)| Want::new(entry, slice, failed.get(&(entry, slice))));
        self.collect(header, wants.collect(), now, outbound).await?;
        Ok(next.len())
    }

    /// Records the dispatches and builds their items. What somebody else has dispatched in the meantime is left out.
    pub(crate) async fn collect(
        &self,
        header: &Header,
        wants: Vec<Want>,
        now: Millis,
        outbound: &mut Outbound,
    ) -> Result<usize, Error> {
        self.collect_all(wants.into_iter().map(|want| (header, want)).collect(), now, outbound)
            .await
    }

    /// As [`Self::collect`], of many requests in one transaction.
    async fn collect_all(&self, wants: Vec<(&Header, Want)>, now: Millis, outbound: &mut Outbound) -> Result<usize, Error> {
        if wants.is_empty() {
            return Ok(0);
        }
        let places: BTreeSet<(RequestKey, u32)> = wants.iter().map(|(header, want)| (header.request, want.slice)).collect();
        let slices = self.ledger.slices_of(&places.into_iter().collect::<Vec<_>>()).await?;
        let dispatches: Vec<Dispatch> = wants
            .iter()
            .map(|(header, it)| Dispatch {
                request: header.request,
                entry: it.entry,
                slice: it.slice,
                expected: it.dispatched,
            })
            .collect();
        let counts = self.ledger.dispatch(&dispatches, now).await?;
        let mut collected = 0;
        for ((header, want), count) in wants.into_iter().zip(counts) {
            let place = (header.request, want.slice);
            let (Some(dispatch), Some(entry), Some(slice)) = (count, header.plan.entry(want.entry), slices.get(&place)) else {
                continue;
            };
            let wanted = want.tasks.and(&Mask::first(usize::from(slice.count)));
            if wanted.is_empty() {
                continue;
            }
            let part = ItemPart {
                phase: entry.phase,
                slice: want.slice,
                count: slice.count,
                wanted,
                attempt: want.attempt,
                dispatch,
                sealed: slice.sealed.clone(),
                references: want.references,
            };
            // An entry that replaces another one asks again where somebody has been before: never "nothing held".
            let tried = header.plan.entries()[..want.entry]
                .iter()
                .any(|it| it.subsystem == entry.subsystem);
            let item = Item {
                tried,
                ..messages::item(header, part, now)
            };
            outbound.entry((entry.subsystem.clone(), header.lane)).or_default().push(item);
            collected += 1;
        }
        Ok(collected)
    }

    /// Publishes, confirmed. What is lost between the recording and this is found by the look for stalled work.
    pub(crate) async fn publish(&self, outbound: Outbound) -> Result<(), Error> {
        let id = self.ledger.id();
        let messages = outbound
            .into_iter()
            .flat_map(|((subsystem, lane), items)| messages::work(id, &subsystem, lane, items));
        self.publisher.publish_all(messages.collect()).await?;
        Ok(())
    }
}
