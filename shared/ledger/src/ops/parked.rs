//! Messages put aside because they could not be taken.

use super::act::insert_act;
use crate::sql::{Row, args, insert_many};
use crate::{Error, Ledger, NewAct, NewParked, Parked, ParkedFilter, ParkedGroup, ParkedState};
use erasure_protocol::{Millis, Sealed, TenantId};

const COLUMNS: &str = "SELECT id, tenant, queue, code, field, sealed, at, expires_at, state FROM parked";

impl Ledger {
    /// Puts a message aside. Safe to repeat.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn park(&self, parked: &NewParked) -> Result<(), Error> {
        self.park_all(std::slice::from_ref(parked)).await
    }

    /// Puts many messages aside, in one transaction. Safe to repeat.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn park_all(&self, parked: &[NewParked]) -> Result<(), Error> {
        let mut tx = self.begin("parking messages").await?;
        let row = |parked: &NewParked| {
            args![
                parked.id.as_str(),
                parked.tenant.as_ref().map(TenantId::as_str),
                parked.queue.as_str(),
                parked.code.as_str(),
                parked.field.clone(),
                &parked.sealed,
                parked.at,
                parked.expires_at,
                ParkedState::Open.as_str(),
            ]
        };
        let target = "parked (id, tenant, queue, code, field, sealed, at, expires_at, state)";
        let rows = parked.iter().map(row).collect();
        insert_many(&mut tx, target, "ON CONFLICT (id) DO NOTHING", rows).await?;
        tx.commit().await
    }

    /// Open parked messages by queue and code.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn parked_groups(&self, filter: &ParkedFilter) -> Result<Vec<ParkedGroup>, Error> {
        let text = "SELECT queue, code, COUNT(*), MIN(at) FROM parked WHERE state = 'open' AND (tenant = $1 OR $1 = '') \
            AND (code = $2 OR $2 = '') AND (queue = $3 OR $3 = '') GROUP BY queue, code ORDER BY queue, code";
        let values = args![
            filter.tenant.as_ref().map_or("", TenantId::as_str),
            filter.code.as_deref().unwrap_or_default(),
            filter.queue.as_deref().unwrap_or_default(),
        ];
        let rows = self.rows("counting parked messages", text, values).await?;
        rows.iter()
            .map(|row| {
                Ok(ParkedGroup {
                    queue: row.text(0)?.to_owned(),
                    code: row.text(1)?.to_owned(),
                    messages: row.number(2)?,
                    since: row.millis(3)?,
                })
            })
            .collect()
    }

    /// Ends those of these parked messages that are open, and deletes their bodies. How many were open.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn end_parked(&self, ids: &[String], state: ParkedState) -> Result<u64, Error> {
        let mut tx = self.begin("ending parked messages").await?;
        let mut ended = 0;
        for id in ids {
            let text = "UPDATE parked SET state = $2, sealed = NULL WHERE id = $1 AND state = 'open'";
            ended += tx.execute(text, args![id.as_str(), state.as_str()]).await?;
        }
        tx.commit().await?;
        Ok(ended)
    }

    /// Parked messages in order of id, after this one.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn parked(&self, filter: &ParkedFilter, after: Option<&str>, limit: u32) -> Result<Vec<Parked>, Error> {
        let text = format!(
            "{COLUMNS} WHERE state = $1 AND id > $2 AND (tenant = $3 OR $3 = '') AND (code = $4 OR $4 = '') \
             AND (queue = $5 OR $5 = '') AND at <= $6 ORDER BY id LIMIT $7"
        );
        let values = args![
            filter.state.unwrap_or(ParkedState::Open).as_str(),
            after.unwrap_or_default(),
            filter.tenant.as_ref().map_or("", TenantId::as_str),
            filter.code.as_deref().unwrap_or_default(),
            filter.queue.as_deref().unwrap_or_default(),
            filter.until.unwrap_or(Millis(i64::MAX)),
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
