//! Failed tasks of open requests: what somebody must look at.

use super::act::insert_act;
use super::report::{Kind, fault, stored_at, take_out};
use crate::sql::{Row, args};
use crate::{Attention, AttentionFilter, AttentionKey, Error, Ledger, NewAct};
use erasure_protocol::{FaultCode, Lane, Mask, Operation, Phase, RequestId, RequestKey, SubsystemName, TenantId};

impl Ledger {
    /// Failed tasks of open requests, in order of request, entry and slice, after this place.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn attention(
        &self,
        filter: &AttentionFilter,
        after: Option<AttentionKey>,
        limit: u32,
    ) -> Result<Vec<Attention>, Error> {
        let text = "SELECT f.request, f.entry, f.slice, f.ordinal, r.request_id, r.tenant, r.ticket, r.operation, r.lane, r.due_at, \
            p.phase, p.subsystem, f.tasks, f.code, f.source, f.class, f.blame, f.retry_after_ms, f.attempt, f.at \
            FROM report f JOIN request r ON r.id = f.request \
            JOIN plan_entry p ON p.plan = r.plan AND p.position = f.entry AND p.live = 1 \
            WHERE f.kind = 'failed' AND r.finished_at IS NULL AND (f.request, f.entry, f.slice, f.ordinal) > ($1, $2, $3, $4) \
            AND (f.code = $5 OR $5 = '') AND (p.subsystem = $6 OR $6 = '') AND (r.tenant = $7 OR $7 = '') \
            AND (f.request = $8 OR length($8) = 0) ORDER BY f.request, f.entry, f.slice, f.ordinal LIMIT $9";
        let (entry, slice, ordinal) = after.map_or((-1, -1, -1), |it| (it.entry, it.slice, it.ordinal));
        let values = args![
            crate::ledger::after_key(after.map(|it| it.request)),
            entry,
            slice,
            ordinal,
            filter.code.map_or("", FaultCode::as_str),
            filter.subsystem.as_ref().map_or("", SubsystemName::as_str),
            filter.tenant.as_ref().map_or("", TenantId::as_str),
            crate::ledger::after_key(filter.request),
            limit,
        ];
        self.rows("listing what needs attention", text, values)
            .await?
            .iter()
            .map(attention)
            .collect()
    }

    /// Takes the failed tasks of one slice in one entry out, for a redrive, with the act: which ones. Empty when there are none
    /// (any more), or the request is final. One act may take from many slices.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn take_failed(
        &self,
        request: RequestKey,
        entry: usize,
        slice: u32,
        code: Option<FaultCode>,
        act: &NewAct,
    ) -> Result<Mask, Error> {
        let mut tx = self.begin("taking failed tasks").await?;
        let text = "SELECT state FROM request WHERE id = $1 AND finished_at IS NULL";
        if tx.query_for_update(text, args![request]).await?.is_empty() {
            return Ok(Mask::EMPTY);
        }
        let mut taken = Mask::EMPTY;
        for stored in stored_at(&mut tx, request, entry, slice).await? {
            let is_wanted = code.is_none_or(|code| stored.code.as_deref() == Some(code.as_str()));
            if stored.kind == Kind::Failed && is_wanted {
                taken = taken.or(&stored.tasks);
                take_out(&mut tx, request, entry, slice, &stored, &stored.tasks).await?;
            }
        }
        if !taken.is_empty() {
            insert_act(&mut tx, act).await?;
            tx.commit().await?;
        }
        Ok(taken)
    }
}

fn attention(row: &Row) -> Result<Attention, Error> {
    let request = row.request(0)?;
    Ok(Attention {
        key: AttentionKey {
            request,
            entry: row.int(1)?,
            slice: row.int(2)?,
            ordinal: row.int(3)?,
        },
        request,
        entry: row.number(1)?,
        slice: row.number(2)?,
        request_id: row.word(4, |text| RequestId::new(text).ok())?,
        tenant: row.word(5, |text| TenantId::new(text).ok())?,
        ticket: row.text_or_null(6)?.map(str::to_owned),
        operation: row.word(7, Operation::parse)?,
        lane: row.word(8, Lane::parse)?,
        due_at: row.millis(9)?,
        phase: row.word(10, Phase::parse)?,
        subsystem: row.word(11, |text| SubsystemName::new(text).ok())?,
        tasks: row.mask(12)?,
        fault: fault(row, 13)?,
        attempt: row.number(18)?,
        at: row.millis(19)?,
    })
}
