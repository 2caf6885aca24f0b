//! What operators did. Only ever added to.

use crate::sql::{Tx, args};
use crate::{Act, Error, Ledger, NewAct};

impl Ledger {
    /// Writes an act down. `false`: one with this id is there already.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn record_act(&self, act: &NewAct) -> Result<bool, Error> {
        let mut tx = self.begin("recording an act").await?;
        let is_new = insert_act(&mut tx, act).await?;
        tx.commit().await?;
        Ok(is_new)
    }

    /// What was done to this target (a request key, a subsystem, a parked message), oldest first.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn acts(&self, target: &str) -> Result<Vec<Act>, Error> {
        let text = "SELECT id, at, actor, role, kind, target, reason, payload, result FROM act WHERE target = $1 ORDER BY at, id";
        let rows = self.rows("reading the acts", text, args![target]).await?;
        rows.iter()
            .map(|row| {
                Ok(Act {
                    id: row.text(0)?.to_owned(),
                    at: row.millis(1)?,
                    actor: row.text(2)?.to_owned(),
                    role: row.text(3)?.to_owned(),
                    kind: row.text(4)?.to_owned(),
                    target: row.text(5)?.to_owned(),
                    reason: row.text(6)?.to_owned(),
                    payload: row.text(7)?.to_owned(),
                    result: row.text(8)?.to_owned(),
                })
            })
            .collect()
    }
}

pub(super) async fn insert_act(tx: &mut Tx, act: &NewAct) -> Result<bool, Error> {
    let text = "INSERT INTO act (id, at, actor, role, kind, target, reason, payload, result) \
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (id) DO NOTHING";
    let values = args![
        act.id.as_str(),
        act.at,
        act.actor.as_str(),
        act.role.as_str(),
        act.kind.as_str(),
        act.target.as_str(),
        act.reason.as_str(),
        act.payload.as_str(),
        act.result.as_str(),
    ];
    Ok(tx.execute(text, values).await? == 1)
}
