//! What the roles tell each other over RabbitMQ, and what Redis holds and answers. What is read is written and read again as the
//! same, what is written is valid under its schema, and nothing that Redis could hold brings a reader down.

use super::Letter;
use erasure_protocol::{Act, Event, Mask, OutcomeMessage, RequestKey, WorkMessage};
use erasure_tracker::fuzz::{self, Hash};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::LazyLock;
use uuid::Uuid;

pub(super) fn judge(data: &[u8]) {
    let letter = Letter::open(data);
    match letter.get("kind") {
        Some("work") => message::<WorkMessage>("work", letter.body),
        Some("outcome") => message::<OutcomeMessage>("outcome", letter.body),
        Some("act") => act(letter.body),
        Some("event") => event(letter.body),
        Some("hash") => hash(letter.body),
        Some("note") => note(letter.body),
        Some("answer") => assert!(fuzz::answers_taken(letter.body) <= 7),
        _ => {
            let mask = Mask::from_bytes(letter.body);
            assert_eq!(Mask::from_bytes(mask.as_bytes()), mask);
            assert!(mask.iter().count() == mask.count() && mask.without(&mask).is_empty());
        }
    }
}

fn message<T: Serialize + DeserializeOwned + PartialEq + Debug>(schema: &str, body: &[u8]) {
    let Ok(read) = serde_json::from_slice::<T>(body) else { return };
    let written = serde_json::to_vec(&read).expect("a message is JSON");
    let again: T = serde_json::from_slice(&written).expect("what is written can be read");
    assert_eq!(again, read);
    valid(schema, &written);
}

fn act(body: &[u8]) {
    if let Some(act) = Act::parse(body) {
        assert_eq!(Act::parse(&act.to_json()), Some(act.clone()));
        valid("act", &act.to_json());
    }
}

fn event(body: &[u8]) {
    if let Some(event) = Event::parse(body) {
        assert_eq!(Event::parse(&event.to_json()), Some(event.clone()));
        valid("event", &event.to_json());
    }
}

fn valid(name: &str, written: &[u8]) {
    static SCHEMAS: LazyLock<BTreeMap<&str, jsonschema::Validator>> = LazyLock::new(|| {
        let schema = |text: &str| jsonschema::validator_for(&serde_json::from_str(text).expect("JSON")).expect("a schema");
        erasure_protocol::schemas()
            .iter()
            .map(|(name, text)| (*name, schema(text)))
            .collect()
    });
    let document: Value = serde_json::from_slice(written).expect("a message is JSON");
    if let Some(error) = SCHEMAS.get(name).and_then(|it| it.iter_errors(&document).next()) {
        panic!("we write what our schema refuses, at {}: {error}", error.instance_path());
    }
}

fn hash(body: &[u8]) {
    let request = RequestKey::from_uuid(Uuid::from_u128(7));
    let mut fields = fields(body);
    // As the partition's plans have it.
    let plan = fields.remove(&b"plan"[..]).unwrap_or_default();
    let slices = fields
        .get(&b"c"[..])
        .and_then(|it| std::str::from_utf8(it).ok()?.parse::<u32>().ok());
    if slices.is_some_and(|slices| slices > 100_000) && fields.get(&b"n"[..]).is_some_and(|it| it.len() > 5) {
        return; // as many people as a request may have: true, and slow
    }
    let Some(read) = fuzz::read(request, &fields, &plan) else {
        return;
    };
    let (header, subjects) = (&read.header, read.header.subjects);
    let again = fuzz::read(request, &fuzz::written(header), &fuzz::plan_written(header)).expect("what we write is one of ours");
    assert_eq!(&again.header, header, "a header is read as it was written");
    assert!(again.evidence.bits.is_empty(), "a header alone is no evidence");
    assert!(u64::from(header.slices) <= subjects.max(1), "no slice is empty");
    let counts = read.progress.entries.iter().map(|entry| entry.counts);
    for counts in counts.chain([read.progress.people]) {
        assert_eq!(counts.total(), subjects, "people and tasks sum to the subjects");
    }
    for open in &read.outstanding {
        assert!(header.plan.is_live(open.entry) && open.slice < header.slices);
        let done = read.evidence.done(open.entry, open.slice);
        assert!(open.missing.and(&done).is_empty(), "what is done is not missing");
    }
    let slices = header.plan.live().count() * header.slices as usize;
    assert!(read.outstanding.len() <= slices);
    for note in read.progress.entries.iter().filter_map(|entry| entry.note.as_ref()) {
        assert_eq!(fuzz::note(&fuzz::note_written(note)).as_ref(), Some(note));
    }
}

/// Lines `name=value`; a value that begins with `x:` is hexadecimal.
fn fields(body: &[u8]) -> Hash {
    let field = |line: &[u8]| -> Option<(Vec<u8>, Vec<u8>)> {
        let at = line.iter().position(|byte| *byte == b'=')?;
        let (name, value) = (&line[..at], &line[at + 1..]);
        let value = match value.strip_prefix(b"x:") {
            Some(digits) => unhex(digits)?,
            None => value.to_vec(),
        };
        Some((name.to_vec(), value))
    };
    body.split(|byte| *byte == b'\n').filter_map(field).collect()
}

fn unhex(digits: &[u8]) -> Option<Vec<u8>> {
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.chunks(2).map(pair).collect()
}

fn note(body: &[u8]) {
    let Ok(text) = std::str::from_utf8(body) else { return };
    if let Some(note) = fuzz::note(text) {
        assert_eq!(fuzz::note(&fuzz::note_written(&note)), Some(note));
    }
}
