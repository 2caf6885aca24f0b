//! Tells a process with workers that it was left behind: the ledger has had its data map, or its store, and knows a newer one.
//! The tracker refuses its evidence anyway; this is for the operator, who would otherwise only see work come back and back.

use erasure_kit::{Health, Subsystem as _};
use erasure_ledger::{EvidenceHistory, Ledger};
use erasure_protocol::{EvidenceKey, SubsystemName};
use erasure_reconciler::KnownSubsystem;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const LEFT_BEHIND: &str = "this process works by an older data map, or on an older store, than the ledger asks for, and gives its work \
                           back; restart it with the current configuration, or raise `revision` in the data map to go back on purpose";

/// Compares the subsystems of this process with the ledger's register, again and again.
pub(crate) struct RevisionWatch {
    pub(crate) ledger: Ledger,
    pub(crate) subsystems: BTreeMap<SubsystemName, KnownSubsystem>,
    pub(crate) health: Health,
    pub(crate) every: Duration,
}

impl RevisionWatch {
    /// Looks until `stop`.
    pub(crate) async fn run(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            for (name, known) in &self.subsystems {
                // A store or ledger that cannot be asked says so elsewhere; what was said here stands.
                let Ok(evidence) = known.subsystem.evidence().await else {
                    continue;
                };
                let part = format!("{name}.revision");
                match self.is_left_behind(name, evidence, known.subsystem.map_digest()).await {
                    Ok(true) => self.health.waiting(&part, LEFT_BEHIND),
                    Ok(false) => self.health.ready(&part),
                    Err(error) => tracing::debug!(subsystem = %name, %error, "the register could not be read"),
                }
            }
            tokio::select! {
                () = tokio::time::sleep(self.every) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    /// A key that nobody has registered yet is new, not old: the reconciler is about to.
    async fn is_left_behind(
        &self,
        name: &SubsystemName,
        evidence: EvidenceKey,
        map: [u8; 16],
    ) -> Result<bool, erasure_ledger::Error> {
        let registered = self.ledger.subsystems().await?;
        let Some(current) = registered.iter().find(|it| it.name == *name).map(|it| it.evidence) else {
            return Ok(false);
        };
        let history = self.ledger.evidence_history(name).await?;
        Ok(EvidenceHistory::has_passed(&history, current, evidence, map))
    }
}
