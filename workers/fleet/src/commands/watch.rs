//! Following a request until it is final.

use super::meter::Meter;
use super::publish::Sent;
use super::reading::Reader;
use crate::output::{Output, thousands};
use erasure_ledger::Parked;
use erasure_protocol::{Answer, RequestKey, RequestState};
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// How often it is asked: one read of the tracker each time.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// After this long without a trace of the request somebody is told where to look.
const HINT_AFTER: Duration = Duration::from_secs(15);

/// How long a command under an id of the caller's own may still be refused, though a request of that id is known: of then.
const REFUSED_WITHIN: Duration = Duration::from_secs(3);

/// A command that was just sent.
#[derive(Clone, Copy)]
pub(crate) struct Fresh<'a> {
    /// Its message, or its first part.
    pub(crate) sent: &'a Sent,
    /// Whether its id was made up for it, so that no other request can have it.
    pub(crate) id: IdIs,
}

/// Whose choice an id was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IdIs {
    /// Made up for this command.
    New,
    /// Given; it may have been used before.
    Given,
}

impl IdIs {
    /// By whether one was given.
    pub(crate) fn of(given: Option<&String>) -> Self {
        if given.is_some() { Self::Given } else { Self::New }
    }
}

/// How watching ended.
pub(crate) enum Ended {
    /// The request is final.
    Final(Box<Answer>),
    /// Intake has put the command aside.
    Refused(Box<Parked>),
}

/// Follows the request to its end. A fresh one may not have been taken in yet, or be refused.
///
/// # Errors
/// When the ledger cannot be read at the first look; later ones are repeated.
pub(crate) async fn to_the_end(
    reader: &Reader,
    request: RequestKey,
    fresh: Option<Fresh<'_>>,
    out: Output,
) -> anyhow::Result<Ended> {
    let mut meter = Meter::new(out);
    let ended = follow(reader, request, fresh, out, &mut meter).await;
    meter.end();
    ended
}

async fn follow(
    reader: &Reader,
    request: RequestKey,
    fresh: Option<Fresh<'_>>,
    out: Output,
    meter: &mut Meter,
) -> anyhow::Result<Ended> {
    let began = Instant::now();
    let (mut unsettled, mut hinted) = (fresh, false);
    let mut looked = Ok(look(reader, request, unsettled).await?);
    loop {
        match looked {
            Ok(Look::Refused(parked)) => return Ok(Ended::Refused(parked)),
            Ok(Look::Unknown) => {
                meter.show(0, None, "waiting for intake");
                if !hinted && began.elapsed() > HINT_AFTER {
                    hinted = true;
                    out.say("not taken in yet: does intake run (`erasure run intake`, or `all`), and what does its /readyz say?");
                }
            }
            Ok(Look::Known(answer)) => {
                unsettled = unsettled.filter(|it| it.id == IdIs::Given && began.elapsed() < REFUSED_WITHIN);
                show(meter, &answer);
                if answer.state.is_final() && unsettled.is_none() {
                    return Ok(Ended::Final(answer));
                }
            }
            Err(error) => meter.show(0, None, &format!("cannot look at the moment: {error:#}")),
        }
        tokio::time::sleep(ASK_EVERY).await;
        looked = look(reader, request, unsettled).await;
    }
}

enum Look {
    Unknown,
    Known(Box<Answer>),
    Refused(Box<Parked>),
}

async fn look(reader: &Reader, request: RequestKey, fresh: Option<Fresh<'_>>) -> anyhow::Result<Look> {
    // The refusal first: under an id that was used before, the request of then is known all the while.
    if let Some(fresh) = fresh
        && let Some(parked) = fresh.sent.refused(reader.ledger()).await?
    {
        return Ok(Look::Refused(Box::new(parked)));
    }
    Ok(reader
        .answer(request)
        .await?
        .map_or(Look::Unknown, |answer| Look::Known(Box::new(answer))))
}

fn show(meter: &mut Meter, answer: &Answer) {
    let people = &answer.people;
    let further = [
        (people.needs_attention, "need attention"),
        (people.waiting_for_vendor, "wait for a vendor"),
        (people.retrying, "are tried again"),
    ];
    let further = further
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!(", {} {what}", thousands(*count)));
    let message = format!("people done{}", further.collect::<String>());
    meter.show(people.done(), Some(answer.subjects), &message);
}

/// 0 when what was asked was carried out, 1 otherwise.
pub(crate) fn code(state: RequestState) -> ExitCode {
    if is_carried_out(state) {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn is_carried_out(state: RequestState) -> bool {
    match state {
        RequestState::Erased
        | RequestState::ErasedWithRetention
        | RequestState::NothingHeld
        | RequestState::Deactivated
        | RequestState::Reactivated => true,
        RequestState::Receiving | RequestState::Running | RequestState::ClosedNotErased => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_carried_out_is_success() {
        let carried_out: Vec<_> = RequestState::ALL.into_iter().filter(|state| is_carried_out(*state)).collect();
        assert!(
            carried_out
                .iter()
                .all(|state| state.is_final() && *state != RequestState::ClosedNotErased)
        );
        assert_eq!(carried_out.len(), 5);
    }
}
