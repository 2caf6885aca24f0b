//! Every name on the broker, made in this one place. A queue's arguments cannot be changed, so queue names carry a version.

use crate::message::{DeadQueue, Source};
use erasure_protocol::{Lane, Rung, SubsystemName};

/// Where producers publish, relative to the prefix: public, never renamed.
const REQUESTS: &str = "erasure";
const EVENTS: &str = "erasure.events";
const WORK: &str = "er.work";
const WAIT: &str = "er.wait";
const DEAD: &str = "er.dead";
const UNROUTED: &str = "er.unrouted";
const INGEST: &str = "er.ingest";
const INGEST_BULK: &str = "er.ingest.bulk";
const ACT: &str = "er.act";
const OUTCOME: &str = "er.outcome";
/// The version of every queue's arguments. Raise it when one of them changes.
const VERSION: &str = "v1";

/// The routing key of a request.
pub(crate) const KEY_REQUEST: &str = "request";
/// The routing key of a request that must not stand in the way of single ones.
pub(crate) const KEY_REQUEST_BULK: &str = "request.bulk";
/// The routing key of an operator's act.
pub(crate) const KEY_ACT: &str = "act";
/// The routing key of a worker's report.
pub(crate) const KEY_OUTCOME: &str = "outcome";
/// The routing key of what could not be taken in.
pub(crate) const KEY_DEAD_INGEST: &str = "ingest";

/// The names of every exchange and queue and the routing keys between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    prefix: String,
}

impl Names {
    /// Names that no subsystem may have, because a routing key of the fleet's own is called so.
    pub const RESERVED: [&str; 2] = [KEY_DEAD_INGEST, KEY_OUTCOME];

    /// The names under this prefix.
    #[must_use]
    pub fn new(prefix: &str) -> Self {
        Self {
            prefix: prefix.to_owned(),
        }
    }

    fn exchange(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn queue(&self, name: &str) -> String {
        format!("{}{name}.{VERSION}", self.prefix)
    }

    /// What stands before every name.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The public exchange: requests and operators' acts.
    #[must_use]
    pub fn requests(&self) -> String {
        self.exchange(REQUESTS)
    }

    /// The exchange that tells what became of requests.
    #[must_use]
    pub fn events(&self) -> String {
        self.exchange(EVENTS)
    }

    /// The exchange before the work queues and the outcomes.
    #[must_use]
    pub fn work(&self) -> String {
        self.exchange(WORK)
    }

    /// The exchange before one rung's wait queue. One exchange each, so that the routing key stays free to name the lane.
    #[must_use]
    pub fn wait(&self, rung: Rung) -> String {
        self.exchange(&format!("{WAIT}.{}", rung.0))
    }

    /// The exchange before the queues of what needs attention.
    #[must_use]
    pub fn dead(&self) -> String {
        self.exchange(DEAD)
    }

    /// The exchange that catches what no binding wanted.
    #[must_use]
    pub fn unrouted(&self) -> String {
        self.exchange(UNROUTED)
    }

    /// The queue of one lane of one subsystem.
    #[must_use]
    pub fn work_queue(&self, subsystem: &SubsystemName, lane: Lane) -> String {
        self.queue(&format!("{WORK}.{subsystem}.{}", lane.as_str()))
    }

    /// The routing key of one lane of one subsystem, on [`Names::work`] and on every [`Names::wait`].
    #[must_use]
    pub fn work_key(subsystem: &SubsystemName, lane: Lane) -> String {
        format!("{subsystem}.{}", lane.as_str())
    }

    /// The queue in which one rung waits.
    #[must_use]
    pub fn wait_queue(&self, rung: Rung) -> String {
        self.queue(&format!("{WAIT}.{}", rung.0))
    }

    /// The queue of what needs attention.
    #[must_use]
    pub fn dead_queue(&self, queue: &DeadQueue) -> String {
        match queue {
            DeadQueue::Ingest => self.queue(&format!("{DEAD}.{KEY_DEAD_INGEST}")),
            DeadQueue::Subsystem(subsystem) => self.queue(&format!("{DEAD}.{subsystem}")),
        }
    }

    /// The routing key of a dead queue on [`Names::dead`].
    #[must_use]
    pub fn dead_key(queue: &DeadQueue) -> String {
        match queue {
            DeadQueue::Ingest => KEY_DEAD_INGEST.to_owned(),
            DeadQueue::Subsystem(subsystem) => subsystem.to_string(),
        }
    }

    /// The queue behind a source.
    #[must_use]
    pub fn source(&self, source: &Source) -> String {
        match source {
            Source::Ingest => self.queue(INGEST),
            Source::IngestBulk => self.queue(INGEST_BULK),
            Source::Act => self.queue(ACT),
            Source::Outcome => self.queue(OUTCOME),
            Source::Work { subsystem, lane } => self.work_queue(subsystem, *lane),
            Source::Wait { rung } => self.wait_queue(*rung),
            Source::Dead { queue } => self.dead_queue(queue),
            Source::Unrouted => self.queue(UNROUTED),
        }
    }
}
