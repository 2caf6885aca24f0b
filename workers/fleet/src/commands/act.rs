//! Operators' acts: published to the reconciler, which alone writes the ledger, and waited for.

use super::WrongUse;
use crate::assemble::Fleet;
use crate::output::{Output, table};
use anyhow::bail;
use erasure_broker::{Outgoing, Publisher, Route};
use erasure_ledger::{Ledger, ParkedState};
use erasure_protocol::{ACT_VERSION, Act, ActKind, JSON_CONTENT_TYPE, Millis};
use serde::Serialize;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How long the reconciler may take.
const DEADLINE: Duration = Duration::from_secs(30);
/// How long a whole group may take.
const GROUP_DEADLINE: Duration = Duration::from_secs(30 * 60);
const ASK_EVERY: Duration = Duration::from_millis(200);
const ACTOR_CHARS_MAX: usize = 128;
const REASON_CHARS_MAX: usize = 64;

/// What came of an act.
#[derive(Serialize)]
struct Done {
    act: Uuid,
    kind: &'static str,
    target: String,
    /// `None` when the reconciler has not recorded it in time.
    result: Option<String>,
}

/// Publishes the acts, waits until the reconciler has carried them out, and prints what came of each.
///
/// # Errors
/// When one is not known to have arrived, or the ledger cannot be read.
pub(crate) async fn carry_out(
    fleet: &Fleet,
    ledger: &Ledger,
    actor: &str,
    kinds: Vec<ActKind>,
    out: Output,
) -> anyhow::Result<ExitCode> {
    check_actor(actor)?;
    let at = ledger.now().await?;
    let acts: Vec<Act> = kinds.into_iter().map(|kind| new_act(actor, at, kind)).collect();
    publish(fleet, &acts).await?;
    let began = Instant::now();
    let mut done = Vec::with_capacity(acts.len());
    for act in &acts {
        let target = target(&act.act);
        let result = wait(ledger, act, &target, began).await?;
        done.push(Done {
            act: act.id,
            kind: word(&act.act),
            target,
            result,
        });
    }
    let row = |it: &Done| {
        vec![
            it.kind.to_owned(),
            it.target.clone(),
            it.result.clone().unwrap_or_else(|| "not yet".to_owned()),
        ]
    };
    out.list(&done, || table(&["act", "on", "result"], done.iter().map(row)))?;
    if done.iter().all(|it| it.result.is_some()) {
        return Ok(ExitCode::SUCCESS);
    }
    out.say(format_args!(
        "not carried out within {} s: the acts are in RabbitMQ and will be, once a reconciler runs (`erasure run reconciler`)",
        DEADLINE.as_secs()
    ));
    Ok(ExitCode::FAILURE)
}

/// A code for a reason: nothing of a person fits into it.
///
/// # Errors
/// When it is none.
pub(crate) fn check_reason(reason: &str) -> anyhow::Result<()> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_');
    if reason.is_empty() || reason.len() > REASON_CHARS_MAX || !reason.chars().all(plain) {
        let sentence =
            "--reason is a code of a-z 0-9 - _, for example duplicate or not-our-customer, and holds nothing of a person";
        return Err(WrongUse::error(sentence));
    }
    Ok(())
}

fn check_actor(actor: &str) -> anyhow::Result<()> {
    if actor.trim().is_empty() || actor.chars().count() > ACTOR_CHARS_MAX || actor.chars().any(char::is_control) {
        return Err(WrongUse::error("--actor is the name of your account, up to 128 characters"));
    }
    Ok(())
}

fn new_act(actor: &str, at: Millis, act: ActKind) -> Act {
    Act {
        version: ACT_VERSION,
        id: Uuid::now_v7(),
        actor: actor.to_owned(),
        at,
        act,
    }
}

async fn publish(fleet: &Fleet, acts: &[Act]) -> anyhow::Result<()> {
    let stop = CancellationToken::new();
    let publisher = Publisher::start(&fleet.config.broker, "erasure command line", stop.clone());
    let _stops = stop.drop_guard();
    let message = |act: &Act| Outgoing {
        to: Route::Act,
        message_id: act.id.to_string(),
        content_type: JSON_CONTENT_TYPE.to_owned(),
        body: act.to_json(),
        headers: Vec::new(),
    };
    match publisher.publish_all(acts.iter().map(message).collect()).await {
        Ok(()) => Ok(()),
        Err(error) => bail!("publishing to RabbitMQ: {error}; the same command may be given again"),
    }
}

async fn wait(ledger: &Ledger, act: &Act, target: &str, began: Instant) -> anyhow::Result<Option<String>> {
    loop {
        if let Some(result) = result(ledger, act, target).await? {
            return Ok(Some(result));
        }
        let deadline = if act.act.group().is_some() { GROUP_DEADLINE } else { DEADLINE };
        if began.elapsed() > deadline {
            return Ok(None);
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

/// What the ledger says of the act: its record, or that somebody else has done the same first.
async fn result(ledger: &Ledger, act: &Act, target: &str) -> anyhow::Result<Option<String>> {
    let id = act.id.to_string();
    let recorded = ledger.acts(target).await?.into_iter().find(|it| it.id == id);
    if let Some(recorded) = recorded {
        return Ok(Some(recorded.result));
    }
    Ok(match &act.act {
        ActKind::Redrive { .. } | ActKind::RedriveParkedGroup { .. } => None,
        ActKind::Discard { request, .. } => {
            let header = ledger.header(*request).await?;
            header
                .filter(|it| it.state.is_final())
                .map(|it| format!("was final already: {}", it.state))
        }
        ActKind::DiscardParked { parked, .. } | ActKind::RedriveParked { parked } => {
            let state = ledger.parked_one(parked).await?.map(|it| it.state);
            match state {
                Some(ParkedState::Open) => None,
                Some(state) => Some(format!("was {} already", state.as_str())),
                None => Some("is no longer there".to_owned()),
            }
        }
        ActKind::RetireSubsystem { name, .. } => {
            let retired = ledger
                .subsystems()
                .await?
                .into_iter()
                .any(|it| it.name == *name && it.retired);
            retired.then(|| "was retired already".to_owned())
        }
    })
}

/// What the reconciler records the act under.
fn target(act: &ActKind) -> String {
    match act {
        ActKind::Redrive { request: None, .. } => "all".to_owned(),
        ActKind::Redrive {
            request: Some(request), ..
        }
        | ActKind::Discard { request, .. } => request.to_string(),
        ActKind::DiscardParked { parked, .. } | ActKind::RedriveParked { parked } => parked.clone(),
        ActKind::RedriveParkedGroup { .. } => act.group().unwrap_or_default(),
        ActKind::RetireSubsystem { name, .. } => name.to_string(),
    }
}

fn word(act: &ActKind) -> &'static str {
    match act {
        ActKind::Redrive { .. } | ActKind::RedriveParked { .. } | ActKind::RedriveParkedGroup { .. } => "redrive",
        ActKind::Discard { .. } | ActKind::DiscardParked { .. } => "discard",
        ActKind::RetireSubsystem { .. } => "retire",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_person_fits_into_a_reason() {
        assert!(check_reason("not-our-customer").is_ok());
        for reason in ["", "Jane Doe", "jane@example.org", &"x".repeat(65)] {
            assert!(check_reason(reason).is_err(), "{reason}");
        }
    }

    #[test]
    fn an_actor_is_named() {
        assert!(check_actor("ops-7").is_ok());
        assert!(check_actor(" ").is_err() && check_actor("a\nb").is_err());
    }
}
