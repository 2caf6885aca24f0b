//! The broker itself: one state, shared by all who are connected.

use super::{message::Seen, process::Process, state::State};
use crate::{Config, Row, ServerVersion, Topology};
use erasure_drill::Weather;
use erasure_protocol::Millis;
use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::{
    runtime::Handle,
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};

/// When the time of a broker begins, unless told otherwise: the first moment of 2026.
const BEGINNING: Millis = Millis(1_767_225_600_000);

type Observer = Arc<dyn Fn(&Seen) + Send + Sync>;

/// A broker in memory. Cheap to clone: every clone is the same broker.
#[derive(Clone)]
pub struct MemoryBroker(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    observers: Mutex<Vec<(String, Observer)>>,
    blocked: watch::Sender<bool>,
    born: Instant,
    beginning: Millis,
}

impl fmt::Debug for MemoryBroker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MemoryBroker")
    }
}

impl PartialEq for MemoryBroker {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for MemoryBroker {}

impl Default for MemoryBroker {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryBroker {
    /// An empty broker: nothing is declared.
    #[must_use]
    pub fn new() -> Self {
        Self::at(BEGINNING)
    }

    /// An empty broker for which it is now this time; it shows in when messages say they were published.
    #[must_use]
    pub fn at(beginning: Millis) -> Self {
        let born = Instant::now();
        Self(Arc::new(Shared {
            state: Mutex::new(State::new(born)),
            observers: Mutex::default(),
            blocked: watch::channel(false).0,
            born,
            beginning,
        }))
    }

    /// A process that talks to this broker, in its own weather. Its name is for [`MemoryBroker::cut`].
    #[must_use]
    pub fn process(&self, name: &str, weather: Weather) -> Process {
        Process::new(self.clone(), name, weather)
    }

    /// A configuration for a process, with everything else at its default.
    #[must_use]
    pub fn config(&self, process: &str, weather: Weather) -> Config {
        Config {
            double: Some(self.process(process, weather)),
            ..Config::default()
        }
    }

    /// Declares the whole topology at once, without weather.
    ///
    /// # Panics
    /// When something of it is declared already, and differently.
    pub fn declare(&self, topology: &Topology) {
        let rows = topology.clone().for_server(self.version()).table();
        for row in &rows {
            let declared = self.with(|state| state.declare(row));
            declared.expect("the rows of the table agree with each other");
        }
    }

    /// Declares a queue anew with other arguments, empty. Its bindings stay.
    pub fn replace(&self, row: &Row) {
        if let Row::Queue { name, .. } = row {
            self.with(|state| {
                state.queues.remove(name);
                let declared = state.declare(row);
                declared.expect("there is no queue of this name any more");
            });
        }
    }

    /// Calls this with every message that is published to an exchange from now on, at the moment the broker has it and before anybody
    /// receives it.
    pub fn observe(&self, exchange: &str, observer: impl Fn(&Seen) + Send + Sync + 'static) {
        self.with(|state| state.observed.insert(exchange.to_owned()));
        locked(&self.0.observers).push((exchange.to_owned(), Arc::new(observer)));
    }

    /// Keeps every message that is published to an exchange from now on.
    #[must_use]
    pub fn tap(&self, exchange: &str) -> mpsc::UnboundedReceiver<Seen> {
        let (send, receive) = mpsc::unbounded_channel();
        self.observe(exchange, move |seen| {
            // Nobody may be listening any more.
            let _ = send.send(seen.clone());
        });
        receive
    }

    pub(crate) fn version(&self) -> ServerVersion {
        ServerVersion::WITH_DEFAULT_LIMIT
    }

    /// What time it is, to the second, as publishers write it.
    pub(super) fn time(&self) -> Millis {
        let passed = Instant::now().saturating_duration_since(self.0.born).as_secs();
        let passed_ms = i64::try_from(passed).unwrap_or(i64::MAX / 1_000).saturating_mul(1_000);
        Millis((self.0.beginning.0 / 1_000 * 1_000).saturating_add(passed_ms))
    }

    pub(super) fn blocked(&self) -> &watch::Sender<bool> {
        &self.0.blocked
    }

    /// Looks or changes, in one piece.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let mut state = locked(&self.0.state);
        state.catch_up(Instant::now());
        let result = act(&mut state);
        let seen = std::mem::take(&mut state.seen);
        let unwatched = std::mem::take(&mut state.unwatched);
        drop(state);
        for (queue, due) in unwatched {
            self.watch(queue, due);
        }
        for seen in seen {
            self.tell(&seen);
        }
        result
    }

    fn tell(&self, seen: &Seen) {
        let observers = locked(&self.0.observers).clone();
        for (exchange, observer) in observers {
            if exchange == seen.exchange {
                observer(seen);
            }
        }
    }

    /// Watches the clock for a queue. Without a runtime there is no clock, and everybody who comes brings the time along.
    fn watch(&self, queue: String, due: Instant) {
        let Ok(runtime) = Handle::try_current() else { return };
        let shared = Arc::downgrade(&self.0);
        runtime.spawn(async move {
            sleep_until(due).await;
            if let Some(shared) = shared.upgrade() {
                Self(shared).with(|state| state.rang(&queue, due));
            }
        });
    }
}

fn locked<T>(it: &Mutex<T>) -> MutexGuard<'_, T> {
    it.lock().unwrap_or_else(PoisonError::into_inner)
}
