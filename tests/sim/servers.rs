//! RabbitMQ's double, and what can happen to it.

use std::sync::Arc;

use erasure_broker::double::{Disk, MemoryBroker};
use erasure_broker::{Config, Names, Source, Topology};

use crate::chance::Chance;
use crate::oracle::Oracle;
use crate::process::retry;
use crate::scenario::STORES;
use crate::sky::Sky;
use crate::world::subsystem_name;

/// The broker of one run.
pub(crate) struct Broker {
    broker: MemoryBroker,
    names: Names,
}

impl Broker {
    /// A broker on which everything is declared. Whatever it tells the world, the oracle hears first.
    pub(crate) fn new(oracle: &Arc<Oracle>) -> Self {
        let broker = MemoryBroker::at(Sky::moment(0));
        let subsystems: Vec<_> = (0..STORES.len()).map(subsystem_name).collect();
        broker.declare(&Topology::new(&Config::default(), &subsystems, &retry().rungs));
        let names = Names::new("");
        let oracle = Arc::clone(oracle);
        broker.observe(&names.events(), move |seen| oracle.hears(&seen.body));
        Self { broker, names }
    }

    /// What a process needs to reach it.
    pub(crate) fn config(&self, sky: &Sky, process: &'static str) -> Config {
        Config {
            confirm_timeout_ms: 3_000,
            response_timeout_ms: 2_000,
            connect_timeout_ms: 2_000,
            settle_grace_ms: 1_000,
            reconnect_pause_ms_max: 1_000,
            ..self.broker.config(process, sky.over(process))
        }
    }

    /// The system closes the connections of a process that has died.
    pub(crate) fn forget(&self, process: &str) {
        self.broker.cut(process);
    }

    pub(crate) fn restart(&self) {
        self.broker.restart(Disk::Kept);
    }

    /// Loses a message that it had confirmed, from one of the queues whose content the ledger can make anew.
    pub(crate) fn lose_one(&self, chance: &Chance) {
        if let Some(queue) = self.one(chance, |queue| !self.has_custody(queue)) {
            self.broker.lose(&queue, 1);
        }
    }

    pub(crate) fn duplicate_one(&self, chance: &Chance) {
        if let Some(queue) = self.one(chance, |_| true) {
            self.broker.duplicate(&queue, 3);
        }
    }

    pub(crate) fn reorder(&self, chance: &Chance) {
        let seed = chance.next();
        for queue in self.broker.contents().keys() {
            self.broker.reorder(queue, seed);
        }
    }

    /// Loses everything that the ledger can make anew.
    pub(crate) fn wipe(&self) {
        self.broker.restart(Disk::Kept);
        for queue in self.broker.contents().keys().filter(|queue| !self.has_custody(queue)) {
            self.broker.lose(queue, usize::MAX);
        }
    }

    /// Commands are the producers' until they are in the ledger: of those the broker may lose none.
    fn has_custody(&self, queue: &str) -> bool {
        [Source::Ingest, Source::IngestBulk]
            .iter()
            .any(|source| self.names.source(source) == queue)
    }

    /// One of the queues that have something ready.
    fn one(&self, chance: &Chance, may: impl Fn(&str) -> bool) -> Option<String> {
        let contents = self.broker.contents();
        let full = contents.iter().filter(|(name, it)| !it.ready.is_empty() && may(name));
        let full: Vec<&String> = full.map(|(name, _)| name).collect();
        (!full.is_empty()).then(|| (*chance.pick(&full)).clone())
    }
}
