//! What a drill can do to the broker.

use super::{broker::MemoryBroker, message::Message, state::State};
use std::collections::{BTreeMap, VecDeque};

/// What becomes of the broker's disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disk {
    /// Everything confirmed is there again.
    Kept,
    /// Every queue is empty. What is declared stays declared.
    Lost,
}

/// The ids of the messages of one queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// Ready to be delivered, in order.
    pub ready: Vec<String>,
    /// Delivered and not settled, in the order of channels and deliveries.
    pub unsettled: Vec<String>,
    /// On the way to another queue that has not taken them yet.
    pub leaving: Vec<String>,
}

impl MemoryBroker {
    /// Ends every session; what was unsettled goes back and is counted. It takes connections again at once.
    pub fn restart(&self, disk: Disk) {
        self.with(|state| state.end(disk));
    }

    /// As [`MemoryBroker::restart`], but it takes no connections until [`MemoryBroker::start`].
    pub fn stop(&self, disk: Disk) {
        self.with(|state| {
            state.down = true;
            state.end(disk);
        });
    }

    /// Takes connections again.
    pub fn start(&self) {
        self.with(|state| state.down = false);
    }

    /// Publishes hang, as under an alarm, until [`MemoryBroker::unblock`].
    pub fn block(&self) {
        self.blocked().send_replace(true);
    }

    /// The alarm is over: what hangs goes on.
    pub fn unblock(&self) {
        self.blocked().send_replace(false);
    }

    /// Breaks every connection of the process of this name, and every connection of this name ("erasure publisher …", "erasure consumer
    /// QUEUE", "erasure inspector"). How many that were.
    pub fn cut(&self, name: &str) -> usize {
        self.with(|state| {
            let found = state.links.iter().filter(|(_, it)| it.process == name || it.name == name);
            let links: Vec<u64> = found.map(|(id, _)| *id).collect();
            for link in &links {
                state.close_link(*link);
            }
            links.len()
        })
    }

    /// Loses the first messages of those that are ready, as no broker should. Their ids.
    pub fn lose(&self, queue: &str, messages_max: usize) -> Vec<String> {
        self.with(|state| {
            let Some(queue) = state.queues.get_mut(queue) else {
                return Vec::new();
            };
            let taken = (0..messages_max).map_while(|_| queue.take());
            taken.map(|message| message.id().to_owned()).collect()
        })
    }

    /// Puts a second copy of the first messages of those that are ready behind all others. Their ids.
    pub fn duplicate(&self, queue: &str, messages_max: usize) -> Vec<String> {
        self.with(|state| {
            let Some(found) = state.queues.get_mut(queue) else {
                return Vec::new();
            };
            let ready = found.returned.iter().chain(&found.fresh);
            let copies: Vec<Message> = ready.take(messages_max).cloned().collect();
            let ids = copies.iter().map(|message| message.id().to_owned()).collect();
            for copy in copies {
                found.put(copy, state.now);
            }
            state.watch(queue);
            state.hand_out(queue);
            ids
        })
    }

    /// Puts what is ready into another order; the same for the same seed. What waits for its time is left alone.
    pub fn reorder(&self, queue: &str, seed: u64) {
        self.with(|state| {
            let Some(queue) = state.queues.get_mut(queue).filter(|it| it.rules.wait.is_none()) else {
                return;
            };
            shuffle(&mut queue.returned, seed);
            shuffle(&mut queue.fresh, seed);
        });
    }

    /// How many messages may be ready in a queue before it rejects; `None`: any number.
    pub fn limit_length(&self, queue: &str, ready_max: Option<u64>) {
        self.with(|state| {
            if let Some(queue) = state.queues.get_mut(queue) {
                queue.rules.ready_max = ready_max;
            }
        });
    }

    /// What is in every queue.
    #[must_use]
    pub fn contents(&self) -> BTreeMap<String, Contents> {
        self.with(|state| state.contents())
    }
}

impl State {
    fn end(&mut self, disk: Disk) {
        let links: Vec<u64> = self.links.keys().copied().collect();
        for link in links {
            self.close_link(link);
        }
        match disk {
            Disk::Kept => {}
            Disk::Lost => self.queues.values_mut().for_each(super::queue::Queue::clear),
        }
    }

    /// Breaks the connection below a channel. Whether it was open.
    pub(super) fn cut_below(&mut self, line: u64) -> bool {
        let link = self.lines.get(&line).map(|it| it.link);
        if let Some(link) = link {
            self.close_link(link);
        }
        link.is_some()
    }

    fn contents(&self) -> BTreeMap<String, Contents> {
        let ids = |messages: &VecDeque<Message>| messages.iter().map(|it| it.id().to_owned()).collect::<Vec<_>>();
        let of = |name: &String, queue: &super::queue::Queue| {
            let held = self.lines.values().flat_map(super::session::LineState::all_held);
            let unsettled = held.filter(|it| it.queue == *name).map(|it| it.message.id().to_owned());
            Contents {
                ready: [ids(&queue.returned), ids(&queue.fresh)].concat(),
                unsettled: unsettled.collect(),
                leaving: ids(&queue.letters),
            }
        };
        self.queues
            .iter()
            .map(|(name, queue)| (name.clone(), of(name, queue)))
            .collect()
    }
}

/// Fisher and Yates, with the numbers of SplitMix64.
fn shuffle(messages: &mut VecDeque<Message>, seed: u64) {
    let mut state = seed;
    for at in (1..messages.len()).rev() {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut number = state;
        number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        number ^= number >> 31;
        let with = usize::try_from(number % (at as u64 + 1)).unwrap_or(0);
        messages.swap(at, with);
    }
}
