//! Digests: plain ones of things that are not personal (what evidence is bound to), and keyed ones for pseudonyms.

use aws_lc_rs::{digest, hmac};

/// SHA-256 over the parts, cut to 16 bytes.
///
/// Each part is preceded by its length (8 bytes, big endian), so that no two lists of parts run together to the same bytes.
/// Not for anything that a person could guess: those are keyed hashes.
#[must_use]
pub fn digest16(parts: &[&[u8]]) -> [u8; 16] {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut short = [0; 16];
    short.copy_from_slice(&context.finish().as_ref()[..16]);
    short
}

/// SHA-256 of the bytes as 64 hexadecimal digits: the form in which a vendor asks for an identifier that it keeps hashed itself.
///
/// Guessable like what went in, so it is personal data like what went in: it goes into a request to that vendor and nowhere else.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    let digest = digest::digest(&digest::SHA256, bytes);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// HMAC-SHA256 over the parts, each preceded by its length as in [`digest16`], cut to 16 bytes: a pseudonym's body.
#[must_use]
pub fn keyed16(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 16] {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, key));
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    let mut short = [0; 16];
    short.copy_from_slice(&context.sign().as_ref()[..16]);
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_together() {
        assert_ne!(digest16(&[b"ab", b"c"]), digest16(&[b"a", b"bc"]));
        assert_ne!(digest16(&[b"ab"]), digest16(&[b"ab", b""]));
        assert_eq!(digest16(&[b"ab", b"c"]), digest16(&[b"ab", b"c"]));
    }

    /// The example of FIPS 180-2, appendix B.1.
    #[test]
    fn a_hash_in_hexadecimal_is_the_standards() {
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256_hex(b"abc"), known);
    }

    #[test]
    fn a_pseudonym_depends_on_key_and_value() {
        let of = |key: u8, value: &[u8]| keyed16(&[key; 32], &[b"acme", value]);
        assert_eq!(of(1, b"a@example.org"), of(1, b"a@example.org"));
        assert_ne!(of(1, b"a@example.org"), of(2, b"a@example.org"));
        assert_ne!(of(1, b"a@example.org"), of(1, b"b@example.org"));
    }
}
