//! One version of RabbitMQ, a channel in confirm mode, and names nobody else has.

use erasure_broker::{Config, ServerVersion, server_version};
use futures_util::{FutureExt, future::join_all};
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties,
    message::BasicGetMessage,
    options::{
        BasicGetOptions, BasicPublishOptions, BasicRejectOptions, ConfirmSelectOptions, ExchangeDeclareOptions,
        ExchangeDeleteOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions,
    },
    types::{AMQPValue, FieldTable},
};
use std::{cell::RefCell, future::Future, panic::AssertUnwindSafe, time::Duration};

/// How long anything that must come to pass may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often it is looked.
const LOOK_EVERY: Duration = Duration::from_millis(20);

pub(crate) const V3_10: ServerVersion = ServerVersion { major: 3, minor: 10 };
pub(crate) const V4_0: ServerVersion = ServerVersion { major: 4, minor: 0 };
/// Only documented: no 4.3 has been asked yet.
pub(crate) const V4_3: ServerVersion = ServerVersion { major: 4, minor: 3 };

pub(crate) struct World {
    pub(crate) url: String,
    version: ServerVersion,
    prefix: String,
    connection: Connection,
    pub(crate) channel: Channel,
    queues: RefCell<Vec<String>>,
    exchanges: RefCell<Vec<String>>,
}

/// Asks every version of RabbitMQ that this run has.
pub(crate) async fn on_each_version(fact: impl AsyncFn(&World)) {
    let asked = join_all(brokers().into_iter().map(|url| async {
        let world = World::open(url).await;
        let answer = AssertUnwindSafe(fact(&world)).catch_unwind().await;
        let version = world.version;
        world.close().await;
        (version, answer)
    }));
    for (version, answer) in asked.await {
        if let Err(panic) = answer {
            eprintln!("this was RabbitMQ {version}");
            std::panic::resume_unwind(panic);
        }
    }
}

/// CI has both; elsewhere the second may be missing, and it is said.
fn brokers() -> Vec<String> {
    let named = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let first = named("ERASURE_TEST_AMQP").expect("ERASURE_TEST_AMQP is not set: run ./tests/run");
    let second = named("ERASURE_TEST_AMQP_4");
    if second.is_none() {
        assert_ne!(
            named("CI").as_deref(),
            Some("true"),
            "RabbitMQ 4.x is not here, and CI must have it"
        );
        eprintln!("NOT RUN: RabbitMQ 4.x is not here");
    }
    [first].into_iter().chain(second).collect()
}

/// Waits for something to come to pass.
pub(crate) async fn soon<T>(what: &str, it: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, it)
        .await
        .unwrap_or_else(|_| panic!("waited too long for {what}"))
}

/// Looks until there is something.
pub(crate) async fn seen<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    let mut tick = tokio::time::interval(LOOK_EVERY);
    soon(what, async {
        loop {
            tick.tick().await;
            if let Some(found) = look().await {
                return found;
            }
        }
    })
    .await
}

pub(crate) async fn connect(url: &str) -> Connection {
    soon("a connection", Connection::connect(url, ConnectionProperties::default()))
        .await
        .unwrap()
}

pub(crate) async fn confirming(connection: &Connection) -> Channel {
    let channel = connection.create_channel().await.unwrap();
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    channel
}

impl World {
    async fn open(url: String) -> Self {
        let config = Config {
            url: url.clone(),
            ..Config::default()
        };
        let version = server_version(&config).await.unwrap();
        let connection = connect(&url).await;
        let channel = confirming(&connection).await;
        Self {
            url,
            version,
            prefix: format!("contract.{}.", uuid::Uuid::new_v4().simple()),
            connection,
            channel,
            queues: RefCell::default(),
            exchanges: RefCell::default(),
        }
    }

    /// What this version does: the row of the newest version that is not newer than it.
    pub(crate) fn expected<T: Copy>(&self, table: &[(ServerVersion, T)]) -> T {
        let rows = table.iter().filter(|(since, _)| *since <= self.version);
        rows.max_by_key(|(since, _)| *since).expect("the table begins with 3.10").1
    }

    /// Another channel in confirm mode.
    pub(crate) async fn channel(&self) -> Channel {
        confirming(&self.connection).await
    }

    /// A name of this world's own.
    pub(crate) fn name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Declares a durable quorum queue.
    pub(crate) async fn queue(&self, name: &str, arguments: &[(&str, AMQPValue)]) -> String {
        let name = self.name(name);
        self.queues.borrow_mut().push(name.clone());
        declare(&self.channel, &name, arguments).await.unwrap();
        name
    }

    /// Declares a durable fan-out exchange with these queues behind it.
    pub(crate) async fn fan_out(&self, name: &str, queues: &[&str], arguments: FieldTable) -> String {
        let name = self.name(name);
        self.exchanges.borrow_mut().push(name.clone());
        let durable = ExchangeDeclareOptions {
            durable: true,
            ..ExchangeDeclareOptions::default()
        };
        let kind = lapin::ExchangeKind::Fanout;
        self.channel
            .exchange_declare(name.as_str().into(), kind, durable, arguments)
            .await
            .unwrap();
        for queue in queues {
            let (bind, none) = (QueueBindOptions::default(), FieldTable::default());
            self.channel
                .queue_bind((*queue).into(), name.as_str().into(), "".into(), bind, none)
                .await
                .unwrap();
        }
        name
    }

    /// Puts a message into a queue and waits for what the broker says of it.
    pub(crate) async fn put(&self, queue: &str, id: &str) -> Confirmation {
        self.put_with(queue, id, BasicProperties::default()).await
    }

    /// [`World::put`] with more properties.
    pub(crate) async fn put_with(&self, queue: &str, id: &str, properties: BasicProperties) -> Confirmation {
        let properties = properties.with_message_id(id.into()).with_delivery_mode(2);
        publish(&self.channel, "", queue, Mandatory::No, properties).await
    }

    /// Takes the next message off a queue, unsettled.
    pub(crate) async fn get(&self, queue: &str) -> Option<BasicGetMessage> {
        let asked = self.channel.basic_get(queue.into(), BasicGetOptions::default());
        soon("an answer", asked).await.unwrap()
    }

    /// Waits for the next message of a queue, unsettled.
    pub(crate) async fn arrived(&self, queue: &str) -> BasicGetMessage {
        seen("a message", async || self.get(queue).await).await
    }

    /// How many messages are ready.
    pub(crate) async fn ready(&self, queue: &str) -> u32 {
        let passive = QueueDeclareOptions {
            passive: true,
            ..QueueDeclareOptions::default()
        };
        let asked = self.channel.queue_declare(queue.into(), passive, FieldTable::default());
        soon("an answer", asked).await.unwrap().message_count()
    }

    /// Gives a message back for another attempt.
    pub(crate) async fn reject(message: &BasicGetMessage) {
        assert!(message.reject(BasicRejectOptions { requeue: true }).await.unwrap());
    }

    async fn close(self) {
        // The fact may have cost the channel.
        let channel = self.connection.create_channel().await.unwrap();
        for queue in self.queues.take() {
            channel
                .queue_delete(queue.as_str().into(), QueueDeleteOptions::default())
                .await
                .unwrap();
        }
        for exchange in self.exchanges.take() {
            let options = ExchangeDeleteOptions::default();
            channel.exchange_delete(exchange.as_str().into(), options).await.unwrap();
        }
        self.connection.close(200, "done".into()).await.unwrap();
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mandatory {
    Yes,
    No,
}

/// Publishes and waits for what the broker says of it.
pub(crate) async fn publish(
    channel: &Channel,
    exchange: &str,
    key: &str,
    mandatory: Mandatory,
    properties: BasicProperties,
) -> Confirmation {
    let options = BasicPublishOptions {
        mandatory: mandatory == Mandatory::Yes,
        ..BasicPublishOptions::default()
    };
    let sent = channel.basic_publish(exchange.into(), key.into(), options, b"body", properties);
    soon("a confirmation", soon("the publish", sent).await.unwrap())
        .await
        .unwrap()
}

/// Declares a durable quorum queue.
pub(crate) async fn declare(channel: &Channel, name: &str, arguments: &[(&str, AMQPValue)]) -> lapin::Result<()> {
    let mut table = FieldTable::default();
    table.insert("x-queue-type".into(), text("quorum"));
    for (key, value) in arguments {
        table.insert((*key).into(), value.clone());
    }
    let durable = QueueDeclareOptions {
        durable: true,
        ..QueueDeclareOptions::default()
    };
    soon("a declaration", channel.queue_declare(name.into(), durable, table))
        .await
        .map(|_| ())
}

pub(crate) fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

pub(crate) fn number(value: i64) -> AMQPValue {
    AMQPValue::LongLongInt(value)
}

pub(crate) fn id(message: &BasicGetMessage) -> String {
    message
        .delivery
        .properties
        .message_id()
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default()
}

/// How often it was delivered before, as the broker counts.
pub(crate) fn deliveries(message: &BasicGetMessage) -> i64 {
    let headers = message.delivery.properties.headers().as_ref();
    match headers.and_then(|headers| headers.inner().get("x-delivery-count")) {
        None => 0,
        Some(count) => match count {
            AMQPValue::LongLongInt(count) => *count,
            AMQPValue::LongInt(count) => i64::from(*count),
            AMQPValue::ShortInt(count) => i64::from(*count),
            AMQPValue::ShortShortInt(count) => i64::from(*count),
            other => panic!("a count that is no number: {other:?}"),
        },
    }
}
