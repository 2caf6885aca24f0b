//! W4: how many status polls a second, by id and by identifier, with nothing else to do and while single commands are carried out as fast as
//! they go; and beside it the Redis reads that a poll needs, alone.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use erasure_tests::{company::Technology, role::Role, servers::Servers, world::TOKEN};
use futures_util::future::try_join_all;
use serde_json::json;
use tokio::time::Instant;

use crate::{
    estate::{Estate, TENANT, user},
    fleet::{ERASED, Fleet, await_erased, singles},
    post::Post,
    report::{Figures, median},
    whole::Size,
};

/// How many ask at the same time, each one question after another.
const CLIENTS: usize = 8;

/// How long each kind of question is asked.
const SPAN: Duration = Duration::from_secs(5);

/// How many requests are there to be asked about before the load begins.
const KNOWN: u32 = 200;

/// What one kind of question took.
#[derive(Clone, Copy, Debug)]
struct Asked {
    per_s: f64,
    p99_ms: f64,
}

/// One of a kind for each state of the fleet.
#[derive(Clone, Copy, Debug)]
struct Run {
    by_id: [Asked; 2],
    by_identifier: [Asked; 2],
    raw: [Asked; 2],
}

/// Measures it.
pub(crate) async fn run(size: &Size) -> Result<Figures> {
    let servers = Servers::of_this_run()?;
    eprintln!("W4: making a company of which {} people are forgotten", size.subjects);
    let estate = Arc::new(Estate::found(&servers.postgres, size.subjects).await?);
    let mut runs = Vec::new();
    for at in 1..=size.runs {
        let fleet = Fleet::build(&estate, Technology::Postgres, |builder| builder).await?;
        let result = Box::pin(measured(&fleet, size.subjects)).await;
        let removed = fleet.remove().await;
        let run = result?;
        removed?;
        eprintln!("W4: run {at}: {run:.0?}");
        runs.push(run);
    }
    let of = |of: &dyn Fn(&Run) -> f64| median(&runs.iter().map(of).collect::<Vec<_>>()).unwrap_or_default();
    let more = [
        ("by id, idle, a second", of(&|it| it.by_id[0].per_s)),
        ("by id, under load, a second", of(&|it| it.by_id[1].per_s)),
        ("by id / Redis reads, idle", of(&|it| it.by_id[0].per_s / it.raw[0].per_s)),
        (
            "by id / Redis reads, under load",
            of(&|it| it.by_id[1].per_s / it.raw[1].per_s),
        ),
        ("by id, p99 idle, ms", of(&|it| it.by_id[0].p99_ms)),
        ("by id, p99 under load, ms", of(&|it| it.by_id[1].p99_ms)),
        (
            "by id, p99 under load / idle",
            of(&|it| it.by_id[1].p99_ms / it.by_id[0].p99_ms),
        ),
        ("by identifier, idle, a second", of(&|it| it.by_identifier[0].per_s)),
        ("by identifier, under load, a second", of(&|it| it.by_identifier[1].per_s)),
        (
            "by identifier, p99 under load / idle",
            of(&|it| it.by_identifier[1].p99_ms / it.by_identifier[0].p99_ms),
        ),
        ("Redis reads, idle, a second", of(&|it| it.raw[0].per_s)),
        ("Redis reads, under load, a second", of(&|it| it.raw[1].per_s)),
    ];
    Ok(Figures {
        subjects: size.subjects,
        runs: size.runs,
        more: more.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        ..Figures::default()
    })
}

async fn measured(fleet: &Fleet, subjects: u32) -> Result<Run> {
    ensure!(subjects > KNOWN, "W4 needs more than {KNOWN} subjects");
    let post = Post::connect(fleet.world.amqp()).await?;
    post.listen(ERASED, "erasure.events", "erasure.request.erased").await?;
    let mut role = fleet.start().await?;
    post.publish_all("erasure", "request", &singles(1..KNOWN + 1)).await?;
    await_erased(&post, KNOWN, &mut role).await?;
    let keys = header_keys(fleet).await?;
    ensure!(!keys.is_empty(), "Redis knows no request");
    let idle = all(fleet, &role, &keys).await?;
    post.publish_all("erasure", "request", &singles(KNOWN + 1..subjects + 1))
        .await?;
    let loaded = all(fleet, &role, &keys).await?;
    let still = post.depth(ERASED).await?;
    ensure!(
        still < subjects,
        "the load ended before the questions; more than {subjects} subjects are needed"
    );
    ensure!(role.runs(), "the fleet has ended: {}", role.log().unwrap_or_default());
    role.term().await?;
    Ok(Run {
        by_id: [idle[0], loaded[0]],
        by_identifier: [idle[1], loaded[1]],
        raw: [idle[2], loaded[2]],
    })
}

/// By id, by identifier, and the Redis reads alone.
async fn all(fleet: &Fleet, role: &Role, keys: &[String]) -> Result<[Asked; 3]> {
    let (by_id, find) = (role.url("/v1/requests"), role.url("/v1/find"));
    let client = reqwest::Client::builder().timeout(Duration::from_secs(30)).build()?;
    let by_id = asked(async |n| {
        let url = format!("{by_id}/W-{n:07}?tenant={TENANT}");
        let answer = client.get(url).bearer_auth(TOKEN).send().await?.error_for_status()?;
        answer.bytes().await.map(drop).context("reading an answer")
    })
    .await?;
    let by_identifier = asked(async |n| {
        let question = json!({ "tenant": TENANT, "identifiers": { "user_id": user(n) } });
        let asked = client.post(&find).bearer_auth(TOKEN).json(&question);
        asked
            .send()
            .await?
            .error_for_status()?
            .bytes()
            .await
            .map(drop)
            .context("reading an answer")
    })
    .await?;
    let redis = redis::Client::open(fleet.servers.redis.as_str()).context("reading the URL of Redis")?;
    let mut connections = Vec::new();
    for _ in 0..CLIENTS {
        connections.push(tokio::sync::Mutex::new(redis.get_multiplexed_async_connection().await?));
    }
    let next = AtomicUsize::new(0);
    let raw = asked(async |n| {
        let mut connection = connections[next.fetch_add(1, Ordering::Relaxed) % CLIENTS].lock().await;
        let key = &keys[n as usize % keys.len()];
        let fields: Vec<Vec<u8>> = redis::cmd("HGETALL").arg(key).query_async(&mut *connection).await?;
        ensure!(!fields.is_empty(), "a request has gone from Redis");
        Ok(())
    })
    .await?;
    Ok([by_id, by_identifier, raw])
}

/// Asks for a while, about one known request after another.
async fn asked(ask: impl AsyncFn(u32) -> Result<()>) -> Result<Asked> {
    let begun = Instant::now();
    let client = |which: u32| {
        let ask = &ask;
        async move {
            let mut latencies = Vec::new();
            let mut n = which;
            while begun.elapsed() < SPAN {
                n = n % KNOWN + 1;
                let asked = Instant::now();
                ask(n).await?;
                latencies.push(asked.elapsed().as_secs_f64() * 1e3);
            }
            Ok::<_, anyhow::Error>(latencies)
        }
    };
    let each = KNOWN / u32::try_from(CLIENTS)?;
    let clients = (0..u32::try_from(CLIENTS)?).map(|at| client(at * each));
    let mut latencies: Vec<f64> = try_join_all(clients).await?.into_iter().flatten().collect();
    let seconds = begun.elapsed().as_secs_f64();
    latencies.sort_by(f64::total_cmp);
    let at = (latencies.len() * 99).div_ceil(100).saturating_sub(1);
    #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
    Ok(Asked {
        per_s: latencies.len() as f64 / seconds,
        p99_ms: latencies.get(at).copied().context("nothing was answered")?,
    })
}

/// The keys of the requests' headers: the ones that end in 32 hexadecimal digits.
async fn header_keys(fleet: &Fleet) -> Result<Vec<String>> {
    let redis = redis::Client::open(fleet.servers.redis.as_str()).context("reading the URL of Redis")?;
    let mut connection = redis.get_multiplexed_async_connection().await?;
    let keys: Vec<String> = redis::cmd("KEYS")
        .arg(format!("{}:*", fleet.world.name()))
        .query_async(&mut connection)
        .await?;
    let is_header = |key: &String| {
        let last = key.rsplit(':').next().unwrap_or_default();
        last.len() == 32 && last.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    Ok(keys.into_iter().filter(is_header).collect())
}
