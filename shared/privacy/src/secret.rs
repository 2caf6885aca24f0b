//! Key material that wipes itself and shows nothing.

use crate::Error;
use aws_lc_rs::rand;
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use serde::{Deserialize, Serialize};
use std::fmt;
use zeroize::{Zeroize, Zeroizing};

pub(crate) const KEY_BYTES: usize = 32;

/// 32 secret bytes. Wiped on drop; `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret([u8; KEY_BYTES]);

impl Secret {
    pub(crate) fn random() -> Result<Self, Error> {
        let mut secret = Self([0; KEY_BYTES]);
        rand::fill(&mut secret.0).map_err(|_| Error::NoRandomness)?;
        Ok(secret)
    }

    /// The secret of these bytes; `None` when they are too few or too many.
    pub(crate) fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    pub(crate) fn expose(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    /// What speaks against using it.
    pub(crate) fn weakness(&self) -> Option<&'static str> {
        self.0
            .iter()
            .all(|byte| *byte == self.0[0])
            .then_some("all its bytes are equal")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

/// Key material as it stands in the file: base64 whose length nobody has checked yet.
#[derive(Clone)]
pub(crate) struct Encoded(Zeroizing<String>);

impl Encoded {
    pub(crate) fn of(secret: &Secret) -> Self {
        Self(Zeroizing::new(STANDARD_NO_PAD.encode(secret.expose())))
    }

    /// The secret it holds, or what is wrong with it.
    pub(crate) fn decode(&self) -> Result<Secret, &'static str> {
        let bytes = STANDARD_NO_PAD
            .decode(self.0.trim_end_matches('='))
            .map(Zeroizing::new)
            .map_err(|_| "its material is not base64")?;
        let secret = Secret::from_slice(&bytes).ok_or("its material is not 32 bytes long")?;
        secret.weakness().map_or(Ok(secret), Err)
    }
}

impl fmt::Debug for Encoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl Serialize for Encoded {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Encoded {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(Zeroizing::new(String::deserialize(deserializer)?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing_of_a_secret() {
        let secret = Secret([0x41; KEY_BYTES]);
        let encoded = Encoded::of(&secret);
        assert_eq!(format!("{secret:?} {encoded:?}"), "[secret] [secret]");
    }

    #[test]
    fn weak_material_is_told_from_good() {
        assert!(Encoded::of(&Secret([7; KEY_BYTES])).decode().is_err());
        assert!(Encoded(Zeroizing::new("AAAA".to_owned())).decode().is_err());
        assert!(Encoded(Zeroizing::new("not base64!".to_owned())).decode().is_err());
        let good = Secret::random().unwrap();
        assert_eq!(Encoded::of(&good).decode(), Ok(good));
    }
}
