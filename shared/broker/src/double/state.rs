//! Everything the broker has, and how it changes. Every change happens in one piece.

use super::{
    exchange::Exchange,
    message::{Content, Message, Seen},
    queue::Queue,
    session::{Consuming, Held, LineState, LinkState},
};
use crate::{Error, QueueState, Row, confirm::Verdict};
use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

const NOT_FOUND: u16 = 404;
const OTHER_ARGUMENTS: u16 = 406;
const DELIVERY_LIMIT: &str = "delivery_limit";

/// How a delivery is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Settlement {
    Ack,
    Reject,
}

/// What a channel that consumes finds.
pub(super) enum Found {
    /// Deliveries.
    Some,
    /// None now; the bell rings when there are, or when there will be none any more.
    None(Arc<Notify>, CancellationToken),
    /// There will be none.
    End,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) now: Instant,
    pub(super) exchanges: BTreeMap<String, Exchange>,
    pub(super) queues: BTreeMap<String, Queue>,
    pub(super) links: BTreeMap<u64, LinkState>,
    pub(super) lines: BTreeMap<u64, LineState>,
    last_id: u64,
    /// It takes no connections.
    pub(super) down: bool,
    /// Queues in which something happens by itself, and when: nobody watches the clock for them yet.
    pub(super) unwatched: Vec<(String, Instant)>,
    /// Exchanges to keep an eye on, and what was seen there since it was last told.
    pub(super) observed: BTreeSet<String>,
    pub(super) seen: Vec<Seen>,
}

impl State {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            now,
            exchanges: BTreeMap::new(),
            queues: BTreeMap::new(),
            links: BTreeMap::new(),
            lines: BTreeMap::new(),
            last_id: 0,
            down: false,
            unwatched: Vec::new(),
            observed: BTreeSet::new(),
            seen: Vec::new(),
        }
    }

    // Connections and channels.

    pub(super) fn connect(&mut self, process: &str, name: &str) -> Option<(u64, CancellationToken)> {
        if self.down {
            return None;
        }
        self.last_id += 1;
        let over = CancellationToken::new();
        let link = LinkState {
            process: process.to_owned(),
            name: name.to_owned(),
            over: over.clone(),
        };
        self.links.insert(self.last_id, link);
        Some((self.last_id, over))
    }

    pub(super) fn open_line(&mut self, link: u64) -> Option<(u64, CancellationToken)> {
        let over = self.links.get(&link)?.over.child_token();
        self.last_id += 1;
        self.lines.insert(self.last_id, LineState::new(link, over.clone()));
        Some((self.last_id, over))
    }

    pub(super) fn close_link(&mut self, link: u64) {
        let Some(state) = self.links.remove(&link) else { return };
        let lines: Vec<u64> = self
            .lines
            .iter()
            .filter(|(_, it)| it.link == link)
            .map(|(id, _)| *id)
            .collect();
        for line in lines {
            self.close_line(line);
        }
        state.over.cancel();
    }

    /// What is unsettled on a channel goes back when it closes, and that counts, however politely it closed.
    pub(super) fn close_line(&mut self, line: u64) {
        let Some(mut state) = self.lines.remove(&line) else { return };
        if let Some(queue) = state.consuming.as_ref().and_then(|it| self.queues.get_mut(&it.queue)) {
            queue.rotation.retain(|it| *it != line);
        }
        let held = state.give_up_all();
        let queues: BTreeSet<String> = held.iter().map(|it| it.queue.clone()).collect();
        for Held { queue, message } in held {
            self.give_back(&queue, message);
        }
        for queue in queues {
            self.hand_out(&queue);
        }
        state.over.cancel();
    }

    // Declaring and looking.

    pub(super) fn declare(&mut self, row: &Row) -> Result<(), Error> {
        match row {
            Row::Exchange { name, kind, alternate } => match self.exchanges.get(name) {
                None => {
                    self.exchanges.insert(name.clone(), Exchange::new(*kind, alternate.clone()));
                    Ok(())
                }
                Some(it) if it.kind == *kind && it.alternate == *alternate => Ok(()),
                Some(_) => Err(refused(&format!("declaring exchange {name}"), OTHER_ARGUMENTS)),
            },
            Row::Queue { name, arguments } => match self.queues.get(name) {
                None => {
                    self.queues.insert(name.clone(), Queue::new(arguments));
                    Ok(())
                }
                Some(it) if it.arguments == *arguments => Ok(()),
                Some(_) => Err(refused(&format!("declaring queue {name}"), OTHER_ARGUMENTS)),
            },
            Row::Binding { exchange, queue, key } => match self.exchanges.get_mut(exchange) {
                Some(it) if self.queues.contains_key(queue) => {
                    it.bind(queue, key);
                    Ok(())
                }
                Some(_) | None => Err(refused(&format!("binding queue {queue} to exchange {exchange}"), NOT_FOUND)),
            },
        }
    }

    pub(super) fn exchange_there(&self, name: &str) -> Result<(), Error> {
        let there = self.exchanges.get(name).map(|_| ());
        there.ok_or_else(|| refused(&format!("looking for exchange {name}"), NOT_FOUND))
    }

    pub(super) fn queue_state(&self, name: &str) -> Result<QueueState, Error> {
        let queue = self
            .queues
            .get(name)
            .ok_or_else(|| refused(&format!("looking at queue {name}"), NOT_FOUND))?;
        let consumers = self.lines.values().filter(|it| it.counts_for(name)).count();
        Ok(QueueState {
            ready: queue.ready() as u64,
            consumers: u32::try_from(consumers).unwrap_or(u32::MAX),
        })
    }

    // Publishing.

    pub(super) fn publish(
        &mut self,
        content: Arc<Content>,
        (exchange, key): &(String, String),
        mandatory: bool,
    ) -> Result<Verdict, Error> {
        if !self.exchanges.contains_key(exchange) {
            return Err(refused(&format!("publishing to {exchange}"), NOT_FOUND));
        }
        let message = Message::new(content, key);
        if self.observed.contains(exchange) {
            self.seen.push(Seen::of(exchange, &message));
        }
        let queues = self.route(exchange, key);
        let returned = (queues.is_empty() && mandatory).then(|| message.id().to_owned());
        let mut acked = true;
        for queue in queues {
            acked &= self.put(&queue, message.clone()).is_ok();
        }
        Ok(Verdict { acked, returned })
    }

    /// The queues a message ends in.
    pub(super) fn route(&self, exchange: &str, key: &str) -> BTreeSet<String> {
        let Some(found) = self.exchanges.get(exchange) else {
            return BTreeSet::new();
        };
        let queues = found.wanted_by(key);
        match &found.alternate {
            Some(alternate) if queues.is_empty() => self.route(alternate, key),
            Some(_) | None => queues,
        }
    }

    /// Puts a message into a queue, or gives it back because the queue is full.
    pub(super) fn put(&mut self, name: &str, message: Message) -> Result<(), Message> {
        let Some(queue) = self.queues.get_mut(name).filter(|it| !it.is_full()) else {
            return Err(message);
        };
        queue.put(message, self.now);
        if queue.rules.wait.is_some() {
            self.watch(name);
        }
        self.hand_out(name);
        Ok(())
    }

    // Delivering and settling.

    pub(super) fn consume(&mut self, line: u64, queue: &str) -> Result<(), Error> {
        let doing = || format!("consuming from {queue}");
        let Some(state) = self.lines.get_mut(&line) else {
            return Err(Error::gone(&doing()));
        };
        let Some(found) = self.queues.get_mut(queue) else {
            return Err(refused(&doing(), NOT_FOUND));
        };
        state.consuming = Some(Consuming {
            queue: queue.to_owned(),
            cancelled: false,
            inbox: VecDeque::new(),
            bell: Arc::default(),
        });
        found.rotation.push_back(line);
        self.hand_out(queue);
        Ok(())
    }

    pub(super) fn cancel(&mut self, line: u64) {
        let Some(consuming) = self.lines.get_mut(&line).and_then(|it| it.consuming.as_mut()) else {
            return;
        };
        consuming.cancelled = true;
        consuming.bell.notify_one();
        if let Some(queue) = self.queues.get_mut(&consuming.queue) {
            queue.rotation.retain(|it| *it != line);
        }
    }

    pub(super) fn look(&self, line: u64) -> Found {
        let Some((line, consuming)) = self.lines.get(&line).and_then(|it| Some((it, it.consuming.as_ref()?))) else {
            return Found::End;
        };
        match (consuming.inbox.is_empty(), consuming.cancelled) {
            (false, _) => Found::Some,
            (true, true) => Found::End,
            (true, false) => Found::None(consuming.bell.clone(), line.over.clone()),
        }
    }

    /// What has come in for a consumer.
    pub(super) fn fetch(&mut self, line: u64) -> Vec<(u64, Message)> {
        let Some(state) = self.lines.get_mut(&line) else {
            return Vec::new();
        };
        let Some(consuming) = &mut state.consuming else {
            return Vec::new();
        };
        let tags = std::mem::take(&mut consuming.inbox);
        let found = tags
            .into_iter()
            .filter_map(|tag| Some((tag, state.holds(tag)?.message.clone())));
        found.collect()
    }

    pub(super) fn get(&mut self, line: u64, queue: &str) -> Result<Option<(u64, Message)>, Error> {
        let doing = || format!("getting a message from {queue}");
        let Some(state) = self.lines.get_mut(&line) else {
            return Err(Error::gone(&doing()));
        };
        let Some(found) = self.queues.get_mut(queue) else {
            return Err(refused(&doing(), NOT_FOUND));
        };
        let taken = found.take();
        Ok(taken.map(|message| (state.hold(queue, message.clone()), message)))
    }

    /// Whether there was such a delivery.
    pub(super) fn settle(&mut self, line: u64, tag: u64, how: Settlement) -> bool {
        let Some(Held { queue, message }) = self.lines.get_mut(&line).and_then(|it| it.settle(tag)) else {
            return false;
        };
        match how {
            Settlement::Ack => drop(message),
            Settlement::Reject => self.give_back(&queue, message),
        }
        self.hand_out(&queue);
        true
    }

    fn give_back(&mut self, name: &str, mut message: Message) {
        let Some(queue) = self.queues.get_mut(name) else { return };
        message.returns += 1;
        if queue.rules.returns_max.is_some_and(|max| message.returns > max) {
            self.dead_letter(name, message, DELIVERY_LIMIT);
        } else {
            queue.returned.push_back(message);
        }
    }

    /// Gives what is ready to those who consume, one each in turn.
    pub(super) fn hand_out(&mut self, name: &str) {
        let Some(queue) = self.queues.get_mut(name) else { return };
        while queue.ready() > 0 {
            let has_credit = |line: &u64| self.lines.get(line).is_some_and(LineState::has_credit);
            let Some(line) = queue
                .rotation
                .iter()
                .position(has_credit)
                .and_then(|at| queue.rotation.remove(at))
            else {
                return;
            };
            queue.rotation.push_back(line);
            if let (Some(line), Some(message)) = (self.lines.get_mut(&line), queue.take()) {
                line.deliver(name, message);
            }
        }
    }
}

/// What the broker says when it will not.
fn refused(doing: &str, code: u16) -> Error {
    let said = if code == OTHER_ARGUMENTS {
        "PRECONDITION_FAILED - inequivalent arg"
    } else {
        "NOT_FOUND"
    };
    Error::Broker {
        doing: doing.to_owned(),
        source: said.into(),
        code: Some(code),
    }
}
