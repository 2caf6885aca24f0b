//! `erasure request`: one person, from the command line to RabbitMQ.

use super::ask;
use super::person;
use super::publish::{Sender, Sent};
use super::reading::{self, Reader, Told};
use super::rows::{self, Look};
use super::watch::{self, Ended, Fresh, IdIs};
use crate::assemble::Fleet;
use crate::cli::RequestArgs;
use crate::output::Output;
use erasure_ledger::Parked;
use erasure_protocol::{Answer, Command, Lane, RequestId, RequestKey, TenantId};
use serde::Serialize;
use std::process::ExitCode;

/// What was sent, and what became of it where that was waited for.
#[derive(Serialize)]
pub(crate) struct Asked<'a> {
    pub(crate) request_id: &'a RequestId,
    pub(crate) request: RequestKey,
    pub(crate) tenant: &'a TenantId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) answer: Option<Told<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) refused: Option<Refused<'a>>,
}

/// Why intake put a command aside.
#[derive(Serialize)]
pub(crate) struct Refused<'a> {
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    parked: &'a str,
}

/// Asks, or with `--dry-run` only looks.
///
/// # Errors
/// When the arguments are wrong or the command is not known to have arrived.
pub(crate) async fn run(fleet: &Fleet, args: &RequestArgs, out: Output) -> anyhow::Result<ExitCode> {
    let (template, tenant) = ask::template(&args.ask, &fleet.tenants())?;
    let record = person::record(&args.identifiers)?;
    let resolve = fleet.resolve()?;
    person::check_kinds(&record, &resolve)?;
    if args.dry_run {
        return rows::show(fleet, &tenant, &resolve, record, Look::Rows, out).await;
    }
    let command = Command {
        subjects: vec![record],
        ..template
    };
    let sender = Sender::start(fleet)?;
    let sent = sender.send(std::slice::from_ref(&command), Lane::Single).await?;
    let ended = match sent.first() {
        Some(sent) if args.ask.watch => {
            Some(follow(fleet, &command.request_id, &tenant, sent, IdIs::of(args.ask.id.as_ref()), out).await?)
        }
        Some(_) | None => None,
    };
    print(&command.request_id, &tenant, ended.as_ref(), out)
}

/// Follows a command that was just sent.
///
/// # Errors
/// When ledger or tracker cannot be read.
pub(crate) async fn follow(
    fleet: &Fleet,
    id: &RequestId,
    tenant: &TenantId,
    sent: &Sent,
    id_is: IdIs,
    out: Output,
) -> anyhow::Result<Ended> {
    out.say(format_args!(
        "request {id}: sent; waiting for its end (ending this command ends only the waiting)"
    ));
    let reader = Reader::open(fleet, out).await?;
    let fresh = Fresh { sent, id: id_is };
    Box::pin(watch::to_the_end(&reader, RequestKey::of(tenant, id), Some(fresh), out)).await
}

fn print(id: &RequestId, tenant: &TenantId, ended: Option<&Ended>, out: Output) -> anyhow::Result<ExitCode> {
    let asked = Asked::new(id, tenant, ended);
    out.document(&asked, || asked_text(id, ended))?;
    if ended.is_none() {
        out.say(format_args!("sent; `erasure status {id} --watch` follows it"));
    }
    Ok(ended.map_or(ExitCode::SUCCESS, exit_code))
}

/// What people read of it: the id alone while it is not followed, so that scripts can take it.
pub(crate) fn asked_text(id: &RequestId, ended: Option<&Ended>) -> String {
    match ended {
        None => id.to_string(),
        Some(Ended::Final(answer)) => reading::text(answer),
        Some(Ended::Refused(parked)) => format!("{id} was refused: {}", why(parked)),
    }
}

/// 0 when it was carried out, 1 otherwise.
pub(crate) fn exit_code(ended: &Ended) -> ExitCode {
    match ended {
        Ended::Final(answer) => watch::code(answer.state),
        Ended::Refused(_) => ExitCode::FAILURE,
    }
}

fn why(parked: &Parked) -> String {
    let advice = super::attention::advice(&parked.code);
    let field = parked.field.as_ref().map_or_else(String::new, |field| format!("{field}: "));
    format!(
        "{field}{} ({}). {} It is kept as {}.",
        advice.meaning, parked.code, advice.advice, parked.id
    )
}

impl<'a> Asked<'a> {
    pub(crate) fn new(request_id: &'a RequestId, tenant: &'a TenantId, ended: Option<&'a Ended>) -> Self {
        let (answer, refused): (Option<&Answer>, Option<&Parked>) = match ended {
            None => (None, None),
            Some(Ended::Final(answer)) => (Some(answer), None),
            Some(Ended::Refused(parked)) => (None, Some(parked)),
        };
        Self {
            request_id,
            request: RequestKey::of(tenant, request_id),
            tenant,
            answer: answer.map(Told::new),
            refused: refused.map(|it| Refused {
                code: &it.code,
                field: it.field.as_deref(),
                parked: &it.id,
            }),
        }
    }
}
