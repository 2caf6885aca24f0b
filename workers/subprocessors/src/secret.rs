//! What we show a vendor to be let in.

use serde::Deserialize;
use std::fmt;
use std::path::PathBuf;

/// How we prove to a vendor who we are.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Auth {
    /// `Authorization: Bearer <token>`.
    Bearer {
        /// The token itself; prefer the file.
        #[serde(default)]
        token: Option<Secret>,
        /// A file that holds the token.
        #[serde(default)]
        token_file: Option<PathBuf>,
    },
    /// `Authorization: Basic …`.
    Basic {
        /// The user, or the key.
        user: String,
        /// The password itself; prefer the file.
        #[serde(default)]
        password: Option<Secret>,
        /// A file that holds the password.
        #[serde(default)]
        password_file: Option<PathBuf>,
    },
    /// A header of the vendor's own, or `Authorization` without a scheme.
    Header {
        /// The header's name.
        name: String,
        /// The value itself; prefer the file.
        #[serde(default)]
        value: Option<Secret>,
        /// A file that holds the value.
        #[serde(default)]
        value_file: Option<PathBuf>,
    },
}

impl Auth {
    /// What is wrong with the settings, if anything: exactly one of the value and its file must be given.
    pub(crate) fn check(&self) -> Result<(), SecretError> {
        if let Self::Header { name, .. } = self
            && reqwest::header::HeaderName::from_bytes(name.as_bytes()).is_err()
        {
            return Err(SecretError::HeaderName);
        }
        let (value, file) = self.parts();
        match (value, file) {
            (Some(value), None) if !value.0.trim().is_empty() => Ok(()),
            (None, Some(_)) => Ok(()),
            (Some(_) | None, Some(_) | None) => Err(SecretError::OneOf),
        }
    }

    /// The secret as it is now: a file is read again each time, so that a renewed one needs no restart.
    pub(crate) async fn read(&self) -> Result<Secret, SecretError> {
        let (value, file) = self.parts();
        let text = match (value, file) {
            (Some(value), _) => value.0.clone(),
            (None, Some(file)) => tokio::fs::read_to_string(file).await.map_err(|source| SecretError::Read {
                file: file.clone(),
                source,
            })?,
            (None, None) => return Err(SecretError::OneOf),
        };
        let text = text.trim();
        let usable = !text.is_empty() && text.bytes().all(|b| (0x20..0x7f).contains(&b));
        if usable {
            Ok(Secret(text.to_owned()))
        } else {
            Err(SecretError::Unusable)
        }
    }

    fn parts(&self) -> (Option<&Secret>, Option<&PathBuf>) {
        match self {
            Self::Bearer { token, token_file } => (token.as_ref(), token_file.as_ref()),
            Self::Basic {
                password, password_file, ..
            } => (password.as_ref(), password_file.as_ref()),
            Self::Header { value, value_file, .. } => (value.as_ref(), value_file.as_ref()),
        }
    }
}

/// A secret of the configuration. Never printed.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Secret(pub(crate) String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Why a secret cannot be used. Never holds it.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// Neither or both of the value and its file are set.
    #[error("give either the secret itself or its _file, not both and not neither")]
    OneOf,
    /// No header can have this name.
    #[error("the name of the header is none")]
    HeaderName,
    /// The file cannot be read.
    #[error("reading the secret from {file}")]
    Read {
        /// Which file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is empty or holds what no header may hold.
    #[error("the secret must be one line of printable ASCII")]
    Unusable,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_secret_comes_from_its_file_and_is_never_printed() {
        let file = std::env::temp_dir().join(format!("erasure-secret-{}", std::process::id()));
        std::fs::write(&file, "planted-token\n").unwrap();
        let auth: Auth = serde_json::from_value(serde_json::json!({ "bearer": { "token_file": file } })).unwrap();
        assert_eq!(auth.read().await.unwrap().0, "planted-token");
        std::fs::write(&file, "renewed").unwrap();
        assert_eq!(auth.read().await.unwrap().0, "renewed");
        std::fs::remove_file(&file).unwrap();
        assert!(matches!(auth.read().await, Err(SecretError::Read { .. })));
        let auth: Auth = serde_json::from_str(r#"{"basic":{"user":"key","password":"planted-password"}}"#).unwrap();
        assert!(!format!("{auth:?}").contains("planted"), "{auth:?}");
    }

    #[test]
    fn exactly_one_form_of_a_secret_is_accepted() {
        let check = |text: &str| serde_json::from_str::<Auth>(text).unwrap().check();
        assert!(check(r#"{"bearer":{"token":"a"}}"#).is_ok());
        assert!(check(r#"{"bearer":{"token_file":"/run/token"}}"#).is_ok());
        assert!(check(r#"{"bearer":{}}"#).is_err());
        assert!(check(r#"{"header":{"name":"X-Key","value":"a","value_file":"/b"}}"#).is_err());
        assert!(check(r#"{"header":{"name":"a b","value":"a"}}"#).is_err());
        assert!(serde_json::from_str::<Auth>(r#"{"bearer":{"tokn":"a"}}"#).is_err());
    }
}
