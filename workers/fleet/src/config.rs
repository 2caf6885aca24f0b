//! The configuration: one file, every key also by environment, each part owned by its crate.

mod layer;
#[cfg(test)]
mod manual;

use anyhow::{Context as _, bail};
use erasure_intake::{ProducerConfig, TenantConfig};
use erasure_kit::WorkerConfig;
use erasure_protocol::{RetryPolicy, SubsystemName, TenantId};
use erasure_reconciler::ReconcilerConfig;
use erasure_stores::StoreConfig;
use erasure_stores::map::Map;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The environment variable that names the configuration file.
pub(crate) const CONFIG_VARIABLE: &str = "ERASURE_CONFIG";

/// The whole configuration. Relative paths in it are relative to its file.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// RabbitMQ.
    pub(crate) broker: erasure_broker::Config,
    /// Redis.
    pub(crate) tracker: erasure_tracker::Config,
    /// The durable record.
    pub(crate) ledger: erasure_ledger::Config,
    /// The key ring.
    pub(crate) keys: KeysConfig,
    /// The data map's file.
    pub(crate) map: MapConfig,
    /// The tenants that may be served.
    #[serde(default)]
    pub(crate) tenant: BTreeMap<TenantId, TenantConfig>,
    /// What each broker user may ask; without any, every user may ask for every tenant.
    #[serde(default)]
    pub(crate) producer: BTreeMap<String, ProducerConfig>,
    /// The customers' stores that the data map names.
    #[serde(default)]
    pub(crate) store: BTreeMap<String, StoreConfig>,
    /// What a subsystem is, where its name does not say so.
    #[serde(default)]
    pub(crate) subsystem: BTreeMap<SubsystemName, SubsystemConfig>,
    /// The vendors.
    #[serde(default)]
    pub(crate) subprocessors: erasure_subprocessors::Config,
    /// When and how often to try again.
    #[serde(default)]
    pub(crate) retry: RetryPolicy,
    /// How workers work.
    #[serde(default)]
    pub(crate) worker: WorkerConfig,
    /// How the reconciler works.
    #[serde(default)]
    pub(crate) reconciler: ReconcilerConfig,
    /// The HTTP role.
    #[serde(default)]
    pub(crate) http: erasure_api::HttpConfig,
    /// The log.
    #[serde(default)]
    pub(crate) log: LogConfig,
}

/// Where the key ring is.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeysConfig {
    /// Its file, readable by its owner alone.
    pub(crate) file: PathBuf,
}

/// Where the data map is.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MapConfig {
    /// Its file.
    pub(crate) file: PathBuf,
}

/// What a subsystem is.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SubsystemConfig {
    /// Which recipe it follows.
    pub(crate) kind: Kind,
}

/// The four recipes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// Accounts and people.
    Profiles,
    /// Memberships and their counts.
    Segments,
    /// Events and history.
    Analytics,
    /// Vendors.
    Subprocessors,
}

impl Kind {
    /// Every kind.
    pub(crate) const ALL: [Self; 4] = [Self::Profiles, Self::Segments, Self::Analytics, Self::Subprocessors];

    /// The word in the configuration and in the ledger.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Profiles => "profiles",
            Self::Segments => "segments",
            Self::Analytics => "analytics",
            Self::Subprocessors => "subprocessors",
        }
    }
}

/// The log.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LogConfig {
    /// Which lines, in the form of `RUST_LOG`, for example `info` or `info,erasure_kit=debug`.
    pub(crate) filter: String,
    /// `text` for people, `json` for machines.
    pub(crate) format: LogFormat,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            filter: "info,sqlx=warn,lapin=off".to_owned(),
            format: LogFormat::Text,
        }
    }
}

impl Config {
    /// Reads the file, lays the environment over it, and checks what can be checked without connecting to anything.
    ///
    /// # Errors
    /// With file, line and what to do.
    pub(crate) fn load(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).with_context(|| {
            format!(
                "cannot read the configuration {}; name it with --config or {CONFIG_VARIABLE}",
                path.display()
            )
        })?;
        let folder = path.parent().unwrap_or(Path::new("."));
        Self::read(&text, std::env::vars(), folder).with_context(|| format!("in {}", path.display()))
    }

    /// Reads the text of a file of this folder, with these variables of the environment over it.
    ///
    /// # Errors
    /// With the line and what to do.
    pub(crate) fn read(text: &str, variables: impl Iterator<Item = (String, String)>, folder: &Path) -> anyhow::Result<Self> {
        let mut config = layer::read(text, variables)?;
        config.anchor(folder);
        config.check()?;
        Ok(config)
    }

    /// Reads the data map.
    ///
    /// # Errors
    /// With file, line and what to do.
    pub(crate) fn data_map(&self) -> anyhow::Result<Map> {
        let path = &self.map.file;
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read the data map {}", path.display()))?;
        Map::parse(&text).map_err(|refused| anyhow::anyhow!("the data map {} is refused:\n{refused}", path.display()))
    }

    /// What a subsystem is: as configured, else by its name.
    pub(crate) fn kind(&self, name: &SubsystemName) -> anyhow::Result<Kind> {
        let by_name = || Kind::ALL.into_iter().find(|kind| kind.as_str() == name.as_str());
        let kind = self.subsystem.get(name).map(|it| it.kind).or_else(by_name);
        kind.with_context(|| {
            format!(
                "subsystem `{name}` of the data map is none of the four kinds by its name; say [subsystem.{name}] kind = \"…\""
            )
        })
    }

    /// Makes relative paths relative to the configuration file.
    fn anchor(&mut self, folder: &Path) {
        let anchored = |path: &PathBuf| if path.is_relative() { folder.join(path) } else { path.clone() };
        self.keys.file = anchored(&self.keys.file);
        self.map.file = anchored(&self.map.file);
        let files = [
            &mut self.broker.url_file,
            &mut self.broker.ca_file,
            &mut self.tracker.url_file,
            &mut self.tracker.password_file,
            &mut self.tracker.ca_file,
            &mut self.ledger.url_file,
            &mut self.http.token_file,
            &mut self.http.tls_cert_file,
            &mut self.http.tls_key_file,
        ];
        let tokens = self.http.tokens.values_mut().map(|token| &mut token.token_file);
        let files = files
            .into_iter()
            .chain(tokens)
            .chain(self.store.values_mut().map(|store| &mut store.url_file));
        files.flatten().for_each(|path| *path = anchored(path));
        let urls = self
            .store
            .values_mut()
            .map(|store| &mut store.url)
            .chain([&mut self.ledger.url]);
        urls.for_each(|url| {
            if let Some(path) = url.strip_prefix("sqlite:").filter(|path| Path::new(path).is_relative()) {
                *url = format!("sqlite:{}", folder.join(path).display());
            }
        });
    }

    fn check(&self) -> anyhow::Result<()> {
        self.broker.check().context("[broker]")?;
        self.tracker.check().context("[tracker]")?;
        self.retry.check().map_err(anyhow::Error::msg)?;
        if self.tenant.is_empty() {
            bail!(
                "no tenant is declared, so every request would be refused; add for example:\n\n[tenant.acme]\nregulation = \"gdpr\""
            );
        }
        for (name, store) in &self.store {
            if !(1..=100).contains(&store.bulk_share_percent) {
                bail!("store.{name}.bulk_share_percent must be between 1 and 100");
            }
            if store.bulk_batches_at_once_max == 0 || store.bulk_subjects_per_second == Some(0) {
                bail!("store.{name}.bulk_batches_at_once_max and bulk_subjects_per_second must be above 0");
            }
        }
        if self.worker.perform_timeout_s.saturating_mul(1000) >= self.tracker.lease_ms {
            bail!("worker.perform_timeout_s must be shorter than tracker.lease_ms, or two workers would hold the same slice");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_a_store_that_is_none_is_refused_by_its_name() {
        let manual = include_str!("../../../deploy/config/erasure.toml");
        let read = |text: &str| Config::read(text, std::iter::empty(), Path::new("."));
        read(manual).expect("the manual itself is a configuration");
        for (default, wrong) in [
            ("# store.crm.bulk_share_percent = 90", "store.crm.bulk_share_percent = 0"),
            ("# store.crm.bulk_share_percent = 90", "store.crm.bulk_share_percent = 101"),
            (
                "# store.crm.bulk_batches_at_once_max = 2",
                "store.crm.bulk_batches_at_once_max = 0",
            ),
            (
                "#+ store.crm.bulk_subjects_per_second = 2000",
                "store.crm.bulk_subjects_per_second = 0",
            ),
        ] {
            let error = read(&manual.replace(default, wrong)).expect_err(wrong);
            assert!(error.to_string().starts_with("store.crm.bulk_"), "{wrong}: {error}");
        }
    }
}
