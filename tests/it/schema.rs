//! What is published for other programs to read: the JSON Schema of every message and of the configuration.

use anyhow::{Context as _, Result, ensure};
use erasure_protocol::Command;
use erasure_tests::binary::repository;
use serde_json::{Value, json};

fn validator(schema: &str) -> Result<jsonschema::Validator> {
    let schema: Value = serde_json::from_str(schema)?;
    ensure!(schema["$schema"] == "https://json-schema.org/draft/2020-12/schema");
    jsonschema::meta::validate(&schema).map_err(|error| anyhow::anyhow!("{error}"))?;
    Ok(jsonschema::validator_for(&schema)?)
}

fn of(name: &str) -> Result<jsonschema::Validator> {
    let all = erasure_protocol::schemas();
    let (_, schema) = all
        .iter()
        .find(|(it, _)| *it == name)
        .with_context(|| format!("no schema {name}"))?;
    validator(schema)
}

fn errors(validator: &jsonschema::Validator, document: &Value) -> Vec<String> {
    validator
        .iter_errors(document)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect()
}

/// `ERASURE_GOLDEN=write` writes them anew. A change here is a change of the contract.
#[test]
fn the_schemas_in_the_repository_are_those_of_the_types() -> Result<()> {
    let folder = repository().join("shared/protocol/schema");
    for (name, text) in erasure_protocol::schemas() {
        let path = folder.join(format!("{name}.json"));
        if std::env::var("ERASURE_GOLDEN").is_ok_and(|it| it == "write") {
            std::fs::write(&path, &text)?;
        }
        let kept = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        assert_eq!(
            kept, text,
            "{name}: write it anew with ERASURE_GOLDEN=write, and look at the difference"
        );
        validator(&text)?;
    }
    assert_eq!(std::fs::read_dir(&folder)?.count(), erasure_protocol::schemas().len());
    Ok(())
}

#[test]
fn every_golden_message_is_valid_under_its_schema() -> Result<()> {
    let mut seen = 0;
    for entry in std::fs::read_dir(repository().join("shared/protocol/tests/golden"))? {
        let path = entry?.path();
        let name = path.file_stem().and_then(|it| it.to_str()).context("a name")?.to_owned();
        let mut document: Value = serde_json::from_str(&std::fs::read_to_string(&path)?)?;
        if name == "command-binary-headers" {
            continue; // headers of a message, not a body
        }
        if name == "command-structured" {
            document = document["data"].take();
        }
        let kind = name.split('-').next().unwrap_or_default();
        let mut validator = of(kind)?;
        // The data of a CloudEvent may leave the request id to the event's own.
        if name == "command-structured" && document.get("request_id").is_none() {
            document["request_id"] = json!("of-the-event");
            validator = of("command")?;
        }
        assert_eq!(errors(&validator, &document), Vec::<String>::new(), "{name}");
        seen += 1;
    }
    ensure!(seen >= 20, "only {seen} files");
    Ok(())
}

fn good() -> Value {
    json!({
        "version": 1, "request_id": "DSR-2026:0001", "tenant": "Acme Ltd.", "operation": "erase",
        "subjects": [{ "user_id": 7 }, { "email": "jo@example.org", "business_unit": "eu" }],
    })
}

fn with(field: &str, value: Value) -> Value {
    let mut command = good();
    command[field] = value;
    command
}

fn without(field: &str) -> Value {
    let mut command = good();
    command.as_object_mut().expect("an object").remove(field);
    command
}

fn people(count: usize) -> Value {
    (0..count).map(|number| json!({ "user_id": number })).collect()
}

fn part(number: Value, count: usize) -> Value {
    let mut command = with("subjects", people(count));
    command["part"] = json!({ "number": number, "last": false });
    command
}

#[test]
fn the_parser_and_the_schema_of_the_command_agree() -> Result<()> {
    let validator = of("command")?;
    let taken = [
        good(),
        with("operation", json!("deactivate")),
        with("operation", json!("reactivate")),
        with("subjects", people(1)),
        with("subjects", people(1000)),
        with("subjects", json!([{ "user_id": "0x1" }])),
        with("subjects", json!([{ "user_id": -5 }])),
        with("subjects", json!([{ "name": "Zoë  " }])),
        with("subjects", json!([{ "email": "e".repeat(1024) }])),
        with("tenant", json!("Müller & Söhne")),
        with("request_id", json!("a".repeat(128))),
        with("received_at", json!("2026-11-22T03:00:00Z")),
        with("received_at", json!("2026-11-22T03:00:00.123+01:00")),
        with("regulation", json!("ccpa")),
        with("origin", json!("workplace_manager")),
        with("ticket", json!("HELP-7")),
        with("preserveEmptyAccount", json!(false)),
        part(json!(0), 1),
        part(json!(8_388_607), 512),
    ];
    let refused = [
        json!([]),
        json!("erase"),
        json!({}),
        without("version"),
        without("request_id"),
        without("tenant"),
        without("operation"),
        without("subjects"),
        with("version", json!(0)),
        with("version", json!(2)),
        with("version", json!("1")),
        with("request_id", json!("somebody@example.org")),
        with("request_id", json!("")),
        with("request_id", json!(5)),
        with("request_id", json!(null)),
        with("request_id", json!("a".repeat(129))),
        with("tenant", json!(" ")),
        with("tenant", json!("a\nb")),
        with("tenant", json!("t".repeat(257))),
        with("operation", json!("forget")),
        with("subjects", json!([])),
        with("subjects", people(1001)),
        with("subjects", json!({})),
        with("subjects", json!(["u-1"])),
        with("subjects", json!([{}])),
        with("subjects", json!([{ "E-Mail": "a" }])),
        with("subjects", json!([{ "email": null }])),
        with("subjects", json!([{ "email": " " }])),
        with("subjects", json!([{ "email": "a\u{0}b" }])),
        with("subjects", json!([{ "email": "e".repeat(1025) }])),
        with("subjects", json!([{ "user_id": 1.5 }])),
        with("subjects", json!([{ "user_id": true }])),
        with("subjects", json!([{ "user_id": ["1"] }])),
        with("received_at", json!("yesterday")),
        with("received_at", json!("2026-11-22")),
        with("received_at", json!(null)),
        with("received_at", json!(1_790_000_000)),
        with("regulation", json!("hipaa")),
        with("origin", json!("nobody")),
        with("ticket", json!("a ticket")),
        with("preserveEmptyAccount", json!("yes")),
        with("preserve_empty_account", json!(true)),
        with("subject", json!([])),
        with("part", json!({ "number": 0 })),
        with("part", json!({ "number": 0, "last": true, "of": 3 })),
        part(json!(-1), 1),
        part(json!(8_388_608), 1),
        part(json!(0), 513),
    ];
    let verdicts = taken.iter().map(|it| (it, true)).chain(refused.iter().map(|it| (it, false)));
    for (document, expected) in verdicts {
        let parsed = Command::parse(&serde_json::to_vec(document)?);
        let shown: String = document.to_string().chars().take(200).collect();
        assert_eq!(parsed.is_ok(), expected, "the parser on {shown}: {parsed:?}");
        assert_eq!(
            validator.is_valid(document),
            expected,
            "the schema on {shown}: {:?}",
            errors(&validator, document)
        );
    }
    Ok(())
}

#[test]
fn the_commented_configuration_is_valid_under_the_schema_that_the_binary_prints() -> Result<()> {
    let validator = validator(&std::fs::read_to_string(
        repository().join("workers/fleet/src/config/schema.json"),
    )?)?;
    let manual = std::fs::read_to_string(repository().join("deploy/config/erasure.toml"))?;
    let setting = |text: &str| text.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '));
    let unmarked = |line: &str| match (line.strip_prefix("#+ "), line.strip_prefix("# ")) {
        (Some(text), _) => format!("{text}\n"),
        (None, Some(text)) if setting(text) => format!("{text}\n"),
        (None, _) => format!("{line}\n"),
    };
    let whole: String = manual.lines().map(unmarked).collect();
    for text in [manual, whole] {
        let document: Value = serde_json::to_value(toml::from_str::<toml::Table>(&text)?)?;
        assert_eq!(errors(&validator, &document), Vec::<String>::new());
    }
    Ok(())
}
