//! The role that takes custody: it reads commands from RabbitMQ, refuses what cannot be done, finds the people behind the
//! identifiers, and writes request, plan and sealed slices into the ledger. Only then is the command acknowledged.
//!
//! It sends no work out and erases nothing: the reconciler's dispatcher takes over from the ledger.

mod accept;
pub mod file;
mod people;
mod read;
mod refuse;
mod regulation;
mod tenants;

pub use regulation::due_at;
pub use tenants::{ProducerConfig, TenantConfig, Tenants};

use erasure_broker::{Consumer, ConsumerOptions, Source};
use erasure_kit::{AnyResolve, AnySubsystem, Health};
use erasure_ledger::Ledger;
use erasure_privacy::KeyRing;
use erasure_protocol::{Fault, SubsystemName};
use erasure_tracker::Tracker;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Everything that intake needs, given to it.
#[derive(Clone)]
pub struct Intake {
    /// Takes custody.
    pub ledger: Ledger,
    /// Remembers how far the ledger was.
    pub tracker: Tracker,
    /// Where commands come from.
    pub broker: erasure_broker::Config,
    /// Seals, opens and hashes.
    pub keys: Arc<KeyRing>,
    /// Finds people.
    pub resolve: AnyResolve,
    /// The subsystems of the configuration; each registered one must be among them.
    pub subsystems: BTreeMap<SubsystemName, AnySubsystem>,
    /// Who may be served, and who may ask.
    pub tenants: Arc<Tenants>,
    /// How long a refused body is kept, sealed.
    pub keep_parked: Duration,
    /// Where it says what it waits for.
    pub health: Health,
    /// Rung when something new is in the ledger.
    pub news: Arc<Notify>,
}

impl std::fmt::Debug for Intake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Intake")
    }
}

/// Why a batch could not be taken. It goes back to the queue, and intake waits.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the ledger: {0}")]
    Ledger(#[from] erasure_ledger::Error),
    #[error("finding people: {0}")]
    Resolve(#[from] Fault),
    #[error("the key ring: {0}")]
    Keys(#[from] erasure_privacy::Error),
    #[error(
        "subsystem {0} is registered in the ledger and missing in this configuration; add it, or retire it with `erasure subsystem retire`"
    )]
    MissingSubsystem(SubsystemName),
    #[error("subsystem {0} is not registered in the ledger yet; the reconciler does that once it has reached its store")]
    NotRegistered(SubsystemName),
    #[error("subsystem {0} works under another evidence key than this process sees; restart it with the current data map")]
    Outdated(SubsystemName),
    #[error(
        "the ledger is at {ledger}, the tracker remembers it at {tracker}: an older ledger was restored, or this is another one. If it \
         was restored on purpose, stop the fleet, delete the tracker's keys of this prefix, and start it again"
    )]
    OlderLedger { ledger: u64, tracker: u64 },
    #[error("a command is of a newer version; this process must be replaced by a newer build")]
    NewerCommand,
}

impl Intake {
    /// Takes commands until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let this = Arc::new(self);
        let mut queues = JoinSet::new();
        queues.spawn(Arc::clone(&this).take_from(Source::Ingest, 512, stop.clone()));
        queues.spawn(Arc::clone(&this).take_from(Source::IngestBulk, 2, stop.clone()));
        while let Some(ended) = queues.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "intake ended by a defect; the process stops so that it is started afresh");
                stop.cancel();
            }
        }
    }

    async fn take_from(self: Arc<Self>, source: Source, messages_max: usize, stop: CancellationToken) {
        let part = if source == Source::Ingest {
            "intake.single"
        } else {
            "intake.bulk"
        };
        let options = ConsumerOptions {
            prefetch: u16::try_from(messages_max * (BATCHES_AT_ONCE + 1)).unwrap_or(u16::MAX),
            batch_max: messages_max,
            linger: Duration::from_millis(5),
            body_bytes_max: erasure_protocol::COMMAND_BYTES_MAX * 2,
        };
        let queue = if source == Source::Ingest { "ingest" } else { "ingest.bulk" };
        let mut consumer = Consumer::start(&self.broker, source, options, stop.clone());
        self.health.ready(part);
        let mut wait = FIRST_WAIT;
        let mut taking: JoinSet<Result<(), Error>> = JoinSet::new();
        let mut ended = false;
        loop {
            tokio::select! {
                biased;
                Some(taken) = taking.join_next(), if !taking.is_empty() => match taken {
                    Ok(Ok(())) => {
                        self.health.ready(part);
                        wait = FIRST_WAIT;
                    }
                    Ok(Err(error)) => {
                        self.health.waiting(part, error.to_string());
                        tokio::select! {
                            biased;
                            () = stop.cancelled() => {}
                            () = tokio::time::sleep(wait) => {}
                        }
                        wait = (wait * 2).min(LONGEST_WAIT);
                    }
                    Err(defect) => match defect.try_into_panic() {
                        Ok(panic) => std::panic::resume_unwind(panic),
                        Err(_) => return,
                    },
                },
                deliveries = consumer.next_batch(), if !ended && taking.len() < BATCHES_AT_ONCE => match deliveries {
                    Some(deliveries) => {
                        let this = Arc::clone(&self);
                        taking.spawn(async move { this.take(queue, deliveries).await });
                    }
                    None => ended = true,
                },
                else => break,
            }
        }
    }
}

/// While one batch is written into the ledger, the people of the next one are looked for. For the ledger they are two processes.
const BATCHES_AT_ONCE: usize = 2;

/// How long intake waits after a batch that could not be taken; doubled each time.
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(10);
