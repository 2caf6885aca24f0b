//! Messages put aside because they could not be taken.

use super::act::insert_act;
use crate::sql::{Row, args};
use crate::{Error, Ledger, NewAct, NewParked, Parked, ParkedFilter, ParkedState};
use erasure_protocol::{Sealed, TenantId};

const COLUMNS: &str = "SELECT id, tenant, queue, code, field, sealed, at, expires_at, state FROM parked";

impl Ledger {
    /// Puts a message aside. Safe to repeat.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn park(&self, parked: &NewParked) -> Result<(), Error> {
        let mut tx = self.begin("parking a message").await?;
        let text = "INSERT INTO parked (id, tenant, queue, code, field, sealed, at, expires_at, state) \
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (id) DO NOTHING";
        let values = args![
            parked.id.as_str(),
            parked.tenant.as_ref().map(TenantId::as_str),
            parked.queue.as_str(),
            parked.code.as_str(),
            parked.field.clone(),
            &parked.sealed,
            parked.at,
            parked.expires_at,
            ParkedState::Open.as_str(),
        ];
        tx.execute(text, values).await?;
        tx.commit().await
    }

    /// Parked messages in order of id, after this one.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn parked(&self, filter: &ParkedFilter, after: Option<&str>, limit: u32) -> Result<Vec<Parked>, Error> {
        let text = format!(
            "{COLUMNS} WHERE state = $1 AND id > $2 AND (tenant = $3 OR $3 = '') AND (code = $4 OR $4 = '') \
             AND (queue = $5 OR $5 = '') ORDER BY id LIMIT $6"
        );
        let values = args![
            filter.state.unwrap_or(ParkedState::Open).as_str(),
            after.unwrap_or_default(),
            filter.tenant.as_ref().map_or("", TenantId::as_str),
            filter.code.as_deref().unwrap_or_default(),
            filter.queue.as_deref().unwrap_or_default(),
            limit,
        ];
        self.pool()
            .query("listing parked messages", text, values)
            .await?
            .iter()
            .map(parked)
            .collect()
    }

    /// One parked message.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn parked_one(&self, id: &str) -> Result<Option<Parked>, Error> {
        let rows = self
            .pool()
            .query("reading a parked message", format!("{COLUMNS} WHERE id = $1"), args![id])
            .await?;
        rows.first().map(parked).transpose()
    }

    /// Ends an open parked message, with the act, and deletes its body. `false`: it was not open. Redriving publishes first.
    ///
    /// # Errors
    /// When the state is no end, or the database cannot be reached.
    pub async fn set_parked_state(&self, id: &str, state: ParkedState, act: &NewAct) -> Result<bool, Error> {
        if state == ParkedState::Open {
            return Err(Error::Refused("a parked message is opened only by parking it"));
        }
        let mut tx = self.begin("ending a parked message").await?;
        let text = "UPDATE parked SET state = $2, sealed = NULL WHERE id = $1 AND state = 'open'";
        let is_done = tx.execute(text, args![id, state.as_str()]).await? == 1;
        if is_done {
            insert_act(&mut tx, act).await?;
            tx.commit().await?;
        }
        Ok(is_done)
    }
}

fn parked(row: &Row) -> Result<Parked, Error> {
    let tenant = row.text_or_null(1)?.map(TenantId::new).transpose();
    Ok(Parked {
        id: row.text(0)?.to_owned(),
        tenant: tenant.map_err(|_| Error::Damaged("a tenant"))?,
        queue: row.text(2)?.to_owned(),
        code: row.text(3)?.to_owned(),
        field: row.text_or_null(4)?.map(str::to_owned),
        sealed: row.blob_or_null(5)?.map(|bytes| Sealed(bytes.to_vec())),
        at: row.millis(6)?,
        expires_at: row.millis(7)?,
        state: row.word(8, ParkedState::parse)?,
    })
}
