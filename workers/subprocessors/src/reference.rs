//! What we remember of a person's requests at the vendors between two looks.

use erasure_protocol::{Millis, Reference};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use uuid::Uuid;

/// What every vendor has said so far. Travels sealed; holds ids and times only, never an identifier.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Followed {
    /// By the vendor's name.
    #[serde(default)]
    pub(crate) vendors: BTreeMap<String, Seen>,
}

/// What one vendor has said so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seen {
    /// The `subject_request_id` in use.
    pub(crate) id: Uuid,
    /// How often it was submitted anew, after a cancellation.
    #[serde(default)]
    pub(crate) again: u32,
    /// When the vendor accepted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) accepted_at: Option<Millis>,
    /// By when it wants to be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) expected_by: Option<Millis>,
    /// When it said `completed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) confirmed_at: Option<Millis>,
    /// Since when there were only errors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) trouble_since: Option<Millis>,
    /// How many errors since then.
    #[serde(default)]
    pub(crate) errors: u32,
    /// With whom it was submitted together, in the vendor's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) batch: Option<Batch>,
}

/// What a vendor calls requests that were submitted together. It becomes part of an address, so it is made of `A-Z a-z 0-9 _ -`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Batch(String);

impl Batch {
    /// The longest that is kept, in characters.
    const LENGTH_MAX: usize = 100;

    /// `None` when it cannot be part of an address.
    pub(crate) fn read(text: String) -> Option<Self> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
        let fits = (1..=Self::LENGTH_MAX).contains(&text.len()) && text.bytes().all(allowed);
        fits.then_some(Self(text))
    }

    /// As it stands in an address.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Batch {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::read(text).ok_or("not part of an address")
    }
}

impl From<Batch> for String {
    fn from(batch: Batch) -> Self {
        batch.0
    }
}

impl Followed {
    /// Reads a reference. One that cannot be read is as none: submitting again under the same id does no harm.
    pub(crate) fn read(reference: Option<&Reference>) -> Self {
        reference.and_then(|it| serde_json::from_str(&it.0).ok()).unwrap_or_default()
    }

    /// The reference to hand back.
    pub(crate) fn write(&self) -> Reference {
        Reference(serde_json::to_string(self).expect("a map of texts, ids and numbers is always JSON"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_survives_the_round_trip_and_nonsense_is_none() {
        let seen = Seen {
            id: Uuid::from_u128(7),
            accepted_at: Some(Millis(5)),
            batch: Batch::read("b-1".to_owned()),
            ..Seen::default()
        };
        assert_eq!(Batch::read("../b".to_owned()), None);
        let followed = Followed {
            vendors: [("mailer".to_owned(), seen)].into(),
        };
        assert_eq!(Followed::read(Some(&followed.write())), followed);
        assert_eq!(Followed::read(Some(&Reference("nonsense".into()))), Followed::default());
        assert_eq!(Followed::read(None), Followed::default());
    }
}
