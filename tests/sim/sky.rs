//! The weather over all processes: stormy until it is calm, and worse for a process that is held up.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use erasure_drill::{Blow, Lost, Weather};
use erasure_protocol::Millis;
use tokio::time::Instant;

use crate::chance::Chance;
use crate::trace::Trace;

/// When a run begins, on its own clock.
const BEGIN: i64 = 1_800_000_000_000;

/// Time and weather of one run. Clones are the same.
#[derive(Clone)]
pub(crate) struct Sky(Arc<Shared>);

struct Shared {
    begun: Instant,
    chance: Chance,
    trace: Trace,
    /// So many of a thousand calls are lost.
    lost: u64,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What the servers' clocks are ahead of that.
    leapt: i64,
    is_calm: bool,
    held_until: BTreeMap<&'static str, i64>,
}

impl Sky {
    pub(crate) fn new(chance: Chance, lost: u64, trace: Trace) -> Self {
        Self(Arc::new(Shared {
            begun: Instant::now(),
            chance,
            trace,
            lost,
            state: Mutex::default(),
        }))
    }

    /// Milliseconds since the run began.
    pub(crate) fn at(&self) -> i64 {
        i64::try_from(self.0.begun.elapsed().as_millis()).unwrap_or(i64::MAX)
    }

    /// The time of every server in it.
    pub(crate) fn now(&self) -> Millis {
        Millis(BEGIN + self.at() + self.state().leapt)
    }

    /// That moment of the run.
    pub(crate) fn moment(at: i64) -> Millis {
        Millis(BEGIN + at)
    }

    pub(crate) fn clock(&self) -> impl Fn() -> Millis + Send + Sync + 'static + use<> {
        let sky = self.clone();
        move || sky.now()
    }

    /// All clocks of all servers go on by this much at once.
    pub(crate) fn leap(&self, by: Duration) {
        self.state().leapt += i64::try_from(by.as_millis()).unwrap_or(0);
    }

    /// From now on every call succeeds, at once.
    pub(crate) fn calm(&self) {
        let mut state = self.state();
        state.is_calm = true;
        state.held_until.clear();
    }

    /// The process comes no further for so long, as one that was stopped by a signal.
    pub(crate) fn hold(&self, process: &'static str, for_ms: i64) {
        let until = self.at() + for_ms;
        self.state().held_until.insert(process, until);
    }

    /// The weather over one process.
    pub(crate) fn over(&self, process: &'static str) -> Weather {
        let sky = self.clone();
        Weather::new(move |call| sky.blow(process, call))
    }

    fn blow(&self, process: &'static str, call: &'static str) -> Blow {
        let at = self.at();
        let (is_calm, held) = {
            let state = self.state();
            (state.is_calm, state.held_until.get(process).map_or(0, |until| until - at))
        };
        let blow = if is_calm {
            Blow::default()
        } else {
            let held = Duration::from_millis(u64::try_from(held).unwrap_or(0));
            self.stormy(held)
        };
        self.0.trace.call(at, process, call, blow.lost);
        blow
    }

    fn stormy(&self, held: Duration) -> Blow {
        let chance = &self.0.chance;
        let lost = chance.in_thousand(self.0.lost).then(|| match chance.below(2) {
            0 => Lost::Question,
            _ => Lost::Answer,
        });
        Blow {
            before: held + self.travel(),
            after: self.travel(),
            lost,
        }
    }

    /// Most calls take no time, many a little, some long.
    fn travel(&self) -> Duration {
        let chance = &self.0.chance;
        Duration::from_millis(match chance.below(100) {
            0..70 => 0,
            70..98 => chance.between(1, 20),
            _ => chance.between(50, 300),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
