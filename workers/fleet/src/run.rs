//! Runs roles in this process until it is told to stop. Roles start in any order: what is missing is waited for, and said.

use crate::assemble::Fleet;
use crate::cli::RunArgs;
use crate::revision::RevisionWatch;
use crate::web::Web;
use anyhow::{Context as _, bail};
use erasure_api::{Api, Status, TenantNames};
use erasure_broker::{Inspector, Publisher};
use erasure_intake::Intake;
use erasure_kit::{Health, Worker};
use erasure_ledger::{Access, Ledger};
use erasure_protocol::SubsystemName;
use erasure_reconciler::{KnownSubsystem, Reconciler};
use erasure_stores::FindMode;
use erasure_tracker::Tracker;
use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How long one attempt to reach something waits before the next.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// After this long without a clean end, the process ends anyway; what it held is delivered again.
const DRAIN_MAX: Duration = Duration::from_secs(60);

/// The roles of one process.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Roles {
    intake: bool,
    reconciler: bool,
    api: bool,
    api_by_name: bool,
    subsystems: BTreeSet<SubsystemName>,
}

impl Roles {
    fn read(words: &[String], known: &BTreeSet<SubsystemName>) -> anyhow::Result<Self> {
        let mut roles = Self {
            intake: false,
            reconciler: false,
            api: false,
            api_by_name: false,
            subsystems: BTreeSet::new(),
        };
        for word in words {
            match word.as_str() {
                "all" => {
                    (roles.intake, roles.reconciler, roles.api) = (true, true, true);
                    roles.subsystems.clone_from(known);
                }
                "intake" => roles.intake = true,
                "reconciler" => roles.reconciler = true,
                "api" => (roles.api, roles.api_by_name) = (true, true),
                other => match known.iter().find(|name| name.as_str() == other) {
                    Some(name) => {
                        roles.subsystems.insert(name.clone());
                    }
                    None => bail!(
                        "there is no role `{other}`; there are all, intake, reconciler, api, {}",
                        listed(known)
                    ),
                },
            }
        }
        Ok(roles)
    }

    /// Who changes the ledger. With the embedded ledger all of them must be in one process.
    fn access(&self) -> Access {
        if self.intake || self.reconciler {
            Access::Write
        } else {
            Access::Read
        }
    }
}

fn listed(names: &BTreeSet<SubsystemName>) -> String {
    names.iter().map(SubsystemName::as_str).collect::<Vec<_>>().join(", ")
}

/// Runs the roles. Ends with 0 after a signal, with 1 after a defect.
///
/// # Errors
/// When the configuration does not allow it.
pub(crate) async fn run(fleet: Fleet, args: RunArgs) -> anyhow::Result<ExitCode> {
    crate::telemetry::start(&fleet.config.log)?;
    let roles = Roles::read(&args.roles, &fleet.subsystem_names())?;
    let keys = fleet.keys()?;
    // What is wrong with the settings is said before anything is waited for.
    fleet.subsystems(FindMode::Counts, None)?;
    let stop = CancellationToken::new();
    stop_on_signal(stop.clone())?;
    let health = Health::default();
    health.waiting("process", "starting");
    let render = crate::metrics::install()?;
    let web = Web::start(
        &fleet.config.http,
        roles.api,
        health.clone(),
        Arc::clone(&render),
        stop.clone(),
    )
    .await?;
    let started = tokio::select! {
        parts = connect(&fleet, &roles, &health) => parts?,
        () = stop.cancelled() => return Ok(ExitCode::SUCCESS),
    };
    tracing::info!(version = env!("CARGO_PKG_VERSION"), ledger = %started.ledger.id(), roles = args.roles.join(" "), "started");
    // The publisher outlives the roles: what they hand over while draining is still sent.
    let publishing = CancellationToken::new();
    let publisher = Publisher::start(&fleet.config.broker, "erasure", publishing.clone());
    let subsystems = fleet.subsystems(FindMode::Counts, Some(&started.tracker))?;
    let parts = Parts {
        fleet: &fleet,
        keys,
        subsystems,
        health: health.clone(),
        publisher,
        news: Arc::new(Notify::new()),
        render,
        started,
    };
    let mut running = JoinSet::new();
    parts.spawn(&roles, &mut running, &web, &stop)?;
    running.spawn(watch_broker(parts.publisher.clone(), health.clone(), stop.clone()));
    health.ready("process");
    let clean = wait(&mut running, &stop).await;
    publishing.cancel();
    web.ended().await;
    tracing::info!("stopped");
    Ok(if clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What had to be reached before a role can work.
struct Started {
    ledger: Ledger,
    tracker: Tracker,
}

struct Parts<'a> {
    fleet: &'a Fleet,
    keys: Arc<erasure_privacy::KeyRing>,
    subsystems: BTreeMap<SubsystemName, KnownSubsystem>,
    health: Health,
    publisher: Publisher,
    news: Arc<Notify>,
    render: crate::metrics::Render,
    started: Started,
}

impl Parts<'_> {
    fn spawn(&self, roles: &Roles, running: &mut JoinSet<()>, web: &Web, stop: &CancellationToken) -> anyhow::Result<()> {
        if roles.reconciler {
            running.spawn(self.reconciler().run(stop.clone()));
        }
        if roles.intake {
            running.spawn(self.intake()?.run(stop.clone()));
        }
        if roles.api {
            self.mount_api(web, roles.api_by_name)?;
        }
        // A reconciler says the same of every subsystem, while it registers them.
        if !roles.reconciler && !roles.subsystems.is_empty() {
            running.spawn(self.revision_watch(roles).run(stop.clone()));
        }
        for name in &roles.subsystems {
            let known = self
                .subsystems
                .get(name)
                .with_context(|| format!("subsystem {name} is not set up"))?;
            running.spawn(self.worker(name, known).run(stop.clone()));
        }
        Ok(())
    }

    /// Without a token nobody could call the API. Asked for by name that is a mistake; as part of `all` it is left out, and said.
    fn mount_api(&self, web: &Web, by_name: bool) -> anyhow::Result<()> {
        match self.api()?.router() {
            Ok(router) => web.mount(router),
            Err(error @ erasure_api::Error::NoToken) if !by_name => tracing::warn!("the API is not served: {error}"),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn reconciler(&self) -> Reconciler {
        let config = &self.fleet.config;
        Reconciler {
            ledger: self.started.ledger.clone(),
            tracker: self.started.tracker.clone(),
            broker: config.broker.clone(),
            publisher: self.publisher.clone(),
            inspector: Inspector::new(&config.broker),
            keys: Arc::clone(&self.keys),
            subsystems: self.subsystems.clone(),
            retry: config.retry.clone(),
            config: config.reconciler.clone(),
            software: format!("erasure {}", env!("CARGO_PKG_VERSION")),
            health: self.health.clone(),
            news: Arc::clone(&self.news),
        }
    }

    fn intake(&self) -> anyhow::Result<Intake> {
        let config = &self.fleet.config;
        Ok(Intake {
            ledger: self.started.ledger.clone(),
            tracker: self.started.tracker.clone(),
            broker: config.broker.clone(),
            keys: Arc::clone(&self.keys),
            resolve: self.fleet.resolve()?,
            subsystems: self
                .subsystems
                .iter()
                .map(|(name, known)| (name.clone(), known.subsystem.clone()))
                .collect(),
            tenants: Arc::new(self.fleet.tenants()),
            keep_parked: config.reconciler.keep_parked(),
            health: self.health.clone(),
            news: Arc::clone(&self.news),
        })
    }

    fn api(&self) -> anyhow::Result<Api> {
        let config = &self.fleet.config;
        let tenants = self.fleet.tenants();
        let only = Some(tenants.ids().cloned().collect::<Vec<_>>())
            .filter(|ids| ids.len() == 1)
            .and_then(|mut ids| ids.pop());
        let find = move |named: &str| tenants.find(named).map(|(tenant, _)| tenant.clone());
        let resolve = Some(self.fleet.resolve()?);
        Ok(Api {
            status: Status {
                ledger: self.started.ledger.clone(),
                tracker: Some(self.started.tracker.clone()),
            },
            publisher: self.publisher.clone(),
            keys: Arc::clone(&self.keys),
            resolve,
            tenants: TenantNames::new(find, only),
            health: self.health.clone(),
            metrics: Arc::clone(&self.render),
            config: config.http.clone(),
        })
    }

    fn revision_watch(&self, roles: &Roles) -> RevisionWatch {
        let mut subsystems = self.subsystems.clone();
        subsystems.retain(|name, _| roles.subsystems.contains(name));
        RevisionWatch {
            ledger: self.started.ledger.clone(),
            subsystems,
            health: self.health.clone(),
            every: Duration::from_millis(self.fleet.config.reconciler.register_every_ms),
        }
    }

    fn worker(&self, name: &SubsystemName, known: &KnownSubsystem) -> Worker {
        let config = &self.fleet.config;
        Worker {
            name: name.clone(),
            subsystem: known.subsystem.clone(),
            ledger: self.started.ledger.id(),
            broker: config.broker.clone(),
            publisher: self.publisher.clone(),
            tracker: self.started.tracker.clone(),
            keys: Arc::clone(&self.keys),
            retry: config.retry.clone(),
            config: config.worker.clone(),
            pace: self.fleet.pace(name),
            health: self.health.clone(),
        }
    }
}

/// Reaches ledger, tracker and broker, for as long as it takes.
async fn connect(fleet: &Fleet, roles: &Roles, health: &Health) -> anyhow::Result<Started> {
    if fleet.config.ledger.is_embedded()? && roles.access() == Access::Write {
        // The embedded ledger has no administrator but us.
        erasure_ledger::migrate(&fleet.config.ledger).await.context("the ledger")?;
    }
    let ledger = until(health, "ledger", || fleet.ledger(roles.access())).await;
    let tracker = until(health, "tracker", || fleet.tracker(ledger.id())).await;
    for warning in tracker.warnings() {
        tracing::warn!("the tracker: {warning}");
    }
    let topology = fleet.topology();
    until(health, "broker", || async { ensure_topology(fleet, &topology).await }).await;
    Ok(Started { ledger, tracker })
}

/// Declares what is missing where the login may, and otherwise makes sure that somebody has.
async fn ensure_topology(fleet: &Fleet, topology: &erasure_broker::Topology) -> anyhow::Result<()> {
    let Err(refused) = erasure_broker::apply(&fleet.config.broker, topology).await else {
        return Ok(());
    };
    let problems = erasure_broker::verify(&fleet.config.broker, topology).await?;
    match problems.iter().find(|problem| problem.is_blocking()) {
        Some(problem) => Err(anyhow::Error::new(refused).context(format!("{problem}"))),
        None => Ok(()),
    }
}

/// Says in readiness whether RabbitMQ takes messages.
async fn watch_broker(publisher: Publisher, health: Health, stop: CancellationToken) {
    while !stop.is_cancelled() {
        if publisher.is_connected() {
            health.ready("broker");
        } else {
            health.waiting("broker", "RabbitMQ is not connected; connecting again");
        }
        tokio::select! {
            () = tokio::time::sleep(ASK_AGAIN) => {}
            () = stop.cancelled() => {}
        }
    }
}

async fn until<T, F>(health: &Health, part: &str, attempt: impl Fn() -> F) -> T
where
    F: Future<Output = anyhow::Result<T>>,
{
    loop {
        match attempt().await {
            Ok(done) => {
                health.ready(part);
                return done;
            }
            Err(error) => health.waiting(part, format!("{error:#}")),
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
}

async fn wait(running: &mut JoinSet<()>, stop: &CancellationToken) -> bool {
    let mut clean = true;
    let drained = async {
        while let Some(ended) = running.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a role ended by a defect; the process stops so that it is started afresh");
                clean = false;
                stop.cancel();
            }
        }
    };
    let overdue = async {
        stop.cancelled().await;
        tokio::time::sleep(DRAIN_MAX).await;
    };
    tokio::select! {
        () = drained => {}
        () = overdue => tracing::warn!("not everything could be finished in time; it is delivered again"),
    }
    clean
}

fn stop_on_signal(stop: CancellationToken) -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listening for SIGINT")?;
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping: finishing what is in hand");
        stop.cancel();
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> BTreeSet<SubsystemName> {
        ["profiles", "ads"].map(|name| SubsystemName::new(name).unwrap()).into()
    }

    #[test]
    fn all_is_every_role_and_a_typo_lists_them() {
        let all = Roles::read(&["all".to_owned()], &known()).unwrap();
        assert!(all.intake && all.reconciler && all.api && all.subsystems.len() == 2);
        let one = Roles::read(&["ads".to_owned()], &known()).unwrap();
        assert_eq!(one.access(), Access::Read);
        let error = Roles::read(&["profile".to_owned()], &known()).unwrap_err().to_string();
        assert!(error.contains("profiles"), "{error}");
    }
}
