//! Taking custody of a request, whole or in parts.

use super::dispatch::{Undispatched, insert_undispatched, note_undispatched};
use super::outbox::{insert_dated_events, insert_events};
use super::plan::{append, insert_plans, plan_of};
use super::report::{insert_failed_now, is_failed_as_a_whole};
use super::subsystem::{Mismatch, Register};
use crate::sql::{Row, Tx, args, insert_many, insert_returning};
use crate::{Accepted, Error, Ledger, NewPart, Part};
use erasure_protocol::{KeyId, Lane, Mask, Plan, PlanEntry, RequestKey, RequestState, SLICE_SUBJECTS_MAX, Sealed, WrappedKey};
use std::collections::{BTreeMap, BTreeSet};

impl Ledger {
    /// Takes a request, or a part of one, in one transaction. Safe to repeat.
    ///
    /// # Errors
    /// When the part contradicts itself, or the database cannot be reached: then repeat.
    pub async fn accept(&self, part: NewPart) -> Result<Accepted, Error> {
        let answers = self.accept_all(vec![part]).await?;
        answers.into_iter().next().ok_or(Error::Refused("one part has one answer"))
    }

    /// Several in one transaction, for one commit: one answer each, in order.
    ///
    /// # Errors
    /// As [`Self::accept`]; then nothing of all of them was taken.
    pub async fn accept_all(&self, parts: Vec<NewPart>) -> Result<Vec<Accepted>, Error> {
        parts.iter().try_for_each(check)?;
        let _turn = match parts.iter().any(|part| part.lane != Lane::Single) {
            true => Some(self.bulk_turn().await),
            false => None,
        };
        // In order of key, so that two processes never wait for each other crosswise: first everybody writes what is new to them,
        // then everybody locks what was there. Among one request's parts, as they came.
        let mut order: Vec<usize> = (0..parts.len()).collect();
        order.sort_by_key(|at| parts[*at].request);
        let mut answers: Vec<Option<Accepted>> = vec![None; parts.len()];
        let mut tx = self.begin("accepting a request").await?;
        let refusals = refusals(&mut tx, &parts).await?;
        let began = begin_new(&mut tx, &parts, &order, &refusals).await?;
        for at in order {
            let part = &parts[at];
            answers[at] = Some(match (began.get(&part.request), &refusals[at]) {
                (Some(first), _) if *first == at => begun(part),
                // It came before the part with which the request began.
                (Some(first), Some(refusal)) if at < *first => refusal.clone(),
                (_, refusal) => accept_one(&mut tx, part, refusal.as_ref()).await?,
            });
        }
        let mut answers: Vec<Accepted> = answers.into_iter().flatten().collect();
        if answers
            .iter()
            .any(|it| matches!(it, Accepted::New { .. } | Accepted::Incomplete { .. }))
        {
            // Last, because on PostgreSQL every other accepting transaction waits for this row.
            let rows = tx
                .query("UPDATE ledger_meta SET seq = seq + 1 RETURNING seq", args![])
                .await?;
            let now: u64 = rows.first().ok_or(Error::Damaged("the sequence"))?.number(0)?;
            tx.commit().await?;
            for answer in &mut answers {
                if let Accepted::New { seq } | Accepted::Incomplete { seq } = answer {
                    *seq = now;
                }
            }
        }
        Ok(answers)
    }

    /// Where a request stands and the data key it is sealed under, to be asked before a part is sealed. The key is `None` once the
    /// request is final.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn data_key_of(&self, request: RequestKey) -> Result<Option<(RequestState, Option<WrappedKey>)>, Error> {
        let text = "SELECT state, data_key_id, data_key FROM request WHERE id = $1";
        let row = self.one("reading a data key", text, args![request]).await?;
        row.map(|row| Ok((row.word(0, RequestState::parse)?, wrapped_key(&row, 1)?)))
            .transpose()
    }
}

/// Reads the data key from two columns.
pub(super) fn wrapped_key(row: &Row, at: usize) -> Result<Option<WrappedKey>, Error> {
    Ok(match (row.text_or_null(at)?, row.blob_or_null(at + 1)?) {
        (Some(key), Some(wrapped)) => Some(WrappedKey {
            key: KeyId(key.to_owned()),
            wrapped: Sealed(wrapped.to_vec()),
        }),
        _ => None,
    })
}

fn check(part: &NewPart) -> Result<(), Error> {
    let require = |holds: bool, rule: &'static str| if holds { Ok(()) } else { Err(Error::Refused(rule)) };
    require(
        part.request == RequestKey::of(&part.tenant, &part.request_id),
        "the request key is that of tenant and request id",
    )?;
    require(!part.plan.is_empty(), "a plan has entries")?;
    let plan = Plan::new(part.plan.clone());
    require(
        plan.live().count() == plan.entries().len(),
        "a new plan names a subsystem once in each phase",
    )?;
    let counts_fit = part
        .slices
        .iter()
        .all(|slice| (1..=SLICE_SUBJECTS_MAX).contains(&usize::from(slice.count)));
    require(counts_fit, "a slice has 1 to 512 subjects")?;
    match part.part {
        None => {
            let in_order = (0_u32..).zip(&part.slices).all(|(number, slice)| slice.number == number);
            require(in_order && !part.slices.is_empty(), "slices are numbered from 0 without gaps")?;
        }
        Some(it) => require(
            matches!(part.slices.as_slice(), [slice] if slice.number == it.number),
            "a part has one slice, numbered as the part",
        )?,
    }
    let count_of = |number: u32| {
        part.slices
            .iter()
            .find(|slice| slice.number == number)
            .map_or(0, |slice| slice.count)
    };
    let hashes_fit = part.hashes.iter().all(|hash| hash.position < count_of(hash.slice));
    require(hashes_fit, "a hash belongs to a subject of the part")?;
    let fits = |slice: u32, tasks: &Mask| tasks.without(&Mask::first(usize::from(count_of(slice)))).is_empty();
    require(
        part.failed_now.iter().all(|it| fits(it.slice, &it.tasks)),
        "a failed task belongs to a subject of the part",
    )
}

/// What the register says against each part's plan. Each distinct plan is compared once.
async fn refusals(tx: &mut Tx, parts: &[NewPart]) -> Result<Vec<Option<Accepted>>, Error> {
    let register = Register::hold(tx).await?;
    let mut known: Vec<(&[PlanEntry], Option<Accepted>)> = Vec::new();
    let mut refusals = Vec::with_capacity(parts.len());
    for part in parts {
        let found = known.iter().find(|(plan, _)| *plan == part.plan);
        let refusal = match found {
            Some((_, refusal)) => refusal.clone(),
            None => {
                let refusal = refusal(&register, &part.plan);
                known.push((&part.plan, refusal.clone()));
                refusal
            }
        };
        refusals.push(refusal);
    }
    Ok(refusals)
}

fn refusal(register: &Register, plan: &[PlanEntry]) -> Option<Accepted> {
    register.compare(&plan.iter().collect::<Vec<_>>()).map(|it| match it {
        Mismatch::Outdated(name) => Accepted::Outdated(name),
        Mismatch::Missing(name) => Accepted::MissingSubsystem(name),
        Mismatch::Unknown(name) => Accepted::UnknownSubsystem(name),
    })
}

/// Writes the requests that are new, all of them in one statement for each table. Which part each of them began with.
async fn begin_new(
    tx: &mut Tx,
    parts: &[NewPart],
    order: &[usize],
    refusals: &[Option<Accepted>],
) -> Result<BTreeMap<RequestKey, usize>, Error> {
    let mut firsts: BTreeMap<RequestKey, usize> = BTreeMap::new();
    for at in order.iter().filter(|at| refusals[**at].is_none()) {
        firsts.entry(parts[*at].request).or_insert(*at);
    }
    let wanted: Vec<&NewPart> = firsts.values().map(|at| &parts[*at]).collect();
    let new = insert_requests(tx, &wanted).await?;
    firsts.retain(|request, _| new.contains(request));
    let written: Vec<&NewPart> = firsts.values().map(|at| &parts[*at]).collect();
    write_first_parts(tx, &written).await?;
    Ok(firsts)
}

async fn accept_one(tx: &mut Tx, part: &NewPart, refusal: Option<&Accepted>) -> Result<Accepted, Error> {
    if let Some(row) = stored_request(tx, part.request).await? {
        return accept_into(tx, part, &row, refusal).await;
    }
    if let Some(refusal) = refusal {
        return Ok(refusal.clone());
    }
    if insert_requests(tx, &[part]).await?.is_empty() {
        // Somebody else was first in this moment, and has committed.
        let row = stored_request(tx, part.request).await?.ok_or(Error::Damaged("a request"))?;
        return accept_into(tx, part, &row, refusal).await;
    }
    write_first_parts(tx, &[part]).await?;
    Ok(begun(part))
}

async fn stored_request(tx: &mut Tx, request: RequestKey) -> Result<Option<Row>, Error> {
    let text = "SELECT state, data_key_id, data_key, operation, options FROM request WHERE id = $1";
    Ok(tx.query_for_update(text, args![request]).await?.into_iter().next())
}

/// A part for a request that is there already: the same again, one more part, or a contradiction.
async fn accept_into(tx: &mut Tx, part: &NewPart, stored: &Row, refusal: Option<&Accepted>) -> Result<Accepted, Error> {
    let state = stored.word(0, RequestState::parse)?;
    let place = place_of(part);
    let text = "SELECT number, last, fingerprint FROM request_part WHERE request = $1";
    let mut is_contradicted = stored.text(3)? != part.operation.as_str() || stored.text(4)? != options_json(part);
    for row in tx.query(text, args![part.request]).await? {
        let (number, is_last) = (row.number::<u32>(0)?, row.flag(1)?);
        if number == place.number {
            let is_same = row.blob(2)? == part.fingerprint && is_last == place.last;
            return Ok(if is_same { Accepted::Same(state) } else { Accepted::Conflict });
        }
        is_contradicted |= (is_last && place.number > number) || (place.last && number > place.number);
    }
    if is_contradicted || state != RequestState::Receiving {
        return Ok(Accepted::Conflict);
    }
    match wrapped_key(stored, 1)? {
        Some(key) if key != part.key => return Ok(Accepted::OtherKey(key)),
        Some(_) => {}
        None => return Err(Error::Damaged("the data key of an open request")),
    }
    if let Some(refusal) = refusal {
        return Ok(refusal.clone());
    }
    let plan = plan_of(tx, part.request).await?;
    let longer = plan.extended(&part.plan);
    if let Some(longer) = &longer {
        append(tx, part.request, &plan, longer).await?;
    }
    write_later_part(tx, part, longer.as_ref().unwrap_or(&plan)).await
}

/// A request that arrives whole is its own last part.
fn place_of(part: &NewPart) -> Part {
    part.part.unwrap_or(Part { number: 0, last: true })
}

fn options_json(part: &NewPart) -> String {
    serde_json::to_string(&part.options).unwrap_or_default()
}

/// Whether the first part of a request is all of it.
fn is_whole(part: &NewPart) -> bool {
    place_of(part) == Part { number: 0, last: true }
}

/// The answer to the part with which a request has begun.
fn begun(part: &NewPart) -> Accepted {
    if is_whole(part) {
        Accepted::New { seq: 0 }
    } else {
        Accepted::Incomplete { seq: 0 }
    }
}

fn subjects(part: &NewPart) -> u64 {
    part.slices.iter().map(|it| u64::from(it.count)).sum()
}

/// Writes requests as they are with their first part, in order of key. Those that were not there.
async fn insert_requests(tx: &mut Tx, parts: &[&NewPart]) -> Result<BTreeSet<RequestKey>, Error> {
    let row = |part: &&NewPart| {
        let plan = Plan::new(part.plan.clone());
        let state = if is_whole(part) {
            RequestState::Running
        } else {
            RequestState::Receiving
        };
        args![
            part.request,
            part.tenant.as_str(),
            part.request_id.as_str(),
            part.operation.as_str(),
            options_json(part),
            part.source.as_str(),
            part.origin.as_str(),
            part.ticket.clone(),
            part.regulation.as_str(),
            part.received_at,
            part.accepted_at,
            part.due_at,
            part.lane.as_str(),
            state.as_str(),
            plan.id().as_slice(),
            plan.version(),
            part.slices.len(),
            subjects(part),
            part.key.key.0.as_str(),
            &part.key.wrapped,
        ]
    };
    let target = "request (id, tenant, request_id, operation, options, source, origin, ticket, regulation, received_at, \
        accepted_at, due_at, lane, state, plan, plan_version, slices, subjects, data_key_id, data_key)";
    let rows = parts.iter().map(row).collect();
    let new = insert_returning(tx, target, "ON CONFLICT DO NOTHING RETURNING id", rows).await?;
    new.iter().map(|row| row.request(0)).collect()
}

/// Writes all that belongs to requests that have just begun with these parts.
async fn write_first_parts(tx: &mut Tx, parts: &[&NewPart]) -> Result<(), Error> {
    let plans: Vec<Plan> = parts.iter().map(|part| Plan::new(part.plan.clone())).collect();
    let new: Vec<(&NewPart, &Plan)> = parts.iter().copied().zip(&plans).collect();
    insert_plans(tx, &plans.iter().collect::<Vec<_>>()).await?;
    write_content(tx, parts).await?;
    insert_failed_now(tx, &new).await?;
    let whole: Vec<&NewPart> = parts.iter().copied().filter(|part| is_whole(part)).collect();
    let has_work = |part: &&&NewPart| !part.slices.iter().all(|slice| is_failed_as_a_whole(part, slice));
    let waiting = whole.iter().filter(has_work).map(|part| Undispatched {
        is_large: part.slices.len() > 1,
        accepted_at: part.accepted_at,
        request: part.request,
    });
    insert_undispatched(tx, waiting).await?;
    let events = whole
        .iter()
        .flat_map(|part| part.events.iter().map(|event| (event, part.accepted_at)));
    insert_dated_events(tx, &events.collect::<Vec<_>>()).await
}

/// Writes the parts themselves, their slices and hashes.
async fn write_content(tx: &mut Tx, parts: &[&NewPart]) -> Result<(), Error> {
    let rows = parts.iter().map(|part| {
        let place = place_of(part);
        args![part.request, place.number, place.last, part.fingerprint.as_slice()]
    });
    insert_many(tx, "request_part (request, number, last, fingerprint)", "", rows.collect()).await?;
    let slices = parts.iter().flat_map(|part| part.slices.iter().map(|it| (part.request, it)));
    let rows = slices.map(|(request, it)| args![request, it.number, it.count, &it.sealed]);
    insert_many(tx, "slice (request, number, count, sealed)", "", rows.collect()).await?;
    let hashes = parts.iter().flat_map(|part| part.hashes.iter().map(|it| (part.request, it)));
    let rows = hashes.map(|(request, it)| args![it.hash, request, it.slice, it.position, it.key_id.0.as_str()]);
    let target = "subject_hash (hash, request, slice, position, key_id)";
    insert_many(tx, target, "ON CONFLICT DO NOTHING", rows.collect()).await?;
    Ok(())
}

/// Writes a part of a request that has begun with another one.
async fn write_later_part(tx: &mut Tx, part: &NewPart, plan: &Plan) -> Result<Accepted, Error> {
    let request = part.request;
    write_content(tx, &[part]).await?;
    insert_failed_now(tx, &[(part, plan)]).await?;
    let text = "SELECT count(*), max(CASE WHEN last = 1 THEN number ELSE -1 END) FROM request_part WHERE request = $1";
    let rows = tx.query(text, args![request]).await?;
    let row = rows.first().ok_or(Error::Damaged("the parts of a request"))?;
    let is_complete = row.int(0)? == row.int(1)? + 1;
    let state = if is_complete {
        RequestState::Running
    } else {
        RequestState::Receiving
    };
    let text = "UPDATE request SET subjects = subjects + $2, slices = slices + $3, state = $4 WHERE id = $1";
    tx.execute(text, args![request, subjects(part), part.slices.len(), state.as_str()])
        .await?;
    if !is_complete {
        return Ok(Accepted::Incomplete { seq: 0 });
    }
    note_undispatched(tx, request).await?;
    insert_events(tx, &part.events, part.accepted_at).await?;
    Ok(Accepted::New { seq: 0 })
}
