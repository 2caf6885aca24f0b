//! The person, known by identifiers. These types never show what they hold.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// The kind of an identifier, for example `user_id`, `external_id`, `email`, `business_unit`. The data map declares them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct IdentifierKind(String);

impl IdentifierKind {
    /// Checks the name: a lowercase letter, then up to 39 of `a-z 0-9 _`.
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        let first = name.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
        let rest = name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        (first && rest && name.len() <= 40).then(|| Self(name.to_owned()))
    }

    /// The kind's name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of a kind that nobody declared, for a message about it: withheld where it could be data, for somebody may have
    /// taken the value for the kind.
    #[must_use]
    pub fn shown(&self) -> &str {
        crate::command::shown_name(&self.0)
    }
}

impl fmt::Display for IdentifierKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The value of an identifier: personal data. `Debug` and `Display` print `[redacted]`; memory is wiped on drop.
///
/// Serialising writes the value, and is only ever done into something that is sealed next.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Identifier(String);

impl Identifier {
    /// The longest value, in bytes.
    pub const LENGTH_MAX: usize = 1024;

    /// A value that is not empty, not only blanks, not longer than [`Self::LENGTH_MAX`] and has no NUL; `None` otherwise.
    #[must_use]
    pub fn new(value: impl Into<String>) -> Option<Self> {
        let value = value.into();
        let fits = !value.trim().is_empty() && value.len() <= Self::LENGTH_MAX && !value.contains('\0');
        fits.then_some(Self(value))
    }

    /// The value, for binding to a statement, sending to a vendor or hashing. Named so that each use can be found.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl Drop for Identifier {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.0);
    }
}

/// Identifiers that belong together: one row's worth of one person.
pub type Record = BTreeMap<IdentifierKind, Identifier>;

/// What looking for the person before anything was erased has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// One person.
    Found,
    /// Nobody. The subject still goes to every subsystem.
    Nobody,
    /// Several people: nothing is done for this subject until somebody decides.
    Ambiguous,
}

/// One person of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// What the look before the first erasure found.
    pub resolution: Resolution,
    /// The identifiers as given, then one record for each row that was found for the person. Never empty.
    pub records: Vec<Record>,
}

impl Subject {
    /// A subject as the producer gave it, not looked for yet.
    #[must_use]
    pub fn given(record: Record) -> Self {
        Self {
            resolution: Resolution::Nobody,
            records: vec![record],
        }
    }

    /// The distinct tuples of values that the records hold for these kinds, in the order of `kinds`. A record that lacks one
    /// of the kinds contributes nothing.
    #[must_use]
    pub fn tuples(&self, kinds: &[&IdentifierKind]) -> Vec<Vec<&str>> {
        let mut tuples: Vec<Vec<&str>> = self
            .records
            .iter()
            .filter_map(|record| kinds.iter().map(|kind| record.get(*kind).map(Identifier::expose)).collect())
            .collect();
        tuples.sort_unstable();
        tuples.dedup();
        tuples
    }
}

/// A run of a request's subjects, at most [`crate::SLICE_SUBJECTS_MAX`]: what is sealed as one.
///
/// The position of a subject here is its position in every [`crate::Mask`] of the slice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slice {
    /// The subjects by position.
    pub subjects: Vec<Subject>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(name: &str) -> IdentifierKind {
        IdentifierKind::new(name).unwrap()
    }

    #[test]
    fn no_way_of_printing_shows_an_identifier() {
        let value = Identifier::new("planted@example.org").unwrap();
        let subject = Subject::given([(kind("email"), value.clone())].into());
        for shown in [
            format!("{value}"),
            format!("{value:?}"),
            format!("{subject:?}"),
            format!("{subject:#?}"),
        ] {
            assert!(!shown.contains("planted"), "{shown}");
        }
    }

    #[test]
    fn empty_and_oversized_identifiers_are_none() {
        assert!(Identifier::new("  ").is_none());
        assert!(Identifier::new("x".repeat(1025)).is_none());
        assert!(Identifier::new("a\0b").is_none());
        assert!(IdentifierKind::new("E-Mail").is_none());
    }

    #[test]
    fn a_kind_that_could_be_somebodys_number_is_not_shown() {
        let shown = |name: &str| kind(name).shown().to_owned();
        assert_eq!(shown("shoe_size"), "shoe_size");
        assert_eq!(shown("u_0000007"), "(name withheld)");
    }

    #[test]
    fn tuples_pair_only_what_one_record_holds() {
        let record =
            |pairs: &[(&str, &str)]| -> Record { pairs.iter().map(|(k, v)| (kind(k), Identifier::new(*v).unwrap())).collect() };
        let subject = Subject {
            resolution: Resolution::Found,
            records: vec![
                record(&[("email", "a@example.org"), ("business_unit", "eu")]),
                record(&[("email", "b@example.org")]),
                record(&[("email", "a@example.org"), ("business_unit", "eu"), ("user_id", "7")]),
            ],
        };
        let (email, unit) = (kind("email"), kind("business_unit"));
        assert_eq!(subject.tuples(&[&email, &unit]), [["a@example.org", "eu"]]);
        assert_eq!(subject.tuples(&[&kind("user_id")]), [["7"]]);
    }
}
