//! A message as it was received, to be put aside sealed, and perhaps sent again.

use erasure_broker::Delivery;
use erasure_privacy::{Error, KeyRing, digest16};
use erasure_protocol::Sealed;
use serde::{Deserialize, Serialize};

/// The content type of a sealed [`Letter`]. Only who holds the key ring can have made one.
pub const SEALED_LETTER: &str = "application/vnd.erasure.letter";

/// Everything of a received message that reading it needs. May hold personal data, so it is stored and sent sealed only.
#[derive(Clone, Serialize, Deserialize)]
pub struct Letter {
    /// Its media type.
    pub content_type: Option<String>,
    /// The application's headers.
    pub headers: Vec<(String, String)>,
    /// Who published it, as the broker had checked.
    pub user_id: Option<String>,
    body: Sealed,
}

/// The id under which a message is put aside: the same for the same message, however often it is delivered.
#[must_use]
pub fn parked_id(message_id: Option<&str>, body: &[u8]) -> String {
    let digest = digest16(&[message_id.unwrap_or_default().as_bytes(), body]);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl std::fmt::Debug for Letter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Letter({} bytes)", self.body.0.len())
    }
}

impl Letter {
    /// The letter that a delivery is, or carries sealed.
    ///
    /// # Errors
    /// When it carries a sealed one that cannot be opened.
    pub fn of(delivery: &Delivery, keys: &KeyRing) -> Result<Self, Error> {
        let meta = &delivery.meta;
        if meta.content_type.as_deref() == Some(SEALED_LETTER) {
            return Self::open(&delivery.body, keys);
        }
        Ok(Self {
            content_type: meta.content_type.clone(),
            headers: meta.headers.clone(),
            user_id: meta.user_id.clone(),
            body: Sealed(delivery.body.clone()),
        })
    }

    /// The body as it was received.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body.0
    }

    /// Seals it under the park key.
    ///
    /// # Errors
    /// When sealing fails.
    pub fn seal(&self, keys: &KeyRing) -> Result<Vec<u8>, Error> {
        keys.seal_parked(&serde_json::to_vec(self).expect("texts and bytes always become JSON"))
    }

    fn open(sealed: &[u8], keys: &KeyRing) -> Result<Self, Error> {
        let plain = keys.open_parked(sealed)?;
        serde_json::from_slice(&plain).map_err(|_| Error::NotAnEnvelope)
    }
}
