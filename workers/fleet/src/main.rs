//! The `erasure` binary: wiring only.

mod assemble;
mod cli;
mod commands;
mod config;
mod metrics;
mod output;
mod revision;
mod run;
mod telemetry;
mod web;

use clap::Parser as _;
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    match commands::run(cli).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("erasure: {error:#}");
            ExitCode::FAILURE
        }
    }
}
