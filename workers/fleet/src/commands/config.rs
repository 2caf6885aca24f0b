//! `erasure config`: whether the configuration can be used, and what may stand in it.

mod schema;
mod warnings;

use crate::assemble::Fleet;
use crate::cli::ConfigCommand;
use crate::output::{Output, counted};
use anyhow::Context as _;
use serde_json::json;
use std::path::Path;
use std::process::ExitCode;

/// Checks, or prints the schema.
///
/// # Errors
/// With what is wrong in the configuration, the data map or the key ring, where, and what to do.
pub(crate) fn run(path: &Path, command: &ConfigCommand, out: Output) -> anyhow::Result<ExitCode> {
    match command {
        ConfigCommand::Check => check(path, out),
        ConfigCommand::Schema => {
            out.text(schema::TEXT)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn check(path: &Path, out: Output) -> anyhow::Result<ExitCode> {
    let fleet = Fleet::load(path)?;
    let keys = fleet.keys()?.list();
    fleet.stores().context("[store]")?;
    if !fleet.config.subprocessors.vendors.is_empty() {
        fleet.config.subprocessors.check().context("[subprocessors]")?;
    }
    let warnings = warnings::of(&fleet);
    let subsystems: Vec<_> = fleet.subsystem_names().iter().map(ToString::to_string).collect();
    let document =
        json!({ "file": path.display().to_string(), "subsystems": subsystems, "keys": keys.len(), "warnings": warnings });
    out.document(&document, || {
        let warnings: String = warnings.iter().map(|warning| format!("warning: {warning}\n")).collect();
        format!(
            "{warnings}{} can be used: {} ({}), {}, {} in the key ring. Nothing was connected to.",
            path.display(),
            counted(subsystems.len() as u64, "subsystem"),
            subsystems.join(", "),
            counted(fleet.config.tenant.len() as u64, "tenant"),
            counted(keys.len() as u64, "key"),
        )
    })?;
    Ok(ExitCode::SUCCESS)
}
