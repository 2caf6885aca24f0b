//! The end of a request: evidence in, keys and sealed bytes out.

use super::act::insert_act;
use super::outbox::{insert_dated_events, insert_events};
use super::request::{PlanId, grouped, plans_in};
use super::subsystem::{Mismatch, Register};
use crate::sql::{Row, Tx, args, insert_many};
use crate::{Closed, Error, Event, EvidenceRow, Final, Finalised, Ledger, NewAct};
use erasure_protocol::{Done, Mask, Millis, Operation, Phase, Plan, PlanEntry, RequestKey, RequestState};
use std::collections::{BTreeMap, BTreeSet};

impl Ledger {
    /// Writes a final state with its evidence and event, and deletes the data key, the sealed slices and all references, in one
    /// transaction. The ledger believes nobody: the evidence must cover every task of every live entry, and every entry must
    /// stand under today's evidence key.
    ///
    /// # Errors
    /// When the state is no end for this operation, or the database cannot be reached: then repeat.
    pub async fn finalise(&self, end: Final) -> Result<Finalised, Error> {
        match self.finalise_all(vec![end]).await?.first() {
            Some(Finalised::NoEnd) => Err(Error::Refused("the state is no end for this operation")),
            Some(answer) => Ok(*answer),
            None => Err(Error::Refused("one end has one answer")),
        }
    }

    /// Several in one transaction, for one commit: one answer each, in order. One that cannot be leaves the others as they are.
    ///
    /// # Errors
    /// When the database cannot be reached: then nothing of all of them is known; repeat.
    pub async fn finalise_all(&self, ends: Vec<Final>) -> Result<Vec<Finalised>, Error> {
        if ends.is_empty() {
            return Ok(Vec::new());
        }
        let mut tx = self.begin("finalising requests").await?;
        let ledger = Stored::lock(&mut tx, &ends).await?;
        let (answers, written) = ledger.judge(&ends);
        if !written.is_empty() {
            write_ends(&mut tx, &written).await?;
            tx.commit().await?;
        }
        Ok(answers)
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
        let text = "UPDATE request SET state = $2, finished_at = $3, data_key = NULL, data_key_id = NULL WHERE id = $1";
        tx.execute(text, args![request, RequestState::ClosedNotErased.as_str(), act.at])
            .await?;
        shred(&mut tx, &[request]).await?;
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

fn ends_of(operation: Operation) -> &'static [RequestState] {
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

struct StoredRequest {
    state: RequestState,
    version: u32,
    operation: Operation,
    plan: PlanId,
}

/// What the ledger holds against some ends, locked until the end of the transaction.
struct Stored {
    requests: BTreeMap<RequestKey, StoredRequest>,
    plans: BTreeMap<PlanId, Plan>,
    slices: BTreeMap<RequestKey, Vec<(u32, u16)>>,
    register: Register,
}

impl Stored {
    /// In order of key, so that two processes never wait for each other crosswise.
    async fn lock(tx: &mut Tx, ends: &[Final]) -> Result<Self, Error> {
        let keys: BTreeSet<RequestKey> = ends.iter().map(|end| end.request).collect();
        let keys: Vec<RequestKey> = keys.into_iter().collect();
        let text = "SELECT id, state, plan_version, operation, plan FROM request WHERE id {these} ORDER BY id";
        let mut requests = BTreeMap::new();
        for row in tx.query_these_for_update(text, &keys).await? {
            let stored = StoredRequest {
                state: row.word(1, RequestState::parse)?,
                version: row.number(2)?,
                operation: row.word(3, Operation::parse)?,
                plan: row.bytes(4)?,
            };
            requests.insert(row.request(0)?, stored);
        }
        let open = || requests.iter().filter(|(_, stored)| !stored.state.is_final());
        let plans = open().map(|(_, stored)| stored.plan).collect();
        let open: Vec<RequestKey> = open().map(|(request, _)| *request).collect();
        let text = "SELECT request, number, count FROM slice WHERE request {these} ORDER BY request, number";
        Ok(Self {
            plans: plans_in(tx, plans).await?,
            slices: grouped(&tx.query_these(text, &open).await?, |row| {
                Ok((row.number(1)?, row.number(2)?))
            })?,
            register: Register::hold(tx).await?,
            requests,
        })
    }

    /// The answer to each end, and those that are to be written.
    fn judge(mut self, ends: &[Final]) -> (Vec<Finalised>, Vec<(&Final, Bits)>) {
        let mut written = BTreeMap::new();
        let mut answers = Vec::with_capacity(ends.len());
        for end in ends {
            answers.push(match self.judge_one(end) {
                Ok(bits) => {
                    written.insert(end.request, (end, bits));
                    Finalised::Now
                }
                Err(answer) => answer,
            });
            if let (Some(Finalised::Now), Some(stored)) = (answers.last(), self.requests.get_mut(&end.request)) {
                stored.state = end.state;
            }
        }
        (answers, written.into_values().collect())
    }

    /// The evidence that is to be written, or why none is.
    fn judge_one(&self, end: &Final) -> Result<Bits, Finalised> {
        let stored = self.requests.get(&end.request).ok_or(Finalised::Unknown)?;
        if stored.state.is_final() {
            return Err(Finalised::Already(stored.state));
        }
        if !ends_of(stored.operation).contains(&end.state) {
            return Err(Finalised::NoEnd);
        }
        if !stored.state.may_become(end.state) {
            return Err(Finalised::NotRunning);
        }
        let plan = self.plans.get(&stored.plan).ok_or(Finalised::PlanChanged)?;
        if stored.version != end.plan_version || self.disagrees(plan) {
            return Err(Finalised::PlanChanged);
        }
        let bits = bits_of(plan, &end.evidence);
        let slices = self.slices.get(&end.request).map_or(&[][..], Vec::as_slice);
        if is_covered(plan, slices, end.state, &bits) {
            Ok(bits)
        } else {
            Err(Finalised::NotCovered)
        }
    }

    /// Whether what is registered has moved on from the plan. A retired subsystem may stay in it: it was asked, and has answered.
    fn disagrees(&self, plan: &Plan) -> bool {
        let live = plan.live().map(|(_, entry)| entry);
        let active: Vec<&PlanEntry> = live.filter(|entry| !self.register.is_retired(&entry.subsystem)).collect();
        match self.register.compare(&active) {
            None => false,
            Some(Mismatch::Outdated(_) | Mismatch::Missing(_) | Mismatch::Unknown(_)) => true,
        }
    }
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

async fn write_ends(tx: &mut Tx, ends: &[(&Final, Bits)]) -> Result<(), Error> {
    let rows = ends.iter().flat_map(|(end, bits)| {
        bits.iter().map(|((entry, slice, done), (tasks, verified_at))| {
            args![end.request, *entry, *slice, done.letter().to_string(), tasks, *verified_at]
        })
    });
    let target = "evidence (request, entry, slice, letter, tasks, verified_at)";
    insert_many(tx, target, "", rows.collect()).await?;
    let rows = ends.iter().map(|(end, _)| {
        args![
            end.request,
            end.state.as_str(),
            end.at,
            end.verified_at,
            end.software.as_str(),
            end.confirmations.as_str()
        ]
    });
    let columns = "request, state, at, verified_at, software, confirmations";
    let text = "UPDATE request SET state = w.state, finished_at = w.at, verified_at = w.verified_at, software = w.software, \
        confirmations = w.confirmations, data_key = NULL, data_key_id = NULL FROM w WHERE request.id = w.request";
    tx.query_rows(columns, text, rows.collect()).await?;
    let requests: Vec<RequestKey> = ends.iter().map(|(end, _)| end.request).collect();
    shred(tx, &requests).await?;
    tx.query_these("DELETE FROM report WHERE request {these} AND kind <> 'retained'", &requests)
        .await?;
    let events: Vec<_> = ends.iter().map(|(end, _)| (&end.event, end.at)).collect();
    insert_dated_events(tx, &events).await
}

/// Without the key, which goes with the state, nobody opens what copies of the sealed bytes there may be; the bytes themselves go
/// as well.
async fn shred(tx: &mut Tx, requests: &[RequestKey]) -> Result<(), Error> {
    for text in [
        "UPDATE slice SET sealed = NULL WHERE request {these}",
        "DELETE FROM dispatch WHERE request {these}",
        "DELETE FROM undispatched WHERE (large, accepted_at, request) IN \
         (SELECT CASE WHEN slices > 1 THEN 1 ELSE 0 END, accepted_at, id FROM request WHERE id {these})",
    ] {
        tx.query_these(text, requests).await?;
    }
    Ok(())
}
