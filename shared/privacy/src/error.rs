//! What can be wrong with keys and sealed bytes. Says what to do; never shows key material or content.

use crate::Purpose;
use erasure_protocol::KeyId;
use std::path::PathBuf;

/// What can be wrong with keys and sealed bytes.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no key ring.
    #[error("there is no key ring at {path}: create one with `erasure key generate`, and give every role the same file")]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// There is one already.
    #[error(
        "{path} exists already and is never overwritten: what was sealed with its keys would be lost. Use `erasure key rotate` for a new key"
    )]
    Exists {
        /// Where.
        path: PathBuf,
    },
    /// Others may read it.
    #[error("{path} has mode {mode:04o}: others than its owner may read it. Run `chmod 600 {path}`")]
    Readable {
        /// Which file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It could not be read or written.
    #[error("could not {doing} the key ring {path}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The file is not a key ring.
    #[error("{path} is not a key ring ({why}): restore it from its backup, or start anew with `erasure key generate` elsewhere")]
    NotARing {
        /// Which file.
        path: PathBuf,
        /// What is wrong, without any content.
        why: String,
    },
    /// A key cannot be trusted.
    #[error(
        "key {key} is weak: {why}. Take it out of the file and run `erasure key rotate --purpose {purpose}`, or restore the file from its backup"
    )]
    Weak {
        /// Which key.
        key: KeyId,
        /// What it is for.
        purpose: Purpose,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Two keys have one id.
    #[error("two keys have the id {key}: take out the one that is not in the backup of the file, then run `erasure key list`")]
    Duplicate {
        /// Which id.
        key: KeyId,
    },
    /// No key is the current one.
    #[error("no current {purpose} key: run `erasure key rotate --purpose {purpose}`")]
    NoCurrent {
        /// Of which purpose.
        purpose: Purpose,
    },
    /// More than one key is the current one.
    #[error("more than one current {purpose} key: run `erasure key rotate --purpose {purpose}`, which leaves one")]
    ManyCurrent {
        /// Of which purpose.
        purpose: Purpose,
    },
    /// The key is not in this ring.
    #[error("key {key} is not in this key ring: give this role the complete file, the same that the others have")]
    UnknownKey {
        /// Which key.
        key: KeyId,
    },
    /// The key was destroyed on purpose.
    #[error("key {key} was retired: what it sealed can never be read again")]
    Retired {
        /// Which key.
        key: KeyId,
    },
    /// The current key cannot be retired.
    #[error("key {key} is the current {purpose} key: run `erasure key rotate --purpose {purpose}` first")]
    IsCurrent {
        /// Which key.
        key: KeyId,
        /// What it is for.
        purpose: Purpose,
    },
    /// The key is needed.
    #[error("key {key} is still needed by {references} open request(s): wait until they are final, `erasure status` shows them")]
    Referenced {
        /// Which key.
        key: KeyId,
        /// By how many requests.
        references: u64,
    },
    /// Sealed bytes do not open: changed, cut off, or moved to another place than they were sealed for.
    #[error("sealed bytes do not open: they were changed, or belong somewhere else")]
    NotOpened,
    /// Not an envelope of ours.
    #[error("this is not a sealed envelope")]
    NotAnEnvelope,
    /// An envelope of a later release.
    #[error("the sealed envelope has version {found}, this release reads up to {known}: upgrade this role")]
    NewerEnvelope {
        /// The version that it has.
        found: u32,
        /// The latest that is known here.
        known: u32,
    },
    /// The system has no randomness to give.
    #[error("the operating system gives no random numbers")]
    NoRandomness,
}

impl Error {
    /// Whether the cause is a key that this role does not have, so that waiting for the complete key ring helps.
    #[must_use]
    pub fn is_unknown_key(&self) -> bool {
        matches!(self, Self::UnknownKey { .. })
    }
}
