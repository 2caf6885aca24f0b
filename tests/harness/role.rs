//! A process of the fleet, under test.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use tokio::process::{Child, Command};

use crate::{
    eventually::eventually_true,
    process::{Signal, signal},
};

/// How long a process may take to be ready, a debug build on a busy machine included.
const READY: Duration = Duration::from_secs(60);

/// How long a process may take to end, draining included.
const END: Duration = Duration::from_secs(60);

/// How many lines of its log an error shows.
const LINES_SHOWN: usize = 40;

static STARTED: AtomicU32 = AtomicU32::new(0);

/// One process with one or more roles. It is killed when dropped.
#[derive(Debug)]
pub struct Role {
    name: String,
    child: Child,
    pid: u32,
    address: String,
    log: PathBuf,
}

impl Role {
    pub(crate) fn start(mut command: Command, address: String, dir: &Path, name: &str) -> Result<Self> {
        let log = dir.join(format!("{name}-{}.log", STARTED.fetch_add(1, Ordering::Relaxed)));
        let file = File::create(&log).with_context(|| format!("making {}", log.display()))?;
        let out = file.try_clone().context("sharing a log")?;
        let child = command
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(file)
            .spawn()
            .context("starting erasure")?;
        let pid = child.id().context("a process that has just been started has an id")?;
        Ok(Self {
            name: name.to_owned(),
            child,
            pid,
            address,
            log,
        })
    }

    /// Waits until `/readyz` says so.
    ///
    /// # Errors
    /// When the process ends instead, or takes too long; the end of its log is in the error.
    pub async fn ready(&mut self) -> Result<()> {
        let url = self.url("/readyz");
        let client = reqwest::Client::new();
        let ready = || async {
            let answer = client.get(&url).send().await;
            answer.is_ok_and(|answer| answer.status().is_success())
        };
        tokio::select! {
            ready = eventually_true("/readyz", READY, ready) => ready.map_err(|error| error.context(self.last_words())),
            ended = self.child.wait() => bail!("{} ended with {ended:?} instead of being ready:\n{}", self.name, last_lines(&self.log)),
        }
    }

    /// A URL of its HTTP server.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Kills it with SIGKILL and waits for its end.
    ///
    /// # Errors
    /// When it had ended already.
    pub async fn kill9(&mut self) -> Result<()> {
        signal(self.pid, Signal::Kill)?;
        self.ended().await.map(|_| ())
    }

    /// Asks it to end (SIGTERM) and waits until it has drained.
    ///
    /// # Errors
    /// When it takes too long.
    pub async fn term(&mut self) -> Result<ExitStatus> {
        signal(self.pid, Signal::Term)?;
        self.ended().await
    }

    /// Stops it, with its connections open.
    ///
    /// # Errors
    /// When it does not run.
    pub fn pause(&self) -> Result<()> {
        signal(self.pid, Signal::Stop)
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// When it does not run.
    pub fn resume(&self) -> Result<()> {
        signal(self.pid, Signal::Continue)
    }

    /// Waits until it has ended by itself, for example at a crash point.
    ///
    /// # Errors
    /// When it takes too long.
    pub async fn ended(&mut self) -> Result<ExitStatus> {
        let ended = tokio::time::timeout(END, self.child.wait()).await;
        ended
            .with_context(|| format!("{} does not end: {}", self.name, last_lines(&self.log)))?
            .context("waiting for erasure")
    }

    /// Is it still there?
    pub fn runs(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Everything it has said so far.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn log(&self) -> Result<String> {
        std::fs::read_to_string(&self.log).with_context(|| format!("reading {}", self.log.display()))
    }

    fn last_words(&self) -> String {
        format!("the last words of {}:\n{}", self.name, last_lines(&self.log))
    }
}

fn last_lines(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LINES_SHOWN)..].join("\n")
}
