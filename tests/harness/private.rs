//! Servers of one test's own, to be killed, wiped, stopped and started again.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::{
    eventually::eventually_true,
    process::{Signal, signal},
};

/// How long RabbitMQ may take to write the name of a new queue.
const WRITTEN: Duration = Duration::from_secs(10);

/// What kind of server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// RabbitMQ.
    RabbitMq,
    /// RabbitMQ of the next major version; see `deploy/rabbitmq4`.
    RabbitMq4,
    /// Redis, with an append-only file.
    Redis,
    /// PostgreSQL.
    Postgres,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::RabbitMq => "rabbitmq",
            Self::RabbitMq4 => "rabbitmq4",
            Self::Redis => "redis",
            Self::Postgres => "postgres",
        }
    }
}

/// One server on a free port that stays the same over restarts. Confirmed writes reach its disk. Dropping it ends it, and
/// so does the end of the test's process, however it ends.
#[derive(Debug)]
pub struct PrivateServer {
    kind: Kind,
    dir: TempDir,
}

impl PrivateServer {
    /// Starts one, and returns when it answers. Blocks: 0.1 s for Redis, 1 s for PostgreSQL, about 5 s for RabbitMQ.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start(kind: Kind) -> Result<Self> {
        Self::start_with(kind, &[])
    }

    /// Starts a RabbitMQ of the same version as a node of the cluster of which this one is the first.
    ///
    /// # Errors
    /// When it does not start or does not join.
    pub fn start_joined(&self) -> Result<Self> {
        let first = self.dir.path().display().to_string();
        Self::start_with(self.kind, &["--join", &first])
    }

    /// Starts a Redis that waits to meet the other nodes of its cluster; see [`crate::redis_cluster`].
    ///
    /// # Errors
    /// When it does not start.
    pub fn start_redis_node() -> Result<Self> {
        Self::start_with(Kind::Redis, &["--cluster"])
    }

    fn start_with(kind: Kind, options: &[&str]) -> Result<Self> {
        let dir = tempfile::Builder::new()
            .prefix("erasure-private.")
            .tempdir()
            .context("making a folder")?;
        let server = Self { kind, dir };
        let own_pid = std::process::id().to_string();
        let options = [&["--until", &own_pid, "--durable"], options].concat();
        server.services(&["start"], &options)?;
        Ok(server)
    }

    /// Where to reach it.
    ///
    /// # Panics
    /// Never once started: the folder holds the URL.
    #[must_use]
    pub fn url(&self) -> String {
        self.read("url").expect("a server that has been started has a URL")
    }

    /// Where its data lies, and its log.
    #[must_use]
    pub fn folder(&self) -> PathBuf {
        self.dir.path().join(self.kind.name())
    }

    /// Ends it in an orderly way.
    ///
    /// # Errors
    /// When it does not end.
    pub fn stop(&self) -> Result<()> {
        self.services(&["stop"], &[])
    }

    /// Kills it with SIGKILL, and returns when it is gone.
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill9(&self) -> Result<()> {
        signal(self.pid()?, Signal::Kill)?;
        self.services(&["stop"], &["--now"])
    }

    /// Starts it again on the same port with the data it has.
    ///
    /// # Errors
    /// When it does not start.
    pub fn start_again(&self) -> Result<()> {
        self.services(&["start"], &["--durable"])
    }

    /// Stops and starts it.
    ///
    /// # Errors
    /// When it does not end or start.
    pub fn restart(&self) -> Result<()> {
        self.stop()?;
        self.start_again()
    }

    /// Stops its process with its connections open, until [`PrivateServer::resume`].
    ///
    /// # Errors
    /// When it does not run.
    pub fn pause(&self) -> Result<()> {
        signal(self.pid()?, Signal::Stop)
    }

    /// Lets it go on after [`PrivateServer::pause`].
    ///
    /// # Errors
    /// When it does not run.
    pub fn resume(&self) -> Result<()> {
        signal(self.pid()?, Signal::Continue)
    }

    /// Kills it, removes its data, and starts it empty on the same port.
    ///
    /// # Errors
    /// When one of these fails.
    pub fn wipe(&self) -> Result<()> {
        self.services(&["stop"], &["--now"])?;
        std::fs::remove_dir_all(self.folder().join("data")).context("removing its data")?;
        self.start_again()
    }

    /// Runs one of RabbitMQ's own tools, for example `rabbitmqctl`, against it, and returns what it printed.
    ///
    /// # Errors
    /// When it fails.
    pub fn rabbitmq_tool(&self, command_line: &str) -> Result<String> {
        let environment = self.folder().join("environment");
        let output = Command::new("bash")
            .args(["-c", &format!(". \"$1\" && {command_line}"), "bash"])
            .arg(environment)
            .output()
            .context("running bash")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{command_line} failed: {said}");
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// Waits until RabbitMQ has written down that it has this quorum queue. It does so within about a second of the
    /// declaration; killed before, 3.10 forgets the queue and what it confirmed.
    ///
    /// # Errors
    /// When it does not.
    pub async fn remembers(&self, queue: &str) -> Result<()> {
        let node = self.node_name()?;
        let names = self.folder().join(format!("data/{node}/quorum/{node}/names.dets"));
        let written = || async {
            let bytes = std::fs::read(&names).unwrap_or_default();
            bytes.windows(queue.len()).any(|window| window == queue.as_bytes())
        };
        eventually_true("RabbitMQ has written the queue's name", WRITTEN, written).await
    }

    /// What RabbitMQ calls itself.
    ///
    /// # Errors
    /// When it has not been started, or is none.
    pub fn node_name(&self) -> Result<String> {
        Ok(format!("{}@localhost", self.read("node")?))
    }

    /// Its process id.
    ///
    /// # Errors
    /// When it does not run.
    pub fn pid(&self) -> Result<u32> {
        self.read("pid")?.parse().context("reading a process id")
    }

    fn read(&self, file: &str) -> Result<String> {
        let path = self.folder().join(file);
        let text = std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        Ok(text.trim().to_owned())
    }

    fn services(&self, command: &[&str], options: &[&str]) -> Result<()> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR"))
            .with_file_name("deploy")
            .join("services");
        // The server inherits what we give; a pipe would stay open for as long as it runs.
        let log = std::fs::File::create(self.dir.path().join("services.log")).context("making a log")?;
        let status = Command::new("bash")
            .arg(script)
            .args(command)
            .arg(self.dir.path())
            .args(options)
            .arg(self.kind.name())
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("sharing a log")?)
            .stderr(log)
            .status()
            .context("running deploy/services")?;
        let said = || std::fs::read_to_string(self.dir.path().join("services.log")).unwrap_or_default();
        ensure!(status.success(), "{} {command:?} failed: {}", self.kind.name(), said());
        Ok(())
    }
}

impl Drop for PrivateServer {
    fn drop(&mut self) {
        // The folder goes with us; what cannot be ended here, the watcher of deploy/services ends.
        let _ = self.services(&["stop"], &["--now"]);
    }
}
