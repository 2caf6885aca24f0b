//! One person's own state within a request on many.

use crate::{Counts, EntryProgress, Progress, RequestState, TaskOutcome};
use serde::{Deserialize, Serialize};

/// What is known of one task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskState {
    /// Erased and read back.
    Erased,
    /// Nothing was held.
    NothingHeld,
    /// Erased but for what must be kept.
    Retained,
    /// Parked.
    NeedsAttention,
    /// Accepted by a vendor.
    WaitingForVendor,
    /// Will be tried again.
    Retrying,
    /// Not reported yet.
    InProgress,
}

impl TaskState {
    /// From the letter of the bitmap that holds the task: those of [`crate::Done`], `p` for pending, `w` for retrying. Every other
    /// letter means that nothing is known.
    #[must_use]
    pub fn from_letter(letter: char) -> Self {
        match letter {
            'e' => Self::Erased,
            'n' => Self::NothingHeld,
            'r' => Self::Retained,
            'f' => Self::NeedsAttention,
            'p' => Self::WaitingForVendor,
            'w' => Self::Retrying,
            _ => Self::InProgress,
        }
    }

    fn count(self) -> Counts {
        let mut counts = Counts::default();
        let field = match self {
            Self::Erased => &mut counts.erased,
            Self::NothingHeld => &mut counts.nothing_held,
            Self::Retained => &mut counts.retained,
            Self::NeedsAttention => &mut counts.needs_attention,
            Self::WaitingForVendor => &mut counts.waiting_for_vendor,
            Self::Retrying => &mut counts.retrying,
            Self::InProgress => &mut counts.in_progress,
        };
        *field = 1;
        counts
    }

    /// The least finished comes first: it decides for the person.
    fn rank(self) -> u8 {
        match self {
            Self::NeedsAttention => 0,
            Self::InProgress => 1,
            Self::Retrying => 2,
            Self::WaitingForVendor => 3,
            Self::Retained => 4,
            Self::Erased => 5,
            Self::NothingHeld => 6,
        }
    }
}

/// The progress of a request as if it had been on this person alone.
pub(super) fn narrow(progress: &Progress, tasks: &[(usize, TaskState)]) -> Progress {
    let of = |at: usize| {
        tasks
            .iter()
            .find(|(entry, _)| *entry == at)
            .map_or(TaskState::InProgress, |(_, state)| *state)
    };
    let live: Vec<_> = progress.header.plan.live().map(|(at, _)| of(at)).collect();
    let worst = live
        .into_iter()
        .min_by_key(|state| state.rank())
        .unwrap_or(TaskState::InProgress);
    let mut narrowed = progress.clone();
    narrowed.header.subjects = 1;
    narrowed.header.state = final_for(progress.header.state, worst);
    narrowed.people = worst.count();
    narrowed.entries = (progress.entries.iter().enumerate())
        .map(|(at, entry)| EntryProgress {
            counts: of(at).count(),
            // The note may be about somebody else; it is kept only where it speaks of the same kind of state.
            note: entry.note.clone().filter(|note| speaks_of(note, of(at))),
        })
        .collect();
    narrowed
}

/// In a finished erasure each person has an end of their own.
fn final_for(state: RequestState, worst: TaskState) -> RequestState {
    match state {
        RequestState::Erased | RequestState::ErasedWithRetention | RequestState::NothingHeld => match worst {
            TaskState::Erased => RequestState::Erased,
            TaskState::NothingHeld => RequestState::NothingHeld,
            TaskState::Retained => RequestState::ErasedWithRetention,
            TaskState::NeedsAttention | TaskState::WaitingForVendor | TaskState::Retrying | TaskState::InProgress => {
                RequestState::Running
            }
        },
        RequestState::Receiving
        | RequestState::Running
        | RequestState::Deactivated
        | RequestState::Reactivated
        | RequestState::ClosedNotErased => state,
    }
}

fn speaks_of(note: &TaskOutcome, state: TaskState) -> bool {
    match note {
        TaskOutcome::Retained { .. } => state == TaskState::Retained,
        TaskOutcome::Pending { .. } => state == TaskState::WaitingForVendor,
        TaskOutcome::Retry { .. } => state == TaskState::Retrying,
        TaskOutcome::Failed { .. } => state == TaskState::NeedsAttention,
    }
}
