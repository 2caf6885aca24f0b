//! Files of subjects. Every line is good, bad or blank; every part is a command that intake would take; a line of NDJSON means
//! what the same object means in a command.

use super::Letter;
use erasure_intake::file::{Format, LINE_BYTES_MAX, PRESERVE_COLUMN, Parts, Report, Vocabulary};
use erasure_protocol::{Command, IdentifierKind, Operation, Options, RequestId, SLICE_SUBJECTS_MAX};
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::BufReader;

pub(super) fn judge(data: &[u8]) {
    let letter = Letter::open(data);
    let format = match letter.get("format") {
        Some("ndjson") => Format::Ndjson,
        _ => Format::Csv,
    };
    // The size of the buffer moves its border through the lines.
    let buffer = letter.get("buffer").and_then(|it| it.parse::<u8>().ok()).unwrap_or(64);
    let reader = BufReader::with_capacity(usize::from(buffer).max(1), letter.body);
    match Parts::open(reader, format, vocabulary(), template()) {
        Err(error) => assert!(error.to_string().len() < 400, "a short refusal: {error}"),
        Ok(mut parts) => {
            let commands: Vec<Command> = parts.by_ref().map(|part| part.expect("memory can be read")).collect();
            assert!(parts.next().is_none(), "what has ended stays ended");
            judge_parts(&commands, parts.report());
            judge_lines(letter.body, format, parts.report());
        }
    }
}

fn judge_parts(commands: &[Command], report: &Report) {
    let vocabulary = vocabulary();
    for (at, command) in commands.iter().enumerate() {
        let read = Command::parse(&command.to_json());
        assert_eq!(read.as_ref(), Ok(command), "a part is a command");
        command
            .check_kinds(&vocabulary.kinds, &vocabulary.alternatives)
            .expect("every subject of a part can be found");
        let part = command.part.expect("a file comes in parts");
        assert_eq!((part.number as usize, part.last), (at, at + 1 == commands.len()));
        assert!(
            part.last || command.subjects.len() == SLICE_SUBJECTS_MAX,
            "only the last part is short"
        );
    }
    let subjects: usize = commands.iter().map(|command| command.subjects.len()).sum();
    assert_eq!(subjects as u64, report.good, "good lines are subjects");
}

fn judge_lines(body: &[u8], format: Format, report: &Report) {
    let lines = lines(body, format);
    let blank = lines.iter().filter(|line| is_blank(line)).count() as u64;
    assert_eq!(
        report.good + report.bad_count + blank,
        lines.len() as u64,
        "good, bad and blank are all lines"
    );
    assert!(
        report.bad.len() as u64 == report.bad_count.min(1000),
        "the first thousand are listed"
    );
    assert!(report.bad.is_sorted_by(|a, b| a.line < b.line), "each once, in order");
    for bad in &report.bad {
        let (_, text) = lines
            .iter()
            .find(|(number, _)| *number == bad.line)
            .expect("a line of the file");
        let field = bad.field.as_str();
        let known = field.is_empty() || field == PRESERVE_COLUMN || field == "(name withheld)" || is_kind(field);
        assert!(known || names(text).contains(field), "a report names {field:?}");
    }
    if format == Format::Ndjson {
        let bad: BTreeSet<u64> = report.bad.iter().map(|bad| bad.line).collect();
        if report.bad_count <= 1000 {
            let good = lines.iter().filter(|line| !bad.contains(&line.0) && !is_blank(line));
            good.for_each(|(_, text)| as_in_a_command(text));
        }
    }
}

/// The lines of the body after the header, with their numbers.
fn lines(body: &[u8], format: Format) -> Vec<(u64, &[u8])> {
    let body = body.strip_suffix(b"\n").map_or(body, |it| it);
    if body.is_empty() {
        return Vec::new();
    }
    let skipped = usize::from(format == Format::Csv);
    (1..).zip(body.split(|byte| *byte == b'\n')).skip(skipped).collect()
}

/// A byte order mark is none of the first line alone.
fn is_blank((number, line): &(u64, &[u8])) -> bool {
    let line = if *number == 1 {
        line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line)
    } else {
        line
    };
    line.len() <= LINE_BYTES_MAX && std::str::from_utf8(line).is_ok_and(|text| text.trim().is_empty())
}

/// A good line is a subject that a command could carry. A command refuses an empty text, which a line may hold for "none".
fn as_in_a_command(line: &[u8]) {
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    let object: Value = serde_json::from_slice(line).expect("a good line is JSON");
    let fields = object.as_object().expect("a good line is an object");
    let blank = |value: &Value| value.as_str().is_some_and(|text| text.trim().is_empty());
    if fields.contains_key(PRESERVE_COLUMN) || fields.values().any(blank) {
        return;
    }
    let command = [
        br#"{"version":1,"request_id":"line","tenant":"acme","operation":"erase","subjects":["#,
        line,
        b"]}",
    ]
    .concat();
    if let Err(error) = Command::parse(&command) {
        panic!("a line is good, and the same object in a command is not: {error}");
    }
}

fn is_kind(name: &str) -> bool {
    vocabulary().kinds.iter().any(|kind| kind.as_str() == name)
}

/// The names of the fields of a line, where it is an object.
fn names(line: &[u8]) -> BTreeSet<String> {
    let object: Option<Value> = serde_json::from_slice(line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line)).ok();
    let names = object.as_ref().and_then(Value::as_object);
    names.map(|fields| fields.keys().cloned().collect()).unwrap_or_default()
}

fn vocabulary() -> Vocabulary {
    let kinds = ["user_id", "email", "business_unit"].map(|name| IdentifierKind::new(name).expect("a kind"));
    let [user, email, unit] = kinds.clone();
    Vocabulary {
        kinds: kinds.into(),
        alternatives: vec![vec![user], vec![email, unit]],
    }
}

fn template() -> Command {
    Command {
        request_id: RequestId::new("file-1").expect("an id"),
        tenant: "acme".to_owned(),
        operation: Operation::Erase,
        subjects: Vec::new(),
        received_at: None,
        regulation: None,
        origin: None,
        ticket: None,
        options: Options::default(),
        part: None,
    }
}
