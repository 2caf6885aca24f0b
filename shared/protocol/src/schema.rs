//! JSON Schema (draft 2020-12) of every message of the wire, made from the types that read and write them. The files are in
//! `shared/protocol/schema`; a test holds them to what is made here, and the command's to the parser.

use crate::{
    Act, COMMAND_SUBJECTS_MAX, Event, EvidenceKey, Identifier, Mask, Operation, Origin, OutcomeMessage, PART_NUMBER_MAX,
    Regulation, RequestId, SLICE_SUBJECTS_MAX, Sealed, SealedEnvelope, TENANT_BYTES_MAX, WorkMessage,
};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Each schema under the name of its file, as indented JSON.
#[must_use]
pub fn schemas() -> Vec<(&'static str, String)> {
    vec![
        ("command", text(without_null(of::<Command>()))),
        ("sealed", text(of::<SealedEnvelope>())),
        ("event", text(of::<Event>())),
        ("act", text(of::<Act>())),
        ("work", text(of::<WorkMessage>())),
        ("outcome", text(of::<OutcomeMessage>())),
    ]
}

fn of<T: JsonSchema>() -> Value {
    SchemaSettings::draft2020_12()
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value()
}

/// Descriptions are the types' comments: what is a link there is a name here.
fn text(schema: Value) -> String {
    let text = serde_json::to_string_pretty(&schema).expect("a schema is JSON");
    let mut text = text
        .replace("[`", "`")
        .replace("`]", "`")
        .replace("`Self::", "`")
        .replace("`crate::", "`");
    text.push('\n');
    text
}

/// The command's parser takes a field that is left out, and refuses one that is `null`.
fn without_null(mut schema: Value) -> Value {
    let Some(properties) = schema["properties"].as_object_mut() else {
        return schema;
    };
    for property in properties.values_mut() {
        if let Some(types) = property["type"].as_array().filter(|it| it.contains(&Value::from("null"))) {
            property["type"] = types[0].clone();
        }
        let one = property["anyOf"].as_array().and_then(|forms| forms.first()).cloned();
        if let (Some(Value::Object(one)), Some(property)) = (one, property.as_object_mut()) {
            property.remove("anyOf");
            property.extend(one);
        }
        if let Some(property) = property.as_object_mut() {
            property.remove("default");
        }
    }
    schema
}

/// A command to the fleet, version 1, as plain JSON or as the `data` of a CloudEvent of type `erasure.request`, at most 1 MiB.
/// Lengths count bytes of UTF-8; a whole number is written without a fraction and within 64 bits.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Command", extend("if" = { "required": ["part"] }, "then" = { "properties": { "subjects": { "maxItems": SLICE_SUBJECTS_MAX } } }))]
#[expect(
    dead_code,
    reason = "the shape alone: the parser is written by hand, so that it can name what is wrong"
)]
struct Command {
    /// Always 1.
    #[schemars(range(min = 1, max = 1))]
    version: u32,
    /// Unique within the tenant; the same id with the same content is the same request. A CloudEvent's own id will do.
    request_id: RequestId,
    /// The tenant's account number or its exact account name.
    #[schemars(length(min = 1, max = TENANT_BYTES_MAX), regex(pattern = r"^[^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f][^\x00-\x1f\x7f-\x9f]*$"))]
    tenant: String,
    /// What is asked.
    operation: Operation,
    /// Whom it is about, by identifiers of the kinds that the data map declares. A part has at most 512.
    #[schemars(length(min = 1, max = COMMAND_SUBJECTS_MAX))]
    subjects: Vec<Person>,
    /// When the person asked. The due date counts from here; from the arrival when it is left out.
    received_at: Option<Time>,
    /// Whose time limit counts; the tenant's when it is left out.
    regulation: Option<Regulation>,
    /// Who asked.
    origin: Option<Origin>,
    /// The ticket it belongs to.
    ticket: Option<RequestId>,
    /// Keep an account when its last participant is erased.
    #[serde(rename = "preserveEmptyAccount")]
    preserve_empty_account: Option<bool>,
    /// The place of this command in a request that arrives in parts; all parts carry the same request id.
    part: Option<Part>,
}

/// The place of a command in a request that arrives in parts.
#[derive(JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "the shape alone")]
struct Part {
    /// From 0, without gaps.
    #[schemars(range(max = PART_NUMBER_MAX))]
    number: u32,
    /// Whether it is the last one.
    last: bool,
}

/// One person: values by kind of identifier, at least one.
#[derive(JsonSchema)]
#[schemars(transparent, extend("minProperties" = 1, "additionalProperties" = false))]
#[expect(dead_code, reason = "the shape alone")]
struct Person(BTreeMap<KindName, Identifier>);

/// The name of a kind of identifier.
#[derive(JsonSchema, PartialEq, Eq, PartialOrd, Ord)]
#[schemars(transparent)]
struct KindName(#[schemars(regex(pattern = "^[a-z][a-z0-9_]{0,39}$"))] String);

impl JsonSchema for Identifier {
    fn schema_name() -> Cow<'static, str> {
        "Identifier".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "The value of an identifier: a text that is not blank, or a whole number, which means its decimal digits.",
            "anyOf": [
                { "type": "string", "minLength": 1, "maxLength": Self::LENGTH_MAX, "pattern": r"^[^\x00]*[^\s\x00][^\x00]*$" },
                { "type": "integer" },
            ],
        })
    }
}

/// RFC 3339, as the events write it and the commands should.
pub(crate) struct Time;

impl JsonSchema for Time {
    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "format": "date-time",
            "description": "RFC 3339.",
            "pattern": r"^\d{4}-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-6]\d(\.\d{1,9})?(Z|[+-][0-2]\d:[0-5]\d)$",
        })
    }
}

fn base64(description: &str) -> Schema {
    json_schema!({ "type": "string", "pattern": "^[A-Za-z0-9+/]*$", "description": description })
}

impl JsonSchema for Sealed {
    fn schema_name() -> Cow<'static, str> {
        "Sealed".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        base64("Nonce, ciphertext and tag (AES-256-GCM), base64 without padding.")
    }
}

impl JsonSchema for Mask {
    fn schema_name() -> Cow<'static, str> {
        "Mask".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        base64(
            "Positions 0 to 511 as bits, the first one the highest of the first byte; trailing zero bytes left out; base64 without padding.",
        )
    }
}

impl JsonSchema for EvidenceKey {
    fn schema_name() -> Cow<'static, str> {
        "EvidenceKey".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9a-f]{32}$", "description": "Which stores, and by which data map." })
    }
}
