//! People, looked for by keyed hashes.

use super::progress::Known;
use crate::sql::Row;
use crate::{Error, FoundPerson, Ledger, Overlap, PersonTask};
use erasure_protocol::{Lane, Millis, Operation, RequestId, RequestKey, RequestState, TenantId};

impl Ledger {
    /// The subjects of open requests of this tenant that share one of these hashes.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn overlaps(&self, tenant: &TenantId, hashes: &[[u8; 32]]) -> Result<Vec<Overlap>, Error> {
        // The hashes first, whatever the planner thinks of the number of open requests.
        let text = "WITH h AS MATERIALIZED (SELECT hash, request, slice, position FROM subject_hash WHERE hash {these}) \
            SELECT h.hash, h.request, h.slice, h.position FROM h JOIN request r ON r.id = h.request \
            WHERE r.tenant = $1 AND r.finished_at IS NULL";
        let rows = self
            .rows_of("looking for overlaps", text, &[tenant.as_str().into()], hashes)
            .await?;
        let mut found = rows.iter().map(overlap).collect::<Result<Vec<_>, _>>()?;
        found.sort_unstable();
        Ok(found)
    }

    /// The subjects of all requests of this tenant with any of these hashes, the latest request first. Each once.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn find(&self, tenant: &TenantId, hashes: &[[u8; 32]]) -> Result<Vec<FoundPerson>, Error> {
        let mut found = Vec::new();
        let text = "WITH h AS MATERIALIZED (SELECT request, slice, position FROM subject_hash WHERE hash {these}) \
            SELECT DISTINCT h.request, r.request_id, h.slice, h.position, r.operation, r.lane, r.state, r.ticket, \
            r.received_at, r.due_at, r.finished_at, r.accepted_at FROM h JOIN request r ON r.id = h.request WHERE r.tenant = $1";
        let rows = self
            .rows_of("looking for a person", text, &[tenant.as_str().into()], hashes)
            .await?;
        for row in rows {
            let person = FoundPerson {
                request: row.request(0)?,
                request_id: row.word(1, |text| RequestId::new(text).ok())?,
                tenant: tenant.clone(),
                slice: row.number(2)?,
                position: row.number(3)?,
                operation: row.word(4, Operation::parse)?,
                lane: row.word(5, Lane::parse)?,
                state: row.word(6, RequestState::parse)?,
                ticket: row.text_or_null(7)?.map(str::to_owned),
                received_at: row.millis(8)?,
                due_at: row.millis(9)?,
                finished_at: row.int_or_null(10)?.map(Millis),
            };
            found.push((std::cmp::Reverse(row.millis(11)?), person));
        }
        found.sort_by_key(|(accepted, it)| (*accepted, it.request, it.slice, it.position));
        found.dedup_by_key(|(_, it)| (it.request, it.slice, it.position));
        Ok(found.into_iter().map(|(_, person)| person).collect())
    }

    /// What evidence and reports say of one person, for each live entry of the plan. `None`: there is no such person.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn person(&self, request: RequestKey, slice: u32, position: u16) -> Result<Option<Vec<PersonTask>>, Error> {
        let Some(header) = self.header(request).await? else {
            return Ok(None);
        };
        let counts = self.slice_counts_by_number(request).await?;
        if counts.get(&slice).is_none_or(|count| position >= *count) {
            return Ok(None);
        }
        let known = Known::of(&self.evidence(request).await?, &self.reports(request).await?);
        let tasks = header.plan.live().map(|(entry, it)| PersonTask {
            entry,
            phase: it.phase,
            subsystem: it.subsystem.clone(),
            standing: known.standing(entry, slice, usize::from(position)),
        });
        Ok(Some(tasks.collect()))
    }
}

fn overlap(row: &Row) -> Result<Overlap, Error> {
    Ok(Overlap {
        hash: row.bytes(0)?,
        request: row.request(1)?,
        slice: row.number(2)?,
        position: row.number(3)?,
    })
}
