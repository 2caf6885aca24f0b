//! Where the ledger is.

use crate::Error;
use serde::Deserialize;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Where the ledger is and how it is reached.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// `sqlite:PATH`, or `postgres://user:password@host:port/database`.
    pub url: String,
    /// A file that holds the URL, instead of `url`.
    pub url_file: Option<PathBuf>,
    /// PostgreSQL: the schema that belongs to the fleet.
    pub schema: String,
    /// The most connections; for SQLite the most reading ones (there is one writer).
    pub pool_max: u32,
    /// How long to wait for a connection, in milliseconds.
    pub connect_timeout_ms: u64,
    /// SQLite: how long to wait for somebody else's lock. PostgreSQL: for a row lock. In milliseconds.
    pub busy_timeout_ms: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: "sqlite:erasure-ledger.db".to_owned(),
            url_file: None,
            schema: "erasure".to_owned(),
            pool_max: 8,
            connect_timeout_ms: 5_000,
            busy_timeout_ms: 5_000,
        }
    }
}

/// What a process wants of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Only look. Any number of processes may.
    Read,
    /// Look and write. On SQLite one process at a time, held by a lock on `PATH.lock`.
    Write,
}

/// The place, once the URL is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Sqlite(PathBuf),
    Postgres(String),
}

impl Config {
    /// A ledger at this URL, everything else as by default.
    #[must_use]
    pub fn at(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            ..Self::default()
        }
    }

    /// Whether the ledger is a SQLite file, so that its writers must share one process.
    ///
    /// # Errors
    /// When the URL is neither of the two kinds or its file cannot be read.
    pub fn is_embedded(&self) -> Result<bool, Error> {
        Ok(matches!(self.place()?, Place::Sqlite(_)))
    }

    /// The place without login, for people.
    #[must_use]
    pub fn shown(&self) -> String {
        match self.place() {
            Ok(Place::Sqlite(path)) => format!("sqlite:{}", path.display()),
            Ok(Place::Postgres(url)) => format!("{} (schema {})", without_login(&url), self.schema),
            Err(_) => "(unreadable)".to_owned(),
        }
    }

    pub(crate) fn place(&self) -> Result<Place, Error> {
        let url = match &self.url_file {
            None => self.url.clone(),
            Some(path) => std::fs::read_to_string(path)
                .map_err(|source| Error::File {
                    doing: "read",
                    path: path.clone(),
                    source,
                })?
                .trim()
                .to_owned(),
        };
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Ok(Place::Postgres(url));
        }
        match url.strip_prefix("sqlite:") {
            Some(path) if !path.trim_start_matches("//").is_empty() => {
                Ok(Place::Sqlite(PathBuf::from(path.strip_prefix("//").unwrap_or(path))))
            }
            _ => Err(Error::Config(
                "url must be sqlite:PATH or postgres://user:password@host:port/database".to_owned(),
            )),
        }
    }

    /// The schema's name, checked, because it is the one name that goes into SQL texts.
    pub(crate) fn schema_name(&self) -> Result<&str, Error> {
        let first = self
            .schema
            .bytes()
            .next()
            .is_some_and(|b| b.is_ascii_lowercase() || b == b'_');
        let rest = self
            .schema
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if first && rest && self.schema.len() <= 63 {
            Ok(&self.schema)
        } else {
            Err(Error::Config(
                "schema must be 1 to 63 characters of a-z 0-9 _ and not begin with a digit".to_owned(),
            ))
        }
    }

    pub(crate) fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms.max(1))
    }

    pub(crate) fn busy_timeout(&self) -> Duration {
        Duration::from_millis(self.busy_timeout_ms.max(1))
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("place", &self.shown())
            .field("pool_max", &self.pool_max)
            .finish_non_exhaustive()
    }
}

fn without_login(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("postgres", url));
    let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
    // A password may also stand in the query.
    format!("{scheme}://{}", place.split('?').next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_way_of_printing_shows_the_password() {
        for url in [
            "postgres://u:hunter2@db:5432/x",
            "postgres://db/x?user=u&password=hunter2",
            "postgres://u:hunt@hunter2@db/x",
        ] {
            let config = Config::at(url);
            assert!(!format!("{config:?} {config:#?} {}", config.shown()).contains("hunter2"));
        }
    }

    #[test]
    fn only_the_two_kinds_of_url_are_taken() {
        assert_eq!(Config::at("sqlite:/a/b.db").place().unwrap(), Place::Sqlite("/a/b.db".into()));
        assert_eq!(Config::at("sqlite://b.db").place().unwrap(), Place::Sqlite("b.db".into()));
        assert!(Config::at("sqlite:").place().is_err());
        assert!(Config::at("mysql://x").place().is_err());
    }

    #[test]
    fn a_schema_name_is_only_a_name() {
        let schema = |name: &str| {
            Config {
                schema: name.to_owned(),
                ..Config::default()
            }
            .schema_name()
            .is_ok()
        };
        assert!(schema("erasure") && schema("t_1"));
        assert!(!schema("x;drop") && !schema("") && !schema("1a") && !schema("A"));
    }
}
