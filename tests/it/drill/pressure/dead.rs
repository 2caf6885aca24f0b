//! Dead queues with a great many messages of a few kinds. Each kind is one line of the list, and one command sends it again.

use super::{SOON, ledger, run, until_ledger_in};
use crate::{
    asked::{listed, until_state},
    drill::{
        crowd::{Asked, Crowd},
        workers::apart,
    },
};
use anyhow::{Context as _, Result, ensure};
use erasure_protocol::WorkMessage;
use erasure_tests::{eventually::eventually, producer::Producer, role::Role};
use lapin::{
    BasicProperties, Channel, Connection, ConnectionProperties,
    options::{BasicPublishOptions, ConfirmSelectOptions},
    types::{AMQPValue, FieldTable},
};
use std::time::{Duration, Instant};

/// So many messages in every run, and all of the hundred thousand with `./tests/run --long`.
const MESSAGES: usize = 10_000;
const MESSAGES_LONG: usize = 100_000;
/// Requests that the ledger knows, whose work the broker gave up.
const KNOWN: usize = 50;
/// Requests that intake never took.
const UNKNOWN: u32 = 100;
const WINDOW: usize = 1_000;
/// Per message, everything included, on a machine that does other things as well.
const PATIENCE_PER_MESSAGE: Duration = Duration::from_millis(30);
/// However many messages there are, the process that takes them in stays below this.
const MEMORY_KIB_MAX: u64 = 400 * 1024;

/// Puts messages into a queue, many at a time; each has an id of its own.
struct Filler(Channel);

impl Filler {
    async fn connect(amqp: &str) -> Result<Self> {
        let connection = Connection::connect(amqp, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        Ok(Self(channel))
    }

    async fn fill(&self, queue: &str, bodies: impl Iterator<Item = Vec<u8>>, reason: Option<&str>) -> Result<()> {
        let mut headers = FieldTable::default();
        if let Some(reason) = reason {
            headers.insert("x-first-death-reason".into(), AMQPValue::LongString(reason.into()));
        }
        let mut confirms = Vec::new();
        for (at, body) in bodies.enumerate() {
            let properties = BasicProperties::default()
                .with_delivery_mode(2)
                .with_content_type("application/json".into())
                .with_message_id(format!("{queue}-{at}").into())
                .with_headers(headers.clone());
            let options = BasicPublishOptions::default();
            confirms.push(
                self.0
                    .basic_publish("".into(), queue.into(), options, &body, properties)
                    .await?,
            );
            if confirms.len() == WINDOW {
                for confirm in confirms.drain(..) {
                    ensure!(confirm.await?.is_ack());
                }
            }
        }
        for confirm in confirms {
            ensure!(confirm.await?.is_ack());
        }
        Ok(())
    }
}

/// The most memory that a process has had, in KiB.
fn memory_kib(role: &Role) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", role.pid()))?;
    let line = status.lines().find(|line| line.starts_with("VmHWM")).context("VmHWM")?;
    Ok(line.split_whitespace().nth(1).context("a number")?.parse()?)
}

/// The work that is in the queue of profiles, each message taken out of it, once there are so many items.
async fn work_of(producer: &Producer, wanted: usize) -> Result<Vec<Vec<u8>>> {
    let (mut work, mut items) = (Vec::new(), 0);
    while items < wanted {
        let take = || async { producer.take("er.work.profiles.single.v1").await.ok().flatten() };
        let body = eventually("work is in the queue", SOON, take).await?;
        let message: WorkMessage = serde_json::from_slice(&body)?;
        items += message.items.len();
        work.push(body);
    }
    Ok(work)
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_queues_full_of_messages_are_listed_in_groups_and_sent_again_by_group() -> Result<()> {
    let all = if std::env::var_os("ERASURE_TEST_LONG").is_some() {
        MESSAGES_LONG
    } else {
        MESSAGES
    };
    let commands = all * 6 / 10;
    let malformed = all - commands;
    let patience = PATIENCE_PER_MESSAGE * u32::try_from(all)?;
    let world = apart().build().await?;
    let crowd = Crowd::of(world.company(), 0, u32::try_from(KNOWN)? + UNKNOWN).await?;
    let (known, unknown): (Vec<Asked>, Vec<Asked>) = {
        let (known, unknown) = crowd.requests().split_at(KNOWN);
        (known.to_vec(), unknown.to_vec())
    };
    let mut keepers = run(&world, &["intake", "reconciler", "segments", "analytics"]).await?;
    let producer = Producer::connect(world.amqp()).await?;
    for asked in &known {
        producer.publish(&asked.message()).await?;
    }
    let sent = "select count(distinct request) from {}.dispatch where last_at is not null";
    until_ledger_in(patience, &world, "they are sent out", sent, i64::try_from(KNOWN)?).await?;
    let work = work_of(&producer, KNOWN).await?;

    // Nobody takes them in while they are put there, as after a long night.
    keepers.remove(1).term().await?;
    let began = Instant::now();
    let filler = Filler::connect(world.amqp()).await?;
    let bodies = unknown.iter().map(|asked| asked.message().body).collect::<Vec<_>>();
    filler
        .fill("er.dead.ingest.v1", bodies.iter().cycle().take(commands).cloned(), None)
        .await?;
    filler
        .fill(
            "er.dead.analytics.v1",
            (0..malformed).map(|at| format!("no work {at}").into_bytes()),
            None,
        )
        .await?;
    filler
        .fill("er.dead.profiles.v1", work.into_iter(), Some("delivery_limit"))
        .await?;
    let filled = began.elapsed();
    let reconciler = run(&world, &["reconciler"]).await?.remove(0);
    let open = i64::try_from(commands + malformed)?;
    until_ledger_in(
        patience,
        &world,
        "all are put aside",
        "select count(*) from {}.parked where state = 'open'",
        open,
    )
    .await?;
    let failed = "select count(*) from {}.report where kind = 'failed' and code = 'WORK-005'";
    until_ledger_in(
        patience,
        &world,
        "all tasks that were given up need attention",
        failed,
        i64::try_from(KNOWN)?,
    )
    .await?;
    let taken_in = began.elapsed() - filled;

    let entries = listed(&world, &["attention", "list"]).await?;
    let of = |queue: &str| {
        entries
            .iter()
            .find(|it| it["queue"] == queue)
            .map(|it| it["messages"].as_u64())
    };
    ensure!(entries.len() == 3, "{entries:?}");
    ensure!(of("ingest") == Some(u64::try_from(commands).ok()), "{entries:?}");
    ensure!(of("dead") == Some(u64::try_from(malformed).ok()), "{entries:?}");
    ensure!(
        entries.iter().any(|it| it["code"] == "WORK-005" && it["tasks"] == KNOWN),
        "{entries:?}"
    );

    // One group, with one command; the others stay as they are.
    let began = Instant::now();
    world
        .command(&["attention", "redrive", "--queue", "ingest", "--actor", "ops"])
        .await?
        .done()?;
    let redriven = "select count(*) from {}.parked where state = 'redriven' and queue = 'ingest'";
    ensure!(ledger(&world, redriven).await? == i64::try_from(commands)?);
    ensure!(ledger(&world, "select count(*) from {}.parked where state = 'open'").await? == i64::try_from(malformed)?);
    ensure!(ledger(&world, failed).await? == i64::try_from(KNOWN)?);
    let requests = i64::try_from(crowd.requests().len())?;
    until_ledger_in(
        patience,
        &world,
        "every command is a request, once",
        "select count(*) from {}.request",
        requests,
    )
    .await?;
    let sent_again = began.elapsed();
    let memory = memory_kib(&reconciler)?;
    ensure!(memory < MEMORY_KIB_MAX, "the reconciler has taken {memory} KiB");

    let _worker = run(&world, &["profiles"]).await?;
    let redrive = [
        "attention",
        "redrive",
        "--subsystem",
        "profiles",
        "--code",
        "WORK-005",
        "--actor",
        "ops",
    ];
    world.command(&redrive).await?.done()?;
    let ended = "select count(*) from {}.request where state = 'erased'";
    until_ledger_in(patience, &world, "everybody is erased", ended, requests).await?;
    until_state(&world, &unknown[0].id, "erased").await?;
    let answer = world
        .command(&["attention", "redrive", "--queue", "dead", "--actor", "ops"])
        .await?;
    ensure!(
        answer.stdout.contains("cannot be sent again"),
        "{}{}",
        answer.stdout,
        answer.stderr
    );
    eprintln!(
        "{all} dead letters: put there in {filled:?}, taken in in {taken_in:?}, {commands} sent again in {sent_again:?}, {memory} KiB"
    );

    crowd.is_gone_and_nobody_else(world.company()).await
}
