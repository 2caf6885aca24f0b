//! Signals to processes, by id.

use std::process::Command;

use anyhow::{Context, Result, ensure};

/// A signal, by its name for the shell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Ends it at once; it learns nothing of it.
    Kill,
    /// Asks it to end.
    Term,
    /// Stops it; its connections stay open.
    Stop,
    /// Lets it go on.
    Continue,
}

impl Signal {
    fn name(self) -> &'static str {
        match self {
            Self::Kill => "KILL",
            Self::Term => "TERM",
            Self::Stop => "STOP",
            Self::Continue => "CONT",
        }
    }
}

/// Sends a signal to exactly one process.
///
/// # Errors
/// When there is no such process.
pub fn signal(pid: u32, signal: Signal) -> Result<()> {
    // The workspace forbids unsafe code, and the shell has `kill` built in.
    let status = Command::new("sh")
        .args(["-c", "kill -s \"$1\" \"$2\"", "sh", signal.name(), &pid.to_string()])
        .status();
    let status = status.context("running sh")?;
    ensure!(status.success(), "process {pid} could not be sent {signal:?}");
    Ok(())
}
