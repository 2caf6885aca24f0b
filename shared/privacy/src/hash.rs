//! Keyed hashes: HMAC-SHA256 (RFC 2104) under a key that HKDF-SHA256 (RFC 5869) derives for each tenant.

use crate::data_key::place;
use crate::secret::{KEY_BYTES, Secret};
use aws_lc_rs::{hkdf, hmac};
use erasure_protocol::{Fingerprint, IdentifierKind, KeyId, SubjectHash, TenantId};

const SALT: &[u8] = b"erasure/lookup/1";

/// Hashes for one tenant, under all live look-up keys, the current one first. Cheap to use many times.
#[derive(Debug)]
pub struct TenantHasher(Vec<TenantKeys>);

struct TenantKeys {
    id: KeyId,
    subject: hmac::Key,
    content: hmac::Key,
    pseudonym: hmac::Key,
}

impl std::fmt::Debug for TenantKeys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.id)
    }
}

impl TenantHasher {
    pub(crate) fn new<'k>(tenant: &TenantId, keys: impl Iterator<Item = (&'k KeyId, &'k Secret)>) -> Self {
        let derive = |secret: &Secret, what: &[u8]| {
            let key = derived(secret.expose(), SALT, &place(&[what, tenant.as_str().as_bytes()]));
            hmac::Key::new(hmac::HMAC_SHA256, key.expose())
        };
        Self(
            keys.map(|(id, secret)| TenantKeys {
                id: id.clone(),
                subject: derive(secret, b"subject"),
                content: derive(secret, b"content"),
                pseudonym: derive(secret, b"pseudonym"),
            })
            .collect(),
        )
    }

    /// The hashes of identifiers that belong together (one, or for example e-mail and business unit) in their normalised form.
    /// The order in which they are given makes no difference. The hash under the current key comes first.
    #[must_use]
    pub fn subject(&self, identifiers: &[(&IdentifierKind, &str)]) -> Vec<SubjectHash> {
        let input = subject_input(identifiers);
        let hash = |keys: &TenantKeys| SubjectHash {
            key: keys.id.clone(),
            hash: mac(&keys.subject, &input),
        };
        self.0.iter().map(hash).collect()
    }

    /// The fingerprint of a command's content under the first key.
    pub(crate) fn fingerprint(&self, content: &[u8]) -> Fingerprint {
        let keys = self.first();
        Fingerprint {
            key: keys.id.clone(),
            hash: mac(&keys.content, content),
        }
    }

    /// What stands for a value after anonymising: 32 hexadecimal digits, the same for the same parts under the current key.
    #[must_use]
    pub fn pseudonym(&self, parts: &[&[u8]]) -> String {
        mac(&self.first().pseudonym, &place(parts))[..16]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    fn first(&self) -> &TenantKeys {
        self.0
            .first()
            .expect("a hasher is made only with the current look-up key, or an older one, at its head")
    }
}

fn subject_input(identifiers: &[(&IdentifierKind, &str)]) -> Vec<u8> {
    let mut sorted: Vec<_> = identifiers.iter().map(|(kind, value)| (kind.as_str(), *value)).collect();
    sorted.sort_unstable();
    let parts: Vec<&[u8]> = sorted
        .iter()
        .flat_map(|(kind, value)| [kind.as_bytes(), value.as_bytes()])
        .collect();
    place(&parts)
}

fn mac(key: &hmac::Key, input: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(hmac::sign(key, input).as_ref());
    hash
}

fn derived(material: &[u8], salt: &[u8], info: &[u8]) -> Secret {
    let mut key = [0; KEY_BYTES];
    hkdf::Salt::new(hkdf::HKDF_SHA256, salt)
        .extract(material)
        .expand(&[info], hkdf::HKDF_SHA256)
        .and_then(|okm| okm.fill(&mut key))
        .expect("HKDF-SHA256 gives up to 8,160 bytes, and 32 are asked for");
    let secret = Secret::from_slice(&key).expect("both have 32 bytes");
    zeroize::Zeroize::zeroize(&mut key);
    secret
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
            .collect()
    }

    fn kind(name: &str) -> IdentifierKind {
        IdentifierKind::new(name).unwrap()
    }

    fn hasher(tenant: &str) -> TenantHasher {
        let key = (KeyId("k".to_owned()), Secret::from_slice(&hex(&"0f1e".repeat(16))).unwrap());
        TenantHasher::new(&TenantId::new(tenant).unwrap(), [(&key.0, &key.1)].into_iter())
    }

    /// RFC 5869, A.1 and A.2: the first 32 bytes.
    #[test]
    fn hkdf_gives_the_vectors_of_its_rfc() {
        let okm = derived(&[0x0b; 22], &hex("000102030405060708090a0b0c"), &hex("f0f1f2f3f4f5f6f7f8f9"));
        assert_eq!(
            okm.expose()[..],
            hex("3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf")
        );
        let run = |from: u8, to: u8| (from..=to).collect::<Vec<_>>();
        let okm = derived(&run(0x00, 0x4f), &run(0x60, 0xaf), &run(0xb0, 0xff));
        assert_eq!(
            okm.expose()[..],
            hex("b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c")
        );
    }

    /// RFC 4231, test cases 1, 2 and 6.
    #[test]
    fn hmac_gives_the_vectors_of_its_rfc() {
        for (key, data, expected) in [
            (
                vec![0x0b; 20],
                b"Hi There".to_vec(),
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
            ),
            (
                b"Jefe".to_vec(),
                b"what do ya want for nothing?".to_vec(),
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                vec![0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First".to_vec(),
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
        ] {
            assert_eq!(mac(&hmac::Key::new(hmac::HMAC_SHA256, &key), &data)[..], hex(expected));
        }
    }

    /// The hashes are stored: a release that computes others finds nobody any more.
    #[test]
    fn the_hash_of_a_subject_never_changes() {
        let (email, unit) = (kind("email"), kind("business_unit"));
        let hashes = hasher("acme").subject(&[(&email, "a@example.org"), (&unit, "eu")]);
        let shown: String = hashes[0].hash.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(shown, "2746d45cb46cc5b1bdc3711d555d79b8eea605943c735475c99525415b78a08c");
    }

    #[test]
    fn a_hash_depends_on_tenant_kind_and_value_but_not_on_order() {
        let (email, unit) = (kind("email"), kind("business_unit"));
        let hash = |tenant: &str, pairs: &[(&IdentifierKind, &str)]| hasher(tenant).subject(pairs)[0].hash;
        let one = hash("acme", &[(&email, "a"), (&unit, "eu")]);
        assert_eq!(one, hash("acme", &[(&unit, "eu"), (&email, "a")]));
        for other in [
            hash("other", &[(&email, "a"), (&unit, "eu")]),
            hash("acme", &[(&email, "a")]),
            hash("acme", &[(&email, "eu"), (&unit, "a")]),
            hash("acme", &[(&email, "a"), (&unit, "e")]),
        ] {
            assert_ne!(one, other);
        }
    }

    #[test]
    fn purposes_do_not_share_hashes() {
        let hasher = hasher("acme");
        let input = subject_input(&[(&kind("email"), "a")]);
        assert_ne!(
            hasher.subject(&[(&kind("email"), "a")])[0].hash,
            hasher.fingerprint(&input).hash
        );
        assert_eq!(hasher.pseudonym(&[b"a"]).len(), 32);
        assert_ne!(hasher.pseudonym(&[b"ab", b"c"]), hasher.pseudonym(&[b"a", b"bc"]));
    }
}
