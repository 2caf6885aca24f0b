//! Dead letters, and what happens to a queue by itself as time goes by.

use super::{message::Message, queue::Queue, state::State};
use std::time::Duration;
use tokio::time::Instant;

const EXPIRED: &str = "expired";
/// How long a dead letter that was not taken stays where it was. RabbitMQ's default of three minutes.
const POST_AGAIN: Duration = Duration::from_secs(180);

impl State {
    /// Sends on what this queue keeps no longer. Without a place to go it is dropped, as RabbitMQ does.
    pub(super) fn dead_letter(&mut self, name: &str, mut message: Message, reason: &'static str) {
        let Some((_, key)) = self.queues.get(name).and_then(|it| it.rules.letters_to.as_ref()) else {
            return;
        };
        if let Some(key) = key {
            message.routing_key.clone_from(key);
        }
        message.returns = 0;
        message.until = None;
        message.death.get_or_insert(reason);
        self.post(name, message);
    }

    /// At least once: a dead letter stays with its queue until every queue it goes to has taken it.
    fn post(&mut self, name: &str, letter: Message) {
        let letters_to = self.queues.get(name).and_then(|it| it.rules.letters_to.clone());
        let Some((exchange, _)) = letters_to else { return };
        let queues = self.route(&exchange, &letter.routing_key);
        let refusals = queues.iter().filter(|it| self.put(it, letter.clone()).is_err()).count();
        if (queues.is_empty() || refusals > 0)
            && let Some(queue) = self.queues.get_mut(name)
        {
            queue.letters.push_back(letter);
            queue.post_again.get_or_insert(self.now + POST_AGAIN);
            self.watch(name);
        }
    }

    /// Lets time take its course: what has waited long enough goes on, and so do letters that could not.
    pub(super) fn catch_up(&mut self, now: Instant) {
        self.now = now;
        let busy = |queue: &Queue| queue.next_due().is_some_and(|due| due <= now);
        let names: Vec<String> = self
            .queues
            .iter()
            .filter(|(_, it)| busy(it))
            .map(|(name, _)| name.clone())
            .collect();
        for name in names {
            self.catch_up_with(&name);
        }
    }

    fn catch_up_with(&mut self, name: &str) {
        let now = self.now;
        if let Some(queue) = self.queues.get_mut(name)
            && queue.post_again.is_some_and(|at| at <= now)
        {
            queue.post_again = None;
            for letter in std::mem::take(&mut queue.letters) {
                self.post(name, letter);
            }
        }
        while let Some(message) = self.queues.get_mut(name).and_then(|it| it.take_due(now)) {
            self.dead_letter(name, message, EXPIRED);
        }
    }

    /// Asks for somebody to watch the clock for a queue, unless somebody does.
    pub(super) fn watch(&mut self, name: &str) {
        let Some(queue) = self.queues.get_mut(name) else { return };
        let Some(due) = queue.next_due() else { return };
        if queue.watched.is_none_or(|watched| due < watched) {
            queue.watched = Some(due);
            self.unwatched.push((name.to_owned(), due));
        }
    }

    /// The time that somebody has watched for has come.
    pub(super) fn rang(&mut self, name: &str, due: Instant) {
        let Some(queue) = self.queues.get_mut(name) else { return };
        if queue.watched == Some(due) {
            queue.watched = None;
            self.watch(name);
        }
    }
}
