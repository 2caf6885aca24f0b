//! What the broker knows of connections and channels.

use super::message::Message;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

#[derive(Debug)]
pub(super) struct LinkState {
    pub(super) process: String,
    pub(super) name: String,
    pub(super) over: CancellationToken,
}

#[derive(Debug)]
pub(super) struct LineState {
    pub(super) link: u64,
    pub(super) over: CancellationToken,
    /// How many deliveries may be unsettled.
    pub(super) prefetch: u16,
    pub(super) consuming: Option<Consuming>,
    unsettled: BTreeMap<u64, Held>,
    last_tag: u64,
}

/// A delivery that is not settled.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) queue: String,
    pub(super) message: Message,
}

#[derive(Debug)]
pub(super) struct Consuming {
    pub(super) queue: String,
    pub(super) cancelled: bool,
    /// Delivered by the broker, and not fetched by the consumer yet.
    pub(super) inbox: VecDeque<u64>,
    pub(super) bell: Arc<Notify>,
}

impl LineState {
    pub(super) fn new(link: u64, over: CancellationToken) -> Self {
        Self {
            link,
            over,
            prefetch: u16::MAX,
            consuming: None,
            unsettled: BTreeMap::new(),
            last_tag: 0,
        }
    }

    pub(super) fn has_credit(&self) -> bool {
        self.unsettled.len() < usize::from(self.prefetch)
    }

    /// Gives it a message to hold, under a new tag.
    pub(super) fn hold(&mut self, queue: &str, message: Message) -> u64 {
        self.last_tag += 1;
        let queue = queue.to_owned();
        self.unsettled.insert(self.last_tag, Held { queue, message });
        self.last_tag
    }

    /// Gives its consumer a message.
    pub(super) fn deliver(&mut self, queue: &str, message: Message) {
        let tag = self.hold(queue, message);
        if let Some(consuming) = &mut self.consuming {
            consuming.inbox.push_back(tag);
            consuming.bell.notify_one();
        }
    }

    pub(super) fn settle(&mut self, tag: u64) -> Option<Held> {
        self.unsettled.remove(&tag)
    }

    pub(super) fn holds(&self, tag: u64) -> Option<&Held> {
        self.unsettled.get(&tag)
    }

    /// Everything it holds, in the order of delivery.
    pub(super) fn all_held(&self) -> impl Iterator<Item = &Held> {
        self.unsettled.values()
    }

    pub(super) fn give_up_all(&mut self) -> Vec<Held> {
        std::mem::take(&mut self.unsettled).into_values().collect()
    }

    /// A consumer that was cancelled counts until what it holds is settled.
    pub(super) fn counts_for(&self, queue: &str) -> bool {
        self.consuming
            .as_ref()
            .is_some_and(|it| it.queue == queue && (!it.cancelled || !self.unsettled.is_empty()))
    }
}
