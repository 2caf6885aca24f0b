//! A producer and a listener, in plain AMQP, as fast as confirms allow.

use std::{collections::VecDeque, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use futures_util::StreamExt;
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions, QueueBindOptions,
        QueueDeclareOptions, QueueDeleteOptions,
    },
    types::{AMQPValue, FieldTable},
};

/// How long the broker may take for anything.
const ANSWER: Duration = Duration::from_secs(30);

/// How many messages are on their way before their confirmations are awaited.
const WINDOW: usize = 512;

/// One connection with one channel in confirm mode.
pub(crate) struct Post {
    _connection: Connection,
    channel: Channel,
}

impl Post {
    /// Connects.
    pub(crate) async fn connect(url: &str) -> Result<Self> {
        let connection = in_time("connecting", Connection::connect(url, ConnectionProperties::default())).await?;
        let channel = in_time("opening a channel", connection.create_channel()).await?;
        in_time("selecting confirms", channel.confirm_select(ConfirmSelectOptions::default())).await?;
        Ok(Self {
            _connection: connection,
            channel,
        })
    }

    /// Declares a durable quorum queue.
    pub(crate) async fn declare_quorum(&self, queue: &str) -> Result<()> {
        let mut arguments = FieldTable::default();
        arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
        self.declare(queue, arguments).await
    }

    /// Declares a durable classic queue and binds it.
    pub(crate) async fn listen(&self, queue: &str, exchange: &str, key: &str) -> Result<()> {
        self.declare(queue, FieldTable::default()).await?;
        let bound = self.channel.queue_bind(
            queue.into(),
            exchange.into(),
            key.into(),
            QueueBindOptions::default(),
            FieldTable::default(),
        );
        in_time("binding a queue", bound).await
    }

    async fn declare(&self, queue: &str, arguments: FieldTable) -> Result<()> {
        let options = QueueDeclareOptions {
            durable: true,
            ..QueueDeclareOptions::default()
        };
        in_time(
            "declaring a queue",
            self.channel.queue_declare(queue.into(), options, arguments),
        )
        .await?;
        Ok(())
    }

    /// Deletes a queue.
    pub(crate) async fn delete(&self, queue: &str) -> Result<()> {
        in_time(
            "deleting a queue",
            self.channel.queue_delete(queue.into(), QueueDeleteOptions::default()),
        )
        .await?;
        Ok(())
    }

    /// How many messages are ready in a queue.
    pub(crate) async fn depth(&self, queue: &str) -> Result<u32> {
        let options = QueueDeclareOptions {
            passive: true,
            ..QueueDeclareOptions::default()
        };
        let declared = self.channel.queue_declare(queue.into(), options, FieldTable::default());
        Ok(in_time("looking at a queue", declared).await?.message_count())
    }

    /// Publishes persistent, mandatory messages, and returns once every one is confirmed.
    pub(crate) async fn publish_all(&self, exchange: &str, key: &str, bodies: &[Vec<u8>]) -> Result<()> {
        let options = BasicPublishOptions {
            mandatory: true,
            ..BasicPublishOptions::default()
        };
        let properties = BasicProperties::default()
            .with_delivery_mode(2)
            .with_content_type("application/json".into());
        let mut waiting = VecDeque::with_capacity(WINDOW);
        for body in bodies {
            if waiting.len() == WINDOW {
                confirmed(waiting.pop_front()).await?;
            }
            let sent = self
                .channel
                .basic_publish(exchange.into(), key.into(), options, body, properties.clone());
            waiting.push_back(in_time("publishing", sent).await?);
        }
        while !waiting.is_empty() {
            confirmed(waiting.pop_front()).await?;
        }
        Ok(())
    }

    /// Takes this many messages off a queue and acknowledges them, many at a time.
    pub(crate) async fn consume(&self, queue: &str, count: usize) -> Result<()> {
        let prefetch = u16::try_from(2 * WINDOW).context("a prefetch fits")?;
        in_time(
            "setting the prefetch",
            self.channel.basic_qos(prefetch, BasicQosOptions::default()),
        )
        .await?;
        let consumed = self.channel.basic_consume(
            queue.into(),
            "bench".into(),
            BasicConsumeOptions::default(),
            FieldTable::default(),
        );
        let mut consumer = in_time("consuming", consumed).await?;
        for taken in 1..=count {
            let next = tokio::time::timeout(ANSWER, consumer.next())
                .await
                .context("no message came")?;
            let delivery = next.context("the consumer has ended")??;
            if taken % WINDOW == 0 || taken == count {
                ensure!(
                    delivery.ack(BasicAckOptions { multiple: true }).await?,
                    "an acknowledgement was lost"
                );
            }
        }
        let cancelled = self
            .channel
            .basic_cancel("bench".into(), lapin::options::BasicCancelOptions::default());
        in_time("ending the consumer", cancelled).await
    }
}

async fn confirmed<F: Future<Output = lapin::Result<Confirmation>>>(confirm: Option<F>) -> Result<()> {
    let Some(confirm) = confirm else { return Ok(()) };
    match in_time("a confirmation", confirm).await? {
        Confirmation::Ack(None) => Ok(()),
        other => bail!("a message was not taken: {other:?}"),
    }
}

async fn in_time<T>(doing: &str, answer: impl Future<Output = lapin::Result<T>>) -> Result<T> {
    let answered = tokio::time::timeout(ANSWER, answer).await;
    answered
        .with_context(|| format!("{doing}: the broker did not answer"))?
        .with_context(|| doing.to_owned())
}
