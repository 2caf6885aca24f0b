//! The list: failed tasks by fault, and parked messages.

use super::advice::advice;
use super::filter::Filter;
use crate::output::{Output, counted, table, thousands};
use erasure_ledger::{Attention, Ledger, Parked, ParkedGroup};
use erasure_protocol::{FaultCode, Millis, RequestId, SubsystemName, TenantId};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

/// So many request ids of one fault are named; the others are counted.
const REQUESTS_NAMED_MAX: usize = 100;

#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Entry {
    Failed(Failed),
    Parked(Message),
    ParkedGroup(Group),
}

/// Tasks that failed for one reason.
#[derive(Serialize)]
struct Failed {
    subsystem: SubsystemName,
    code: FaultCode,
    source: String,
    meaning: &'static str,
    advice: &'static str,
    tasks: u64,
    requests_count: usize,
    requests: Vec<Request>,
    since: String,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Request {
    request_id: RequestId,
    tenant: TenantId,
}

/// Many messages that could not be taken, for one reason: `attention redrive --queue … --code …` sends all of them again.
#[derive(Serialize)]
struct Group {
    queue: String,
    code: String,
    meaning: &'static str,
    advice: &'static str,
    messages: u64,
    since: String,
}

/// A message that could not be taken.
#[derive(Serialize)]
struct Message {
    id: String,
    queue: String,
    code: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<TenantId>,
    meaning: &'static str,
    advice: &'static str,
    state: &'static str,
    at: String,
    expires_at: String,
}

/// Prints what fits.
///
/// # Errors
/// When the ledger cannot be read.
pub(super) async fn print(ledger: &Ledger, filter: &Filter, out: Output) -> anyhow::Result<ExitCode> {
    let failed = grouped(&filter.failed(ledger).await?).into_iter().map(Entry::Failed);
    let parked = filter.parked(ledger).await?.into_iter().map(|it| Entry::Parked(message(it)));
    let groups = filter
        .large_groups(ledger)
        .await?
        .into_iter()
        .map(|it| Entry::ParkedGroup(group(it)));
    let entries: Vec<Entry> = failed.chain(parked).chain(groups).collect();
    out.list(&entries, || text(&entries))?;
    Ok(ExitCode::SUCCESS)
}

fn grouped(failed: &[Attention]) -> Vec<Failed> {
    #[derive(Default)]
    struct Group {
        tasks: u64,
        requests: BTreeSet<Request>,
        since: Option<Millis>,
    }
    let mut groups: BTreeMap<(SubsystemName, FaultCode, String), Group> = BTreeMap::new();
    for it in failed {
        let group = groups
            .entry((it.subsystem.clone(), it.fault.code, it.fault.source.0.clone()))
            .or_default();
        group.tasks += it.tasks.count() as u64;
        group.requests.insert(Request {
            request_id: it.request_id.clone(),
            tenant: it.tenant.clone(),
        });
        group.since = Some(group.since.map_or(it.at, |since| since.min(it.at)));
    }
    let failed = groups.into_iter().map(|((subsystem, code, source), group)| Failed {
        subsystem,
        code,
        source,
        meaning: code.meaning(),
        advice: code.advice(),
        tasks: group.tasks,
        requests_count: group.requests.len(),
        requests: group.requests.into_iter().take(REQUESTS_NAMED_MAX).collect(),
        since: group.since.map(Millis::to_rfc3339).unwrap_or_default(),
    });
    failed.collect()
}

fn group(parked: ParkedGroup) -> Group {
    let advice = advice(&parked.code);
    Group {
        meaning: advice.meaning,
        advice: advice.advice,
        messages: parked.messages,
        since: parked.since.to_rfc3339(),
        queue: parked.queue,
        code: parked.code,
    }
}

fn message(parked: Parked) -> Message {
    let advice = advice(&parked.code);
    Message {
        meaning: advice.meaning,
        advice: advice.advice,
        state: parked.state.as_str(),
        at: parked.at.to_rfc3339(),
        expires_at: parked.expires_at.to_rfc3339(),
        id: parked.id,
        queue: parked.queue,
        code: parked.code,
        field: parked.field,
        tenant: parked.tenant,
    }
}

fn text(entries: &[Entry]) -> String {
    if entries.is_empty() {
        return "Nothing needs attention.".to_owned();
    }
    let (mut failed, mut parked, mut groups, mut advice) = (Vec::new(), Vec::new(), Vec::new(), BTreeMap::new());
    for entry in entries {
        match entry {
            Entry::Failed(it) => {
                advice.insert(it.code.as_str().to_owned(), (it.meaning, it.advice));
                failed.push(vec![
                    it.code.to_string(),
                    it.subsystem.to_string(),
                    it.source.clone(),
                    thousands(it.tasks),
                    requests(it),
                    it.since.clone(),
                ]);
            }
            Entry::ParkedGroup(it) => {
                advice.insert(it.code.clone(), (it.meaning, it.advice));
                groups.push(vec![
                    it.code.clone(),
                    it.queue.clone(),
                    thousands(it.messages),
                    it.since.clone(),
                ]);
            }
            Entry::Parked(it) => {
                advice.insert(it.code.clone(), (it.meaning, it.advice));
                let field = it.field.clone().unwrap_or_else(|| "-".to_owned());
                parked.push(vec![it.code.clone(), it.queue.clone(), field, it.at.clone(), it.id.clone()]);
            }
        }
    }
    let mut text = String::new();
    if !failed.is_empty() {
        let header = ["code", "subsystem", "where", "tasks", "requests", "since"];
        text.push_str(&format!("Failed tasks\n{}\n", table(&header, failed)));
    }
    if !parked.is_empty() {
        let header = ["code", "queue", "field", "at", "id"];
        text.push_str(&format!("Messages put aside\n{}\n", table(&header, parked)));
    }
    if !groups.is_empty() {
        let header = ["code", "queue", "messages", "since"];
        text.push_str(&format!("Messages put aside, in groups\n{}\n", table(&header, groups)));
    }
    for (code, (meaning, advice)) in advice {
        text.push_str(&format!("{code}: {meaning}. {advice}\n"));
    }
    text
}

/// The id where there is one, else how many.
fn requests(failed: &Failed) -> String {
    match failed.requests.as_slice() {
        [one] if failed.requests_count == 1 => one.request_id.to_string(),
        _ => counted(failed.requests_count as u64, "request"),
    }
}
