//! Where the tracker is and how long it may take.

use serde::Deserialize;
use std::path::PathBuf;
use std::time::Duration;

/// The tracker's part of the configuration.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// `redis://[user:password@]host[:port][/database]`, or `rediss://` for TLS. With `cluster`, nodes of it, parted by commas:
    /// a process that starts asks them one after another where the others are.
    pub url: String,
    /// A file that holds the URL, read at start; wins over `url`.
    pub url_file: Option<PathBuf>,
    /// An ACL user, when the URL names none.
    pub username: Option<String>,
    /// A file that holds the ACL user's password, read at start.
    pub password_file: Option<PathBuf>,
    /// What every key begins with.
    pub key_prefix: String,
    /// Over how many hash tags requests are spread. Never change it while requests are open.
    pub partitions: u16,
    /// How long an answer may take, in milliseconds.
    pub response_timeout_ms: u64,
    /// How long connecting may take, in milliseconds.
    pub connect_timeout_ms: u64,
    /// Whether it is a Redis Cluster.
    pub cluster: bool,
    /// How long a claimed slice counts as being worked on, in milliseconds.
    pub lease_ms: u64,
    /// How long a finished request can still be read here, in days. Afterwards the ledger answers.
    pub final_ttl_days: u32,
    /// A PEM file with the certificate authorities to trust, instead of the system's.
    pub ca_file: Option<PathBuf>,
}

/// Why a configuration cannot be used. Never repeats the URL, which may hold a password.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The URL cannot be read.
    #[error(
        "the tracker's url is not redis://[user:password@]host[:port][/database] or rediss://…; of a cluster several, parted by commas"
    )]
    Url,
    /// A file cannot be read.
    #[error("{what} cannot be read")]
    File {
        /// The setting that names it.
        what: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A setting is out of its range.
    #[error("{what} must be {range}")]
    Range {
        /// The setting.
        what: &'static str,
        /// What is allowed.
        range: &'static str,
    },
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: "redis://127.0.0.1:6379/".to_owned(),
            url_file: None,
            username: None,
            password_file: None,
            key_prefix: "er".to_owned(),
            partitions: 16,
            response_timeout_ms: 3_000,
            connect_timeout_ms: 3_000,
            cluster: false,
            lease_ms: 60_000,
            final_ttl_days: 30,
            ca_file: None,
        }
    }
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("key_prefix", &self.key_prefix)
            .field("partitions", &self.partitions)
            .field("cluster", &self.cluster)
            .finish_non_exhaustive()
    }
}

impl Config {
    /// Checks the ranges.
    ///
    /// # Errors
    /// When a setting is out of its range.
    pub fn check(&self) -> Result<(), ConfigError> {
        let range = |ok: bool, what, range| if ok { Ok(()) } else { Err(ConfigError::Range { what, range }) };
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'-');
        let prefix = !self.key_prefix.is_empty() && self.key_prefix.len() <= 40 && self.key_prefix.bytes().all(plain);
        range(prefix, "tracker.key_prefix", "1 to 40 characters of A-Z a-z 0-9 . _ : -")?;
        range((1..=1024).contains(&self.partitions), "tracker.partitions", "1 to 1024")?;
        range(
            (1..=60_000).contains(&self.response_timeout_ms),
            "tracker.response_timeout_ms",
            "1 to 60000",
        )?;
        range(
            (1..=60_000).contains(&self.connect_timeout_ms),
            "tracker.connect_timeout_ms",
            "1 to 60000",
        )?;
        range(
            (1_000..=3_600_000).contains(&self.lease_ms),
            "tracker.lease_ms",
            "1000 to 3600000",
        )?;
        range(
            (1..=3_650).contains(&self.final_ttl_days),
            "tracker.final_ttl_days",
            "1 to 3650",
        )
    }

    pub(crate) fn final_ttl(&self) -> Duration {
        Duration::from_secs(u64::from(self.final_ttl_days) * 86_400)
    }

    /// One, or the several of a cluster.
    pub(crate) fn resolved_urls(&self) -> Result<Vec<String>, ConfigError> {
        let url = self
            .url_file
            .as_ref()
            .map_or_else(|| Ok(self.url.clone()), |path| read("tracker.url_file", path))?;
        Ok(if self.cluster {
            url.split(',').map(|it| it.trim().to_owned()).collect()
        } else {
            vec![url]
        })
    }

    pub(crate) fn password(&self) -> Result<Option<String>, ConfigError> {
        self.password_file
            .as_ref()
            .map(|path| read("tracker.password_file", path))
            .transpose()
    }
}

fn read(what: &'static str, path: &PathBuf) -> Result<String, ConfigError> {
    let text = std::fs::read_to_string(path).map_err(|source| ConfigError::File { what, source })?;
    Ok(text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printing_a_configuration_shows_no_password() {
        let config = Config {
            url: "redis://er:planted@host/".to_owned(),
            ..Config::default()
        };
        assert!(!format!("{config:?}").contains("planted"));
    }

    #[test]
    fn a_range_is_checked() {
        assert!(Config::default().check().is_ok());
        assert!(
            Config {
                partitions: 0,
                ..Config::default()
            }
            .check()
            .is_err()
        );
        assert!(
            Config {
                key_prefix: "a{b".to_owned(),
                ..Config::default()
            }
            .check()
            .is_err()
        );
    }
}
