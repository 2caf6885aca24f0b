//! A quorum queue.

use super::message::Message;
use crate::topology::Argument;
use std::{collections::VecDeque, time::Duration};
use tokio::time::Instant;

/// What the arguments of a queue say, as far as we use them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Rules {
    /// How long a message waits before it is dead-lettered.
    pub(super) wait: Option<Duration>,
    /// How often a message may come back.
    pub(super) returns_max: Option<u64>,
    /// How many messages may be ready; beyond that publishing is refused.
    pub(super) ready_max: Option<u64>,
    /// Where dead letters go: an exchange, and a routing key in the place of their own.
    pub(super) letters_to: Option<(String, Option<String>)>,
}

impl Rules {
    pub(super) fn of(arguments: &[(&'static str, Argument)]) -> Self {
        let text = |wanted: &str| {
            arguments.iter().find_map(|(key, value)| match value {
                Argument::Text(text) if *key == wanted => Some(text.clone()),
                Argument::Text(_) | Argument::Number(_) => None,
            })
        };
        let number = |wanted: &str| {
            arguments.iter().find_map(|(key, value)| match value {
                Argument::Number(number) if *key == wanted => u64::try_from(*number).ok(),
                Argument::Text(_) | Argument::Number(_) => None,
            })
        };
        Self {
            wait: number("x-message-ttl").map(Duration::from_millis),
            returns_max: number("x-delivery-limit"),
            ready_max: number("x-max-length"),
            letters_to: text("x-dead-letter-exchange").map(|exchange| (exchange, text("x-dead-letter-routing-key"))),
        }
    }
}

#[derive(Debug)]
pub(super) struct Queue {
    pub(super) arguments: Vec<(&'static str, Argument)>,
    pub(super) rules: Rules,
    /// What came back: it is delivered first.
    pub(super) returned: VecDeque<Message>,
    /// What was never delivered.
    pub(super) fresh: VecDeque<Message>,
    /// Dead letters that the queue they go to has not taken yet.
    pub(super) letters: VecDeque<Message>,
    /// When to try again with them.
    pub(super) post_again: Option<Instant>,
    /// The channels that consume from it; the first is next.
    pub(super) rotation: VecDeque<u64>,
    /// For when somebody watches the clock.
    pub(super) watched: Option<Instant>,
}

impl Queue {
    pub(super) fn new(arguments: &[(&'static str, Argument)]) -> Self {
        Self {
            arguments: arguments.to_vec(),
            rules: Rules::of(arguments),
            returned: VecDeque::new(),
            fresh: VecDeque::new(),
            letters: VecDeque::new(),
            post_again: None,
            rotation: VecDeque::new(),
            watched: None,
        }
    }

    pub(super) fn ready(&self) -> usize {
        self.returned.len() + self.fresh.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.rules.ready_max.is_some_and(|max| self.ready() as u64 >= max)
    }

    pub(super) fn put(&mut self, mut message: Message, now: Instant) {
        message.until = self.rules.wait.map(|wait| now + wait);
        self.fresh.push_back(message);
    }

    pub(super) fn take(&mut self) -> Option<Message> {
        self.returned.pop_front().or_else(|| self.fresh.pop_front())
    }

    /// When something has to happen that nobody asks for.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.waited_until().into_iter().chain(self.post_again).min()
    }

    /// When the first of those that wait has waited long enough. All wait equally long, so it is the first that came.
    fn waited_until(&self) -> Option<Instant> {
        let first = [self.returned.front(), self.fresh.front()];
        first.into_iter().flatten().filter_map(|message| message.until).min()
    }

    /// Takes out the first message, if it has waited long enough.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<Message> {
        let due = |messages: &VecDeque<Message>| messages.front().and_then(|it| it.until).is_some_and(|due| due <= now);
        if due(&self.returned) {
            self.returned.pop_front()
        } else if due(&self.fresh) {
            self.fresh.pop_front()
        } else {
            None
        }
    }

    pub(super) fn clear(&mut self) {
        self.returned.clear();
        self.fresh.clear();
        self.letters.clear();
        self.post_again = None;
    }
}
