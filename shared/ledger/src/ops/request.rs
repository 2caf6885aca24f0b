//! Requests as they are stored: headers and slices.

use super::accept::wrapped_key;
use super::plan::entry;
use crate::ledger::after_key;
use crate::sql::{Row, Tx, args, of_rows};
use crate::{Error, Ledger, StoredSlice};
use erasure_protocol::{
    Header, Lane, LedgerId, Operation, Plan, PlanEntry, RequestId, RequestKey, RequestState, Sealed, TenantId,
};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

const HEADER: &str = "SELECT id, request_id, tenant, operation, lane, subjects, slices, data_key_id, data_key, received_at, \
    accepted_at, due_at, ticket, state, finished_at, overdue, at_risk, generation, options, plan FROM request WHERE id {these}";

/// Where the plan's id is in it.
const HEADER_PLAN: usize = 19;

/// A plan never changes, and most requests share one: each is read once.
const PLANS: &str = "SELECT plan, phase, subsystem, evidence FROM plan_entry WHERE plan {these} ORDER BY plan, position";

/// [`Plan::id`].
pub(super) type PlanId = [u8; 16];

impl Ledger {
    /// All that the tracker is told of a request before any work is done.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn header(&self, request: RequestKey) -> Result<Option<Header>, Error> {
        Ok(self.headers(&[request]).await?.into_iter().next())
    }

    /// The headers of several requests, in this order; unknown ones are left out.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn headers(&self, requests: &[RequestKey]) -> Result<Vec<Header>, Error> {
        const DOING: &str = "reading headers";
        let rows = self.rows_of(DOING, HEADER, &[], requests).await?;
        let plans = self.rows_of(DOING, PLANS, &[], &plans_named(&rows)?).await?;
        let found = join_headers(self.id(), &rows, &join_plans(&plans)?)?;
        Ok(requests.iter().filter_map(|request| found.get(request).cloned()).collect())
    }

    /// Counts one more projection of the request from nothing, and gives the header to project.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn bump_generation(&self, request: RequestKey) -> Result<Option<Header>, Error> {
        let mut tx = self.begin("counting a projection").await?;
        tx.execute("UPDATE request SET generation = generation + 1 WHERE id = $1", args![request])
            .await?;
        let header = headers_in(&mut tx, self.id(), &[request]).await?.into_iter().next();
        tx.commit().await?;
        Ok(header)
    }

    /// One sealed slice; `None` when there is none, or the request is final and it is gone.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn slice(&self, request: RequestKey, number: u32) -> Result<Option<StoredSlice>, Error> {
        Ok(self
            .slices(request, number..number.saturating_add(1))
            .await?
            .into_iter()
            .next())
    }

    /// The sealed slices with these numbers, in order, as far as they are there.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn slices(&self, request: RequestKey, numbers: Range<u32>) -> Result<Vec<StoredSlice>, Error> {
        let text = "SELECT number, count, sealed FROM slice WHERE request = $1 AND number >= $2 AND number < $3 \
            AND sealed IS NOT NULL ORDER BY number";
        let rows = self
            .rows("reading slices", text, args![request, numbers.start, numbers.end])
            .await?;
        rows.iter().map(|row| stored_slice(row, 0)).collect()
    }

    /// Sealed slices of many requests, by request and number, as far as they are there.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn slices_of(&self, wanted: &[(RequestKey, u32)]) -> Result<BTreeMap<(RequestKey, u32), StoredSlice>, Error> {
        let text = "SELECT s.request, s.number, s.count, s.sealed FROM w JOIN slice s ON s.request = w.request \
            AND s.number = w.number WHERE s.sealed IS NOT NULL";
        let rows = wanted.iter().map(|(request, number)| args![*request, *number]);
        let statements = of_rows(self.pool().is_sqlite(), "request, number", text, rows.collect())?;
        let rows = self.pool().query_each("reading slices", statements).await?;
        rows.iter()
            .map(|row| Ok(((row.request(0)?, row.number(1)?), stored_slice(row, 1)?)))
            .collect()
    }

    /// How many subjects each slice has, by number. Stays after the end.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn slice_counts(&self, request: RequestKey) -> Result<Vec<u16>, Error> {
        let text = "SELECT count FROM slice WHERE request = $1 ORDER BY number";
        self.rows("counting slices", text, args![request])
            .await?
            .iter()
            .map(|row| row.number(0))
            .collect()
    }

    /// The same of many requests; unknown ones are left out.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn slice_counts_of(&self, requests: &[RequestKey]) -> Result<BTreeMap<RequestKey, Vec<u16>>, Error> {
        let text = "SELECT request, count FROM slice WHERE request {these} ORDER BY request, number";
        let rows = self.rows_of("counting slices", text, &[], requests).await?;
        grouped(&rows, |row| row.number(1))
    }

    /// The requests of every tenant with this request id.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn find_by_request_id(&self, id: &RequestId) -> Result<Vec<(TenantId, RequestKey)>, Error> {
        let text = "SELECT tenant, id FROM request WHERE request_id = $1 ORDER BY tenant";
        let rows = self.rows("looking up a request id", text, args![id.as_str()]).await?;
        rows.iter()
            .map(|row| Ok((row.word(0, |text| TenantId::new(text).ok())?, row.request(1)?)))
            .collect()
    }

    /// Requests that are receiving or running, in order of key.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn open_requests(&self, after: Option<RequestKey>, limit: u32) -> Result<Vec<RequestKey>, Error> {
        let text = "SELECT id FROM request WHERE finished_at IS NULL AND id > $1 ORDER BY id LIMIT $2";
        let rows = self
            .rows("listing open requests", text, args![after_key(after), limit])
            .await?;
        rows.iter().map(|row| row.request(0)).collect()
    }
}

/// What `read` makes of each row, by the request in the first column, in the order of the rows.
pub(super) fn grouped<T>(rows: &[Row], read: impl Fn(&Row) -> Result<T, Error>) -> Result<BTreeMap<RequestKey, Vec<T>>, Error> {
    let mut groups: BTreeMap<RequestKey, Vec<T>> = BTreeMap::new();
    for row in rows {
        groups.entry(row.request(0)?).or_default().push(read(row)?);
    }
    Ok(groups)
}

fn stored_slice(row: &Row, at: usize) -> Result<StoredSlice, Error> {
    Ok(StoredSlice {
        number: row.number(at)?,
        count: row.number(at + 1)?,
        sealed: Sealed(row.blob(at + 2)?.to_vec()),
    })
}

/// The headers of a few requests, as this transaction sees them.
pub(super) async fn headers_in(tx: &mut Tx, ledger: LedgerId, requests: &[RequestKey]) -> Result<Vec<Header>, Error> {
    let rows = tx.query_these(HEADER, requests).await?;
    let plans = tx.query_these(PLANS, &plans_named(&rows)?).await?;
    let found = join_headers(ledger, &rows, &join_plans(&plans)?)?;
    Ok(requests.iter().filter_map(|request| found.get(request).cloned()).collect())
}

/// The plans with these ids.
pub(super) async fn plans_in(tx: &mut Tx, ids: BTreeSet<PlanId>) -> Result<BTreeMap<PlanId, Plan>, Error> {
    let ids: Vec<Vec<u8>> = ids.into_iter().map(Vec::from).collect();
    join_plans(&tx.query_these(PLANS, &ids).await?)
}

/// The plans that rows of [`HEADER`] name, each once.
fn plans_named(rows: &[Row]) -> Result<Vec<Vec<u8>>, Error> {
    let ids: BTreeSet<PlanId> = rows.iter().map(|row| row.bytes(HEADER_PLAN)).collect::<Result<_, _>>()?;
    Ok(ids.into_iter().map(Vec::from).collect())
}

fn join_plans(rows: &[Row]) -> Result<BTreeMap<PlanId, Plan>, Error> {
    let mut plans: BTreeMap<PlanId, Vec<PlanEntry>> = BTreeMap::new();
    for row in rows {
        plans.entry(row.bytes(0)?).or_default().push(entry(row, 1)?);
    }
    Ok(plans.into_iter().map(|(id, entries)| (id, Plan::new(entries))).collect())
}

fn join_headers(ledger: LedgerId, rows: &[Row], plans: &BTreeMap<PlanId, Plan>) -> Result<BTreeMap<RequestKey, Header>, Error> {
    rows.iter()
        .map(|row| {
            let request = row.request(0)?;
            let plan = plans
                .get(&row.bytes(HEADER_PLAN)?)
                .ok_or(Error::Damaged("the plan of a request"))?;
            Ok((request, header(ledger, row, request, plan.clone())?))
        })
        .collect()
}

fn header(ledger: LedgerId, row: &Row, request: RequestKey, plan: Plan) -> Result<Header, Error> {
    Ok(Header {
        ledger,
        request,
        request_id: row.word(1, |text| RequestId::new(text).ok())?,
        tenant: row.word(2, |text| TenantId::new(text).ok())?,
        operation: row.word(3, Operation::parse)?,
        lane: row.word(4, Lane::parse)?,
        plan,
        subjects: row.number(5)?,
        slices: row.number(6)?,
        key: wrapped_key(row, 7)?,
        received_at: row.millis(9)?,
        accepted_at: row.millis(10)?,
        due_at: row.millis(11)?,
        ticket: row.text_or_null(12)?.map(str::to_owned),
        state: row.word(13, RequestState::parse)?,
        finished_at: row.int_or_null(14)?.map(erasure_protocol::Millis),
        overdue: row.flag(15)?,
        at_risk: row.flag(16)?,
        generation: row.number(17)?,
        options: row.word(18, |text| serde_json::from_str(text).ok())?,
    })
}
