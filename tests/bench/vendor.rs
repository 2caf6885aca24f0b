//! W6: a vendor that takes 50 people per call and allows 100 calls a second, with two worker processes and more to tell it than it allows.
//! How much of the allowance is used, and is it ever exceeded? Counted where the vendor begins to hear each call.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use erasure_tests::{
    company::Technology,
    eventually::eventually,
    opendsr::{Mode, Processor, Traffic},
    role::Role,
    servers::Servers,
    world::{TOKEN, World},
};
use serde_json::{Value, json};

use crate::{
    estate::{TENANT, execute},
    fleet::PART,
    machine::{Processes, spent},
    post::Post,
    report::{Figures, median},
    whole::Size,
};

/// What the vendor allows.
const CALLS: usize = 100;
const WINDOW: Duration = Duration::from_secs(1);
const PEOPLE_PER_CALL: usize = 50;

/// Everybody is asked for once in vain before the vendor says that they are done.
const POLLS_BEFORE_DONE: u32 = 1;

/// The request's id.
const ID: &str = "vendor";

/// After the first call, until the figures count, and before the last.
const MARGIN: Duration = Duration::from_secs(2);

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(90);

/// What one run took.
#[derive(Debug)]
struct Run {
    /// Calls in a second, as the vendor heard them, in the middle of the time.
    calls_per_s: f64,
    /// The most in any window, over the whole time.
    most: usize,
    /// How many people a call was about.
    people_per_call: f64,
    /// How long that was, in seconds.
    seconds: f64,
    cpu: BTreeMap<String, f64>,
}

/// Measures it.
pub(crate) async fn run(size: &Size) -> Result<Figures> {
    let mut runs = Vec::new();
    for at in 1..=size.runs {
        let run = Box::pin(one(size.subjects)).await?;
        eprintln!("W6: run {at}: {run:.2?}");
        runs.push(run);
    }
    let of = |of: &dyn Fn(&Run) -> f64| median(&runs.iter().map(of).collect::<Vec<_>>()).unwrap_or_default();
    let more = [
        ("calls a second", of(&|it| it.calls_per_s)),
        ("share of the allowance, %", of(&|it| it.calls_per_s / CALLS as f64 * 100.0)),
        ("most calls in any second", of(&|it| it.most as f64)),
        ("people per call", of(&|it| it.people_per_call)),
        (
            "people told or asked after, a second",
            of(&|it| it.calls_per_s * it.people_per_call),
        ),
        ("seconds measured", of(&|it| it.seconds)),
    ];
    Ok(Figures {
        subjects: size.subjects,
        runs: runs.len(),
        cpu_us: ["fleet", "worker 1", "worker 2", "postgres", "rabbitmq", "redis"]
            .into_iter()
            .map(|name| {
                let us = of(&|it| it.cpu.get(name).copied().unwrap_or_default() * 1e6 / f64::from(size.subjects));
                (name.to_owned(), us)
            })
            .collect(),
        more: more.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        ..Figures::default()
    })
}

async fn one(subjects: u32) -> Result<Run> {
    let vendor = Processor::start(Mode {
        people_per_call: PEOPLE_PER_CALL,
        ..Mode::ok(POLLS_BEFORE_DONE)
    })
    .await?;
    let settings = toml::toml! {
        name = "vendor"
        version = "appsflyer"
        property_id = "id-of-an-invented-app"
        people_per_call = 50
        calls_per_second = 100
        calls_at_once = 64
        timeout_ms = 2000
        poll_every_ms = 3000
        identities = [{ kind = "user_id", identity_type = "customer_user_id" }]
    };
    let mut settings = settings;
    settings.insert("base_url".to_owned(), vendor.url_appsflyer().into());
    let world = World::builder()
        .ledger(Technology::Postgres)
        .set("subprocessors.vendors[]", settings)
        .build()
        .await?;
    let result = Box::pin(measured(&world, &vendor, subjects)).await;
    let schema = format!("drop schema {} cascade", world.name());
    let removed = execute(&Servers::of_this_run()?.postgres, &schema).await;
    let run = result?;
    removed?;
    Ok(run)
}

/// Everybody's work waits in the queue before the two processes begin.
async fn measured(world: &World, vendor: &Processor, subjects: u32) -> Result<Run> {
    let post = Post::connect(world.amqp()).await?;
    let mut others = world.run(&["intake", "reconciler", "api", "profiles", "segments", "analytics"])?;
    others.ready().await?;
    post.publish_all("erasure", "request.bulk", &parts(subjects)).await?;
    let answer = || asked(&others);
    let waits = || async { waits_for_vendor_alone(&answer().await?, subjects).then_some(()) };
    eventually("everybody's work waits", PATIENCE, waits).await?;
    let mut workers = [world.run(&["subprocessors"])?, world.run(&["subprocessors"])?];
    let mut processes = Processes::servers()?.and("fleet", others.pid());
    for (worker, name) in workers.iter_mut().zip(["worker 1", "worker 2"]) {
        worker.ready().await?;
        processes = processes.and(name, worker.pid());
    }
    let before = processes.cpu();
    let ends = || async { done(vendor, subjects).then_some(()) };
    let ended = eventually("the vendor is done with everybody", PATIENCE, ends).await;
    let cpu = spent(&before, &processes.cpu());
    ended.with_context(|| last_lines(&workers))?;
    let erased = || async { (answer().await?["state"] == "erased").then_some(()) };
    eventually("everybody is erased", PATIENCE, erased).await?;
    for role in workers.iter_mut().chain([&mut others]) {
        ensure!(role.runs(), "a process has ended: {}", role.log().unwrap_or_default());
        role.term().await?;
    }
    figures(&vendor.traffic(), vendor, cpu)
}

/// What support reads of the request.
async fn asked(role: &Role) -> Option<Value> {
    let url = role.url(&format!("/v1/requests/{ID}?tenant={TENANT}"));
    let answer = reqwest::Client::new().get(url).bearer_auth(TOKEN).send().await.ok()?;
    answer.error_for_status().ok()?.json().await.ok()
}

fn waits_for_vendor_alone(answer: &Value, subjects: u32) -> bool {
    let lines = answer["subsystems"].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut others = lines.iter().filter(|line| line["subsystem"] != "subprocessors");
    answer["state"] == "running" && answer["subjects"] == subjects && others.all(|line| line["state"] == "done")
}

/// Everybody was submitted, and asked for as often as it takes.
fn done(vendor: &Processor, subjects: u32) -> bool {
    vendor.calls().people >= u64::from(subjects) * u64::from(2 + POLLS_BEFORE_DONE)
}

/// The middle of the time: from a while after the first call to a while before the last one that found the allowance used up.
fn figures(traffic: &Traffic, vendor: &Processor, cpu: BTreeMap<String, f64>) -> Result<Run> {
    let moments = traffic.moments();
    let most = traffic.most_in(WINDOW);
    ensure!(most <= CALLS, "{most} calls in a second: more than the vendor allows");
    let (first, last) = (*moments.first().context("no call")?, *moments.last().context("no call")?);
    let (begin, end) = (first + MARGIN, last - MARGIN);
    ensure!(end > begin, "the calls were over too soon: more subjects are needed");
    let middle: Vec<Instant> = moments.iter().copied().filter(|at| (begin..end).contains(at)).collect();
    // Calls may come in bursts: whole allowances are counted, each with the time until the next begins.
    let allowances = middle.len().saturating_sub(1) / CALLS;
    ensure!(allowances > 0, "only {} calls count: more subjects are needed", middle.len());
    let seconds = (middle[allowances * CALLS] - middle[0]).as_secs_f64();
    Ok(Run {
        calls_per_s: (allowances * CALLS) as f64 / seconds,
        most,
        people_per_call: vendor.calls().people as f64 / moments.len() as f64,
        seconds,
        cpu,
    })
}

fn last_lines(roles: &[Role]) -> String {
    let logs = roles.iter().map(|role| role.log().unwrap_or_default());
    logs.map(|log| log.lines().rev().take(20).collect::<Vec<_>>().join("\n"))
        .collect()
}

/// The parts of one request on people of whom nobody but the vendor may know: the fleet's other systems have little to do.
fn parts(subjects: u32) -> Vec<Vec<u8>> {
    let last = subjects.div_ceil(PART) - 1;
    let part = |number: u32| {
        let people = number * PART + 1..(number * PART + PART + 1).min(subjects + 1);
        let people: Vec<_> = people.map(|n| json!({ "user_id": format!("invented-{n:07}") })).collect();
        let command = json!({
            "version": 1,
            "request_id": ID,
            "tenant": TENANT,
            "operation": "erase",
            "part": { "number": number, "last": number == last },
            "subjects": people,
        });
        command.to_string().into_bytes()
    };
    (0..=last).map(part).collect()
}
