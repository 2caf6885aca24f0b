//! The plan of a request: read, written, extended.

use super::dispatch::note_undispatched;
use super::report::copy_failed_from_start;
use crate::ledger::after_key;
use crate::sql::{Row, Tx, Value, args, insert_many};
use crate::{Error, Ledger};
use erasure_protocol::{EvidenceKey, Phase, Plan, PlanEntry, RequestKey, SubsystemName};

impl Ledger {
    /// Puts a longer plan in place of the one with `expected_version` entries, which it must begin with. `false`: the plan has
    /// another version by now, or the request is final or unknown.
    ///
    /// # Errors
    /// When the plan does not continue the stored one, or the database cannot be reached.
    pub async fn extend_plan(&self, request: RequestKey, expected_version: u32, plan: &Plan) -> Result<bool, Error> {
        let mut tx = self.begin("extending a plan").await?;
        let text = "SELECT plan_version FROM request WHERE id = $1 AND finished_at IS NULL";
        let rows = tx.query_for_update(text, args![request]).await?;
        let Some(version) = rows.first().map(|row| row.number::<u32>(0)).transpose()? else {
            return Ok(false);
        };
        if version != expected_version {
            return Ok(false);
        }
        let stored = plan_of(&mut tx, request).await?;
        if !plan.entries().starts_with(stored.entries()) {
            return Err(Error::Refused("a plan is only ever extended"));
        }
        if plan.version() == version {
            return Ok(true);
        }
        append(&mut tx, request, &stored, plan).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Open requests, in order of key, whose live entries differ from the register: another evidence key is current, or a
    /// registered subsystem is missing.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn requests_to_extend(&self, after: Option<RequestKey>, limit: u32) -> Result<Vec<RequestKey>, Error> {
        // Plans are few; which of them are behind is asked first.
        let text = "WITH behind AS MATERIALIZED (SELECT DISTINCT o.plan FROM plan_entry o CROSS JOIN subsystem s WHERE s.retired = 0 \
                AND o.position = 0 AND (\
                NOT EXISTS (SELECT 1 FROM plan_entry p WHERE p.plan = o.plan AND p.live = 1 AND p.subsystem = s.name) OR \
                EXISTS (SELECT 1 FROM plan_entry p WHERE p.plan = o.plan AND p.live = 1 AND p.subsystem = s.name \
                    AND p.evidence <> s.evidence))) \
            SELECT r.id FROM behind JOIN request r ON r.plan = behind.plan WHERE r.finished_at IS NULL AND r.id > $1 \
            ORDER BY r.id LIMIT $2";
        let rows = self
            .rows("looking for plans to extend", text, args![after_key(after), limit])
            .await?;
        rows.iter().map(|row| row.request(0)).collect()
    }
}

pub(super) async fn plan_of(tx: &mut Tx, request: RequestKey) -> Result<Plan, Error> {
    let text = "SELECT p.phase, p.subsystem, p.evidence FROM request r JOIN plan_entry p ON p.plan = r.plan WHERE r.id = $1 \
        ORDER BY p.position";
    let rows = tx.query(text, args![request]).await?;
    Ok(Plan::new(rows.iter().map(|row| entry(row, 0)).collect::<Result<_, _>>()?))
}

/// Reads phase, subsystem and evidence key from this column on.
pub(super) fn entry(row: &Row, at: usize) -> Result<PlanEntry, Error> {
    Ok(PlanEntry {
        phase: row.word(at, Phase::parse)?,
        subsystem: row.word(at + 1, |text| SubsystemName::new(text).ok())?,
        evidence: EvidenceKey(row.bytes(at + 2)?),
    })
}

/// Puts `plan`, which continues it, in the place of `stored`.
pub(super) async fn append(tx: &mut Tx, request: RequestKey, stored: &Plan, plan: &Plan) -> Result<(), Error> {
    let from = stored.entries().len();
    for (at, entry) in stored.live().filter(|(at, _)| !plan.is_live(*at)) {
        // What waits or failed there is history as well; only what says why nothing was tried goes on to the new entry.
        if let Some((to, _)) = plan.find(entry.phase, &entry.subsystem) {
            copy_failed_from_start(tx, request, at, to).await?;
        }
    }
    let first_live = stored.live().map(|(at, _)| at).next();
    for (to, entry) in plan.live().filter(|(at, _)| *at >= from) {
        if let (None, Some(source)) = (stored.find(entry.phase, &entry.subsystem), first_live) {
            copy_failed_from_start(tx, request, source, to).await?;
        }
    }
    insert_plans(tx, &[plan]).await?;
    let text = "UPDATE request SET plan = $2, plan_version = $3 WHERE id = $1";
    tx.execute(text, args![request, plan.id().as_slice(), plan.version()]).await?;
    note_undispatched(tx, request).await
}

const COLUMNS: &str = "plan_entry (plan, position, phase, subsystem, evidence, live)";

fn rows_of(plan: &Plan) -> Vec<Vec<Value>> {
    let id = plan.id();
    let entries = plan.entries().iter().enumerate();
    let row = |(at, entry): (usize, &PlanEntry)| {
        args![
            id.as_slice(),
            at,
            entry.phase.as_str(),
            entry.subsystem.as_str(),
            entry.evidence,
            plan.is_live(at)
        ]
    };
    entries.map(row).collect()
}

/// Writes the plans that are not there, each once, in order of id: two processes never wait for each other crosswise.
pub(super) async fn insert_plans(tx: &mut Tx, plans: &[&Plan]) -> Result<(), Error> {
    let mut distinct: Vec<&Plan> = Vec::new();
    for plan in plans {
        if !distinct.contains(plan) {
            distinct.push(plan);
        }
    }
    distinct.sort_by_key(|plan| plan.id());
    let rows = distinct.into_iter().flat_map(rows_of).collect();
    insert_many(tx, COLUMNS, "ON CONFLICT DO NOTHING", rows).await?;
    Ok(())
}
