//! The other end of a crash point: a process that is armed tells here that it has come there, and waits.
//!
//! The points and their names are `erasure_drill::Point`.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use erasure_drill::Point;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};

/// Listens for one process that is to stop at one pass of one point.
#[derive(Debug)]
pub struct Call {
    listener: TcpListener,
    at: Point,
    pass: u32,
}

/// A process that has come to its point and waits there: one task of it, the others go on.
#[derive(Debug)]
pub struct Stopped(BufReader<TcpStream>);

impl Call {
    /// Listens for the `pass`th time that a process comes to this point.
    ///
    /// # Errors
    /// When no port can be opened.
    pub async fn listen(at: Point, pass: u32) -> Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))
            .await
            .context("listening for a crash point")?;
        Ok(Self { listener, at, pass })
    }

    /// The environment of the process that is to stop.
    ///
    /// # Errors
    /// When the system does not tell the port.
    pub fn environment(&self) -> Result<[(&'static str, String); 2]> {
        let address = self.listener.local_addr().context("asking for our port")?;
        Ok([
            ("ERASURE_DRILL_AT", format!("{}:{}", self.at.as_str(), self.pass)),
            ("ERASURE_DRILL_CALL", address.to_string()),
        ])
    }

    /// Waits until the process is there. A point that is never reached is an error: a drill on it would have proved nothing.
    ///
    /// # Errors
    /// When it does not come in time, or another one comes.
    pub async fn reached(self, deadline: Duration) -> Result<Stopped> {
        let name = self.at.as_str();
        let arrival = async {
            let mut line = BufReader::new(self.listener.accept().await?.0);
            let mut said = String::new();
            line.read_line(&mut said).await?;
            anyhow::Ok((said, line))
        };
        let arrived = tokio::time::timeout(deadline, arrival).await;
        let (said, line) = arrived.with_context(|| format!("no process has come to {name}"))??;
        ensure!(said.trim_end() == name, "a process came to {said:?} instead of {name}");
        Ok(Stopped(line))
    }
}

impl Stopped {
    /// Lets it go on. If it was killed meanwhile, nobody hears.
    pub async fn let_go(mut self) {
        let _nobody = self.0.write_u8(b'.').await;
    }
}
