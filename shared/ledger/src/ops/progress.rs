//! How far a request is, worked out from evidence and reports alone: for when the tracker knows nothing.

use crate::sql::args;
use crate::{Error, EvidenceRow, Ledger, Report, Standing};
use erasure_protocol::{Counts, Done, EntryProgress, Mask, Phase, Progress, RequestKey, Sealed, TaskOutcome};
use std::collections::{BTreeMap, HashMap};

impl Ledger {
    /// Rebuilds the progress of a request. While it is open the ledger has no evidence, so that what is done but not final counts
    /// as in progress: late, never wrong.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn progress(&self, request: RequestKey) -> Result<Option<Progress>, Error> {
        let Some(header) = self.header(request).await? else {
            return Ok(None);
        };
        let slices = self.slice_counts_by_number(request).await?;
        let reports = self.reports(request).await?;
        let known = Known::of(&self.evidence(request).await?, &reports);
        let entries = (0..header.plan.entries().len())
            .map(|entry| {
                let mut counts = Counts::default();
                for (slice, count) in &slices {
                    known.count(entry, *slice, usize::from(*count), &mut counts);
                }
                EntryProgress {
                    counts,
                    note: note(&reports, entry),
                }
            })
            .collect();
        let mut people = Counts::default();
        let live: Vec<(usize, Phase)> = header.plan.live().map(|(entry, it)| (entry, it.phase)).collect();
        for (slice, count) in &slices {
            known.count_people(&live, *slice, usize::from(*count), &mut people);
        }
        Ok(Some(Progress { header, entries, people }))
    }

    pub(super) async fn slice_counts_by_number(&self, request: RequestKey) -> Result<BTreeMap<u32, u16>, Error> {
        let text = "SELECT number, count FROM slice WHERE request = $1";
        let rows = self.rows("counting slices", text, args![request]).await?;
        rows.iter().map(|row| Ok((row.number(0)?, row.number(1)?))).collect()
    }
}

/// The last report of an entry, without its masks.
fn note(reports: &[Report], entry: usize) -> Option<TaskOutcome> {
    let last = reports.iter().filter(|it| it.entry == entry).max_by_key(|it| it.at)?;
    let tasks = Mask::EMPTY;
    Some(match last.outcome.clone() {
        TaskOutcome::Retained { ground, until, .. } => TaskOutcome::Retained { tasks, ground, until },
        TaskOutcome::Pending { check_at, .. } => TaskOutcome::Pending {
            tasks,
            check_at,
            references: Sealed(Vec::new()),
        },
        TaskOutcome::Retry {
            fault,
            attempt,
            next_try,
            ..
        } => TaskOutcome::Retry {
            tasks,
            fault,
            attempt,
            next_try,
        },
        TaskOutcome::Failed { fault, attempt, .. } => TaskOutcome::Failed { tasks, fault, attempt },
    })
}

/// What is known of the tasks of one slice in one entry.
#[derive(Clone, Default)]
struct Bits {
    erased: Mask,
    nothing_held: Mask,
    retained: Mask,
    reports: Vec<TaskOutcome>,
}

/// The least finished first: a person is as far as the least finished of their tasks. The tracker sorts people likewise.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    NeedsAttention,
    WaitingForVendor,
    Retrying,
    InProgress,
    Retained,
    Erased,
    NothingHeld,
}

impl Rank {
    fn is_done(self) -> bool {
        self >= Self::Retained
    }
}

/// Evidence and reports, by entry and slice.
pub(super) struct Known(HashMap<(usize, u32), Bits>);

impl Known {
    pub(super) fn of(evidence: &[EvidenceRow], reports: &[Report]) -> Self {
        let mut known: HashMap<(usize, u32), Bits> = HashMap::new();
        for it in evidence {
            let bits = known.entry((it.entry, it.slice)).or_default();
            match it.done {
                Done::Erased => bits.erased = bits.erased.or(&it.tasks),
                Done::NothingHeld => bits.nothing_held = bits.nothing_held.or(&it.tasks),
                Done::Retained => bits.retained = bits.retained.or(&it.tasks),
                Done::Failed => {}
            }
        }
        for it in reports {
            known
                .entry((it.entry, it.slice))
                .or_default()
                .reports
                .push(it.outcome.clone());
        }
        Self(known)
    }

    /// What is known of one task. Evidence goes before reports; retained goes before erased.
    pub(super) fn standing(&self, entry: usize, slice: u32, at: usize) -> Standing {
        let Some(bits) = self.0.get(&(entry, slice)) else {
            return Standing::InProgress;
        };
        let reported = |keeps: bool| {
            let of_kind = |it: &&TaskOutcome| keeps == matches!(it, TaskOutcome::Retained { .. });
            bits.reports
                .iter()
                .rev()
                .filter(of_kind)
                .find(|it| it.tasks().has(at))
                .map(standing_of)
        };
        if bits.retained.has(at) {
            // Evidence without its report cannot name the ground; then it is at least not called more than erased.
            return reported(true).unwrap_or(Standing::Erased);
        }
        if bits.erased.has(at) {
            return Standing::Erased;
        }
        if bits.nothing_held.has(at) {
            return Standing::NothingHeld;
        }
        reported(false).unwrap_or(Standing::InProgress)
    }

    fn rank(&self, entry: usize, slice: u32, at: usize) -> Rank {
        let Some(bits) = self.0.get(&(entry, slice)) else {
            return Rank::InProgress;
        };
        if bits.retained.has(at) {
            return Rank::Retained;
        }
        match self.standing(entry, slice, at) {
            Standing::Erased | Standing::Retained { .. } => Rank::Erased,
            Standing::NothingHeld => Rank::NothingHeld,
            Standing::Pending { .. } => Rank::WaitingForVendor,
            Standing::Retrying { .. } => Rank::Retrying,
            Standing::Failed { .. } => Rank::NeedsAttention,
            Standing::InProgress => Rank::InProgress,
        }
    }

    fn count(&self, entry: usize, slice: u32, subjects: usize, counts: &mut Counts) {
        if !self.0.contains_key(&(entry, slice)) {
            counts.in_progress += subjects as u64;
            return;
        }
        (0..subjects).for_each(|at| add(counts, self.rank(entry, slice, at)));
    }

    fn count_people(&self, live: &[(usize, Phase)], slice: u32, subjects: usize, counts: &mut Counts) {
        if live.iter().all(|(entry, _)| !self.0.contains_key(&(*entry, slice))) {
            counts.in_progress += subjects as u64;
            return;
        }
        (0..subjects).for_each(|at| add(counts, self.rank_of_person(live, slice, at)));
    }

    /// How a person is done is said by the plan's last phase: hiding somebody erases nothing.
    fn rank_of_person(&self, live: &[(usize, Phase)], slice: u32, at: usize) -> Rank {
        let least = |phase: Option<Phase>| {
            let entries = live.iter().filter(|(_, its)| phase.is_none_or(|phase| phase == *its));
            entries
                .map(|(entry, _)| self.rank(*entry, slice, at))
                .min()
                .unwrap_or(Rank::InProgress)
        };
        let rank = least(None);
        if rank.is_done() {
            least(live.iter().map(|(_, phase)| *phase).max())
        } else {
            rank
        }
    }
}

fn add(counts: &mut Counts, rank: Rank) {
    let count = match rank {
        Rank::NeedsAttention => &mut counts.needs_attention,
        Rank::InProgress => &mut counts.in_progress,
        Rank::Retrying => &mut counts.retrying,
        Rank::WaitingForVendor => &mut counts.waiting_for_vendor,
        Rank::Retained => &mut counts.retained,
        Rank::Erased => &mut counts.erased,
        Rank::NothingHeld => &mut counts.nothing_held,
    };
    *count += 1;
}

fn standing_of(outcome: &TaskOutcome) -> Standing {
    match outcome.clone() {
        TaskOutcome::Retained { ground, until, .. } => Standing::Retained { ground, until },
        TaskOutcome::Pending { check_at, .. } => Standing::Pending { check_at },
        TaskOutcome::Retry {
            fault,
            attempt,
            next_try,
            ..
        } => Standing::Retrying {
            fault,
            attempt,
            next_try,
        },
        TaskOutcome::Failed { fault, attempt, .. } => Standing::Failed { fault, attempt },
    }
}
