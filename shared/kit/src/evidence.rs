//! The evidence key of a worker's subsystem, looked at again every few seconds.

use crate::{AnySubsystem, Health, Subsystem as _};
use erasure_protocol::{EvidenceKey, Fault};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How old the key may be before the store is asked again: a failover is noticed within this time. Finalising asks afresh.
const AGE_MAX: Duration = Duration::from_secs(5);

/// The last known evidence key. While the store cannot be asked, the last answer stands: the work itself then says what is wrong.
pub(crate) struct Evidence {
    subsystem: AnySubsystem,
    part: String,
    health: Health,
    known: Option<(EvidenceKey, Instant)>,
    /// Asks on while there is no work to ask for. Ends with this.
    asking: JoinSet<()>,
}

impl Evidence {
    pub(crate) fn new(subsystem: AnySubsystem, part: String, health: Health) -> Self {
        Self {
            subsystem,
            part,
            health,
            known: None,
            asking: JoinSet::new(),
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
                self.asking = JoinSet::new();
                self.health.ready(&self.part);
                Ok(key)
            }
            Err(fault) => {
                self.health.waiting(&self.part, fault.to_string());
                while self.asking.try_join_next().is_some() {}
                if self.asking.is_empty() {
                    self.asking.spawn(until_it_answers(
                        self.subsystem.clone(),
                        self.part.clone(),
                        self.health.clone(),
                    ));
                }
                let (key, asked) = self.known.as_mut().ok_or(fault)?;
                *asked = Instant::now();
                Ok(*key)
            }
        }
    }
}

/// A store that is back is said to be back, whether or not somebody has work for it.
async fn until_it_answers(subsystem: AnySubsystem, part: String, health: Health) {
    loop {
        tokio::time::sleep(AGE_MAX).await;
        if subsystem.evidence().await.is_ok() {
            return health.ready(&part);
        }
    }
}

#[cfg(all(test, feature = "double"))]
mod tests {
    use super::*;
    use crate::double::{MemoryStore, MemorySubsystem, Trouble};
    use erasure_drill::Weather;
    use erasure_protocol::Millis;

    #[tokio::test(start_paused = true)]
    async fn a_store_that_is_back_is_ready_though_nobody_has_work_for_it() {
        let store = MemoryStore::new("crm", Vec::new());
        let subsystem = MemorySubsystem::new(&store, 1, Weather::default(), || Millis(0));
        let health = Health::default();
        let mut evidence = Evidence::new(AnySubsystem::new(subsystem), "crm.store".to_owned(), health.clone());
        store.set_trouble(Some(Trouble::Unreachable));
        assert!(evidence.key().await.is_err());
        tokio::time::sleep(3 * AGE_MAX).await;
        assert!(!health.is_ready());
        store.set_trouble(None);
        tokio::time::sleep(2 * AGE_MAX).await;
        assert!(health.is_ready());
    }
}
