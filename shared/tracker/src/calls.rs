//! What goes into the tracker's operations and what comes out.

use erasure_protocol::{Done, EvidenceKey, Mask, Millis, Phase, RequestKey, SubsystemName, TaskOutcome, WrappedKey};

/// A worker's question before it starts on a slice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The request.
    pub request: RequestKey,
    /// The slice's number within it.
    pub slice: u32,
    /// The phase of the plan.
    pub phase: Phase,
    /// Who asks.
    pub subsystem: SubsystemName,
    /// The evidence key under which the worker would work.
    pub evidence: EvidenceKey,
}

/// The answer to a [`Claim`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claimed {
    /// Go on with what is not done. A lease and a start were recorded, unless the whole slice was done already.
    Open {
        /// The position of the plan's live entry, to be handed back in [`Mark`].
        entry: usize,
        /// The tasks that are done: erased, nothing held or retained.
        done: Mask,
        /// The tasks that are parked.
        failed: Mask,
        /// What opens the sealed slice.
        key: WrappedKey,
        /// How many starts before this one were never followed by a mark; at least one where marks, or an entry that this one
        /// replaces, say that somebody has been here.
        starts: u32,
        /// The projection's generation; above 1 no task counts as never tried.
        generation: u32,
        /// The time in Redis.
        now: Millis,
    },
    /// The request has come to its end: nothing to do.
    Final,
    /// The tracker does not know the request (or not yet this part of it); it was put on the want stream.
    Unknown,
    /// The plan asks for evidence under another key.
    Stale {
        /// The key that the plan asks for.
        expected: EvidenceKey,
    },
    /// The header was projected by another ledger.
    Foreign,
}

/// What a worker reports of one slice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The request.
    pub request: RequestKey,
    /// The slice.
    pub slice: u32,
    /// The position of the plan's entry, as [`Claimed::Open`] gave it.
    pub entry: usize,
    /// The evidence key under which the work was done.
    pub evidence: EvidenceKey,
    /// How many subjects the slice has; mask bits from here on are ignored.
    pub count: u16,
    /// Carried out, committed and read back.
    pub erased: Mask,
    /// Nothing was there. Taken for erased where somebody else may have been: another start, a wait, a later projection.
    pub nothing_held: Mask,
    /// Carried out but for what must be kept.
    pub retained: Mask,
    /// Parked. Cleared when the task is done or by [`crate::Tracker::unfail`].
    pub failed: Mask,
    /// Waiting for somebody else. Display only.
    pub pending: Mask,
    /// Will be tried again. Display only.
    pub retrying: Mask,
    /// When the next try or check is due. Kept from earlier marks when not given.
    pub due: Option<Millis>,
    /// What to show as the reason; its masks and references are not stored.
    pub note: Option<TaskOutcome>,
}

/// The answer to a [`Mark`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marked {
    /// Taken in; the lease has ended.
    Ok {
        /// Whether every live entry is now done for every slice. The outbox stream names the request once per plan version.
        complete: bool,
    },
    /// The entry does not count any more, or its evidence key is another one: nothing was taken in.
    Stale,
    /// The tracker does not know the request; it was put on the want stream. Nothing was taken in.
    Unknown,
    /// The request has come to its end. Nothing was taken in.
    Final,
}

/// What became of a projected header, or of an extended plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Init {
    /// The request was not known and is now.
    Created,
    /// The plan is longer than before; completion is open until the new entries are full.
    Extended,
    /// The same plan; flags, state, key and due date were taken over.
    Refreshed,
    /// The tracker has a longer plan already, which begins with this one; it stays.
    Older,
    /// Another plan, or another number of subjects or slices: nothing was changed.
    Conflict,
    /// The request has come to its end, or the header says so (which is for [`crate::Tracker::finish`]): nothing was changed.
    Final,
    /// The header comes from another ledger: nothing was changed.
    Foreign,
    /// Only from [`crate::Tracker::extend`]: the tracker does not know the request.
    Unknown,
}

/// What became of a final header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finished {
    /// The tracker says final now, or said so before.
    Ok,
    /// The tracker does not know the request; nothing to finish.
    Unknown,
    /// The header is not final, or comes from another ledger: nothing was changed.
    Refused,
}

/// The bits of one outcome in one slice for one entry of the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvidenceBits {
    /// The position in the plan.
    pub entry: usize,
    /// The slice.
    pub slice: u32,
    /// Which outcome.
    pub done: Done,
    /// The tasks.
    pub mask: Mask,
}

/// How old the evidence of one slice for one entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifiedAt {
    /// The position in the plan.
    pub entry: usize,
    /// The slice.
    pub slice: u32,
    /// When the oldest of its bits was marked (a mark that repeats all of them renews it).
    pub at: Millis,
}

/// All evidence of a request, for the check against the ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// How many entries the plan has in the tracker.
    pub plan_version: u32,
    /// The bits, without empty masks.
    pub bits: Vec<EvidenceBits>,
    /// The age of the bits.
    pub verified: Vec<VerifiedAt>,
}

impl Evidence {
    /// The tasks that are done for one entry in one slice: erased, nothing held or retained.
    #[must_use]
    pub fn done(&self, entry: usize, slice: u32) -> Mask {
        self.bits
            .iter()
            .filter(|it| it.entry == entry && it.slice == slice && it.done != Done::Failed)
            .fold(Mask::EMPTY, |sum, it| sum.or(&it.mask))
    }
}

/// One slice that is not done for one live entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outstanding {
    /// The position in the plan.
    pub entry: usize,
    /// The slice.
    pub slice: u32,
    /// The tasks neither done nor parked. Of a slice never marked, and of a request of several slices, this is every
    /// position that the slice could have: cut it to the slice's own count.
    pub missing: Mask,
    /// Until when a worker holds it; zero when none does.
    pub leased_until: Millis,
    /// When its next try or check is due; zero when at once.
    pub due: Millis,
}

/// What is outstanding, and the time to compare it with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutstandingSlices {
    /// The version of the plan that the tracker goes by.
    pub plan_version: u32,
    /// By entry, then by slice.
    pub slices: Vec<Outstanding>,
    /// The time in Redis when it was read.
    pub now: Millis,
}

/// What is known of one task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskState {
    /// Erased and read back.
    Erased,
    /// Nothing was held.
    NothingHeld,
    /// Erased but for what must be kept.
    Retained,
    /// Parked.
    NeedsAttention,
    /// Accepted by somebody else, not confirmed yet.
    WaitingForVendor,
    /// Will be tried again.
    Retrying,
    /// Not reported yet.
    InProgress,
}

impl TaskState {
    /// One letter: the name of the bitmap (`e n r f p w`), or `o` for open.
    #[must_use]
    pub fn letter(self) -> char {
        match self {
            Self::Erased => 'e',
            Self::NothingHeld => 'n',
            Self::Retained => 'r',
            Self::NeedsAttention => 'f',
            Self::WaitingForVendor => 'p',
            Self::Retrying => 'w',
            Self::InProgress => 'o',
        }
    }
}

/// One person's task of one live entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PersonTask {
    /// The position in the plan.
    pub entry: usize,
    /// What is known.
    pub state: TaskState,
}

/// A request on the outbox or the want stream. Settled by handing it back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The request.
    pub request: RequestKey,
    pub(crate) ids: Vec<String>,
}
