//! Commands in the clothes of CloudEvents 1.0 (structured, and binary with AMQP's `cloudEvents_` headers), or in none.

use crate::command::{Json, read_command};
use crate::{Command, CommandCode, CommandError, RequestId};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use uuid::Uuid;

/// The type of an event that carries a command.
pub const COMMAND_EVENT_TYPE: &str = "erasure.request";

/// The content type of a CloudEvent in structured mode.
pub const CLOUDEVENTS_CONTENT_TYPE: &str = "application/cloudevents+json";

/// The content type of plain JSON.
pub const JSON_CONTENT_TYPE: &str = "application/json";

/// The name space of request ids that are derived from an event's source and id.
const NAMESPACE: Uuid = Uuid::from_u128(0x2f0d_6c11_9a3e_4b57_8c1d_70e4_5a96_b3f2);

/// What made an event unique at its producer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloudEventIds {
    /// Who sent it.
    pub source: String,
    /// Its id at the source.
    pub id: String,
}

impl CloudEventIds {
    /// The request id of a command that has none of its own: the same for the same source and id.
    #[must_use]
    pub fn request_id(&self) -> RequestId {
        let name = format!("{}\n{}\n{}", self.source.len(), self.source, self.id);
        let id = format!("ce-{}", Uuid::new_v5(&NAMESPACE, name.as_bytes()));
        RequestId::new(id).expect("a UUID has only hexadecimal digits and hyphens")
    }
}

/// A command as it came out of the broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The command.
    pub command: Command,
    /// The event it came in, if it came in one.
    pub event: Option<CloudEventIds>,
}

impl Envelope {
    /// Reads a message. `headers` are the application's headers of the delivery.
    ///
    /// # Errors
    /// With everything that is wrong, by field.
    pub fn read(content_type: Option<&str>, headers: &[(String, String)], body: &[u8]) -> Result<Self, CommandError> {
        let media = media_type(content_type.unwrap_or_default());
        if media == CLOUDEVENTS_CONTENT_TYPE {
            return structured(&Json::parse(body)?);
        }
        if !(media.is_empty() || media == JSON_CONTENT_TYPE || media == "text/json") {
            return Err(CommandError::one(CommandCode::ContentType, "content_type"));
        }
        let json = Json::parse(body)?;
        if header(headers, "specversion").is_some() {
            let event = event_ids(|name| header(headers, name))?;
            return in_event(&json, event);
        }
        // A structured event under a plain content type is common, and cannot be mistaken: commands have no such field.
        if json.get("specversion").is_some() {
            return structured(&json);
        }
        Ok(Self {
            command: read_command(&json, None)?,
            event: None,
        })
    }
}

fn structured(json: &Json) -> Result<Envelope, CommandError> {
    let Some(fields) = json.object() else {
        return Err(CommandError::one(CommandCode::WrongType, ""));
    };
    for name in [
        "specversion",
        "type",
        "source",
        "id",
        "data",
        "data_base64",
        "datacontenttype",
    ] {
        if fields.iter().filter(|(field, _)| field == name).count() > 1 {
            return Err(CommandError::one(CommandCode::GivenTwice, name));
        }
    }
    let event = event_ids(|name| json.get(name).and_then(Json::text))?;
    let media = json
        .get("datacontenttype")
        .and_then(Json::text)
        .map_or(JSON_CONTENT_TYPE.to_owned(), media_type);
    if media != JSON_CONTENT_TYPE && media != "text/json" {
        return Err(CommandError::one(CommandCode::ContentType, "datacontenttype"));
    }
    match (json.get("data"), json.get("data_base64")) {
        (Some(data), None) => in_event(data, event),
        (None, Some(data)) => {
            let bytes = data.text().and_then(|text| STANDARD.decode(text).ok());
            let bytes = bytes.ok_or_else(|| CommandError::one(CommandCode::NotBase64, "data_base64"))?;
            in_event(&Json::parse(&bytes)?, event)
        }
        (Some(_), Some(_)) => Err(CommandError::one(CommandCode::GivenTwice, "data")),
        (None, None) => Err(CommandError::one(CommandCode::Missing, "data")),
    }
}

fn in_event(data: &Json, event: CloudEventIds) -> Result<Envelope, CommandError> {
    let command = read_command(data, Some(event.request_id()))?;
    Ok(Envelope {
        command,
        event: Some(event),
    })
}

/// Checks the attributes that every event must have.
fn event_ids<'a>(attribute: impl Fn(&'static str) -> Option<&'a str>) -> Result<CloudEventIds, CommandError> {
    let required = |name: &'static str| {
        let value = attribute(name).filter(|value| !value.is_empty());
        value.ok_or_else(|| CommandError::one(CommandCode::Missing, name))
    };
    if required("specversion")? != "1.0" {
        return Err(CommandError::one(CommandCode::EventVersion, "specversion"));
    }
    if required("type")? != COMMAND_EVENT_TYPE {
        return Err(CommandError::one(CommandCode::NotOurEvent, "type"));
    }
    Ok(CloudEventIds {
        source: required("source")?.to_owned(),
        id: required("id")?.to_owned(),
    })
}

/// An attribute in binary mode: the AMQP binding writes `cloudEvents:` or `cloudEvents_` before its name.
fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let value = |(key, value): &'a (String, String)| {
        let (prefix, rest) = key.split_at_checked("cloudEvents_".len())?;
        let ours = prefix.eq_ignore_ascii_case("cloudEvents_") || prefix.eq_ignore_ascii_case("cloudEvents:");
        (ours && rest == name).then_some(value.as_str())
    };
    headers.iter().find_map(value)
}

fn media_type(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}
