//! Keeps the clocks: overdue and at-risk requests are states that somebody sees, and what may go is purged.

use crate::ticker::{Part, Turn};
use crate::{Error, Reconciler, ReconcilerConfig, events};
use erasure_ledger::PurgeBefore;
use erasure_protocol::Millis;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const EVERY: Duration = Duration::from_secs(5);
const REQUESTS_PER_TURN: u32 = 256;

impl Reconciler {
    pub(crate) async fn keep_clocks(self: Arc<Self>, stop: CancellationToken) {
        let part = Part {
            health: &self.health,
            name: "reconciler.clocks",
            every: EVERY,
            bell: None,
        };
        part.repeat(&stop, || self.clock_turn()).await;
    }

    async fn clock_turn(&self) -> Result<Turn, Error> {
        let now = self.ledger.now().await?;
        let overdue = self
            .ledger
            .mark_overdue(now, REQUESTS_PER_TURN, |header| events::overdue(header, now))
            .await?;
        for header in &overdue {
            tracing::error!(request = %header.request, tenant = %header.tenant, "overdue: the request is past its due date and not done");
        }
        let window = Duration::from_secs(self.config.at_risk_hours * 3600);
        let at_risk = self
            .ledger
            .mark_at_risk(now, window, REQUESTS_PER_TURN, |header| events::at_risk(header, now))
            .await?;
        self.tracker.init(&overdue).await?;
        self.tracker.init(&at_risk).await?;
        self.purge(now).await?;
        Ok(Turn::Idle)
    }

    async fn purge(&self, now: Millis) -> Result<(), Error> {
        let ago = |days| Millis(now.0 - i64::try_from(ReconcilerConfig::days(days).as_millis()).unwrap_or(i64::MAX));
        let purged = self
            .ledger
            .purge(PurgeBefore {
                requests_finished: Some(ago(self.config.keep_finished_days)),
                events_sent: Some(ago(self.config.keep_events_days)),
                parked_expire: Some(now),
                limit: REQUESTS_PER_TURN,
            })
            .await?;
        if !purged.requests.is_empty() {
            tracing::info!(
                requests = purged.requests.len(),
                "purged finished requests past their retention"
            );
            self.tracker.forget(&purged.requests).await?;
        }
        Ok(())
    }
}
