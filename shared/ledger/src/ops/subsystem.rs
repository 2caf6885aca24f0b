//! The register of subsystems.

use super::act::insert_act;
use crate::sql::{Row, Tx, args};
use crate::{Error, EvidenceHistory, Ledger, NewAct, Registered, Registration, Subsystem};
use erasure_protocol::{EvidenceKey, Millis, PlanEntry, SubsystemName};

const HISTORY: &str = "SELECT evidence, since, map FROM subsystem_evidence WHERE name = $1 ORDER BY since, evidence";

impl Ledger {
    /// Says under which evidence key a process works, and learns whether that counts.
    ///
    /// A key never seen before becomes the current one, if it was read from the store after the current one was; a key that was
    /// current once marks an outdated process, and so does a map that was current once, on whatever store. Registering a retired
    /// subsystem brings it back.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn register_subsystem(&self, new: &Registration, now: Millis) -> Result<Registered, Error> {
        let name = new.name.as_str();
        let mut tx = self.begin("registering a subsystem").await?;
        // Written first, so that two processes that register at once wait for each other.
        let is_new = tx
            .execute(
                "INSERT INTO subsystem (name, kind, evidence, retired) VALUES ($1, $2, $3, 0) ON CONFLICT DO NOTHING",
                args![name, new.kind.as_str(), new.evidence],
            )
            .await?
            > 0;
        let text = "SELECT evidence, kind, retired FROM subsystem WHERE name = $1";
        let rows = tx.query_for_update(text, args![name]).await?;
        let row = rows.first().ok_or(Error::Damaged("a subsystem"))?;
        let current = EvidenceKey(row.bytes(0)?);
        let is_current = current == new.evidence;
        if !is_new && is_current && row.text(1)? == new.kind && !row.flag(2)? {
            return Ok(Registered::Current);
        }
        if !is_current {
            let rows = tx.query(HISTORY, args![name]).await?;
            let history = rows.iter().map(history).collect::<Result<Vec<_>, _>>()?;
            if EvidenceHistory::has_passed(&history, current, new.evidence, new.map) {
                return Ok(Registered::Outdated { current });
            }
            if new.replacing != Some(current) {
                return Ok(Registered::Overtaken { current });
            }
        }
        tx.execute(
            "INSERT INTO subsystem_evidence (name, evidence, since, map) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
            args![name, new.evidence, now, new.map.to_vec()],
        )
        .await?;
        let update = "UPDATE subsystem SET evidence = $2, kind = $3, retired = 0 WHERE name = $1";
        tx.execute(update, args![name, new.evidence, new.kind.as_str()]).await?;
        tx.commit().await?;
        Ok(match (is_new, is_current) {
            (false, true) => Registered::Current,
            (false, false) => Registered::NewCurrent { replaced: Some(current) },
            (true, _) => Registered::NewCurrent { replaced: None },
        })
    }

    /// Every subsystem ever registered, by name.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn subsystems(&self) -> Result<Vec<Subsystem>, Error> {
        let text = "SELECT name, evidence, retired, kind FROM subsystem ORDER BY name";
        self.rows("listing the subsystems", text, args![])
            .await?
            .iter()
            .map(subsystem)
            .collect()
    }

    /// The evidence keys that a subsystem has had, oldest first.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn evidence_history(&self, name: &SubsystemName) -> Result<Vec<EvidenceHistory>, Error> {
        let rows = self.rows("reading the evidence keys", HISTORY, args![name.as_str()]).await?;
        rows.iter().map(history).collect()
    }

    /// Takes a subsystem out, with the act: new requests need not pass it. Open ones still must, or be closed. `false`: it is not
    /// registered, or retired already.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn retire_subsystem(&self, name: &SubsystemName, act: &NewAct) -> Result<bool, Error> {
        let mut tx = self.begin("retiring a subsystem").await?;
        let text = "UPDATE subsystem SET retired = 1 WHERE name = $1 AND retired = 0";
        let is_done = tx.execute(text, args![name.as_str()]).await? == 1;
        if is_done {
            insert_act(&mut tx, act).await?;
            tx.commit().await?;
        }
        Ok(is_done)
    }
}

/// How live entries of a plan differ from what is registered.
pub(super) enum Mismatch {
    Outdated(SubsystemName),
    Missing(SubsystemName),
    Unknown(SubsystemName),
}

/// What is registered, held as it is until the end of a transaction.
pub(super) struct Register(Vec<Subsystem>);

impl Register {
    pub(super) async fn hold(tx: &mut Tx) -> Result<Self, Error> {
        let text = "SELECT name, evidence, retired, kind FROM subsystem ORDER BY name";
        let rows = tx.query_for_share(text, args![]).await?;
        Ok(Self(rows.iter().map(subsystem).collect::<Result<_, _>>()?))
    }

    pub(super) fn is_retired(&self, name: &SubsystemName) -> bool {
        self.0.iter().any(|it| it.retired && it.name == *name)
    }

    /// Compares live entries with what is registered.
    pub(super) fn compare(&self, live: &[&PlanEntry]) -> Option<Mismatch> {
        for entry in live {
            match self.0.iter().find(|it| it.name == entry.subsystem) {
                None => return Some(Mismatch::Unknown(entry.subsystem.clone())),
                Some(it) if it.retired => return Some(Mismatch::Unknown(entry.subsystem.clone())),
                Some(it) if it.evidence != entry.evidence => return Some(Mismatch::Outdated(entry.subsystem.clone())),
                Some(_) => {}
            }
        }
        let is_missing = |it: &&Subsystem| !it.retired && !live.iter().any(|entry| entry.subsystem == it.name);
        self.0.iter().find(is_missing).map(|it| Mismatch::Missing(it.name.clone()))
    }
}

fn history(row: &Row) -> Result<EvidenceHistory, Error> {
    Ok(EvidenceHistory {
        evidence: EvidenceKey(row.bytes(0)?),
        since: row.millis(1)?,
        map: row.bytes_or_null(2)?,
    })
}

fn subsystem(row: &Row) -> Result<Subsystem, Error> {
    Ok(Subsystem {
        name: row.word(0, |text| SubsystemName::new(text).ok())?,
        evidence: EvidenceKey(row.bytes(1)?),
        retired: row.flag(2)?,
        kind: row.text(3)?.to_owned(),
    })
}
