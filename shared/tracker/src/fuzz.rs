//! For the fuzzer in `tests/fuzz` alone: the readers of what Redis holds and answers, without Redis.

use crate::header::{self, Stored};
use crate::{Evidence, Outstanding, answer, note, reading};
use erasure_protocol::{Header, Plan, Progress, RequestKey, TaskOutcome};
use std::collections::HashMap;

/// The fields of a hash.
pub type Hash = HashMap<Vec<u8>, Vec<u8>>;

/// What a hash says of a request.
#[derive(Debug, PartialEq)]
pub struct Read {
    /// Its header.
    pub header: Header,
    /// How far it is.
    pub progress: Progress,
    /// Its evidence.
    pub evidence: Evidence,
    /// What is not done.
    pub outstanding: Vec<Outstanding>,
}

/// Reads a hash that holds header and evidence, of a plan of which this is the text; `None` when they are not ours.
#[must_use]
pub fn read(request: RequestKey, fields: &Hash, plan: &[u8]) -> Option<Read> {
    let plan = Plan::from_bytes(plan)?;
    let stored = Stored::read(request, fields, plan.clone())?;
    Some(Read {
        progress: header::progress(request, fields, plan)?,
        evidence: reading::evidence(&stored, fields),
        outstanding: reading::outstanding(&stored, fields),
        header: stored.header,
    })
}

/// The fields of a header as the scripts store them.
#[must_use]
pub fn written(header: &Header) -> Hash {
    let named = |(name, value): (&str, Vec<u8>)| (name.as_bytes().to_vec(), value);
    let mut fields: Hash = header::fields(header).into_iter().map(named).collect();
    let mut put = |name: &str, value: String| fields.insert(name.into(), value.into_bytes());
    put("s", header::state_letter(header.state).to_string());
    put("n", header.subjects.to_string());
    put("c", header.slices.to_string());
    put("f", header::flags(header).to_string());
    put("g", header.generation.to_string());
    if let Some(at) = header.finished_at {
        put("z", at.0.to_string());
    }
    fields
}

/// A plan as the scripts store it.
#[must_use]
pub fn plan_written(header: &Header) -> Vec<u8> {
    header.plan.to_bytes()
}

/// Reads a note.
#[must_use]
pub fn note(text: &str) -> Option<TaskOutcome> {
    note::decode(text)
}

/// Writes a note.
#[must_use]
pub fn note_written(note: &TaskOutcome) -> String {
    note::encode(note)
}

/// Reads bytes of the Redis protocol as every script's answer, and says how many of the readers took them.
#[must_use]
pub fn answers_taken(bytes: &[u8]) -> usize {
    let Ok(value) = redis::parse_redis_value(bytes) else {
        return 0;
    };
    let taken = [
        answer::claimed(value.clone()).is_ok(),
        answer::marked(value.clone()).is_ok(),
        answer::init(value.clone()).is_ok(),
        answer::finished(value.clone()).is_ok(),
        answer::fields(value.clone()).is_ok(),
        answer::optional_text(value.clone()).is_ok(),
        answer::time(value).is_ok(),
    ];
    taken.into_iter().filter(|it| *it).count()
}
