//! `erasure import`: everybody in a file, as one request in parts, in constant memory.

use super::WrongUse;
use super::ask;
use super::meter::Meter;
use super::publish::{Sender, Sent};
use super::request::{Asked, asked_text, exit_code, follow};
use super::watch::IdIs;
use crate::assemble::Fleet;
use crate::cli::ImportArgs;
use crate::output::{Output, counted, table};
use anyhow::{Context as _, bail};
use erasure_intake::file::{Format, Parts, Report, Vocabulary};
use erasure_kit::Resolve as _;
use erasure_protocol::{Command, Lane};
use serde::Serialize;
use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::process::ExitCode;

/// So many parts are read, sealed and published at a time: what bounds the memory.
const PARTS_AT_ONCE: usize = 16;

#[derive(Serialize)]
struct Imported<'a> {
    #[serde(flatten)]
    asked: Asked<'a>,
    parts: u64,
    #[serde(flatten)]
    report: &'a Report,
}

/// Sends the good lines, reports the bad ones.
///
/// # Errors
/// When nothing could be sent, or a part is not known to have arrived.
pub(crate) async fn run(fleet: &Fleet, args: &ImportArgs, out: Output) -> anyhow::Result<ExitCode> {
    let (template, tenant) = ask::template(&args.ask, &fleet.tenants())?;
    let id = template.request_id.clone();
    let resolve = fleet.resolve()?;
    let vocabulary = Vocabulary {
        kinds: resolve.kinds(),
        alternatives: resolve.alternatives(),
    };
    let mut parts = open(&args.file, vocabulary, template)?;
    let mut upload = Upload {
        sender: Sender::start(fleet)?,
        meter: Meter::new(out),
        first: None,
        parts: 0,
        people: 0,
    };
    let uploaded = Box::pin(upload.all(&mut parts)).await;
    upload.meter.end();
    let report = parts.report();
    tell_bad_lines(report, out);
    uploaded.with_context(|| {
        let so_far = counted(upload.parts, "part");
        format!(
            "{}: stopped after {so_far}; nothing is erased before the last part is there. \
             Run the same import again with --id {id}: parts that arrived count once",
            args.file.display()
        )
    })?;
    let Some(first) = &upload.first else {
        bail!("{}: no line of it can be used, so nothing was sent", args.file.display());
    };
    out.say(format_args!(
        "{} in {} sent as request {id}",
        counted(report.good, "line"),
        counted(upload.parts, "part")
    ));
    let ended = match args.ask.watch {
        true => Some(follow(fleet, &id, &tenant, first, IdIs::of(args.ask.id.as_ref()), out).await?),
        false => None,
    };
    let imported = Imported {
        asked: Asked::new(&id, &tenant, ended.as_ref()),
        parts: upload.parts,
        report,
    };
    out.document(&imported, || asked_text(&id, ended.as_ref()))?;
    if report.bad_count > 0 {
        out.say("exit code 1: some lines were not sent; the others are under way or done");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ended.as_ref().map_or(ExitCode::SUCCESS, exit_code))
}

fn open(path: &Path, vocabulary: Vocabulary, template: Command) -> anyhow::Result<Parts<BufReader<File>>> {
    let Some(format) = Format::of(path) else {
        return Err(WrongUse::error(format!(
            "{}: the name must end in .csv, .ndjson or .jsonl",
            path.display()
        )));
    };
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    Parts::open(BufReader::new(file), format, vocabulary, template)
        .with_context(|| format!("{} is refused; nothing was sent", path.display()))
}

/// Parts on their way to the broker.
struct Upload {
    sender: Sender,
    meter: Meter,
    /// The first part, by which a refusal of the whole is recognised.
    first: Option<Sent>,
    parts: u64,
    people: u64,
}

impl Upload {
    async fn all(&mut self, parts: &mut Parts<BufReader<File>>) -> anyhow::Result<()> {
        let mut waiting = Vec::with_capacity(PARTS_AT_ONCE);
        for part in &mut *parts {
            waiting.push(part?);
            if waiting.len() == PARTS_AT_ONCE {
                self.some(&mut waiting).await?;
            }
        }
        self.some(&mut waiting).await
    }

    async fn some(&mut self, waiting: &mut Vec<Command>) -> anyhow::Result<()> {
        if waiting.is_empty() {
            return Ok(());
        }
        let sent = self.sender.send(waiting, Lane::Bulk).await?;
        self.parts += sent.len() as u64;
        self.people += waiting.iter().map(|part| part.subjects.len() as u64).sum::<u64>();
        self.first = self.first.take().or_else(|| sent.into_iter().next());
        self.meter.show(self.people, None, "people sent");
        waiting.clear();
        Ok(())
    }
}

/// Bad lines by number, with code and advice. Nothing of their content.
fn tell_bad_lines(report: &Report, out: Output) {
    if report.bad_count == 0 {
        return;
    }
    let rows = report.bad.iter().map(|bad| {
        let field = if bad.field.is_empty() {
            "-".to_owned()
        } else {
            bad.field.clone()
        };
        vec![
            bad.line.to_string(),
            bad.code.as_str().to_owned(),
            field,
            bad.code.meaning().to_owned(),
        ]
    });
    out.say(format_args!("{} not sent:", counted(report.bad_count, "line")));
    out.say(table(&["line", "code", "column", "what is wrong"], rows).trim_end());
    let more = report.bad_count - report.bad.len() as u64;
    if more > 0 {
        out.say(format_args!("and {} more", counted(more, "line")));
    }
}
