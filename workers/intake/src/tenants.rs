//! Who may be served, and who may ask.

use erasure_protocol::{Origin, Regulation, TenantId};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// What is declared of a tenant. A tenant that is not declared is refused.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TenantConfig {
    /// The exact account name, by which the tenant may be named as well.
    #[serde(default)]
    pub name: Option<String>,
    /// The regulation whose time limit counts when a command names none.
    #[serde(default = "gdpr")]
    pub regulation: Regulation,
}

fn gdpr() -> Regulation {
    Regulation::Gdpr
}

/// What a producer may do, by the user name that the broker has checked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProducerConfig {
    /// For which tenants, by account number.
    pub tenants: BTreeSet<TenantId>,
    /// With which origins; empty means any.
    pub origins: BTreeSet<Origin>,
}

/// All declared tenants and producers.
#[derive(Clone, Debug, Default)]
pub struct Tenants {
    by_id: BTreeMap<TenantId, TenantConfig>,
    producers: BTreeMap<String, ProducerConfig>,
}

impl Tenants {
    /// The declared ones. Without any producer declared, every broker user may ask for every tenant.
    #[must_use]
    pub fn new(tenants: BTreeMap<TenantId, TenantConfig>, producers: BTreeMap<String, ProducerConfig>) -> Self {
        Self {
            by_id: tenants,
            producers,
        }
    }

    /// The tenant of this account number or exact account name. `None` when it is not declared, or the name is not unique.
    #[must_use]
    pub fn find(&self, named: &str) -> Option<(&TenantId, &TenantConfig)> {
        let by_id = TenantId::new(named).ok().and_then(|id| self.by_id.get_key_value(&id));
        by_id.or_else(|| {
            let mut by_name = self.by_id.iter().filter(|(_, tenant)| tenant.name.as_deref() == Some(named));
            let first = by_name.next()?;
            by_name.next().is_none().then_some(first)
        })
    }

    /// The declared tenants.
    pub fn ids(&self) -> impl Iterator<Item = &TenantId> {
        self.by_id.keys()
    }

    /// Whether this broker user may send a command of this origin for this tenant.
    #[must_use]
    pub fn permits(&self, user: Option<&str>, tenant: &TenantId, origin: Option<Origin>) -> bool {
        if self.producers.is_empty() {
            return true;
        }
        let Some(producer) = user.and_then(|user| self.producers.get(user)) else {
            return false;
        };
        let origin = origin.unwrap_or(Origin::Producer);
        producer.tenants.contains(tenant) && (producer.origins.is_empty() || producer.origins.contains(&origin))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> TenantId {
        TenantId::new(text).unwrap()
    }

    fn tenant(name: &str) -> TenantConfig {
        TenantConfig {
            name: Some(name.to_owned()),
            regulation: Regulation::Gdpr,
        }
    }

    #[test]
    fn a_tenant_is_found_by_number_or_exact_name_and_never_guessed() {
        let tenants = [
            (id("1"), tenant("Acme Ltd")),
            (id("2"), tenant("Twin")),
            (id("3"), tenant("Twin")),
        ];
        let tenants = Tenants::new(tenants.into(), BTreeMap::new());
        assert_eq!(tenants.find("1").map(|it| it.0), Some(&id("1")));
        assert_eq!(tenants.find("Acme Ltd").map(|it| it.0), Some(&id("1")));
        assert!(tenants.find("acme ltd").is_none());
        assert!(tenants.find("Twin").is_none());
        assert!(tenants.find("9").is_none());
    }

    #[test]
    fn once_a_producer_is_declared_nobody_else_may_ask() {
        let only = ProducerConfig {
            tenants: [id("1")].into(),
            origins: [Origin::Inactivity].into(),
        };
        let tenants = Tenants::new([(id("1"), tenant("a"))].into(), [("crm".to_owned(), only)].into());
        assert!(tenants.permits(Some("crm"), &id("1"), Some(Origin::Inactivity)));
        assert!(!tenants.permits(Some("crm"), &id("1"), Some(Origin::Support)));
        assert!(!tenants.permits(Some("crm"), &id("2"), Some(Origin::Inactivity)));
        assert!(!tenants.permits(None, &id("1"), Some(Origin::Inactivity)));
        assert!(!tenants.permits(Some("other"), &id("1"), Some(Origin::Inactivity)));
        let open = Tenants::new([(id("1"), tenant("a"))].into(), BTreeMap::new());
        assert!(open.permits(None, &id("1"), None));
    }
}
