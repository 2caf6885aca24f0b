//! Publishes the ledger's events, in order, until the broker has confirmed them.

use crate::ticker::{Part, Turn};
use crate::{Error, Reconciler};
use erasure_broker::{Outgoing, Route};
use erasure_drill::{Point, point};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

const EVENTS_PER_TURN: u32 = 512;

impl Reconciler {
    pub(crate) async fn relay_events(self: Arc<Self>, stop: CancellationToken) {
        let poll = self.config.poll();
        let part = Part {
            health: &self.health,
            name: "reconciler.relay",
            every: poll,
            bell: None,
        };
        part.repeat(&stop, || self.relay_turn()).await;
    }

    async fn relay_turn(&self) -> Result<Turn, Error> {
        let events = self.ledger.unsent(EVENTS_PER_TURN).await?;
        if events.is_empty() {
            return Ok(Turn::Idle);
        }
        let ids: Vec<String> = events.iter().map(|event| event.id.clone()).collect();
        let messages = events.into_iter().map(|event| Outgoing {
            to: Route::Event {
                routing_key: event.routing_key,
            },
            message_id: event.id,
            content_type: "application/cloudevents+json".to_owned(),
            body: event.body,
            headers: Vec::new(),
        });
        let results = self.publisher.publish(messages.collect()).await;
        point(Point::RelayPublished).await;
        let sent: Vec<String> = ids
            .into_iter()
            .zip(&results)
            .filter(|(_, result)| result.is_ok())
            .map(|(id, _)| id)
            .collect();
        self.ledger.mark_sent(&sent, self.ledger.now().await?).await?;
        results.into_iter().collect::<Result<Vec<()>, _>>()?;
        Ok(Turn::More)
    }
}
