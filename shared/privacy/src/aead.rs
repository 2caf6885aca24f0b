//! AES-256-GCM (NIST SP 800-38D) with a random nonce of 96 bits for each sealing.
//!
//! Sealed bytes are: one byte of format (1), 12 bytes of nonce, the ciphertext, 16 bytes of tag. A key seals far below the 2^32
//! messages that random nonces allow: data keys live for one request, seal and park keys for a period.

use crate::{Error, secret::Secret};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::rand;
use erasure_protocol::Sealed;

const FORMAT: u8 = 1;
const HEAD_BYTES: usize = 1 + NONCE_LEN;

/// Seals for the place that `aad` names.
pub(crate) fn seal(secret: &Secret, aad: &[u8], plaintext: &[u8]) -> Result<Sealed, Error> {
    let mut nonce = [0; NONCE_LEN];
    rand::fill(&mut nonce).map_err(|_| Error::NoRandomness)?;
    Ok(Sealed(seal_with_nonce(secret, nonce, aad, plaintext)))
}

/// Opens what was sealed for the place that `aad` names.
pub(crate) fn open(secret: &Secret, aad: &[u8], sealed: &Sealed) -> Result<Vec<u8>, Error> {
    let (head, body) = sealed.0.split_at_checked(HEAD_BYTES).ok_or(Error::NotOpened)?;
    if head[0] != FORMAT {
        return Err(Error::NotOpened);
    }
    let nonce = Nonce::try_assume_unique_for_key(&head[1..]).map_err(|_| Error::NotOpened)?;
    let mut bytes = body.to_vec();
    let length = key(secret)
        .open_in_place(nonce, Aad::from(aad), &mut bytes)
        .map_err(|_| Error::NotOpened)?
        .len();
    bytes.truncate(length);
    Ok(bytes)
}

fn seal_with_nonce(secret: &Secret, nonce: [u8; NONCE_LEN], aad: &[u8], plaintext: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEAD_BYTES + plaintext.len() + AES_256_GCM.tag_len());
    bytes.push(FORMAT);
    bytes.extend_from_slice(&nonce);
    bytes.extend_from_slice(plaintext);
    let tag = key(secret)
        .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(aad), &mut bytes[HEAD_BYTES..])
        .expect("AES-GCM seals anything below 64 GiB, and nothing here is near that");
    bytes.extend_from_slice(tag.as_ref());
    bytes
}

fn key(secret: &Secret) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&AES_256_GCM, secret.expose()).expect("the key has the 32 bytes that AES-256 takes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        (0..text.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap())
            .collect()
    }

    /// Test case 16 of "The Galois/Counter Mode of Operation (GCM)", McGrew and Viega.
    #[test]
    fn the_published_vector_comes_out() {
        let secret = Secret::from_slice(&hex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308")).unwrap();
        let nonce: [u8; 12] = hex("cafebabefacedbaddecaf888").try_into().unwrap();
        let aad = hex("feedfacedeadbeeffeedfacedeadbeefabaddad2");
        let plaintext = hex(
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
        );
        let expected = hex(
            "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b",
        );
        let sealed = seal_with_nonce(&secret, nonce, &aad, &plaintext);
        assert_eq!(&sealed[HEAD_BYTES..], expected);
        assert_eq!(open(&secret, &aad, &Sealed(sealed)).unwrap(), plaintext);
    }

    #[test]
    fn a_change_of_any_byte_keeps_it_shut() {
        let secret = Secret::random().unwrap();
        let sealed = seal(&secret, b"here", b"content").unwrap();
        assert_eq!(open(&secret, b"here", &sealed).unwrap(), b"content");
        for at in 0..sealed.0.len() {
            let mut changed = sealed.clone();
            changed.0[at] ^= 1;
            assert!(matches!(open(&secret, b"here", &changed), Err(Error::NotOpened)), "byte {at}");
        }
        for length in 0..sealed.0.len() {
            let cut = Sealed(sealed.0[..length].to_vec());
            assert!(
                matches!(open(&secret, b"here", &cut), Err(Error::NotOpened)),
                "{length} bytes"
            );
        }
    }

    #[test]
    fn another_place_or_another_key_keeps_it_shut() {
        let secret = Secret::random().unwrap();
        let sealed = seal(&secret, b"here", b"content").unwrap();
        assert!(open(&secret, b"there", &sealed).is_err());
        assert!(open(&Secret::random().unwrap(), b"here", &sealed).is_err());
    }

    #[test]
    fn the_same_content_never_seals_to_the_same_bytes() {
        let secret = Secret::random().unwrap();
        assert_ne!(seal(&secret, b"", b"x").unwrap(), seal(&secret, b"", b"x").unwrap());
    }
}
