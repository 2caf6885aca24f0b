//! `erasure map check`: the data map by itself, and against the live stores.

use crate::assemble::Fleet;
use crate::cli::MapCommand;
use crate::config::Config;
use crate::output::Output;
use anyhow::Context as _;
use erasure_kit::Resolve as _;
use erasure_protocol::Fault;
use erasure_stores::map::{Map, Problem, Severity};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;

#[derive(Serialize)]
struct Checked<'a> {
    file: String,
    usable: bool,
    /// How values of each kind of identifier are compared.
    identifiers: BTreeMap<String, &'static str>,
    /// The sets of kinds that can find a person.
    ways: Vec<Vec<String>>,
    problems: Vec<Shown<'a>>,
}

#[derive(Serialize)]
struct Shown<'a> {
    severity: &'static str,
    code: &'static str,
    line: u32,
    column: u32,
    message: &'a str,
    advice: &'a str,
}

/// Checks the map. Exit code 1 when it cannot be used.
///
/// # Errors
/// When the configuration or the map's file cannot be read.
pub(crate) async fn run(path: &Path, command: &MapCommand, out: Output) -> anyhow::Result<ExitCode> {
    match command {
        MapCommand::Check => check(path, out).await,
    }
}

async fn check(path: &Path, out: Output) -> anyhow::Result<ExitCode> {
    let file = Config::load(path)?.map.file;
    let text = std::fs::read_to_string(&file).with_context(|| format!("cannot read the data map {}", file.display()))?;
    let (problems, map, ways) = match Map::parse(&text) {
        Err(refused) => (refused.problems().to_vec(), None, Vec::new()),
        Ok(map) => {
            let fleet = Fleet::load(path)?;
            let (catalog, faults) = fleet.stores()?.catalog().await;
            tell(&faults, out);
            // Without a key ring the map can still be checked.
            let ways = fleet.resolve().map(|resolve| resolve.alternatives()).unwrap_or_default();
            let ways = ways.iter().map(|way| way.iter().map(ToString::to_string).collect()).collect();
            (erasure_stores::map::check(&map, &catalog), Some(map), ways)
        }
    };
    let usable = problems.iter().all(|problem| problem.severity != Severity::Error);
    let identifiers = map.map(|map| map.identifiers).unwrap_or_default();
    let checked = Checked {
        file: file.display().to_string(),
        usable,
        identifiers: identifiers
            .iter()
            .map(|(kind, how)| (kind.to_string(), how.as_str()))
            .collect(),
        ways,
        problems: problems.iter().map(shown).collect(),
    };
    out.document(&checked, || people(&checked, &problems, &text))?;
    Ok(if usable { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn tell(faults: &[Fault], out: Output) {
    for fault in faults {
        out.say(format_args!("error: {fault}. {}", fault.code.advice()));
    }
}

fn shown(problem: &Problem) -> Shown<'_> {
    Shown {
        severity: match problem.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        },
        code: problem.code.as_str(),
        line: problem.place.line,
        column: problem.place.column,
        message: &problem.message,
        advice: &problem.advice,
    }
}

fn people(checked: &Checked<'_>, problems: &[Problem], map_text: &str) -> String {
    let rendered: Vec<_> = problems.iter().map(|problem| problem.render(map_text)).collect();
    let errors = problems.iter().filter(|problem| problem.severity == Severity::Error).count();
    let end = match (errors, problems.len()) {
        (0, 0) => format!("{} fits the stores.", checked.file),
        (0, warnings) => format!("{} can be used; warnings: {warnings}.", checked.file),
        (errors, all) => format!(
            "{} cannot be used; errors: {errors}, warnings: {}.",
            checked.file,
            all - errors
        ),
    };
    let ways: Vec<_> = checked.ways.iter().map(|way| way.join(" + ")).collect();
    let found = if ways.is_empty() {
        String::new()
    } else {
        format!("\nA person is found by {}.", ways.join(", or "))
    };
    format!(
        "{}{end}{found}",
        rendered.iter().map(|it| format!("{it}\n")).collect::<String>()
    )
}
