//! Holds `deploy/config/erasure.toml`, the manual, to what is really read.

use super::{Config, layer};
use serde_json::Value;

const MANUAL: &str = include_str!("../../../../deploy/config/erasure.toml");
const SCHEMA: &str = include_str!("schema.json");

/// The manual with the marks removed: of the examples, of the defaults.
fn unmarked(examples: bool, defaults: bool) -> String {
    let line = |line: &str| match line.strip_prefix("#+ ").filter(|_| examples) {
        Some(example) => example.to_owned(),
        None => match line.strip_prefix("# ").filter(|rest| defaults && is_setting(rest)) {
            Some(default) => default.to_owned(),
            None => line.to_owned(),
        },
    };
    MANUAL.lines().map(|it| line(it) + "\n").collect()
}

/// A sentence has no ` = ` after its first word.
fn is_setting(text: &str) -> bool {
    text.split_once(" = ")
        .is_some_and(|(key, _)| key.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)))
}

fn read(text: &str) -> Config {
    layer::read(text, std::iter::empty()).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn the_manual_can_be_used_as_it_is() {
    assert_eq!(read(MANUAL).tenant.len(), 1);
}

#[test]
fn every_default_in_the_manual_is_the_default() {
    let plain = read(&unmarked(true, false));
    let spelt = read(&unmarked(true, true));
    assert!(
        plain == spelt,
        "a line `# key = value` is not the default:\n{plain:#?}\n{spelt:#?}"
    );
    // The lines really are settings, and not skipped as sentences.
    let count = MANUAL
        .lines()
        .filter(|it| it.strip_prefix("# ").is_some_and(is_setting))
        .count();
    assert!(count > 55, "{count} defaults");
}

#[test]
fn the_manual_has_every_key_and_every_default_of_the_schema() {
    let whole: Value = toml::from_str(&unmarked(true, true)).unwrap();
    let mut missing = Vec::new();
    look(&serde_json::from_str(SCHEMA).unwrap(), &[&whole], "", &mut missing);
    assert!(missing.is_empty(), "not in the manual, or with another default: {missing:#?}");
}

/// `found` are all the places of the manual that the schema speaks of: the keys of one table may be spread over examples.
fn look(schema: &Value, found: &[&Value], at: &str, missing: &mut Vec<String>) {
    if let Some(default) = schema.get("default").filter(|it| !found.contains(it)) {
        missing.push(format!("{at} = {default}"));
    }
    for (key, inner) in schema["properties"].as_object().into_iter().flatten() {
        let below: Vec<&Value> = found.iter().filter_map(|it| it.get(key)).collect();
        let at = format!("{at}.{key}");
        if below.is_empty() {
            missing.push(at)
        } else {
            look(inner, &below, &at, missing)
        }
    }
    if schema["additionalProperties"].is_object() {
        let below: Vec<&Value> = found
            .iter()
            .filter_map(|it| it.as_object())
            .flat_map(|it| it.values())
            .collect();
        look(&schema["additionalProperties"], &below, &format!("{at}.NAME"), missing);
    }
    if schema["items"].is_object() {
        let below: Vec<&Value> = found.iter().filter_map(|it| it.as_array()).flatten().collect();
        look(&schema["items"], &below, &format!("{at}[]"), missing);
    }
}
