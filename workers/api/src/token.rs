//! Who may call, known by a bearer token.

use crate::Error;
use crate::config::{HttpConfig, NamedToken};
use erasure_privacy::digest16;
use erasure_protocol::TenantId;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

/// The fewest characters of a token: 16 random bytes in base64 have 22.
const TOKEN_CHARACTERS_MIN: usize = 20;

/// All tokens, by digest: what is compared has nothing to do with how far two tokens agree.
#[derive(Debug)]
pub(crate) struct Tokens(Vec<([u8; 16], Arc<Caller>)>);

/// Who holds a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The token's name in the configuration.
    pub(crate) name: String,
    /// For which tenants; `None` for all.
    tenants: Option<BTreeSet<TenantId>>,
}

impl Tokens {
    /// Reads the tokens of the configuration and of the files that it names.
    ///
    /// # Errors
    /// When there is none, a file cannot be read, a token is too short, or two are equal.
    pub(crate) fn load(config: &HttpConfig) -> Result<Self, Error> {
        let mut tokens = Self(Vec::new());
        if let Some(secret) = secret("http.token", config.token.as_deref(), config.token_file.as_deref())? {
            tokens.add("http.token", &secret, None)?;
        }
        for (name, token) in &config.tokens {
            let NamedToken {
                token,
                token_file,
                tenants,
            } = token;
            let at = format!("http.tokens.{name}");
            let Some(secret) = secret(&at, token.as_deref(), token_file.as_deref())? else {
                return Err(Error::Config(format!("{at} has neither token nor token_file")));
            };
            if tenants.is_empty() {
                return Err(Error::Config(format!(
                    "{at}.tenants names no tenant, so the token permits nothing"
                )));
            }
            tokens.add(&at, &secret, Some(tenants.clone()))?;
        }
        if tokens.0.is_empty() {
            return Err(Error::NoToken);
        }
        Ok(tokens)
    }

    /// Who holds this token. Every token is compared, whichever it is.
    pub(crate) fn caller(&self, token: &str) -> Option<Arc<Caller>> {
        let digest = digest16(&[token.as_bytes()]);
        let choose = |found: Option<Arc<Caller>>, (known, caller): &([u8; 16], Arc<Caller>)| {
            let differs = known.iter().zip(digest).fold(0, |sum, (a, b)| sum | (a ^ b));
            if differs == 0 { Some(Arc::clone(caller)) } else { found }
        };
        self.0.iter().fold(None, choose)
    }

    fn add(&mut self, at: &str, secret: &str, tenants: Option<BTreeSet<TenantId>>) -> Result<(), Error> {
        if secret.len() < TOKEN_CHARACTERS_MIN || !secret.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Error::Config(format!(
                "the token of {at} must have at least {TOKEN_CHARACTERS_MIN} visible ASCII characters; make one with `openssl rand -hex 32`"
            )));
        }
        let digest = digest16(&[secret.as_bytes()]);
        if self.0.iter().any(|(known, _)| *known == digest) {
            return Err(Error::Config(format!("the token of {at} is given twice")));
        }
        let name = at.to_owned();
        self.0.push((digest, Arc::new(Caller { name, tenants })));
        Ok(())
    }
}

impl Caller {
    /// Whether the token is good for this tenant.
    pub(crate) fn permits(&self, tenant: &TenantId) -> bool {
        self.tenants.as_ref().is_none_or(|tenants| tenants.contains(tenant))
    }

    /// Whether there are tenants that the token is not good for.
    pub(crate) fn is_restricted(&self) -> bool {
        self.tenants.is_some()
    }
}

/// The token after `Bearer`, as RFC 6750 writes it.
pub(crate) fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

fn secret(at: &str, inline: Option<&str>, file: Option<&Path>) -> Result<Option<String>, Error> {
    match (inline, file) {
        (None, None) => Ok(None),
        (Some(secret), None) => Ok(Some(secret.to_owned())),
        (None, Some(path)) => match std::fs::read_to_string(path) {
            Ok(text) => Ok(Some(text.trim().to_owned())),
            Err(source) => Err(Error::File {
                what: at.to_owned(),
                path: path.to_owned(),
                source,
            }),
        },
        (Some(_), Some(_)) => Err(Error::Config(format!("{at} and {at}_file are both set; keep one"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "0123456789abcdef0123";
    const TWO: &str = "fedcba98765432109876";

    fn tenant(id: &str) -> TenantId {
        TenantId::new(id).unwrap()
    }

    fn named(token: &str, tenants: &[&str]) -> NamedToken {
        NamedToken {
            token: Some(token.to_owned()),
            token_file: None,
            tenants: tenants.iter().map(|id| tenant(id)).collect(),
        }
    }

    fn config() -> HttpConfig {
        HttpConfig {
            token: Some(ONE.to_owned()),
            tokens: [("crm".to_owned(), named(TWO, &["1"]))].into(),
            ..HttpConfig::default()
        }
    }

    #[test]
    fn a_token_is_known_whole_or_not_at_all() {
        let tokens = Tokens::load(&config()).unwrap();
        assert_eq!(tokens.caller(ONE).unwrap().name, "http.token");
        assert_eq!(tokens.caller(TWO).unwrap().name, "http.tokens.crm");
        assert_eq!(tokens.caller(&ONE[..19]), None);
        assert_eq!(tokens.caller(""), None);
    }

    #[test]
    fn a_named_token_is_good_for_its_tenants_alone() {
        let tokens = Tokens::load(&config()).unwrap();
        let caller = tokens.caller(TWO).unwrap();
        assert!(caller.permits(&tenant("1")));
        assert!(!caller.permits(&tenant("2")));
        assert!(tokens.caller(ONE).unwrap().permits(&tenant("2")));
    }

    #[test]
    fn without_a_good_token_the_role_does_not_start() {
        let load = |config: HttpConfig| Tokens::load(&config).unwrap_err().to_string();
        assert!(load(HttpConfig::default()).contains("http.token_file"));
        let short = HttpConfig {
            token: Some("planted".to_owned()),
            ..HttpConfig::default()
        };
        assert!(load(short.clone()).contains("at least 20"));
        assert!(!load(short).contains("planted"));
        let mut twice = config();
        twice.tokens.insert("erp".to_owned(), named(ONE, &["1"]));
        assert!(load(twice).contains("given twice"));
        let mut nobody = config();
        nobody
            .tokens
            .insert("erp".to_owned(), named("another-token-of-20-characters", &[]));
        assert!(load(nobody).contains("names no tenant"));
    }

    #[test]
    fn a_token_file_may_end_in_a_line_break() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, format!("{ONE}\n")).unwrap();
        let config = HttpConfig {
            token_file: Some(path.clone()),
            ..HttpConfig::default()
        };
        assert!(Tokens::load(&config).unwrap().caller(ONE).is_some());
        std::fs::remove_file(&path).unwrap();
        assert!(Tokens::load(&config).unwrap_err().to_string().contains("http.token"));
    }

    #[test]
    fn the_scheme_is_bearer_in_any_case() {
        assert_eq!(bearer("Bearer abc"), Some("abc"));
        assert_eq!(bearer("bearer  abc"), Some("abc"));
        assert_eq!(bearer("Basic abc"), None);
        assert_eq!(bearer("abc"), None);
    }
}
