//! The file and, over it, the environment: `ERASURE__BROKER__URL` is `broker.url`.

use super::Config;
use serde::Deserialize as _;
use std::borrow::Cow;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

const PREFIX: &str = "ERASURE__";

/// Parses the text, lays the variables over it, and reads the whole. A mistake in the file is told by its place and never by its
/// line, in which a password may stand.
pub(super) fn read(text: &str, variables: impl Iterator<Item = (String, String)>) -> anyhow::Result<Config> {
    let mut variables: Vec<_> = variables.filter(|(name, _)| name.starts_with(PREFIX)).collect();
    variables.sort();
    let mut table = DeTable::parse(text).map_err(|error| anyhow::anyhow!(told(text, &error)))?;
    for (name, value) in &variables {
        let path: Vec<String> = name[PREFIX.len()..].split("__").map(str::to_ascii_lowercase).collect();
        insert(table.get_mut(), &path, value).map_err(|why| anyhow::anyhow!("environment variable {name}: {why}"))?;
    }
    Config::deserialize(toml::Deserializer::from(table)).map_err(|error| {
        let told = told(text, &error);
        if variables.is_empty() {
            return anyhow::anyhow!(told);
        }
        let names: Vec<&str> = variables.iter().map(|(name, _)| name.as_str()).collect();
        anyhow::anyhow!("{told} (the environment was laid over the file: {})", names.join(", "))
    })
}

/// Where the mistake is and what is expected there, without what was written as a value.
fn told(text: &str, error: &toml::de::Error) -> String {
    let message = without_values(error.message().trim_end()).replace('\n', ", ");
    let Some(before) = error
        .span()
        .filter(|span| span.end > 0)
        .and_then(|span| text.get(..span.start))
    else {
        return message;
    };
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("line {line}, column {column}: {message}")
}

/// `invalid type: string "it", expected u16` without *it*.
fn without_values(message: &str) -> Cow<'_, str> {
    match (message.find('"'), message.rfind('"')) {
        (Some(first), Some(last)) if first < last => Cow::Owned(format!("{}\"…\"{}", &message[..first], &message[last + 1..])),
        _ => Cow::Borrowed(message),
    }
}

fn insert<'i>(table: &mut DeTable<'i>, path: &[String], value: &'i str) -> Result<(), String> {
    let [key, rest @ ..] = path else {
        return Err("names no key".to_owned());
    };
    if key.is_empty() {
        return Err("has an empty part".to_owned());
    }
    let spanned = || Spanned::new(0..0, Cow::Owned(key.clone()));
    if rest.is_empty() {
        table.insert(spanned(), Spanned::new(0..0, parse(value)));
        return Ok(());
    }
    if !table.contains_key(key.as_str()) {
        table.insert(spanned(), Spanned::new(0..0, DeValue::Table(DeTable::new())));
    }
    match table.get_mut(key.as_str()).map(Spanned::get_mut) {
        Some(DeValue::Table(inner)) => insert(inner, rest, value),
        Some(_) | None => Err(format!("`{key}` is a value in the file, not a table")),
    }
}

/// A value is TOML where it can be (`5`, `true`, `["a"]`), and text otherwise.
fn parse(value: &str) -> DeValue<'_> {
    match DeValue::parse(value).map(Spanned::into_inner) {
        Ok(DeValue::Datetime(_) | DeValue::Table(_)) | Err(_) => DeValue::String(Cow::Borrowed(value)),
        Ok(plain) => plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "[broker]\nurl = \"amqp://file\"\n[tracker]\n[ledger]\n[keys]\nfile = \"k\"\n[map]\nfile = \"m\"\n";

    fn with(variables: &[(&str, &str)]) -> anyhow::Result<Config> {
        read(
            FILE,
            variables
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        )
    }

    #[test]
    fn the_environment_wins_over_the_file() {
        let config = with(&[
            ("ERASURE__BROKER__URL", "amqp://environment"),
            ("ERASURE__RETRY__RUNGS", "[10, 20]"),
            ("ERASURE__TENANT__ACME__NAME", "5"),
            ("OTHER", "x"),
        ]);
        let config = config.map_err(|error| error.to_string());
        assert!(
            config.is_err_and(|text| text.contains("ERASURE__TENANT__ACME__NAME")),
            "a number is no name"
        );
        let config = with(&[
            ("ERASURE__BROKER__URL", "amqp://environment"),
            ("ERASURE__RETRY__RUNGS", "[10, 20]"),
        ])
        .unwrap();
        assert_eq!(config.broker.url, "amqp://environment");
        assert_eq!(config.retry.rungs.len(), 2);
    }

    #[test]
    fn a_typo_keeps_its_line() {
        let error = read(&FILE.replace("url", "ulr"), std::iter::empty()).unwrap_err().to_string();
        assert!(error.contains("line 2") && error.contains("ulr"), "{error}");
    }

    #[test]
    fn what_is_written_as_a_value_is_never_told() {
        let wrong = [
            ("[broker]\nurl = \"amqp://app:hunter2@host", "line 2"),
            ("[broker]\nurl = 5\nheartbeat_s = \"hunter2\"", "line 3"),
            (
                &FILE.replace("[tracker]", "publish_timeout_ms = \"hunter2\"\n[tracker]"),
                "line 3",
            ),
            ("[broker]\nurl = { hunter2 }", "line 2"),
        ];
        for (text, place) in wrong {
            let error = read(text, std::iter::empty()).unwrap_err().to_string();
            assert!(error.contains(place) && !error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_variable_that_names_no_key_is_refused() {
        assert!(with(&[("ERASURE__", "x")]).is_err());
        assert!(with(&[("ERASURE__BROKER__URL__X", "x")]).is_err());
    }
}
