//! One lane of one worker: take a batch, do it, settle it, and pause when the world is not ready.

use crate::batch::BatchRun;
use crate::breaker::Breaker;
use crate::evidence::Evidence;
use crate::worker::Worker;
use erasure_broker::{Consumer, ConsumerOptions, Delivery, Source};
use erasure_protocol::{Fault, Lane};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Why a lane stops taking messages for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Pause {
    /// The store, or the vendor, does not work.
    Store(Fault),
    /// The tracker does not answer, or does not know the requests.
    Tracker(String),
    /// A message is newer than this build.
    NewerMessage,
    /// A key is missing in the key ring.
    KeyMissing(String),
    /// References could not be sealed.
    Sealing(String),
    /// The broker took neither report nor remainder.
    Publishing(String),
}

impl std::fmt::Display for Pause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Store(fault) => write!(f, "{fault}"),
            Self::Tracker(reason) => write!(f, "the tracker: {reason}"),
            Self::NewerMessage => f.write_str("a message is of a newer version; this worker must be replaced by a newer build"),
            Self::KeyMissing(key) => write!(f, "key {key} is not in the key ring; give this worker the complete key ring"),
            Self::Sealing(reason) => write!(f, "sealing failed: {reason}"),
            Self::Publishing(reason) => write!(f, "RabbitMQ does not take messages: {reason}"),
        }
    }
}

pub(crate) struct LaneRun {
    worker: Arc<Worker>,
    lane: Lane,
    part: String,
    evidence: Evidence,
    breaker: Breaker,
}

impl LaneRun {
    pub(crate) fn new(worker: Arc<Worker>, lane: Lane) -> Self {
        let part = format!("{}.{}", worker.name, lane.as_str());
        let evidence = Evidence::new(
            worker.subsystem.clone(),
            format!("{}.store", worker.name),
            worker.health.clone(),
        );
        Self {
            worker,
            lane,
            part,
            evidence,
            breaker: Breaker::default(),
        }
    }

    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let source = Source::Work {
            subsystem: self.worker.name.clone(),
            lane: self.lane,
        };
        let mut consumer = Consumer::start(&self.worker.broker, source, self.options(), stop.clone());
        self.worker.health.ready(&self.part);
        while let Some(deliveries) = consumer.next_batch().await {
            let Some(pause) = self.handle(deliveries).await else {
                self.breaker.closed();
                self.worker.health.ready(&self.part);
                continue;
            };
            let wait = self.breaker.opened(&pause);
            if wait > Duration::ZERO {
                self.worker.health.waiting(&self.part, pause.to_string());
                // What is prefetched stays in hand: giving it back would raise its delivery count without its fault.
                tokio::select! {
                    biased;
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep(wait) => {}
                }
            }
        }
    }

    async fn handle(&mut self, deliveries: Vec<Delivery>) -> Option<Pause> {
        match self.evidence.key().await {
            Ok(evidence) => BatchRun::new(&self.worker, self.lane, evidence, deliveries).run().await,
            // Nothing is known of the store yet. The deliveries go back; nobody's attempts are spent.
            Err(fault) => Some(Pause::Store(fault)),
        }
    }

    fn options(&self) -> ConsumerOptions {
        let config = &self.worker.config;
        let batch_max = match self.lane {
            Lane::Single => config.single_messages_max,
            Lane::Bulk => config.bulk_messages_max,
            Lane::Solo => 1,
        };
        let ahead = if self.lane == Lane::Solo { 1 } else { 2 };
        ConsumerOptions {
            prefetch: u16::try_from(batch_max * ahead).unwrap_or(u16::MAX),
            batch_max,
            linger: Duration::from_millis(if self.lane == Lane::Solo { 0 } else { config.linger_ms }),
            ..ConsumerOptions::default()
        }
    }
}
