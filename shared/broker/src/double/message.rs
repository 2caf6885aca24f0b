//! A message as the broker keeps it.

use crate::{Meta, Outgoing};
use erasure_protocol::Millis;
use std::sync::Arc;
use tokio::time::Instant;

/// What was published: never changed, so that copies of it cost nothing.
#[derive(Debug)]
pub(super) struct Content {
    pub(super) message_id: String,
    content_type: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    published_at: Millis,
}

impl Content {
    pub(super) fn of(message: &Outgoing, published_at: Millis) -> Self {
        Self {
            message_id: message.message_id.clone(),
            content_type: message.content_type.clone(),
            headers: message.headers.clone(),
            body: message.body.clone(),
            published_at,
        }
    }

    /// The headers that a receiver is shown.
    fn cloud_events(&self) -> Vec<(String, String)> {
        let ours = |name: &str| name.starts_with("cloudEvents_") || name.starts_with("cloudEvents:");
        let mut headers: Vec<_> = self.headers.iter().filter(|(name, _)| ours(name)).cloned().collect();
        headers.sort();
        headers
    }
}

/// A message in a queue, or out of it and unsettled.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) content: Arc<Content>,
    pub(super) routing_key: String,
    /// How often it came back to the queue it is in.
    pub(super) returns: u64,
    /// Why it first left a queue without being settled.
    pub(super) death: Option<&'static str>,
    /// When its waiting is over.
    pub(super) until: Option<Instant>,
}

impl Message {
    pub(super) fn new(content: Arc<Content>, routing_key: &str) -> Self {
        Self {
            content,
            routing_key: routing_key.to_owned(),
            returns: 0,
            death: None,
            until: None,
        }
    }

    pub(super) fn id(&self) -> &str {
        &self.content.message_id
    }

    pub(super) fn body(&self) -> Vec<u8> {
        self.content.body.clone()
    }

    pub(super) fn meta(&self) -> Meta {
        Meta {
            message_id: Some(self.content.message_id.clone()),
            content_type: Some(self.content.content_type.clone()),
            user_id: None,
            routing_key: self.routing_key.clone(),
            headers: self.content.cloud_events(),
            delivery_count: self.returns,
            redelivered: self.returns > 0,
            death_reason: self.death.map(str::to_owned),
            published_at: Some(self.content.published_at),
            too_large: false,
        }
    }
}

/// A message that an exchange was given, as [`MemoryBroker::observe`](super::MemoryBroker::observe) shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// To which exchange.
    pub exchange: String,
    /// With which routing key.
    pub routing_key: String,
    /// The message's id.
    pub message_id: String,
    /// The body's media type.
    pub content_type: String,
    /// All its headers, as they were published.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Seen {
    pub(super) fn of(exchange: &str, message: &Message) -> Self {
        Self {
            exchange: exchange.to_owned(),
            routing_key: message.routing_key.clone(),
            message_id: message.content.message_id.clone(),
            content_type: message.content.content_type.clone(),
            headers: message.content.headers.clone(),
            body: message.content.body.clone(),
        }
    }
}
