//! The random key of one request, and the places that its sealings are bound to.

use crate::{Error, aead, secret::Secret};
use erasure_protocol::{RequestKey, Sealed, SubsystemName, TenantId};

/// The key of one request. Exists unwrapped only in memory; wiped on drop.
#[derive(Clone, Debug)]
pub struct DataKey(pub(crate) Secret);

impl DataKey {
    /// Seals bytes for one place; only the same `aad` opens them again.
    ///
    /// # Errors
    /// When the operating system gives no random numbers.
    pub fn seal(&self, aad: &[u8], plaintext: &[u8]) -> Result<Sealed, Error> {
        aead::seal(&self.0, aad, plaintext)
    }

    /// Opens what was sealed for this place.
    ///
    /// # Errors
    /// [`Error::NotOpened`] when it was changed, or sealed with another key or for another place.
    pub fn open(&self, aad: &[u8], sealed: &Sealed) -> Result<Vec<u8>, Error> {
        aead::open(&self.0, aad, sealed)
    }
}

/// The place of one slice of subjects.
#[must_use]
pub fn slice_aad(tenant: &TenantId, request: &RequestKey, slice: u32) -> Vec<u8> {
    place(&[
        b"erasure/slice",
        tenant.as_str().as_bytes(),
        request.as_uuid().as_bytes(),
        &slice.to_be_bytes(),
    ])
}

/// The place of what one subsystem needs to ask after the work on one slice.
#[must_use]
pub fn references_aad(tenant: &TenantId, request: &RequestKey, slice: u32, subsystem: &SubsystemName) -> Vec<u8> {
    let (tenant, subsystem) = (tenant.as_str().as_bytes(), subsystem.as_str().as_bytes());
    place(&[
        b"erasure/references",
        tenant,
        request.as_uuid().as_bytes(),
        &slice.to_be_bytes(),
        subsystem,
    ])
}

/// The parts, each preceded by its length (8 bytes, big endian), so that no two places have the same bytes.
pub(crate) fn place(parts: &[&[u8]]) -> Vec<u8> {
    parts
        .iter()
        .flat_map(|part| (part.len() as u64).to_be_bytes().into_iter().chain(part.iter().copied()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use erasure_protocol::RequestId;

    #[test]
    fn a_slice_opens_only_in_its_own_place() {
        let (a, b) = (TenantId::new("a").unwrap(), TenantId::new("b").unwrap());
        let request = RequestKey::of(&a, &RequestId::new("1").unwrap());
        let other = RequestKey::of(&a, &RequestId::new("2").unwrap());
        let key = DataKey(Secret::random().unwrap());
        let sealed = key.seal(&slice_aad(&a, &request, 0), b"people").unwrap();
        assert_eq!(key.open(&slice_aad(&a, &request, 0), &sealed).unwrap(), b"people");
        let subsystem = SubsystemName::new("profiles").unwrap();
        for elsewhere in [
            slice_aad(&a, &request, 1),
            slice_aad(&b, &request, 0),
            slice_aad(&a, &other, 0),
            references_aad(&a, &request, 0, &subsystem),
        ] {
            assert!(matches!(key.open(&elsewhere, &sealed), Err(Error::NotOpened)));
        }
    }

    #[test]
    fn debug_shows_nothing_of_a_data_key() {
        assert_eq!(format!("{:?}", DataKey(Secret::random().unwrap())), "DataKey([secret])");
    }
}
