//! The compact form of a request's header in its hash.
//!
//! No value of a usual header is longer than 64 bytes: beyond that Redis gives up its compact encoding of small hashes.
//!
//! | field | holds |
//! |---|---|
//! | `a` | 16 bytes ledger, 6 bytes each: received, accepted, due; a letter each: operation and lane |
//! | `s` | state, a letter; capital when final |
//! | `p` | the id of the plan, 8 bytes, by which its text is found in the partition's plans |
//! | `t`, `T`, `O` | tenant; ticket and options (JSON), when any |
//! | `u` or `i` | the request id: 16 bytes when it is a UUID as usually written, its text otherwise |
//! | `n`, `c` | number of subjects; of slices: each when not one |
//! | `b` | present when evidence is kept in a hash of its own |
//! | `g`, `f` | generation, when not 1; flags (1 overdue, 2 at risk), when any |
//! | `k`, `K` | the wrapped data key; which key opens it |
//! | `z` | when it was finished |
//! | `x` | the plan version for which the outbox was told |
//! | `N0`, … | note of an entry |
//!
//! Where evidence is in a hash of its own, that hash holds `0.0`, `l0.0`, `d0.0`, …: evidence, lease and due of (entry, slice); and
//! the header holds counts of people, `P`, and of each entry, `C0`, …. Otherwise the header holds `0`, `l0`, `d0`, …: evidence, lease
//! and due of each entry in the only slice, which say the counts as well; and once it is final, in their place, `C`: counts of people
//! and of each entry.

use crate::note;
use crate::record::{self, Record};
use erasure_protocol::{
    Counts, EntryProgress, Header, KeyId, Lane, LedgerId, Millis, Operation, Options, Phase, Plan, Progress, RequestId,
    RequestKey, RequestState, Sealed, TenantId, WrappedKey,
};
use std::collections::HashMap;
use uuid::Uuid;

/// All fields of a hash.
pub(crate) type Fields = HashMap<Vec<u8>, Vec<u8>>;

const FLAG_OVERDUE: u8 = 1;
const FLAG_AT_RISK: u8 = 2;

pub(crate) fn state_letter(state: RequestState) -> char {
    match state {
        RequestState::Receiving => 'i',
        RequestState::Running => 'w',
        RequestState::Erased => 'E',
        RequestState::ErasedWithRetention => 'R',
        RequestState::NothingHeld => 'N',
        RequestState::Deactivated => 'D',
        RequestState::Reactivated => 'A',
        RequestState::ClosedNotErased => 'C',
    }
}

pub(crate) fn flags(header: &Header) -> u8 {
    u8::from(header.overdue) * FLAG_OVERDUE + u8::from(header.at_risk) * FLAG_AT_RISK
}

pub(crate) fn phase_letter(phase: Phase) -> char {
    match phase {
        Phase::Hide => 'h',
        Phase::Purge => 'p',
    }
}

fn operation_letter(operation: Operation) -> char {
    match operation {
        Operation::Erase => 'e',
        Operation::Deactivate => 'd',
        Operation::Reactivate => 'r',
    }
}

fn lane_letter(lane: Lane) -> char {
    match lane {
        Lane::Single => 's',
        Lane::Bulk => 'b',
        Lane::Solo => 'o',
    }
}

/// The name of a plan, made of what it says.
pub(crate) type PlanId = [u8; 8];

/// Half of the plan's own id, which has room enough here: the scripts refuse a second text under one id.
pub(crate) fn plan_id(plan: &Plan) -> PlanId {
    let id = plan.id();
    std::array::from_fn(|at| id[at])
}

/// The id of the plan that a header names.
pub(crate) fn plan_of(fields: &Fields) -> Option<PlanId> {
    get(fields, "p")?.try_into().ok()
}

/// The fields that are written whenever the ledger projects: everything but plan, size, state and flags.
pub(crate) fn fields(header: &Header) -> Vec<(&'static str, Vec<u8>)> {
    let mut times = header.ledger.0.as_bytes().to_vec();
    for time in [header.received_at, header.accepted_at, header.due_at] {
        times.extend_from_slice(&time.0.max(0).to_be_bytes()[2..]);
    }
    let kind = [operation_letter(header.operation), lane_letter(header.lane)];
    times.extend_from_slice(kind.iter().collect::<String>().as_bytes());
    let mut fields = vec![("a", times), ("t", header.tenant.as_str().as_bytes().to_vec())];
    let id = header.request_id.as_str();
    match Uuid::parse_str(id).ok().filter(|uuid| uuid.as_hyphenated().to_string() == id) {
        Some(uuid) => fields.push(("u", uuid.as_bytes().to_vec())),
        None => fields.push(("i", id.as_bytes().to_vec())),
    }
    if header.options != Options::default() {
        // A struct of flags, written as JSON only in the rare case that one is set.
        fields.push(("O", serde_json::to_vec(&header.options).unwrap_or_default()));
    }
    if let Some(ticket) = &header.ticket {
        fields.push(("T", ticket.as_bytes().to_vec()));
    }
    if let Some(key) = &header.key {
        fields.push(("K", key.key.0.as_bytes().to_vec()));
        fields.push(("k", key.wrapped.0.clone()));
    }
    fields
}

/// The data key from its two fields.
pub(crate) fn wrapped_key(id: &[u8], wrapped: &[u8]) -> Option<WrappedKey> {
    Some(WrappedKey {
        key: KeyId(text(id)?.to_owned()),
        wrapped: Sealed(wrapped.to_vec()),
    })
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

fn get<'a>(fields: &'a Fields, name: &str) -> Option<&'a [u8]> {
    fields.get(name.as_bytes()).map(Vec::as_slice)
}

fn number<T: std::str::FromStr>(fields: &Fields, name: &str) -> Option<T> {
    text(get(fields, name)?)?.parse().ok()
}

/// What is left out is one.
fn number_or_one<T: std::str::FromStr + From<u8>>(fields: &Fields, name: &str) -> Option<T> {
    get(fields, name).map_or(Some(T::from(1)), |it| text(it)?.parse().ok())
}

/// The number in a field, for the bookkeeping fields of (entry, slice).
pub(crate) fn first_number(bytes: Option<&Vec<u8>>) -> i64 {
    let first = |bytes: &Vec<u8>| text(bytes)?.split(' ').next()?.parse().ok();
    bytes.and_then(first).unwrap_or(0)
}

fn time(bytes: &[u8], at: usize) -> Option<Millis> {
    let six = bytes.get(16 + at * 6..22 + at * 6)?;
    Some(Millis(six.iter().fold(0, |sum, byte| (sum << 8) | i64::from(*byte))))
}

/// A header as it is stored, with where its evidence is.
pub(crate) struct Stored {
    pub(crate) header: Header,
    /// Whether evidence is in the header's own hash.
    pub(crate) inline: bool,
}

impl Stored {
    /// Reads a header with its plan; `None` when there is none, or not one of ours.
    pub(crate) fn read(request: RequestKey, fields: &Fields, plan: Plan) -> Option<Self> {
        let times = get(fields, "a")?;
        let kind = text(times.get(34..)?)?;
        let (operation, lane) = (kind.chars().next()?, kind.chars().nth(1)?);
        let state = text(get(fields, "s")?)?.chars().next()?;
        let id = match get(fields, "u") {
            Some(bytes) => Uuid::from_slice(bytes).ok()?.as_hyphenated().to_string(),
            None => text(get(fields, "i")?)?.to_owned(),
        };
        let flags: u8 = number(fields, "f").unwrap_or(0);
        let (subjects, slices): (u64, u32) = (number_or_one(fields, "n")?, number_or_one(fields, "c")?);
        // A slice without a subject is nobody's: a number that memory would be asked for, and no request.
        if u64::from(slices) > subjects.max(1) {
            return None;
        }
        let header = Header {
            ledger: LedgerId(Uuid::from_slice(times.get(..16)?).ok()?),
            request,
            request_id: RequestId::new(id).ok()?,
            tenant: TenantId::new(text(get(fields, "t")?)?).ok()?,
            options: get(fields, "O").map_or(Some(Options::default()), |it| serde_json::from_slice(it).ok())?,
            operation: [Operation::Erase, Operation::Deactivate, Operation::Reactivate]
                .into_iter()
                .find(|it| operation_letter(*it) == operation)?,
            lane: Lane::ALL.into_iter().find(|it| lane_letter(*it) == lane)?,
            plan,
            subjects,
            slices,
            key: get(fields, "K")
                .zip(get(fields, "k"))
                .and_then(|(id, key)| wrapped_key(id, key)),
            received_at: time(times, 0)?,
            accepted_at: time(times, 1)?,
            due_at: time(times, 2)?,
            ticket: get(fields, "T").and_then(text).map(str::to_owned),
            state: RequestState::ALL.into_iter().find(|it| state_letter(*it) == state)?,
            finished_at: number(fields, "z").map(Millis),
            overdue: flags & FLAG_OVERDUE != 0,
            at_risk: flags & FLAG_AT_RISK != 0,
            generation: number(fields, "g").unwrap_or(1),
        };
        Some(Self {
            header,
            inline: get(fields, "b").is_none(),
        })
    }

    /// The field with the evidence of an entry in a slice.
    pub(crate) fn name_of(&self, entry: usize, slice: u32) -> String {
        if self.inline {
            entry.to_string()
        } else {
            format!("{entry}.{slice}")
        }
    }
}

/// Reads a header with its counts; `None` when there is none, or not one of ours.
pub(crate) fn progress(request: RequestKey, fields: &Fields, plan: Plan) -> Option<Progress> {
    let stored = Stored::read(request, fields, plan)?;
    let subjects = stored.header.subjects;
    let text_of = |name: &str| get(fields, name).and_then(text).unwrap_or_default();
    let entries = 0..stored.header.plan.entries().len();
    let (people, of_entries): (Counts, Vec<Counts>) = match get(fields, "C").and_then(text) {
        Some(all) => {
            let mut all = all.split(',').map(|it| counts(it, subjects));
            let mut next = || all.next().unwrap_or_else(|| counts("", subjects));
            (next(), entries.map(|_| next()).collect())
        }
        None if stored.inline => {
            let record = |at: usize| get(fields, &at.to_string()).map(Record::parse).unwrap_or_default();
            let records: Vec<Record> = entries.map(record).collect();
            let people = record::people(&stored.header.plan, &records).map_or_else(|| counts("", subjects), |it| it.of(subjects));
            (people, records.iter().map(|it| it.classes().of(subjects)).collect())
        }
        None => (
            counts(text_of("P"), subjects),
            entries.map(|at| counts(text_of(&format!("C{at}")), subjects)).collect(),
        ),
    };
    let entry = |(at, counts)| EntryProgress {
        counts,
        note: get(fields, &format!("N{at}")).and_then(text).and_then(note::decode),
    };
    Some(Progress {
        entries: of_entries.into_iter().enumerate().map(entry).collect(),
        people,
        header: stored.header,
    })
}

/// The stored six numbers.
fn counts(text: &str, subjects: u64) -> Counts {
    sorted(text.split(' ').map(|word| word.parse().unwrap_or(0)), subjects)
}

/// Erased, nothing held, retained, failed, pending, retrying; who is in none of them is in progress, so that the sum is always that
/// of the subjects.
pub(crate) fn sorted(mut numbers: impl Iterator<Item = u64>, subjects: u64) -> Counts {
    let mut left = subjects;
    let mut next = || {
        let some = numbers.next().unwrap_or(0).min(left);
        left -= some;
        some
    };
    let (erased, nothing_held, retained) = (next(), next(), next());
    let (needs_attention, waiting_for_vendor, retrying) = (next(), next(), next());
    Counts {
        erased,
        nothing_held,
        retained,
        needs_attention,
        waiting_for_vendor,
        retrying,
        in_progress: left,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_always_sum_to_the_subjects() {
        assert_eq!(counts("", 5).in_progress, 5);
        let some = counts("1 0 2", 5);
        assert_eq!((some.erased, some.retained, some.in_progress), (1, 2, 2));
        assert_eq!(counts("9 9", 5).total(), 5);
    }

    #[test]
    fn final_states_and_only_they_have_a_capital_letter() {
        assert!(
            RequestState::ALL
                .iter()
                .all(|it| it.is_final() == state_letter(*it).is_ascii_uppercase())
        );
    }
}
