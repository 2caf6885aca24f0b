//! Events on their way out.

use crate::sql::{Tx, Value, args, insert_many, of_these};
use crate::{Error, Event, Ledger};
use erasure_protocol::Millis;

impl Ledger {
    /// Writes an event that belongs to no other change. Writing it again under the same id does nothing.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn add_event(&self, event: &Event, now: Millis) -> Result<(), Error> {
        let mut tx = self.begin("writing an event").await?;
        insert_events(&mut tx, std::slice::from_ref(event), now).await?;
        tx.commit().await
    }

    /// Events not sent yet, in the order in which they were written.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn unsent(&self, limit: u32) -> Result<Vec<Event>, Error> {
        let text = "SELECT id, kind, routing_key, body FROM outbox WHERE sent_at IS NULL ORDER BY position LIMIT $1";
        let rows = self.rows("reading the outbox", text, args![limit]).await?;
        rows.iter()
            .map(|row| {
                Ok(Event {
                    id: row.text(0)?.to_owned(),
                    kind: row.text(1)?.to_owned(),
                    routing_key: row.text(2)?.to_owned(),
                    body: row.blob(3)?.to_vec(),
                })
            })
            .collect()
    }

    /// Marks events as sent, once the broker has confirmed them. What they said goes; that they were sent stays, so that nobody
    /// writes them again.
    ///
    /// # Errors
    /// When the database cannot be reached: then they are sent again, which is harmless.
    pub async fn mark_sent(&self, ids: &[String], now: Millis) -> Result<(), Error> {
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let mut tx = self.begin("marking events as sent").await?;
        let text = "UPDATE outbox SET sent_at = $1, body = $2 WHERE sent_at IS NULL AND id {these}";
        let statements = of_these(tx.is_sqlite(), text, &[now.into(), Value::from([].as_slice())], &ids)?;
        tx.query_each(statements).await?;
        tx.commit().await
    }
}

pub(super) async fn insert_events(tx: &mut Tx, events: &[Event], now: Millis) -> Result<(), Error> {
    insert_rows(tx, events.iter().map(|it| row(it, now)).collect()).await
}

/// Writes each event with its own time, in this order.
pub(super) async fn insert_dated_events(tx: &mut Tx, events: &[(&Event, Millis)]) -> Result<(), Error> {
    insert_rows(tx, events.iter().map(|(it, at)| row(it, *at)).collect()).await
}

fn row(it: &Event, at: Millis) -> Vec<Value> {
    args![
        it.id.as_str(),
        it.kind.as_str(),
        it.routing_key.as_str(),
        it.body.as_slice(),
        at
    ]
}

async fn insert_rows(tx: &mut Tx, rows: Vec<Vec<Value>>) -> Result<(), Error> {
    let target = "outbox (id, kind, routing_key, body, created_at)";
    insert_many(tx, target, "ON CONFLICT (id) DO NOTHING", rows).await?;
    Ok(())
}
