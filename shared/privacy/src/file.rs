//! The key ring as a file: read with suspicion, replaced as a whole.

use crate::Error;
use crate::secret::{Encoded, Secret};
use aws_lc_rs::rand;
use erasure_protocol::{KeyId, Millis};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

const FORMAT: u32 = 1;
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// What a key is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Wraps the requests' data keys and seals commands on their way in.
    Seal,
    /// Hashes identifiers and fingerprints.
    Lookup,
    /// Seals bodies that were parked.
    Park,
}

impl Purpose {
    /// Every purpose.
    pub const ALL: [Self; 3] = [Self::Seal, Self::Lookup, Self::Park];

    /// The word on the command line and in the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Seal => "seal",
            Self::Lookup => "lookup",
            Self::Park => "park",
        }
    }

    /// Reads the word; `None` when it is none of ours.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == word)
    }
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where a key is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyState {
    /// New things are sealed or hashed with it.
    Current,
    /// Still opens and finds what was made with it.
    Old,
    /// Its material was destroyed; the id stays so that it is never taken again.
    Retired,
}

impl KeyState {
    /// The word on the command line and in the file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Old => "old",
            Self::Retired => "retired",
        }
    }
}

/// What may be shown of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyInfo {
    /// Its id: the period and a random suffix.
    pub id: KeyId,
    /// What it is for.
    pub purpose: Purpose,
    /// When it was made, RFC 3339.
    pub created: String,
    /// Where it is in its life.
    pub state: KeyState,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct KeyEntry {
    pub(crate) id: KeyId,
    pub(crate) purpose: Purpose,
    pub(crate) created: String,
    pub(crate) state: KeyState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    material: Option<Encoded>,
}

impl KeyEntry {
    fn new(purpose: Purpose, now: Millis) -> Result<Self, Error> {
        let created = now.to_rfc3339();
        let mut suffix = [0; 4];
        rand::fill(&mut suffix).map_err(|_| Error::NoRandomness)?;
        let period = created.get(..7).unwrap_or("undated");
        Ok(Self {
            id: KeyId(format!("{period}-{:08x}", u32::from_be_bytes(suffix))),
            purpose,
            created,
            state: KeyState::Current,
            material: Some(Encoded::of(&Secret::random()?)),
        })
    }

    pub(crate) fn info(&self) -> KeyInfo {
        KeyInfo {
            id: self.id.clone(),
            purpose: self.purpose,
            created: self.created.clone(),
            state: self.state,
        }
    }

    /// The material; `None` when it is retired.
    pub(crate) fn secret(&self) -> Result<Option<Secret>, Error> {
        let weak = |why| Error::Weak {
            key: self.id.clone(),
            purpose: self.purpose,
            why,
        };
        match (self.state, &self.material) {
            (KeyState::Retired, _) => Ok(None),
            (KeyState::Current | KeyState::Old, None) => Err(weak("it has no material")),
            (KeyState::Current | KeyState::Old, Some(material)) => material.decode().map(Some).map_err(weak),
        }
    }
}

/// The file's content.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RingFile {
    format: u32,
    pub(crate) keys: Vec<KeyEntry>,
}

impl RingFile {
    /// Reads and checks the form; whether the keys are any good is asked of [`crate::KeyRing`].
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let metadata = fs::metadata(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Error::Missing { path: path.into() },
            _ => io("find", path, error),
        })?;
        let mode = metadata.permissions().mode() & 0o7777;
        if mode & 0o077 != 0 {
            return Err(Error::Readable { path: path.into(), mode });
        }
        let not_a_ring = |why: String| Error::NotARing { path: path.into(), why };
        if metadata.len() > FILE_BYTES_MAX {
            return Err(not_a_ring("it is larger than 1 MiB".to_owned()));
        }
        let bytes = fs::read(path).map(Zeroizing::new).map_err(|error| io("read", path, error))?;
        // serde's own message may quote the file, and the file holds keys: only the position is passed on.
        let ring: Self = serde_json::from_slice(&bytes)
            .map_err(|error| not_a_ring(format!("line {}, column {}", error.line(), error.column())))?;
        if ring.format != FORMAT {
            return Err(not_a_ring(format!("format {} is not known here, {FORMAT} is", ring.format)));
        }
        Ok(ring)
    }

    fn add(&mut self, purpose: Purpose, now: Millis) -> Result<KeyId, Error> {
        let mut entry = KeyEntry::new(purpose, now)?;
        while self.keys.iter().any(|key| key.id == entry.id) {
            entry = KeyEntry::new(purpose, now)?;
        }
        let id = entry.id.clone();
        self.keys.push(entry);
        Ok(id)
    }

    fn bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(self.keys.len() * 256 + 64));
        serde_json::to_writer_pretty(&mut *bytes, self).expect("texts and numbers always become JSON");
        bytes.push(b'\n');
        bytes
    }
}

/// Creates a key ring with one current key for each purpose, readable by its owner only.
///
/// # Errors
/// When the file exists: it is never overwritten. When it cannot be written.
pub fn generate(path: &Path, now: Millis) -> Result<Vec<KeyInfo>, Error> {
    let mut ring = RingFile {
        format: FORMAT,
        keys: Vec::new(),
    };
    for purpose in Purpose::ALL {
        ring.add(purpose, now)?;
    }
    let lock = lock(path)?;
    write_new(path, &ring.bytes()).map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => Error::Exists { path: path.into() },
        _ => io("create", path, error),
    })?;
    lock.sync_all().map_err(|error| io("store", path, error))?;
    Ok(ring.keys.iter().map(KeyEntry::info).collect())
}

/// Adds a new current key for the purpose; the one before stays for opening and finding.
///
/// # Errors
/// When the file is no key ring, or cannot be replaced.
pub fn rotate(path: &Path, purpose: Purpose, now: Millis) -> Result<KeyId, Error> {
    let lock = lock(path)?;
    let mut ring = RingFile::read(path)?;
    for key in ring
        .keys
        .iter_mut()
        .filter(|key| key.purpose == purpose && key.state == KeyState::Current)
    {
        key.state = KeyState::Old;
    }
    let id = ring.add(purpose, now)?;
    replace(path, &lock, &ring)?;
    Ok(id)
}

/// Destroys the material of an old key. `references` is how many open requests still need it, as the ledger says.
///
/// Retiring a retired key changes nothing.
///
/// # Errors
/// When the key is unknown, current, or still needed.
pub fn retire(path: &Path, id: &KeyId, references: u64) -> Result<(), Error> {
    let lock = lock(path)?;
    let mut ring = RingFile::read(path)?;
    let key = ring
        .keys
        .iter_mut()
        .find(|key| key.id == *id)
        .ok_or_else(|| Error::UnknownKey { key: id.clone() })?;
    match key.state {
        KeyState::Retired => return Ok(()),
        KeyState::Current => {
            return Err(Error::IsCurrent {
                key: id.clone(),
                purpose: key.purpose,
            });
        }
        KeyState::Old if references > 0 => {
            return Err(Error::Referenced {
                key: id.clone(),
                references,
            });
        }
        KeyState::Old => {}
    }
    key.state = KeyState::Retired;
    key.material = None;
    replace(path, &lock, &ring)
}

/// One at a time: the folder of the file is locked while it is read and replaced.
fn lock(path: &Path) -> Result<File, Error> {
    let folder = path
        .parent()
        .filter(|it| !it.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    let folder = File::open(folder).map_err(|error| io("open the folder of", path, error))?;
    folder.lock().map_err(|error| io("lock the folder of", path, error))?;
    Ok(folder)
}

fn replace(path: &Path, folder: &File, ring: &RingFile) -> Result<(), Error> {
    let new = sibling(path, "new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(io("clean up beside", path, error)),
        _ => {}
    }
    write_new(&new, &ring.bytes()).map_err(|error| io("write", path, error))?;
    fs::rename(&new, path).map_err(|error| io("replace", path, error))?;
    folder.sync_all().map_err(|error| io("store", path, error))
}

fn write_new(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn sibling(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}

fn io(doing: &'static str, path: &Path, source: std::io::Error) -> Error {
    Error::Io {
        doing,
        path: path.into(),
        source,
    }
}
