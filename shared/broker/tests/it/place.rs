//! Where a test takes place: a real broker, or the double.

use crate::wire::Wire;
use erasure_broker::{
    Argument, Config, Row, Topology,
    double::{Disk, MemoryBroker},
};
use erasure_drill::Weather;
use lapin::{
    Channel, Connection, ConnectionProperties,
    options::{ExchangeDeleteOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions},
    types::{AMQPValue, FieldTable},
};

/// The only process there is.
const PROCESS: &str = "test";

pub(crate) enum Place {
    /// The broker's address, and a wire to it.
    Rabbit(String, Wire),
    Double(MemoryBroker),
}

impl Place {
    pub(crate) async fn rabbit() -> Self {
        Self::at(named("ERASURE_TEST_AMQP").expect("ERASURE_TEST_AMQP is not set: run ./tests/run")).await
    }

    /// The next major version. CI has it; elsewhere it may be missing, and it is said.
    pub(crate) async fn rabbit4() -> Option<Self> {
        let Some(url) = named("ERASURE_TEST_AMQP_4") else {
            assert_ne!(
                named("CI").as_deref(),
                Some("true"),
                "RabbitMQ 4.x is not here, and CI must have it"
            );
            eprintln!("NOT RUN: RabbitMQ 4.x is not here");
            return None;
        };
        Some(Self::at(url).await)
    }

    async fn at(url: String) -> Self {
        let (_, rest) = url.split_once('@').unwrap();
        let (host, _) = rest.split_once('/').unwrap();
        let wire = Wire::to(host.to_owned()).await;
        Self::Rabbit(url, wire)
    }

    pub(crate) fn double() -> Self {
        Self::Double(MemoryBroker::new())
    }

    pub(crate) fn config(&self) -> Config {
        match self {
            Self::Rabbit(url, wire) => {
                let (login, rest) = url.split_once('@').unwrap();
                let (_, vhost) = rest.split_once('/').unwrap();
                Config {
                    url: format!("{login}@{}/{vhost}", wire.address),
                    ..Config::default()
                }
            }
            Self::Double(broker) => broker.config(PROCESS, Weather::default()),
        }
    }

    /// Breaks every connection.
    pub(crate) fn cut(&self) {
        match self {
            Self::Rabbit(_, wire) => wire.cut(),
            Self::Double(broker) => drop(broker.cut(PROCESS)),
        }
    }

    /// From now on nobody can connect.
    pub(crate) fn shut(&self) {
        match self {
            Self::Rabbit(_, wire) => wire.shut(),
            Self::Double(broker) => broker.stop(Disk::Kept),
        }
    }

    /// Declares a queue anew, empty, and binds it as the topology says.
    pub(crate) async fn redeclare(&self, row: &Row, topology: &Topology) {
        let Row::Queue { name, arguments } = row else {
            panic!("{row:?} is no queue")
        };
        let url = match self {
            Self::Rabbit(url, _) => url,
            Self::Double(broker) => return broker.replace(row),
        };
        let (connection, channel) = raw(url).await;
        channel
            .queue_delete(name.as_str().into(), QueueDeleteOptions::default())
            .await
            .unwrap();
        let durable = QueueDeclareOptions {
            durable: true,
            ..QueueDeclareOptions::default()
        };
        channel
            .queue_declare(name.as_str().into(), durable, table_of(arguments))
            .await
            .unwrap();
        for row in topology.table() {
            if let Row::Binding { exchange, queue, key } = row
                && queue == *name
            {
                bind(&channel, &queue, &exchange, &key).await;
            }
        }
        connection.close(200, "done".into()).await.unwrap();
    }

    /// Removes everything of this topology.
    pub(crate) async fn remove(&self, topology: &Topology) {
        let Self::Rabbit(url, _) = self else { return };
        let (connection, channel) = raw(url).await;
        for row in topology.table() {
            match row {
                Row::Queue { name, .. } => drop(
                    channel
                        .queue_delete(name.as_str().into(), QueueDeleteOptions::default())
                        .await,
                ),
                Row::Exchange { name, .. } => drop(
                    channel
                        .exchange_delete(name.as_str().into(), ExchangeDeleteOptions::default())
                        .await,
                ),
                Row::Binding { .. } => {}
            }
        }
        connection.close(200, "done".into()).await.unwrap();
    }
}

fn named(variable: &str) -> Option<String> {
    std::env::var(variable).ok().filter(|value| !value.is_empty())
}

/// A connection of lapin's own, for what the crate does not offer.
async fn raw(url: &str) -> (Connection, Channel) {
    let connection = Connection::connect(url, ConnectionProperties::default()).await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    (connection, channel)
}

async fn bind(channel: &Channel, queue: &str, exchange: &str, key: &str) {
    let options = QueueBindOptions::default();
    channel
        .queue_bind(queue.into(), exchange.into(), key.into(), options, FieldTable::default())
        .await
        .unwrap();
}

fn table_of(arguments: &[(&'static str, Argument)]) -> FieldTable {
    let mut table = FieldTable::default();
    for (key, value) in arguments {
        let value = match value {
            Argument::Text(text) => AMQPValue::LongString(text.as_str().into()),
            Argument::Number(number) => AMQPValue::LongLongInt(*number),
        };
        table.insert((*key).into(), value);
    }
    table
}
