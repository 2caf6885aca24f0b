//! A set of the subjects of one slice.

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use serde::{Deserialize, Serialize};
use std::fmt;

/// How many subjects one slice holds at most.
pub const SLICE_SUBJECTS_MAX: usize = 512;

const BYTES_MAX: usize = SLICE_SUBJECTS_MAX / 8;

/// A set of positions 0..512 within one slice. Bit `i` is bit `7 - i % 8` of byte `i / 8`, the order of Redis' `SETBIT`.
///
/// On the wire: base64 without padding of the bytes, trailing zero bytes left out.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mask([u8; BYTES_MAX]);

impl Default for Mask {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl Mask {
    /// No position.
    pub const EMPTY: Self = Self([0; BYTES_MAX]);

    /// The positions 0 to `count` (exclusive); more than a slice holds counts as a full slice.
    #[must_use]
    pub fn first(count: usize) -> Self {
        let mut mask = Self::EMPTY;
        (0..count.min(SLICE_SUBJECTS_MAX)).for_each(|at| mask.set(at));
        mask
    }

    /// Adds a position. Positions beyond a slice are ignored: there is no such task.
    pub fn set(&mut self, at: usize) {
        if let Some(byte) = self.0.get_mut(at / 8) {
            *byte |= 0x80 >> (at % 8);
        }
    }

    /// Whether the position is in the set.
    #[must_use]
    pub fn has(&self, at: usize) -> bool {
        self.0.get(at / 8).is_some_and(|byte| byte & (0x80 >> (at % 8)) != 0)
    }

    /// How many positions are in the set.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.iter().map(|byte| byte.count_ones() as usize).sum()
    }

    /// Whether no position is in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|byte| *byte == 0)
    }

    /// The positions in either.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        self.zip(other, |a, b| a | b)
    }

    /// The positions in both.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        self.zip(other, |a, b| a & b)
    }

    /// The positions of this set that are not in the other.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        self.zip(other, |a, b| a & !b)
    }

    /// The positions in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        (0..SLICE_SUBJECTS_MAX).filter(|at| self.has(*at))
    }

    /// The bytes without trailing zero bytes: what Redis and the ledger store.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        let used = self.0.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        &self.0[..used]
    }

    /// Reads stored bytes; what is beyond a slice is dropped.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let mut mask = Self::EMPTY;
        mask.0.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        mask
    }

    fn zip(&self, other: &Self, with: impl Fn(u8, u8) -> u8) -> Self {
        let mut mask = *self;
        mask.0.iter_mut().zip(other.0).for_each(|(a, b)| *a = with(*a, b));
        mask
    }
}

impl FromIterator<usize> for Mask {
    fn from_iter<I: IntoIterator<Item = usize>>(positions: I) -> Self {
        let mut mask = Self::EMPTY;
        positions.into_iter().for_each(|at| mask.set(at));
        mask
    }
}

impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mask({} of a slice)", self.count())
    }
}

impl Serialize for Mask {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD_NO_PAD.encode(self.as_bytes()))
    }
}

impl<'de> Deserialize<'de> for Mask {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = STANDARD_NO_PAD
            .decode(text)
            .map_err(|_| serde::de::Error::custom("a mask is base64"))?;
        if bytes.len() > BYTES_MAX {
            return Err(serde::de::Error::custom("a mask has at most 512 positions"));
        }
        Ok(Self::from_bytes(&bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn set_algebra_holds() {
        let a: Mask = [0, 7, 8, 511].into_iter().collect();
        let b = Mask::first(8);
        assert_eq!(a.and(&b).iter().collect::<Vec<_>>(), [0, 7]);
        assert_eq!(a.without(&b).iter().collect::<Vec<_>>(), [8, 511]);
        assert_eq!(a.or(&b).count(), 10);
        assert!(!a.has(512));
        assert_eq!(Mask::first(9999).count(), SLICE_SUBJECTS_MAX);
    }

    #[test]
    fn the_bit_order_is_that_of_redis() {
        assert_eq!([0usize].into_iter().collect::<Mask>().as_bytes(), [0x80]);
        assert_eq!([9usize].into_iter().collect::<Mask>().as_bytes(), [0x00, 0x40]);
    }

    #[test]
    fn the_wire_form_survives_the_round_trip() {
        let mask: Mask = [3, 500].into_iter().collect();
        let text = serde_json::to_string(&mask).unwrap();
        assert_eq!(serde_json::from_str::<Mask>(&text).unwrap(), mask);
        assert_eq!(serde_json::to_string(&Mask::EMPTY).unwrap(), "\"\"");
        assert!(serde_json::from_str::<Mask>(&format!("\"{}\"", "AAAA".repeat(30))).is_err());
    }
}
