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
            let secret = entry.secret()?;
            if secret.is_some() && keys.iter().any(|key: &Key| key.secret == secret) {
                return Err(Error::Weak {
                    key: entry.id,
                    purpose: entry.purpose,
                    why: "it has the same material as another key",
                });
            }
            keys.push(Key {
                secret,
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

    /// The fingerprint of a command's content.
    ///
    /// It is made with the oldest live look-up key, so that a rotation does not turn a repeated command into a conflict.
    #[must_use]
    pub fn fingerprint(&self, tenant: &TenantId, content: &[u8]) -> Fingerprint {
        let oldest = self
            .keys
            .iter()
            .filter(|key| key.info.purpose == Purpose::Lookup)
            .find_map(|key| key.secret.as_ref().map(|secret| (&key.info.id, secret)));
        let (key, secret) = oldest.unwrap_or_else(|| self.current(Purpose::Lookup));
        TenantHasher::new(tenant, std::iter::once((key, secret))).fingerprint(content)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{generate, retire, rotate};
    use erasure_protocol::Millis;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::PathBuf;

    struct File {
        _folder: tempfile::TempDir,
        path: PathBuf,
    }

    fn now() -> Millis {
        Millis::from_rfc3339("2026-11-22T03:00:00Z").unwrap()
    }

    fn absent() -> File {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("keys.json");
        File { _folder: folder, path }
    }

    fn fresh() -> File {
        let file = absent();
        generate(&file.path, now()).unwrap();
        file
    }

    fn edit(file: &File, change: impl FnOnce(&mut serde_json::Value)) {
        let mut ring = serde_json::from_slice(&fs::read(&file.path).unwrap()).unwrap();
        change(&mut ring);
        fs::write(&file.path, serde_json::to_vec(&ring).unwrap()).unwrap();
    }

    fn refusal(file: &File) -> String {
        KeyRing::load(&file.path).unwrap_err().to_string()
    }

    fn seal_key(file: &File) -> KeyId {
        KeyRing::load(&file.path).unwrap().current(Purpose::Seal).0.clone()
    }

    #[test]
    fn a_new_ring_is_private_and_has_one_key_of_each_purpose() {
        let file = fresh();
        assert_eq!(fs::metadata(&file.path).unwrap().permissions().mode() & 0o777, 0o600);
        let list = KeyRing::load(&file.path).unwrap().list();
        assert_eq!(list.iter().map(|key| key.purpose).collect::<Vec<_>>(), Purpose::ALL);
        assert!(
            list.iter()
                .all(|key| key.id.0.starts_with("2026-11-") && key.state == KeyState::Current)
        );
    }

    #[test]
    fn a_ring_is_never_overwritten() {
        let file = fresh();
        let before = fs::read(&file.path).unwrap();
        assert!(matches!(generate(&file.path, now()), Err(Error::Exists { .. })));
        assert_eq!(fs::read(&file.path).unwrap(), before);
    }

    #[test]
    fn what_is_wrong_with_a_ring_is_said_with_what_to_do() {
        assert!(refusal(&absent()).contains("`erasure key generate`"));

        let file = fresh();
        fs::set_permissions(&file.path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(refusal(&file).contains("`chmod 600"));

        let file = fresh();
        edit(&file, |ring| {
            ring["keys"][0]["material"] = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".into()
        });
        assert!(refusal(&file).contains("is weak: all its bytes are equal"));

        let file = fresh();
        edit(&file, |ring| ring["keys"][0]["material"] = "c2hvcnQ".into());
        assert!(refusal(&file).contains("not 32 bytes"));

        let file = fresh();
        edit(&file, |ring| ring["keys"][1]["id"] = ring["keys"][0]["id"].clone());
        assert!(refusal(&file).contains("two keys have the id"));

        let file = fresh();
        edit(&file, |ring| {
            ring["keys"][1]["material"] = ring["keys"][0]["material"].clone()
        });
        assert!(refusal(&file).contains("same material"));

        let file = fresh();
        edit(&file, |ring| ring["keys"][1]["state"] = "old".into());
        assert!(refusal(&file).contains("`erasure key rotate --purpose lookup`"));

        let file = fresh();
        fs::write(&file.path, "{\"format\": 1, \"keys\": [{\"id\": \"hush-hush\"}]}").unwrap();
        let refusal = refusal(&file);
        assert!(
            refusal.contains("is not a key ring") && !refusal.contains("hush"),
            "{refusal}"
        );
    }

    #[test]
    fn rotation_seals_with_the_new_key_and_still_opens_with_the_old() {
        let file = fresh();
        let (key, wrapped) = KeyRing::load(&file.path).unwrap().new_data_key().unwrap();
        let sealed = key.seal(b"here", b"content").unwrap();
        let new = rotate(&file.path, Purpose::Seal, now()).unwrap();
        let ring = KeyRing::load(&file.path).unwrap();
        assert_eq!(ring.new_data_key().unwrap().1.key, new);
        assert_eq!(ring.unwrap(&wrapped).unwrap().open(b"here", &sealed).unwrap(), b"content");
        assert_eq!(fs::metadata(&file.path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_retired_key_opens_nothing_and_leaves_no_material() {
        let file = fresh();
        let old = seal_key(&file);
        let (_, wrapped) = KeyRing::load(&file.path).unwrap().new_data_key().unwrap();
        assert!(matches!(retire(&file.path, &old, 0), Err(Error::IsCurrent { .. })));
        rotate(&file.path, Purpose::Seal, now()).unwrap();
        assert!(matches!(
            retire(&file.path, &old, 3),
            Err(Error::Referenced { references: 3, .. })
        ));
        KeyRing::load(&file.path).unwrap().unwrap(&wrapped).unwrap();
        retire(&file.path, &old, 0).unwrap();
        retire(&file.path, &old, 0).unwrap();
        let ring = KeyRing::load(&file.path).unwrap();
        assert!(matches!(ring.unwrap(&wrapped), Err(Error::Retired { .. })));
        let text: serde_json::Value = serde_json::from_slice(&fs::read(&file.path).unwrap()).unwrap();
        assert_eq!(text["keys"][0]["state"], "retired");
        assert!(text["keys"][0].get("material").is_none());
        assert!(matches!(
            retire(&file.path, &KeyId("nobody".to_owned()), 0),
            Err(Error::UnknownKey { .. })
        ));
    }

    #[test]
    fn a_key_of_another_ring_is_unknown_and_not_poison() {
        let (_, wrapped) = KeyRing::load(&fresh().path).unwrap().new_data_key().unwrap();
        let refusal = KeyRing::load(&fresh().path).unwrap().unwrap(&wrapped).unwrap_err();
        assert!(refusal.is_unknown_key());
    }

    #[test]
    fn a_wrapped_key_cannot_be_passed_off_as_another_keys() {
        let file = fresh();
        let (_, mut wrapped) = KeyRing::load(&file.path).unwrap().new_data_key().unwrap();
        wrapped.key = rotate(&file.path, Purpose::Seal, now()).unwrap();
        assert!(matches!(
            KeyRing::load(&file.path).unwrap().unwrap(&wrapped),
            Err(Error::NotOpened)
        ));
    }

    #[test]
    fn hashes_are_found_under_old_keys_and_fingerprints_survive_a_rotation() {
        let file = fresh();
        let tenant = TenantId::new("acme").unwrap();
        let email = IdentifierKind::new("email").unwrap();
        let hashes = || {
            KeyRing::load(&file.path)
                .unwrap()
                .hashes(&tenant, &[(&email, "a@example.org")])
        };
        let fingerprint = || KeyRing::load(&file.path).unwrap().fingerprint(&tenant, b"content");
        let (before, print) = (hashes(), fingerprint());
        let new = rotate(&file.path, Purpose::Lookup, now()).unwrap();
        let after = hashes();
        assert_eq!(after[0].key, new);
        assert_eq!(after[1], before[0]);
        assert_ne!(after[0].hash, before[0].hash);
        assert_eq!(fingerprint(), print);
    }

    #[test]
    fn envelopes_open_only_as_what_they_were_sealed_as() {
        let ring = KeyRing::load(&fresh().path).unwrap();
        let sealed = ring.seal_command(b"{\"planted\":1}").unwrap();
        assert!(!String::from_utf8_lossy(&sealed).contains("planted"));
        assert_eq!(ring.open_command(&sealed).unwrap(), b"{\"planted\":1}");
        assert!(ring.open_parked(&sealed).is_err());
        let parked = ring.seal_parked(b"\xff\x00").unwrap();
        assert_eq!(ring.open_parked(&parked).unwrap(), b"\xff\x00");
        assert!(matches!(ring.open_command(b"{}"), Err(Error::NotAnEnvelope)));
        let newer = String::from_utf8(sealed).unwrap().replace("\"version\":1", "\"version\":2");
        assert!(matches!(
            ring.open_command(newer.as_bytes()),
            Err(Error::NewerEnvelope { found: 2, .. })
        ));
    }

    #[test]
    fn two_rotations_at_once_lose_no_key() {
        let file = fresh();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| rotate(&file.path, Purpose::Seal, now()).unwrap());
            }
        });
        assert_eq!(KeyRing::load(&file.path).unwrap().list().len(), 3 + 8);
    }

    #[test]
    fn debug_shows_nothing_of_a_ring() {
        let file = fresh();
        let text: serde_json::Value = serde_json::from_slice(&fs::read(&file.path).unwrap()).unwrap();
        let shown = format!(
            "{:?} {:?}",
            KeyRing::load(&file.path).unwrap(),
            RingFile::read(&file.path).unwrap()
        );
        assert!(!shown.contains(text["keys"][0]["material"].as_str().unwrap()));
    }
}
