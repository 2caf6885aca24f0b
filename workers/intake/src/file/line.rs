//! From one line to one subject.

use super::{Error, LineCode, PRESERVE_COLUMN, Vocabulary, csv_line};
use erasure_protocol::{Identifier, IdentifierKind, Record};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use std::collections::BTreeSet;
use std::fmt;

/// What a line says, or its code and the column.
pub(super) type Read = Result<Subject, (LineCode, String)>;

/// One subject of a file.
pub(super) struct Subject {
    pub(super) record: Record,
    /// `preserveEmptyAccount`, when the line speaks of it.
    pub(super) preserve: Option<bool>,
}

/// How lines are read.
pub(super) enum Shape {
    /// By the columns of the header.
    Csv(Vec<Column>),
    /// By the fields of each object.
    Ndjson,
}

/// What a column holds.
pub(super) enum Column {
    Kind(IdentifierKind),
    Preserve,
}

impl Column {
    fn name(&self) -> &str {
        match self {
            Self::Kind(kind) => kind.as_str(),
            Self::Preserve => PRESERVE_COLUMN,
        }
    }
}

/// Reads the header of a CSV file.
pub(super) fn header(line: &str, vocabulary: &Vocabulary) -> Result<Shape, Error> {
    let wrong = |why: String| Error::Header {
        why,
        ways: vocabulary.ways(),
    };
    let names = csv_line::fields(line).map_err(|code| wrong(code.meaning().to_owned()))?;
    let mut columns: Vec<Column> = Vec::new();
    for (at, name) in names.iter().map(|name| name.trim()).enumerate() {
        if columns.iter().any(|column| column.name() == name) {
            return Err(wrong(format!("column {} is there twice", at + 1)));
        }
        columns.push(column(name, vocabulary).ok_or_else(|| wrong(unknown(at, name)))?);
    }
    let has = |kind: &IdentifierKind| columns.iter().any(|column| matches!(column, Column::Kind(it) if it == kind));
    if !vocabulary.completes(has) {
        return Err(wrong("the columns do not form a complete way to find a person".to_owned()));
    }
    Ok(Shape::Csv(columns))
}

fn column(name: &str, vocabulary: &Vocabulary) -> Option<Column> {
    if name == PRESERVE_COLUMN {
        return Some(Column::Preserve);
    }
    vocabulary
        .kinds
        .iter()
        .find(|kind| kind.as_str() == name)
        .cloned()
        .map(Column::Kind)
}

/// A first line may be data where the header was forgotten: a name is only shown when it has the form of a kind.
fn unknown(at: usize, name: &str) -> String {
    match IdentifierKind::new(name) {
        Some(kind) if kind.shown() == name => format!("column {} is {kind}, which is not known", at + 1),
        Some(_) | None => format!("column {} has an unknown name, withheld here", at + 1),
    }
}

/// Reads a line.
pub(super) fn read(line: &str, shape: &Shape, vocabulary: &Vocabulary) -> Read {
    let subject = match shape {
        Shape::Csv(columns) => csv(line, columns)?,
        Shape::Ndjson => ndjson(line, vocabulary)?,
    };
    if vocabulary.completes(|kind| subject.record.contains_key(kind)) {
        Ok(subject)
    } else {
        Err((LineCode::Incomplete, missing(&subject.record, shape)))
    }
}

fn missing(record: &Record, shape: &Shape) -> String {
    let Shape::Csv(columns) = shape else { return String::new() };
    let empty = |column: &&Column| matches!(column, Column::Kind(kind) if !record.contains_key(kind));
    columns
        .iter()
        .find(empty)
        .map(|column| column.name().to_owned())
        .unwrap_or_default()
}

fn csv(line: &str, columns: &[Column]) -> Read {
    let fields = csv_line::fields(line).map_err(|code| (code, String::new()))?;
    match fields.len() {
        few if few < columns.len() => return Err((LineCode::TooFewFields, String::new())),
        many if many > columns.len() => return Err((LineCode::TooManyFields, String::new())),
        _ => {}
    }
    let mut subject = Subject {
        record: Record::new(),
        preserve: None,
    };
    for (column, field) in columns.iter().zip(fields) {
        match column {
            Column::Preserve => subject.preserve = Some(flag(&field).ok_or((LineCode::BadOption, PRESERVE_COLUMN.to_owned()))?),
            Column::Kind(_) if field.trim().is_empty() => {}
            Column::Kind(kind) => {
                let value = Identifier::new(field).ok_or_else(|| (LineCode::BadIdentifier, kind.to_string()))?;
                subject.record.insert(kind.clone(), value);
            }
        }
    }
    Ok(subject)
}

fn flag(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" => Some(true),
        "" | "false" | "0" | "no" => Some(false),
        _ => None,
    }
}

fn ndjson(line: &str, vocabulary: &Vocabulary) -> Read {
    use serde_json::Value;
    let Ok(Fields(fields)) = serde_json::from_str(line) else {
        return Err((LineCode::NotJson, String::new()));
    };
    let mut subject = Subject {
        record: Record::new(),
        preserve: None,
    };
    let mut seen = BTreeSet::new();
    for (name, value) in fields {
        let Some(column) = column(&name, vocabulary) else {
            let shown = IdentifierKind::new(&name).map_or("(name withheld)".to_owned(), |kind| kind.shown().to_owned());
            return Err((LineCode::UnknownField, shown));
        };
        if !seen.insert(name.clone()) {
            return Err((LineCode::GivenTwice, name));
        }
        match (column, value) {
            (Column::Preserve, Value::Bool(keep)) => subject.preserve = Some(keep),
            (Column::Preserve, _) => return Err((LineCode::BadOption, name)),
            (Column::Kind(_), Value::String(text)) if text.trim().is_empty() => {}
            (Column::Kind(kind), value) => {
                let value = identifier(value).ok_or((LineCode::BadIdentifier, name))?;
                subject.record.insert(kind, value);
            }
        }
    }
    Ok(subject)
}

/// The fields of one object, those given twice included: of two people under one name, neither may be passed over.
struct Fields(Vec<(String, serde_json::Value)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Fields;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = object.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

fn identifier(value: serde_json::Value) -> Option<Identifier> {
    match value {
        serde_json::Value::String(text) => Identifier::new(text),
        serde_json::Value::Number(number) if number.is_i64() || number.is_u64() => Identifier::new(number.to_string()),
        _ => None,
    }
}
