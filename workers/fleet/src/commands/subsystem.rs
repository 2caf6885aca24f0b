//! `erasure subsystem`: the parts of the estate that the ledger expects.

use super::{WrongUse, act};
use crate::assemble::Fleet;
use crate::cli::SubsystemCommand;
use crate::output::{Output, table};
use anyhow::bail;
use erasure_ledger::{Access, Ledger, Subsystem};
use erasure_protocol::{ActKind, SubsystemName};
use serde::Serialize;
use std::process::ExitCode;

#[derive(Serialize)]
struct Shown {
    name: SubsystemName,
    kind: String,
    evidence: String,
    retired: bool,
    configured: bool,
}

/// Lists them, or takes one out.
///
/// # Errors
/// When the ledger cannot be read, or the name is not registered.
pub(crate) async fn run(fleet: &Fleet, command: &SubsystemCommand, out: Output) -> anyhow::Result<ExitCode> {
    let ledger = fleet.ledger(Access::Read).await?;
    match command {
        SubsystemCommand::List => list(fleet, &ledger, out).await,
        SubsystemCommand::Retire { name, reason, actor } => {
            act::check_reason(reason)?;
            let name = SubsystemName::new(name.as_str()).map_err(|error| WrongUse::error(error.to_string()))?;
            match ledger.subsystems().await?.into_iter().find(|it| it.name == name) {
                None => bail!("no subsystem {name} is registered; `erasure subsystem list` shows which are"),
                Some(it) if it.retired => {
                    out.say(format_args!("{name} was retired already"));
                    Ok(ExitCode::SUCCESS)
                }
                Some(_) => {
                    if is_configured(fleet, &name) {
                        out.say(format_args!(
                            "note: {name} is still configured; a reconciler that runs with it registers it again"
                        ));
                    }
                    let act = ActKind::RetireSubsystem {
                        name,
                        reason: reason.clone(),
                    };
                    act::carry_out(fleet, &ledger, actor, vec![act], out).await
                }
            }
        }
    }
}

async fn list(fleet: &Fleet, ledger: &Ledger, out: Output) -> anyhow::Result<ExitCode> {
    let shown = |it: Subsystem| Shown {
        configured: is_configured(fleet, &it.name),
        evidence: it.evidence.to_string(),
        name: it.name,
        kind: it.kind,
        retired: it.retired,
    };
    let all: Vec<_> = ledger.subsystems().await?.into_iter().map(shown).collect();
    let yes = |it: bool| if it { "yes" } else { "no" }.to_owned();
    let row = |it: &Shown| {
        vec![
            it.name.to_string(),
            it.kind.clone(),
            yes(it.configured),
            yes(it.retired),
            it.evidence.clone(),
        ]
    };
    out.list(&all, || match all.is_empty() {
        true => "No subsystem is registered yet; a reconciler registers what is configured.".to_owned(),
        false => table(
            &["subsystem", "kind", "configured", "retired", "evidence key"],
            all.iter().map(row),
        ),
    })?;
    Ok(ExitCode::SUCCESS)
}

fn is_configured(fleet: &Fleet, name: &SubsystemName) -> bool {
    fleet.subsystem_names().contains(name)
}
