//! `erasure attention`: what needs somebody, and what somebody does about it.

mod advice;
mod filter;
mod list;
mod show;

pub(crate) use advice::advice;
pub(crate) use filter::parked;

use super::act;
use super::person;
use crate::assemble::Fleet;
use crate::cli::{AttentionCommand, AttentionFilterArgs};
use crate::output::Output;
use anyhow::{anyhow, bail};
use erasure_ledger::{Access, Ledger, ParkedState};
use erasure_protocol::{ActKind, RequestId, RequestKey};
use filter::Filter;
use std::collections::BTreeSet;
use std::process::ExitCode;

/// Lists, shows, redrives or discards.
///
/// # Errors
/// When the arguments are wrong, the thing is unknown, or the ledger or the broker cannot be reached.
pub(crate) async fn run(fleet: &Fleet, command: &AttentionCommand, out: Output) -> anyhow::Result<ExitCode> {
    let ledger = fleet.ledger(Access::Read).await?;
    match command {
        AttentionCommand::List(which) => {
            let filter = Filter::of(which, fleet, &ledger).await?;
            list::print(&ledger, &filter, out).await
        }
        AttentionCommand::Show { id, tenant } => {
            show::print(&ledger, thing(fleet, &ledger, id, tenant.as_deref()).await?, out).await
        }
        AttentionCommand::Redrive { which, all, actor } => redrive(fleet, &ledger, which, *all, actor, out).await,
        AttentionCommand::Discard {
            id,
            tenant,
            actor,
            reason,
        } => {
            act::check_reason(reason)?;
            let act = discard(thing(fleet, &ledger, id, tenant.as_deref()).await?, reason);
            act::carry_out(fleet, &ledger, actor, vec![act], out).await
        }
    }
}

/// What an id means.
enum Thing {
    Request(RequestKey),
    Parked(String),
}

/// A parked message's id, a request's id, or the fleet's own key of a request.
async fn thing(fleet: &Fleet, ledger: &Ledger, id: &str, tenant: Option<&str>) -> anyhow::Result<Thing> {
    if ledger.parked_one(id).await?.is_some() {
        return Ok(Thing::Parked(id.to_owned()));
    }
    Ok(Thing::Request(request(fleet, ledger, id, tenant).await?))
}

/// The one request of this id that the ledger knows.
async fn request(fleet: &Fleet, ledger: &Ledger, id: &str, tenant: Option<&str>) -> anyhow::Result<RequestKey> {
    let tenant = tenant.map(|named| person::tenant(&fleet.tenants(), named)).transpose()?;
    let mut found = match RequestId::new(id) {
        Ok(id) => ledger.find_by_request_id(&id).await?,
        Err(_) => Vec::new(),
    };
    found.retain(|(of, _)| tenant.as_ref().is_none_or(|tenant| of == tenant));
    match found.as_slice() {
        [(_, request)] => Ok(*request),
        [] => {
            let key = uuid::Uuid::parse_str(id).ok().map(RequestKey::from_uuid);
            let known = match key {
                Some(key) => ledger.header(key).await?.map(|header| header.request),
                None => None,
            };
            known.ok_or_else(|| anyhow!("no request and no parked message of this id is known"))
        }
        several => {
            let tenants: Vec<_> = several.iter().map(|(tenant, _)| tenant.as_str()).collect();
            bail!("several tenants use this id; add --tenant with one of {}", tenants.join(", "))
        }
    }
}

fn discard(thing: Thing, reason: &str) -> ActKind {
    let reason_code = reason.to_owned();
    match thing {
        Thing::Request(request) => ActKind::Discard { request, reason_code },
        Thing::Parked(parked) => ActKind::DiscardParked { parked, reason_code },
    }
}

async fn redrive(
    fleet: &Fleet,
    ledger: &Ledger,
    which: &AttentionFilterArgs,
    all: bool,
    actor: &str,
    out: Output,
) -> anyhow::Result<ExitCode> {
    let filter = Filter::of(which, fleet, ledger).await?;
    if filter.is_everything() && !all {
        let sentence = "say which: --request, --subsystem, --code, --tenant, --queue or --parked; or --all";
        return Err(super::WrongUse::error(sentence));
    }
    let acts = acts(ledger, &filter).await?;
    if acts.is_empty() {
        out.say("nothing that needs attention matches; nothing was sent");
        return Ok(ExitCode::SUCCESS);
    }
    act::carry_out(fleet, ledger, actor, acts, out).await
}

async fn acts(ledger: &Ledger, filter: &Filter) -> anyhow::Result<Vec<ActKind>> {
    let mut acts = Vec::new();
    let failed = filter.failed(ledger).await?;
    if let Some(wanted) = filter.tasks.as_ref().filter(|_| !failed.is_empty()) {
        // An act knows no tenant: it is said of each request instead.
        let requests: BTreeSet<Option<RequestKey>> = match wanted.tenant {
            Some(_) => failed.iter().map(|it| Some(it.request)).collect(),
            None => [wanted.request].into(),
        };
        let redrive = |request| ActKind::Redrive {
            request,
            subsystem: wanted.subsystem.clone(),
            code: wanted.code,
        };
        acts.extend(requests.into_iter().map(redrive));
    }
    let tenant = filter.tenant();
    acts.extend(
        filter
            .large_groups(ledger)
            .await?
            .into_iter()
            .map(|it| ActKind::RedriveParkedGroup {
                queue: it.queue,
                code: it.code,
                tenant: tenant.clone(),
            }),
    );
    let open = filter
        .parked(ledger)
        .await?
        .into_iter()
        .filter(|it| it.state == ParkedState::Open);
    acts.extend(open.map(|it| ActKind::RedriveParked { parked: it.id }));
    Ok(acts)
}
