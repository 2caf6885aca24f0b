//! Puts the parts together as the configuration says. Nothing here connects before it is asked to.

use crate::config::{Config, Kind};
use anyhow::{Context as _, bail};
use erasure_analytics::Analytics;
use erasure_intake::Tenants;
use erasure_kit::{AnyResolve, AnySubsystem, BulkPace};
use erasure_ledger::{Access, Ledger};
use erasure_privacy::KeyRing;
use erasure_profiles::Profiles;
use erasure_protocol::{LedgerId, SubsystemName, TenantId};
use erasure_reconciler::KnownSubsystem;
use erasure_segments::Segments;
use erasure_stores::map::Map;
use erasure_stores::{FindMode, Stores};
use erasure_subprocessors::Subprocessors;
use erasure_tracker::Tracker;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

/// Names that the topology uses itself.
const RESERVED: [&str; 2] = erasure_broker::Names::RESERVED;

/// The configuration and the data map, read and checked against each other.
pub(crate) struct Fleet {
    pub(crate) config: Config,
    pub(crate) map: Arc<Map>,
}

impl Fleet {
    /// Reads both.
    ///
    /// # Errors
    /// With file, place and what to do.
    pub(crate) fn load(path: &Path) -> anyhow::Result<Self> {
        let config = Config::load(path)?;
        let map = Arc::new(config.data_map()?);
        let fleet = Self { config, map };
        fleet.check()?;
        Ok(fleet)
    }

    fn check(&self) -> anyhow::Result<()> {
        let mut resolving = 0;
        for (name, section) in &self.map.sections {
            if RESERVED.contains(&name.as_str()) {
                bail!("the data map may not name a subsystem `{name}`: the name is used by the topology");
            }
            let kind = self.config.kind(name)?;
            if kind == Kind::Subprocessors {
                bail!(
                    "subsystem `{name}` is of kind subprocessors, which has vendors and no tables; take it out of the data map"
                );
            }
            resolving += usize::from(kind == Kind::Profiles);
            if !self.config.store.contains_key(&section.store) {
                bail!(
                    "the data map sends subsystem `{name}` to store `{0}`, which the configuration does not have; add\n\n[store.{0}]\nurl = \"postgres://…\"",
                    section.store
                );
            }
        }
        if resolving != 1 {
            bail!("the data map needs exactly one subsystem of kind profiles, which finds people; it has {resolving}");
        }
        Ok(())
    }

    /// The names of all subsystems, vendors included.
    pub(crate) fn subsystem_names(&self) -> BTreeSet<SubsystemName> {
        let vendors = (!self.config.subprocessors.vendors.is_empty()).then(subprocessors);
        self.map.sections.keys().cloned().chain(vendors).collect()
    }

    /// The key ring.
    ///
    /// # Errors
    /// When it is missing or weak, with the command that mends it.
    pub(crate) fn keys(&self) -> anyhow::Result<Arc<KeyRing>> {
        Ok(Arc::new(KeyRing::load(&self.config.keys.file)?))
    }

    /// The declared tenants and producers.
    pub(crate) fn tenants(&self) -> Tenants {
        Tenants::new(self.config.tenant.clone(), self.config.producer.clone())
    }

    /// The broker's topology.
    pub(crate) fn topology(&self) -> erasure_broker::Topology {
        let subsystems: Vec<SubsystemName> = self.subsystem_names().into_iter().collect();
        erasure_broker::Topology::new(&self.config.broker, &subsystems, &self.config.retry.rungs)
    }

    /// Opens the ledger.
    ///
    /// # Errors
    /// With what is wrong and what to do.
    pub(crate) async fn ledger(&self, access: Access) -> anyhow::Result<Ledger> {
        Ok(Ledger::open(&self.config.ledger, access).await?)
    }

    /// Connects to the tracker.
    ///
    /// # Errors
    /// With what is wrong and what to do.
    pub(crate) async fn tracker(&self, ledger: LedgerId) -> anyhow::Result<Tracker> {
        Ok(Tracker::connect(&self.config.tracker, ledger).await?)
    }

    /// How much of its store a subsystem's bulk lane may take. Vendors have their own settings for how often they are called.
    pub(crate) fn pace(&self, name: &SubsystemName) -> BulkPace {
        let section = self.map.sections.get(name);
        let store = section.and_then(|section| self.config.store.get(&section.store));
        store.map_or(
            BulkPace {
                batches_at_once_max: 1,
                share_percent: 100,
                subjects_per_second: None,
            },
            |store| BulkPace {
                batches_at_once_max: store.bulk_batches_at_once_max,
                share_percent: store.bulk_share_percent,
                subjects_per_second: store.bulk_subjects_per_second,
            },
        )
    }

    /// The stores, connecting when first used.
    ///
    /// # Errors
    /// When an address cannot be understood.
    pub(crate) fn stores(&self) -> anyhow::Result<Stores> {
        Ok(Stores::open(&self.config.store)?)
    }

    /// Every subsystem. `mode` says whether looking shows values, which only the look-up may; without a tracker, a subsystem can look but
    /// a vendor with an allowance is not called.
    ///
    /// # Errors
    /// When an address cannot be understood, or the key ring cannot be read.
    pub(crate) fn subsystems(
        &self,
        mode: FindMode,
        tracker: Option<&Tracker>,
    ) -> anyhow::Result<BTreeMap<SubsystemName, KnownSubsystem>> {
        let stores = self.stores()?;
        let pseudonyms = self.pseudonym_key()?;
        let mut subsystems = BTreeMap::new();
        for name in self.map.sections.keys() {
            let store = stores.store(&self.map, name, pseudonyms)?;
            let kind = self.config.kind(name)?;
            let subsystem = match kind {
                Kind::Profiles => AnySubsystem::new(Profiles::new(store, mode)),
                Kind::Segments => AnySubsystem::new(Segments::new(store, mode)),
                Kind::Analytics => AnySubsystem::new(Analytics::new(store, mode)),
                Kind::Subprocessors => bail!("subsystem `{name}` has no tables"),
            };
            subsystems.insert(
                name.clone(),
                KnownSubsystem {
                    kind: kind.as_str().to_owned(),
                    subsystem,
                },
            );
        }
        if !self.config.subprocessors.vendors.is_empty() {
            let vendors = Subprocessors::new(self.config.subprocessors.clone()).context("[subprocessors]")?;
            let vendors = match tracker {
                Some(tracker) => vendors.with_tracker(&subprocessors(), tracker),
                None => vendors,
            };
            let subsystem = AnySubsystem::new(vendors);
            let kind = Kind::Subprocessors.as_str().to_owned();
            subsystems.insert(subprocessors(), KnownSubsystem { kind, subsystem });
        }
        Ok(subsystems)
    }

    /// What finds people: the one subsystem of kind profiles.
    ///
    /// # Errors
    /// As [`Self::subsystems`].
    pub(crate) fn resolve(&self) -> anyhow::Result<AnyResolve> {
        let is_profiles = |name: &&SubsystemName| self.config.kind(name).is_ok_and(|kind| kind == Kind::Profiles);
        let name = self
            .map
            .sections
            .keys()
            .find(is_profiles)
            .context("the data map has no subsystem of kind profiles")?;
        let store = self.stores()?.store(&self.map, name, self.pseudonym_key()?)?;
        Ok(AnyResolve::new(Profiles::new(store, FindMode::Counts)))
    }

    /// What keys the pseudonyms that anonymising writes: the same for the whole fleet until the look-up key is rotated.
    fn pseudonym_key(&self) -> anyhow::Result<[u8; 32]> {
        let fleet = TenantId::new("fleet").expect("five letters are an id");
        let key = self.keys()?.hasher(&fleet).pseudonym(&[b"stores"]);
        key.into_bytes()
            .try_into()
            .map_err(|_| anyhow::anyhow!("a pseudonym is 32 digits"))
    }
}

fn subprocessors() -> SubsystemName {
    SubsystemName::new(Kind::Subprocessors.as_str()).expect("the word is a name")
}
