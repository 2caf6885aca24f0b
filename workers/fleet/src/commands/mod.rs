//! What operators and scripts do with the binary, one module for each command.

mod act;
mod ask;
mod attention;
mod completions;
mod config;
mod find;
mod import;
mod key;
mod ledger;
mod lookup;
mod map;
mod meter;
mod person;
mod publish;
mod reading;
mod request;
mod rows;
mod status;
mod subsystem;
mod topology;
mod watch;

use crate::assemble::Fleet;
use crate::cli::{Cli, Command};
use crate::output::Output;
use std::process::ExitCode;

/// The command line asks for something that cannot be: exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct WrongUse(pub(crate) String);

impl WrongUse {
    pub(crate) fn error(sentence: impl Into<String>) -> anyhow::Error {
        Self(sentence.into()).into()
    }
}

/// Carries out what the command line asks.
///
/// # Errors
/// With what was wrong, where, and what to do. Wrong use is told on stderr and is exit code 2.
pub(crate) async fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let out = Output::new(cli.json);
    match Box::pin(dispatch(cli, out)).await {
        Err(error) if error.is::<WrongUse>() => {
            out.say(format_args!("error: {error:#}"));
            Ok(ExitCode::from(2))
        }
        ended => ended,
    }
}

async fn dispatch(cli: Cli, out: Output) -> anyhow::Result<ExitCode> {
    let path = cli.config.as_path();
    match cli.command {
        Command::Run(args) => Box::pin(crate::run::run(Fleet::load(path)?, args)).await,
        Command::Request(args) => Box::pin(request::run(&Fleet::load(path)?, &args, out)).await,
        Command::Import(args) => Box::pin(import::run(&Fleet::load(path)?, &args, out)).await,
        Command::Status(args) => Box::pin(status::run(&Fleet::load(path)?, &args, out)).await,
        Command::Find(args) => Box::pin(find::run(&Fleet::load(path)?, &args, out)).await,
        Command::Lookup(args) => Box::pin(lookup::run(&Fleet::load(path)?, &args, out)).await,
        Command::Attention(command) => Box::pin(attention::run(&Fleet::load(path)?, &command, out)).await,
        Command::Map(command) => Box::pin(map::run(path, &command, out)).await,
        Command::Topology(command) => Box::pin(topology::run(&Fleet::load(path)?, &command, out)).await,
        Command::Ledger(command) => Box::pin(ledger::run(path, &command, out)).await,
        Command::Subsystem(command) => Box::pin(subsystem::run(&Fleet::load(path)?, &command, out)).await,
        Command::Key(command) => Box::pin(key::run(path, &command, out)).await,
        Command::Config(command) => config::run(path, &command, out),
        Command::Completions { shell } => completions::run(shell, out),
    }
}
