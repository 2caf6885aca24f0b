//! Due dates.

use super::outbox::insert_events;
use super::request::headers_in;
use crate::sql::args;
use crate::{Error, Event, Ledger};
use erasure_protocol::{Header, Millis};
use std::time::Duration;

impl Ledger {
    /// Marks open requests whose due date has passed, and writes the event that `event` makes for each, in one transaction. Each
    /// request once. The headers are those after marking.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn mark_overdue(
        &self,
        now: Millis,
        limit: u32,
        event: impl Fn(&Header) -> Event + Send + Sync,
    ) -> Result<Vec<Header>, Error> {
        let select = "SELECT id FROM request WHERE finished_at IS NULL AND overdue = 0 AND due_at < $1 ORDER BY due_at LIMIT $2";
        let update = "UPDATE request SET overdue = 1, at_risk = 0 WHERE id = $1 AND overdue = 0 AND finished_at IS NULL";
        self.mark(select, update, now, now, limit, event).await
    }

    /// The same for open requests that are due within `window` and not overdue.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn mark_at_risk(
        &self,
        now: Millis,
        window: Duration,
        limit: u32,
        event: impl Fn(&Header) -> Event + Send + Sync,
    ) -> Result<Vec<Header>, Error> {
        let select = "SELECT id FROM request WHERE finished_at IS NULL AND overdue = 0 AND at_risk = 0 AND due_at < $1 \
            ORDER BY due_at LIMIT $2";
        let update = "UPDATE request SET at_risk = 1 WHERE id = $1 AND at_risk = 0 AND overdue = 0 AND finished_at IS NULL";
        self.mark(select, update, now.plus(window), now, limit, event).await
    }

    async fn mark(
        &self,
        select: &'static str,
        update: &'static str,
        due_before: Millis,
        now: Millis,
        limit: u32,
        event: impl Fn(&Header) -> Event + Send + Sync,
    ) -> Result<Vec<Header>, Error> {
        // Most of the time there is nothing: no transaction for that.
        let rows = self.rows("looking for due dates", select, args![due_before, limit]).await?;
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let mut due = rows.iter().map(|row| row.request(0)).collect::<Result<Vec<_>, _>>()?;
        // In order of key, so that two processes never wait for each other crosswise.
        due.sort_unstable();
        let mut tx = self.begin("marking due dates").await?;
        let mut marked = Vec::new();
        for request in due {
            if tx.execute(update, args![request]).await? == 1 {
                marked.push(request);
            }
        }
        let headers = headers_in(&mut tx, self.id(), &marked).await?;
        let events: Vec<Event> = headers.iter().map(&event).collect();
        insert_events(&mut tx, &events, now).await?;
        tx.commit().await?;
        Ok(headers)
    }
}
