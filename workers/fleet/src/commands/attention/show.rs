//! One thing that needs attention, in full.

use super::Thing;
use super::advice::advice;
use crate::output::{Output, counted, table};
use anyhow::{Context as _, anyhow};
use erasure_ledger::{Act, Attention, AttentionFilter, Ledger, Parked};
use erasure_protocol::{Header, RequestKey, RequestState};
use serde::Serialize;
use std::process::ExitCode;

const FAULTS_MAX: u32 = 1000;

#[derive(Serialize)]
struct Shown<'a> {
    request_id: &'a str,
    tenant: &'a str,
    state: RequestState,
    faults: Vec<Fault<'a>>,
    acts: Vec<Done<'a>>,
}

#[derive(Serialize)]
struct Fault<'a> {
    subsystem: &'a str,
    slice: u32,
    tasks: usize,
    code: &'static str,
    source: &'a str,
    attempt: u32,
    at: String,
    meaning: &'static str,
    advice: &'static str,
}

#[derive(Serialize)]
struct Message<'a> {
    id: &'a str,
    queue: &'a str,
    code: &'a str,
    field: Option<&'a str>,
    tenant: Option<&'a str>,
    state: &'static str,
    at: String,
    expires_at: String,
    meaning: &'static str,
    advice: &'static str,
    acts: Vec<Done<'a>>,
}

#[derive(Serialize)]
struct Done<'a> {
    at: String,
    actor: &'a str,
    kind: &'a str,
    reason: &'a str,
    result: &'a str,
}

/// Prints it. Never the body of a message: that is personal data.
///
/// # Errors
/// When it is gone, or the ledger cannot be read.
pub(super) async fn print(ledger: &Ledger, thing: Thing, out: Output) -> anyhow::Result<ExitCode> {
    match thing {
        Thing::Request(request) => show_request(ledger, request, out).await?,
        Thing::Parked(id) => {
            let parked = ledger
                .parked_one(&id)
                .await?
                .ok_or_else(|| anyhow!("the parked message {id} is gone"))?;
            show_message(&parked, &ledger.acts(&id).await?, out)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn show_request(ledger: &Ledger, request: RequestKey, out: Output) -> anyhow::Result<()> {
    let header: Header = ledger.header(request).await?.context("the request is gone")?;
    let filter = AttentionFilter {
        request: Some(request),
        ..AttentionFilter::default()
    };
    let failed = ledger.attention(&filter, None, FAULTS_MAX).await?;
    let acts = ledger.acts(&request.to_string()).await?;
    let shown = Shown {
        request_id: header.request_id.as_str(),
        tenant: header.tenant.as_str(),
        state: header.state,
        faults: failed.iter().map(fault).collect(),
        acts: acts.iter().map(done).collect(),
    };
    out.document(&shown, || request_text(&shown))
}

fn show_message(parked: &Parked, acts: &[Act], out: Output) -> anyhow::Result<()> {
    let advice = advice(&parked.code);
    let shown = Message {
        id: &parked.id,
        queue: &parked.queue,
        code: &parked.code,
        field: parked.field.as_deref(),
        tenant: parked.tenant.as_ref().map(|it| it.as_str()),
        state: parked.state.as_str(),
        at: parked.at.to_rfc3339(),
        expires_at: parked.expires_at.to_rfc3339(),
        meaning: advice.meaning,
        advice: advice.advice,
        acts: acts.iter().map(done).collect(),
    };
    out.document(&shown, || message_text(&shown))
}

fn fault(it: &Attention) -> Fault<'_> {
    Fault {
        subsystem: it.subsystem.as_str(),
        slice: it.slice,
        tasks: it.tasks.count(),
        code: it.fault.code.as_str(),
        source: &it.fault.source.0,
        attempt: it.attempt,
        at: it.at.to_rfc3339(),
        meaning: it.fault.code.meaning(),
        advice: it.fault.code.advice(),
    }
}

fn done(act: &Act) -> Done<'_> {
    Done {
        at: act.at.to_rfc3339(),
        actor: &act.actor,
        kind: &act.kind,
        reason: &act.reason,
        result: &act.result,
    }
}

fn request_text(shown: &Shown<'_>) -> String {
    let mut text = format!("request {} of tenant {}: {}\n", shown.request_id, shown.tenant, shown.state);
    if shown.faults.is_empty() {
        text.push_str("Nothing of it needs attention.\n");
    }
    for it in &shown.faults {
        text.push_str(&format!(
            "\n{}: {} of slice {} failed {} at {}\n  {}: {} ({})\n  {}\n",
            it.subsystem,
            counted(it.tasks as u64, "task"),
            it.slice,
            counted(u64::from(it.attempt), "time"),
            it.at,
            it.source,
            it.meaning,
            it.code,
            it.advice
        ));
    }
    text + &acts_text(&shown.acts)
}

fn message_text(shown: &Message<'_>) -> String {
    let field = shown.field.map_or_else(String::new, |field| format!("{field}: "));
    let tenant = shown.tenant.map_or_else(String::new, |tenant| format!(" of tenant {tenant}"));
    format!(
        "message {} from queue {}{tenant}, put aside {} ({}), kept until {}\n  {field}{} ({})\n  {}\n{}",
        shown.id,
        shown.queue,
        shown.at,
        shown.state,
        shown.expires_at,
        shown.meaning,
        shown.code,
        shown.advice,
        acts_text(&shown.acts)
    )
}

fn acts_text(acts: &[Done<'_>]) -> String {
    if acts.is_empty() {
        return String::new();
    }
    let rows = acts
        .iter()
        .map(|it| [it.at.as_str(), it.actor, it.kind, it.reason, it.result].map(str::to_owned));
    format!("\nWhat was done\n{}", table(&["at", "who", "act", "reason", "result"], rows))
}
