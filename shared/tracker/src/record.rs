//! The evidence of one entry of the plan in one slice, as the scripts store it.

use crate::{TaskState, header};
use erasure_protocol::{Counts, Done, Mask, Millis, Plan, SLICE_SUBJECTS_MAX};

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

    /// Each task in one class at most.
    pub(crate) fn classes(&self) -> Classes {
        let done = self.done();
        let failed = self.failed.without(&done);
        let pending = self.pending.without(&done).without(&failed);
        Classes {
            erased: self.erased.without(&self.retained),
            nothing_held: self.nothing_held.without(&self.retained).without(&self.erased),
            retained: self.retained,
            failed,
            pending,
            retrying: self.retrying.without(&done).without(&failed).without(&pending),
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

/// Tasks or people, each in one class at most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Classes {
    erased: Mask,
    nothing_held: Mask,
    retained: Mask,
    failed: Mask,
    pending: Mask,
    retrying: Mask,
}

impl Classes {
    /// How many are in each class.
    pub(crate) fn of(&self, subjects: u64) -> Counts {
        let masks = [
            self.erased,
            self.nothing_held,
            self.retained,
            self.failed,
            self.pending,
            self.retrying,
        ];
        header::sorted(masks.iter().map(|mask| mask.count() as u64), subjects)
    }
}

/// People by the least finished of their tasks, as `scripts/common.lua` counts them: how they are done is said by the plan's last
/// phase. `None` when no entry is live.
pub(crate) fn people(plan: &Plan, records: &[Record]) -> Option<Classes> {
    let last = plan.live().map(|(_, entry)| entry.phase).max()?;
    let (mut done, mut none) = (Mask::first(SLICE_SUBJECTS_MAX), Mask::first(SLICE_SUBJECTS_MAX));
    let (mut kept, mut failed, mut pending, mut retrying) = (Mask::EMPTY, Mask::EMPTY, Mask::EMPTY, Mask::EMPTY);
    for (at, entry) in plan.live() {
        let its = records.get(at).copied().unwrap_or_default();
        let classes = its.classes();
        done = done.and(&its.done());
        failed = failed.or(&classes.failed);
        pending = pending.or(&classes.pending);
        retrying = retrying.or(&classes.retrying);
        if entry.phase == last {
            kept = kept.or(&classes.retained);
            none = none.and(&classes.nothing_held);
        }
    }
    let retained = done.and(&kept);
    let nothing_held = done.and(&none).without(&retained);
    let pending = pending.without(&failed);
    Some(Classes {
        erased: done.without(&retained).without(&nothing_held),
        nothing_held,
        retained,
        failed,
        retrying: retrying.without(&failed).without(&pending),
        pending,
    })
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
