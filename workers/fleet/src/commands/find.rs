//! `erasure find`: a person's requests by any identifier, each with that person's own state.

use super::person;
use super::reading::{Reader, Told};
use crate::assemble::Fleet;
use crate::cli::PersonArgs;
use crate::output::{Output, counted, table};
use anyhow::Context as _;
use erasure_protocol::Answer;
use std::process::ExitCode;

/// Looks by keyed hashes; the identifiers leave this process nowhere.
///
/// # Errors
/// When the arguments are wrong or the ledger cannot be read.
pub(crate) async fn run(fleet: &Fleet, args: &PersonArgs, out: Output) -> anyhow::Result<ExitCode> {
    let tenant = person::tenant(&fleet.tenants(), &args.tenant)?;
    let record = person::record(&args.identifiers)?;
    let resolve = fleet.resolve()?;
    person::check_kinds(&record, &resolve)?;
    let (keys, reader) = (fleet.keys()?, Reader::open(fleet, out).await?);
    let now = reader.ledger().now().await?;
    let found = reader
        .0
        .by_identifiers(&keys, &resolve, &tenant, &record, now)
        .await
        .context("looking for the person")?;
    let told: Vec<_> = found.answers.iter().map(Told::new).collect();
    out.list(&told, || text(&found.answers))?;
    if found.more > 0 {
        out.say(format_args!(
            "and {} on this person that came before",
            counted(found.more as u64, "request")
        ));
    }
    Ok(ExitCode::SUCCESS)
}

fn text(answers: &[Answer]) -> String {
    if answers.is_empty() {
        return "No request on this person is known.".to_owned();
    }
    let rows = answers.iter().map(|answer| {
        vec![
            answer.request_id.to_string(),
            answer.operation.to_string(),
            answer.asked_at.to_rfc3339(),
            answer.due_at.to_rfc3339(),
            answer.ticket.clone().unwrap_or_else(|| "-".to_owned()),
            answer.headline.as_str().to_owned(),
        ]
    });
    let header = ["request", "operation", "asked", "due", "ticket", "this person"];
    let sentences: String = answers
        .iter()
        .map(|answer| format!("\n{}: {}\n", answer.request_id, answer.text()))
        .collect();
    format!("{}{sentences}", table(&header, rows))
}
