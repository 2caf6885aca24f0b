//! The tracker on a Redis in memory: the same scripts, run in this process, with a clock and a weather that the test decides over.
//!
//! It knows the commands that the scripts and the tracker use, and refuses every other. Nothing in it depends on the real clock, on
//! chance or on the order of a hash table: the same calls give the same answers.

mod keyspace;
mod link;
mod lua;
mod ranking;
mod reply;
mod stream;
mod structs;

use crate::connection::Connection;
use crate::{Config, Error, Tracker};
use erasure_drill::Weather;
use erasure_protocol::{LedgerId, Millis};
use keyspace::Keyspace;
pub(crate) use link::Link;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A Redis in memory. Its clones are the same Redis.
#[derive(Clone)]
pub struct MemoryRedis(Arc<Shared>);

struct Shared {
    keys: Mutex<Keyspace>,
    now: Box<dyn Fn() -> Millis + Send + Sync>,
}

/// All that a [`MemoryRedis`] held at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot(Keyspace);

impl fmt::Debug for MemoryRedis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryRedis")
    }
}

impl MemoryRedis {
    /// An empty Redis with this clock.
    pub fn new(now: impl Fn() -> Millis + Send + Sync + 'static) -> Self {
        Self(Arc::new(Shared {
            keys: Mutex::default(),
            now: Box::new(now),
        }))
    }

    /// Loses everything.
    pub fn wipe(&self) {
        *self.locked() = Keyspace::default();
    }

    /// Loses one key.
    pub fn lose(&self, key: &str) {
        self.locked().lose(key.as_bytes());
    }

    /// A copy of all it holds.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(self.locked().clone())
    }

    /// Goes back to an older copy, as a restored backup or a failover to a replica that lags behind does.
    pub fn restore(&self, snapshot: &Snapshot) {
        self.locked().clone_from(&snapshot.0);
    }

    /// The names of all keys, in order.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        let now = self.now();
        self.locked().names(now)
    }

    /// When a key expires; `None` when it does not, or is not there.
    #[must_use]
    pub fn expires_at(&self, key: &str) -> Option<Millis> {
        let now = self.now();
        self.locked().expires_at(now, key.as_bytes())
    }

    /// How many entries a stream holds; 0 when there is none.
    #[must_use]
    pub fn stream_length(&self, key: &str) -> usize {
        let now = self.now();
        self.locked().stream_length(now, key.as_bytes())
    }

    fn now(&self) -> Millis {
        (self.0.now)()
    }

    fn locked(&self) -> MutexGuard<'_, Keyspace> {
        self.0.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tracker {
    /// Like [`Tracker::connect`], to a Redis in memory through a weather of its own. The names of its calls are `tracker.` and what
    /// [`Error::Unreachable`] says the tracker was doing, such as `tracker.marking tasks`.
    ///
    /// # Errors
    /// As [`Tracker::connect`].
    pub async fn on_double(redis: &MemoryRedis, config: &Config, ledger: LedgerId, weather: Weather) -> Result<Self, Error> {
        config.check()?;
        let link = Link::new(redis.clone(), weather, config);
        Self::on(Connection::Double(link), config, ledger).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redis() -> MemoryRedis {
        MemoryRedis::new(|| Millis(1_790_000_000_123))
    }

    fn ask(redis: &MemoryRedis, words: &[&str]) -> Result<redis::Value, String> {
        let words: Vec<&[u8]> = words.iter().map(|it| it.as_bytes()).collect();
        let now = redis.now();
        redis.locked().run(now, &words).map_err(|it| it.0)
    }

    #[test]
    fn a_command_it_does_not_know_is_refused() {
        let refused = ask(&redis(), &["INCR", "a"]).unwrap_err();
        assert_eq!(refused, "ERR unknown command 'INCR'");
        let refused = ask(&redis(), &["HSET", "a", "b"]).unwrap_err();
        assert_eq!(refused, "ERR wrong number of arguments for 'HSET'");
    }

    #[test]
    fn a_key_of_another_type_is_refused() {
        let redis = redis();
        ask(&redis, &["HSET", "a", "b", "1"]).unwrap();
        assert!(
            ask(&redis, &["XADD", "a", "*", "r", "1"])
                .unwrap_err()
                .starts_with("WRONGTYPE")
        );
    }

    #[test]
    fn going_back_to_an_older_copy_forgets_what_came_after() {
        let redis = redis();
        ask(&redis, &["HSET", "a", "b", "1"]).unwrap();
        let copy = redis.snapshot();
        ask(&redis, &["HSET", "c", "b", "1"]).unwrap();
        assert_eq!(redis.keys(), ["a", "c"]);
        redis.restore(&copy);
        assert_eq!(redis.keys(), ["a"]);
        redis.wipe();
        assert!(redis.keys().is_empty());
    }
}
