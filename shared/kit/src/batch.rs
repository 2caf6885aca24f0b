//! One batch, step by step, in the one order that keeps the promises.

use crate::hand::{Hand, InHand};
use crate::lane::Pause;
use crate::opened::{Grant, Opened, open};
use crate::pace::Spent;
use crate::settle::ItemReport;
use crate::suspicion::{goes_alone, is_deadly, is_worn};
use crate::worker::Worker;
use crate::{messages, perform::perform};
use erasure_broker::{Delivery, Outgoing};
use erasure_drill::{Point, Rule, is_broken, point};
use erasure_protocol::{
    Blame, EvidenceKey, Fault, FaultClass, FaultCode, Item, Lane, Mask, Operation, Outcome, OutcomeMessage, Rung, Task,
    TaskOutcome, WIRE_VERSION,
};
use erasure_tracker::{Claim, Claimed, Mark, Marked};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// How long to wait before the tracker is asked again about a request it does not know: the reconciler projects within a second.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// One batch in the making.
pub(crate) struct BatchRun<'a> {
    worker: &'a Worker,
    lane: Lane,
    evidence: EvidenceKey,
    hand: Hand,
    pause: Option<Pause>,
    hold_until: Instant,
    spent: Spent,
}

impl<'a> BatchRun<'a> {
    pub(crate) fn new(worker: &'a Worker, lane: Lane, evidence: EvidenceKey, deliveries: Vec<Delivery>) -> Self {
        let hold_until = Instant::now() + worker.config.hold();
        Self {
            worker,
            lane,
            evidence,
            hand: Hand::new(deliveries),
            pause: None,
            hold_until,
            spent: Spent::default(),
        }
    }

    /// Does the batch. Answers with the reason to pause the lane, if there is one, and with what it took of the store.
    pub(crate) async fn run(mut self) -> (Option<Pause>, Spent) {
        let worker = self.worker;
        let read = self
            .hand
            .read(worker.ledger, &worker.name, &worker.publisher, &worker.keys)
            .await;
        point(Point::WorkerReceived).await;
        if read.newer {
            self.pause = Some(Pause::NewerMessage);
        }
        let mut items = self.send_suspicious_deliveries_to_solo(read.items).await;
        loop {
            let claimed = self.claim(items).await;
            self.work(claimed.open).await;
            if claimed.unknown.is_empty() {
                break;
            }
            if Instant::now() >= self.hold_until {
                for InHand { item, .. } in &claimed.unknown {
                    tracing::warn!(subsystem = %worker.name, request = %item.request, slice = item.slice, "the tracker does not know this request; handed back");
                }
                self.hand_back(claimed.unknown).await;
                break;
            }
            tokio::time::sleep(ASK_AGAIN).await;
            items = claimed.unknown;
        }
        point(Point::WorkerSettling).await;
        self.hand.settle().await;
        (self.pause, self.spent)
    }

    /// Nobody has projected these requests for as long as they could be held, or what came is too old: the ledger's side has to say
    /// what they are, and sends them again. The lane does not wait for it.
    async fn hand_back(&mut self, items: Vec<InHand>) {
        for InHand { from, item } in items {
            self.publish_for(from, messages::unknown(self.worker.ledger, &self.worker.name, vec![item]))
                .await;
        }
    }

    /// A message that has been delivered too often is taken apart: each item goes alone to the solo lane.
    async fn send_suspicious_deliveries_to_solo(&mut self, items: Vec<InHand>) -> Vec<InHand> {
        let (suspicious, sound) = items
            .into_iter()
            .partition(|it| is_worn(self.lane, self.hand.delivered(it.from)));
        self.send_to_solo(suspicious).await;
        sound
    }

    async fn send_to_solo(&mut self, items: Vec<InHand>) {
        for InHand { from, item } in items {
            tracing::warn!(subsystem = %self.worker.name, request = %item.request, slice = item.slice, "sent to the solo lane");
            // Whoever started on it and did not finish may have changed something.
            let item = Item { tried: true, ..item };
            self.publish_for(
                from,
                messages::work(self.worker.ledger, &self.worker.name, Lane::Solo, vec![item]),
            )
            .await;
        }
    }

    async fn claim(&mut self, items: Vec<InHand>) -> Sorted {
        let mut sorted = Sorted::default();
        if items.is_empty() {
            return sorted;
        }
        let claims: Vec<Claim> = items.iter().map(|it| self.claim_of(&it.item)).collect();
        let tracker = &self.worker.tracker;
        let answers = match self.insist(|| tracker.claim(&claims)).await {
            Ok(answers) => answers,
            Err(reason) => {
                self.let_go(items.iter().map(|it| it.from), Pause::Tracker(reason));
                return sorted;
            }
        };
        point(Point::WorkerClaimed).await;
        let mut solo = Vec::new();
        let mut later = Vec::new();
        // Several items may be of one slice, such as people whose vendors are asked again at different times. What this claim has
        // started itself is in hand, not unfinished.
        let mut in_hand: BTreeMap<_, u32> = BTreeMap::new();
        for (it, answer) in items.into_iter().zip(answers) {
            let in_hand = in_hand.entry((it.item.request, it.item.slice, it.item.phase)).or_default();
            match answer {
                Claimed::Open {
                    entry,
                    done,
                    failed,
                    key,
                    starts,
                    generation,
                    now,
                } => {
                    let open = Grant {
                        entry,
                        key,
                        starts,
                        generation,
                        now,
                    };
                    let wanted = it.item.wanted.and(&Mask::first(usize::from(it.item.count)));
                    let wanted = wanted.without(&done).without(&failed);
                    if wanted.is_empty() {
                        continue;
                    }
                    let unfinished = open.starts.saturating_sub(*in_hand);
                    *in_hand += 1;
                    if goes_alone(self.lane, unfinished, self.hand.delivered(it.from)) {
                        solo.push(it);
                    } else {
                        sorted.open.push((it, open, wanted));
                    }
                }
                // Nobody wants it any more.
                Claimed::Final => {}
                Claimed::Unknown => sorted.unknown.push(it),
                // Either the plan is about to be extended, or this worker is the one left behind: in both cases, later.
                Claimed::Stale { .. } => later.push(it),
                Claimed::Foreign => self.let_go([it.from].into_iter(), Pause::Tracker("belongs to another ledger".into())),
            }
        }
        self.send_to_solo(solo).await;
        self.send_later(later).await;
        sorted
    }

    fn claim_of(&self, item: &Item) -> Claim {
        Claim {
            request: item.request,
            slice: item.slice,
            phase: item.phase,
            subsystem: self.worker.name.clone(),
            evidence: self.evidence,
        }
    }

    /// Puts items on the first rung as they are: this was no attempt.
    async fn send_later(&mut self, items: Vec<InHand>) {
        let rung = self.worker.retry.rung(0);
        for InHand { from, item } in items {
            tracing::info!(subsystem = %self.worker.name, request = %item.request, slice = item.slice, "evidence key differs; waiting");
            self.publish_again(from, rung, vec![item]).await;
        }
    }

    async fn work(&mut self, claimed: Vec<(InHand, Grant, Mask)>) {
        let mut opened = Vec::new();
        for (it, claim, wanted) in claimed {
            let from = it.from;
            match open(&self.worker.keys, &self.worker.name, it, claim, wanted) {
                Ok(item) if self.lane == Lane::Solo && item.wanted.count() > 1 => self.halve(item).await,
                Ok(item) if is_deadly(self.lane, item.starts(), self.hand.delivered(item.from)) => self.park_deadly(item).await,
                Ok(item) => opened.push(item),
                Err(pause) => self.let_go([from].into_iter(), pause),
            }
        }
        let operations = [Operation::Erase, Operation::Deactivate, Operation::Reactivate];
        for operation in operations {
            let (now, later) = opened.into_iter().partition(|it: &Opened| it.item.operation == operation);
            opened = later;
            let now: Vec<Opened> = now;
            if !now.is_empty() {
                self.work_on(operation, now).await;
            }
        }
    }

    /// In the solo lane a slice is cut in halves *by publishing them*, before the store is touched: a process that dies while it
    /// holds a half has said which one it was.
    async fn halve(&mut self, opened: Opened) {
        let positions: Vec<usize> = opened.wanted.iter().collect();
        let (left, right) = positions.split_at(positions.len() / 2);
        let half = |part: &[usize]| Item {
            wanted: part.iter().copied().collect(),
            ..opened.item.clone()
        };
        let halves = [half(left), half(right)]
            .into_iter()
            .flat_map(|item| messages::work(self.worker.ledger, &self.worker.name, Lane::Solo, vec![item]));
        let halves = halves.collect();
        self.publish_for(opened.from, halves).await;
        self.finish_start(&opened).await;
    }

    /// Ends the lease of an item that was not worked on. It stays visible that somebody has started.
    async fn finish_start(&mut self, opened: &Opened) {
        let marks = [Mark {
            retrying: opened.wanted,
            ..opened.mark(self.evidence, &ItemReport::default(), None)
        }];
        let tracker = &self.worker.tracker;
        if let Err(reason) = self.insist(|| tracker.mark(&marks)).await {
            self.let_go([opened.from].into_iter(), Pause::Tracker(reason));
        }
    }

    /// Parks a task without another attempt, of which this worker would die as well.
    async fn park_deadly(&mut self, opened: Opened) {
        let name = self.worker.name.as_str();
        let fault = Fault::new(FaultClass::Poison, Blame::Subject, FaultCode::WorkerDies, name);
        let outcomes = vec![Outcome::Failed(fault); opened.tasks.len()];
        let positions = opened.wanted.iter().zip(&outcomes);
        let report = opened.report_with_unread(ItemReport::of(&self.worker.retry, opened.item.attempt, positions));
        self.record(vec![(opened, report)]).await;
    }

    async fn work_on(&mut self, operation: Operation, opened: Vec<Opened>) {
        let worker = self.worker;
        let started = Instant::now();
        let tasks: Vec<Task> = opened.iter().flat_map(|it| it.tasks.iter().cloned()).collect();
        let limit = worker.config.perform_timeout();
        if is_broken(Rule::MarkAfterCommit) {
            self.mark_untouched(&opened).await;
        }
        let performed = perform(&worker.subsystem, &worker.name, operation, &tasks, limit).await;
        point(Point::WorkerPerformed).await;
        self.spent.subjects += tasks.len();
        self.spent.time += started.elapsed();
        metrics::histogram!("erasure_batch_seconds", "subsystem" => worker.name.to_string())
            .record(started.elapsed().as_secs_f64());
        if let Some(fault) = performed.store_fault {
            self.pause.get_or_insert(Pause::Store(fault));
        }
        let mut outcomes = performed.outcomes.into_iter();
        let mut reported = Vec::new();
        for item in opened {
            let own: Vec<Outcome> = outcomes.by_ref().take(item.tasks.len()).collect();
            let positions = item.wanted.iter().zip(&own);
            let report = item.report_with_unread(ItemReport::of(&worker.retry, item.item.attempt, positions));
            debug_assert_eq!(report.all_tasks(), item.answered(), "every task of an item has one outcome");
            self.count(operation, &report);
            reported.push((item, report));
        }
        self.record(reported).await;
    }

    /// The order that must not be: everybody counts as erased before the store is touched.
    async fn mark_untouched(&self, opened: &[Opened]) {
        let all = |it: &Opened| ItemReport {
            erased: it.wanted,
            ..ItemReport::default()
        };
        let marks: Vec<Mark> = opened.iter().map(|it| it.mark(self.evidence, &all(it), None)).collect();
        let tracker = &self.worker.tracker;
        let _whatever = self.insist(|| tracker.mark(&marks)).await;
    }

    /// Report, mark, publish the remainder: each only for what the step before has gone through for.
    async fn record(&mut self, reported: Vec<(Opened, ItemReport)>) {
        let mut told = Vec::new();
        for (item, report) in reported {
            let said = report.outcomes(item.now(), |references| item.seal_references(&self.worker.name, references));
            let said = match said {
                Ok(said) => said,
                Err(error) => {
                    self.let_go([item.from].into_iter(), Pause::Sealing(error.to_string()));
                    continue;
                }
            };
            if self.report(&item, &said).await {
                told.push((item, report, said));
            }
        }
        let marked = self.mark(told).await;
        point(Point::WorkerMarked).await;
        for (item, report, answer) in marked {
            let item_from = item.from;
            match answer {
                Marked::Ok { .. } => {
                    for again in report.again {
                        let rest = Item {
                            wanted: again.tasks,
                            attempt: again.attempt,
                            tried: true,
                            ..item.item.clone()
                        };
                        self.publish_again(item.from, again.rung, vec![rest]).await;
                    }
                    if !report.expired.is_empty() {
                        tracing::warn!(subsystem = %self.worker.name, request = %item.item.request, slice = item.item.slice, tasks = report.expired.count(), "the work is too old; handed back to be sent afresh");
                        let rest = Item {
                            wanted: report.expired,
                            tried: true,
                            ..item.item
                        };
                        self.hand_back(vec![InHand {
                            from: item_from,
                            item: rest,
                        }])
                        .await;
                    }
                }
                Marked::Final => {}
                Marked::Stale | Marked::Unknown => {
                    let item = Item {
                        tried: true,
                        ..item.item
                    };
                    self.send_later(vec![InHand { from: item_from, item }]).await;
                }
            }
        }
    }

    /// Tells the ledger's side what it must hear of, if there is anything.
    async fn report(&mut self, item: &Opened, said: &[TaskOutcome]) -> bool {
        if said.is_empty() {
            return true;
        }
        let heard = self.publish_for(item.from, vec![self.report_of(item, said.to_vec())]).await;
        point(Point::WorkerReported).await;
        heard
    }

    /// Marks until the tracker knows every request, for as long as work may be held.
    async fn mark(&mut self, told: Vec<(Opened, ItemReport, Vec<TaskOutcome>)>) -> Vec<(Opened, ItemReport, Marked)> {
        let mut open: Vec<_> = told;
        let mut marked = Vec::new();
        while !open.is_empty() {
            let marks: Vec<Mark> = open
                .iter()
                .map(|(item, report, said)| item.mark(self.evidence, report, said.last().cloned()))
                .collect();
            let tracker = &self.worker.tracker;
            let answers = match self.insist(|| tracker.mark(&marks)).await {
                Ok(answers) => answers,
                Err(reason) => {
                    self.let_go(open.iter().map(|(item, ..)| item.from), Pause::Tracker(reason));
                    return marked;
                }
            };
            let held = Instant::now() < self.hold_until;
            let mut unknown = Vec::new();
            for ((item, report, said), answer) in open.into_iter().zip(answers) {
                if answer == Marked::Unknown && held {
                    unknown.push((item, report, said));
                } else {
                    marked.push((item, report, answer));
                }
            }
            if !unknown.is_empty() {
                tokio::time::sleep(ASK_AGAIN).await;
            }
            open = unknown;
        }
        marked
    }

    fn report_of(&self, item: &Opened, outcomes: Vec<TaskOutcome>) -> Outgoing {
        for outcome in &outcomes {
            if let TaskOutcome::Failed { tasks, fault, .. } = outcome {
                let (subsystem, request, slice) = (&self.worker.name, item.item.request, item.item.slice);
                tracing::warn!(%subsystem, %request, slice, tasks = tasks.count(), code = %fault.code, "{fault}: needs attention");
            }
        }
        messages::outcome(&OutcomeMessage {
            version: WIRE_VERSION,
            ledger: self.worker.ledger,
            request: item.item.request,
            slice: item.item.slice,
            subsystem: self.worker.name.clone(),
            phase: item.item.phase,
            evidence: self.evidence,
            at: item.now(),
            outcomes,
        })
    }

    async fn publish_again(&mut self, from: usize, rung: Rung, items: Vec<Item>) {
        let lane = items.first().map_or(self.lane, |item| item.lane);
        let messages = messages::wait(self.worker.ledger, &self.worker.name, lane, rung, items);
        if is_broken(Rule::AckAfterRemainder) {
            let publisher = self.worker.publisher.clone();
            tokio::spawn(async move { publisher.publish_all(messages).await });
            return;
        }
        self.publish_for(from, messages).await;
        point(Point::WorkerRemainderPublished).await;
    }

    /// Publishes, confirmed, on behalf of a delivery; when that fails the delivery is left, to be delivered again.
    async fn publish_for(&mut self, from: usize, messages: Vec<Outgoing>) -> bool {
        match self.worker.publisher.publish_all(messages).await {
            Ok(()) => true,
            Err(error) => {
                self.let_go([from].into_iter(), Pause::Publishing(error.to_string()));
                false
            }
        }
    }

    fn let_go(&mut self, deliveries: impl Iterator<Item = usize>, why: Pause) {
        deliveries.for_each(|at| self.hand.spoil(at));
        self.pause.get_or_insert(why);
    }

    /// Repeats a call to the tracker until it answers or work may be held no longer. Every call is safe to repeat.
    async fn insist<T, F>(&self, call: impl Fn() -> F) -> Result<T, String>
    where
        F: Future<Output = Result<T, erasure_tracker::Error>>,
    {
        loop {
            match call().await {
                Ok(answer) => return Ok(answer),
                Err(error) if Instant::now() >= self.hold_until => return Err(error.to_string()),
                Err(error) => tracing::debug!(subsystem = %self.worker.name, %error, "the tracker did not answer; asking again"),
            }
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }

    fn count(&self, operation: Operation, report: &ItemReport) {
        let counts = [
            ("erased", report.erased),
            ("nothing_held", report.nothing_held),
            ("retained", report.retained_tasks()),
            ("pending", report.pending_tasks()),
            ("retry", report.again_tasks()),
            ("failed", report.parked_tasks()),
        ];
        for (outcome, tasks) in counts.into_iter().filter(|(_, tasks)| !tasks.is_empty()) {
            let labels = [
                ("subsystem", self.worker.name.to_string()),
                ("operation", operation.to_string()),
                ("outcome", outcome.to_owned()),
            ];
            metrics::counter!("erasure_tasks_total", &labels).increment(tasks.count() as u64);
        }
    }
}

/// Claimed items by what the tracker said.
#[derive(Default)]
struct Sorted {
    open: Vec<(InHand, Grant, Mask)>,
    unknown: Vec<InHand>,
}

/// The fault of an item whose sealed subjects cannot be opened with the request's own key.
pub(crate) fn unreadable(source: &str) -> Fault {
    Fault::new(
        erasure_protocol::FaultClass::Permanent,
        erasure_protocol::Blame::Subject,
        erasure_protocol::FaultCode::NotRead,
        source,
    )
}
