//! Writes into the ledger what workers report beyond "erased" and "nothing held".

use crate::{Error, Reconciler, events};
use erasure_broker::{Consumer, ConsumerOptions, Delivery, Source};
use erasure_drill::{Point, point};
use erasure_ledger::Reported;
use erasure_protocol::{OutcomeMessage, TaskOutcome, WIRE_VERSION};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

impl Reconciler {
    pub(crate) async fn record_reports(self: Arc<Self>, stop: CancellationToken) {
        let options = ConsumerOptions {
            prefetch: 512,
            batch_max: 256,
            linger: Duration::from_millis(5),
            ..ConsumerOptions::default()
        };
        let mut consumer = Consumer::start(&self.broker, Source::Outcome, options, stop.clone());
        while let Some(deliveries) = consumer.next_batch().await {
            if let Err(error) = self.record_batch(deliveries).await {
                // The deliveries were dropped: the broker hands them out again.
                self.health.waiting("reconciler.reports", crate::ticker::in_full(&error));
                tokio::select! {
                    biased;
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep(Duration::from_millis(500)) => {}
                }
            } else {
                self.health.ready("reconciler.reports");
            }
        }
    }

    async fn record_batch(&self, deliveries: Vec<Delivery>) -> Result<(), Error> {
        let mut readable = Vec::new();
        for delivery in deliveries {
            match serde_json::from_slice::<OutcomeMessage>(&delivery.body) {
                Ok(message) if message.version <= WIRE_VERSION && message.ledger == self.ledger.id() => {
                    readable.push((delivery, message));
                }
                Ok(_) | Err(_) => self.park_delivery(delivery, "outcome", "WORK-002", None).await?,
            }
        }
        let messages: Vec<OutcomeMessage> = readable.iter().map(|(_, message)| message.clone()).collect();
        let answers = self.ledger.report_all(&messages).await?;
        point(Point::ReportsRecorded).await;
        for ((delivery, message), answer) in readable.into_iter().zip(answers) {
            if answer == Reported::Recorded {
                self.announce(&message).await?;
            }
            let _settled = delivery.ack().await;
        }
        Ok(())
    }

    /// A request that needs attention says so once for each fault.
    async fn announce(&self, message: &OutcomeMessage) -> Result<(), Error> {
        for outcome in &message.outcomes {
            let TaskOutcome::Failed { fault, .. } = outcome else {
                continue;
            };
            if let Some(header) = self.ledger.header(message.request).await? {
                self.ledger
                    .add_event(
                        &events::needs_attention(&header, &message.subsystem, fault, message.at),
                        message.at,
                    )
                    .await?;
            }
        }
        Ok(())
    }
}
