//! Watches the work queues: work that nobody comes for is said, and measured.

use crate::ticker::{Part, Turn};
use crate::{Error, Reconciler};
use erasure_broker::Source;
use erasure_protocol::{Lane, SubsystemName};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

const EVERY: Duration = Duration::from_secs(5);

/// The lanes that have work and no worker.
type Abandoned = BTreeSet<(SubsystemName, Lane)>;

impl Reconciler {
    pub(crate) async fn watch_queues(self: Arc<Self>, stop: CancellationToken) {
        let abandoned = Mutex::new(Abandoned::new());
        let part = Part {
            health: &self.health,
            name: "reconciler.queues",
            every: EVERY,
            bell: None,
        };
        part.repeat(&stop, || self.queue_turn(&abandoned)).await;
    }

    async fn queue_turn(&self, abandoned: &Mutex<Abandoned>) -> Result<Turn, Error> {
        let mut before = abandoned.lock().await;
        let mut now = Abandoned::new();
        for (subsystem, lane) in self
            .subsystems
            .keys()
            .flat_map(|name| Lane::ALL.map(|lane| (name.clone(), lane)))
        {
            let source = Source::Work {
                subsystem: subsystem.clone(),
                lane,
            };
            let Some(state) = self.inspector.queue_state(&source).await? else {
                continue;
            };
            let labels = [("subsystem", subsystem.to_string()), ("lane", lane.as_str().to_owned())];
            // Depths stay far below what a gauge can tell apart.
            #[allow(clippy::cast_precision_loss, reason = "queue depths are far below 2^52")]
            metrics::gauge!("erasure_queue_ready", &labels).set(state.ready as f64);
            metrics::gauge!("erasure_queue_consumers", &labels).set(f64::from(state.consumers));
            if state.ready > 0 && state.consumers == 0 {
                if !before.contains(&(subsystem.clone(), lane)) {
                    let (lane, ready) = (lane.as_str(), state.ready);
                    tracing::error!(%subsystem, lane, ready, "work waits and no worker comes for it; start `erasure run {subsystem}`");
                }
                now.insert((subsystem, lane));
            }
        }
        *before = now;
        Ok(Turn::Idle)
    }
}
