//! Files of subjects: CSV and NDJSON, read line by line in constant memory, and handed on as parts of one request.
//!
//! What is wrong with a line is reported by its number and never keeps a good line back. What is wrong with the header stops the
//! file before anything is sent.

mod csv_line;
mod line;
mod lines;
mod parts;
mod report;

pub use parts::Parts;
pub use report::{BadLine, LineCode, Report};

use erasure_protocol::IdentifierKind;
use std::path::Path;

/// The longest line, in bytes. A longer one is reported and skipped.
pub const LINE_BYTES_MAX: usize = 64 * 1024;

/// The column, and field, that keeps the account of its last participant.
pub const PRESERVE_COLUMN: &str = "preserveEmptyAccount";

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// RFC 4180 with commas and a header that names kinds of identifiers; no line breaks within fields.
    Csv,
    /// One JSON object in each line, kinds of identifiers as fields.
    Ndjson,
}

impl Format {
    /// The format that the file's name tells; `None` when it tells none.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "csv" => Some(Self::Csv),
            "ndjson" | "jsonl" => Some(Self::Ndjson),
            _ => None,
        }
    }
}

/// What may stand in a file: from the data map.
#[derive(Clone, Debug)]
pub struct Vocabulary {
    /// The kinds of identifiers.
    pub kinds: Vec<IdentifierKind>,
    /// The sets of kinds that can find a person.
    pub alternatives: Vec<Vec<IdentifierKind>>,
}

impl Vocabulary {
    fn completes(&self, has: impl Fn(&IdentifierKind) -> bool) -> bool {
        self.alternatives.iter().any(|kinds| kinds.iter().all(&has))
    }

    /// For example `user_id, or external_id, or email + business_unit`.
    fn ways(&self) -> String {
        let names = |kinds: &Vec<IdentifierKind>| kinds.iter().map(IdentifierKind::as_str).collect::<Vec<_>>().join(" + ");
        self.alternatives.iter().map(names).collect::<Vec<_>>().join(", or ")
    }
}

/// Why a file cannot be read at all.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file ends before its header does.
    #[error("the file is empty: its first line must name the columns, for example {ways}")]
    Empty {
        /// The ways to find a person.
        ways: String,
    },
    /// The header is not one of ours.
    #[error("the header is wrong ({why}): the columns must be {ways}, and may be {PRESERVE_COLUMN}")]
    Header {
        /// What is wrong, with names of columns only where they cannot be data.
        why: String,
        /// The ways to find a person.
        ways: String,
    },
    /// Reading failed.
    #[error("could not read the file after line {line}")]
    Io {
        /// The last line that was read.
        line: u64,
        /// Why.
        source: std::io::Error,
    },
}

#[cfg(test)]
mod tests;
