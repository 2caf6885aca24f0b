//! What is published, and where to; where is consumed from.

use crate::names::{KEY_ACT, KEY_OUTCOME, KEY_REQUEST, KEY_REQUEST_BULK, Names};
use erasure_protocol::{Lane, Rung, SubsystemName};
use std::fmt;

/// A message to be published. It is always built anew: headers of a received one are never copied, because RabbitMQ before 4.0
/// reads a client's `x-death` and drops the message as a cycle.
#[derive(Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Where to.
    pub to: Route,
    /// The message's id, up to 255 bytes. A repeated publish keeps it.
    pub message_id: String,
    /// The body's media type.
    pub content_type: String,
    /// The body.
    pub body: Vec<u8>,
    /// Application headers. Names that begin with `x-` belong to the broker and are refused.
    pub headers: Vec<(String, String)>,
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outgoing")
            .field("to", &self.to)
            .field("message_id", &self.message_id)
            .field("content_type", &self.content_type)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// Where a message goes.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Route {
    /// To intake, as any producer does.
    Request {
        /// Which of the two ingest queues: [`Lane::Bulk`] the one for many subjects, any other the one for single ones.
        lane: Lane,
    },
    /// To the reconciler: an operator's act.
    Act,
    /// To a worker.
    Work {
        /// Of which subsystem.
        subsystem: SubsystemName,
        /// In which lane.
        lane: Lane,
    },
    /// To a worker, after the rung's delay.
    Wait {
        /// How long.
        rung: Rung,
        /// Of which subsystem.
        subsystem: SubsystemName,
        /// In which lane.
        lane: Lane,
    },
    /// To the reconciler: what a worker reports.
    Outcome,
    /// To the attention of a person.
    Dead {
        /// Which queue.
        queue: DeadQueue,
    },
    /// To whoever listens. Confirmed, but nobody has to be listening.
    Event {
        /// The event's routing key.
        routing_key: String,
    },
}

impl Route {
    /// Exchange and routing key.
    pub(crate) fn target(&self, names: &Names) -> (String, String) {
        match self {
            Self::Request { lane: Lane::Bulk } => (names.requests(), KEY_REQUEST_BULK.to_owned()),
            Self::Request {
                lane: Lane::Single | Lane::Solo,
            } => (names.requests(), KEY_REQUEST.to_owned()),
            Self::Act => (names.requests(), KEY_ACT.to_owned()),
            Self::Work { subsystem, lane } => (names.work(), Names::work_key(subsystem, *lane)),
            Self::Wait { rung, subsystem, lane } => (names.wait(*rung), Names::work_key(subsystem, *lane)),
            Self::Outcome => (names.work(), KEY_OUTCOME.to_owned()),
            Self::Dead { queue } => (names.dead(), Names::dead_key(queue)),
            Self::Event { routing_key } => (names.events(), routing_key.clone()),
        }
    }

    /// Whether a message that no queue took is a failure.
    pub(crate) fn must_arrive(&self) -> bool {
        match self {
            Self::Event { .. } => false,
            Self::Request { .. } | Self::Act | Self::Work { .. } | Self::Wait { .. } | Self::Outcome | Self::Dead { .. } => true,
        }
    }
}

/// A queue of messages that need attention.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum DeadQueue {
    /// What could not be taken in.
    Ingest,
    /// What a subsystem could not handle.
    Subsystem(SubsystemName),
}

/// Where messages come from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// Requests.
    Ingest,
    /// Requests on many subjects.
    IngestBulk,
    /// Operators' acts.
    Act,
    /// Workers' reports.
    Outcome,
    /// Work.
    Work {
        /// Of which subsystem.
        subsystem: SubsystemName,
        /// In which lane.
        lane: Lane,
    },
    /// A rung's wait queue. To look at its depth, not to consume from.
    Wait {
        /// Which rung.
        rung: Rung,
    },
    /// What needs attention.
    Dead {
        /// Which queue.
        queue: DeadQueue,
    },
    /// What no binding wanted.
    Unrouted,
}
