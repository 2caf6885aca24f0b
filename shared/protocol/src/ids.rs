//! The ids that name things. None of them may hold personal data: the character sets refuse `@`, blanks and control characters.

use serde::{Deserialize, Serialize};
use std::fmt;
use uuid::Uuid;

/// Why a text cannot be an id. Says the rule, never the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} must be 1 to {length_max} characters of {allowed}")]
pub struct IdError {
    /// What was being named.
    pub what: &'static str,
    /// The characters that are allowed.
    pub allowed: &'static str,
    /// The longest that is allowed, in characters.
    pub length_max: usize,
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:literal, $allowed:literal, $pattern:literal, $ok:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
        #[cfg_attr(feature = "schema", schemars(extend("minLength" = 1, "maxLength" = $max, "pattern" = $pattern)))]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks the text against the rule of this id.
            ///
            /// # Errors
            /// When it is empty, too long, or holds a character that is not allowed.
            pub fn new(text: impl Into<String>) -> Result<Self, IdError> {
                let text = text.into();
                let fits = !text.is_empty() && text.len() <= $max && text.bytes().all($ok);
                if fits { Ok(Self(text)) } else { Err(IdError { what: $what, allowed: $allowed, length_max: $max }) }
            }

            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }
    };
}

fn id_byte(b: u8) -> bool {
    b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'-')
}

text_id!(
    /// The account number of a tenant, the company on whose behalf data is held.
    TenantId, "a tenant", 64, "A-Z a-z 0-9 . _ : -", "^[A-Za-z0-9._:-]+$", id_byte
);
text_id!(
    /// The request id as its producer chose it. Unique within its tenant; outside of that see [`RequestKey`].
    RequestId, "a request id", 128, "A-Z a-z 0-9 . _ : -", "^[A-Za-z0-9._:-]+$", id_byte
);
text_id!(
    /// The name of a subsystem, for example `profiles`. It is part of queue names.
    SubsystemName, "a subsystem", 40, "a-z 0-9 _ -", "^[a-z0-9_-]+$",
    |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-')
);

/// The name space of all deterministic ids of the fleet.
const NAMESPACE: Uuid = Uuid::from_u128(0x6e1c_9d8a_2f54_4a0b_9a4e_35f2_70c1_e7aa);

/// The fleet's own key of a request: the tenant and the request id in 16 bytes, the same wherever it is computed.
///
/// Two tenants may use the same request id; their keys differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct RequestKey(Uuid);

impl RequestKey {
    /// The key of this tenant's request (UUID version 5, RFC 9562).
    #[must_use]
    pub fn of(tenant: &TenantId, request: &RequestId) -> Self {
        Self(Uuid::new_v5(&NAMESPACE, format!("{tenant}\n{request}").as_bytes()))
    }

    /// The key from its stored bytes.
    #[must_use]
    pub fn from_uuid(uuid: Uuid) -> Self {
        Self(uuid)
    }

    /// The key as a UUID.
    #[must_use]
    pub fn as_uuid(&self) -> &Uuid {
        &self.0
    }

    /// An id for something that belongs to this request and must come out the same every time, in the shape of a
    /// lowercase UUID version 4, which is what `OpenDSR` asks of a `subject_request_id`.
    #[must_use]
    pub fn derive(&self, part: &str) -> Uuid {
        let mut bytes = *Uuid::new_v5(&self.0, part.as_bytes()).as_bytes();
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        Uuid::from_bytes(bytes)
    }
}

impl fmt::Display for RequestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

/// The id of one ledger. It is bound into the tracker and into every message; a role that meets another one refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct LedgerId(pub Uuid);

impl fmt::Display for LedgerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

/// What a bit of evidence is bound to: a hash of the stores' identity and timeline and of the data-map revision, 16 bytes,
/// written as 32 lowercase hexadecimal digits.
///
/// Who has another key than the plan has erased something else, somewhere else, or by other rules: its evidence does not count.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EvidenceKey(pub [u8; 16]);

impl fmt::Display for EvidenceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for EvidenceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for EvidenceKey {
    type Err = IdError;
    fn from_str(text: &str) -> Result<Self, IdError> {
        let wrong = IdError {
            what: "an evidence key",
            allowed: "0-9 a-f",
            length_max: 32,
        };
        if text.len() != 32 || !text.is_ascii() {
            return Err(wrong);
        }
        let mut bytes = [0u8; 16];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            let digits = std::str::from_utf8(pair).map_err(|_| wrong.clone())?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| wrong.clone())?;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for EvidenceKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EvidenceKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_email_address_is_no_id() {
        let refusal = TenantId::new("somebody@example.org").unwrap_err().to_string();
        assert!(!refusal.contains("somebody"), "{refusal}");
        assert!(RequestId::new("").is_err());
        assert!(SubsystemName::new("Profiles").is_err());
        assert!(RequestId::new("DSR-2026:0001").is_ok());
    }

    #[test]
    fn the_same_request_id_of_two_tenants_has_two_keys() {
        let id = RequestId::new("1").unwrap();
        let a = RequestKey::of(&TenantId::new("a").unwrap(), &id);
        let b = RequestKey::of(&TenantId::new("b").unwrap(), &id);
        assert_ne!(a, b);
        assert_eq!(a, RequestKey::of(&TenantId::new("a").unwrap(), &id));
    }

    #[test]
    fn derived_ids_are_version_4_and_stable() {
        let key = RequestKey::of(&TenantId::new("a").unwrap(), &RequestId::new("1").unwrap());
        let id = key.derive("vendor/7");
        assert_eq!(id, key.derive("vendor/7"));
        assert_eq!(id.get_version_num(), 4);
        assert_ne!(id, key.derive("vendor/8"));
    }

    #[test]
    fn an_evidence_key_reads_what_it_writes() {
        let key = EvidenceKey([0xab; 16]);
        assert_eq!(key.to_string().parse::<EvidenceKey>(), Ok(key));
        assert!("xyz".parse::<EvidenceKey>().is_err());
    }
}
