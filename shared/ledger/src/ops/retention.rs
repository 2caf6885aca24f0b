//! What may go, and what still needs a key.

use crate::schema::OF_A_REQUEST;
use crate::sql::{Text, args};
use crate::{Error, KeyReferences, Ledger, PurgeBefore, Purged};
use erasure_protocol::KeyId;

impl Ledger {
    /// Deletes what retention says, and on SQLite cuts the log. Acts stay.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn purge(&self, before: PurgeBefore) -> Result<Purged, Error> {
        let mut purged = Purged::default();
        let _turn = self.bulk_turn().await;
        let mut tx = self.begin("purging").await?;
        if let Some(finished) = before.requests_finished {
            let text = "SELECT id FROM request WHERE finished_at IS NOT NULL AND finished_at < $1 ORDER BY finished_at LIMIT $2";
            for row in tx.query(text, args![finished, before.limit]).await? {
                let request = row.request(0)?;
                for table in OF_A_REQUEST {
                    let text = Text::Constant(format!("DELETE FROM {table} WHERE request = $1").into());
                    tx.execute(text, args![request]).await?;
                }
                if tx.execute("DELETE FROM request WHERE id = $1", args![request]).await? == 1 {
                    purged.requests.push(request);
                }
            }
        }
        if let Some(sent) = before.events_sent {
            let text = "DELETE FROM outbox WHERE sent_at IS NOT NULL AND sent_at < $1";
            purged.events = tx.execute(text, args![sent]).await?;
        }
        if let Some(expire) = before.parked_expire {
            purged.parked = tx.execute("DELETE FROM parked WHERE expires_at < $1", args![expire]).await?;
        }
        tx.commit().await?;
        self.pool().checkpoint().await?;
        Ok(purged)
    }

    /// How many things still need this key of the ring.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn key_references(&self, key: &KeyId) -> Result<KeyReferences, Error> {
        const DOING: &str = "counting what needs a key";
        let data_keys = "SELECT count(*) FROM request WHERE finished_at IS NULL AND data_key_id = $1";
        let hashes = "SELECT count(*) FROM subject_hash WHERE key_id = $1";
        let mut counts = [0; 2];
        for (count, text) in counts.iter_mut().zip([data_keys, hashes]) {
            let row = self.one(DOING, text, args![key.0.as_str()]).await?;
            *count = row.ok_or(Error::Damaged("a count"))?.number(0)?;
        }
        Ok(KeyReferences {
            data_keys: counts[0],
            hashes: counts[1],
        })
    }
}
