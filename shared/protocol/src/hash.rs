//! Keyed hashes: what the ledger looks a person or a command up by, without holding either. Computed only by `erasure-privacy`.

use crate::KeyId;
use serde::{Deserialize, Serialize};

/// The keyed hash of one complete way to find a person (one identifier, or several that belong together), 32 bytes.
///
/// Without the key it says nothing; the same identifiers of another tenant have another hash.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SubjectHash {
    /// The look-up key that it was made with.
    pub key: KeyId,
    /// HMAC-SHA256.
    pub hash: [u8; 32],
}

/// The keyed hash of a command's content, 32 bytes: tells whether the same id came again with other content.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Fingerprint {
    /// The look-up key that it was made with. Only fingerprints of one key can be compared.
    pub key: KeyId,
    /// HMAC-SHA256.
    pub hash: [u8; 32],
}
