//! How to reach the broker.

use crate::Error;
use serde::{Deserialize, Serialize};
use std::{fmt, path::PathBuf, time::Duration};

/// Where the broker is, under which prefix the fleet's names live, and how long anything may take.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// `amqp://user:password@host:port/vhost`, or `amqps://…`. The virtual host `/` is written `%2f`.
    #[serde(skip_serializing)]
    pub url: String,
    /// A file that holds the URL instead. Read at every connection, so a rotated secret is picked up.
    pub url_file: Option<PathBuf>,
    /// Put before every exchange and queue name.
    pub prefix: String,
    /// Certificates (PEM) to trust besides the system's, for `amqps://`.
    pub ca_file: Option<PathBuf>,
    /// A peer that is silent for two of these is gone. In seconds.
    pub heartbeat_s: u16,
    /// How long opening a connection, login included, may take. In milliseconds.
    pub connect_timeout_ms: u64,
    /// How long any other answer of the broker may take. In milliseconds.
    pub response_timeout_ms: u64,
    /// How long a publish may take from call to confirmation, reconnecting included. In milliseconds.
    pub confirm_timeout_ms: u64,
    /// The shortest upper bound of the random pause before connecting again. In milliseconds.
    pub reconnect_pause_ms_min: u64,
    /// The longest upper bound of that pause. In milliseconds.
    pub reconnect_pause_ms_max: u64,
    /// How long a channel that is given up waits for what was handed out on it to be settled. In milliseconds.
    pub settle_grace_ms: u64,
    /// How many messages are sent before their confirmations are awaited.
    pub publish_window: usize,
    /// The double to talk to, instead of a broker.
    #[cfg(feature = "double")]
    #[serde(skip)]
    pub double: Option<crate::double::Process>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: String::new(),
            url_file: None,
            prefix: String::new(),
            ca_file: None,
            heartbeat_s: 10,
            connect_timeout_ms: 10_000,
            response_timeout_ms: 10_000,
            confirm_timeout_ms: 15_000,
            reconnect_pause_ms_min: 200,
            reconnect_pause_ms_max: 10_000,
            settle_grace_ms: 10_000,
            publish_window: 512,
            #[cfg(feature = "double")]
            double: None,
        }
    }
}

/// The largest frame, in bytes. Each connection holds two buffers of 32 of them: with the broker's 128 KiB that would be 8 MiB.
const FRAME_MAX: u32 = 8 * 1024;

impl Config {
    /// Checks what can be checked without connecting.
    ///
    /// # Errors
    /// With a sentence that names the key, when the URL is missing or unreadable, the prefix would not fit a name, or a limit is 0.
    pub fn check(&self) -> Result<(), Error> {
        let wrong = |text: &str| Err(Error::Config(text.to_owned()));
        if self.url_file.is_none() && !self.is_double() {
            self.uri()?;
        }
        let prefix_ok = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if self.prefix.len() > 60 || !self.prefix.chars().all(prefix_ok) {
            return wrong("broker.prefix may hold up to 60 of A-Z a-z 0-9 . _ -");
        }
        if self.publish_window == 0 || self.heartbeat_s == 0 {
            return wrong("broker.publish_window and broker.heartbeat_s must be above 0");
        }
        if [self.connect_timeout_ms, self.response_timeout_ms, self.confirm_timeout_ms].contains(&0) {
            return wrong("broker timeouts must be above 0, in milliseconds");
        }
        if self.reconnect_pause_ms_min == 0 || self.reconnect_pause_ms_min > self.reconnect_pause_ms_max {
            return wrong("broker.reconnect_pause_ms_min must be above 0 and not above broker.reconnect_pause_ms_max");
        }
        Ok(())
    }

    /// The URL as lapin understands it, with our heartbeat in it.
    pub(crate) fn uri(&self) -> Result<lapin::uri::AMQPUri, Error> {
        let url = match &self.url_file {
            Some(path) => std::fs::read_to_string(path).map_err(|source| Error::File {
                path: path.display().to_string(),
                source,
            })?,
            None => self.url.clone(),
        };
        let parsed: Result<lapin::uri::AMQPUri, String> = url.trim().parse();
        // The parser's own text may repeat the URL, and with it the password.
        let mut uri =
            parsed.map_err(|_| Error::Config("broker.url must read amqp(s)://user:password@host:port/vhost".to_owned()))?;
        uri.query.heartbeat = Some(self.heartbeat_s);
        uri.query.frame_max = Some(FRAME_MAX);
        uri.query.connection_timeout = Some(self.connect_timeout_ms);
        Ok(uri)
    }

    /// Whether the double is at the other end.
    pub(crate) fn is_double(&self) -> bool {
        #[cfg(feature = "double")]
        return self.double.is_some();
        #[cfg(not(feature = "double"))]
        return false;
    }

    pub(crate) fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms)
    }

    pub(crate) fn response_timeout(&self) -> Duration {
        Duration::from_millis(self.response_timeout_ms)
    }

    pub(crate) fn settle_grace(&self) -> Duration {
        Duration::from_millis(self.settle_grace_ms)
    }

    pub(crate) fn confirm_timeout(&self) -> Duration {
        Duration::from_millis(self.confirm_timeout_ms)
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("url", &"(hidden)")
            .field("url_file", &self.url_file)
            .field("prefix", &self.prefix)
            .field("ca_file", &self.ca_file)
            .field("publish_window", &self.publish_window)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_neither_shown_nor_repeated_in_an_error() {
        let config = Config {
            url: "http://me:secret@host/".to_owned(),
            ..Config::default()
        };
        assert!(!format!("{config:?}").contains("secret"));
        assert!(!config.check().unwrap_err().to_string().contains("secret"));
    }

    #[test]
    fn the_heartbeat_is_part_of_the_address() {
        let config = Config {
            url: "amqp://guest:guest@127.0.0.1:5672/%2f".to_owned(),
            heartbeat_s: 7,
            ..Config::default()
        };
        config.check().unwrap();
        assert_eq!(config.uri().unwrap().query.heartbeat, Some(7));
    }
}
