//! What the fleet tells the world: every change of a request's state, as a CloudEvent. Never an identifier of a person.

use crate::command::words;
use crate::{Counts, FaultCode, Header, LedgerId, Millis, Operation, RequestId, RequestKey, TenantId};
use serde::{Deserialize, Serialize};

/// The version of the events' data. Readers ignore fields that they do not know.
pub const EVENT_VERSION: u32 = 1;

words!(
    /// What an event tells. Its type is `erasure.request.` and this word.
    EventKind {
        /// The fleet has taken custody.
        Accepted = "accepted",
        /// Work is under way.
        Running = "running",
        /// Some of it stands still until somebody acts.
        NeedsAttention = "needs_attention",
        /// Due soon and not done.
        AtRisk = "at_risk",
        /// The due date has passed.
        Overdue = "overdue",
        /// Final: everything expected was erased and read back.
        Erased = "erased",
        /// Final: erased but for what must be kept.
        ErasedWithRetention = "erased_with_retention",
        /// Final: nobody knew the subjects.
        NothingHeld = "nothing_held",
        /// Final: log-in blocked, all data kept.
        Deactivated = "deactivated",
        /// Final: a deactivation taken back.
        Reactivated = "reactivated",
        /// Final: given up, with a reason. Not erased.
        ClosedNotErased = "closed_not_erased",
        /// The same id came with other content: nothing was done with the later one.
        Conflict = "conflict",
        /// The command was not accepted.
        Refused = "refused",
    }
);

impl EventKind {
    /// The type of the CloudEvent, for example `erasure.request.erased`; also its routing key.
    #[must_use]
    pub fn event_type(self) -> String {
        format!("{TYPE_PREFIX}{self}")
    }
}

const TYPE_PREFIX: &str = "erasure.request.";

/// A CloudEvent 1.0 in structured mode.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Event {
    /// Always `1.0`.
    pub specversion: String,
    /// Deterministic: the same change of the same request always has the same id, so that whoever listens can tell a repetition.
    pub id: String,
    /// Which fleet, by its ledger.
    pub source: String,
    /// `erasure.request.<state>`.
    #[serde(rename = "type")]
    pub event_type: String,
    /// When it happened, RFC 3339.
    #[serde(with = "rfc3339")]
    #[cfg_attr(feature = "schema", schemars(with = "crate::schema::Time"))]
    pub time: Millis,
    /// Always `application/json`.
    pub datacontenttype: String,
    /// What happened.
    pub data: EventData,
}

/// What an event tells of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct EventData {
    /// See [`EVENT_VERSION`].
    pub version: u32,
    /// As its producer chose it. Missing when a refused command did not get as far as naming one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_id: Option<RequestId>,
    /// The tenant's account number. Missing when a refused command names no declared tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantId>,
    /// What was asked, where that could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
    /// The word after `erasure.request.`.
    pub state: EventKind,
    /// How many subjects, where that could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subjects: Option<u64>,
    /// The people by what is known of them; they sum to `subjects`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counts: Option<Counts>,
    /// The ticket it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// When the person asked, RFC 3339.
    #[serde(default, with = "rfc3339_option", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::schema::Time>"))]
    pub received_at: Option<Millis>,
    /// By when it must be done, RFC 3339.
    #[serde(default, with = "rfc3339_option", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::schema::Time>"))]
    pub due_at: Option<Millis>,
    /// When it came to its end, RFC 3339.
    #[serde(default, with = "rfc3339_option", skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "schema", schemars(with = "Option<crate::schema::Time>"))]
    pub finished_at: Option<Millis>,
    /// Why: a stable code such as `STORE-012` or `COMMAND-010`, or the reason code of a discard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// For what was refused: under which id the message is kept, for `erasure attention`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parked: Option<String>,
}

impl EventData {
    /// What is known of a request from its header.
    #[must_use]
    pub fn of(header: &Header, state: EventKind) -> Self {
        Self {
            version: EVENT_VERSION,
            request_id: Some(header.request_id.clone()),
            tenant: Some(header.tenant.clone()),
            operation: Some(header.operation),
            state,
            subjects: Some(header.subjects),
            counts: None,
            ticket: header.ticket.clone(),
            received_at: Some(header.received_at),
            due_at: Some(header.due_at),
            finished_at: header.finished_at,
            reason: None,
            parked: None,
        }
    }

    /// What is known of a command that was not taken.
    #[must_use]
    pub fn refused(
        state: EventKind,
        tenant: Option<&TenantId>,
        request_id: Option<&RequestId>,
        code: &str,
        parked: &str,
    ) -> Self {
        Self {
            version: EVENT_VERSION,
            request_id: request_id.cloned(),
            tenant: tenant.cloned(),
            operation: None,
            state,
            subjects: None,
            counts: None,
            ticket: None,
            received_at: None,
            due_at: None,
            finished_at: None,
            reason: Some(code.to_owned()),
            parked: Some(parked.to_owned()),
        }
    }

    /// The same with a fault's code as the reason.
    #[must_use]
    pub fn because(mut self, code: FaultCode) -> Self {
        self.reason = Some(code.as_str().to_owned());
        self
    }
}

impl Event {
    /// The event of `data.state`, under the id `<request key>:<plan version>:<state>`.
    #[must_use]
    pub fn new(ledger: LedgerId, request: RequestKey, plan_version: u32, time: Millis, data: EventData) -> Self {
        let id = format!("{request}:{plan_version}:{}", data.state);
        Self::with_id(id, ledger, time, data)
    }

    /// The event of `data.state` under an id of its own, which must be the same whenever the same thing is told.
    #[must_use]
    pub fn with_id(id: String, ledger: LedgerId, time: Millis, data: EventData) -> Self {
        Self {
            specversion: "1.0".to_owned(),
            id,
            source: format!("urn:erasure:ledger:{ledger}"),
            event_type: data.state.event_type(),
            time,
            datacontenttype: "application/json".to_owned(),
            data,
        }
    }

    /// The JSON, to be published as `application/cloudevents+json`.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts and numbers always become JSON")
    }

    /// Reads the JSON; `None` when it is no event of ours. Unknown fields are ignored.
    #[must_use]
    pub fn parse(json: &[u8]) -> Option<Self> {
        let event: Self = serde_json::from_slice(json).ok()?;
        (event.specversion == "1.0" && event.event_type == event.data.state.event_type()).then_some(event)
    }
}

mod rfc3339 {
    use crate::Millis;
    use serde::{Deserialize as _, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(at: &Millis, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&at.to_rfc3339())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Millis, D::Error> {
        let text = String::deserialize(deserializer)?;
        Millis::from_rfc3339(&text).ok_or_else(|| serde::de::Error::custom("a time is RFC 3339"))
    }
}

mod rfc3339_option {
    use crate::Millis;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    #[allow(clippy::ref_option, reason = "the shape that serde asks for")]
    pub(super) fn serialize<S: Serializer>(at: &Option<Millis>, serializer: S) -> Result<S::Ok, S::Error> {
        at.map(Millis::to_rfc3339).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Millis>, D::Error> {
        let Some(text) = Option::<String>::deserialize(deserializer)? else {
            return Ok(None);
        };
        Millis::from_rfc3339(&text)
            .map(Some)
            .ok_or_else(|| serde::de::Error::custom("a time is RFC 3339"))
    }
}
