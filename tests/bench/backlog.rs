//! W3: a backlog from a file, as one request in parts: is the rate the same at the end as at the beginning, and does memory stay flat?

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use erasure_tests::{company::Technology, role::Role, servers::Servers, world::TOKEN};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    estate::{Estate, TENANT, user},
    fleet::Fleet,
    machine::{Processes, Samples, Watch, peaks, spent},
    redis_memory,
    report::{Figures, median},
    whole::Size,
};

/// The request's id.
const ID: &str = "backlog";

/// How often it is asked how far it is.
const LOOK: Duration = Duration::from_millis(200);

/// When nobody more is erased for this long, the run has failed.
const STUCK: Duration = Duration::from_secs(120);

/// How many equal parts of the way are compared.
const STRETCHES: u32 = 10;

/// What one run took.
#[derive(Debug)]
struct Run {
    upload_seconds: f64,
    /// From the beginning of the upload until the first of them is erased everywhere.
    first_seconds: f64,
    /// Until the request is final.
    seconds: f64,
    /// Subjects in a second, for each tenth of the way.
    stretches: Vec<f64>,
    samples: Samples,
    cpu: BTreeMap<String, f64>,
    redis_bytes: f64,
    ledger_bytes: f64,
}

/// Measures it.
pub(crate) async fn run(size: &Size) -> Result<Figures> {
    let servers = Servers::of_this_run()?;
    let subjects = size.subjects;
    eprintln!("W3: making a company of which {subjects} people are forgotten");
    let estate = Arc::new(Estate::found(&servers.postgres, subjects).await?);
    let mut runs = Vec::new();
    for at in 1..=size.runs {
        let fleet = Fleet::build(&estate, Technology::Postgres, |builder| builder).await?;
        let result = Box::pin(measured(&fleet, subjects)).await;
        let removed = fleet.remove().await;
        let run = result?;
        removed?;
        eprintln!(
            "W3: run {at}: {:.0}/s, tenths of the way {:.0?}",
            f64::from(subjects) / run.seconds,
            run.stretches
        );
        runs.push(run);
    }
    Ok(figures(subjects, &runs))
}

async fn measured(fleet: &Fleet, subjects: u32) -> Result<Run> {
    let mut people = String::from("user_id\n");
    for n in 1..=subjects {
        // Writing into a String cannot fail.
        let _ = writeln!(people, "{}", user(n));
    }
    let file = fleet.world.file("people.csv", people)?;
    let mut role = fleet.start().await?;
    let processes = Processes::servers()?.and("fleet", role.pid());
    let watch = Watch::start(processes.clone());
    let cpu_before = processes.cpu();
    let begun = Instant::now();
    fleet
        .world
        .command(&["import", &file, "--tenant", TENANT, "--id", ID])
        .await?
        .done()?;
    let upload_seconds = begun.elapsed().as_secs_f64();
    let way = Box::pin(followed(&mut role, subjects, fleet.world.name())).await?;
    let cpu = spent(&cpu_before, &processes.cpu());
    let samples = watch.end();
    role.term().await?;
    fleet.copy.check().await?;
    let (ledger_bytes, _) = fleet.ledger_at_end(1).await?;
    Ok(Run {
        upload_seconds,
        seconds: upload_seconds + way.seconds,
        first_seconds: upload_seconds + way.first_seconds,
        stretches: way.stretches,
        samples,
        cpu,
        redis_bytes: way.redis_most,
        ledger_bytes,
    })
}

/// How it went from the end of the upload.
struct Way {
    first_seconds: f64,
    seconds: f64,
    stretches: Vec<f64>,
    redis_most: f64,
}

/// Asks over HTTP how far it is, until it is erased.
async fn followed(role: &mut Role, subjects: u32, prefix: &str) -> Result<Way> {
    let client = reqwest::Client::new();
    let url = role.url(&format!("/v1/requests/{ID}?tenant={TENANT}"));
    let servers = Servers::of_this_run()?;
    let each = f64::from(subjects) / f64::from(STRETCHES);
    let begun = Instant::now();
    let (mut seen, mut moved) = (0.0, Instant::now());
    let mut first: Option<f64> = None;
    let mut last = (0.0, 0.0);
    let mut passed: Vec<f64> = Vec::new();
    let mut redis_most = 0.0_f64;
    loop {
        let answer = client
            .get(&url)
            .bearer_auth(TOKEN)
            .timeout(Duration::from_secs(30))
            .send()
            .await
            .context("asking for the status")?;
        // Until intake has taken the first part nobody knows it.
        let answer: Value = match answer.status() {
            reqwest::StatusCode::NOT_FOUND => json!({ "state": "receiving", "people": { "erased": 0 } }),
            _ => {
                let answer = answer.error_for_status().context("asking for the status")?;
                answer.json().await.context("reading the status")?
            }
        };
        let at = begun.elapsed().as_secs_f64();
        let done = answer["people"]["erased"].as_f64().context("the status counts people")?;
        if done > seen {
            first.get_or_insert(last.0);
            while passed.len() < STRETCHES as usize && done >= each * (passed.len() as f64 + 1.0) {
                let mark = each * (passed.len() as f64 + 1.0);
                // Between two looks the rate is taken for constant.
                passed.push(last.0 + (at - last.0) * (mark - last.1) / (done - last.1));
            }
            (seen, moved) = (done, Instant::now());
        }
        last = (at, done);
        redis_most = redis_most.max(redis_memory(&servers.redis, prefix).await?);
        match answer["state"].as_str() {
            Some("erased") => break,
            Some("receiving" | "running") => {}
            other => bail!("the backlog is in the state {other:?}"),
        }
        ensure!(role.runs(), "the fleet has ended: {}", role.log().unwrap_or_default());
        ensure!(
            moved.elapsed() < STUCK,
            "{seen} of {subjects} are erased, and no more: {answer}"
        );
        tokio::time::sleep(LOOK).await;
    }
    let mut from = first.unwrap_or_default();
    let mut stretches = Vec::new();
    for passed in passed {
        stretches.push(each / (passed - from).max(1e-3));
        from = passed;
    }
    Ok(Way {
        first_seconds: first.unwrap_or_default(),
        seconds: begun.elapsed().as_secs_f64(),
        stretches,
        redis_most,
    })
}

fn figures(subjects: u32, runs: &[Run]) -> Figures {
    let each = f64::from(subjects);
    let of = |of: &dyn Fn(&Run) -> f64| median(&runs.iter().map(of).collect::<Vec<_>>());
    let memory_mib =
        runs.iter()
            .map(|run| peaks(&run.samples))
            .fold(BTreeMap::new(), |mut most: BTreeMap<String, f64>, peaks| {
                for (name, mib) in peaks {
                    let known = most.entry(name).or_default();
                    *known = known.max(mib);
                }
                most
            });
    let more = [
        ("upload, subjects a second", of(&|run| each / run.upload_seconds)),
        ("seconds until the first is erased", of(&|run| run.first_seconds)),
        ("seconds until the request is final", of(&|run| run.seconds)),
        (
            "last tenth / first tenth",
            of(&|run| run.stretches.last().copied().unwrap_or_default() / run.stretches.first().copied().unwrap_or(f64::NAN)),
        ),
        ("memory of the fleet, last third / second", of(&|run| growth(&run.samples))),
    ];
    Figures {
        subjects,
        runs: runs.len(),
        fleet_per_s: of(&|run| each / run.seconds),
        rss_mib: memory_mib.get("fleet").copied(),
        memory_mib,
        redis_bytes_per_subject: of(&|run| run.redis_bytes / each),
        ledger_bytes_per_subject: of(&|run| run.ledger_bytes / each),
        cpu_us: ["fleet", "postgres", "rabbitmq", "redis"]
            .into_iter()
            .filter_map(|name| {
                let us = of(&|run| run.cpu.get(name).copied().unwrap_or_default() * 1e6 / each)?;
                Some((name.to_owned(), us))
            })
            .collect(),
        fleet_runs_per_s: runs.iter().map(|run| each / run.seconds).collect(),
        more: more
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect(),
        ..Figures::default()
    }
}

/// The fleet's mean memory in the last third of the time over that in the second one: 1 when it is flat.
fn growth(samples: &Samples) -> f64 {
    let fleet: Vec<f64> = samples
        .iter()
        .filter_map(|(_, sample)| sample.get("fleet").copied())
        .collect();
    let third = fleet.len() / 3;
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len().max(1) as f64;
    mean(&fleet[2 * third..]) / mean(&fleet[third..2 * third])
}
