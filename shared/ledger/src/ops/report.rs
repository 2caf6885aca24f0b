//! What workers report beyond "done": retained, pending, retrying, failed.

use super::plan::plan_of;
use super::request::grouped;
use super::sent::{Sent, sent_of, write_sent};
use crate::sql::{Row, Tx, Value, args, insert_many};
use crate::{DuePending, Error, Ledger, NewPart, NewSlice, Report, Reported};
use erasure_protocol::{
    Blame, Fault, FaultClass, FaultCode, Ground, Mask, Millis, OutcomeMessage, Plan, RequestKey, RequestState, Sealed,
    TaskOutcome,
};
use std::collections::BTreeMap;

impl Ledger {
    /// Writes down what a worker reports. It replaces what was reported earlier of the same tasks; what was reported later stays.
    /// Safe to repeat.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn report(&self, message: &OutcomeMessage) -> Result<Reported, Error> {
        let answers = self.report_all(std::slice::from_ref(message)).await?;
        answers.into_iter().next().ok_or(Error::Refused("one report has one answer"))
    }

    /// Several in one transaction, for one commit: one answer each, in order.
    ///
    /// # Errors
    /// When the database cannot be reached: then nothing of all of them was written.
    pub async fn report_all(&self, messages: &[OutcomeMessage]) -> Result<Vec<Reported>, Error> {
        // In order of key, so that two processes never wait for each other crosswise; among one request's as they came.
        let mut order: Vec<usize> = (0..messages.len()).collect();
        order.sort_by_key(|at| messages[*at].request);
        let mut answers = vec![Reported::Unknown; messages.len()];
        let mut tx = self.begin("recording reports").await?;
        for at in order {
            answers[at] = report_one(&mut tx, &messages[at]).await?;
        }
        tx.commit().await?;
        Ok(answers)
    }

    /// All reports of a request.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn reports(&self, request: RequestKey) -> Result<Vec<Report>, Error> {
        Ok(self.reports_of(&[request]).await?.remove(&request).unwrap_or_default())
    }

    /// The same of many requests; those without any are left out.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn reports_of(&self, requests: &[RequestKey]) -> Result<BTreeMap<RequestKey, Vec<Report>>, Error> {
        let text = "SELECT request, entry, slice, kind, tasks, code, source, class, blame, retry_after_ms, attempt, due_at, ground, \
            sealed, at FROM report WHERE request {these} ORDER BY request, entry, slice, at, ordinal";
        let rows = self.rows_of("reading the reports", text, &[], requests).await?;
        grouped(&rows, report)
    }

    /// Takes pending tasks whose check is due, and moves the check to `next_check`, so that nobody else takes them before.
    ///
    /// # Errors
    /// When the database cannot be reached: then their turn comes at `next_check` at the latest.
    pub async fn take_due_pending(&self, now: Millis, next_check: Millis, limit: u32) -> Result<Vec<DuePending>, Error> {
        let mut tx = self.begin("taking pending tasks").await?;
        let text = "SELECT p.request, p.entry, p.slice, p.ordinal, p.tasks, p.sealed, p.due_at FROM report p \
            JOIN request r ON r.id = p.request JOIN plan_entry e ON e.plan = r.plan AND e.position = p.entry AND e.live = 1 \
            WHERE p.kind = 'pending' AND p.due_at <= $1 ORDER BY p.due_at LIMIT $2";
        let rows = tx.query(text, args![now, limit]).await?;
        let mut taken = Vec::new();
        for row in rows {
            let it = DuePending {
                request: row.request(0)?,
                entry: row.number(1)?,
                slice: row.number(2)?,
                tasks: row.mask(4)?,
                references: Sealed(row.blob(5)?.to_vec()),
            };
            let text = "UPDATE report SET due_at = $5 WHERE request = $1 AND entry = $2 AND slice = $3 AND ordinal = $4 \
                AND kind = 'pending' AND due_at = $6";
            let values = args![it.request, it.entry, it.slice, row.int(3)?, next_check, row.int(6)?];
            if tx.execute(text, values).await? == 1 {
                taken.push(it);
            }
        }
        tx.commit().await?;
        Ok(taken)
    }

    /// Takes these tasks out of the pending, retrying and failed reports, because they are done. What is retained stays.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn clear_reports(&self, request: RequestKey, entry: usize, slice: u32, tasks: &Mask) -> Result<(), Error> {
        let mut tx = self.begin("clearing reports").await?;
        tx.query_for_update("SELECT state FROM request WHERE id = $1", args![request])
            .await?;
        for stored in stored_at(&mut tx, request, entry, slice).await? {
            if stored.kind != Kind::Retained {
                take_out(&mut tx, request, entry, slice, &stored, tasks).await?;
            }
        }
        tx.commit().await
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Retained,
    Pending,
    Retry,
    Failed,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Retained => "retained",
            Self::Pending => "pending",
            Self::Retry => "retry",
            Self::Failed => "failed",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        [Self::Retained, Self::Pending, Self::Retry, Self::Failed]
            .into_iter()
            .find(|it| it.as_str() == word)
    }
}

async fn report_one(tx: &mut Tx, message: &OutcomeMessage) -> Result<Reported, Error> {
    let request = message.request;
    let rows = tx
        .query_for_update("SELECT state FROM request WHERE id = $1", args![request])
        .await?;
    let Some(state) = rows.first().map(|row| row.word(0, RequestState::parse)).transpose()? else {
        return Ok(Reported::Unknown);
    };
    let plan = plan_of(tx, request).await?;
    let entry = match plan.find(message.phase, &message.subsystem) {
        Some((at, entry)) if entry.evidence == message.evidence && !state.is_final() => at,
        _ => return Ok(Reported::Stale),
    };
    let text = "SELECT count FROM slice WHERE request = $1 AND number = $2";
    let rows = tx.query(text, args![request, message.slice]).await?;
    let Some(count) = rows.first().map(|row| row.number::<u16>(0)).transpose()? else {
        return Ok(Reported::Stale);
    };
    let whole = Mask::first(usize::from(count));
    let stored = stored_at(tx, request, entry, message.slice).await?;
    let later = stored
        .iter()
        .filter(|it| it.at > message.at)
        .fold(Mask::EMPTY, |mask, it| mask.or(&it.tasks));
    let spoken = message.outcomes.iter().fold(Mask::EMPTY, |mask, it| mask.or(it.tasks()));
    for it in stored.iter().filter(|it| it.at <= message.at) {
        take_out(tx, request, entry, message.slice, it, &spoken).await?;
    }
    let mut ordinal = stored.iter().map(|it| it.ordinal).max().unwrap_or(-1) + 1;
    for outcome in &message.outcomes {
        let tasks = outcome.tasks().and(&whole).without(&later);
        if !tasks.is_empty() {
            insert(
                tx,
                Place {
                    request,
                    entry,
                    slice: message.slice,
                    ordinal,
                },
                outcome,
                &tasks,
                message.at,
            )
            .await?;
            ordinal += 1;
        }
    }
    Ok(Reported::Recorded)
}

/// The part of a stored report that decides what replaces what.
pub(super) struct Stored {
    pub(super) ordinal: i64,
    pub(super) kind: Kind,
    pub(super) tasks: Mask,
    pub(super) code: Option<String>,
    at: Millis,
}

pub(super) async fn stored_at(tx: &mut Tx, request: RequestKey, entry: usize, slice: u32) -> Result<Vec<Stored>, Error> {
    let text = "SELECT ordinal, kind, tasks, at, code FROM report WHERE request = $1 AND entry = $2 AND slice = $3";
    let rows = tx.query(text, args![request, entry, slice]).await?;
    rows.iter()
        .map(|row| {
            Ok(Stored {
                ordinal: row.int(0)?,
                kind: row.word(1, Kind::parse)?,
                tasks: row.mask(2)?,
                at: row.millis(3)?,
                code: row.text_or_null(4)?.map(str::to_owned),
            })
        })
        .collect()
}

pub(super) async fn take_out(
    tx: &mut Tx,
    request: RequestKey,
    entry: usize,
    slice: u32,
    stored: &Stored,
    tasks: &Mask,
) -> Result<(), Error> {
    let left = stored.tasks.without(tasks);
    if left.is_empty() {
        let text = "DELETE FROM report WHERE request = $1 AND entry = $2 AND slice = $3 AND ordinal = $4";
        tx.execute(text, args![request, entry, slice, stored.ordinal]).await?;
    } else if left != stored.tasks {
        let text = "UPDATE report SET tasks = $5 WHERE request = $1 AND entry = $2 AND slice = $3 AND ordinal = $4";
        tx.execute(text, args![request, entry, slice, stored.ordinal, &left]).await?;
    }
    Ok(())
}

#[derive(Clone, Copy)]
struct Place {
    request: RequestKey,
    entry: usize,
    slice: u32,
    ordinal: i64,
}

async fn insert(tx: &mut Tx, place: Place, outcome: &TaskOutcome, tasks: &Mask, at: Millis) -> Result<(), Error> {
    insert_many(tx, COLUMNS, "", vec![row_of(place, outcome, tasks, at)]).await?;
    Ok(())
}

const COLUMNS: &str = "report (request, entry, slice, ordinal, kind, tasks, code, source, class, blame, retry_after_ms, attempt, \
    due_at, ground, sealed, at)";

fn row_of(place: Place, outcome: &TaskOutcome, tasks: &Mask, at: Millis) -> Vec<Value> {
    let (kind, fault, attempt, due_at, ground, sealed) = match outcome {
        TaskOutcome::Retained { ground, until, .. } => (Kind::Retained, None, 0, Some(*until), Some(ground.0.as_str()), None),
        TaskOutcome::Pending {
            check_at, references, ..
        } => (Kind::Pending, None, 0, Some(*check_at), None, Some(references)),
        TaskOutcome::Retry {
            fault,
            attempt,
            next_try,
            ..
        } => (Kind::Retry, Some(fault), *attempt, Some(*next_try), None, None),
        TaskOutcome::Failed { fault, attempt, .. } => (Kind::Failed, Some(fault), *attempt, None, None, None),
    };
    args![
        place.request,
        place.entry,
        place.slice,
        place.ordinal,
        kind.as_str(),
        tasks,
        fault.map(|it| it.code.as_str()),
        fault.map(|it| it.source.0.as_str()),
        fault.map(|it| class_word(it.class)),
        fault.map(|it| blame_word(it.blame)),
        fault.and_then(|it| it.retry_after_ms),
        attempt,
        due_at,
        ground,
        sealed,
        at,
    ]
}

/// Writes the tasks that are failed from the start as failed in every live entry of their request's plan, and that there is nothing
/// to dispatch where all of a slice are.
pub(super) async fn insert_failed_now(tx: &mut Tx, parts: &[(&NewPart, &Plan)]) -> Result<(), Error> {
    let (mut reports, mut skipped) = (Vec::new(), Vec::new());
    for (part, plan) in parts.iter().filter(|(part, _)| !part.failed_now.is_empty()) {
        let live: Vec<usize> = plan.live().map(|(entry, _)| entry).collect();
        let whole = part.slices.iter().filter(|slice| is_failed_as_a_whole(part, slice));
        skipped.extend(whole.map(|slice| ((part.request, slice.number), Sent::never(&live))));
        for (entry, slice) in live
            .into_iter()
            .flat_map(|entry| part.slices.iter().map(move |slice| (entry, slice)))
        {
            let failed = part.failed_now.iter().filter(|it| it.slice == slice.number);
            reports.extend((0_i64..).zip(failed).map(|(ordinal, it)| {
                let place = Place {
                    request: part.request,
                    entry,
                    slice: slice.number,
                    ordinal,
                };
                let outcome = TaskOutcome::Failed {
                    tasks: it.tasks,
                    fault: it.fault.clone(),
                    attempt: 0,
                };
                row_of(place, &outcome, &it.tasks, part.accepted_at)
            }));
        }
    }
    insert_many(tx, COLUMNS, "", reports).await?;
    write_sent(tx, skipped).await
}

/// Whether every task of the slice is failed from the start.
pub(super) fn is_failed_as_a_whole(part: &NewPart, slice: &NewSlice) -> bool {
    let failed = part.failed_now.iter().filter(|it| it.slice == slice.number);
    failed.fold(Mask::EMPTY, |mask, it| mask.or(&it.tasks)) == Mask::first(usize::from(slice.count))
}

/// Writes what was failed from the start in one entry as failed in another one: a longer plan must not try what nobody decided on.
pub(super) async fn copy_failed_from_start(tx: &mut Tx, request: RequestKey, from: usize, to: usize) -> Result<(), Error> {
    let text = "INSERT INTO report (request, entry, slice, ordinal, kind, tasks, code, source, class, blame, attempt, at) \
        SELECT request, $3, slice, ordinal, kind, tasks, code, source, class, blame, attempt, at FROM report \
        WHERE request = $1 AND entry = $2 AND kind = 'failed' AND code IN ($4, $5)";
    let codes = (FaultCode::Ambiguous.as_str(), FaultCode::NotResolvable.as_str());
    tx.execute(text, args![request, from, to, codes.0, codes.1]).await?;
    let mut rows = sent_of(tx, request).await?;
    rows.retain(|_, sent| sent.copy_never(from, to));
    let rows = rows.into_iter().map(|(slice, sent)| ((request, slice), sent));
    write_sent(tx, rows.collect()).await
}

fn report(row: &Row) -> Result<Report, Error> {
    let tasks = row.mask(4)?;
    let attempt = row.number(10)?;
    let outcome = match row.word(3, Kind::parse)? {
        Kind::Retained => TaskOutcome::Retained {
            tasks,
            ground: Ground(row.text(12)?.to_owned()),
            until: row.millis(11)?,
        },
        Kind::Pending => TaskOutcome::Pending {
            tasks,
            check_at: row.millis(11)?,
            references: Sealed(row.blob(13)?.to_vec()),
        },
        Kind::Retry => TaskOutcome::Retry {
            tasks,
            fault: fault(row, 5)?,
            attempt,
            next_try: row.millis(11)?,
        },
        Kind::Failed => TaskOutcome::Failed {
            tasks,
            fault: fault(row, 5)?,
            attempt,
        },
    };
    Ok(Report {
        entry: row.number(1)?,
        slice: row.number(2)?,
        at: row.millis(14)?,
        outcome,
    })
}

/// Reads code, source, class, blame and wait from this column on.
pub(super) fn fault(row: &Row, at: usize) -> Result<Fault, Error> {
    let code = row.word(at, |word| FaultCode::ALL.iter().copied().find(|it| it.as_str() == word))?;
    let class = row.word(at + 2, |word| CLASSES.into_iter().find(|it| class_word(*it) == word))?;
    let blame = row.word(at + 3, |word| BLAMES.into_iter().find(|it| blame_word(*it) == word))?;
    let mut fault = Fault::new(class, blame, code, row.text(at + 1)?);
    fault.retry_after_ms = row.int_or_null(at + 4)?.and_then(|it| u64::try_from(it).ok());
    Ok(fault)
}

const CLASSES: [FaultClass; 4] = [
    FaultClass::Transient,
    FaultClass::Throttled,
    FaultClass::Permanent,
    FaultClass::Poison,
];
const BLAMES: [Blame; 3] = [Blame::Store, Blame::Batch, Blame::Subject];

fn class_word(class: FaultClass) -> &'static str {
    match class {
        FaultClass::Transient => "transient",
        FaultClass::Throttled => "throttled",
        FaultClass::Permanent => "permanent",
        FaultClass::Poison => "poison",
    }
}

fn blame_word(blame: Blame) -> &'static str {
    match blame {
        Blame::Store => "store",
        Blame::Batch => "batch",
        Blame::Subject => "subject",
    }
}
