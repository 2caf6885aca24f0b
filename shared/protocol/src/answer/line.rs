//! One subsystem's part of the answer.

use super::Actor;
use super::words::{day, moment, sentence, thousands};
use crate::{Counts, Fault, FaultCode, Millis, Operation, Phase, Progress, SubsystemName, TaskOutcome};
use serde::Serialize;

/// Where one subsystem stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LineState {
    /// Nothing reported yet.
    Pending,
    /// Some of it is done.
    Running,
    /// A vendor has accepted and not confirmed.
    WaitingForVendor,
    /// An attempt failed; there will be another.
    Retrying,
    /// Done but for what must be kept.
    Retained,
    /// Somebody must act.
    NeedsAttention,
    /// Done.
    Done,
}

/// One live entry of the plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Line {
    /// The subsystem.
    pub subsystem: SubsystemName,
    /// In which phase.
    pub phase: Phase,
    /// Where it stands.
    pub state: LineState,
    /// Its tasks.
    pub counts: Counts,
    /// How many attempts have failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// When it goes on by itself.
    #[serde(serialize_with = "super::words::rfc3339_or_none", skip_serializing_if = "Option::is_none")]
    pub next_at: Option<Millis>,
    /// What went wrong last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fault: Option<Reason>,
    /// Whose turn it is.
    pub acts: Actor,
    /// All of it in words.
    pub sentence: String,
}

/// What went wrong, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// The stable code.
    pub code: FaultCode,
    /// Which store, table or vendor.
    pub source: String,
    /// What the code means.
    pub meaning: &'static str,
    /// What to do.
    pub advice: &'static str,
}

impl Line {
    /// The subsystem's name; with the phase where it is not the operation itself.
    #[must_use]
    pub fn name(&self) -> String {
        name(&self.subsystem, self.phase)
    }
}

/// A line for each live entry of the plan. An entry without progress is pending: missing never reads as done.
pub(super) fn lines(progress: &Progress, now: Millis) -> Vec<Line> {
    let unknown = Counts {
        in_progress: progress.header.subjects,
        ..Counts::default()
    };
    let entries = progress.header.plan.live();
    entries
        .map(|(at, entry)| {
            let known = progress.entries.get(at);
            let counts = known.map_or(unknown, |it| it.counts);
            let note = known.and_then(|it| it.note.as_ref());
            let state = state(&counts, progress.header.subjects);
            let fault = fault(note, state);
            Line {
                subsystem: entry.subsystem.clone(),
                phase: entry.phase,
                state,
                counts,
                attempt: attempt(note, state),
                next_at: next(note, state),
                acts: acts(state, fault),
                sentence: sentence(&words(
                    &name(&entry.subsystem, entry.phase),
                    state,
                    &counts,
                    note,
                    progress,
                    now,
                )),
                fault: fault.map(Reason::of),
            }
        })
        .collect()
}

impl Reason {
    fn of(fault: &Fault) -> Self {
        Self {
            code: fault.code,
            source: fault.source.0.clone(),
            meaning: fault.code.meaning(),
            advice: fault.code.advice(),
        }
    }
}

fn name(subsystem: &SubsystemName, phase: Phase) -> String {
    match phase {
        Phase::Purge => subsystem.to_string(),
        Phase::Hide => format!("hiding in {subsystem}"),
    }
}

/// The state that most needs to be known; done only when every task is.
fn state(counts: &Counts, subjects: u64) -> LineState {
    if counts.needs_attention > 0 {
        LineState::NeedsAttention
    } else if counts.retrying > 0 {
        LineState::Retrying
    } else if counts.done() < subjects && counts.done() + counts.waiting_for_vendor >= subjects {
        LineState::WaitingForVendor
    } else if counts.done() < subjects && counts.done() + counts.waiting_for_vendor > 0 {
        LineState::Running
    } else if counts.done() < subjects {
        LineState::Pending
    } else if counts.retained > 0 {
        LineState::Retained
    } else {
        LineState::Done
    }
}

fn fault(note: Option<&TaskOutcome>, state: LineState) -> Option<&Fault> {
    match (note?, state) {
        (TaskOutcome::Retry { fault, .. }, LineState::Retrying) => Some(fault),
        (TaskOutcome::Failed { fault, .. }, LineState::NeedsAttention) => Some(fault),
        (
            TaskOutcome::Retry { .. } | TaskOutcome::Failed { .. } | TaskOutcome::Retained { .. } | TaskOutcome::Pending { .. },
            _,
        ) => None,
    }
}

fn attempt(note: Option<&TaskOutcome>, state: LineState) -> Option<u32> {
    match note? {
        TaskOutcome::Retry { attempt, .. } if state == LineState::Retrying => Some(*attempt),
        TaskOutcome::Failed { attempt, .. } if state == LineState::NeedsAttention => Some(*attempt),
        TaskOutcome::Retry { .. } | TaskOutcome::Failed { .. } | TaskOutcome::Retained { .. } | TaskOutcome::Pending { .. } => {
            None
        }
    }
}

fn next(note: Option<&TaskOutcome>, state: LineState) -> Option<Millis> {
    match note? {
        TaskOutcome::Retry { next_try, .. } if state == LineState::Retrying => Some(*next_try),
        TaskOutcome::Pending { check_at, .. } if state == LineState::WaitingForVendor => Some(*check_at),
        TaskOutcome::Retry { .. } | TaskOutcome::Failed { .. } | TaskOutcome::Retained { .. } | TaskOutcome::Pending { .. } => {
            None
        }
    }
}

fn acts(state: LineState, fault: Option<&Fault>) -> Actor {
    match state {
        LineState::Pending | LineState::Running | LineState::Retrying => Actor::Fleet,
        LineState::WaitingForVendor => Actor::Vendor,
        LineState::Retained | LineState::Done => Actor::Nobody,
        LineState::NeedsAttention => {
            let of_support = [
                FaultCode::Ambiguous,
                FaultCode::NotResolvable,
                FaultCode::NoIdentifierForVendor,
            ];
            if fault.is_some_and(|fault| of_support.contains(&fault.code)) {
                Actor::Support
            } else {
                Actor::Operations
            }
        }
    }
}

fn words(name: &str, state: LineState, counts: &Counts, note: Option<&TaskOutcome>, progress: &Progress, now: Millis) -> String {
    let share = |count: u64| match progress.header.subjects {
        0 | 1 => String::new(),
        all => format!(" for {} of {}", thousands(count), thousands(all)),
    };
    match state {
        LineState::Done => format!("{name} is done"),
        LineState::Pending => format!("{name} has not reported yet"),
        LineState::Running => format!("{name} is under way{}", share(counts.total() - counts.done())),
        LineState::WaitingForVendor => {
            let check = next(note, state).map_or_else(String::new, |at| format!("; we ask again {}", soon(at, now)));
            format!(
                "{name} waits for a vendor's confirmation{}{check}",
                share(counts.waiting_for_vendor)
            )
        }
        LineState::Retrying => {
            let share = share(counts.retrying);
            match note {
                Some(TaskOutcome::Retry {
                    fault,
                    attempt,
                    next_try,
                    ..
                }) => {
                    let when = soon(*next_try, now);
                    let reason = fault.code.meaning();
                    format!(
                        "{name} retries{share} {when} ({}: {reason}, {}; {attempt} failed so far)",
                        fault.source.0, fault.code
                    )
                }
                Some(TaskOutcome::Failed { .. } | TaskOutcome::Retained { .. } | TaskOutcome::Pending { .. }) | None => {
                    format!("{name} retries{share}")
                }
            }
        }
        LineState::NeedsAttention => {
            let share = share(counts.needs_attention);
            fault(note, state).map_or_else(
                || format!("{name} needs attention{share}"),
                |fault| format!("{name}{share}: {fault}"),
            )
        }
        LineState::Retained => match (note, progress.header.operation) {
            (Some(TaskOutcome::Retained { ground, until, .. }), Operation::Erase) => {
                format!(
                    "{name} keeps data{} under {} until {}",
                    share(counts.retained),
                    ground.0,
                    day(*until, now)
                )
            }
            (Some(_) | None, _) => format!("{name} keeps what the law demands{}", share(counts.retained)),
        },
    }
}

/// "at 14:05 UTC", "on 4 February 10:12 UTC", or "now".
fn soon(at: Millis, now: Millis) -> String {
    let text = moment(at, now);
    if at <= now {
        "now".to_owned()
    } else if text.len() <= "14:05 UTC".len() {
        format!("at {text}")
    } else {
        format!("on {text}")
    }
}
