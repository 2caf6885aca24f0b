//! Which slices were sent to which entries, how often and when.

use super::request::grouped;
use crate::ledger::after_key;
use crate::sql::{Tx, args};
use crate::{Dispatch, DispatchCount, Error, Ledger};
use erasure_protocol::{Millis, RequestKey, RequestState};
use std::collections::{BTreeMap, BTreeSet};

impl Ledger {
    /// Running requests with a live entry and a slice that were never dispatched, oldest first.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn undispatched(&self, limit: u32) -> Result<Vec<RequestKey>, Error> {
        let text = "SELECT id FROM request WHERE finished_at IS NULL AND dispatched = 0 AND state = 'running' \
            ORDER BY accepted_at LIMIT $1";
        let rows = self.rows("looking for what was not dispatched", text, args![limit]).await?;
        rows.iter().map(|row| row.request(0)).collect()
    }

    /// Running requests whose last dispatch (or, where there is none, acceptance) is before `before`, in order of key.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn stalled(&self, before: Millis, after: Option<RequestKey>, limit: u32) -> Result<Vec<RequestKey>, Error> {
        let text = "SELECT id FROM request WHERE finished_at IS NULL AND state = 'running' \
            AND coalesce(last_dispatch_at, accepted_at) < $1 AND id > $2 ORDER BY id LIMIT $3";
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
        let mut counts = vec![None; wanted.len()];
        if wanted.is_empty() {
            return Ok(counts);
        }
        let mut tx = self.begin("counting dispatches").await?;
        let running = lock_running(&mut tx, wanted).await?;
        let mut left: Vec<usize> = (0..wanted.len())
            .filter(|at| running.contains(&wanted[*at].request))
            .collect();
        // In order of place, so that rows are written as they lie.
        left.sort_by_key(|at| place_of(&wanted[*at]));
        let mut has_counted = BTreeSet::new();
        while !left.is_empty() {
            // A statement touches a row once: what is wanted of the same place again waits for the next turn.
            let (turn, later) = firsts_of_each_place(wanted, &left);
            let counted = count_once(&mut tx, wanted, &turn, now).await?;
            for at in turn {
                let place = place_of(&wanted[at]);
                if counted.contains(&place) {
                    counts[at] = Some(wanted[at].expected + 1);
                    has_counted.insert(place.0);
                }
            }
            left = later;
        }
        note_dispatched(&mut tx, &has_counted, now).await?;
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
        let text = "SELECT request, entry, slice, count, last_at FROM dispatch WHERE request {these} AND count > 0 \
            ORDER BY request, entry, slice";
        let rows = self.rows_of("reading the dispatches", text, &[], requests).await?;
        grouped(&rows, |row| {
            Ok(DispatchCount {
                entry: row.number(1)?,
                slice: row.number(2)?,
                count: row.number(3)?,
                last_at: row.millis(4)?,
            })
        })
    }
}

/// Request, entry and slice.
type Place = (RequestKey, usize, u32);

fn place_of(wanted: &Dispatch) -> Place {
    (wanted.request, wanted.entry, wanted.slice)
}

/// Locks the requests in order of key, so that two processes never wait for each other crosswise. Those that are running.
async fn lock_running(tx: &mut Tx, wanted: &[Dispatch]) -> Result<BTreeSet<RequestKey>, Error> {
    let requests: BTreeSet<RequestKey> = wanted.iter().map(|it| it.request).collect();
    let requests: Vec<_> = requests.into_iter().collect();
    let text = "SELECT id, state FROM request WHERE id {these} ORDER BY id";
    let mut running = BTreeSet::new();
    for row in tx.query_these_for_update(text, &requests).await? {
        if row.word(1, RequestState::parse)? == RequestState::Running {
            running.insert(row.request(0)?);
        }
    }
    Ok(running)
}

/// Parts what is left, in order of place: the first of each place, and the others.
fn firsts_of_each_place(wanted: &[Dispatch], left: &[usize]) -> (Vec<usize>, Vec<usize>) {
    let mut last = None;
    left.iter().partition(|at| {
        let place = Some(place_of(&wanted[**at]));
        place != std::mem::replace(&mut last, place)
    })
}

/// Compares and counts, each place at most once. Those that were counted.
async fn count_once(tx: &mut Tx, wanted: &[Dispatch], turn: &[usize], now: Millis) -> Result<BTreeSet<Place>, Error> {
    let (first, again): (Vec<usize>, Vec<usize>) = turn.iter().partition(|at| wanted[**at].expected == 0);
    let row = |at: usize| {
        let it = &wanted[at];
        args![it.request, it.entry, it.slice, it.expected, now]
    };
    let columns = "request, entry, slice, expected, at";
    let text = "INSERT INTO dispatch (request, entry, slice, count, last_at) \
        SELECT w.request, w.entry, w.slice, 1, w.at FROM w \
        JOIN request r ON r.id = w.request JOIN plan_entry p ON p.plan = r.plan AND p.position = w.entry AND p.live = 1 \
        JOIN slice s ON s.request = w.request AND s.number = w.slice WHERE w.expected = 0 \
        ON CONFLICT (request, entry, slice) DO UPDATE SET count = 1, last_at = excluded.last_at WHERE dispatch.count = 0 \
        RETURNING request, entry, slice";
    let mut rows = tx.query_rows(columns, text, first.into_iter().map(row).collect()).await?;
    let text = "UPDATE dispatch SET count = dispatch.count + 1, last_at = w.at FROM w WHERE dispatch.request = w.request \
        AND dispatch.entry = w.entry AND dispatch.slice = w.slice AND dispatch.count = w.expected AND EXISTS \
        (SELECT 1 FROM request r JOIN plan_entry p ON p.plan = r.plan WHERE r.id = w.request AND p.position = w.entry AND p.live = 1) \
        RETURNING dispatch.request, dispatch.entry, dispatch.slice";
    rows.append(&mut tx.query_rows(columns, text, again.into_iter().map(row).collect()).await?);
    rows.iter()
        .map(|row| Ok((row.request(0)?, row.number(1)?, row.number(2)?)))
        .collect()
}

/// Notes the time, and whether every slice went to every live entry.
async fn note_dispatched(tx: &mut Tx, requests: &BTreeSet<RequestKey>, now: Millis) -> Result<(), Error> {
    let text = "UPDATE request SET last_dispatch_at = w.at, dispatched = CASE WHEN EXISTS (\
        SELECT 1 FROM plan_entry p JOIN slice s ON s.request = w.request WHERE p.plan = request.plan AND p.live = 1 AND NOT EXISTS \
        (SELECT 1 FROM dispatch d WHERE d.request = w.request AND d.entry = p.position AND d.slice = s.number)) \
        THEN 0 ELSE 1 END FROM w WHERE request.id = w.request";
    let rows = requests.iter().map(|request| args![*request, now]).collect();
    tx.query_rows("request, at", text, rows).await?;
    Ok(())
}

/// Keeps [`Ledger::undispatched`] cheap: notes whether every slice went to every live entry at least once.
pub(super) async fn note_whether_dispatched(tx: &mut Tx, request: RequestKey) -> Result<(), Error> {
    let text = "UPDATE request SET dispatched = CASE WHEN EXISTS (\
        SELECT 1 FROM plan_entry p JOIN slice s ON s.request = $1 WHERE p.plan = request.plan AND p.live = 1 AND NOT EXISTS \
        (SELECT 1 FROM dispatch d WHERE d.request = $1 AND d.entry = p.position AND d.slice = s.number)) \
        THEN 0 ELSE 1 END WHERE id = $1";
    tx.execute(text, args![request]).await?;
    Ok(())
}
