//! The people behind the identifiers: looked for before anything is erased, and shared between open requests on one person.

use crate::Error;
use crate::Intake;
use erasure_drill::{Rule, is_broken};
use erasure_kit::Resolve as _;
use erasure_ledger::Overlap;
use erasure_privacy::slice_aad;
use erasure_protocol::{IdentifierKind, Record, RequestKey, Resolution, Slice, Subject, SubjectHash, TenantId};
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

impl Intake {
    /// Looks for the people, then unites each with what open requests on the same person have found.
    ///
    /// The order matters: an open request has committed its hashes before any of its work could be dispatched. So whoever looks
    /// *after* that request's erasure began, and finds nobody, sees its hashes here and takes over what it had found.
    pub(crate) async fn people(&self, tenant: &TenantId, given: &[Record]) -> Result<Vec<Subject>, Error> {
        let mut subjects = self.resolve.resolve(tenant, given).await?;
        let hashes: Vec<Vec<SubjectHash>> = subjects.iter().map(|subject| self.hashes_of(tenant, subject)).collect();
        let all: Vec<[u8; 32]> = hashes.iter().flatten().map(|hash| hash.hash).collect();
        let overlaps = self.ledger.overlaps(tenant, &all).await?;
        if overlaps.is_empty() || is_broken(Rule::SharedResolution) {
            return Ok(subjects);
        }
        let mut known = KnownSlices::default();
        for (subject, hashes) in subjects.iter_mut().zip(&hashes) {
            let own: BTreeSet<[u8; 32]> = hashes.iter().map(|hash| hash.hash).collect();
            for overlap in overlaps.iter().filter(|overlap| own.contains(&overlap.hash)) {
                if let Some(other) = known.subject(self, tenant, overlap).await? {
                    unite(subject, other);
                }
            }
        }
        Ok(subjects)
    }

    /// The keyed hashes of every complete way to find the subject, under every live key.
    pub(crate) fn hashes_of(&self, tenant: &TenantId, subject: &Subject) -> Vec<SubjectHash> {
        let alternatives = self.resolve.alternatives();
        let hasher = self.keys.hasher(tenant);
        let mut hashes: Vec<SubjectHash> = subject
            .records
            .iter()
            .flat_map(|record| alternatives.iter().filter_map(|kinds| self.normalised(record, kinds)))
            .flat_map(|pairs| {
                let pairs: Vec<(&IdentifierKind, &str)> = pairs.iter().map(|(kind, value)| (*kind, value.as_str())).collect();
                hasher.subject(&pairs)
            })
            .collect();
        hashes.sort_unstable();
        hashes.dedup();
        hashes
    }

    fn normalised<'a>(&self, record: &Record, kinds: &'a [IdentifierKind]) -> Option<Vec<(&'a IdentifierKind, String)>> {
        let pair = |kind: &'a IdentifierKind| Some((kind, self.resolve.normalise(kind, record.get(kind)?.expose())));
        kinds.iter().map(pair).collect()
    }
}

/// Slices of other open requests, each opened once.
#[derive(Default)]
struct KnownSlices(BTreeMap<(RequestKey, u32), Option<Slice>>);

impl KnownSlices {
    async fn subject(&mut self, intake: &Intake, tenant: &TenantId, at: &Overlap) -> Result<Option<&Subject>, Error> {
        let key = (at.request, at.slice);
        let slice = match self.0.entry(key) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(new) => new.insert(open(intake, tenant, at).await?),
        };
        Ok(slice.as_ref().and_then(|slice| slice.subjects.get(usize::from(at.position))))
    }
}

/// Opens a slice of an open request. `None` when the request has become final in the meantime: then the person is gone.
async fn open(intake: &Intake, tenant: &TenantId, at: &Overlap) -> Result<Option<Slice>, Error> {
    let Some((_, Some(wrapped))) = intake.ledger.data_key_of(at.request).await? else {
        return Ok(None);
    };
    let Some(stored) = intake.ledger.slice(at.request, at.slice).await? else {
        return Ok(None);
    };
    let key = intake.keys.unwrap(&wrapped)?;
    let bytes = key.open(&slice_aad(tenant, &at.request, at.slice), &stored.sealed)?;
    Ok(serde_json::from_slice(&bytes).ok())
}

/// Adds the records of the other. Finding outweighs not finding; an ambiguity stays one.
fn unite(subject: &mut Subject, other: &Subject) {
    for record in &other.records {
        if !subject.records.contains(record) {
            subject.records.push(record.clone());
        }
    }
    if subject.resolution == Resolution::Nobody && other.resolution == Resolution::Found {
        subject.resolution = Resolution::Found;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use erasure_protocol::Identifier;

    fn subject(resolution: Resolution, ids: &[&str]) -> Subject {
        let kind = IdentifierKind::new("user_id").unwrap();
        let record = |id: &&str| Record::from([(kind.clone(), Identifier::new(*id).unwrap())]);
        Subject {
            resolution,
            records: ids.iter().map(record).collect(),
        }
    }

    #[test]
    fn what_another_request_found_is_taken_over() {
        let mut nobody = subject(Resolution::Nobody, &["1"]);
        unite(&mut nobody, &subject(Resolution::Found, &["1", "2"]));
        assert_eq!(nobody, subject(Resolution::Found, &["1", "2"]));
        let mut ambiguous = subject(Resolution::Ambiguous, &["1"]);
        unite(&mut ambiguous, &subject(Resolution::Found, &["2"]));
        assert_eq!(ambiguous.resolution, Resolution::Ambiguous);
    }
}
