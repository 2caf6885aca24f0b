//! The same job by Celery: one worker with two processes, the same servers, the same rows.

use std::{path::PathBuf, process::Stdio, sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use erasure_tests::{
    binary::repository,
    process::{Signal, signal},
    servers::Servers,
    vhost::VirtualHost,
};
use serde::Deserialize;
use tokio::process::Command;

use crate::{
    estate::Estate,
    machine::{Processes, Watch, peaks},
};

/// How long a measurement may take.
const WHOLE: Duration = Duration::from_secs(900);

/// How long the worker may take to end.
const END: Duration = Duration::from_secs(30);

/// What one run took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    /// How many people were erased in a second.
    pub(crate) per_s: f64,
    /// The most memory of all its processes, in MiB.
    pub(crate) memory: f64,
}

#[derive(Deserialize)]
struct Answer {
    seconds: f64,
    people: u32,
}

/// One run over everybody of the estate: one by one, or this many at a time.
pub(crate) async fn run(estate: &Arc<Estate>, batch: Option<u32>) -> Result<Run> {
    let servers = Servers::of_this_run()?;
    let management = servers
        .amqp_management
        .as_deref()
        .context("ERASURE_TEST_AMQP_MANAGEMENT is not set")?;
    let vhost = VirtualHost::create(management, "celery").await?;
    let copy = estate.copy().await?;
    let python =
        PathBuf::from(std::env::var_os("ERASURE_BENCH_CELERY").context("ERASURE_BENCH_CELERY is not set: run tests/bench/run")?);
    let program = |name: &str| {
        let mut command = Command::new(python.join("bin").join(name));
        command
            .current_dir(repository().join("tests/bench/celery"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("BENCH_AMQP", vhost.url(&servers.amqp))
            .env("BENCH_REDIS", &servers.redis)
            .env("BENCH_POSTGRES", &copy.url)
            .env("BENCH_PREFETCH", if batch.is_some() { "1" } else { "32" })
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    };
    let mut worker = program("celery")
        .args("-A erase worker -P prefork -c 2 --without-gossip --without-mingle --without-heartbeat -l warning".split(' '))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("starting Celery")?;
    let pid = worker.id().context("a process that has just been started has an id")?;
    let watch = Watch::start(Processes::servers()?.and("celery", pid));
    let measured = program("python")
        .arg("measure.py")
        .args([estate.subjects.to_string(), batch.unwrap_or(0).to_string()])
        .output();
    let measured = tokio::time::timeout(WHOLE, measured).await;
    let memory = peaks(&watch.end()).get("celery").copied().unwrap_or_default();
    signal(pid, Signal::Term)?;
    let ended = tokio::time::timeout(END, worker.wait()).await;
    let output = measured.context("Celery takes too long")?.context("running Celery")?;
    ensure!(
        output.status.success(),
        "Celery failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    ended.context("Celery's worker does not end")??;
    let answer: Answer = serde_json::from_slice(&output.stdout).context("reading what Celery took")?;
    copy.check().await?;
    copy.remove().await?;
    Ok(Run {
        per_s: f64::from(answer.people) / answer.seconds,
        memory,
    })
}
