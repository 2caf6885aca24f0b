//! One received message and how it is settled.

use crate::{
    broken,
    received::{Acker, Received},
};
use erasure_drill::{Rule, is_broken};
use erasure_protocol::Millis;
use futures_util::future::join_all;
use lapin::types::{AMQPValue, FieldTable};
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::sync::Notify;

/// How a delivery ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Settled {
    /// The broker was told.
    Done,
    /// Its channel is gone, so the message goes, or went, to somebody else. Whatever was done with it must bear being done again.
    Stale,
}

/// What a message says besides its body.
#[derive(Clone, PartialEq, Eq)]
pub struct Meta {
    /// The id its producer gave it.
    pub message_id: Option<String>,
    /// The body's media type.
    pub content_type: Option<String>,
    /// Who published it, as checked by the broker against the login.
    pub user_id: Option<String>,
    /// The routing key it was last published with.
    pub routing_key: String,
    /// Application headers for CloudEvents (`cloudEvents_…`, `cloudEvents:…`), as texts, in the order of their names.
    pub headers: Vec<(String, String)>,
    /// How often it was delivered before this time.
    pub delivery_count: u64,
    /// Whether the broker believes that it was delivered before.
    pub redelivered: bool,
    /// Why the broker moved it by itself, the first time that it did: `expired` once it has waited on a rung, whatever came later;
    /// `delivery_limit`, `rejected`, `maxlen`.
    pub death_reason: Option<String>,
    /// When it was published, when its publisher said so.
    pub published_at: Option<Millis>,
    /// Whether the body is longer than [`crate::ConsumerOptions::body_bytes_max`]. It is there all the same, to be parked.
    pub too_large: bool,
}

impl fmt::Debug for Meta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meta")
            .field("message_id", &self.message_id)
            .field("routing_key", &self.routing_key)
            .field("delivery_count", &self.delivery_count)
            .field("redelivered", &self.redelivered)
            .finish_non_exhaustive()
    }
}

impl Meta {
    pub(crate) fn of(delivery: &lapin::message::Delivery) -> Self {
        let properties = &delivery.properties;
        let text = |it: &Option<lapin::types::ShortString>| it.as_ref().map(ToString::to_string);
        let headers = properties.headers().as_ref();
        if is_broken(Rule::RebuiltHeaders) {
            broken::keep_death(headers);
        }
        let header = |name: &str| headers.and_then(|table| table.inner().get(name));
        Self {
            message_id: text(properties.message_id()),
            content_type: text(properties.content_type()),
            user_id: text(properties.user_id()),
            routing_key: delivery.routing_key.to_string(),
            headers: headers.map(cloud_events).unwrap_or_default(),
            delivery_count: header("x-delivery-count").and_then(number).unwrap_or(0),
            redelivered: delivery.redelivered,
            death_reason: header("x-first-death-reason")
                .or_else(|| header("x-last-death-reason"))
                .and_then(plain_text),
            published_at: (*properties.timestamp())
                .map(|seconds| Millis(i64::try_from(seconds).unwrap_or(0).saturating_mul(1_000))),
            too_large: false,
        }
    }
}

fn cloud_events(table: &FieldTable) -> Vec<(String, String)> {
    let ours = |name: &str| name.starts_with("cloudEvents_") || name.starts_with("cloudEvents:");
    let pairs = table.inner().iter().filter(|(name, _)| ours(name.as_str()));
    pairs
        .filter_map(|(name, value)| Some((name.to_string(), plain_text(value)?)))
        .collect()
}

fn plain_text(value: &AMQPValue) -> Option<String> {
    match value {
        AMQPValue::LongString(text) => String::from_utf8(text.as_bytes().to_vec()).ok(),
        AMQPValue::ShortString(text) => Some(text.to_string()),
        AMQPValue::Boolean(value) => Some(value.to_string()),
        AMQPValue::LongLongInt(value) => Some(value.to_string()),
        AMQPValue::LongInt(value) => Some(value.to_string()),
        AMQPValue::Timestamp(value) => Some(value.to_string()),
        _ => None,
    }
}

fn number(value: &AMQPValue) -> Option<u64> {
    match *value {
        AMQPValue::ShortShortInt(value) => u64::try_from(value).ok(),
        AMQPValue::ShortShortUInt(value) => Some(value.into()),
        AMQPValue::ShortInt(value) => u64::try_from(value).ok(),
        AMQPValue::ShortUInt(value) => Some(value.into()),
        AMQPValue::LongInt(value) => u64::try_from(value).ok(),
        AMQPValue::LongUInt(value) => Some(value.into()),
        AMQPValue::LongLongInt(value) => u64::try_from(value).ok(),
        _ => None,
    }
}

/// What the deliveries of one channel share. Tags count from 1 on every channel, so a settlement belongs to the channel it came from.
#[derive(Debug, Default)]
pub(crate) struct Generation {
    /// Waiting in our own buffer, not handed out yet.
    pub(crate) buffered: AtomicUsize,
    /// Handed out and not settled.
    pub(crate) in_flight: AtomicUsize,
    /// Somebody dropped one without settling it.
    pub(crate) dropped: AtomicBool,
    /// No more is handed out, and nothing may be settled after `over`.
    pub(crate) closing: AtomicBool,
    pub(crate) over: AtomicBool,
    /// Wakes the session when one of the above changed.
    pub(crate) changed: Notify,
}

impl Generation {
    fn settled(&self) {
        self.in_flight.fetch_sub(1, Ordering::AcqRel);
        self.changed.notify_one();
    }

    /// Waits until everything handed out is settled (and, when draining, everything buffered is handed out), but not for ever.
    pub(crate) async fn settle(&self, grace: Duration, with_buffered: bool) {
        let idle = || {
            let buffered = with_buffered && self.buffered.load(Ordering::Acquire) > 0;
            !buffered && self.in_flight.load(Ordering::Acquire) == 0
        };
        let wait = async {
            while !idle() {
                self.changed.notified().await;
            }
        };
        let _ = tokio::time::timeout(grace, wait).await;
    }
}

/// A received message. Its holder settles it; dropped unsettled it goes back to its queue, when the session gets round to it.
#[must_use]
pub struct Delivery {
    /// The body.
    pub body: Vec<u8>,
    /// What the message says besides.
    pub meta: Meta,
    acker: Acker,
    generation: Arc<Generation>,
    settled: bool,
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("meta", &self.meta)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

impl Delivery {
    pub(crate) fn new(received: Received, generation: Arc<Generation>) -> Self {
        generation.in_flight.fetch_add(1, Ordering::AcqRel);
        let Received { body, meta, acker } = received;
        Self {
            body,
            meta,
            acker,
            generation,
            settled: false,
        }
    }

    /// Everything is done: the broker may forget it.
    pub async fn ack(self) -> Settled {
        self.settle(true).await
    }

    /// The attempt failed: the broker puts it back and counts the failure. (`basic.nack` would not be counted from 4.3 on.)
    pub async fn reject(self) -> Settled {
        self.settle(false).await
    }

    /// Acknowledges many at once: each for itself, but without waiting for one before telling of the next.
    pub async fn ack_all(deliveries: impl IntoIterator<Item = Self>) -> Vec<Settled> {
        join_all(deliveries.into_iter().map(Self::ack)).await
    }

    async fn settle(mut self, done: bool) -> Settled {
        if self.generation.over.load(Ordering::Acquire) {
            return Settled::Stale;
        }
        let told = if done {
            self.acker.ack().await
        } else {
            self.acker.reject().await
        };
        match told {
            Ok(true) => {
                self.settled = true;
                Settled::Done
            }
            Ok(false) | Err(_) => Settled::Stale,
        }
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if !self.settled {
            self.generation.dropped.store(true, Ordering::Release);
        }
        self.generation.settled();
    }
}
