//! An item whose slice has been opened: from here on the persons are known, in memory only.

use crate::batch::unreadable;
use crate::hand::InHand;
use crate::lane::Pause;
use crate::settle::ItemReport;
use erasure_privacy::{DataKey, KeyRing, references_aad, slice_aad};
use erasure_protocol::{
    Attempt, EvidenceKey, Item, Mask, Millis, Reference, SLICE_SUBJECTS_MAX, Sealed, Slice, Subject, SubsystemName, Task,
    TaskOutcome, WrappedKey,
};
use erasure_tracker::Mark;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What CLAIM granted.
#[derive(Debug)]
pub(crate) struct Grant {
    pub(crate) entry: usize,
    pub(crate) key: WrappedKey,
    pub(crate) starts: u32,
    pub(crate) generation: u32,
    pub(crate) now: Millis,
}

/// An item with its tasks. `tasks` are those of `wanted`, in order, that could be read; the others are in `unread`.
pub(crate) struct Opened {
    pub(crate) from: usize,
    pub(crate) item: Item,
    pub(crate) wanted: Mask,
    pub(crate) tasks: Vec<Task>,
    unread: Mask,
    grant: Grant,
    data_key: DataKey,
}

/// Opens the sealed slice of a claimed item.
///
/// # Errors
/// With the reason to pause the lane, when the key ring lacks the key: nobody is parked for that.
pub(crate) fn open(keys: &KeyRing, subsystem: &SubsystemName, it: InHand, grant: Grant, wanted: Mask) -> Result<Opened, Pause> {
    let InHand { from, item } = it;
    let data_key = keys
        .unwrap(&grant.key)
        .map_err(|_| Pause::KeyMissing(grant.key.key.to_string()))?;
    let subjects = subjects(&data_key, &item);
    let references = references(&data_key, subsystem, &item);
    let unread: Mask = wanted.iter().filter(|at| *at >= subjects.len()).collect();
    let readable = wanted.without(&unread);
    let first = item.dispatch == 1 && !item.tried && grant.starts == 0 && grant.generation <= 1;
    let task = |position: usize| Task {
        request: item.request,
        tenant: item.tenant.clone(),
        number: u64::from(item.slice) * SLICE_SUBJECTS_MAX as u64 + position as u64,
        subject: Arc::clone(&subjects[position]),
        attempt: if first { Attempt::First } else { Attempt::Later },
        accepted_at: item.accepted_at,
        deadline: item.deadline,
        options: item.options,
        reference: references.get(&position).cloned(),
    };
    let tasks = readable.iter().map(task).collect();
    Ok(Opened {
        from,
        wanted: readable,
        tasks,
        unread,
        grant,
        data_key,
        item,
    })
}

fn subjects(data_key: &DataKey, item: &Item) -> Vec<Arc<Subject>> {
    let opened = data_key
        .open(&slice_aad(&item.tenant, &item.request, item.slice), &item.sealed)
        .ok();
    let slice: Option<Slice> = opened.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    slice
        .map(|slice| slice.subjects.into_iter().map(Arc::new).collect())
        .unwrap_or_default()
}

/// References that cannot be opened are as good as none: the subsystem submits again, under the same deterministic id.
fn references(data_key: &DataKey, subsystem: &SubsystemName, item: &Item) -> BTreeMap<usize, Reference> {
    let aad = references_aad(&item.tenant, &item.request, item.slice, subsystem);
    let opened = item.references.as_ref().and_then(|sealed| data_key.open(&aad, sealed).ok());
    opened
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .unwrap_or_default()
}

impl Opened {
    /// How often the slice was started before this time without a finish.
    pub(crate) fn starts(&self) -> u32 {
        self.grant.starts
    }

    /// The tracker's time of the claim.
    pub(crate) fn now(&self) -> Millis {
        self.grant.now
    }

    /// The report with the tasks added whose subjects could not be read.
    pub(crate) fn report_with_unread(&self, mut report: ItemReport) -> ItemReport {
        if !self.unread.is_empty() {
            report.parked.push((unreadable("slice"), self.unread));
        }
        report
    }

    /// All tasks that this item answers for.
    pub(crate) fn answered(&self) -> Mask {
        self.wanted.or(&self.unread)
    }

    /// Seals the references of waiting tasks for the ledger.
    pub(crate) fn seal_references(
        &self,
        subsystem: &SubsystemName,
        references: &BTreeMap<usize, Reference>,
    ) -> Result<Sealed, erasure_privacy::Error> {
        let plain = serde_json::to_vec(references).expect("positions and texts always serialise");
        self.data_key.seal(
            &references_aad(&self.item.tenant, &self.item.request, self.item.slice, subsystem),
            &plain,
        )
    }

    /// What the tracker is to be told.
    pub(crate) fn mark(&self, evidence: EvidenceKey, report: &ItemReport, note: Option<TaskOutcome>) -> Mark {
        Mark {
            request: self.item.request,
            slice: self.item.slice,
            entry: self.grant.entry,
            evidence,
            count: self.item.count,
            erased: report.erased,
            nothing_held: report.nothing_held,
            retained: report.retained_tasks(),
            failed: report.parked_tasks(),
            pending: report.pending_tasks(),
            retrying: report.retrying_tasks(),
            due: report.due(self.grant.now),
            note,
        }
    }
}
