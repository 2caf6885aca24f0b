//! To which entries of the plan a slice was sent, as one value: most slices go to all of them at once.

use crate::sql::{Row, Tx, args, insert_many};
use crate::{DispatchCount, Error};
use erasure_protocol::{Millis, RequestKey};
use std::collections::BTreeMap;

/// Request and slice.
pub(super) type SlicePlace = (RequestKey, u32);

/// How often a slice was sent to each entry, and when last. An entry with count 0 is one for which there is nothing to send.
///
/// Stored as 14 bytes for each entry, in order: its position (2), the count (4) and the milliseconds (8), most significant first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sent(BTreeMap<u16, (u32, Millis)>);

const ENTRY_BYTES: usize = 14;

impl Sent {
    /// Nothing is to be sent to these entries.
    pub(super) fn never(entries: &[usize]) -> Self {
        Self(
            entries
                .iter()
                .filter_map(|entry| Some((position(*entry)?, (0, Millis(0)))))
                .collect(),
        )
    }

    /// Counts one more, if it was sent exactly as often as expected.
    pub(super) fn count(&mut self, entry: usize, expected: u32, now: Millis) -> Option<u32> {
        let place = position(entry)?;
        let so_far = self.0.get(&place).map_or(0, |(count, _)| *count);
        if so_far != expected {
            return None;
        }
        let count = so_far.checked_add(1)?;
        self.0.insert(place, (count, now));
        Some(count)
    }

    /// Whether nothing is left to be sent there for the first time.
    pub(super) fn has(&self, entry: usize) -> bool {
        position(entry).is_some_and(|place| self.0.contains_key(&place))
    }

    /// Notes of another entry that there is nothing to send, if that is so of this one. Whether anything changed.
    pub(super) fn copy_never(&mut self, from: usize, to: usize) -> bool {
        let is_never = position(from)
            .and_then(|from| self.0.get(&from))
            .is_some_and(|(count, _)| *count == 0);
        match position(to).filter(|to| is_never && !self.0.contains_key(to)) {
            Some(to) => self.0.insert(to, (0, Millis(0))).is_none(),
            None => false,
        }
    }

    /// What was sent at least once.
    pub(super) fn counts(&self, slice: u32) -> impl Iterator<Item = DispatchCount> {
        let sent = self.0.iter().filter(|(_, (count, _))| *count > 0);
        sent.map(move |(entry, (count, last_at))| DispatchCount {
            entry: usize::from(*entry),
            slice,
            count: *count,
            last_at: *last_at,
        })
    }

    fn last_at(&self) -> Option<Millis> {
        self.counts(0).map(|it| it.last_at).max()
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.0.len() * ENTRY_BYTES);
        for (entry, (count, last_at)) in &self.0 {
            bytes.extend_from_slice(&entry.to_be_bytes());
            bytes.extend_from_slice(&count.to_be_bytes());
            bytes.extend_from_slice(&last_at.0.to_be_bytes());
        }
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (entries, rest) = bytes.as_chunks::<ENTRY_BYTES>();
        let entry = |it: &[u8; ENTRY_BYTES]| {
            let (entry, rest) = it.split_first_chunk::<2>()?;
            let (count, last_at) = rest.split_first_chunk::<4>()?;
            let last_at = Millis(i64::from_be_bytes(last_at.try_into().ok()?));
            Some((u16::from_be_bytes(*entry), (u32::from_be_bytes(*count), last_at)))
        };
        let entries = entries.iter().map(entry).collect::<Option<BTreeMap<_, _>>>()?;
        rest.is_empty().then_some(Self(entries))
    }
}

/// A plan has a few entries for each subsystem; one with more than 65,536 is not sent.
fn position(entry: usize) -> Option<u16> {
    u16::try_from(entry).ok()
}

/// Reads one from a column.
pub(super) fn sent(row: &Row, at: usize) -> Result<Sent, Error> {
    Sent::from_bytes(row.blob(at)?).ok_or(Error::Damaged("what was dispatched"))
}

/// What is noted of these slices.
pub(super) async fn read_sent(tx: &mut Tx, places: &[SlicePlace]) -> Result<BTreeMap<SlicePlace, Sent>, Error> {
    let text = "SELECT d.request, d.slice, d.sent FROM w JOIN dispatch d ON d.request = w.request AND d.slice = w.slice";
    let rows = places.iter().map(|(request, slice)| args![*request, *slice]).collect();
    let rows = tx.query_rows("request, slice", text, rows).await?;
    rows.iter()
        .map(|row| Ok(((row.request(0)?, row.number(1)?), sent(row, 2)?)))
        .collect()
}

/// What is noted of one request, by slice.
pub(super) async fn sent_of(tx: &mut Tx, request: RequestKey) -> Result<BTreeMap<u32, Sent>, Error> {
    let text = "SELECT slice, sent FROM dispatch WHERE request = $1";
    let rows = tx.query(text, args![request]).await?;
    rows.iter().map(|row| Ok((row.number(0)?, sent(row, 1)?))).collect()
}

/// Writes these in place of what was noted. For whoever holds the requests.
pub(super) async fn write_sent(tx: &mut Tx, rows: Vec<(SlicePlace, Sent)>) -> Result<(), Error> {
    let row = |((request, slice), sent): (SlicePlace, Sent)| args![request, slice, sent.to_bytes(), sent.last_at()];
    let target = "dispatch (request, slice, sent, last_at)";
    let tail = "ON CONFLICT (request, slice) DO UPDATE SET sent = excluded.sent, last_at = excluded.last_at";
    insert_many(tx, target, tail, rows.into_iter().map(row).collect()).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_compared_and_survive_their_bytes() {
        let mut sent = Sent::never(&[3]);
        assert_eq!(sent.count(0, 1, Millis(5)), None, "it was never sent");
        assert_eq!(sent.count(0, 0, Millis(5)), Some(1));
        assert_eq!(sent.count(0, 1, Millis(9)), Some(2));
        assert_eq!(sent.count(usize::MAX, 0, Millis(9)), None);
        assert!(sent.has(3) && !sent.has(1) && !sent.has(usize::MAX));
        assert!(sent.copy_never(3, 4) && !sent.copy_never(3, 4) && !sent.copy_never(0, 5));
        let bytes = sent.to_bytes();
        assert_eq!(bytes.len(), 3 * ENTRY_BYTES);
        assert_eq!(Sent::from_bytes(&bytes), Some(sent.clone()));
        assert_eq!(Sent::from_bytes(&bytes[1..]), None);
        let counts: Vec<_> = sent.counts(7).collect();
        let expected = DispatchCount {
            entry: 0,
            slice: 7,
            count: 2,
            last_at: Millis(9),
        };
        assert_eq!(counts, [expected]);
        assert_eq!((sent.last_at(), Sent::never(&[0]).last_at()), (Some(Millis(9)), None));
    }
}
