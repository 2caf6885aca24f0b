//! What a producer sends: version 1 of the command, read by hand so that every refusal names the field and never a value.

mod json;
mod problem;
mod read;
mod sealed;

pub(crate) use json::Json;
pub use problem::{CommandCode, CommandError, Problem};
pub(crate) use problem::{Problems, shown_name};
pub(crate) use read::read_command;
pub use sealed::{SEALED_CONTENT_TYPE, SEALED_VERSION, SealedBody, SealedEnvelope};

use crate::{IdentifierKind, Millis, Operation, Options, Record, RequestId, SLICE_SUBJECTS_MAX};
use serde::{Serialize, Serializer};
use std::collections::BTreeSet;

/// The version of commands and events that this release writes.
///
/// The rule of all messages: a reader accepts its own version and the one before it (there is none before 1), refuses older
/// ones, and stops at newer ones, which a later release will read. See [`version_is_read`].
pub const COMMAND_VERSION: u32 = 1;

/// The largest body of a command, in bytes.
pub const COMMAND_BYTES_MAX: usize = 1024 * 1024;

/// How many subjects a command has at most. A part of a file has at most [`SLICE_SUBJECTS_MAX`].
pub const COMMAND_SUBJECTS_MAX: usize = 1000;

/// The highest number of a part: subject numbers stay below 2^32.
pub const PART_NUMBER_MAX: u32 = (1 << 23) - 1;

/// The longest account number or name of a tenant, in bytes.
pub const TENANT_BYTES_MAX: usize = 256;

/// What a version means to a reader of `current`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionRead {
    /// This one is read.
    Read,
    /// From a release too long ago, or no version at all: refused.
    Older,
    /// From a later release: kept until one that reads it is there.
    Newer,
}

/// The one rule of compatibility: this version and the one before are read.
#[must_use]
pub fn version_is_read(current: u32, found: u32) -> VersionRead {
    match found {
        0 => VersionRead::Older,
        _ if found > current => VersionRead::Newer,
        _ if found + 1 >= current => VersionRead::Read,
        _ => VersionRead::Older,
    }
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, serde::Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $word)] $variant,)*
        }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The word on the wire.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// Reads the word; `None` when it is none of ours.
            #[must_use]
            pub fn parse(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|it| it.as_str() == word)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}
pub(crate) use words;

words!(
    /// The law or the contract that sets the due date.
    Regulation {
        /// One calendar month, two more by notice.
        Gdpr = "gdpr",
        /// 45 days, 45 more by notice.
        Ccpa = "ccpa",
        /// 30 days.
        ThirtyDays = "thirty_days",
    }
);

words!(
    /// Who asked.
    Origin {
        /// The person.
        DataSubject = "data_subject",
        /// The tenant's contact for privacy.
        PrivacyContact = "privacy_contact",
        /// Who manages the workplace or the property.
        WorkplaceManager = "workplace_manager",
        /// Support, for the tenant.
        Support = "support",
        /// A producer that decided on inactivity.
        Inactivity = "inactivity",
        /// A service.
        Producer = "producer",
    }
);

/// The place of a command in a request that arrives in parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct CommandPart {
    /// From 0, without gaps.
    pub number: u32,
    /// Whether it is the last one.
    pub last: bool,
}

/// A command, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// Unique within the tenant; the same id with the same content is the same request.
    pub request_id: RequestId,
    /// The tenant's account number or its exact account name.
    pub tenant: String,
    /// What is asked.
    pub operation: Operation,
    /// Whom it is about, by identifiers. 1 to [`COMMAND_SUBJECTS_MAX`].
    pub subjects: Vec<Record>,
    /// When the person asked, if the producer says so.
    pub received_at: Option<Millis>,
    /// Which clock runs, if the producer says so.
    pub regulation: Option<Regulation>,
    /// Who asked, if the producer says so.
    pub origin: Option<Origin>,
    /// The ticket it belongs to.
    pub ticket: Option<String>,
    /// What is asked beyond the operation.
    pub options: Options,
    /// Its place, when the request arrives in parts.
    pub part: Option<CommandPart>,
}

impl Command {
    /// Reads plain JSON.
    ///
    /// # Errors
    /// With everything that is wrong, by field.
    pub fn parse(body: &[u8]) -> Result<Self, CommandError> {
        let json = Json::parse(body)?;
        read_command(&json, None)
    }

    /// Reads plain JSON that may lack a request id, which is then `given`.
    ///
    /// # Errors
    /// With everything that is wrong, by field.
    pub fn parse_or(body: &[u8], given: RequestId) -> Result<Self, CommandError> {
        let json = Json::parse(body)?;
        read_command(&json, Some(given))
    }

    /// The JSON that [`Self::parse`] reads. Holds the identifiers: seal it, or know where it goes.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts and numbers always become JSON")
    }

    /// Whether the kinds are declared by the data map and each subject has a complete way to be found.
    ///
    /// # Errors
    /// With every subject that has an unknown kind, or none of the alternatives.
    pub fn check_kinds(&self, kinds: &[IdentifierKind], alternatives: &[Vec<IdentifierKind>]) -> Result<(), CommandError> {
        let known: BTreeSet<_> = kinds.iter().collect();
        let mut problems = Problems::default();
        for (at, subject) in self.subjects.iter().enumerate() {
            let unknown: Vec<_> = subject.keys().filter(|kind| !known.contains(kind)).collect();
            for kind in &unknown {
                problems.add(CommandCode::UnknownKind, format!("subjects[{at}].{}", kind.shown()));
            }
            let complete = alternatives
                .iter()
                .any(|kinds| kinds.iter().all(|kind| subject.contains_key(kind)));
            if unknown.is_empty() && !complete {
                problems.add(CommandCode::NoAlternative, format!("subjects[{at}]"));
            }
        }
        problems.end()
    }

    /// How many subjects may stand in a command, depending on whether it is a part.
    #[must_use]
    pub fn subjects_max(part: Option<CommandPart>) -> usize {
        part.map_or(COMMAND_SUBJECTS_MAX, |_| SLICE_SUBJECTS_MAX)
    }
}

impl Serialize for Command {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self {
            request_id,
            tenant,
            operation,
            subjects,
            received_at,
            regulation,
            origin,
            ticket,
            options,
            part,
        } = self;
        Wire {
            version: COMMAND_VERSION,
            request_id,
            tenant,
            operation: *operation,
            subjects,
            received_at: received_at.map(Millis::to_rfc3339),
            regulation: *regulation,
            origin: *origin,
            ticket: ticket.as_deref(),
            preserve_empty_account: options.preserve_empty_account,
            part: *part,
        }
        .serialize(serializer)
    }
}

/// The fields in the order in which they are written.
#[derive(Serialize)]
struct Wire<'a> {
    version: u32,
    request_id: &'a RequestId,
    tenant: &'a str,
    operation: Operation,
    subjects: &'a [Record],
    #[serde(skip_serializing_if = "Option::is_none")]
    received_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    regulation: Option<Regulation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<Origin>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ticket: Option<&'a str>,
    #[serde(rename = "preserveEmptyAccount", skip_serializing_if = "std::ops::Not::not")]
    preserve_empty_account: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    part: Option<CommandPart>,
}

#[cfg(test)]
mod tests;
