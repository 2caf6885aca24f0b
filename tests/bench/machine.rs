//! What the processes take: memory and processor time, from `/proc`.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result};
use tokio::{task::JoinHandle, time::Instant};

/// How often memory is looked at.
const INTERVAL: Duration = Duration::from_millis(500);

/// Linux counts processor time in hundredths of a second for every program.
const TICKS_PER_SECOND: f64 = 100.0;

/// The processes to watch, by what they are called in the result. A server counts with all its children.
#[derive(Clone, Debug)]
pub(crate) struct Processes(BTreeMap<String, u32>);

impl Processes {
    /// The three servers of the run.
    pub(crate) fn servers() -> Result<Self> {
        let folder = std::env::var("ERASURE_TEST_SERVICES").context("ERASURE_TEST_SERVICES is not set: run tests/bench/run")?;
        let pid = |service: &str| -> Result<(String, u32)> {
            let path = PathBuf::from(&folder).join(service).join("pid");
            let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
            Ok((service.to_owned(), text.trim().parse().context("reading a process id")?))
        };
        let all: Result<_> = ["rabbitmq", "redis", "postgres"].into_iter().map(pid).collect();
        Ok(Self(all?))
    }

    /// And this one.
    #[must_use]
    pub(crate) fn and(mut self, name: &str, pid: u32) -> Self {
        self.0.insert(name.to_owned(), pid);
        self
    }

    /// Processor seconds so far, children that have ended included.
    pub(crate) fn cpu(&self) -> BTreeMap<String, f64> {
        let family = children();
        self.0
            .iter()
            .map(|(name, pid)| {
                let own = times(*pid).map_or(0.0, |it| it.own + it.ended_children);
                let living = family.get(pid).into_iter().flatten();
                let living: f64 = living.filter_map(|child| times(*child)).map(|it| it.own).sum();
                (name.clone(), own + living)
            })
            .collect()
    }

    /// Resident memory in MiB: for PostgreSQL, whose processes share most of it, the sum of each one's proportional part.
    pub(crate) fn memory(&self) -> BTreeMap<String, f64> {
        let family = children();
        self.0
            .iter()
            .map(|(name, pid)| {
                let members = std::iter::once(*pid).chain(family.get(pid).into_iter().flatten().copied());
                let kib: f64 = match name.as_str() {
                    "postgres" | "celery" => members.filter_map(|pid| field(pid, "smaps_rollup", "Pss:")).sum(),
                    _ => field(*pid, "status", "VmRSS:").unwrap_or(0.0),
                };
                (name.clone(), kib / 1024.0)
            })
            .collect()
    }
}

/// Processor seconds between two looks.
pub(crate) fn spent(before: &BTreeMap<String, f64>, after: &BTreeMap<String, f64>) -> BTreeMap<String, f64> {
    let since = |(name, now): (&String, &f64)| (name.clone(), now - before.get(name).copied().unwrap_or(0.0));
    after.iter().map(since).collect()
}

/// Memory over time: seconds since the start, and MiB by process.
pub(crate) type Samples = Vec<(f64, BTreeMap<String, f64>)>;

/// Looks at memory until it is asked.
#[derive(Debug)]
pub(crate) struct Watch {
    samples: Arc<Mutex<Samples>>,
    task: JoinHandle<()>,
}

impl Watch {
    /// Begins to look.
    pub(crate) fn start(processes: Processes) -> Self {
        let samples = Arc::new(Mutex::new(Samples::new()));
        let shared = Arc::clone(&samples);
        let task = tokio::spawn(async move {
            let begun = Instant::now();
            loop {
                let sample = (begun.elapsed().as_secs_f64(), processes.memory());
                shared.lock().unwrap_or_else(PoisonError::into_inner).push(sample);
                tokio::time::sleep(INTERVAL).await;
            }
        });
        Self { samples, task }
    }

    /// Ends it, and gives what it saw.
    pub(crate) fn end(self) -> Samples {
        self.task.abort();
        std::mem::take(&mut *self.samples.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The most memory each process had.
pub(crate) fn peaks(samples: &Samples) -> BTreeMap<String, f64> {
    let mut peaks = BTreeMap::new();
    for (name, mib) in samples.iter().flat_map(|(_, sample)| sample) {
        let peak = peaks.entry(name.clone()).or_insert(0.0_f64);
        *peak = peak.max(*mib);
    }
    peaks
}

struct Times {
    parent: u32,
    own: f64,
    ended_children: f64,
}

/// The numbers after the name, which stands in brackets and may hold blanks.
fn times(pid: u32) -> Option<Times> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, after) = text.rsplit_once(')')?;
    let words: Vec<&str> = after.split_whitespace().collect();
    let ticks = |at: usize| words.get(at).and_then(|word| word.parse::<f64>().ok()).unwrap_or(0.0) / TICKS_PER_SECOND;
    Some(Times {
        parent: words.get(1)?.parse().ok()?,
        own: ticks(11) + ticks(12),
        ended_children: ticks(13) + ticks(14),
    })
}

fn children() -> BTreeMap<u32, Vec<u32>> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    let entries = std::fs::read_dir(Path::new("/proc")).into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    for pid in pids {
        if let Some(times) = times(pid) {
            children.entry(times.parent).or_default().push(pid);
        }
    }
    children
}

fn field(pid: u32, file: &str, name: &str) -> Option<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/{file}")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}
