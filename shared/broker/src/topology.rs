//! The whole topology as one table, and the definitions to import made from it.

use crate::{Config, DeadQueue, Names, ServerVersion, Source, names};
use erasure_protocol::{Lane, Rung, SubsystemName};
use serde_json::{Value, json};

/// After this many deliveries a message needs attention. High, because deliveries also count when a worker is merely restarted.
const DELIVERY_LIMIT: i64 = 1_000;

/// One line of the topology.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row {
    /// A durable exchange.
    Exchange {
        /// Its name.
        name: String,
        /// Its type.
        kind: ExchangeKind,
        /// Where what no binding wants goes.
        alternate: Option<String>,
    },
    /// A durable quorum queue.
    Queue {
        /// Its name.
        name: String,
        /// Its arguments: everything our safety rests on, because policies need rights we do not have.
        arguments: Vec<(&'static str, Argument)>,
    },
    /// What makes an exchange put messages into a queue.
    Binding {
        /// The exchange.
        exchange: String,
        /// The queue.
        queue: String,
        /// The routing key.
        key: String,
    },
}

/// The types of exchanges we use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExchangeKind {
    /// To the queues bound with exactly the routing key.
    Direct,
    /// To the queues whose pattern matches.
    Topic,
    /// To every queue bound.
    Fanout,
}

impl ExchangeKind {
    /// The broker's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Topic => "topic",
            Self::Fanout => "fanout",
        }
    }
}

/// The value of a queue's argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Argument {
    /// A text.
    Text(String),
    /// A number.
    Number(i64),
}

/// Everything the fleet needs on the broker.
#[derive(Clone, Debug)]
pub struct Topology {
    names: Names,
    subsystems: Vec<SubsystemName>,
    rungs: Vec<Rung>,
    server: ServerVersion,
}

impl Topology {
    /// The topology for these subsystems and waiting times, as a broker of version 4.0 or later wants it; see
    /// [`Topology::for_server`].
    #[must_use]
    pub fn new(config: &Config, subsystems: &[SubsystemName], rungs: &[Rung]) -> Self {
        Self {
            names: Names::new(&config.prefix),
            subsystems: subsystems.to_vec(),
            rungs: rungs.to_vec(),
            server: ServerVersion::WITH_DEFAULT_LIMIT,
        }
    }

    /// The same for another version of the broker. [`crate::apply`] and [`crate::verify`] ask the broker themselves.
    #[must_use]
    pub fn for_server(self, server: ServerVersion) -> Self {
        Self { server, ..self }
    }

    /// The names used.
    #[must_use]
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// Every exchange, queue and binding, in an order in which they can be declared.
    #[must_use]
    pub fn table(&self) -> Vec<Row> {
        let mut rows = self.exchanges();
        rows.extend(self.parking());
        rows.extend(self.fixed_lanes());
        rows.extend(self.work());
        rows.extend(self.waiting());
        rows
    }

    fn exchanges(&self) -> Vec<Row> {
        let names = &self.names;
        let row = |name, kind, alternate| Row::Exchange { name, kind, alternate };
        let caught = || Some(names.unrouted());
        let mut rows = vec![
            row(names.unrouted(), ExchangeKind::Fanout, None),
            row(names.dead(), ExchangeKind::Direct, None),
            row(names.requests(), ExchangeKind::Topic, caught()),
            row(names.work(), ExchangeKind::Direct, caught()),
            row(names.events(), ExchangeKind::Topic, None),
        ];
        rows.extend(
            self.rungs
                .iter()
                .map(|rung| row(names.wait(*rung), ExchangeKind::Fanout, caught())),
        );
        rows
    }

    /// Where messages stay until a person has looked at them.
    fn parking(&self) -> Vec<Row> {
        let names = &self.names;
        let subsystems = self.subsystems.iter().cloned().map(DeadQueue::Subsystem);
        let mut rows = Vec::new();
        for queue in subsystems.chain([DeadQueue::Ingest]) {
            let name = names.dead_queue(&queue);
            rows.extend(bound(names.dead(), name, &Names::dead_key(&queue), self.parked()));
        }
        rows.extend(bound(names.unrouted(), names.source(&Source::Unrouted), "", self.parked()));
        rows
    }

    fn fixed_lanes(&self) -> Vec<Row> {
        let names = &self.names;
        let lanes = [
            (names.requests(), Source::Ingest, names::KEY_REQUEST),
            (names.requests(), Source::IngestBulk, names::KEY_REQUEST_BULK),
            (names.requests(), Source::Act, names::KEY_ACT),
            (names.work(), Source::Outcome, names::KEY_OUTCOME),
        ];
        let row = |(exchange, source, key): (String, Source, &str)| {
            bound(exchange, names.source(&source), key, self.working(&DeadQueue::Ingest))
        };
        lanes.into_iter().flat_map(row).collect()
    }

    fn work(&self) -> Vec<Row> {
        let lanes = self.subsystems.iter().flat_map(|it| Lane::ALL.map(|lane| (it, lane)));
        let row = |(subsystem, lane): (&SubsystemName, Lane)| {
            let arguments = self.working(&DeadQueue::Subsystem(subsystem.clone()));
            let name = self.names.work_queue(subsystem, lane);
            bound(self.names.work(), name, &Names::work_key(subsystem, lane), arguments)
        };
        lanes.flat_map(row).collect()
    }

    /// One hop each: what has waited goes straight back to its lane, by the routing key it was published with.
    fn waiting(&self) -> Vec<Row> {
        let row = |rung: &Rung| {
            let mut arguments = safe();
            arguments.push(("x-message-ttl", Argument::Number(i64::try_from(rung.0).unwrap_or(i64::MAX))));
            arguments.push(("x-dead-letter-exchange", Argument::Text(self.names.work())));
            arguments.push(("x-dead-letter-strategy", Argument::Text("at-least-once".to_owned())));
            bound(self.names.wait(*rung), self.names.wait_queue(*rung), "", arguments)
        };
        self.rungs.iter().flat_map(row).collect()
    }

    /// The arguments of a queue that is consumed from: what is delivered too often goes to a dead queue, and never gets lost on the way.
    fn working(&self, dead: &DeadQueue) -> Vec<(&'static str, Argument)> {
        let mut arguments = safe();
        arguments.push(("x-dead-letter-exchange", Argument::Text(self.names.dead())));
        arguments.push(("x-dead-letter-routing-key", Argument::Text(Names::dead_key(dead))));
        arguments.push(("x-dead-letter-strategy", Argument::Text("at-least-once".to_owned())));
        arguments.push(("x-delivery-limit", Argument::Number(DELIVERY_LIMIT)));
        arguments
    }

    /// The arguments of a queue that people look into: looking must not use anything up. Before 4.0 no limit is the default, and -1
    /// destroys a message at its first return; from 4.0 on the default is 20, and -1 means none.
    fn parked(&self) -> Vec<(&'static str, Argument)> {
        let mut arguments = safe();
        if self.server >= ServerVersion::WITH_DEFAULT_LIMIT {
            arguments.push(("x-delivery-limit", Argument::Number(-1)));
        }
        arguments
    }

    /// The topology in RabbitMQ's definitions format, for an operator who does not let the fleet declare anything. Without virtual
    /// host and users: import it into the virtual host meant (`rabbitmqctl import_definitions`, or the management page).
    #[must_use]
    pub fn definitions_json(&self) -> String {
        let (mut exchanges, mut queues, mut bindings) = (Vec::new(), Vec::new(), Vec::new());
        for row in self.table() {
            match row {
                Row::Exchange { name, kind, alternate } => {
                    let arguments = alternate.map_or_else(|| json!({}), |it| json!({"alternate-exchange": it}));
                    exchanges.push(
                        json!({"name": name, "type": kind.as_str(), "durable": true, "auto_delete": false,
                        "internal": false, "arguments": arguments}),
                    );
                }
                Row::Queue { name, arguments } => {
                    let arguments: serde_json::Map<String, Value> = arguments
                        .into_iter()
                        .map(|(key, value)| (key.to_owned(), json_of(value)))
                        .collect();
                    queues.push(json!({"name": name, "durable": true, "auto_delete": false, "arguments": arguments}));
                }
                Row::Binding { exchange, queue, key } => {
                    bindings.push(json!({"source": exchange, "destination": queue, "destination_type": "queue",
                        "routing_key": key, "arguments": {}}));
                }
            }
        }
        format!(
            "{:#}",
            json!({"exchanges": exchanges, "queues": queues, "bindings": bindings})
        )
    }
}

/// What every queue is: replicated, synced to disk before it confirms, and full rather than forgetful.
fn safe() -> Vec<(&'static str, Argument)> {
    vec![
        ("x-queue-type", Argument::Text("quorum".to_owned())),
        ("x-overflow", Argument::Text("reject-publish".to_owned())),
    ]
}

fn bound(exchange: String, queue: String, key: &str, arguments: Vec<(&'static str, Argument)>) -> [Row; 2] {
    let declared = Row::Queue {
        name: queue.clone(),
        arguments,
    };
    let key = key.to_owned();
    [declared, Row::Binding { exchange, queue, key }]
}

fn json_of(argument: Argument) -> Value {
    match argument {
        Argument::Text(text) => text.into(),
        Argument::Number(number) => number.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topology(prefix: &str) -> Topology {
        let config = Config {
            prefix: prefix.to_owned(),
            ..Config::default()
        };
        Topology::new(
            &config,
            &[SubsystemName::new("profiles").unwrap()],
            &[Rung(5_000), Rung(30_000)],
        )
    }

    fn arguments(topology: &Topology, queue: &str) -> Vec<(&'static str, Argument)> {
        let found = topology.table().into_iter().find_map(|row| match row {
            Row::Queue { name, arguments } if name == queue => Some(arguments),
            Row::Queue { .. } | Row::Exchange { .. } | Row::Binding { .. } => None,
        });
        found.unwrap_or_else(|| panic!("no queue {queue}"))
    }

    #[test]
    fn every_queue_is_bound_and_every_binding_has_both_ends() {
        let table = topology("p.").table();
        let exchanges: Vec<&String> = table
            .iter()
            .filter_map(|row| {
                if let Row::Exchange { name, .. } = row {
                    Some(name)
                } else {
                    None
                }
            })
            .collect();
        let queues: Vec<&String> = table
            .iter()
            .filter_map(|row| if let Row::Queue { name, .. } = row { Some(name) } else { None })
            .collect();
        let mut bound = Vec::new();
        for row in &table {
            if let Row::Binding { exchange, queue, .. } = row {
                assert!(exchanges.contains(&exchange), "{exchange}");
                bound.push(queue);
            }
        }
        assert_eq!(queues, bound);
        assert!(queues.iter().all(|name| name.starts_with("p.er.") && name.ends_with(".v1")));
    }

    #[test]
    fn every_queue_is_quorum_and_refuses_rather_than_drops() {
        for row in topology("").table() {
            if let Row::Queue { arguments, .. } = row {
                assert!(arguments.contains(&("x-queue-type", Argument::Text("quorum".to_owned()))));
                assert!(arguments.contains(&("x-overflow", Argument::Text("reject-publish".to_owned()))));
                let letters = arguments.iter().any(|(key, _)| *key == "x-dead-letter-exchange");
                let once = arguments.contains(&("x-dead-letter-strategy", Argument::Text("at-least-once".to_owned())));
                assert_eq!(letters, once, "dead-lettering without at-least-once loses messages");
            }
        }
    }

    #[test]
    fn parked_messages_have_no_delivery_limit_in_either_dialect() {
        let limit = ("x-delivery-limit", Argument::Number(-1));
        let new = topology("");
        assert!(arguments(&new, "er.dead.profiles.v1").contains(&limit));
        let old = topology("").for_server(ServerVersion::OLDEST);
        assert!(
            arguments(&old, "er.dead.profiles.v1")
                .iter()
                .all(|(key, _)| *key != "x-delivery-limit")
        );
        assert!(arguments(&old, "er.work.profiles.solo.v1").contains(&("x-delivery-limit", Argument::Number(1_000))));
    }

    #[test]
    fn a_waiting_message_keeps_its_routing_key() {
        let wait = arguments(&topology(""), "er.wait.5000.v1");
        assert!(wait.contains(&("x-message-ttl", Argument::Number(5_000))));
        assert!(wait.iter().all(|(key, _)| *key != "x-dead-letter-routing-key"));
    }

    #[test]
    fn the_definitions_hold_every_row_and_permissions_stay_in_the_prefix() {
        let topology = topology("acme.");
        let definitions: Value = serde_json::from_str(&topology.definitions_json()).unwrap();
        let count = |key: &str| definitions[key].as_array().unwrap().len();
        assert_eq!(
            count("exchanges") + count("queues") + count("bindings"),
            topology.table().len()
        );
        for permission in topology.permissions() {
            for pattern in [&permission.configure, &permission.write, &permission.read] {
                assert!(pattern == "^$" || pattern.starts_with(r"^acme\.("), "{pattern}");
            }
        }
    }
}
