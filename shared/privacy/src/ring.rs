//! The key ring in memory.

use crate::file::{KeyInfo, KeyState, Purpose, RingFile};
use crate::{DataKey, Error, TenantHasher, aead, secret::Secret};
use erasure_protocol::{Fingerprint, IdentifierKind, KeyId, Sealed, SubjectHash, TenantId, WrappedKey};
use std::collections::BTreeSet;
use std::path::Path;

/// All keys of the fleet, checked. Every role has the same file.
pub struct KeyRing {
    keys: Vec<Key>,
}

struct Key {
    info: KeyInfo,
    /// Gone when the key is retired.
    secret: Option<Secret>,
}

impl std::fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "KeyRing({} keys)", self.keys.len())
    }
}

impl KeyRing {
    /// Reads and checks the file.
    ///
    /// # Errors
    /// When it is missing, readable by others, no key ring, or holds a weak key, two of one id, or not one current key for each
    /// purpose. Each error says what to do.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let mut keys = Vec::new();
        let mut ids = BTreeSet::new();
        for entry in RingFile::read(path)?.keys {
            if !ids.insert(entry.id.clone()) {
                return Err(Error::Duplicate { key: entry.id });
            }
            keys.push(Key {
                secret: entry.secret()?,
                info: entry.info(),
            });
        }
        for purpose in Purpose::ALL {
            let current = keys.iter().filter(|key| key.is_current(purpose)).count();
            match current {
                0 => return Err(Error::NoCurrent { purpose }),
                1 => {}
                _ => return Err(Error::ManyCurrent { purpose }),
            }
        }
        Ok(Self { keys })
    }

    /// What may be shown of the keys, in the order of the file.
    #[must_use]
    pub fn list(&self) -> Vec<KeyInfo> {
        self.keys.iter().map(|key| key.info.clone()).collect()
    }

    /// A new random data key, and the same wrapped by the current seal key.
    ///
    /// # Errors
    /// When the operating system gives no random numbers.
    pub fn new_data_key(&self) -> Result<(DataKey, WrappedKey), Error> {
        let data_key = DataKey(Secret::random()?);
        let (key, secret) = self.current(Purpose::Seal);
        let wrapped = aead::seal(secret, &wrap_aad(key), data_key.0.expose())?;
        Ok((
            data_key,
            WrappedKey {
                key: key.clone(),
                wrapped,
            },
        ))
    }

    /// The data key that was wrapped.
    ///
    /// # Errors
    /// [`Error::UnknownKey`] when its seal key is not in this ring, [`Error::Retired`] when that was destroyed, and
    /// [`Error::NotOpened`] when the wrapped key was changed.
    pub fn unwrap(&self, wrapped: &WrappedKey) -> Result<DataKey, Error> {
        let secret = self.find(Purpose::Seal, &wrapped.key)?;
        let bytes = zeroize::Zeroizing::new(aead::open(secret, &wrap_aad(&wrapped.key), &wrapped.wrapped)?);
        Secret::from_slice(&bytes).map(DataKey).ok_or(Error::NotOpened)
    }

    /// Hashes for one tenant; use it where many are hashed.
    #[must_use]
    pub fn hasher(&self, tenant: &TenantId) -> TenantHasher {
        let (current, secret) = self.current(Purpose::Lookup);
        let old = self
            .keys
            .iter()
            .filter(|key| key.info.purpose == Purpose::Lookup && key.info.state == KeyState::Old)
            .filter_map(|key| key.secret.as_ref().map(|secret| (&key.info.id, secret)));
        TenantHasher::new(tenant, std::iter::once((current, secret)).chain(old))
    }

    /// The hashes of identifiers that belong together, normalised, under every live key, the current one first.
    #[must_use]
    pub fn hashes(&self, tenant: &TenantId, identifiers: &[(&IdentifierKind, &str)]) -> Vec<SubjectHash> {
        self.hasher(tenant).subject(identifiers)
    }

    /// The fingerprints of a command's content under every live key, the current one first. Store the first; compare what is
    /// stored with the one of the same key.
    #[must_use]
    pub fn fingerprints(&self, tenant: &TenantId, content: &[u8]) -> Vec<Fingerprint> {
        self.hasher(tenant).fingerprints(content)
    }

    /// Seals for the place under the current key of the purpose.
    pub(crate) fn seal(&self, purpose: Purpose, place: &str, plaintext: &[u8]) -> Result<(KeyId, Sealed), Error> {
        let (key, secret) = self.current(purpose);
        Ok((key.clone(), aead::seal(secret, &key_aad(place, key), plaintext)?))
    }

    /// Opens what [`Self::seal`] sealed.
    pub(crate) fn open(&self, purpose: Purpose, place: &str, key: &KeyId, sealed: &Sealed) -> Result<Vec<u8>, Error> {
        aead::open(self.find(purpose, key)?, &key_aad(place, key), sealed)
    }

    fn current(&self, purpose: Purpose) -> (&KeyId, &Secret) {
        self.keys
            .iter()
            .find(|key| key.is_current(purpose))
            .and_then(|key| key.secret.as_ref().map(|secret| (&key.info.id, secret)))
            .expect("loading has checked that each purpose has one current key with material")
    }

    fn find(&self, purpose: Purpose, id: &KeyId) -> Result<&Secret, Error> {
        let key = self
            .keys
            .iter()
            .find(|key| key.info.purpose == purpose && key.info.id == *id)
            .ok_or_else(|| Error::UnknownKey { key: id.clone() })?;
        key.secret.as_ref().ok_or_else(|| Error::Retired { key: id.clone() })
    }
}

impl Key {
    fn is_current(&self, purpose: Purpose) -> bool {
        self.info.purpose == purpose && self.info.state == KeyState::Current
    }
}

fn wrap_aad(key: &KeyId) -> Vec<u8> {
    key_aad("data-key", key)
}

fn key_aad(place: &str, key: &KeyId) -> Vec<u8> {
    format!("erasure/{place}/{key}").into_bytes()
}
