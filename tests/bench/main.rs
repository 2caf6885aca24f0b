//! Measures the fleet beside its parts and beside Celery, on private servers. `tests/bench/run` starts it.

mod ceiling;
mod celery;
mod estate;
mod fleet;
mod machine;
mod post;
mod report;
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
    /// Where the chart and the JSON are written.
    #[arg(long)]
    out: PathBuf,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let mut report = report::Report::new();
    for workload in [Workload::W1, Workload::W2] {
        if arguments.workload.is_some_and(|wanted| wanted != workload) {
            continue;
        }
        let figures = match workload {
            Workload::W1 => Box::pin(whole::run(fleet::Load::Singles, &size(&arguments, 100_000, 5_000))).await,
            Workload::W2 => Box::pin(whole::run(fleet::Load::Bulk, &size(&arguments, 10_000, 2_000))).await,
        };
        report.insert(
            format!("{workload:?}"),
            figures.with_context(|| format!("measuring {workload:?}"))?,
        );
    }
    std::fs::create_dir_all(&arguments.out).with_context(|| format!("making {}", arguments.out.display()))?;
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
        runs: arguments.runs.unwrap_or(if arguments.quick { 3 } else { 5 }),
        celery: (!arguments.without_celery).then_some(if arguments.quick { 200 } else { 2_000 }),
    }
}

/// What Redis has allocated, in bytes, without what it holds for connections and for its log.
pub(crate) async fn redis_memory(url: &str) -> Result<f64> {
    let client = redis::Client::open(url).context("reading the URL of Redis")?;
    let mut connection = client
        .get_multiplexed_async_connection()
        .await
        .context("connecting to Redis")?;
    let text: String = redis::cmd("INFO").arg("memory").query_async(&mut connection).await?;
    let number = |name: &str| -> Result<f64> {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name).and_then(|line| line.strip_prefix(':')));
        let line = line.with_context(|| format!("Redis does not say its {name}"))?;
        line.trim().parse().with_context(|| format!("reading {name}"))
    };
    Ok(number("used_memory")? - number("mem_clients_normal")? - number("mem_aof_buffer")?)
}
