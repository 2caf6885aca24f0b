//! What is read, and how everything else is refused.

use super::*;
use crate::Envelope;
use serde_json::{Value, json};

fn good() -> Value {
    json!({
        "version": 1, "request_id": "r-1", "tenant": "Acme Ltd.", "operation": "erase",
        "subjects": [{"user_id": 7}, {"email": "planted@example.org", "business_unit": "eu"}],
    })
}

fn with(field: &str, value: Value) -> Value {
    let mut command = good();
    command[field] = value;
    command
}

fn parse(command: &Value) -> Result<Command, CommandError> {
    Command::parse(&serde_json::to_vec(command).unwrap())
}

fn refusal(command: &Value) -> (CommandCode, String) {
    let error = parse(command).unwrap_err();
    assert!(!error.to_string().contains("planted"), "{error}");
    (error.code(), error.problems[0].field.clone())
}

#[test]
fn a_command_is_read_and_written_back() {
    let command = parse(&good()).unwrap();
    assert_eq!(command.subjects[0][&IdentifierKind::new("user_id").unwrap()].expose(), "7");
    assert_eq!(Command::parse(&command.to_json()), Ok(command));
}

#[test]
fn an_id_may_be_given_to_a_command_that_has_none() {
    let given = RequestId::new("given").unwrap();
    let mut command = good();
    let read = |command: &Value| Command::parse_or(&serde_json::to_vec(command).unwrap(), given.clone());
    assert_eq!(read(&command).unwrap().request_id.as_str(), "r-1");
    command.as_object_mut().unwrap().remove("request_id");
    assert_eq!(read(&command).unwrap().request_id, given);
    command["request_id"] = json!("a b");
    assert_eq!(read(&command).unwrap_err().problems[0].field, "request_id");
}

#[test]
fn every_refusal_names_the_field() {
    use CommandCode as C;
    for (field, value, code, path) in [
        ("version", json!(0), C::VersionOld, "version"),
        ("version", json!("1"), C::WrongType, "version"),
        ("version", json!(2), C::VersionNewer, "version"),
        ("request_id", json!("planted@example.org"), C::BadId, "request_id"),
        ("request_id", json!(5), C::WrongType, "request_id"),
        ("tenant", json!(" "), C::BadTenant, "tenant"),
        ("tenant", json!("a\nb"), C::BadTenant, "tenant"),
        ("operation", json!("planted"), C::UnknownWord, "operation"),
        ("subjects", json!([]), C::NoSubjects, "subjects"),
        ("subjects", json!({}), C::WrongType, "subjects"),
        ("subjects", json!(["planted"]), C::WrongType, "subjects[0]"),
        ("subjects", json!([{}]), C::NoIdentifiers, "subjects[0]"),
        (
            "subjects",
            json!([{"user_id": 1}, {"email": "  "}]),
            C::IdentifierEmpty,
            "subjects[1].email",
        ),
        (
            "subjects",
            json!([{"email": null}]),
            C::IdentifierNotText,
            "subjects[0].email",
        ),
        (
            "subjects",
            json!([{"user_id": 1.5}]),
            C::IdentifierNotText,
            "subjects[0].user_id",
        ),
        (
            "subjects",
            json!([{"email": "planted\u{0}"}]),
            C::IdentifierNul,
            "subjects[0].email",
        ),
        (
            "subjects",
            json!([{"email": "x".repeat(1025)}]),
            C::IdentifierTooLong,
            "subjects[0].email",
        ),
        (
            "subjects",
            json!([{"planted@example.org": "x"}]),
            C::UnknownKind,
            "subjects[0].(name withheld)",
        ),
        (
            "subjects",
            json!(vec![json!({"user_id": 1}); 1001]),
            C::TooManySubjects,
            "subjects",
        ),
        ("received_at", json!("planted"), C::BadTime, "received_at"),
        ("regulation", json!("hipaa"), C::UnknownWord, "regulation"),
        ("origin", json!("me"), C::UnknownWord, "origin"),
        ("ticket", json!("planted me"), C::BadId, "ticket"),
        ("preserveEmptyAccount", json!("yes"), C::WrongType, "preserveEmptyAccount"),
        ("part", json!({"number": -1, "last": true}), C::BadPart, "part.number"),
        ("part", json!({"number": 1}), C::Missing, "part.last"),
        ("emial", json!(1), C::UnknownField, "emial"),
        ("planted@example.org", json!(1), C::UnknownField, "(name withheld)"),
    ] {
        assert_eq!(
            refusal(&with(field, value.clone())),
            (code, path.to_owned()),
            "{field} = {value}"
        );
    }
    for field in ["version", "request_id", "tenant", "operation", "subjects"] {
        let mut command = good();
        command.as_object_mut().unwrap().remove(field);
        assert_eq!(refusal(&command), (C::Missing, field.to_owned()));
    }
}

#[test]
fn a_part_holds_at_most_a_slice() {
    let mut command = with("subjects", json!(vec![json!({"user_id": 1}); 513]));
    assert!(parse(&command).is_ok());
    command["part"] = json!({"number": 0, "last": true});
    assert_eq!(refusal(&command).0, CommandCode::TooManySubjects);
}

#[test]
fn what_is_no_command_at_all_is_told_apart() {
    let code = |body: &[u8]| Command::parse(body).unwrap_err().code();
    assert_eq!(code(b"planted"), CommandCode::NotJson);
    assert_eq!(code(b""), CommandCode::NotJson);
    assert_eq!(code(b"[]"), CommandCode::WrongType);
    assert_eq!(code(b"\"\xff\""), CommandCode::NotUtf8);
    assert_eq!(code(&vec![b' '; COMMAND_BYTES_MAX + 1]), CommandCode::TooLarge);
    assert_eq!(code("[".repeat(100_000).as_bytes()), CommandCode::NotJson);
}

#[test]
fn a_field_given_twice_is_refused() {
    let text = good().to_string();
    let twice = text.replacen('{', "{\"tenant\":\"other\",", 1);
    assert_eq!(Command::parse(twice.as_bytes()).unwrap_err().code(), CommandCode::GivenTwice);
    let twice = text.replace("{\"user_id\":7}", "{\"user_id\":7,\"user_id\":8}");
    let error = Command::parse(twice.as_bytes()).unwrap_err();
    assert_eq!(
        error.problems[0],
        Problem {
            code: CommandCode::GivenTwice,
            field: "subjects[0].user_id".to_owned()
        }
    );
}

#[test]
fn a_newer_version_is_not_judged_further() {
    let error = Command::parse(br#"{"version": 2, "whatever": []}"#).unwrap_err();
    assert!(error.is_newer());
    assert_eq!(error.problems.len(), 1);
}

#[test]
fn many_problems_are_listed_up_to_a_limit_and_counted_beyond() {
    let error = parse(&with("subjects", json!(vec![json!({"email": ""}); 50]))).unwrap_err();
    assert_eq!((error.problems.len(), error.more), (20, 30));
}

#[test]
fn kinds_are_checked_against_the_data_map() {
    let kinds = ["user_id", "email", "business_unit"].map(|name| IdentifierKind::new(name).unwrap());
    let [user, email, unit] = kinds.clone();
    let alternatives = [vec![user], vec![email, unit]];
    let check = |subject: Value| {
        parse(&with("subjects", json!([subject])))
            .unwrap()
            .check_kinds(&kinds, &alternatives)
    };
    assert_eq!(parse(&good()).unwrap().check_kinds(&kinds, &alternatives), Ok(()));
    assert_eq!(
        check(json!({"email": "a@b.c"})).unwrap_err().code(),
        CommandCode::NoAlternative
    );
    assert_eq!(
        check(json!({"user_id": 1, "phone": "1"})).unwrap_err().problems[0].field,
        "subjects[0].phone"
    );
}

#[test]
fn versions_one_back_are_read_and_no_further() {
    assert_eq!(version_is_read(1, 0), VersionRead::Older);
    assert_eq!(version_is_read(1, 1), VersionRead::Read);
    assert_eq!(version_is_read(1, 2), VersionRead::Newer);
    assert_eq!(version_is_read(3, 2), VersionRead::Read);
    assert_eq!(version_is_read(3, 1), VersionRead::Older);
    assert_eq!(version_is_read(1, u32::MAX), VersionRead::Newer);
}

#[test]
fn events_carry_commands_in_both_modes() {
    let mut data = good();
    data.as_object_mut().unwrap().remove("request_id");
    let event = json!({"specversion": "1.0", "type": "erasure.request", "source": "/crm", "id": "1", "data": data});
    let structured = serde_json::to_vec(&event).unwrap();
    let read = Envelope::read(Some("application/cloudevents+json; charset=utf-8"), &[], &structured).unwrap();
    assert!(read.command.request_id.as_str().starts_with("ce-"));
    assert_eq!(Envelope::read(Some("application/json"), &[], &structured), Ok(read.clone()));

    let body = serde_json::to_vec(&data).unwrap();
    for prefix in ["cloudEvents_", "cloudEvents:"] {
        let headers: Vec<_> = [
            ("specversion", "1.0"),
            ("type", "erasure.request"),
            ("source", "/crm"),
            ("id", "1"),
        ]
        .map(|(name, value)| (format!("{prefix}{name}"), value.to_owned()))
        .into();
        assert_eq!(Envelope::read(Some("application/json"), &headers, &body), Ok(read.clone()));
        let error = Envelope::read(None, &headers[..3], &body).unwrap_err();
        assert_eq!(
            error.problems[0],
            Problem {
                code: CommandCode::Missing,
                field: "id".to_owned()
            }
        );
    }

    let code = |field: &str, value: Value| {
        let mut event = event.clone();
        event[field] = value;
        Envelope::read(
            Some("application/cloudevents+json"),
            &[],
            &serde_json::to_vec(&event).unwrap(),
        )
        .unwrap_err()
        .code()
    };
    assert_eq!(code("type", json!("other")), CommandCode::NotOurEvent);
    assert_eq!(code("specversion", json!("0.3")), CommandCode::EventVersion);
    assert_eq!(code("source", json!("")), CommandCode::Missing);
    assert_eq!(code("data", json!(7)), CommandCode::WrongType);
    assert_eq!(
        Envelope::read(Some("text/plain"), &[], &body).unwrap_err().code(),
        CommandCode::ContentType
    );
}

#[test]
fn another_source_or_id_is_another_request() {
    let ids = |source: &str, id: &str| {
        crate::CloudEventIds {
            source: source.to_owned(),
            id: id.to_owned(),
        }
        .request_id()
    };
    assert_eq!(ids("/a", "1"), ids("/a", "1"));
    assert_ne!(ids("/a", "1"), ids("/a", "2"));
    assert_ne!(ids("/a\n1", "1"), ids("/a", "1\n1"));
}

#[test]
fn codes_are_unique() {
    let codes: BTreeSet<_> = CommandCode::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(codes.len(), CommandCode::ALL.len());
}
