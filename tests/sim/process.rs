//! One process of the fleet: the real roles, put together as the binary does it, on the doubles.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use erasure_broker::{Inspector, Publisher};
use erasure_intake::{Intake, TenantConfig, Tenants};
use erasure_kit::{AnyResolve, AnySubsystem, BulkPace, Health, Worker, WorkerConfig};
use erasure_ledger::Ledger;
use erasure_protocol::{Regulation, RetryPolicy, Rung, SubsystemName};
use erasure_reconciler::{KnownSubsystem, Reconciler, ReconcilerConfig};
use erasure_tracker::Tracker;
use tokio::sync::Notify;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::scenario::PROCESSES;
use crate::world::{Settings, WITH_PEOPLE, World, subsystem_name, tenant};

/// Between two attempts to reach what a process needs to start.
const ASK_AGAIN: Duration = Duration::from_millis(250);
/// How long a process that was asked to stop may take.
const DRAIN_MAX: Duration = Duration::from_secs(25);

/// A process that runs.
pub(crate) struct Process {
    name: &'static str,
    life: JoinHandle<()>,
    stop: CancellationToken,
}

impl Process {
    pub(crate) fn start(world: &Arc<World>, which: usize) -> Self {
        let stop = CancellationToken::new();
        let life = tokio::spawn(live(Arc::clone(world), which, stop.clone()));
        Self {
            name: PROCESSES[which],
            life,
            stop,
        }
    }

    /// Everything in it stops where it stands.
    pub(crate) async fn kill(self, world: &World) {
        self.life.abort();
        let _gone = self.life.await;
        world.broker.forget(self.name);
    }

    /// It is asked to stop, finishes what it has in hand, and ends.
    pub(crate) async fn end(mut self, world: &World) {
        self.stop.cancel();
        if tokio::time::timeout(DRAIN_MAX, &mut self.life).await.is_err() {
            self.kill(world).await;
        }
    }
}

async fn live(world: Arc<World>, which: usize, stop: CancellationToken) {
    let name = PROCESSES[which];
    let settings = *world.settings();
    let ledger = world.ledger_of(name);
    let tracker = connect(&world, name, &ledger).await;
    let broker = world.broker.config(&world.sky, name);
    let publishing = CancellationToken::new();
    let publisher = Publisher::start(&broker, name, publishing.clone());
    let _ends = publishing.drop_guard();
    let parts = Parts {
        world: Arc::clone(&world),
        name,
        settings,
        ledger,
        tracker,
        broker,
        publisher,
        health: Health::default(),
        news: Arc::new(Notify::new()),
    };
    let mut running = JoinSet::new();
    parts.spawn(which, &mut running, &stop);
    while let Some(ended) = running.join_next().await {
        if ended.is_err() {
            world.oracle.complain(format!("a role of {name} ended by a defect"));
            stop.cancel();
        }
    }
}

async fn connect(world: &World, name: &'static str, ledger: &Ledger) -> Tracker {
    let config = erasure_tracker::Config {
        lease_ms: 6_000,
        partitions: 2,
        ..erasure_tracker::Config::default()
    };
    loop {
        match Tracker::on_double(&world.redis, &config, ledger.id(), world.sky.over(name)).await {
            Ok(tracker) => return tracker,
            Err(_) => tokio::time::sleep(ASK_AGAIN).await,
        }
    }
}

pub(crate) fn retry() -> RetryPolicy {
    RetryPolicy {
        rungs: vec![Rung(400), Rung(1_500)],
        attempts_max: 6,
    }
}

struct Parts {
    world: Arc<World>,
    name: &'static str,
    settings: Settings,
    ledger: Ledger,
    tracker: Tracker,
    broker: erasure_broker::Config,
    publisher: Publisher,
    health: Health,
    news: Arc<Notify>,
}

impl Parts {
    fn spawn(&self, which: usize, running: &mut JoinSet<()>, stop: &CancellationToken) {
        match which {
            0 => {
                running.spawn(self.reconciler().run(stop.clone()));
                running.spawn(self.intake().run(stop.clone()));
            }
            1 => drop(running.spawn(self.reconciler().run(stop.clone()))),
            _ => (0..self.settings.stores).for_each(|store| drop(running.spawn(self.worker(store).run(stop.clone())))),
        }
    }

    fn any(&self, store: usize) -> AnySubsystem {
        AnySubsystem::new(self.world.subsystem(self.name, store, self.settings.revision))
    }

    fn subsystems(&self) -> BTreeMap<SubsystemName, AnySubsystem> {
        (0..self.settings.stores)
            .map(|store| (subsystem_name(store), self.any(store)))
            .collect()
    }

    fn intake(&self) -> Intake {
        let acme = TenantConfig {
            name: None,
            regulation: Regulation::Gdpr,
        };
        Intake {
            ledger: self.ledger.clone(),
            tracker: self.tracker.clone(),
            broker: self.broker.clone(),
            keys: Arc::clone(&self.world.keys),
            resolve: AnyResolve::new(self.world.subsystem(self.name, WITH_PEOPLE, self.settings.revision)),
            subsystems: self.subsystems(),
            tenants: Arc::new(Tenants::new([(tenant(), acme)].into(), BTreeMap::new())),
            keep_parked: Duration::from_secs(24 * 3600),
            health: self.health.clone(),
            news: Arc::clone(&self.news),
        }
    }

    fn reconciler(&self) -> Reconciler {
        let known = |(name, subsystem): (SubsystemName, AnySubsystem)| {
            let kind = name.to_string();
            (name, KnownSubsystem { kind, subsystem })
        };
        Reconciler {
            ledger: self.ledger.clone(),
            tracker: self.tracker.clone(),
            broker: self.broker.clone(),
            publisher: self.publisher.clone(),
            inspector: Inspector::new(&self.broker),
            keys: Arc::clone(&self.world.keys),
            subsystems: self.subsystems().into_iter().map(known).collect(),
            retry: retry(),
            config: ReconcilerConfig {
                poll_ms: 400,
                stalled_after_ms: 4_000,
                register_every_ms: 1_500,
                evidence_age_s_max: self.world.scenario.evidence_age_s,
                ..ReconcilerConfig::default()
            },
            software: "simulated".to_owned(),
            health: self.health.clone(),
            news: Arc::clone(&self.news),
        }
    }

    fn worker(&self, store: usize) -> Worker {
        Worker {
            name: subsystem_name(store),
            subsystem: self.any(store),
            ledger: self.ledger.id(),
            broker: self.broker.clone(),
            publisher: self.publisher.clone(),
            tracker: self.tracker.clone(),
            keys: Arc::clone(&self.world.keys),
            retry: retry(),
            config: WorkerConfig {
                perform_timeout_s: 4,
                hold_s: 3,
                ..WorkerConfig::default()
            },
            pace: BulkPace::default(),
            health: self.health.clone(),
        }
    }
}
