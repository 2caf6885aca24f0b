//! Carries out what operators ask: redrive, discard, retire. Each act is written down with what came of it, once.

use crate::dispatch::{Outbound, Want};
use crate::{Error, Reconciler, events, ticker};
use erasure_broker::{Consumer, ConsumerOptions, Delivery, Outgoing, Route, Source};
use erasure_drill::{Point, point};
use erasure_kit::SEALED_LETTER;
use erasure_ledger::{Attention, AttentionFilter, Closed, NewAct, ParkedFilter, ParkedState};
use erasure_protocol::{ACT_VERSION, Act, ActKind, FaultCode, Lane, RequestKey, Sealed, SubsystemName, TenantId};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const FAILURES_PER_PAGE: u32 = 256;
const MESSAGES_PER_PAGE: u32 = 256;

impl Reconciler {
    pub(crate) async fn carry_out_acts(self: Arc<Self>, stop: CancellationToken) {
        let options = ConsumerOptions {
            prefetch: 8,
            batch_max: 1,
            linger: Duration::ZERO,
            ..ConsumerOptions::default()
        };
        let mut consumer = Consumer::start(&self.broker, Source::Act, options, stop.clone());
        while let Some(deliveries) = consumer.next_batch().await {
            for delivery in deliveries {
                match self.take_act(delivery).await {
                    Ok(()) => self.health.ready("reconciler.acts"),
                    Err(error) => {
                        self.health.waiting("reconciler.acts", ticker::in_full(&error));
                        tokio::select! {
                            biased;
                            () = stop.cancelled() => {}
                            () = tokio::time::sleep(Duration::from_millis(500)) => {}
                        }
                    }
                }
            }
        }
    }

    async fn take_act(&self, delivery: Delivery) -> Result<(), Error> {
        let Some(act) = Act::parse(&delivery.body).filter(|act| act.version == ACT_VERSION) else {
            return self.park_delivery(delivery, "act", FaultCode::NotRead.as_str(), None).await;
        };
        let result = self.carry_out(&act).await?;
        tracing::info!(act = %act.id, actor = act.actor, result, "carried out an operator's act");
        let _settled = delivery.ack().await;
        Ok(())
    }

    async fn carry_out(&self, act: &Act) -> Result<String, Error> {
        match &act.act {
            ActKind::Redrive {
                request,
                subsystem,
                code,
            } => self.redrive(act, *request, subsystem.clone(), *code).await,
            ActKind::Discard { request, reason_code } => self.discard(act, *request, reason_code).await,
            ActKind::RedriveParked { parked } => self.redrive_parked(act, parked).await,
            ActKind::RedriveParkedGroup { queue, code, tenant } => self.redrive_group(act, queue, code, tenant.clone()).await,
            ActKind::DiscardParked { parked, reason_code } => {
                let record = record(act, "discard", parked, reason_code, "discarded");
                let done = self.ledger.set_parked_state(parked, ParkedState::Discarded, &record).await?;
                Ok(if done { "discarded" } else { "not there, or no longer open" }.to_owned())
            }
            ActKind::RetireSubsystem { name, reason } => {
                let record = record(act, "retire_subsystem", name.as_str(), reason, "retired");
                let done = self.ledger.retire_subsystem(name, &record).await?;
                Ok(if done {
                    "retired"
                } else {
                    "not registered, or retired already"
                }
                .to_owned())
            }
        }
    }

    /// Sends failed tasks out again, page by page. An act that is delivered twice finds nothing left the second time.
    async fn redrive(
        &self,
        act: &Act,
        request: Option<RequestKey>,
        subsystem: Option<SubsystemName>,
        code: Option<FaultCode>,
    ) -> Result<String, Error> {
        let filter = AttentionFilter {
            request,
            subsystem,
            code,
            tenant: None,
        };
        let mut tasks = 0;
        let mut after = None;
        loop {
            let page = self.ledger.attention(&filter, after, FAILURES_PER_PAGE).await?;
            let Some(last) = page.last().map(|it| it.key) else { break };
            let mut outbound = Outbound::new();
            for failed in page {
                tasks += self.redrive_slice(act, &failed, &mut outbound).await?;
            }
            self.publish(outbound).await?;
            point(Point::RedrivePublished).await;
            after = Some(last);
        }
        let result = format!("{tasks} tasks sent again");
        let target = request.map_or_else(|| "all".to_owned(), |request| request.to_string());
        self.ledger.record_act(&record(act, "redrive", &target, "", &result)).await?;
        Ok(result)
    }

    async fn redrive_slice(&self, act: &Act, failed: &Attention, outbound: &mut Outbound) -> Result<usize, Error> {
        let slice_act = NewAct {
            id: format!("{}:{}:{}:{}", act.id, failed.request, failed.entry, failed.slice),
            ..record(
                act,
                "redrive",
                &failed.request.to_string(),
                failed.fault.code.as_str(),
                "sent again",
            )
        };
        // The tracker first: whoever dies in between leaves the tasks on the ledger's list, and after that to the look for stalled
        // work. Failed in the tracker alone, they would be on nobody's list.
        self.tracker
            .unfail(failed.request, failed.entry, failed.slice, &failed.tasks)
            .await?;
        let taken = self
            .ledger
            .take_failed(
                failed.request,
                failed.entry,
                failed.slice,
                Some(failed.fault.code),
                &slice_act,
            )
            .await?;
        if taken.is_empty() {
            return Ok(0);
        }
        point(Point::RedriveTaken).await;
        let since = taken.without(&failed.tasks);
        if !since.is_empty() {
            self.tracker
                .unfail(failed.request, failed.entry, failed.slice, &since)
                .await?;
        }
        let Some(header) = self.ledger.header(failed.request).await? else {
            return Ok(0);
        };
        let counts = self.ledger.dispatch_counts(failed.request).await?;
        let count = counts.iter().find(|it| it.entry == failed.entry && it.slice == failed.slice);
        let want = Want {
            entry: failed.entry,
            slice: failed.slice,
            tasks: taken,
            dispatched: count.map_or(0, |it| it.count),
            attempt: 0,
            references: None,
        };
        self.collect(&header, vec![want], self.ledger.now().await?, outbound).await?;
        Ok(taken.count())
    }

    async fn discard(&self, act: &Act, request: RequestKey, reason: &str) -> Result<String, Error> {
        let Some(header) = self.ledger.header(request).await? else {
            self.ledger
                .record_act(&record(act, "discard", &request.to_string(), reason, "unknown request"))
                .await?;
            return Ok("unknown request".to_owned());
        };
        let now = self.ledger.now().await?;
        let record = record(act, "discard", &request.to_string(), reason, "closed, not erased");
        let closed = self
            .ledger
            .close_not_erased(request, &record, events::closed(&header, reason, now))
            .await?;
        if closed == Closed::Now {
            tracing::error!(%request, actor = act.actor, reason, "closed without erasing: somebody must answer for this request");
            metrics::counter!("erasure_requests_finished_total", "state" => "closed_not_erased").increment(1);
        }
        if let Some(header) = self.ledger.header(request).await? {
            self.tracker.finish(&[header]).await?;
        }
        Ok(match closed {
            Closed::Now => "closed, not erased".to_owned(),
            Closed::Already(state) => format!("was final already: {state}"),
            Closed::Unknown => "unknown request".to_owned(),
        })
    }

    /// Publishes a parked message as it is: sealed, with all that intake needs to judge it afresh.
    async fn redrive_parked(&self, act: &Act, id: &str) -> Result<String, Error> {
        let Some(parked) = self.ledger.parked_one(id).await? else {
            return Ok("not there".to_owned());
        };
        let (Some(sealed), Some(to)) = (parked.sealed, route(&parked.queue)) else {
            let record = record(act, "redrive", id, "", "cannot be sent again");
            self.ledger.record_act(&record).await?;
            return Ok("cannot be sent again; discard it".to_owned());
        };
        self.publisher.publish_all(vec![letter(to, id, sealed)]).await?;
        let record = record(act, "redrive", id, "", "sent again");
        self.ledger.set_parked_state(id, ParkedState::Redriven, &record).await?;
        Ok("sent again".to_owned())
    }

    /// Publishes parked messages of one queue and code, page by page: those that were there when it was asked, so that what comes
    /// back is not sent again for ever. An act that is delivered twice goes on with what is still open.
    async fn redrive_group(&self, act: &Act, queue: &str, code: &str, tenant: Option<TenantId>) -> Result<String, Error> {
        let target = act.act.group().unwrap_or_default();
        let Some(to) = route(queue) else {
            let refused = "cannot be sent again; discard them";
            self.ledger
                .record_act(&record(act, "redrive", &target, code, refused))
                .await?;
            return Ok(refused.to_owned());
        };
        let filter = ParkedFilter {
            queue: Some(queue.to_owned()),
            code: Some(code.to_owned()),
            tenant,
            until: Some(act.at),
            ..ParkedFilter::default()
        };
        let mut sent = 0;
        loop {
            let page = self.ledger.parked(&filter, None, MESSAGES_PER_PAGE).await?;
            let ids: Vec<String> = page.iter().map(|it| it.id.clone()).collect();
            if ids.is_empty() {
                break;
            }
            let letters = page.into_iter().filter_map(|it| Some(letter(to.clone(), &it.id, it.sealed?)));
            self.publisher.publish_all(letters.collect()).await?;
            sent += self.ledger.end_parked(&ids, ParkedState::Redriven).await?;
        }
        let result = format!("{sent} messages sent again");
        self.ledger
            .record_act(&record(act, "redrive", &target, code, &result))
            .await?;
        Ok(result)
    }
}

/// A parked message on its way back: sealed, with all that intake needs to judge it afresh.
fn letter(to: Route, id: &str, sealed: Sealed) -> Outgoing {
    Outgoing {
        to,
        message_id: format!("redrive-{id}"),
        content_type: SEALED_LETTER.to_owned(),
        body: sealed.0,
        headers: Vec::new(),
    }
}

/// Where a parked message came from. What did not come from a producer is never sent again: the ledger sends its own.
fn route(queue: &str) -> Option<Route> {
    match queue {
        "ingest" => Some(Route::Request { lane: Lane::Single }),
        "ingest.bulk" => Some(Route::Request { lane: Lane::Bulk }),
        _ => None,
    }
}

fn record(act: &Act, kind: &str, target: &str, reason: &str, result: &str) -> NewAct {
    NewAct {
        id: act.id.to_string(),
        at: act.at,
        actor: act.actor.clone(),
        role: "operator".to_owned(),
        kind: kind.to_owned(),
        target: target.to_owned(),
        reason: reason.to_owned(),
        payload: "{}".to_owned(),
        result: result.to_owned(),
    }
}
