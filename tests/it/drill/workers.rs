//! Workers that are killed in the middle of their work.

use super::{
    crowd::{Asked, Crowd, rows_in},
    hold::Hold,
    watcher::Watcher,
};
use anyhow::{Context, Result, ensure};
use erasure_tests::{
    binary::repository,
    company::{Company, Technology},
    eventually::eventually_true,
    opendsr::{Mode, Processor},
    process::{Signal, signal},
    producer::{Producer, Published, Tap},
    proxy::{Proxy, host_of},
    role::Role,
    servers::Servers,
    world::{Builder, World},
};
use std::time::{Duration, Instant};

const SOON: Duration = Duration::from_secs(90);
const PEOPLE: u32 = 5_000;

/// A company and a ledger in PostgreSQL, so that every role may have a process of its own.
pub(super) fn apart() -> Builder {
    let builder = World::builder()
        .ledger(Technology::Postgres)
        .stores(Technology::Postgres)
        .people(PEOPLE);
    ["crm", "marketing", "warehouse"].iter().fold(builder, |builder, store| {
        builder.set(&format!("store.{store}.lock_timeout_ms"), 60_000)
    })
}

/// The data map of the sample company with its first subsystem alone: what happens there is what becomes of the request.
pub(super) fn profiles_alone() -> Result<String> {
    let map = std::fs::read_to_string(repository().join("deploy/sample/map.toml"))?;
    let end = map
        .find("# ---- segments")
        .context("the sample's map has a part on segments")?;
    Ok(map[..end].to_owned())
}

/// Hands in all commands and waits for their confirmations.
pub(super) async fn publish(amqp: &str, crowd: &Crowd) -> Result<()> {
    publish_these(amqp, crowd.requests()).await
}

async fn publish_these(amqp: &str, requests: &[Asked]) -> Result<()> {
    let producer = Producer::connect(amqp).await?;
    for asked in requests {
        ensure!(
            producer.publish(&asked.message()).await? == Published::Confirmed,
            "{} was not taken",
            asked.id
        );
    }
    Ok(())
}

/// Waits until so many messages are ready in a queue.
pub(super) async fn ready(producer: &Producer, queue: &str, count: u32) -> Result<()> {
    let filled = || async { producer.depth(queue).await.is_ok_and(|(ready, _)| ready >= count) };
    eventually_true(&format!("{count} messages are ready in {queue}"), SOON, filled).await
}

/// Waits until a store holds nobody of the crowd.
pub(super) async fn is_empty(company: &Company, store: &str, crowd: &Crowd) -> Result<()> {
    let people = crowd.people();
    let gone = || async { rows_in(company, store, &people).await.is_ok_and(|left| left == 0) };
    eventually_true(&format!("the store {store} holds nobody of them"), SOON, gone).await
}

pub(super) async fn all_ready(roles: &mut [Role]) -> Result<()> {
    for role in roles {
        role.ready().await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_in_the_middle_changes_nothing_for_a_fleet_of_separate_processes() -> Result<()> {
    let vendor = Processor::start(Mode::ok(1)).await?;
    let world = apart().vendor("mailer", &vendor.url()).build().await?;
    let crowd = Crowd::of(world.company(), 1_000, 30).await?;
    let watcher = Watcher::start(world.amqp(), world.company(), &crowd).await?;
    let names = ["intake", "reconciler", "segments", "analytics", "subprocessors", "api"];
    let mut roles = names.iter().map(|name| world.run(&[name])).collect::<Result<Vec<_>>>()?;
    all_ready(&mut roles).await?;
    let producer = Producer::connect(world.amqp()).await?;
    publish(world.amqp(), &crowd).await?;
    ready(&producer, "er.work.profiles.bulk.v1", 1).await?;
    ready(&producer, "er.work.profiles.single.v1", 1).await?;

    let hold = Hold::writes(world.company(), "crm", "participants").await?;
    let mut killed = world.run(&["profiles"])?;
    hold.holds_up(2).await?;
    let mut others = [world.run(&["profiles"])?, world.run(&["profiles"])?];
    all_ready(&mut others).await?;
    killed.kill9().await?;
    let began = Instant::now();
    hold.release().await?;
    watcher.all_erased(&crowd, SOON).await?;
    eprintln!(
        "everybody erased {} ms after a worker was killed",
        began.elapsed().as_millis()
    );
    crowd.is_gone_and_nobody_else(world.company()).await?;
    ensure!(vendor.calls().creates >= 1_030, "the vendor was told of everybody");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_between_commit_and_mark_leaves_people_erased_and_not_unknown() -> Result<()> {
    let world = apart().map(profiles_alone()?).build().await?;
    let crowd = Crowd::of(world.company(), 1_000, 20).await?;
    let mut roles = [world.run(&["intake"])?, world.run(&["reconciler"])?];
    all_ready(&mut roles).await?;
    let producer = Producer::connect(world.amqp()).await?;
    publish(world.amqp(), &crowd).await?;
    ready(&producer, "er.work.profiles.bulk.v1", 1).await?;
    ready(&producer, "er.work.profiles.single.v1", 1).await?;

    // Its claims were answered; it hangs in the store, and then it loses the tracker without learning of it.
    let redis = Servers::of_this_run()?.redis;
    let wire = Proxy::start(host_of(&redis)?).await?;
    let hold = Hold::writes(world.company(), "crm", "participants").await?;
    let mut killed = world.run_with(&["profiles"], &[("ERASURE__TRACKER__URL", &wire.instead_of_host_in(&redis)?)])?;
    hold.holds_up(2).await?;
    wire.black_hole();
    hold.release().await?;
    is_empty(world.company(), "crm", &crowd).await?;
    killed.kill9().await?;

    let listener = producer.tap("erasure.events", "erasure.request.*").await?;
    let mut other = world.run(&["profiles"])?;
    other.ready().await?;
    let words = ends(listener, crowd.requests().len()).await?;
    ensure!(words.iter().all(|word| word == "erasure.request.erased"), "{words:?}");
    let unknown = format!("select count(*) from {}.evidence where letter = 'n'", world.name());
    ensure!(
        world.company().number("crm", &unknown).await? == 0,
        "nobody is said to have been unknown"
    );
    Ok(())
}

/// The types of the next final events.
async fn ends(mut tap: Tap, count: usize) -> Result<Vec<String>> {
    let mut words = Vec::new();
    while words.len() < count {
        let word = tap
            .next(SOON)
            .await
            .with_context(|| format!("{} of {count} have ended: {words:?}", words.len()))?
            .routing_key;
        if !["erasure.request.accepted", "erasure.request.running"].contains(&word.as_str()) {
            words.push(word);
        }
    }
    Ok(words)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_asked_to_end_finishes_what_it_holds() -> Result<()> {
    let world = apart().build().await?;
    let crowd = Crowd::of(world.company(), 1_000, 20).await?;
    let watcher = Watcher::start(world.amqp(), world.company(), &crowd).await?;
    let names = ["intake", "reconciler", "segments", "analytics"];
    let mut roles = names.iter().map(|name| world.run(&[name])).collect::<Result<Vec<_>>>()?;
    all_ready(&mut roles).await?;
    let producer = Producer::connect(world.amqp()).await?;
    publish(world.amqp(), &crowd).await?;
    ready(&producer, "er.work.profiles.bulk.v1", 1).await?;
    ready(&producer, "er.work.profiles.single.v1", 1).await?;
    let hold = Hold::writes(world.company(), "crm", "participants").await?;
    let mut ending = world.run(&["profiles"])?;
    hold.holds_up(2).await?;
    signal(ending.pid(), Signal::Term)?;
    let stopping = || async { ending.log().is_ok_and(|log| log.contains("stopping")) };
    eventually_true("it has heard", SOON, stopping).await?;
    ensure!(ending.runs(), "it must not end while it holds work");
    hold.release().await?;
    ensure!(ending.ended().await?.code() == Some(0), "a drained worker ends with 0");
    // What it held was finished by it; what it had not taken yet is there for the next one.
    let mut next = world.run(&["profiles"])?;
    next.ready().await?;
    watcher.all_erased(&crowd, SOON).await?;
    crowd.is_gone_and_nobody_else(world.company()).await?;
    ensure!(!ending.log()?.contains("delivered again"), "{}", ending.log()?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn rolling_restarts_put_nobody_into_the_solo_lane() -> Result<()> {
    let world = apart().set("worker.single_messages_max", 4).build().await?;
    let crowd = Crowd::of(world.company(), 1_000, 60).await?;
    let watcher = Watcher::start(world.amqp(), world.company(), &crowd).await?;
    let names = ["intake", "reconciler", "segments", "analytics"];
    let mut roles = names.iter().map(|name| world.run(&[name])).collect::<Result<Vec<_>>>()?;
    all_ready(&mut roles).await?;
    let mut logs = String::new();
    let (first, second) = crowd.requests().split_at(crowd.requests().len() / 2);
    for requests in [first, second] {
        // Each is stopped while it holds work and has more before it.
        let hold = Hold::writes(world.company(), "crm", "participants").await?;
        let mut worker = world.run(&["profiles"])?;
        publish_these(world.amqp(), requests).await?;
        hold.holds_up(1).await?;
        signal(worker.pid(), Signal::Term)?;
        hold.release().await?;
        ensure!(worker.ended().await?.code() == Some(0), "a drained worker ends with 0");
        logs += &worker.log()?;
    }
    let mut last = world.run(&["profiles"])?;
    last.ready().await?;
    watcher.all_erased(&crowd, SOON).await?;
    logs += &last.log()?;
    ensure!(!logs.contains("solo lane"), "{logs}");
    crowd.is_gone_and_nobody_else(world.company()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_work_messages_are_sent_again() -> Result<()> {
    let world = apart().set("reconciler.stalled_after_ms", 2_000).build().await?;
    let crowd = Crowd::of(world.company(), 1_000, 20).await?;
    let watcher = Watcher::start(world.amqp(), world.company(), &crowd).await?;
    let names = ["intake", "reconciler", "segments", "analytics"];
    let mut roles = names.iter().map(|name| world.run(&[name])).collect::<Result<Vec<_>>>()?;
    all_ready(&mut roles).await?;
    let producer = Producer::connect(world.amqp()).await?;
    publish(world.amqp(), &crowd).await?;
    for queue in ["er.work.profiles.bulk.v1", "er.work.profiles.single.v1"] {
        ready(&producer, queue, 1).await?;
    }
    let published = format!(
        "select count(distinct request) from {}.dispatch where last_at is not null",
        world.name()
    );
    let all = i64::try_from(crowd.requests().len())?;
    let dispatched = || async {
        world
            .company()
            .number("crm", &published)
            .await
            .is_ok_and(|count| count == all)
    };
    eventually_true("everything has been sent out", SOON, dispatched).await?;
    for queue in ["er.work.profiles.bulk.v1", "er.work.profiles.single.v1"] {
        while producer.take(queue).await?.is_some() {}
    }
    ensure!(
        rows_in(world.company(), "crm", &crowd.people()).await? > 0,
        "nothing is done yet in profiles"
    );
    let mut worker = world.run(&["profiles"])?;
    worker.ready().await?;
    let began = Instant::now();
    watcher.all_erased(&crowd, SOON).await?;
    eprintln!(
        "healed {} ms after the worker was there (stalled after 2000 ms)",
        began.elapsed().as_millis()
    );
    crowd.is_gone_and_nobody_else(world.company()).await
}
