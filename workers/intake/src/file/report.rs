//! What became of the lines.

use serde::Serialize;

/// How many bad lines are listed; the others are counted.
pub(super) const LISTED_MAX: usize = 1000;

/// What is wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum LineCode {
    /// Longer than [`super::LINE_BYTES_MAX`].
    #[serde(rename = "FILE-001")]
    TooLong,
    /// Not UTF-8.
    #[serde(rename = "FILE-002")]
    NotUtf8,
    /// Fewer fields than columns.
    #[serde(rename = "FILE-003")]
    TooFewFields,
    /// More fields than columns.
    #[serde(rename = "FILE-004")]
    TooManyFields,
    /// A quote that is not closed in its line, or in the middle of a field.
    #[serde(rename = "FILE-005")]
    BadQuote,
    /// Not a JSON object.
    #[serde(rename = "FILE-006")]
    NotJson,
    /// A field that is no kind of identifier.
    #[serde(rename = "FILE-007")]
    UnknownField,
    /// An identifier that is needed is empty or missing.
    #[serde(rename = "FILE-008")]
    Incomplete,
    /// An identifier that is too long, has a NUL, or is neither text nor whole number.
    #[serde(rename = "FILE-009")]
    BadIdentifier,
    /// `preserveEmptyAccount` is neither true nor false.
    #[serde(rename = "FILE-010")]
    BadOption,
    /// `preserveEmptyAccount` is another than in the lines before: a request has one answer for all its subjects.
    #[serde(rename = "FILE-011")]
    OptionDiffers,
    /// The same identifiers stood in a line before.
    #[serde(rename = "FILE-012")]
    Duplicate,
    /// A field that is given twice in one object.
    #[serde(rename = "FILE-013")]
    GivenTwice,
}

impl LineCode {
    /// The stable code.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.texts().0
    }

    /// What it means and what to do.
    #[must_use]
    pub fn meaning(self) -> &'static str {
        self.texts().1
    }

    fn texts(self) -> (&'static str, &'static str) {
        match self {
            Self::TooLong => ("FILE-001", "the line is longer than 64 KiB: is it one line?"),
            Self::NotUtf8 => ("FILE-002", "the line is not UTF-8: save the file as UTF-8"),
            Self::TooFewFields => ("FILE-003", "the line has fewer fields than the header"),
            Self::TooManyFields => (
                "FILE-004",
                "the line has more fields than the header: quote fields that contain commas",
            ),
            Self::BadQuote => ("FILE-005", "a quote is not closed in this line, or stands inside a field"),
            Self::NotJson => ("FILE-006", "the line is not one JSON object"),
            Self::UnknownField => ("FILE-007", "the field is no kind of identifier that the data map declares"),
            Self::Incomplete => (
                "FILE-008",
                "the identifiers do not form a complete way to find a person: one is empty or missing",
            ),
            Self::BadIdentifier => (
                "FILE-009",
                "the identifier is too long, contains a NUL, or is neither a text nor a whole number",
            ),
            Self::BadOption => ("FILE-010", "preserveEmptyAccount must be true or false"),
            Self::OptionDiffers => (
                "FILE-011",
                "preserveEmptyAccount differs from the lines before: put these lines into a file of their own",
            ),
            Self::Duplicate => ("FILE-012", "the same identifiers stood in a line before; they are sent once"),
            Self::GivenTwice => ("FILE-013", "the field is given twice in this line: give it once"),
        }
    }
}

/// One line that was not sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BadLine {
    /// Its number, from 1.
    pub line: u64,
    /// What is wrong.
    pub code: LineCode,
    /// In which column; empty when it is the line as a whole.
    pub field: String,
}

/// What became of all lines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Lines that were handed on.
    pub good: u64,
    /// Lines that were not, all told.
    pub bad_count: u64,
    /// The first thousand of them.
    pub bad: Vec<BadLine>,
}

impl Report {
    pub(super) fn add(&mut self, line: u64, code: LineCode, field: impl Into<String>) {
        self.bad_count += 1;
        if self.bad.len() < LISTED_MAX {
            self.bad.push(BadLine {
                line,
                code,
                field: field.into(),
            });
        }
    }
}
