//! A Redis of a test's own.

use anyhow::{Context, Result};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub(crate) struct Server {
    child: Child,
    port: u16,
    _dir: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// A Redis of the test's own, answering.
    pub(crate) async fn start(arguments: &[&str]) -> Result<Self> {
        let port = free_port()?;
        let dir = tempfile::tempdir()?;
        let child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--dir"])
            .arg(dir.path())
            .args(arguments)
            .stdout(Stdio::null())
            .spawn()
            .context("redis-server is not installed; run ./tests/run")?;
        let server = Self { child, port, _dir: dir };
        server.wait_for(&["PING"], |answer| answer.contains("PONG")).await?;
        Ok(server)
    }

    pub(crate) async fn wait_for(&self, command: &[&str], fits: impl Fn(&str) -> bool) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let answer = self.ask(command).await.unwrap_or_default();
            if fits(&answer) {
                return Ok(());
            }
            anyhow::ensure!(Instant::now() < deadline, "{command:?} answers {answer}");
            tokio::task::yield_now().await;
        }
    }

    pub(crate) async fn ask(&self, command: &[&str]) -> Result<String> {
        let mut raw = redis::Client::open(self.url())?.get_multiplexed_async_connection().await?;
        let mut sent = redis::cmd(command[0]);
        sent.arg(&command[1..]);
        Ok(sent.query_async(&mut raw).await?)
    }

    pub(crate) fn port(&self) -> String {
        self.port.to_string()
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }
}

/// A free port. A node of a cluster also listens 10,000 above it.
pub(crate) fn free_port() -> Result<u16> {
    loop {
        let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        if port < 55_000 {
            return Ok(port);
        }
    }
}
