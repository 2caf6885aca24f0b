//! What a test lives in: a broker or its double, a prefix nobody else has, one subsystem, one short rung.

use crate::place::Place;
use erasure_broker::{
    Argument, Config, Consumer, ConsumerOptions, Delivery, Inspector, Outgoing, PublishError, Publisher, QueueState, Route, Row,
    Settled, Source, Topology, apply, server_version,
};
use erasure_protocol::{Lane, Rung, SubsystemName};
use std::{future::Future, time::Duration};
use tokio_util::sync::CancellationToken;

/// How long anything that must come to pass may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
pub(crate) const RUNG: Rung = Rung(300);

pub(crate) struct World {
    pub(crate) place: Place,
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
    pub(crate) async fn new(place: Place) -> Self {
        let world = Self::bare(place);
        apply(&world.config, &world.topology).await.unwrap();
        world
    }

    /// Nothing declared yet.
    pub(crate) fn bare(place: Place) -> Self {
        let config = Config {
            prefix: format!("t{}.", uuid::Uuid::new_v4().simple()),
            reconnect_pause_ms_min: 20,
            reconnect_pause_ms_max: 200,
            settle_grace_ms: 1_000,
            ..place.config()
        };
        let topology = Topology::new(&config, &[subsystem()], &[RUNG]);
        Self {
            place,
            config,
            topology,
            stop: CancellationToken::new(),
        }
    }

    /// Declares a queue anew, empty, with these arguments besides its own or in their place.
    pub(crate) async fn redeclare(&self, source: &Source, arguments: &[(&'static str, Argument)]) {
        let wanted = self.topology.names().source(source);
        let server = server_version(&self.config).await.unwrap();
        let table = self.topology.clone().for_server(server).table();
        let row = table.into_iter().find_map(|row| match row {
            Row::Queue { name, arguments: own } if name == wanted => {
                let own = own
                    .into_iter()
                    .filter(|(key, _)| arguments.iter().all(|(other, _)| other != key));
                let arguments = own.chain(arguments.iter().cloned()).collect();
                Some(Row::Queue { name, arguments })
            }
            Row::Queue { .. } | Row::Exchange { .. } | Row::Binding { .. } => None,
        });
        self.place.redeclare(&row.unwrap(), &self.topology).await;
    }

    pub(crate) fn publisher(&self) -> Publisher {
        Publisher::start(&self.config, "test", self.stop.child_token())
    }

    pub(crate) fn consumer(&self, source: Source, options: ConsumerOptions) -> Consumer {
        Consumer::start(&self.config, source, options, self.stop.child_token())
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

    /// Takes one message, which must be the only one at hand.
    pub(crate) async fn next(&self, consumer: &mut Consumer) -> Delivery {
        let mut batch = soon("a message", consumer.next_batch()).await.unwrap();
        assert_eq!(batch.len(), 1, "{:?}", ids(&batch));
        batch.pop().unwrap()
    }

    /// Removes everything the test declared.
    pub(crate) async fn end(self) {
        self.stop.cancel();
        self.place.remove(&self.topology).await;
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

/// Acknowledges, and must be heard.
pub(crate) async fn ack(delivery: Delivery) {
    assert_eq!(delivery.ack().await, Settled::Done);
}
