//! `erasure completions`: a script for a shell.

use crate::cli::Cli;
use crate::output::Output;
use clap::CommandFactory as _;
use clap_complete::Shell;
use std::process::ExitCode;

/// Prints the script.
///
/// # Errors
/// When stdout cannot be written.
pub(crate) fn run(shell: Shell, out: Output) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "erasure", &mut script);
    out.text(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}
