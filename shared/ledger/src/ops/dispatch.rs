//! Which slices were sent to which entries, how often and when.

use super::request::{PlanId, grouped};
use super::sent::{Sent, SlicePlace, read_sent, sent, sent_of, write_sent};
use crate::ledger::after_key;
use crate::sql::{Tx, Value, args, insert_many};
use crate::{Dispatch, DispatchCount, Error, Ledger};
use erasure_protocol::{Millis, RequestKey, RequestState};
use std::collections::{BTreeMap, BTreeSet};

impl Ledger {
    /// Running requests with a live entry and a slice that were never dispatched, oldest first: so many of one slice at most, then so
    /// many of more.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn undispatched(&self, small_max: u32, large_max: u32) -> Result<Vec<RequestKey>, Error> {
        let text = "SELECT request FROM undispatched WHERE large = $1 ORDER BY accepted_at LIMIT $2";
        let mut requests = Vec::new();
        for (is_large, limit) in [(false, small_max), (true, large_max)] {
            let rows = self
                .rows("looking for what was not dispatched", text, args![is_large, limit])
                .await?;
            for row in rows {
                requests.push(row.request(0)?);
            }
        }
        Ok(requests)
    }

    /// Running requests whose last dispatch (or, where there is none, acceptance) is before `before`, in order of key.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn stalled(&self, before: Millis, after: Option<RequestKey>, limit: u32) -> Result<Vec<RequestKey>, Error> {
        let text = "SELECT r.id FROM request r WHERE r.finished_at IS NULL AND r.state = 'running' AND r.accepted_at < $1 \
            AND NOT EXISTS (SELECT 1 FROM dispatch d WHERE d.request = r.id AND d.last_at >= $1) AND r.id > $2 ORDER BY r.id LIMIT $3";
        let rows = self
            .rows("looking for what stands still", text, args![before, after_key(after), limit])
            .await?;
        rows.iter().map(|row| row.request(0)).collect()
    }

    /// Counts one dispatch, if the request is running and was dispatched exactly as often as the caller knows. Before publishing.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn try_dispatch(&self, wanted: Dispatch, now: Millis) -> Result<Option<u32>, Error> {
        Ok(self.dispatch(&[wanted], now).await?.into_iter().next().flatten())
    }

    /// Counts dispatches of any requests in one transaction: for each the new count, or `None` where the request is not running,
    /// the entry is not live, or the count is another than expected. Of two that are the same, the first is counted first.
    ///
    /// # Errors
    /// When the database cannot be reached: then nothing was counted, or all was; read [`Self::dispatch_counts`].
    pub async fn dispatch(&self, wanted: &[Dispatch], now: Millis) -> Result<Vec<Option<u32>>, Error> {
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        let mut tx = self.begin("counting dispatches").await?;
        let requests: BTreeSet<RequestKey> = wanted.iter().map(|it| it.request).collect();
        let running = lock_running(&mut tx, requests).await?;
        let live = live_entries(&mut tx, running.values().map(|it| it.plan)).await?;
        let is_there = |it: &Dispatch| {
            let request = running.get(&it.request);
            request.is_some_and(|request| it.slice < request.slices && has(&live, request.plan, it.entry))
        };
        let places: BTreeSet<SlicePlace> = wanted.iter().filter(|it| is_there(it)).map(place_of).collect();
        let mut sent = read_sent(&mut tx, &places.into_iter().collect::<Vec<_>>()).await?;
        let mut counted = BTreeSet::new();
        let mut counts = Vec::with_capacity(wanted.len());
        for it in wanted {
            let count = match is_there(it) {
                true => sent.entry(place_of(it)).or_default().count(it.entry, it.expected, now),
                false => None,
            };
            if count.is_some() {
                counted.insert(place_of(it));
            }
            counts.push(count);
        }
        // In order of place, so that rows are written as they lie.
        sent.retain(|place, _| counted.contains(place));
        write_sent(&mut tx, sent.iter().map(|(place, sent)| (*place, sent.clone())).collect()).await?;
        let mut complete = Vec::new();
        for (request, it) in running {
            let live = live.get(&it.plan).map_or(&[][..], Vec::as_slice);
            if is_sent(&mut tx, request, it.slices, live, &sent).await? {
                complete.push(it.undispatched(request).row());
            }
        }
        let text = "DELETE FROM undispatched WHERE (large, accepted_at, request) IN (SELECT large, at, request FROM w)";
        tx.query_rows("large, at, request", text, complete).await?;
        tx.commit().await?;
        Ok(counts)
    }

    /// How often each slice was dispatched to each entry; what was never dispatched is not in the list.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn dispatch_counts(&self, request: RequestKey) -> Result<Vec<DispatchCount>, Error> {
        Ok(self
            .dispatch_counts_of(&[request])
            .await?
            .remove(&request)
            .unwrap_or_default())
    }

    /// The same of many requests; those of which nothing was dispatched are left out.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn dispatch_counts_of(&self, requests: &[RequestKey]) -> Result<BTreeMap<RequestKey, Vec<DispatchCount>>, Error> {
        let text = "SELECT request, slice, sent FROM dispatch WHERE request {these} ORDER BY request, slice";
        let rows = self.rows_of("reading the dispatches", text, &[], requests).await?;
        let slices = grouped(&rows, |row| Ok((row.number(1)?, sent(row, 2)?)))?;
        let counts = slices.into_iter().map(|(request, slices)| {
            let mut counts: Vec<DispatchCount> = slices.iter().flat_map(|(slice, sent)| sent.counts(*slice)).collect();
            counts.sort_by_key(|it| (it.entry, it.slice));
            (request, counts)
        });
        Ok(counts.filter(|(_, counts)| !counts.is_empty()).collect())
    }
}

fn place_of(wanted: &Dispatch) -> SlicePlace {
    (wanted.request, wanted.slice)
}

/// A running request, held.
struct Running {
    plan: PlanId,
    slices: u32,
    accepted_at: Millis,
}

impl Running {
    fn undispatched(&self, request: RequestKey) -> Undispatched {
        Undispatched {
            is_large: self.slices > 1,
            accepted_at: self.accepted_at,
            request,
        }
    }
}

/// A row of what is still to be sent.
pub(super) struct Undispatched {
    pub(super) is_large: bool,
    pub(super) accepted_at: Millis,
    pub(super) request: RequestKey,
}

impl Undispatched {
    fn row(&self) -> Vec<Value> {
        args![self.is_large, self.accepted_at, self.request]
    }
}

/// Locks the requests in order of key, so that two processes never wait for each other crosswise. Those that are running.
async fn lock_running(tx: &mut Tx, requests: BTreeSet<RequestKey>) -> Result<BTreeMap<RequestKey, Running>, Error> {
    let requests: Vec<_> = requests.into_iter().collect();
    let text = "SELECT id, state, plan, slices, accepted_at FROM request WHERE id {these} ORDER BY id";
    let mut running = BTreeMap::new();
    for row in tx.query_these_for_update(text, &requests).await? {
        if row.word(1, RequestState::parse)? == RequestState::Running {
            let it = Running {
                plan: row.bytes(2)?,
                slices: row.number(3)?,
                accepted_at: row.millis(4)?,
            };
            running.insert(row.request(0)?, it);
        }
    }
    Ok(running)
}

/// The live entries of each of these plans. Most requests share one.
async fn live_entries(tx: &mut Tx, plans: impl Iterator<Item = PlanId>) -> Result<BTreeMap<PlanId, Vec<usize>>, Error> {
    let distinct: BTreeSet<PlanId> = plans.collect();
    let rows = distinct.iter().map(|plan| args![plan.as_slice()]).collect();
    let text =
        "SELECT p.plan, p.position FROM w JOIN plan_entry p ON p.plan = w.plan WHERE p.live = 1 ORDER BY p.plan, p.position";
    let mut live: BTreeMap<PlanId, Vec<usize>> = BTreeMap::new();
    for row in tx.query_rows("plan", text, rows).await? {
        live.entry(row.bytes(0)?).or_default().push(row.number(1)?);
    }
    Ok(live)
}

fn has(live: &BTreeMap<PlanId, Vec<usize>>, plan: PlanId, entry: usize) -> bool {
    live.get(&plan).is_some_and(|entries| entries.contains(&entry))
}

/// Whether every slice went to every live entry at least once. `sent` is what this transaction has just written.
async fn is_sent(
    tx: &mut Tx,
    request: RequestKey,
    slices: u32,
    live: &[usize],
    sent: &BTreeMap<SlicePlace, Sent>,
) -> Result<bool, Error> {
    let went = |sent: &Sent| live.iter().all(|entry| sent.has(*entry));
    if slices == 1 {
        return Ok(sent.get(&(request, 0)).is_some_and(went));
    }
    // Only once there is something of every slice are all of them looked at.
    let rows = tx
        .query("SELECT count(*) FROM dispatch WHERE request = $1", args![request])
        .await?;
    let noted: u32 = rows.first().ok_or(Error::Damaged("a count"))?.number(0)?;
    Ok(noted == slices && sent_of(tx, request).await?.values().all(went))
}

/// Makes these known to [`Ledger::undispatched`].
pub(super) async fn insert_undispatched(tx: &mut Tx, requests: impl Iterator<Item = Undispatched>) -> Result<(), Error> {
    let rows = requests.map(|it| it.row()).collect();
    insert_many(
        tx,
        "undispatched (large, accepted_at, request)",
        "ON CONFLICT DO NOTHING",
        rows,
    )
    .await?;
    Ok(())
}

/// The same of a request that has just begun to run, or got another plan, if there is something to send.
pub(super) async fn note_undispatched(tx: &mut Tx, request: RequestKey) -> Result<(), Error> {
    let Some(it) = lock_running(tx, [request].into()).await?.remove(&request) else {
        return Ok(());
    };
    let live = live_entries(tx, [it.plan].into_iter()).await?;
    let live = live.get(&it.plan).map_or(&[][..], Vec::as_slice);
    let sent = sent_of(tx, request).await?;
    let sent = sent.into_iter().map(|(slice, sent)| ((request, slice), sent)).collect();
    if is_sent(tx, request, it.slices, live, &sent).await? {
        return Ok(());
    }
    insert_undispatched(tx, std::iter::once(it.undispatched(request))).await
}
