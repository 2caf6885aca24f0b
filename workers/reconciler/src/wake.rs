//! Wakes tasks that wait for somebody else when it is time to ask again.

use crate::dispatch::{Outbound, Want};
use crate::ticker::{Part, Turn};
use crate::{Error, Reconciler};
use erasure_drill::{Point, point};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const REPORTS_PER_TURN: u32 = 256;

impl Reconciler {
    pub(crate) async fn wake_pending(self: Arc<Self>, stop: CancellationToken) {
        let poll = self.config.poll();
        let part = Part {
            health: &self.health,
            name: "reconciler.wake",
            every: poll,
            bell: None,
        };
        part.repeat(&stop, || self.wake_turn()).await;
    }

    async fn wake_turn(&self) -> Result<Turn, Error> {
        let now = self.ledger.now().await?;
        // A wake that came to nothing, because this process died or its message was lost, is stalled work like any other.
        let again = now.plus(Duration::from_millis(self.config.stalled_after_ms));
        let due = self.ledger.take_due_pending(now, again, REPORTS_PER_TURN).await?;
        if due.is_empty() {
            return Ok(Turn::Idle);
        }
        point(Point::WakeTaken).await;
        let mut outbound = Outbound::new();
        for pending in due {
            let Some(header) = self.ledger.header(pending.request).await? else {
                continue;
            };
            if header.state.is_final() || !header.plan.is_live(pending.entry) {
                continue;
            }
            let done = self
                .tracker
                .evidence(pending.request)
                .await?
                .unwrap_or_default()
                .done(pending.entry, pending.slice);
            let settled = pending.tasks.and(&done);
            if !settled.is_empty() {
                self.ledger
                    .clear_reports(pending.request, pending.entry, pending.slice, &settled)
                    .await?;
            }
            let counts = self.ledger.dispatch_counts(pending.request).await?;
            let count = counts
                .iter()
                .find(|it| it.entry == pending.entry && it.slice == pending.slice);
            let want = Want {
                entry: pending.entry,
                slice: pending.slice,
                tasks: pending.tasks.without(&done),
                dispatched: count.map_or(0, |it| it.count),
                attempt: 0,
                references: Some(pending.references),
            };
            self.collect(&header, vec![want], now, &mut outbound).await?;
        }
        self.publish(outbound).await?;
        point(Point::WakePublished).await;
        Ok(Turn::More)
    }
}
