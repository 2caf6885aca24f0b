//! Commands as producers send them. What is read is written and read again as the same and is valid under the published schema;
//! what is refused names a field and a code, and nothing that stood in a value.

use super::Letter;
use erasure_intake::due_at;
use erasure_privacy::{KeyRing, generate};
use erasure_protocol::{
    Command, CommandError, Envelope, Identifier, IdentifierKind, Millis, Regulation, SEALED_CONTENT_TYPE, SealedEnvelope,
};
use serde_json::Value;
use std::collections::BTreeSet;
use std::sync::LazyLock;

/// Words that a refusal may name, whether they stood in the input or not.
const VOCABULARY: [&str; 27] = [
    "version",
    "request_id",
    "tenant",
    "operation",
    "subjects",
    "received_at",
    "regulation",
    "origin",
    "ticket",
    "preserveEmptyAccount",
    "part",
    "number",
    "last",
    "specversion",
    "type",
    "source",
    "id",
    "data",
    "data_base64",
    "datacontenttype",
    "content_type",
    "user_id",
    "external_id",
    "email",
    "business_unit",
    "(name withheld)",
    "",
];

pub(super) fn judge(data: &[u8]) {
    let letter = Letter::open(data);
    let content_type = letter.get("content-type");
    if content_type == Some(SEALED_CONTENT_TYPE) {
        return sealed(letter.body);
    }
    let headers: Vec<(String, String)> = letter
        .head
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    match Envelope::read(content_type, &headers, letter.body) {
        Ok(envelope) => {
            taken(&envelope.command);
            if envelope.event.is_none() {
                as_it_came(letter.body);
            }
        }
        Err(error) => refused(&error, letter.body),
    }
}

fn taken(command: &Command) {
    let json = command.to_json();
    assert_eq!(
        Command::parse(&json).as_ref(),
        Ok(command),
        "what is written is read as the same"
    );
    valid(&serde_json::from_slice(&json).expect("a written command is JSON"));
    let mut masked = command.clone();
    for value in masked.subjects.iter_mut().flat_map(|subject| subject.values_mut()) {
        *value = Identifier::new("x").expect("an identifier");
    }
    assert_eq!(
        format!("{command:?}"),
        format!("{masked:?}"),
        "printing shows nothing of an identifier"
    );
    for regulation in Regulation::ALL {
        let received = command.received_at.unwrap_or(Millis(0));
        assert!(due_at(*regulation, received) >= received, "nothing is due before it came");
    }
    if let Err(error) = command.check_kinds(&kinds(), &[kinds()]) {
        told(&error, &values_of(&json));
    }
}

/// What the parser takes the schema takes too, in the producer's own writing.
fn as_it_came(body: &[u8]) {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let document: Value = serde_json::from_slice(body).expect("what was read is JSON");
    if document.get("specversion").is_none() {
        valid(&document);
    }
}

fn valid(document: &Value) {
    static SCHEMA: LazyLock<jsonschema::Validator> = LazyLock::new(|| {
        let (_, text) = erasure_protocol::schemas()
            .into_iter()
            .find(|(name, _)| *name == "command")
            .expect("the command has a schema");
        jsonschema::validator_for(&serde_json::from_str(&text).expect("a schema is JSON")).expect("a schema")
    });
    if let Some(error) = SCHEMA.iter_errors(document).next() {
        panic!(
            "the parser takes what the schema refuses, at {}: {error}",
            error.instance_path()
        );
    }
}

fn refused(error: &CommandError, body: &[u8]) {
    told(error, &values_of(body));
}

/// A refusal names fields, and none of the texts that stand in values only.
fn told(error: &CommandError, values: &BTreeSet<String>) {
    assert!(
        !error.problems.is_empty() && error.problems.len() <= 20,
        "between one and twenty problems"
    );
    let text = error.to_string();
    assert!(text.len() < 20 * 1024, "a refusal is short: {} bytes", text.len());
    for problem in &error.problems {
        assert!(text.contains(problem.code.as_str()) && text.contains(problem.code.meaning()));
        let place = problem.field.strip_prefix("line ").is_some_and(|rest| {
            rest.split(" column ")
                .all(|number| number.bytes().all(|byte| byte.is_ascii_digit()))
        });
        for word in problem.field.split('.').filter(|_| !place) {
            let word = word.split('[').next().unwrap_or_default();
            let shaped = word.len() <= 41 && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
            assert!(
                VOCABULARY.contains(&word) || (shaped && !values.contains(word)),
                "a refusal names {word:?}"
            );
        }
    }
}

/// The texts and numbers that stand in values and not in names, in a body that may be anything.
fn values_of(body: &[u8]) -> BTreeSet<String> {
    let (mut values, mut names) = (BTreeSet::new(), BTreeSet::new());
    if let Ok(document) = serde_json::from_slice(body) {
        walk(&document, &mut values, &mut names);
    }
    values.difference(&names).cloned().collect()
}

fn walk(value: &Value, values: &mut BTreeSet<String>, names: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => drop(values.insert(text.clone())),
        Value::Number(number) => drop(values.insert(number.to_string())),
        Value::Array(items) => items.iter().for_each(|item| walk(item, values, names)),
        Value::Object(fields) => fields.iter().for_each(|(name, value)| {
            names.insert(name.clone());
            walk(value, values, names);
        }),
        Value::Null | Value::Bool(_) => {}
    }
}

fn kinds() -> Vec<IdentifierKind> {
    let kinds = ["user_id", "email"].map(|name| IdentifierKind::new(name).expect("a kind"));
    kinds.into()
}

/// An envelope is written as it was read; what it holds is opened or refused without a word of it; and what we seal we open.
fn sealed(body: &[u8]) {
    if let Some(envelope) = SealedEnvelope::parse(body) {
        assert_eq!(SealedEnvelope::parse(&envelope.to_json()), Some(envelope));
    }
    let keys = &*KEYS;
    if let Err(error) = keys.open_command(body) {
        // A missing key is named, so that it can be found: everything else is a fixed sentence.
        assert!(
            error.is_unknown_key() || error.to_string().len() < 300,
            "a short refusal: {error}"
        );
    }
    let sealed = keys.seal_command(body).expect("sealing works");
    assert_eq!(keys.open_command(&sealed).expect("what we sealed"), body);
    assert!(keys.open_parked(&sealed).is_err(), "a command is no parked body");
}

static KEYS: LazyLock<KeyRing> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("keys.toml");
    generate(&path, Millis(1_790_000_000_000)).expect("a key ring");
    KeyRing::load(&path).expect("the key ring just made")
});
