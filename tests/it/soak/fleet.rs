//! The fleet under attack: servers of its own, a process for each role, and a wire of its own between each process and each server.

use super::{
    estate::NEWSLETTER_MAP,
    schedule::{MANNED, NEWCOMER, PLACES, Server},
};
use anyhow::{Context as _, Result};
use erasure_tests::{
    binary::repository,
    company::Technology,
    opendsr::{Mode, Processor},
    private::{Kind, PrivateServer},
    proxy::{Proxy, host_of},
    role::Role,
    world::World,
};
use std::{
    path::Path,
    sync::{
        Arc, Mutex as Slate,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};
use tokio::sync::Mutex;

/// How long a process that takes its turn in a rolling restart may take to be ready before the next one's turn comes.
const TURN: Duration = Duration::from_secs(10);
/// How often it is looked whether a process has ended by itself.
const WATCH: Duration = Duration::from_millis(500);
/// What the configuration says of the subsystem that is added.
const SECTION: &str = "\n[subsystem.newsletter]\nkind = \"segments\"\n";

/// Where one process stands.
pub(crate) struct Place {
    pub(crate) name: &'static str,
    role: &'static str,
    /// To RabbitMQ, Redis and PostgreSQL.
    pub(crate) wires: Vec<Proxy>,
    /// Whoever does something to the process holds this for as long as that lasts.
    pub(crate) process: Mutex<Option<Role>>,
}

/// Everything that is attacked.
pub(crate) struct Fleet {
    pub(crate) world: World,
    pub(crate) vendor: Processor,
    servers: Vec<Arc<PrivateServer>>,
    /// Held by who does something to the server.
    pub(crate) busy: [Mutex<()>; 3],
    pub(crate) places: Vec<Place>,
    /// Where the API listens now.
    api: Slate<String>,
    revision: AtomicU32,
    /// One rolling restart at a time.
    rolling: Mutex<()>,
    pub(crate) has_newsletter: AtomicBool,
    /// Every process has the subsystem that was added.
    pub(crate) is_newsletter_in_force: AtomicBool,
    /// Processes that have ended without being told to.
    pub(crate) ended_alone: Slate<Vec<String>>,
}

impl Fleet {
    /// Servers, company and processes, ready.
    pub(crate) async fn found(people: u32) -> Result<Self> {
        let kinds = [Kind::RabbitMq, Kind::Redis, Kind::Postgres];
        let starting = kinds.map(|kind| tokio::task::spawn_blocking(move || PrivateServer::start(kind)));
        let mut servers = Vec::new();
        for server in starting {
            servers.push(Arc::new(server.await??));
        }
        let vendor = Processor::start(Mode::ok(1)).await?;
        let world = World::builder()
            .ledger(Technology::Postgres)
            .stores(Technology::Postgres)
            .people(people)
            .amqp(servers[0].url())
            .redis(servers[1].url())
            .postgres(servers[2].url())
            .set("subprocessors.vendors[]", mailer(&vendor.url())?)
            .set("broker.heartbeat_s", 4)
            .set("reconciler.stalled_after_ms", 6_000)
            .set("reconciler.register_every_ms", 2_000)
            .set("retry.rungs", vec![500, 2_000, 5_000, 10_000])
            .set("tracker.lease_ms", 30_000)
            .set("worker.perform_timeout_s", 20)
            .build()
            .await?;
        let mut places = Vec::new();
        for (name, role) in PLACES {
            let mut wires = Vec::new();
            for server in &servers {
                wires.push(Proxy::start(host_of(&server.url())?).await?);
            }
            let process = Mutex::new(None);
            places.push(Place {
                name,
                role,
                wires,
                process,
            });
        }
        let fleet = Self {
            world,
            vendor,
            servers,
            busy: [Mutex::new(()), Mutex::new(()), Mutex::new(())],
            places,
            api: Slate::default(),
            revision: AtomicU32::new(1),
            rolling: Mutex::new(()),
            has_newsletter: AtomicBool::new(false),
            is_newsletter_in_force: AtomicBool::new(false),
            ended_alone: Slate::default(),
        };
        for at in 0..MANNED as usize {
            *fleet.places[at].process.lock().await = Some(fleet.start(at)?);
        }
        for place in &fleet.places {
            if let Some(role) = place.process.lock().await.as_mut() {
                role.ready().await?;
            }
        }
        Ok(fleet)
    }

    pub(crate) fn server(&self, server: Server) -> Arc<PrivateServer> {
        Arc::clone(&self.servers[server.index()])
    }

    /// Where commands go by HTTP.
    pub(crate) fn api(&self) -> String {
        self.api.lock().expect("nobody panics with it in hand").clone()
    }

    /// Starts the process of a place over its own wires. It is not waited for.
    pub(crate) fn start(&self, at: usize) -> Result<Role> {
        let place = &self.places[at];
        let postgres = &place.wires[Server::Postgres.index()];
        let mut environment = vec![
            ("ERASURE__BROKER__URL".to_owned(), self.through(place, Server::RabbitMq)?),
            ("ERASURE__TRACKER__URL".to_owned(), self.through(place, Server::Redis)?),
            ("ERASURE__LEDGER__URL".to_owned(), self.through(place, Server::Postgres)?),
        ];
        for (store, url) in self.world.company().urls() {
            let name = format!("ERASURE__STORE__{}__URL", store.to_ascii_uppercase());
            environment.push((name, postgres.instead_of_host_in(url)?));
        }
        let environment: Vec<(&str, &str)> = environment
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        let role = self.world.run_with(&[place.role], &environment)?;
        if place.role == "api" {
            *self.api.lock().expect("nobody panics with it in hand") = role.url("");
        }
        Ok(role)
    }

    fn through(&self, place: &Place, server: Server) -> Result<String> {
        let at = server.index();
        place.wires[at].instead_of_host_in(&self.servers[at].url())
    }

    /// Starts again what has ended without being told to, as any supervisor would, and writes it down.
    pub(crate) async fn supervise(self: Arc<Self>) {
        loop {
            tokio::time::sleep(WATCH).await;
            for (at, place) in self.places.iter().enumerate() {
                let Ok(mut process) = place.process.try_lock() else { continue };
                let Some(role) = process.as_mut() else { continue };
                if role.runs() {
                    continue;
                }
                let log = role.log().unwrap_or_default();
                let last: Vec<&str> = log.lines().rev().take(3).collect();
                let note = format!("{} ended by itself: {last:?}", place.name);
                self.ended_alone.lock().expect("nobody panics with it in hand").push(note);
                *process = self.start(at).ok();
            }
        }
    }

    /// A new revision of the data map, with the newsletter or without.
    pub(crate) fn new_map(&self, with_newsletter: bool) -> Result<()> {
        let revision = self.revision.fetch_add(1, Ordering::SeqCst) + 1;
        let sample = std::fs::read_to_string(repository().join("deploy/sample/map.toml")).context("reading the sample's map")?;
        let mut map = sample.replace("\nrevision = 1\n", &format!("\nrevision = {revision}\n"));
        if with_newsletter {
            map.push_str(NEWSLETTER_MAP);
            let path = self.world.dir().join("erasure.toml");
            let config = std::fs::read_to_string(&path).context("reading the configuration")?;
            if !config.contains(SECTION) {
                self.world.file("erasure.toml", config + SECTION)?;
            }
        }
        self.world.file("map.toml", map)?;
        Ok(())
    }

    /// Restarts every process in turn, each drained, the next when the one before is ready. Reconcilers first: what they register
    /// is what the others wait for.
    pub(crate) async fn roll(&self) -> Result<()> {
        let _alone = self.rolling.lock().await;
        let mut turns: Vec<(usize, &Place)> = self.places.iter().enumerate().collect();
        turns.sort_by_key(|(_, place)| place.role != "reconciler");
        for (at, place) in turns {
            let mut process = place.process.lock().await;
            let is_newcomer = at == NEWCOMER && self.has_newsletter.load(Ordering::SeqCst);
            match process.as_mut() {
                Some(role) => end(role).await?,
                None if is_newcomer => {}
                None => continue,
            }
            let role = process.insert(self.start(at)?);
            // Under other faults readiness may take longer; then the next one's turn comes all the same.
            let _ = tokio::time::timeout(TURN, role.ready()).await;
        }
        Ok(())
    }

    /// How many slices the reconcilers say to have sent again.
    pub(crate) fn sent_again(&self) -> Result<u64> {
        let mut slices = 0;
        for entry in std::fs::read_dir(self.world.dir())? {
            let path = entry?.path();
            if path.extension().is_some_and(|it| it == "log") {
                let log = std::fs::read_to_string(&path).context("reading a log")?;
                let said = log.lines().filter(|line| line.contains("sent again"));
                let counts = said.filter_map(|line| line.split("slices=").nth(1)?.split_whitespace().next()?.parse::<u64>().ok());
                slices += counts.sum::<u64>();
            }
        }
        Ok(slices)
    }

    /// Keeps the logs of all processes after a failure.
    pub(crate) fn keep_logs(&self, to: &Path) -> Result<()> {
        std::fs::create_dir_all(to)?;
        for entry in std::fs::read_dir(self.world.dir())? {
            let path = entry?.path();
            if let (Some(name), Some("log")) = (path.file_name(), path.extension().and_then(|it| it.to_str())) {
                std::fs::copy(&path, to.join(name))?;
            }
        }
        Ok(())
    }
}

/// A vendor that is asked again every second.
fn mailer(url: &str) -> Result<toml::Table> {
    let text = format!(
        "name = \"mailer\"\nbase_url = {url:?}\npoll_every_ms = 1000\n\
         identities = [{{ kind = \"email\", identity_type = \"email\" }}]\n"
    );
    text.parse().context("reading a vendor")
}

/// Asks a process to end; one that cannot drain (its servers may be away) is killed, as any supervisor would.
pub(crate) async fn end(role: &mut Role) -> Result<()> {
    if role.runs() && role.term().await.is_err() {
        role.kill9().await?;
    }
    Ok(())
}
