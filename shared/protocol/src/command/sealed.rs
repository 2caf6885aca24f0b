//! A command that was sealed before it entered the broker.

use crate::{KeyId, Sealed};
use serde::{Deserialize, Serialize};

/// The version of the envelope.
pub const SEALED_VERSION: u32 = 1;

/// The content type of a sealed command.
pub const SEALED_CONTENT_TYPE: &str = "application/vnd.erasure.sealed+json";

/// The envelope around sealed bytes: `{"version":1,"sealed":{"key":"2026-11-0a1b2c3d","body":"<base64>"}}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SealedEnvelope {
    /// See [`SEALED_VERSION`].
    pub version: u32,
    /// What is inside.
    pub sealed: SealedBody,
}

/// Sealed bytes and the key that opens them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SealedBody {
    /// Which key of the ring.
    pub key: KeyId,
    /// The bytes, base64 without padding.
    pub body: Sealed,
}

impl SealedEnvelope {
    /// Reads the JSON; `None` when it is no envelope. The version is left for the caller to judge.
    #[must_use]
    pub fn parse(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }

    /// The JSON.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("numbers and texts always become JSON")
    }
}
