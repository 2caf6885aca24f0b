//! Takes in what the broker, or a worker, has put aside, so that it shows in one list.

use crate::{Error, Reconciler, events, ticker};
use erasure_broker::{Consumer, ConsumerOptions, DeadQueue, Delivery, Source};
use erasure_drill::{Point, point};
use erasure_kit::{Letter, parked_id};
use erasure_ledger::NewParked;
use erasure_protocol::{
    Blame, Fault, FaultClass, FaultCode, Header, Item, Mask, Millis, OutcomeMessage, RequestKey, Sealed, SubsystemName,
    TaskOutcome, TenantId, WIRE_VERSION, WorkMessage,
};
use erasure_tracker::Mark;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

impl Reconciler {
    pub(crate) async fn collect_dead(self: Arc<Self>, stop: CancellationToken) {
        let mut queues = JoinSet::new();
        let subsystems = self.subsystems.keys().cloned().map(DeadQueue::Subsystem);
        let sources = subsystems
            .chain([DeadQueue::Ingest])
            .map(|queue| Source::Dead { queue })
            .chain([Source::Unrouted]);
        for source in sources {
            queues.spawn(Arc::clone(&self).collect_from(source, stop.clone()));
        }
        while let Some(ended) = queues.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "collecting dead letters ended by a defect");
                stop.cancel();
            }
        }
    }

    async fn collect_from(self: Arc<Self>, source: Source, stop: CancellationToken) {
        let options = ConsumerOptions {
            prefetch: 64,
            batch_max: 32,
            ..ConsumerOptions::default()
        };
        let mut consumer = Consumer::start(&self.broker, source.clone(), options, stop.clone());
        while let Some(deliveries) = consumer.next_batch().await {
            if let Err(error) = self.collect_batch(&source, deliveries).await {
                self.health.waiting("reconciler.dead", ticker::in_full(&error));
                tokio::select! {
                    biased;
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep(Duration::from_millis(500)) => {}
                }
            } else {
                self.health.ready("reconciler.dead");
            }
        }
    }

    /// Takes a batch: work that the ledger knows one by one, the rest put aside in one transaction.
    async fn collect_batch(&self, source: &Source, deliveries: Vec<Delivery>) -> Result<(), Error> {
        let mut strange = Vec::new();
        let mut failed = None;
        for delivery in deliveries {
            match self.collect_known(source, delivery).await {
                Ok(left) => strange.extend(left),
                // One that cannot be taken now keeps nobody else from it.
                Err(error) => failed = Some(error),
            }
        }
        let (queue, code) = match source {
            Source::Dead {
                queue: DeadQueue::Ingest,
            } => ("ingest", FaultCode::DeliveryLimit),
            Source::Unrouted => ("unrouted", FaultCode::NotRead),
            Source::Dead {
                queue: DeadQueue::Subsystem(_),
            }
            | Source::Ingest
            | Source::IngestBulk
            | Source::Act
            | Source::Outcome
            | Source::Work { .. }
            | Source::Wait { .. } => ("dead", FaultCode::NotRead),
        };
        self.put_aside(strange, queue, code.as_str(), None).await?;
        failed.map_or(Ok(()), Err)
    }

    /// Takes work that the ledger knows; gives back what is none.
    async fn collect_known(&self, source: &Source, delivery: Delivery) -> Result<Option<Delivery>, Error> {
        let subsystem = match source {
            Source::Dead {
                queue: DeadQueue::Subsystem(subsystem),
            } => Some(subsystem),
            Source::Dead {
                queue: DeadQueue::Ingest,
            }
            | Source::Ingest
            | Source::IngestBulk
            | Source::Act
            | Source::Outcome
            | Source::Work { .. }
            | Source::Wait { .. }
            | Source::Unrouted => None,
        };
        if let (Some(subsystem), Some(message)) = (subsystem, self.own_work(&delivery))
            && self.all_known(&message).await?
        {
            // What a worker handed back is missing in the tracker like a lost message, and is sent again like one.
            if delivery.meta.death_reason.is_some() {
                for item in &message.items {
                    self.fail(subsystem, item).await?;
                }
            }
            point(Point::DeadJudged).await;
            let _settled = delivery.ack().await;
            return Ok(None);
        }
        Ok(Some(delivery))
    }

    /// The work message of this ledger that a dead letter is, if it is one.
    fn own_work(&self, delivery: &Delivery) -> Option<WorkMessage> {
        let message = serde_json::from_slice::<WorkMessage>(&delivery.body).ok()?;
        (message.version <= WIRE_VERSION && message.ledger == self.ledger.id()).then_some(message)
    }

    /// Work that the ledger does not know is never acknowledged away.
    async fn all_known(&self, message: &WorkMessage) -> Result<bool, Error> {
        let requests: Vec<RequestKey> = message.items.iter().map(|item| item.request).collect();
        let known: BTreeSet<RequestKey> = self
            .ledger
            .headers(&requests)
            .await?
            .iter()
            .map(|header| header.request)
            .collect();
        Ok(requests.iter().all(|request| known.contains(request)))
    }

    /// The broker gave up on this item: its tasks need attention, whatever else still holds them.
    async fn fail(&self, subsystem: &SubsystemName, item: &Item) -> Result<(), Error> {
        let Some(header) = self
            .ledger
            .header(item.request)
            .await?
            .filter(|header| !header.state.is_final())
        else {
            return Ok(());
        };
        let Some((entry, plan_entry)) = header.plan.find(item.phase, subsystem) else {
            return Ok(());
        };
        let done = self
            .tracker
            .evidence(item.request)
            .await?
            .unwrap_or_default()
            .done(entry, item.slice);
        let tasks = item.wanted.without(&done);
        if tasks.is_empty() {
            return Ok(());
        }
        let fault = Fault::new(
            FaultClass::Poison,
            Blame::Subject,
            FaultCode::DeliveryLimit,
            subsystem.as_str(),
        );
        let now = self.ledger.now().await?;
        let outcome = TaskOutcome::Failed {
            tasks,
            fault: fault.clone(),
            attempt: item.attempt,
        };
        let report = OutcomeMessage {
            version: WIRE_VERSION,
            ledger: self.ledger.id(),
            request: item.request,
            slice: item.slice,
            subsystem: subsystem.clone(),
            phase: item.phase,
            evidence: plan_entry.evidence,
            at: now,
            outcomes: vec![outcome.clone()],
        };
        self.ledger.report(&report).await?;
        self.ledger
            .add_event(&events::needs_attention(&header, subsystem, &fault, now), now)
            .await?;
        self.tracker
            .mark(&[shown_failed(&header, entry, item, tasks, outcome)])
            .await?;
        Ok(())
    }

    /// Keeps a message that cannot be handled, sealed, and acknowledges it.
    pub(crate) async fn park_delivery(
        &self,
        delivery: Delivery,
        queue: &str,
        code: &str,
        tenant: Option<TenantId>,
    ) -> Result<(), Error> {
        self.put_aside(vec![delivery], queue, code, tenant).await
    }

    async fn put_aside(&self, deliveries: Vec<Delivery>, queue: &str, code: &str, tenant: Option<TenantId>) -> Result<(), Error> {
        if deliveries.is_empty() {
            return Ok(());
        }
        let now = self.ledger.now().await?;
        let mut parked = Vec::with_capacity(deliveries.len());
        for delivery in &deliveries {
            let sealed = Letter::of(delivery, &self.keys)?.seal(&self.keys)?;
            parked.push(NewParked {
                id: parked_id(delivery.meta.message_id.as_deref(), &delivery.body),
                tenant: tenant.clone(),
                queue: queue.to_owned(),
                code: code.to_owned(),
                field: None,
                sealed: Sealed(sealed),
                at: now,
                expires_at: self.parked_until(now),
            });
        }
        self.ledger.park_all(&parked).await?;
        for it in &parked {
            tracing::warn!(queue, code, parked = it.id, "parked a message that cannot be handled");
        }
        let _settled = Delivery::ack_all(deliveries).await;
        Ok(())
    }

    fn parked_until(&self, now: Millis) -> Millis {
        now.plus(self.config.keep_parked())
    }
}

fn shown_failed(header: &Header, entry: usize, item: &Item, failed: Mask, note: TaskOutcome) -> Mark {
    Mark {
        request: header.request,
        slice: item.slice,
        entry,
        evidence: header.plan.entries()[entry].evidence,
        count: item.count,
        erased: Mask::EMPTY,
        nothing_held: Mask::EMPTY,
        retained: Mask::EMPTY,
        failed,
        pending: Mask::EMPTY,
        retrying: Mask::EMPTY,
        due: None,
        note: Some(note),
    }
}
