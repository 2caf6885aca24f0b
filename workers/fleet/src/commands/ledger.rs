//! `erasure ledger`: the schema of the durable record, and who may use it.

use crate::cli::LedgerCommand;
use crate::config::Config;
use crate::output::Output;
use anyhow::Context as _;
use serde_json::json;
use std::path::Path;
use std::process::ExitCode;

/// Migrates, or prints the grants.
///
/// # Errors
/// When the ledger cannot be reached or refuses.
pub(crate) async fn run(path: &Path, command: &LedgerCommand, out: Output) -> anyhow::Result<ExitCode> {
    let config = Config::load(path)?.ledger;
    match command {
        LedgerCommand::Migrate => {
            let migrated = Box::pin(erasure_ledger::migrate(&config))
                .await
                .context("migrating the ledger")?;
            let document = json!({ "ledger": migrated.ledger.to_string(), "from": migrated.from, "to": migrated.to });
            out.document(&document, || match migrated.from == migrated.to {
                true => format!(
                    "{} is at version {} already; its id is {}.",
                    config.shown(),
                    migrated.to,
                    migrated.ledger
                ),
                false => format!(
                    "{} went from version {} to {}; its id is {}.",
                    config.shown(),
                    migrated.from,
                    migrated.to,
                    migrated.ledger
                ),
            })?;
        }
        LedgerCommand::Grants { role } => {
            if config.is_embedded()? {
                out.say("note: this ledger is a SQLite file; grants are for PostgreSQL");
            }
            let sql = erasure_ledger::grants(&config, role)?;
            out.document(&json!({ "sql": sql }), || sql.clone())?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
