//! What each part of a process is waiting for, for `/readyz` and the log.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// The readiness of every part of this process. Cheap to clone; all clones are one.
///
/// A part is ready once it has said so, and not while it waits for something. A part that never spoke is not listed.
#[derive(Clone, Debug, Default)]
pub struct Health(Arc<Mutex<BTreeMap<String, Option<String>>>>);

impl Health {
    /// The part works.
    pub fn ready(&self, part: &str) {
        self.set(part, None);
    }

    /// The part waits, in plain words for the operator: "RabbitMQ at host:5672 refuses the connection".
    pub fn waiting(&self, part: &str, reason: impl Into<String>) {
        self.set(part, Some(reason.into()));
    }

    /// The parts that wait, each with its reason.
    #[must_use]
    pub fn waits(&self) -> Vec<(String, String)> {
        let parts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        parts
            .iter()
            .filter_map(|(part, reason)| Some((part.clone(), reason.clone()?)))
            .collect()
    }

    /// Every part and whether it works.
    #[must_use]
    pub fn parts(&self) -> Vec<(String, bool)> {
        let parts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        parts.iter().map(|(part, reason)| (part.clone(), reason.is_none())).collect()
    }

    /// Whether every part works.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.waits().is_empty()
    }

    fn set(&self, part: &str, reason: Option<String>) {
        let mut parts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = parts.insert(part.to_owned(), reason.clone());
        if before.as_ref() != Some(&reason) {
            match &reason {
                Some(reason) => tracing::warn!(part, reason, "waiting"),
                None => tracing::info!(part, "ready"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_part_that_waits_makes_the_whole_unready() {
        let health = Health::default();
        health.ready("profiles");
        assert!(health.is_ready());
        health.waiting("broker", "no route");
        assert_eq!(health.waits(), [("broker".to_owned(), "no route".to_owned())]);
        health.ready("broker");
        assert!(health.is_ready());
        assert_eq!(health.parts().len(), 2);
    }
}
