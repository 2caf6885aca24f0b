//! One lane of one worker: take a batch, do it, settle it, and pause when the world is not ready.

use crate::batch::BatchRun;
use crate::breaker::Breaker;
use crate::evidence::Evidence;
use crate::pace::{Pace, Singles, Spent};
use crate::worker::Worker;
use erasure_broker::{Consumer, ConsumerOptions, Delivery, Source};
use erasure_protocol::{Fault, Lane};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;
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

/// What ends at the side of a lane: a batch, or the rest after one.
enum Turn {
    Batch(Option<Pause>, Spent),
    Rest,
}

pub(crate) struct LaneRun {
    worker: Arc<Worker>,
    lane: Lane,
    part: String,
    evidence: Arc<Mutex<Evidence>>,
    breaker: Breaker,
    pace: Pace,
    singles: Arc<Singles>,
}

impl LaneRun {
    pub(crate) fn new(worker: Arc<Worker>, lane: Lane, singles: Arc<Singles>) -> Self {
        let part = format!("{}.{}", worker.name, lane.as_str());
        let evidence = Evidence::new(
            worker.subsystem.clone(),
            format!("{}.store", worker.name),
            worker.health.clone(),
        );
        let pace = match lane {
            Lane::Bulk => Pace::of_bulk(worker.pace),
            Lane::Single | Lane::Solo => Pace::steady(),
        };
        Self {
            worker,
            lane,
            part,
            evidence: Arc::new(Mutex::new(evidence)),
            breaker: Breaker::default(),
            pace,
            singles,
        }
    }

    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let source = Source::Work {
            subsystem: self.worker.name.clone(),
            lane: self.lane,
        };
        let mut consumer = Consumer::start(&self.worker.broker, source, self.options(), stop.clone());
        self.worker.health.ready(&self.part);
        let mut turns: FuturesUnordered<Pin<Box<dyn Future<Output = Turn> + Send>>> = FuturesUnordered::new();
        let (mut ended, mut paused_until) = (false, None);
        loop {
            // What is prefetched stays in hand during a pause: giving it back would raise its delivery count without its fault.
            let may_start = !ended && paused_until.is_none() && turns.len() < self.pace.at_once(self.singles.come());
            tokio::select! {
                biased;
                Some(turn) = turns.next(), if !turns.is_empty() => {
                    if let Turn::Batch(pause, spent) = turn {
                        if self.lane == Lane::Single {
                            self.singles.came();
                        }
                        paused_until = self.pause(pause).or(paused_until);
                        let rest = self.pace.ended(spent, self.singles.come());
                        if rest > Duration::ZERO {
                            turns.push(Box::pin(sleep(rest, stop.clone())));
                        }
                    }
                }
                () = sleep_until(paused_until, &stop), if paused_until.is_some() => paused_until = None,
                deliveries = consumer.next_batch(), if may_start => match deliveries {
                    Some(deliveries) => {
                        if self.lane == Lane::Single {
                            self.singles.came();
                        }
                        turns.push(Box::pin(self.batch(deliveries)));
                    }
                    None => ended = true,
                },
                else => break,
            }
        }
    }

    /// Until when nothing new is begun, after this.
    fn pause(&mut self, pause: Option<Pause>) -> Option<Instant> {
        let Some(pause) = pause else {
            self.breaker.closed();
            self.worker.health.ready(&self.part);
            return None;
        };
        let wait = self.breaker.opened(&pause);
        if wait.is_zero() {
            return None;
        }
        self.worker.health.waiting(&self.part, pause.to_string());
        Some(Instant::now() + wait)
    }

    fn batch(&self, deliveries: Vec<Delivery>) -> impl Future<Output = Turn> + Send + 'static {
        let (worker, lane, evidence) = (Arc::clone(&self.worker), self.lane, Arc::clone(&self.evidence));
        async move {
            let evidence = evidence.lock().await.key().await;
            let (pause, spent) = match evidence {
                Ok(evidence) => BatchRun::new(&worker, lane, evidence, deliveries).run().await,
                // Nothing is known of the store yet. The deliveries go back; nobody's attempts are spent.
                Err(fault) => (Some(Pause::Store(fault)), Spent::default()),
            };
            Turn::Batch(pause, spent)
        }
    }

    fn options(&self) -> ConsumerOptions {
        let config = &self.worker.config;
        let batch_max = match self.lane {
            Lane::Single => config.single_messages_max,
            Lane::Bulk => config.bulk_messages_max,
            Lane::Solo => 1,
        };
        // One batch is fetched while others are under way.
        let ahead = match self.lane {
            Lane::Single => 2,
            Lane::Bulk => self.worker.pace.batches_at_once_max.max(1) + 1,
            Lane::Solo => 1,
        };
        ConsumerOptions {
            prefetch: u16::try_from(batch_max * ahead).unwrap_or(u16::MAX),
            batch_max,
            linger: Duration::from_millis(if self.lane == Lane::Solo { 0 } else { config.linger_ms }),
            ..ConsumerOptions::default()
        }
    }
}

async fn sleep(rest: Duration, stop: CancellationToken) -> Turn {
    sleep_until(Some(Instant::now() + rest), &stop).await;
    Turn::Rest
}

/// Or until `stop`.
async fn sleep_until(until: Option<Instant>, stop: &CancellationToken) {
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        () = tokio::time::sleep_until(until.unwrap_or_else(Instant::now)) => {}
    }
}
