//! What can be wrong with a command, by field and code. Never a value out of it.

use crate::codes::codes;
use serde::Serialize;
use std::fmt;

/// How many problems are listed; the others are counted.
const LISTED_MAX: usize = 20;

codes! {
    /// The stable codes of everything that can be wrong with a command.
    CommandCode {
        TooLarge = "COMMAND-001", "the body is larger than 1 MiB", "Send fewer subjects in one command, or import them as a file.";
        NotUtf8 = "COMMAND-002", "the body is not UTF-8", "Encode the body as UTF-8.";
        NotJson = "COMMAND-003", "the body is not JSON", "Send one JSON object; the field names the place where it ends to be JSON.";
        WrongType = "COMMAND-004", "the field has the wrong type", "Compare the field with the command's JSON Schema.";
        Missing = "COMMAND-005", "the field is missing", "Add the field.";
        UnknownField = "COMMAND-006", "the field is not known", "Correct its name, or leave it out.";
        GivenTwice = "COMMAND-007", "the field is given twice", "Give it once.";
        VersionOld = "COMMAND-008", "the version is no longer read", "Send version 1.";
        VersionNewer = "COMMAND-009", "the version is newer than this release reads", "Upgrade the fleet before the producers.";
        NoSubjects = "COMMAND-010", "there are no subjects", "Name at least one subject.";
        TooManySubjects = "COMMAND-011", "there are too many subjects", "Send at most 1,000 in one command and 512 in a part, or import them as a file.";
        NoIdentifiers = "COMMAND-012", "the subject has no identifiers", "Give at least one identifier.";
        IdentifierEmpty = "COMMAND-013", "the identifier is empty", "Give its value, or leave the field out.";
        IdentifierTooLong = "COMMAND-014", "the identifier is longer than 1,024 bytes", "Check that the right column was sent.";
        IdentifierNotText = "COMMAND-015", "the identifier is neither a text nor a whole number", "Send it as a text.";
        IdentifierNul = "COMMAND-016", "the identifier contains a NUL character", "Send it without.";
        UnknownKind = "COMMAND-017", "the kind of identifier is not known", "Use a kind that the data map declares; `erasure map check` lists them.";
        NoAlternative = "COMMAND-018", "the identifiers do not form a complete way to find a person", "Add what is missing, for example business_unit beside email; `erasure map check` lists the ways.";
        BadId = "COMMAND-019", "this is not an id", "Use 1 to 128 characters of A-Z a-z 0-9 . _ : - and nothing of a person.";
        BadTenant = "COMMAND-020", "this can be neither an account number nor an account name", "Use 1 to 256 bytes without control characters.";
        UnknownWord = "COMMAND-021", "the word is not known", "Use one of the words in the command's JSON Schema.";
        BadTime = "COMMAND-022", "this is not a time", "Write RFC 3339, for example 2026-11-22T03:00:00Z.";
        BadPart = "COMMAND-023", "the number of the part is out of range", "Number parts from 0 without gaps.";
        NotOurEvent = "COMMAND-024", "the CloudEvent is not of type erasure.request", "Publish only commands to this exchange.";
        EventVersion = "COMMAND-025", "the version of CloudEvents is not 1.0", "Send CloudEvents 1.0.";
        ContentType = "COMMAND-026", "the content type is not one that is read", "Send application/json, application/cloudevents+json, or CloudEvents in binary mode with JSON data.";
        NotBase64 = "COMMAND-027", "data_base64 is not base64", "Send the command as data.";
        UnknownTenant = "COMMAND-030", "the tenant is not declared, or its name is not unique", "Declare it as [tenant.…] in the configuration, restart intake, then redrive.";
        NotPermitted = "COMMAND-031", "this producer may not ask this for this tenant", "Declare it as [producer.…], let it publish with user-id, restart intake, then redrive.";
        Conflict = "COMMAND-032", "the request id was taken before with other content", "Send it again under a new id if it is another request; then discard this one.";
        SealBroken = "COMMAND-033", "the sealed command cannot be opened", "Send it again, sealed with a key of this fleet's key ring; then discard this one.";
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// What.
    pub code: CommandCode,
    /// Where: a path such as `subjects[3].email`; empty for the body as a whole.
    pub field: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        write!(f, "{} ({}). {}", self.code.meaning(), self.code, self.code.advice())
    }
}

/// Why a command is refused: never empty, at most 20 listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{}", self.sentence())]
pub struct CommandError {
    /// The first problems, in the order of the fields.
    pub problems: Vec<Problem>,
    /// How many there are beyond those.
    pub more: usize,
}

impl CommandError {
    pub(crate) fn one(code: CommandCode, field: impl Into<String>) -> Self {
        Self {
            problems: vec![Problem {
                code,
                field: field.into(),
            }],
            more: 0,
        }
    }

    /// The first code: what the refusal is filed under.
    #[must_use]
    pub fn code(&self) -> CommandCode {
        self.problems.first().map_or(CommandCode::NotJson, |problem| problem.code)
    }

    /// Whether a later release would read it: not a refusal, but a reason to pause.
    #[must_use]
    pub fn is_newer(&self) -> bool {
        self.problems.iter().any(|problem| problem.code == CommandCode::VersionNewer)
    }

    fn sentence(&self) -> String {
        let listed: Vec<_> = self.problems.iter().map(ToString::to_string).collect();
        let more = if self.more > 0 {
            format!(" And {} more.", self.more)
        } else {
            String::new()
        };
        format!("{}{more}", listed.join(" "))
    }
}

/// Problems while they are being found.
#[derive(Default)]
pub(crate) struct Problems(Vec<Problem>, usize);

impl Problems {
    pub(crate) fn add(&mut self, code: CommandCode, field: impl Into<String>) {
        if self.0.len() < LISTED_MAX {
            self.0.push(Problem {
                code,
                field: field.into(),
            });
        } else {
            self.1 += 1;
        }
    }

    pub(crate) fn end(self) -> Result<(), CommandError> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(CommandError {
                problems: self.0,
                more: self.1,
            })
        }
    }
}

/// The name of a field as the producer wrote it, unless it could be data: only letters, `_` and `-`, since the names that we
/// know have no digit, and numbers of accounts, telephones and people have.
pub(crate) fn shown_name(name: &str) -> &str {
    let first = name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    let rest = name.bytes().all(|b| b.is_ascii_alphabetic() || matches!(b, b'_' | b'-'));
    if first && rest && name.len() <= 41 {
        name
    } else {
        "(name withheld)"
    }
}
