//! The evidence of one entry of the plan in one slice, as the scripts store it.

use crate::TaskState;
use erasure_protocol::{Done, Mask, Millis};

/// See `scripts/common.lua` for the layout: 6 bytes time, 2 bytes count, six bitmaps, trailing zero bytes left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) at: Millis,
    pub(crate) count: usize,
    pub(crate) erased: Mask,
    pub(crate) nothing_held: Mask,
    pub(crate) retained: Mask,
    pub(crate) failed: Mask,
    pub(crate) pending: Mask,
    pub(crate) retrying: Mask,
}

impl Record {
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let byte = |at: usize| bytes.get(at).copied().unwrap_or(0);
        let number = |range: std::ops::Range<usize>| range.fold(0_i64, |sum, at| (sum << 8) | i64::from(byte(at)));
        let count = usize::try_from(number(6..8)).unwrap_or(0);
        let width = count.div_ceil(8);
        let map = |k: usize| {
            let from = (8 + k * width).min(bytes.len());
            let to = (8 + (k + 1) * width).min(bytes.len());
            Mask::from_bytes(&bytes[from..to])
        };
        Self {
            at: Millis(number(0..6)),
            count,
            erased: map(0),
            nothing_held: map(1),
            retained: map(2),
            failed: map(3),
            pending: map(4),
            retrying: map(5),
        }
    }

    pub(crate) fn done(&self) -> Mask {
        self.erased.or(&self.nothing_held).or(&self.retained)
    }

    pub(crate) fn mask(&self, done: Done) -> Mask {
        match done {
            Done::Erased => self.erased,
            Done::NothingHeld => self.nothing_held,
            Done::Retained => self.retained,
            Done::Failed => self.failed,
        }
    }

    /// What is known of the task at a position.
    pub(crate) fn state(&self, at: usize) -> TaskState {
        let order = [
            (self.retained, TaskState::Retained),
            (self.erased, TaskState::Erased),
            (self.nothing_held, TaskState::NothingHeld),
            (self.failed, TaskState::NeedsAttention),
            (self.pending, TaskState::WaitingForVendor),
            (self.retrying, TaskState::Retrying),
        ];
        order
            .iter()
            .find(|(mask, _)| mask.has(at))
            .map_or(TaskState::InProgress, |(_, state)| *state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_out_reads_as_zero() {
        assert_eq!(Record::parse(&[]).done(), Mask::EMPTY);
        let record = Record::parse(&[0, 0, 0, 0, 1, 0, 0, 9, 0x80, 0x80]);
        assert_eq!((record.at, record.count), (Millis(256), 9));
        assert_eq!(record.erased.iter().collect::<Vec<_>>(), [0, 8]);
        assert_eq!(record.state(0), TaskState::Erased);
        assert_eq!(record.state(1), TaskState::InProgress);
    }
}
