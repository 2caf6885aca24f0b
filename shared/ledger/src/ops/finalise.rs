//! The end of a request: evidence in, keys and sealed bytes out.

use super::act::insert_act;
use super::outbox::insert_events;
use super::plan::plan_of;
use super::subsystem::{Mismatch, compare_with_register};
use crate::sql::{Row, Tx, args, insert_many};
use crate::{Closed, Error, Event, EvidenceRow, Final, Finalised, Ledger, NewAct};
use erasure_protocol::{Done, Mask, Millis, Operation, Phase, Plan, PlanEntry, RequestKey, RequestState};
use std::collections::BTreeMap;

impl Ledger {
    /// Writes a final state with its evidence and event, and deletes the data key, the sealed slices and all references, in one
    /// transaction. The ledger believes nobody: the evidence must cover every task of every live entry, and every entry must
    /// stand under today's evidence key.
    ///
    /// # Errors
    /// When the state is no end for this operation, or the database cannot be reached: then repeat.
    pub async fn finalise(&self, end: Final) -> Result<Finalised, Error> {
        let mut tx = self.begin("finalising a request").await?;
        let text = "SELECT state, plan_version, operation FROM request WHERE id = $1";
        let rows = tx.query_for_update(text, args![end.request]).await?;
        let Some(row) = rows.first() else {
            return Ok(Finalised::Unknown);
        };
        let state = row.word(0, RequestState::parse)?;
        if state.is_final() {
            return Ok(Finalised::Already(state));
        }
        if !ends(row.word(2, Operation::parse)?).contains(&end.state) {
            return Err(Error::Refused("the state is no end for this operation"));
        }
        if !state.may_become(end.state) {
            return Ok(Finalised::NotRunning);
        }
        let plan = plan_of(&mut tx, end.request).await?;
        let live: Vec<_> = plan.live().map(|(_, entry)| entry).collect();
        if row.number::<u32>(1)? != end.plan_version || disagrees(&mut tx, &live).await? {
            return Ok(Finalised::PlanChanged);
        }
        let text = "SELECT number, count FROM slice WHERE request = $1 ORDER BY number";
        let slices = tx.query(text, args![end.request]).await?;
        let slices = slices
            .iter()
            .map(|row| Ok((row.number(0)?, row.number(1)?)))
            .collect::<Result<Vec<(u32, u16)>, Error>>()?;
        let bits = bits_of(&plan, &end.evidence);
        if !is_covered(&plan, &slices, end.state, &bits) {
            return Ok(Finalised::NotCovered);
        }
        write_end(&mut tx, &end, &bits).await?;
        shred(&mut tx, end.request).await?;
        tx.execute(
            "DELETE FROM report WHERE request = $1 AND kind <> 'retained'",
            args![end.request],
        )
        .await?;
        insert_events(&mut tx, std::slice::from_ref(&end.event), end.at).await?;
        tx.commit().await?;
        Ok(Finalised::Now)
    }

    /// Gives a request up, with the act and an event, and deletes the data key and all sealed bytes of it. Never *erased*.
    ///
    /// # Errors
    /// When the database cannot be reached: then repeat.
    pub async fn close_not_erased(&self, request: RequestKey, act: &NewAct, event: Event) -> Result<Closed, Error> {
        let mut tx = self.begin("closing a request").await?;
        let rows = tx
            .query_for_update("SELECT state FROM request WHERE id = $1", args![request])
            .await?;
        let Some(row) = rows.first() else {
            return Ok(Closed::Unknown);
        };
        let state = row.word(0, RequestState::parse)?;
        if !state.may_become(RequestState::ClosedNotErased) {
            return Ok(Closed::Already(state));
        }
        let text = "UPDATE request SET state = $2, finished_at = $3 WHERE id = $1";
        tx.execute(text, args![request, RequestState::ClosedNotErased.as_str(), act.at])
            .await?;
        shred(&mut tx, request).await?;
        tx.execute(
            "DELETE FROM report WHERE request = $1 AND kind IN ('pending', 'retry')",
            args![request],
        )
        .await?;
        insert_act(&mut tx, act).await?;
        insert_events(&mut tx, &[event], act.at).await?;
        tx.commit().await?;
        Ok(Closed::Now)
    }

    /// The evidence of a final request.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn evidence(&self, request: RequestKey) -> Result<Vec<EvidenceRow>, Error> {
        let text =
            "SELECT entry, slice, letter, tasks, verified_at FROM evidence WHERE request = $1 ORDER BY entry, slice, letter";
        self.rows("reading evidence", text, args![request])
            .await?
            .iter()
            .map(evidence)
            .collect()
    }
}

fn evidence(row: &Row) -> Result<EvidenceRow, Error> {
    Ok(EvidenceRow {
        entry: row.number(0)?,
        slice: row.number(1)?,
        done: row.word(2, |word| word.chars().next().and_then(Done::from_letter))?,
        tasks: row.mask(3)?,
        verified_at: row.millis(4)?,
    })
}

fn ends(operation: Operation) -> &'static [RequestState] {
    match operation {
        Operation::Erase => &[
            RequestState::Erased,
            RequestState::ErasedWithRetention,
            RequestState::NothingHeld,
        ],
        Operation::Deactivate => &[RequestState::Deactivated, RequestState::NothingHeld],
        Operation::Reactivate => &[RequestState::Reactivated, RequestState::NothingHeld],
    }
}

/// Whether what is registered has moved on from the plan. A retired subsystem may stay in it: it was asked, and has answered.
async fn disagrees(tx: &mut Tx, live: &[&PlanEntry]) -> Result<bool, Error> {
    let active = active_of(tx, live).await?;
    Ok(match compare_with_register(tx, &active).await? {
        None => false,
        Some(Mismatch::Outdated(_) | Mismatch::Missing(_) | Mismatch::Unknown(_)) => true,
    })
}

async fn active_of<'p>(tx: &mut Tx, live: &[&'p PlanEntry]) -> Result<Vec<&'p PlanEntry>, Error> {
    let rows = tx
        .query_for_share("SELECT name FROM subsystem WHERE retired = 1", args![])
        .await?;
    let retired = rows.iter().map(|row| row.text(0)).collect::<Result<Vec<_>, _>>()?;
    Ok(live
        .iter()
        .copied()
        .filter(|entry| !retired.contains(&entry.subsystem.as_str()))
        .collect())
}

/// The evidence by entry, slice and outcome, with the oldest read-back of each.
type Bits = BTreeMap<(usize, u32, Done), (Mask, Millis)>;

fn bits_of(plan: &Plan, evidence: &[EvidenceRow]) -> Bits {
    let mut bits = Bits::new();
    for it in evidence
        .iter()
        .filter(|it| plan.is_live(it.entry) && it.done != Done::Failed && !it.tasks.is_empty())
    {
        let (mask, at) = bits
            .entry((it.entry, it.slice, it.done))
            .or_insert((Mask::EMPTY, it.verified_at));
        *mask = mask.or(&it.tasks);
        *at = it.verified_at.min(*at);
    }
    bits
}

/// Every task of every live entry is erased, retained or was not held, and the state says what the evidence says.
/// How it ended is said by the plan's last phase: hiding somebody erases nothing.
fn is_covered(plan: &Plan, slices: &[(u32, u16)], state: RequestState, bits: &Bits) -> bool {
    let last = plan.live().map(|(_, entry)| entry.phase).max();
    let every = |phase: Option<Phase>, which: &[Done]| {
        plan.live()
            .filter(|(_, it)| phase.is_none_or(|phase| phase == it.phase))
            .all(|(entry, _)| {
                slices.iter().all(|(slice, count)| {
                    let found = which.iter().filter_map(|done| bits.get(&(entry, *slice, *done)));
                    found
                        .fold(Mask::first(usize::from(*count)), |missing, (mask, _)| missing.without(mask))
                        .is_empty()
                })
            })
    };
    let keeps = bits
        .keys()
        .any(|(entry, _, done)| *done == Done::Retained && plan.entry(*entry).map(|it| it.phase) == last);
    let agrees = match state {
        RequestState::NothingHeld => every(last, &[Done::NothingHeld]),
        RequestState::ErasedWithRetention => keeps,
        RequestState::Erased => !keeps,
        RequestState::Deactivated | RequestState::Reactivated => true,
        RequestState::Receiving | RequestState::Running | RequestState::ClosedNotErased => false,
    };
    !slices.is_empty() && agrees && every(None, &[Done::Erased, Done::NothingHeld, Done::Retained])
}

async fn write_end(tx: &mut Tx, end: &Final, bits: &Bits) -> Result<(), Error> {
    let rows = bits.iter().map(|((entry, slice, done), (tasks, verified_at))| {
        args![end.request, *entry, *slice, done.letter().to_string(), tasks, *verified_at]
    });
    insert_many(
        tx,
        "evidence (request, entry, slice, letter, tasks, verified_at)",
        "",
        rows.collect(),
    )
    .await?;
    let text =
        "UPDATE request SET state = $2, finished_at = $3, verified_at = $4, software = $5, confirmations = $6 WHERE id = $1";
    let values = args![
        end.request,
        end.state.as_str(),
        end.at,
        end.verified_at,
        end.software.as_str(),
        end.confirmations.as_str()
    ];
    tx.execute(text, values).await?;
    Ok(())
}

/// Without the key nobody opens what copies of the sealed bytes there may be; the bytes themselves go as well.
async fn shred(tx: &mut Tx, request: RequestKey) -> Result<(), Error> {
    tx.execute(
        "UPDATE request SET data_key = NULL, data_key_id = NULL WHERE id = $1",
        args![request],
    )
    .await?;
    tx.execute("UPDATE slice SET sealed = NULL WHERE request = $1", args![request])
        .await?;
    tx.execute("DELETE FROM dispatch WHERE request = $1", args![request]).await?;
    Ok(())
}
