//! The soak: a whole fleet of separate processes under constant load, and a nemesis that kills, hangs, cuts, floods and wipes by a
//! seeded schedule. An independent oracle looks into the stores whenever somebody is said to be erased, and again at the end.
//!
//! `./tests/run --soak MINUTES`; `ERASURE_TEST_SEED` runs the schedule of a seed again.

pub(crate) mod books;
pub(crate) mod dice;
pub(crate) mod estate;
pub(crate) mod fleet;
pub(crate) mod hands;
pub(crate) mod load;
pub(crate) mod nemesis;
pub(crate) mod oracle;
pub(crate) mod report;
pub(crate) mod schedule;

use anyhow::{Context as _, Result, ensure};
use books::Books;
use erasure_tests::opendsr::Processor;
use estate::Estate;
use fleet::Fleet;
use hands::{Hands, TICK};
use load::Load;
use nemesis::{Line, Nemesis, Suffered};
use oracle::Oracle;
use report::Report;
use schedule::{Pace, Server, schedule};
use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tokio::sync::watch;

/// After the last fault the fleet may take so long without bringing anything to its end.
const PATIENCE: Duration = Duration::from_secs(150);
const LOOK: Duration = Duration::from_millis(250);

#[tokio::test(flavor = "multi_thread")]
async fn random_faults_lose_nobody_and_nobody_is_falsely_said_to_be_erased() -> Result<()> {
    let minutes = std::env::var("ERASURE_TEST_SOAK_MINUTES").context("ERASURE_TEST_SOAK_MINUTES says for how long")?;
    let minutes: u32 = minutes.parse().context("reading ERASURE_TEST_SOAK_MINUTES")?;
    soak(seed()?, minutes * 60, Pace { least: 10, most: 50 }).await
}

/// The seed that was asked for, or one of the clock.
fn seed() -> Result<u64> {
    match std::env::var("ERASURE_TEST_SEED") {
        Ok(seed) => seed.parse().context("reading ERASURE_TEST_SEED"),
        Err(_) => Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs()),
    }
}

/// Runs one, prints and writes its report, and fails unless nothing was lost and everything told was true.
pub(crate) async fn soak(seed: u64, seconds: u32, pace: Pace) -> Result<()> {
    eprintln!("soak: ERASURE_TEST_SEED={seed}");
    let ticks = seconds * 1_000 / u32::try_from(TICK.as_millis())?;
    let (load, schedule) = (Load::of(seed, ticks), schedule(seed, ticks, pace));
    let last = load.last;
    // Acme is the first half, and there are people beyond the last one who is named.
    let fleet = Arc::new(Fleet::found(2 * last + 200).await?);
    let supervisor = tokio::spawn(Arc::clone(&fleet).supervise());
    let estate = Estate::survey(&fleet.server(Server::Postgres).url(), fleet.world.name(), last).await?;
    let books = Books::default();
    let oracle = Oracle::start(fleet.world.amqp(), estate.clone(), books.clone()).await?;
    remembered(&fleet).await?;

    let began = Instant::now();
    let (tell, told) = watch::channel(0);
    let nemesis = Nemesis::unleash(&fleet, &schedule, &told);
    let handing_in = tokio::spawn(Hands::new(Arc::clone(&fleet), books.clone()).hand_in(load, tell));
    let suffered = nemesis.exhausted().await?;
    handing_in.await??;
    let settled = until_settled(&books).await;
    let report = Report {
        seconds: began.elapsed().as_secs(),
        schedule: schedule.iter().map(Line::of).collect(),
        ..judge(&fleet, &estate, &books, &suffered, seed, ticks).await?
    };
    supervisor.abort();
    drop(oracle);
    eprintln!("{}\nwritten to {}", report.table(), report.write()?.display());
    let is_well = settled
        && [
            &report.lost,
            &report.falsely_erased,
            &report.duplicated_effects,
            &report.surprises,
        ]
        .iter()
        .all(|it| it.is_empty());
    if !is_well {
        let logs = report::folder().join(format!("logs-{seed}"));
        fleet.keep_logs(&logs)?;
        explain(&fleet, &report).await?;
        eprintln!("logs of the processes are in {}", logs.display());
    }
    ensure!(
        is_well,
        "see the report above; ERASURE_TEST_SEED={seed} runs the same schedule"
    );
    Ok(())
}

/// Waits until RabbitMQ has written down that it has every queue: killed before, 3.10 forgets them.
async fn remembered(fleet: &Fleet) -> Result<()> {
    let rabbitmq = fleet.server(Server::RabbitMq);
    let queues = rabbitmq.rabbitmq_tool("rabbitmqctl -q list_queues name --no-table-headers")?;
    for queue in queues.lines().map(str::trim).filter(|name| !name.is_empty()) {
        rabbitmq.remembers(queue).await?;
    }
    Ok(())
}

/// Waits until everything that was taken is at its end; `false` when nothing has moved for too long.
async fn until_settled(books: &Books) -> bool {
    let (mut before, mut since) = (books.standing(), Instant::now());
    loop {
        let now = books.standing();
        if now.0 == now.1 {
            return true;
        }
        if now != before {
            (before, since) = (now, Instant::now());
        }
        if since.elapsed() > PATIENCE {
            return false;
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn judge(fleet: &Fleet, estate: &Estate, books: &Books, suffered: &[Suffered], seed: u64, ticks: u32) -> Result<Report> {
    let mut falsely_erased = books.open().falsehoods.clone();
    falsely_erased.extend(still_there(estate, books).await?);
    falsely_erased.extend(estate.damage().await?);
    let mut surprises = books.open().surprises.clone();
    surprises.extend(
        fleet
            .ended_alone
            .lock()
            .expect("nobody panics with it in hand")
            .iter()
            .cloned(),
    );
    let conflicts = "select count(*) from {}.parked where code like 'COMMAND-%'";
    let conflicts_put_aside = estate.ledger_number(conflicts).await?;
    let tasks = "select cast(coalesce(sum(r.subjects), 0) as bigint) from {}.request r join {}.plan_entry p on p.plan = r.plan";
    let tasks = estate.ledger_number(tasks).await?;
    let pages = books.open();
    if i64::try_from(pages.conflicts_handed_in)? != conflicts_put_aside {
        surprises.push(format!("{conflicts_put_aside} conflicts were put aside"));
    }
    let lost: Vec<String> = {
        let open = pages.requests.iter().filter(|(_, it)| it.taken && it.ended.is_none());
        open.map(|(id, _)| id.clone()).collect()
    };
    let mut duplicated_effects: Vec<String> = Vec::new();
    for (id, entry) in pages.requests.iter().filter(|(_, it)| it.finals.len() > 1) {
        duplicated_effects.push(format!(
            "{id} has ended more than once: {:?}, {:?}",
            entry.finals, entry.words
        ));
    }
    duplicated_effects.extend(told_twice(&fleet.vendor, &pages.requests));
    let healing = report::healing(suffered, &pages);
    let (requests, subjects) = (pages.requests.len(), pages.requests.values().map(|it| it.people.len()).sum());
    let (events, request_ms) = (pages.events, report::request_ms(&pages));
    let (duplicates_handed_in, conflicts_handed_in) = (pages.duplicates_handed_in, pages.conflicts_handed_in);
    drop(pages);
    Ok(Report {
        seed,
        ticks,
        seconds: 0,
        requests,
        subjects,
        tasks,
        events,
        duplicates_handed_in,
        conflicts_handed_in,
        conflicts_put_aside,
        sent_again: fleet.sent_again()?,
        lost,
        falsely_erased,
        duplicated_effects,
        surprises,
        request_ms,
        time_to_heal: report::meaning(),
        faults: healing,
        schedule: Vec::new(),
    })
}

/// At the end everybody whose request has ended is gone, from the newsletter as well where the plan says so.
async fn still_there(estate: &Estate, books: &Books) -> Result<Vec<String>> {
    let with_newsletter = "select distinct r.request_id from {}.request r join {}.plan_entry p on p.plan = r.plan \
                           where p.subsystem = 'newsletter'";
    let with_newsletter = estate.ledger_texts(with_newsletter).await?;
    let requests = books.open().requests.clone();
    let mut there = Vec::new();
    for (id, entry) in requests.iter().filter(|(_, it)| it.ended.is_some()) {
        let newsletter = entry.is_fresh && (entry.with_newsletter || with_newsletter.contains(id));
        let rows = estate.rows_of(&entry.people, newsletter).await?;
        if rows > 0 {
            there.push(format!("at the end {rows} rows of {id} are there"));
        }
    }
    Ok(there)
}

/// The vendor was told of nobody under more ids than there were requests for them.
fn told_twice(vendor: &Processor, requests: &BTreeMap<String, books::Entry>) -> Vec<String> {
    let mut asked: BTreeMap<String, usize> = BTreeMap::new();
    for person in requests.values().flat_map(|it| &it.people) {
        *asked.entry(format!("person{person:07}@example.invalid")).or_default() += 1;
    }
    let mut told: BTreeMap<String, usize> = BTreeMap::new();
    for body in vendor.bodies() {
        let value = body["subject_identities"][0]["identity_value"].as_str().unwrap_or_default();
        *told.entry(value.to_ascii_lowercase()).or_default() += 1;
    }
    let twice = told
        .into_iter()
        .filter(|(person, times)| asked.get(person).is_none_or(|asked| times > asked));
    twice
        .map(|(person, times)| format!("the vendor was told of {person} {times} times"))
        .collect()
}

/// What the fleet itself says of what it has lost.
async fn explain(fleet: &Fleet, report: &Report) -> Result<()> {
    for part in [
        &report.lost,
        &report.falsely_erased,
        &report.duplicated_effects,
        &report.surprises,
    ] {
        part.iter().take(20).for_each(|it| eprintln!("- {it}"));
    }
    for id in report.lost.iter().take(3) {
        let answer = fleet.world.command(&["status", id, "--json"]).await?;
        eprintln!("{id}: {}{}", answer.stdout, answer.stderr);
    }
    let answer = fleet.world.command(&["attention", "list"]).await?;
    let shown: Vec<&str> = answer.stdout.lines().take(30).collect();
    eprintln!("{}", shown.join("\n"));
    Ok(())
}
