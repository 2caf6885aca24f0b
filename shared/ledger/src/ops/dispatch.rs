//! Which slices were sent to which entries, how often and when.

use crate::ledger::after_key;
use crate::sql::{Tx, args};
use crate::{Dispatch, DispatchCount, Error, Ledger};
use erasure_protocol::{Millis, RequestKey, RequestState};
use std::collections::BTreeMap;

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

    /// Counts dispatches in one transaction: for each the new count, or `None` where the request is not running, the entry is not
    /// live, or the count is another than expected.
    ///
    /// # Errors
    /// When the database cannot be reached: then nothing was counted, or all was; read [`Self::dispatch_counts`].
    pub async fn dispatch(&self, wanted: &[Dispatch], now: Millis) -> Result<Vec<Option<u32>>, Error> {
        let mut by_request: BTreeMap<RequestKey, Vec<usize>> = BTreeMap::new();
        for (at, it) in wanted.iter().enumerate() {
            by_request.entry(it.request).or_default().push(at);
        }
        let mut counts = vec![None; wanted.len()];
        let mut tx = self.begin("counting dispatches").await?;
        for (request, positions) in by_request {
            if !is_running(&mut tx, request).await? {
                continue;
            }
            let mut has_counted = false;
            for at in positions {
                counts[at] = count_one(&mut tx, wanted[at], now).await?;
                has_counted |= counts[at].is_some();
            }
            if !has_counted {
                continue;
            }
            tx.execute("UPDATE request SET last_dispatch_at = $2 WHERE id = $1", args![request, now])
                .await?;
            note_whether_dispatched(&mut tx, request).await?;
        }
        tx.commit().await?;
        Ok(counts)
    }

    /// How often each slice was dispatched to each entry; what was never dispatched is not in the list.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn dispatch_counts(&self, request: RequestKey) -> Result<Vec<DispatchCount>, Error> {
        let text = "SELECT entry, slice, count, last_at FROM dispatch WHERE request = $1 AND count > 0 ORDER BY entry, slice";
        let rows = self.rows("reading the dispatches", text, args![request]).await?;
        rows.iter()
            .map(|row| {
                Ok(DispatchCount {
                    entry: row.number(0)?,
                    slice: row.number(1)?,
                    count: row.number(2)?,
                    last_at: row.millis(3)?,
                })
            })
            .collect()
    }
}

async fn is_running(tx: &mut Tx, request: RequestKey) -> Result<bool, Error> {
    let rows = tx
        .query_for_update("SELECT state FROM request WHERE id = $1", args![request])
        .await?;
    Ok(rows.first().map(|row| row.word(0, RequestState::parse)).transpose()? == Some(RequestState::Running))
}

async fn count_one(tx: &mut Tx, wanted: Dispatch, now: Millis) -> Result<Option<u32>, Error> {
    let Dispatch {
        request,
        entry,
        slice,
        expected,
    } = wanted;
    let touched = if expected == 0 {
        let text = "INSERT INTO dispatch (request, entry, slice, count, last_at) \
            SELECT p.request, p.position, s.number, 1, $4 FROM plan_entry p JOIN slice s ON s.request = p.request \
            WHERE p.request = $1 AND p.position = $2 AND p.live = 1 AND s.number = $3 \
            ON CONFLICT (request, entry, slice) DO UPDATE SET count = 1, last_at = excluded.last_at WHERE dispatch.count = 0";
        tx.execute(text, args![request, entry, slice, now]).await?
    } else {
        let text = "UPDATE dispatch SET count = count + 1, last_at = $4 WHERE request = $1 AND entry = $2 AND slice = $3 \
            AND count = $5 AND EXISTS (SELECT 1 FROM plan_entry p WHERE p.request = $1 AND p.position = $2 AND p.live = 1)";
        tx.execute(text, args![request, entry, slice, now, expected]).await?
    };
    Ok((touched == 1).then_some(expected + 1))
}

/// Keeps [`Ledger::undispatched`] cheap: notes whether every slice went to every live entry at least once.
pub(super) async fn note_whether_dispatched(tx: &mut Tx, request: RequestKey) -> Result<(), Error> {
    let text = "UPDATE request SET dispatched = CASE WHEN EXISTS (\
        SELECT 1 FROM plan_entry p JOIN slice s ON s.request = p.request WHERE p.request = $1 AND p.live = 1 AND NOT EXISTS \
        (SELECT 1 FROM dispatch d WHERE d.request = $1 AND d.entry = p.position AND d.slice = s.number)) \
        THEN 0 ELSE 1 END WHERE id = $1";
    tx.execute(text, args![request]).await?;
    Ok(())
}

/// Notes that there is nothing to dispatch, because every task of the slice is failed from the start.
pub(super) async fn skip_first_dispatch(
    tx: &mut Tx,
    request: RequestKey,
    entry: usize,
    slice: u32,
    now: Millis,
) -> Result<(), Error> {
    let text = "INSERT INTO dispatch (request, entry, slice, count, last_at) VALUES ($1, $2, $3, 0, $4) ON CONFLICT DO NOTHING";
    tx.execute(text, args![request, entry, slice, now]).await?;
    Ok(())
}
