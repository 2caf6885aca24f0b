//! The HTTP role's part of the configuration.

use crate::Error;
use erasure_protocol::{COMMAND_BYTES_MAX, TenantId};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Where the HTTP role listens, and whom it lets in.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpConfig {
    /// Address and port. Anything but the machine itself (127.0.0.1, ::1) requires TLS.
    pub listen: String,
    /// The bearer token that may do everything.
    pub token: Option<String>,
    /// A file that holds it instead, read at start.
    pub token_file: Option<PathBuf>,
    /// Further tokens by name, each for certain tenants.
    pub tokens: BTreeMap<String, NamedToken>,
    /// The certificate, with its chain (PEM).
    pub tls_cert_file: Option<PathBuf>,
    /// The certificate's private key (PEM).
    pub tls_key_file: Option<PathBuf>,
    /// The largest body, in bytes. Commands end at 1 MiB whatever is set here.
    pub body_bytes_max: usize,
    /// How long a call may take, in seconds.
    pub request_timeout_s: u64,
    /// How many calls under /v1 are answered at the same time; further ones are asked to come again.
    pub requests_at_once_max: usize,
    /// How long calls under way may go on after the role was told to stop, in seconds.
    pub drain_s: u64,
}

/// A token for certain tenants.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct NamedToken {
    /// The bearer token.
    pub token: Option<String>,
    /// A file that holds it instead, read at start.
    pub token_file: Option<PathBuf>,
    /// For which tenants it is good, by account number.
    pub tenants: BTreeSet<TenantId>,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:8080".to_owned(),
            token: None,
            token_file: None,
            tokens: BTreeMap::new(),
            tls_cert_file: None,
            tls_key_file: None,
            body_bytes_max: COMMAND_BYTES_MAX,
            request_timeout_s: 30,
            requests_at_once_max: 256,
            drain_s: 10,
        }
    }
}

impl HttpConfig {
    /// Checks what can be checked without listening, the tokens included. That there is one is left to [`crate::Api::router`]: health
    /// and metrics are served without.
    ///
    /// # Errors
    /// With a sentence that names the setting and what to do.
    pub fn check(&self) -> Result<(), Error> {
        self.address()?;
        self.tls()?;
        if self.has_token() {
            crate::token::Tokens::load(self)?;
        }
        if self.body_bytes_max == 0 || self.request_timeout_s == 0 || self.requests_at_once_max == 0 {
            let limits = "http.body_bytes_max, http.request_timeout_s and http.requests_at_once_max must be above 0";
            return Err(Error::Config(limits.to_owned()));
        }
        Ok(())
    }

    /// Whether any token is configured, so that the role can start.
    #[must_use]
    pub fn has_token(&self) -> bool {
        self.token.is_some() || self.token_file.is_some() || !self.tokens.is_empty()
    }

    /// The paths in it, for whoever makes them relative to the configuration file.
    pub fn files_mut(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let own = [&mut self.token_file, &mut self.tls_cert_file, &mut self.tls_key_file];
        let named = self.tokens.values_mut().map(|token| &mut token.token_file);
        own.into_iter().chain(named).flatten()
    }

    pub(crate) fn address(&self) -> Result<SocketAddr, Error> {
        let example = "http.listen must be an address and a port, for example 127.0.0.1:8080 or [::]:8443";
        self.listen.parse().map_err(|_| Error::Config(example.to_owned()))
    }

    /// Certificate and key. `None` without TLS, which is for the machine itself only.
    pub(crate) fn tls(&self) -> Result<Option<(PathBuf, PathBuf)>, Error> {
        match (&self.tls_cert_file, &self.tls_key_file) {
            (Some(cert), Some(key)) => Ok(Some((cert.clone(), key.clone()))),
            (None, None) if self.address()?.ip().is_loopback() => Ok(None),
            (None, None) => Err(Error::TlsRequired {
                listen: self.listen.clone(),
            }),
            (Some(_), None) | (None, Some(_)) => {
                let both = "http.tls_cert_file and http.tls_key_file go together; set both, or neither";
                Err(Error::Config(both.to_owned()))
            }
        }
    }

    pub(crate) fn request_timeout(&self) -> Duration {
        Duration::from_secs(self.request_timeout_s)
    }

    pub(crate) fn drain(&self) -> Duration {
        Duration::from_secs(self.drain_s)
    }
}

impl fmt::Debug for HttpConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpConfig")
            .field("listen", &self.listen)
            .field("token", &self.token.as_ref().map(|_| "(hidden)"))
            .field("tokens", &self.tokens)
            .field("tls_cert_file", &self.tls_cert_file)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for NamedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NamedToken")
            .field("tenants", &self.tenants)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "planted-0123456789abcdef";

    fn config() -> HttpConfig {
        HttpConfig {
            token: Some(TOKEN.to_owned()),
            ..HttpConfig::default()
        }
    }

    #[test]
    fn beyond_the_machine_itself_tls_is_required() {
        assert!(config().check().is_ok());
        for (listen, fits) in [
            ("[::1]:0", true),
            ("127.8.8.8:80", true),
            ("0.0.0.0:80", false),
            ("[::]:80", false),
        ] {
            let config = HttpConfig {
                listen: listen.to_owned(),
                ..config()
            };
            assert_eq!(config.check().is_ok(), fits, "{listen}");
        }
        let mut tls = config();
        tls.listen = "0.0.0.0:8443".to_owned();
        tls.tls_cert_file = Some("cert.pem".into());
        assert!(tls.check().unwrap_err().to_string().contains("tls_key_file"));
        tls.tls_key_file = Some("key.pem".into());
        assert!(tls.check().is_ok());
    }

    #[test]
    fn a_token_is_never_printed() {
        let mut config = config();
        let named = NamedToken {
            token: Some(TOKEN.to_owned()),
            ..NamedToken::default()
        };
        config.tokens.insert("crm".to_owned(), named);
        assert!(!format!("{config:?}").contains("planted"));
    }

    #[test]
    fn an_unknown_setting_is_refused_by_name() {
        let error = serde_json::from_str::<HttpConfig>(r#"{"tls_cert": "x"}"#).unwrap_err();
        assert!(error.to_string().contains("tls_cert"));
    }
}
