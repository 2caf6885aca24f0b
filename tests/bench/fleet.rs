//! The fleet doing the whole job: from the first publish to the last *erased* event.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use erasure_tests::{
    company::Technology,
    role::Role,
    servers::Servers,
    world::{Builder, World},
};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};
use tokio::time::Instant;

use crate::{
    counted::Counted,
    estate::{Copy, Estate, TENANT, execute, single, users},
    machine::{Processes, Watch, peaks, spent},
    post::Post,
    profile::Profile,
    redis_memory,
};

/// Where the events that say *erased* are counted.
pub(crate) const ERASED: &str = "bench.erased";

/// How often it is counted.
const LOOK: Duration = Duration::from_millis(10);

/// When nothing more is erased for this long, the run has failed.
const STUCK: Duration = Duration::from_secs(60);

/// How many people one part of a bulk request has at most.
pub(crate) const PART: u32 = 512;

/// What is asked of the fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Load {
    /// A command for each person.
    Singles,
    /// One request in parts.
    Bulk,
}

impl Load {
    fn name(self) -> &'static str {
        match self {
            Self::Singles => "singles",
            Self::Bulk => "bulk",
        }
    }
}

/// What one run took.
#[derive(Clone, Debug)]
pub(crate) struct Run {
    /// From the first publish to the last *erased* event.
    pub(crate) seconds: f64,
    /// Processor seconds in that time.
    pub(crate) cpu: BTreeMap<String, f64>,
    /// The most memory, in MiB.
    pub(crate) memory: BTreeMap<String, f64>,
    /// What the ledger's tables and indexes grew by.
    pub(crate) ledger_bytes: f64,
    /// What Redis holds once everybody is erased.
    pub(crate) redis_bytes: f64,
    /// Rows in the ledger, by table.
    pub(crate) rows: BTreeMap<String, i64>,
    /// What the servers counted in that time.
    pub(crate) counted: Counted,
}

/// A world on a copy of the estate, with its processes.
pub(crate) struct Fleet {
    pub(crate) world: World,
    pub(crate) copy: Copy,
    pub(crate) servers: Servers,
    pub(crate) ledger: Technology,
}

impl Fleet {
    /// Makes it; starts no role.
    pub(crate) async fn build(estate: &Arc<Estate>, ledger: Technology, more: impl FnOnce(Builder) -> Builder) -> Result<Self> {
        let servers = Servers::of_this_run()?;
        let copy = estate.copy().await?;
        let builder = World::builder()
            .ledger(ledger)
            .company(copy.company().clone())
            .map(Estate::map()?)
            .set("subsystem.mailing.kind", "analytics");
        let world = more(builder).build().await?;
        Ok(Self {
            world,
            copy,
            servers,
            ledger,
        })
    }

    /// One process with every role, ready.
    pub(crate) async fn start(&self) -> Result<Role> {
        self.world.run_all().await
    }

    /// Removes what the run has left in PostgreSQL.
    pub(crate) async fn remove(self) -> Result<()> {
        if self.ledger == Technology::Postgres {
            let text = format!("drop schema {} cascade", self.world.name());
            execute(&self.servers.postgres, &text).await?;
        }
        self.copy.remove().await
    }

    async fn ledger(&self) -> Result<PgConnection> {
        let url = erasure_tests::company::postgres_url(&self.servers.postgres, self.world.name());
        PgConnection::connect(&url).await.context("connecting to the ledger")
    }

    /// Waits until the ledger says *erased* of so many. For several processes, which may tell of an end twice.
    async fn await_final(&self, requests: u32) -> Result<()> {
        let mut ledger = self.ledger().await?;
        let (mut seen, mut moved) = (0, Instant::now());
        while seen < i64::from(requests) {
            tokio::time::sleep(LOOK).await;
            let now: i64 = sqlx::query_scalar("select count(*) from request where state = 'erased'")
                .fetch_one(&mut ledger)
                .await?;
            if now > seen {
                (seen, moved) = (now, Instant::now());
            }
            ensure!(
                moved.elapsed() < STUCK,
                "{now} of {requests} requests are erased, and no more for {STUCK:?}"
            );
        }
        Ok(())
    }

    /// That every request is final as erased, and the bytes and rows of the ledger.
    pub(crate) async fn ledger_at_end(&self, requests: i64) -> Result<(f64, BTreeMap<String, i64>)> {
        if self.ledger == Technology::Sqlite {
            let path = self.world.dir().join("ledger.db");
            let size = |path: &std::path::Path| std::fs::metadata(path).map_or(0, |it| it.len());
            let bytes = size(&path) + size(&path.with_extension("db-wal"));
            #[allow(clippy::cast_precision_loss, reason = "files are far below 2^52")]
            return Ok((bytes as f64, BTreeMap::new()));
        }
        let mut ledger = self.ledger().await?;
        let states = sqlx::query("select state, count(*) from request group by state")
            .fetch_all(&mut ledger)
            .await?;
        let states: Vec<(String, i64)> = states.iter().map(|row| (row.get(0), row.get(1))).collect();
        ensure!(
            states == [("erased".to_owned(), requests)],
            "the ledger says {states:?}, not {requests} erased"
        );
        let unsent: i64 = sqlx::query_scalar("select count(*) from outbox where sent_at is null")
            .fetch_one(&mut ledger)
            .await?;
        ensure!(unsent <= 256, "{unsent} events were never sent");
        let tables = sqlx::query("select tablename::text from pg_tables where schemaname = $1")
            .bind(self.world.name())
            .fetch_all(&mut ledger)
            .await?;
        let mut rows = BTreeMap::new();
        let mut bytes = 0.0;
        for table in tables {
            let table: String = table.get(0);
            let sql = format!("select count(*), pg_total_relation_size('{table}')::float8 from {table}");
            let row = sqlx::query(AssertSqlSafe(sql)).fetch_one(&mut ledger).await?;
            bytes += row.get::<f64, _>(1);
            rows.insert(table, row.get(0));
        }
        Ok((bytes, rows))
    }
}

/// One run: everybody of the estate, by commands of this kind.
pub(crate) async fn run(estate: &Arc<Estate>, load: Load, ledger: Technology, processes: usize) -> Result<Run> {
    let fleet = Fleet::build(estate, ledger, |builder| builder).await?;
    let result = Box::pin(measured(&fleet, estate.subjects, load, processes)).await;
    // What went wrong in the run says more than what goes wrong in clearing up after it.
    let removed = fleet.remove().await;
    let run = result?;
    removed?;
    Ok(run)
}

async fn measured(fleet: &Fleet, subjects: u32, load: Load, count: usize) -> Result<Run> {
    let post = Post::connect(fleet.world.amqp()).await?;
    post.listen(ERASED, "erasure.events", "erasure.request.erased").await?;
    let mut role = fleet.start().await?;
    let mut processes = Processes::servers()?.and("fleet", role.pid());
    let mut others = Vec::new();
    for at in 2..=count {
        let other = fleet.start().await?;
        processes = processes.and(&format!("fleet {at}"), other.pid());
        others.push(other);
    }
    let (key, bodies, requests) = match load {
        Load::Singles => ("request", singles(1..subjects + 1), subjects),
        Load::Bulk => ("request.bulk", parts(subjects), 1),
    };
    let watch = Watch::start(processes.clone());
    let cpu_before = processes.cpu();
    let counted = Counted::now(&fleet.servers).await?;
    let profile = Profile::start(load.name(), role.pid(), &fleet.servers.postgres).await?;
    let begun = Instant::now();
    let published = post.publish_all("erasure", key, &bodies);
    let erased = async {
        if count > 1 {
            return fleet.await_final(requests).await;
        }
        let eyes = Post::connect(fleet.world.amqp()).await?;
        await_erased(&eyes, requests, &mut role).await
    };
    tokio::try_join!(published, erased)?;
    let seconds = begun.elapsed().as_secs_f64();
    let cpu = spent(&cpu_before, &processes.cpu());
    let memory = peaks(&watch.end());
    if let Some(profile) = profile {
        profile.end(&fleet.servers.postgres, subjects).await?;
    }
    let redis_bytes = redis_memory(&fleet.servers.redis, fleet.world.name()).await?;
    role.term().await?;
    for mut other in others {
        other.term().await?;
    }
    let counted = Counted::now(&fleet.servers).await?.since(&counted);
    fleet.copy.check().await?;
    let (ledger_bytes, rows) = fleet.ledger_at_end(i64::from(requests)).await?;
    Ok(Run {
        seconds,
        cpu,
        memory,
        ledger_bytes,
        redis_bytes,
        rows,
        counted,
    })
}

/// Waits for the last *erased* event.
pub(crate) async fn await_erased(eyes: &Post, requests: u32, role: &mut Role) -> Result<()> {
    let (mut seen, mut moved) = (0, Instant::now());
    loop {
        let now = eyes.depth(ERASED).await?;
        if now >= requests {
            ensure!(now == requests, "{now} requests were called erased, of {requests}");
            return Ok(());
        }
        if now > seen {
            (seen, moved) = (now, Instant::now());
        }
        if moved.elapsed() > STUCK {
            let log = role.log().unwrap_or_default();
            let last: Vec<&str> = log.lines().rev().take(20).collect();
            bail!(
                "{now} of {requests} requests are erased, and no more for {STUCK:?}; the last lines, newest first:\n{}",
                last.join("\n")
            );
        }
        ensure!(role.runs(), "the fleet has ended: {}", role.log().unwrap_or_default());
        tokio::time::sleep(LOOK).await;
    }
}

/// A command for each of these people.
pub(crate) fn singles(people: std::ops::Range<u32>) -> Vec<Vec<u8>> {
    people.map(|n| single(n).to_string().into_bytes()).collect()
}

/// The parts of one request on the first people.
pub(crate) fn parts(subjects: u32) -> Vec<Vec<u8>> {
    let last = subjects.div_ceil(PART) - 1;
    (0..=last)
        .map(|number| {
            let from = number * PART + 1;
            let people = users(from..(from + PART).min(subjects + 1));
            let people: Vec<_> = people.iter().map(|user| serde_json::json!({ "user_id": user })).collect();
            let command = serde_json::json!({
                "version": 1,
                "request_id": "bulk",
                "tenant": TENANT,
                "operation": "erase",
                "part": { "number": number, "last": number == last },
                "subjects": people,
            });
            command.to_string().into_bytes()
        })
        .collect()
}
