//! What a test lives in: a broker, a prefix nobody else has, one subsystem, one short rung.

use erasure_broker::{
    Config, Consumer, ConsumerOptions, Delivery, Inspector, Outgoing, PublishError, Publisher, QueueState, Route, Row, Source,
    Topology, apply,
};
use erasure_protocol::{Lane, Rung, SubsystemName};
use lapin::{
    Connection, ConnectionProperties,
    options::{ExchangeDeleteOptions, QueueDeleteOptions},
};
use std::{future::Future, time::Duration};
use tokio_util::sync::CancellationToken;

/// How long anything that must come to pass may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
pub(crate) const RUNG: Rung = Rung(300);

pub(crate) struct World {
    pub(crate) config: Config,
    pub(crate) topology: Topology,
    pub(crate) stop: CancellationToken,
}

pub(crate) fn subsystem() -> SubsystemName {
    SubsystemName::new("profiles").unwrap()
}

pub(crate) fn single() -> Source {
    Source::Work {
        subsystem: subsystem(),
        lane: Lane::Single,
    }
}

pub(crate) fn to_single() -> Route {
    Route::Work {
        subsystem: subsystem(),
        lane: Lane::Single,
    }
}

pub(crate) fn message(to: Route, id: impl Into<String>, body: &str) -> Outgoing {
    Outgoing {
        to,
        message_id: id.into(),
        content_type: "application/json".to_owned(),
        body: body.as_bytes().to_vec(),
        headers: Vec::new(),
    }
}

/// Waits for something to come to pass.
pub(crate) async fn soon<T>(what: &str, it: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, it)
        .await
        .unwrap_or_else(|_| panic!("waited too long for {what}"))
}

impl World {
    pub(crate) async fn new() -> Self {
        let world = Self::bare();
        apply(&world.config, &world.topology).await.unwrap();
        world
    }

    /// Nothing declared yet.
    pub(crate) fn bare() -> Self {
        let url = std::env::var("ERASURE_TEST_AMQP").expect("ERASURE_TEST_AMQP is not set: run ./tests/run");
        let config = Config {
            url,
            prefix: format!("t{}.", uuid::Uuid::new_v4().simple()),
            reconnect_pause_ms_min: 20,
            reconnect_pause_ms_max: 200,
            settle_grace_ms: 1_000,
            ..Config::default()
        };
        let topology = Topology::new(&config, &[subsystem()], &[RUNG]);
        Self {
            config,
            topology,
            stop: CancellationToken::new(),
        }
    }

    pub(crate) fn publisher(&self) -> Publisher {
        Publisher::start(&self.config, "test", self.stop.child_token())
    }

    pub(crate) fn consumer(&self, source: Source, options: ConsumerOptions) -> Consumer {
        Consumer::start(&self.config, source, options, self.stop.child_token())
    }

    /// A connection of lapin's own, for what the crate does not offer.
    pub(crate) async fn raw(&self) -> Connection {
        Connection::connect(&self.config.url, ConnectionProperties::default())
            .await
            .unwrap()
    }

    pub(crate) async fn publish(&self, publisher: &Publisher, count: usize) {
        let messages = (0..count)
            .map(|n| message(to_single(), format!("m{n}"), &format!("body {n}")))
            .collect();
        let results: Vec<Result<(), PublishError>> = soon("publishing", publisher.publish(messages)).await;
        assert!(results.iter().all(Result::is_ok), "{results:?}");
    }

    /// Waits until the queue is as wanted.
    pub(crate) async fn until(&self, source: &Source, wanted: impl Fn(QueueState) -> bool) {
        let inspector = Inspector::new(&self.config);
        let mut look = tokio::time::interval(Duration::from_millis(50));
        soon("a queue's state", async {
            loop {
                look.tick().await;
                if inspector.queue_state(source).await.unwrap().is_some_and(&wanted) {
                    return;
                }
            }
        })
        .await;
    }

    /// Removes everything the test declared.
    pub(crate) async fn end(self) {
        self.stop.cancel();
        let connection = self.raw().await;
        let channel = connection.create_channel().await.unwrap();
        for row in self.topology.table() {
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

pub(crate) fn ids(batch: &[Delivery]) -> Vec<String> {
    batch
        .iter()
        .map(|it| it.meta.message_id.clone().unwrap_or_default())
        .collect()
}

/// One batch of one delivery at a time.
pub(crate) fn one_by_one() -> ConsumerOptions {
    ConsumerOptions {
        prefetch: 1,
        ..ConsumerOptions::default()
    }
}
