//! How one named store is reached.

use serde::Deserialize;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// The settings of one store: the table `[store.NAME]` of the configuration.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreConfig {
    /// `sqlite:path/to/file.db` or `postgres://user:password@host:port/database`.
    pub url: String,
    /// A file that holds the URL instead, so that the password stands in no configuration.
    pub url_file: Option<PathBuf>,
    /// How many connections at most.
    pub pool_max: u32,
    /// How long to wait for a connection, in milliseconds.
    pub connect_timeout_ms: u64,
    /// How long one statement may run, in milliseconds.
    pub statement_timeout_ms: u64,
    /// How long one statement may wait for a lock, in milliseconds.
    pub lock_timeout_ms: u64,
    /// How many batches of bulk work one process may have here at once, at most.
    pub bulk_batches_at_once_max: usize,
    /// For how much of the time each of them may be at work here, in percent. Half of it, and one batch at a time, while single
    /// requests come; 100 never rests.
    pub bulk_share_percent: u8,
    /// How many people of bulk work a second one process erases here at most; as many as it can, unless told.
    pub bulk_subjects_per_second: Option<u32>,
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            url: String::new(),
            url_file: None,
            pool_max: 4,
            connect_timeout_ms: 5_000,
            statement_timeout_ms: 60_000,
            lock_timeout_ms: 10_000,
            bulk_batches_at_once_max: 2,
            bulk_share_percent: 90,
            bulk_subjects_per_second: None,
        }
    }
}

impl StoreConfig {
    /// A store at this address, all else as by default.
    #[must_use]
    pub fn at(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            ..Self::default()
        }
    }

    /// The address, from the file when one is named.
    pub(crate) fn address(&self) -> Result<String, std::io::Error> {
        match &self.url_file {
            Some(path) => Ok(std::fs::read_to_string(path)?.trim().to_owned()),
            None => Ok(self.url.clone()),
        }
    }

    pub(crate) fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms.max(1))
    }

    pub(crate) fn lock_timeout(&self) -> Duration {
        Duration::from_millis(self.lock_timeout_ms.max(1))
    }

    /// After how long we give up on an answer: the server's own limit and a little for the way.
    pub(crate) fn answer_timeout(&self) -> Duration {
        Duration::from_millis(self.statement_timeout_ms.max(1).saturating_add(5_000))
    }
}

impl fmt::Debug for StoreConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URL may hold a password.
        let scheme = self.url.split(':').next().unwrap_or_default();
        f.debug_struct("StoreConfig")
            .field("url", &format_args!("{scheme}:…"))
            .field("url_file", &self.url_file)
            .field("pool_max", &self.pool_max)
            .field("connect_timeout_ms", &self.connect_timeout_ms)
            .field("statement_timeout_ms", &self.statement_timeout_ms)
            .field("lock_timeout_ms", &self.lock_timeout_ms)
            .field("bulk_batches_at_once_max", &self.bulk_batches_at_once_max)
            .field("bulk_share_percent", &self.bulk_share_percent)
            .field("bulk_subjects_per_second", &self.bulk_subjects_per_second)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printing_the_settings_does_not_show_the_password() {
        let shown = format!("{:?}", StoreConfig::at("postgres://me:secret@db/x"));
        assert!(!shown.contains("secret"), "{shown}");
    }
}
