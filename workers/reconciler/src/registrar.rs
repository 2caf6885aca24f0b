//! Keeps the ledger's list of subsystems true: which there are, and under which evidence key each works today.

use crate::ticker::{Part, Turn, in_full};
use crate::{Error, KnownSubsystem, Reconciler};
use erasure_kit::Subsystem as _;
use erasure_ledger::{Registered, Registration};
use erasure_protocol::{Fault, Header, Phase, PlanEntry, SubsystemName};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const REQUESTS_PER_TURN: u32 = 100;

impl Reconciler {
    /// Makes sure, before anything is dispatched, that every configured subsystem is registered: now, or in an earlier life. A
    /// store that is down later on keeps nobody from starting.
    pub(crate) async fn register_once(&self, stop: &CancellationToken) {
        self.health
            .waiting("reconciler.register", "the stores have not been asked for their identity yet");
        while !stop.is_cancelled() {
            match self.all_registered().await {
                Ok(None) => return,
                Ok(Some(fault)) => self.health.waiting("reconciler.register", fault.to_string()),
                Err(error) => self.health.waiting("reconciler.register", in_full(&error)),
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = tokio::time::sleep(Duration::from_millis(500)) => {}
            }
        }
    }

    /// The fault that keeps a subsystem from being registered, if one still is not.
    async fn all_registered(&self) -> Result<Option<Fault>, Error> {
        let unreachable = self.register_reachable().await?;
        let registered = self.ledger.subsystems().await?;
        let missing = unreachable
            .into_iter()
            .find(|(name, _)| registered.iter().all(|it| it.name != *name));
        Ok(missing.map(|(_, fault)| fault))
    }

    pub(crate) async fn keep_registered(self: Arc<Self>, stop: CancellationToken) {
        let every = Duration::from_millis(self.config.register_every_ms);
        let part = Part {
            health: &self.health,
            name: "reconciler.register",
            every,
            bell: None,
        };
        part.repeat(&stop, || self.register_all()).await;
    }

    async fn register_all(&self) -> Result<Turn, Error> {
        let mut unreachable = self.register_reachable().await?;
        self.extend_open_plans().await?;
        unreachable.pop().map_or(Ok(Turn::Idle), |(_, fault)| Err(fault.into()))
    }

    /// Registers every subsystem whose store can be asked. One store that is down must not keep the others from it.
    async fn register_reachable(&self) -> Result<Vec<(SubsystemName, Fault)>, Error> {
        let mut unreachable = Vec::new();
        for (name, known) in &self.subsystems {
            if let Err(fault) = self.register(name, known).await? {
                unreachable.push((name.clone(), fault));
            }
        }
        Ok(unreachable)
    }

    async fn register(&self, name: &SubsystemName, known: &KnownSubsystem) -> Result<Result<(), Fault>, Error> {
        // First what it replaces, then the store: whoever read the store earlier must not replace what was read later.
        let registered = self.ledger.subsystems().await?;
        let replacing = registered.iter().find(|it| it.name == *name).map(|it| it.evidence);
        let evidence = match known.subsystem.evidence().await {
            Ok(evidence) => evidence,
            Err(fault) => return Ok(Err(fault)),
        };
        let registration = Registration {
            name: name.clone(),
            kind: known.kind.clone(),
            evidence,
            map: known.subsystem.map_digest(),
            replacing,
        };
        let part = format!("reconciler.revision.{name}");
        let now = self.ledger.now().await?;
        match self.ledger.register_subsystem(&registration, now).await? {
            Registered::Current => self.health.ready(&part),
            Registered::Overtaken { .. } => {
                tracing::info!(subsystem = %name, "another reconciler has registered another evidence key; the store is asked again");
            }
            Registered::NewCurrent { replaced } => {
                let replaced = replaced.map(|key| key.to_string()).unwrap_or_default();
                tracing::info!(subsystem = %name, evidence = %evidence, replaced, "a new evidence key counts from now on");
                self.health.ready(&part);
            }
            Registered::Outdated { .. } => self.health.waiting(
                &part,
                "this process works by an older data map, or on an older store, than one that came after it; restart it with \
                 the current configuration, or raise `revision` in the data map to go back on purpose",
            ),
        }
        Ok(Ok(()))
    }

    /// Extends every open plan to what is registered now.
    async fn extend_open_plans(&self) -> Result<(), Error> {
        let mut after = None;
        loop {
            let requests = self.ledger.requests_to_extend(after, REQUESTS_PER_TURN).await?;
            let Some(last) = requests.last().copied() else {
                return Ok(());
            };
            for header in self.ledger.headers(&requests).await? {
                self.extend(header).await?;
            }
            after = Some(last);
        }
    }

    /// Extends one plan. What is new in it has never been dispatched, so the dispatcher picks it up.
    pub(crate) async fn extend(&self, header: Header) -> Result<(), Error> {
        let wanted: Vec<PlanEntry> = self
            .ledger
            .subsystems()
            .await?
            .into_iter()
            .filter(|it| !it.retired)
            .map(|it| PlanEntry {
                phase: Phase::Purge,
                subsystem: it.name,
                evidence: it.evidence,
            })
            .collect();
        let Some(plan) = header.plan.extended(&wanted) else {
            return Ok(());
        };
        if self.ledger.extend_plan(header.request, header.plan.version(), &plan).await? {
            tracing::info!(request = %header.request, version = plan.version(), "plan extended");
            self.tracker.init(&[Header { plan, ..header }]).await?;
            self.news.notify_one();
        }
        Ok(())
    }
}
