//! What can go wrong with the ledger itself. That a request is in conflict, stale or already final is an answer, not an error.

use std::path::PathBuf;

/// Why the ledger could not do what it was asked. Holds nothing of a person.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database cannot be reached, or the connection was lost. Nothing is known of a write under way: repeat it.
    #[error("the ledger cannot be reached while {doing}: {reason}")]
    Unreachable {
        /// What we were doing.
        doing: &'static str,
        /// What the driver says.
        reason: String,
    },
    /// The database is locked, full of connections, or cut a deadlock. Repeat.
    #[error("the ledger is busy while {doing}: {reason}")]
    Busy {
        /// What we were doing.
        doing: &'static str,
        /// What the driver says.
        reason: String,
    },
    /// The database refuses a statement.
    #[error("the ledger refuses a statement while {doing}: {reason}")]
    Statement {
        /// What we were doing.
        doing: &'static str,
        /// What the database says.
        reason: String,
    },
    /// Another process holds the write lock of a SQLite ledger.
    #[error(
        "another process is writing the ledger {}: stop it, or run intake, reconciler and api in one process (`erasure run all`), \
         or move the ledger to PostgreSQL", path.display()
    )]
    Locked {
        /// The ledger's file.
        path: PathBuf,
    },
    /// There is no ledger, or none of ours, where the configuration says.
    #[error("there is no ledger schema at {place}: run `erasure ledger migrate`")]
    SchemaMissing {
        /// Where, without login.
        place: String,
    },
    /// The schema is older than this version needs.
    #[error("the ledger has schema version {found}, this version needs {needed}: run `erasure ledger migrate`")]
    SchemaTooOld {
        /// What is there.
        found: u32,
        /// What is needed.
        needed: u32,
    },
    /// The schema is more than one version newer than this version knows.
    #[error("the ledger has schema version {found}, this version knows at most {newest}: run a newer release")]
    SchemaTooNew {
        /// What is there.
        found: u32,
        /// The newest that is accepted.
        newest: u32,
    },
    /// The configuration is wrong.
    #[error("the ledger's configuration is wrong: {0}")]
    Config(String),
    /// A file beside the ledger cannot be used.
    #[error("cannot {doing} {}: {source}", path.display())]
    File {
        /// What we were doing.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A stored value is not what we write: damage, or a foreign hand.
    #[error("the ledger holds a value that cannot be read: {0}")]
    Damaged(&'static str),
    /// The caller asked for something that must never be written: a defect.
    #[error("the ledger will not write this: {0}")]
    Refused(&'static str),
    /// The ledger was opened for reading.
    #[error("the ledger was opened for reading only")]
    ReadOnly,
}

impl Error {
    /// Whether repeating the same call later may work without anybody acting.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Busy { .. } => true,
            Self::Statement { .. }
            | Self::Locked { .. }
            | Self::SchemaMissing { .. }
            | Self::SchemaTooOld { .. }
            | Self::SchemaTooNew { .. }
            | Self::Config(_)
            | Self::File { .. }
            | Self::Damaged(_)
            | Self::Refused(_)
            | Self::ReadOnly => false,
        }
    }
}
