//! One process that talks to the broker, and the weather between them.

use super::{broker::MemoryBroker, link::Link, state::State};
use crate::{Error, ServerVersion};
use erasure_drill::Weather;
use std::time::Duration;

/// A process as the broker knows it. It goes into the process's [`Config`](crate::Config).
#[derive(Clone, Debug)]
pub struct Process {
    pub(super) broker: MemoryBroker,
    name: String,
    pub(super) weather: Weather,
}

impl PartialEq for Process {
    fn eq(&self, other: &Self) -> bool {
        self.broker == other.broker && self.name == other.name
    }
}

impl Eq for Process {}

impl Process {
    pub(super) fn new(broker: MemoryBroker, name: &str, weather: Weather) -> Self {
        Self {
            broker,
            name: name.to_owned(),
            weather,
        }
    }

    pub(crate) async fn connect(&self, name: &str) -> Result<Link, Error> {
        let connected = self.ask("broker.connect", "connecting to the broker", |state| {
            state.connect(&self.name, name)
        });
        let (id, over) = connected.await?.ok_or_else(|| Error::gone("connecting to the broker"))?;
        Ok(Link::new(self.clone(), id, over))
    }

    pub(crate) fn version(&self) -> ServerVersion {
        self.broker.version()
    }

    /// A call that is answered.
    pub(super) async fn ask<T>(&self, call: &'static str, doing: &str, effect: impl FnOnce(&mut State) -> T) -> Result<T, Error> {
        let answer = self.weather.around(call, || self.broker.with(effect)).await;
        answer.map_err(|_| Error::Timeout {
            doing: doing.to_owned(),
            waited: Duration::ZERO,
        })
    }
}
