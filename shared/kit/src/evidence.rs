//! The evidence key of a worker's subsystem, looked at again every few seconds.

use crate::{AnySubsystem, Health, Subsystem as _};
use erasure_protocol::{EvidenceKey, Fault};
use std::time::Duration;
use tokio::time::Instant;

/// How old the key may be before the store is asked again: a failover is noticed within this time. Finalising asks afresh.
const AGE_MAX: Duration = Duration::from_secs(5);

/// The last known evidence key. While the store cannot be asked, the last answer stands: the work itself then says what is wrong.
pub(crate) struct Evidence {
    subsystem: AnySubsystem,
    part: String,
    health: Health,
    known: Option<(EvidenceKey, Instant)>,
}

impl Evidence {
    pub(crate) fn new(subsystem: AnySubsystem, part: String, health: Health) -> Self {
        Self {
            subsystem,
            part,
            health,
            known: None,
        }
    }

    /// The key to work under.
    ///
    /// # Errors
    /// With the store's fault, only when the store has never answered yet.
    pub(crate) async fn key(&mut self) -> Result<EvidenceKey, Fault> {
        if let Some((key, asked)) = self.known
            && asked.elapsed() < AGE_MAX
        {
            return Ok(key);
        }
        match self.subsystem.evidence().await {
            Ok(key) => {
                self.known = Some((key, Instant::now()));
                self.health.ready(&self.part);
                Ok(key)
            }
            Err(fault) => {
                self.health.waiting(&self.part, fault.to_string());
                let (key, asked) = self.known.as_mut().ok_or(fault)?;
                *asked = Instant::now();
                Ok(*key)
            }
        }
    }
}
