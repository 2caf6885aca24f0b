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

/// Batches come and go by the thousand. The system's allocator keeps what each thread once needed; see `.cargo/config.toml`.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

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
