//! Measures the fleet beside its parts and beside Celery, on private servers. `tests/bench/run` starts it.

mod backlog;
mod ceiling;
mod celery;
mod counted;
mod estate;
mod fleet;
mod machine;
mod mixed;
mod polls;
mod post;
mod profile;
mod report;
mod vendor;
mod whole;

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
#[value(rename_all = "UPPER")]
enum Workload {
    /// Commands on one person each.
    W1,
    /// One bulk request.
    W2,
    /// A backlog from a file.
    W3,
    /// Status polls, idle and under load.
    W4,
    /// Single commands while a bulk request is erased.
    W5,
    /// A vendor's allowance, over two processes.
    W6,
}

/// The command line; `tests/bench/run` checks it first.
#[derive(Debug, Parser)]
struct Arguments {
    /// Only this workload.
    #[arg(long, ignore_case = true)]
    workload: Option<Workload>,
    /// Smaller, with fewer runs.
    #[arg(long)]
    quick: bool,
    /// Prints one JSON object to standard output.
    #[arg(long)]
    json: bool,
    /// So many subjects in each run, instead of the workload's own number.
    #[arg(long)]
    subjects: Option<u32>,
    /// So many runs.
    #[arg(long)]
    runs: Option<usize>,
    /// Without Celery.
    #[arg(long)]
    without_celery: bool,
    /// So many processes with every role, in W1 and W2.
    #[arg(long, default_value_t = 1)]
    processes: usize,
    /// Looks where the time goes; see `tests/bench/run`.
    #[arg(long)]
    profile: bool,
    /// Where the chart and the JSON are written.
    #[arg(long)]
    out: PathBuf,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    std::fs::create_dir_all(&arguments.out).with_context(|| format!("making {}", arguments.out.display()))?;
    if arguments.profile {
        profile::ask_for(&arguments.out);
    }
    let mut report = report::Report::new();
    for workload in Workload::value_variants().iter().copied() {
        // Quickly, only the whole job is measured, unless something else is asked for.
        let by_default = matches!(workload, Workload::W1 | Workload::W2) || !arguments.quick;
        if !arguments.workload.map_or(by_default, |wanted| wanted == workload) {
            continue;
        }
        let figures = match workload {
            Workload::W1 => Box::pin(whole::run(fleet::Load::Singles, &size(&arguments, 100_000, 2_000))).await,
            Workload::W2 => Box::pin(whole::run(fleet::Load::Bulk, &size(&arguments, 10_000, 2_000))).await,
            Workload::W3 => Box::pin(backlog::run(&size(&arguments, 1_000_000, 20_000))).await,
            Workload::W4 => Box::pin(polls::run(&size(&arguments, 100_000, 40_000))).await,
            Workload::W5 => Box::pin(mixed::run(&size(&arguments, 200_000, 20_000))).await,
            Workload::W6 => Box::pin(vendor::run(&size(&arguments, 50_000, 20_000))).await,
        };
        let figures = figures.with_context(|| format!("measuring {workload:?}"))?;
        report.insert(format!("{workload:?}"), figures);
    }
    let beside: Vec<&mut report::Figures> = report.values_mut().filter(|it| it.ceiling_per_s.is_some()).collect();
    if !beside.is_empty() && !arguments.without_celery {
        let runs = size(&arguments, 0, 0).runs;
        let people = if arguments.quick { 200 } else { 2_000 };
        let celery = Box::pin(whole::Celery::run(people, runs)).await.context("measuring Celery")?;
        beside.into_iter().for_each(|figures| celery.beside(figures));
    }
    report::write_chart(&report, &arguments.out.join("bench.svg"))?;
    let path = arguments.out.join("bench.json");
    std::fs::write(&path, serde_json::to_string_pretty(&report)?).with_context(|| format!("writing {}", path.display()))?;
    eprint!("{}", report::table(&report));
    if arguments.json {
        report::print_json(&report)?;
    }
    Ok(())
}

fn size(arguments: &Arguments, whole: u32, quick: u32) -> whole::Size {
    whole::Size {
        subjects: arguments.subjects.unwrap_or(if arguments.quick { quick } else { whole }),
        processes: arguments.processes,
        runs: arguments.runs.unwrap_or(if arguments.quick { 3 } else { 5 }),
    }
}

/// How many requests are asked for their size; where there are more, the others are taken to be as large.
const REQUESTS_ASKED_MAX: usize = 5_000;

/// What Redis holds under a prefix, in bytes, what it needs to find the keys included.
pub(crate) async fn redis_memory(url: &str, prefix: &str) -> Result<f64> {
    let client = redis::Client::open(url).context("reading the URL of Redis")?;
    let connection = client.get_multiplexed_async_connection().await;
    let mut connection = connection.context("connecting to Redis")?;
    let keys: Vec<String> = redis::cmd("KEYS")
        .arg(format!("{prefix}:*"))
        .query_async(&mut connection)
        .await?;
    // Streams and what else there is once are large, and never stand for the others.
    let is_of_a_request = |key: &String| {
        let last = key.rsplit(':').next().unwrap_or_default();
        last == "b" || (last.len() == 32 && last.bytes().all(|it| it.is_ascii_hexdigit()))
    };
    let (requests, others): (Vec<String>, Vec<String>) = keys.into_iter().partition(is_of_a_request);
    let asked = requests.get(..REQUESTS_ASKED_MAX).unwrap_or(&requests);
    #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
    let times = requests.len() as f64 / asked.len().max(1) as f64;
    Ok(sizes(&mut connection, asked).await? * times + sizes(&mut connection, &others).await?)
}

async fn sizes(connection: &mut redis::aio::MultiplexedConnection, keys: &[String]) -> Result<f64> {
    let mut asked = redis::pipe();
    for key in keys {
        asked.cmd("MEMORY").arg("USAGE").arg(key).arg("SAMPLES").arg(0);
    }
    if keys.is_empty() {
        return Ok(0.0);
    }
    let sizes: Vec<Option<u64>> = asked
        .query_async(connection)
        .await
        .context("asking Redis for the size of keys")?;
    #[allow(clippy::cast_precision_loss, reason = "far below 2^52")]
    Ok(sizes.into_iter().flatten().sum::<u64>() as f64)
}
