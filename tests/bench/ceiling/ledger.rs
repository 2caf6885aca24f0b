//! What the fleet writes into its ledger, as rows: the same tables, the same number of rows, bytes of the same length.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};

use crate::fleet::{Load, PART, Run};

/// How many subjects go into one transaction of the ceiling. The fleet's intake takes as many commands at once, or four parts.
pub(crate) const SUBJECTS_PER_TRANSACTION: usize = 2048;

/// How many entries the plan has.
pub(crate) const ENTRIES: usize = 4;

/// The requests to write, and how large what they consist of is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Writes {
    load: Load,
    subjects: u32,
    hashes_per_subject: usize,
}

/// One slice of one request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Part {
    /// The number of the request.
    pub(crate) request: u32,
    /// The number of the slice within it.
    pub(crate) slice: u32,
    /// How many subjects.
    pub(crate) count: u32,
    /// Whether it is the last one of its request.
    pub(crate) last: bool,
}

/// Lengths as the fleet's own rows were seen to have them: what sealing adds to a slice.
pub(crate) const SEALED_BYTES: usize = 28;
/// Of one subject within a sealed slice.
pub(crate) const SEALED_SUBJECT_BYTES: usize = 229;
/// Of what is noted of a slice that was sent to each entry.
pub(crate) const SENT_BYTES: usize = 14 * ENTRIES;
/// Of an event.
pub(crate) const EVENT_BYTES: usize = 520;
/// Of what is said of the stores' confirmations.
pub(crate) const CONFIRMATIONS_BYTES: usize = 529;

impl Writes {
    /// The writes of a load, with as many hashes of a person as the fleet was seen to write.
    pub(crate) fn of(load: Load, subjects: u32, seen: &Run) -> Result<Self> {
        let hashes = seen
            .rows
            .get("subject_hash")
            .copied()
            .context("the ledger has no table subject_hash")?;
        let per_subject = hashes / i64::from(subjects);
        ensure!(
            per_subject > 0 && per_subject * i64::from(subjects) == hashes,
            "{hashes} hashes are no multiple of {subjects} subjects"
        );
        let writes = Self {
            load,
            subjects,
            hashes_per_subject: usize::try_from(per_subject)?,
        };
        writes.compare(&seen.rows)?;
        Ok(writes)
    }

    /// Every slice, in order.
    pub(crate) fn parts(&self) -> Vec<Part> {
        match self.load {
            Load::Singles => (0..self.subjects)
                .map(|request| Part {
                    request,
                    slice: 0,
                    count: 1,
                    last: true,
                })
                .collect(),
            Load::Bulk => {
                let slices = self.subjects.div_ceil(PART);
                let part = |slice| Part {
                    request: 0,
                    slice,
                    count: (self.subjects - slice * PART).min(PART),
                    last: slice + 1 == slices,
                };
                (0..slices).map(part).collect()
            }
        }
    }

    /// How many hashes of a person.
    pub(crate) fn hashes_per_subject(&self) -> usize {
        self.hashes_per_subject
    }

    /// In runs of so many subjects as one transaction takes.
    pub(crate) fn transactions(parts: &[Part]) -> Vec<&[Part]> {
        let each = parts.first().map_or(1, |it| it.count as usize).max(1);
        parts.chunks((SUBJECTS_PER_TRANSACTION / each).clamp(1, 512)).collect()
    }

    /// That the ceiling writes as many rows as the fleet was seen to have at its end.
    fn compare(&self, seen: &BTreeMap<String, i64>) -> Result<()> {
        let parts = self.parts();
        let slices = i64::try_from(parts.len())?;
        let requests = i64::try_from(parts.iter().filter(|it| it.last).count())?;
        let entries = i64::try_from(ENTRIES)?;
        let ours = [
            ("request", requests),
            ("request_part", slices),
            // All requests have one plan.
            ("plan_entry", entries),
            ("slice", slices),
            ("evidence", slices * entries),
            ("outbox", requests * 2),
        ];
        for (table, rows) in ours {
            let theirs = seen.get(table).copied().unwrap_or_default();
            ensure!(
                rows == theirs,
                "the fleet wrote {theirs} rows into {table}, the ceiling's part would write {rows}"
            );
        }
        Ok(())
    }
}

/// Bytes that differ from row to row.
pub(crate) fn bytes(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// The key of a request.
pub(crate) fn request_key(request: u32) -> Vec<u8> {
    bytes(u64::from(request) + 1, 16)
}

/// How long the sealed slice is.
pub(crate) fn sealed(part: &Part) -> Vec<u8> {
    let seed = u64::from(part.request) << 20 | u64::from(part.slice);
    bytes(seed, SEALED_BYTES + SEALED_SUBJECT_BYTES * part.count as usize)
}

/// The hashes of the people of a slice.
pub(crate) fn hashes(part: &Part, per_subject: usize) -> impl Iterator<Item = (Vec<u8>, i64)> + use<> {
    let part = *part;
    (0..part.count).flat_map(move |position| {
        (0..per_subject as u64).map(move |which| {
            let person = u64::from(part.request) << 20 | u64::from(part.slice * PART + position);
            (bytes(person << 3 | which, 32), i64::from(position))
        })
    })
}
