//! W5: single commands at a steady rate, first with nothing else to do, then while a bulk request is erased. How long does each take from
//! its publish to its *erased* event?

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use erasure_tests::{
    company::{STORES, Technology},
    producer::Producer,
    producer::Tap,
    servers::Servers,
    world::Builder,
};
use serde_json::Value;
use tokio::{
    sync::mpsc,
    time::{Instant, interval},
};

use crate::{
    estate::{Estate, MAILING, single},
    fleet::{Fleet, parts},
    post::Post,
    report::{Figures, median},
    whole::Size,
};

/// Single commands come this often.
const EVERY: Duration = Duration::from_millis(100);

/// How many of them there are with nothing else to do; while a bulk request is erased there are as many as it takes.
const IDLE: u32 = 150;

/// How long one event may keep us waiting.
const EVENT: Duration = Duration::from_secs(60);

/// Measures it. Beside those of the bulk request, the estate has people for the single commands.
pub(crate) async fn run(size: &Size) -> Result<Figures> {
    let servers = Servers::of_this_run()?;
    eprintln!("W5: making a company of which {} people are forgotten", size.subjects);
    let estate = Arc::new(Estate::found(&servers.postgres, size.subjects).await?);
    let bulk = size.subjects * 9 / 10;
    let (mut idle, mut loaded, mut unthrottled) = (Vec::new(), Vec::new(), Vec::new());
    for at in 1..=size.runs {
        let (alone, beside) = one(&estate, bulk, |builder| builder).await?;
        let whole = |builder: Builder| {
            STORES.into_iter().chain([MAILING]).fold(builder, |builder, store| {
                builder.set(&format!("store.{store}.bulk_share_percent"), 100)
            })
        };
        let (alone_again, beside_whole) = one(&estate, bulk, whole).await?;
        eprintln!(
            "W5: run {at}: p99 {alone:.0} ms alone, {beside:.0} ms beside a bulk request of {bulk}; {alone_again:.0} and \
             {beside_whole:.0} ms where it may have all of the store"
        );
        idle.push(alone);
        loaded.push(beside);
        unthrottled.push(beside_whole / alone_again);
    }
    let ratios: Vec<f64> = idle.iter().zip(&loaded).map(|(idle, loaded)| loaded / idle).collect();
    let more = [
        ("p99 alone, ms", median(&idle)),
        ("p99 beside bulk, ms", median(&loaded)),
        ("p99 beside bulk / alone", median(&ratios)),
        ("p99 beside bulk / alone, unthrottled", median(&unthrottled)),
    ];
    Ok(Figures {
        subjects: bulk,
        runs: size.runs,
        more: more
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect(),
        ..Figures::default()
    })
}

/// Alone and beside the bulk request, on a fleet of its own.
async fn one(estate: &Arc<Estate>, bulk: u32, more: impl FnOnce(Builder) -> Builder) -> Result<(f64, f64)> {
    let fleet = Fleet::build(estate, Technology::Postgres, more).await?;
    let result = Box::pin(measured(&fleet, bulk, estate.subjects)).await;
    let removed = fleet.remove().await;
    let figures = result?;
    removed?;
    Ok(figures)
}

async fn measured(fleet: &Fleet, bulk: u32, subjects: u32) -> Result<(f64, f64)> {
    let mut role = fleet.start().await?;
    let post = Post::connect(fleet.world.amqp()).await?;
    let ear = Producer::connect(fleet.world.amqp()).await?;
    let tap = ear.tap("erasure.events", "erasure.request.erased").await?;
    let (tell, mut ends) = mpsc::channel(1024);
    let listening = tokio::spawn(listen(tap, tell));
    let idle = bulk + 1..(bulk + 1 + IDLE).min(subjects / 2 + bulk / 2);
    let rest = idle.end..subjects + 1;
    let alone = steady(&post, &mut ends, idle, None).await?;
    post.publish_all("erasure", "request.bulk", &parts(bulk)).await?;
    let beside = steady(&post, &mut ends, rest, Some("bulk")).await?;
    ensure!(
        beside.len() >= 20,
        "only {} single commands fit beside the bulk request; more subjects are needed",
        beside.len()
    );
    ensure!(role.runs(), "the fleet has ended: {}", role.log().unwrap_or_default());
    role.term().await?;
    listening.abort();
    Ok((p99(alone)?, p99(beside)?))
}

/// The end of a request: its id, and when it was heard.
type End = (String, Instant);

/// Hears every end, and tells of it. It ends when nobody listens any more, or nothing is heard for too long.
async fn listen(mut tap: Tap, tell: mpsc::Sender<End>) -> Result<()> {
    loop {
        let heard = tap.next(EVENT).await?;
        let event: Value = serde_json::from_slice(&heard.body).context("reading an event")?;
        let id = event["data"]["request_id"].as_str().context("an event names its request")?;
        if tell.send((id.to_owned(), Instant::now())).await.is_err() {
            return Ok(());
        }
    }
}

/// Publishes a command for each person, one after the other at a steady rate, until all are published or the request `until` is erased;
/// and waits for the event of each.
async fn steady(
    post: &Post,
    ends: &mut mpsc::Receiver<End>,
    people: std::ops::Range<u32>,
    until: Option<&str>,
) -> Result<Vec<f64>> {
    let mut sent: BTreeMap<String, Instant> = BTreeMap::new();
    let mut latencies = Vec::new();
    let mut people = people;
    let mut ticks = interval(EVERY);
    let mut open = true;
    let mut awaited = until.is_some();
    while open || awaited || !sent.is_empty() {
        tokio::select! {
            _ = ticks.tick(), if open => match people.next() {
                Some(n) => {
                    sent.insert(format!("W-{n:07}"), Instant::now());
                    post.publish_all("erasure", "request", &[single(n).to_string().into_bytes()]).await?;
                }
                None => open = false,
            },
            end = ends.recv() => {
                let (id, at) = end.with_context(|| format!("nothing was heard for {EVENT:?}; {} commands are open", sent.len()))?;
                if Some(id.as_str()) == until {
                    (open, awaited) = (false, false);
                } else if let Some(begun) = sent.remove(&id) {
                    latencies.push(at.duration_since(begun).as_secs_f64() * 1e3);
                }
            }
        }
    }
    Ok(latencies)
}

fn p99(mut values: Vec<f64>) -> Result<f64> {
    values.sort_by(f64::total_cmp);
    let at = (values.len() * 99).div_ceil(100).saturating_sub(1);
    values.get(at).copied().context("nothing was measured")
}
