//! What support reads of a request: plain words, worked out from its progress.
//!
//! *Erased* is only ever said of a request that the ledger has called final; a request whose every task is done is still "not
//! erased yet" until then. An answer holds no identifier of a person.

mod line;
mod person;
mod words;

pub use line::{Line, LineState, Reason};
pub use person::TaskState;

use crate::{Counts, Millis, Operation, Progress, RequestId, RequestKey, RequestState, TenantId};
use serde::Serialize;
use words::{day, day_and_time, list, sentence, thousands};

/// What the answer says first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Headline {
    /// Work is under way.
    NotErasedYet,
    /// Somebody must act, or it will not be erased.
    NotErased,
    /// Final: erased and read back everywhere.
    Erased,
    /// Final: erased but for what must be kept.
    ErasedExcept,
    /// Final: nobody was found.
    NothingHeld,
    /// Final: given up, not erased.
    ClosedNotErased,
    /// Work is under way.
    NotDeactivatedYet,
    /// Somebody must act.
    NotDeactivated,
    /// Final.
    Deactivated,
    /// Work is under way.
    NotReactivatedYet,
    /// Somebody must act.
    NotReactivated,
    /// Final.
    Reactivated,
}

impl Headline {
    /// The words.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotErasedYet => "Not erased yet",
            Self::NotErased => "Not erased",
            Self::Erased => "Erased",
            Self::ErasedExcept => "Erased except what must be kept",
            Self::NothingHeld => "Nothing held",
            Self::ClosedNotErased => "Closed, not erased",
            Self::NotDeactivatedYet => "Not deactivated yet",
            Self::NotDeactivated => "Not deactivated",
            Self::Deactivated => "Deactivated",
            Self::NotReactivatedYet => "Not reactivated yet",
            Self::NotReactivated => "Not reactivated",
            Self::Reactivated => "Reactivated",
        }
    }
}

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// It is over.
    Nobody,
    /// The fleet goes on by itself.
    Fleet,
    /// A vendor, which the fleet asks again.
    Vendor,
    /// The people who run the stores, the vendors' settings and the fleet.
    Operations,
    /// The people who talk to the person.
    Support,
}

/// What is known beside the progress.
#[derive(Clone, Copy, Debug, Default)]
pub struct View<'a> {
    /// Asked about one person of a request on many: the state of each of the person's tasks, by position in the plan.
    pub person: Option<&'a [(usize, TaskState)]>,
    /// What vendors have promised, where it is known.
    pub vendors: &'a [VendorWait<'a>],
    /// When the last backup that may hold the person ages out.
    pub backups_until: Option<Millis>,
}

/// What one vendor has promised.
#[derive(Clone, Copy, Debug)]
pub struct VendorWait<'a> {
    /// Its name in the configuration.
    pub vendor: &'a str,
    /// When it accepted.
    pub accepted_at: Millis,
    /// By when it wants to be done.
    pub expected_by: Option<Millis>,
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// What is said first.
    pub headline: Headline,
    /// The rest, to be read after the headline.
    pub sentences: Vec<String>,
    /// Whose turn it is.
    pub acts: Actor,
    /// The fleet's own key of the request.
    pub request: RequestKey,
    /// The request id as its producer chose it.
    pub request_id: RequestId,
    /// Its tenant.
    pub tenant: TenantId,
    /// Its ticket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// What was asked.
    pub operation: Operation,
    /// Where it stands in the ledger.
    pub state: RequestState,
    /// When the person asked.
    #[serde(serialize_with = "words::rfc3339")]
    pub asked_at: Millis,
    /// By when it is due.
    #[serde(serialize_with = "words::rfc3339")]
    pub due_at: Millis,
    /// When it came to its end.
    #[serde(serialize_with = "words::rfc3339_or_none", skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Millis>,
    /// The next thing that happens by itself.
    #[serde(serialize_with = "words::rfc3339_or_none", skip_serializing_if = "Option::is_none")]
    pub next_at: Option<Millis>,
    /// The due date has passed.
    pub overdue: bool,
    /// Due soon and not done.
    pub at_risk: bool,
    /// How many people.
    pub subjects: u64,
    /// The people by what is known of them.
    pub people: Counts,
    /// Every live entry of the plan.
    pub subsystems: Vec<Line>,
}

impl Answer {
    /// The answer as one paragraph.
    #[must_use]
    pub fn text(&self) -> String {
        std::iter::once(format!("{}.", self.headline.as_str()))
            .chain(self.sentences.iter().cloned())
            .collect::<Vec<_>>()
            .join(" ")
    }
}

/// The answer to "how far is it?" at the moment `now`.
#[must_use]
pub fn answer(progress: &Progress, now: Millis, view: View<'_>) -> Answer {
    let narrowed = view.person.map(|tasks| person::narrow(progress, tasks));
    let progress = narrowed.as_ref().unwrap_or(progress);
    let header = &progress.header;
    let lines = line::lines(progress, now);
    let done = header.state.is_final();
    let next_at = if done {
        None
    } else {
        lines.iter().filter_map(|line| line.next_at).min()
    };
    Answer {
        headline: headline(progress),
        sentences: sentences(progress, &lines, now, view),
        acts: actor(header.state, &lines),
        request: header.request,
        request_id: header.request_id.clone(),
        tenant: header.tenant.clone(),
        ticket: header.ticket.clone(),
        operation: header.operation,
        state: header.state,
        asked_at: header.received_at,
        due_at: header.due_at,
        finished_at: header.finished_at,
        next_at,
        overdue: is_overdue(progress, now),
        at_risk: header.at_risk && !done,
        subjects: header.subjects,
        people: progress.people,
        subsystems: lines,
    }
}

fn headline(progress: &Progress) -> Headline {
    let header = &progress.header;
    let stuck = progress.people.needs_attention > 0;
    match header.state {
        RequestState::Receiving | RequestState::Running => match (header.operation, stuck) {
            (Operation::Erase, false) => Headline::NotErasedYet,
            (Operation::Erase, true) => Headline::NotErased,
            (Operation::Deactivate, false) => Headline::NotDeactivatedYet,
            (Operation::Deactivate, true) => Headline::NotDeactivated,
            (Operation::Reactivate, false) => Headline::NotReactivatedYet,
            (Operation::Reactivate, true) => Headline::NotReactivated,
        },
        RequestState::Erased => Headline::Erased,
        RequestState::ErasedWithRetention => Headline::ErasedExcept,
        RequestState::NothingHeld => Headline::NothingHeld,
        RequestState::Deactivated => Headline::Deactivated,
        RequestState::Reactivated => Headline::Reactivated,
        RequestState::ClosedNotErased => Headline::ClosedNotErased,
    }
}

fn actor(state: RequestState, lines: &[Line]) -> Actor {
    if state.is_final() {
        return Actor::Nobody;
    }
    let open = || {
        lines
            .iter()
            .filter(|line| line.state != LineState::Done && line.state != LineState::Retained)
    };
    if let Some(stuck) = open().find(|line| line.state == LineState::NeedsAttention) {
        return stuck.acts;
    }
    let waits = |line: &Line| line.state == LineState::WaitingForVendor;
    if open().next().is_some() && open().all(waits) {
        Actor::Vendor
    } else {
        Actor::Fleet
    }
}

fn is_overdue(progress: &Progress, now: Millis) -> bool {
    let header = &progress.header;
    !header.state.is_final() && (header.overdue || now > header.due_at)
}

fn sentences(progress: &Progress, lines: &[Line], now: Millis, view: View<'_>) -> Vec<String> {
    let header = &progress.header;
    let mut said = Vec::new();
    if header.subjects > 1 {
        said.push(people(progress));
    }
    match header.state {
        RequestState::Receiving => {
            said.push("Parts of the request are still arriving; nothing is touched before the last one is here.".into())
        }
        RequestState::Running => said.extend(under_way(lines, now, view)),
        RequestState::Erased | RequestState::ErasedWithRetention => said.extend(erased(progress, lines, now, view)),
        RequestState::NothingHeld => {
            let searched = systems(lines.len());
            said.push(format!("We searched {searched} and found nobody. Nothing was deleted."));
        }
        RequestState::Deactivated => said.push("Log-in is blocked everywhere; all data is kept.".into()),
        RequestState::Reactivated => said.push("The deactivation was taken back everywhere.".into()),
        RequestState::ClosedNotErased => {
            let at = header
                .finished_at
                .map_or_else(String::new, |at| format!(" on {}", day_and_time(at, now)));
            said.push(format!("An operator gave up on it{at}. What follows is as it was left."));
            said.extend(lines.iter().map(|line| line.sentence.clone()));
        }
    }
    if !header.state.is_final() {
        said.push(due(progress, now));
    }
    said
}

/// "10,000 people: 9,200 erased, 40 nothing held, … Not finished."
fn people(progress: &Progress) -> String {
    let people = &progress.people;
    let verb = match progress.header.operation {
        Operation::Erase => "erased",
        Operation::Deactivate => "deactivated",
        Operation::Reactivate => "reactivated",
    };
    let end = progress.header.state.is_final();
    let kinds = [
        (people.erased, verb),
        (people.nothing_held, "nothing held"),
        (people.retained, "erased with retention"),
        (people.in_progress, "in progress"),
        (people.retrying, "retrying"),
        (people.waiting_for_vendor, "waiting for a vendor"),
        (
            people.needs_attention,
            if people.needs_attention == 1 {
                "needs attention"
            } else {
                "need attention"
            },
        ),
    ];
    let parts: Vec<_> = kinds
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{} {word}", thousands(count)))
        .collect();
    let total = thousands(progress.header.subjects);
    format!(
        "{total} people: {}. {}.",
        parts.join(", "),
        if end { "Finished" } else { "Not finished" }
    )
}

fn under_way(lines: &[Line], now: Millis, view: View<'_>) -> Vec<String> {
    let is_done = |line: &&Line| matches!(line.state, LineState::Done | LineState::Retained);
    let open: Vec<_> = lines.iter().filter(|line| !is_done(line)).collect();
    if open.is_empty() {
        return vec!["All systems are done; the last check is under way.".into()];
    }
    let done: Vec<_> = lines.iter().filter(is_done).map(Line::name).collect();
    let mut said = Vec::new();
    let only_vendors = open.iter().all(|line| line.state == LineState::WaitingForVendor);
    match (done.len(), only_vendors) {
        (0, _) => {}
        (_, true) => said.push("Our systems are done.".to_owned()),
        (1, false) => said.push(sentence(&format!("{} is done", done[0]))),
        (_, false) => said.push(sentence(&format!("{} are done", list(&done)))),
    }
    let promises = only_vendors && !view.vendors.is_empty();
    for line in open {
        if !(promises && line.state == LineState::WaitingForVendor) {
            said.push(line.sentence.clone());
        }
        if let Some(fault) = &line.fault
            && line.state == LineState::NeedsAttention
        {
            said.push(format!("{} must act: {}", line.acts.team(), fault.advice));
        }
    }
    if promises {
        said.extend(view.vendors.iter().map(|vendor| promise(vendor, now)));
    }
    said
}

/// "Mailer accepted on 2 February, expected 9 February."
fn promise(wait: &VendorWait<'_>, now: Millis) -> String {
    let accepted = format!("{} accepted on {}", wait.vendor, day(wait.accepted_at, now));
    let expected = wait.expected_by.map_or_else(String::new, |at| {
        let word = if at < now { "was expected" } else { "expected" };
        format!(", {word} {}", day(at, now))
    });
    sentence(&(accepted + &expected))
}

fn erased(progress: &Progress, lines: &[Line], now: Millis, view: View<'_>) -> Vec<String> {
    let kept = lines
        .iter()
        .filter(|line| line.state == LineState::Retained)
        .map(|line| line.sentence.clone());
    let at = progress
        .header
        .finished_at
        .map_or_else(String::new, |at| format!(" on {}", day_and_time(at, now)));
    let checked = format!("Checked{at} in {} of {}.", lines.len(), systems(lines.len()));
    let backups = view.backups_until.map(|at| format!("Backups age out by {}.", day(at, now)));
    kept.chain([checked]).chain(backups).collect()
}

fn systems(count: usize) -> String {
    format!("{count} {}", if count == 1 { "system" } else { "systems" })
}

/// "Due 3 March, on track."
fn due(progress: &Progress, now: Millis) -> String {
    const DAY_MS: u128 = 86_400_000;
    let header = &progress.header;
    let date = day(header.due_at, now);
    if is_overdue(progress, now) {
        return format!("Overdue since {date}.");
    }
    let days = header.due_at.since(now).as_millis() / DAY_MS;
    let left = match days {
        0 => "within a day".to_owned(),
        1 => "in 1 day".to_owned(),
        days => format!("in {days} days"),
    };
    match (progress.people.needs_attention > 0, header.at_risk) {
        (_, true) => format!("Due {date}, {left}: at risk."),
        (true, false) => format!("Due {date}, {left}."),
        (false, false) => format!("Due {date}, on track."),
    }
}

impl Actor {
    fn team(self) -> &'static str {
        match self {
            Self::Nobody => "Nobody",
            Self::Fleet => "The fleet",
            Self::Vendor => "The vendor",
            Self::Operations => "Operations",
            Self::Support => "Support",
        }
    }
}

#[cfg(test)]
mod tests;
