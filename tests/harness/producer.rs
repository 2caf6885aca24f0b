//! A producer as any other company would write one: plain AMQP, nothing of ours. And a tap for events.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures_util::StreamExt;
use lapin::{
    BasicProperties, Channel, Confirmation, Connection, ConnectionProperties, Consumer,
    options::{
        BasicAckOptions, BasicConsumeOptions, BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueBindOptions,
        QueueDeclareOptions,
    },
    types::{AMQPValue, FieldTable},
};

/// How long the broker may take for anything.
const ANSWER: Duration = Duration::from_secs(15);

/// A message to publish.
#[derive(Clone, Debug, Default)]
pub struct Message {
    /// Where to.
    pub exchange: String,
    /// Which routing key.
    pub routing_key: String,
    /// Its id.
    pub message_id: Option<String>,
    /// The type of its body.
    pub content_type: Option<String>,
    /// Who says to have sent it; the broker refuses another name than the login's.
    pub user_id: Option<String>,
    /// Headers of text.
    pub headers: Vec<(String, String)>,
    /// Its body.
    pub body: Vec<u8>,
}

/// What the broker said of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// Some queue has it.
    Confirmed,
    /// No queue wanted it.
    Returned,
    /// A queue refused it.
    Refused,
}

/// One connection with one channel in confirm mode.
pub struct Producer {
    connection: Connection,
    channel: Channel,
}

impl Producer {
    /// Connects.
    ///
    /// # Errors
    /// When the broker does not answer or refuses.
    pub async fn connect(url: &str) -> Result<Self> {
        let connection = in_time("connecting", Connection::connect(url, ConnectionProperties::default())).await?;
        let channel = in_time("opening a channel", connection.create_channel()).await?;
        in_time("selecting confirms", channel.confirm_select(ConfirmSelectOptions::default())).await?;
        Ok(Self { connection, channel })
    }

    /// Publishes one persistent, mandatory message and waits for what the broker says.
    ///
    /// # Errors
    /// When it says nothing in time.
    pub async fn publish(&self, message: &Message) -> Result<Published> {
        let options = BasicPublishOptions {
            mandatory: true,
            ..BasicPublishOptions::default()
        };
        let (exchange, key) = (message.exchange.as_str(), message.routing_key.as_str());
        let sent = self
            .channel
            .basic_publish(exchange.into(), key.into(), options, &message.body, properties(message));
        let confirm = in_time("publishing", sent).await?;
        let confirmation = in_time("a confirmation", confirm).await?;
        match confirmation {
            Confirmation::Ack(None) => Ok(Published::Confirmed),
            Confirmation::Ack(Some(_)) => Ok(Published::Returned),
            Confirmation::Nack(_) => Ok(Published::Refused),
            Confirmation::NotRequested => bail!("the channel is not in confirm mode"),
        }
    }

    /// Takes one message off a queue, if there is one.
    ///
    /// # Errors
    /// When there is no such queue.
    pub async fn take(&self, queue: &str) -> Result<Option<Vec<u8>>> {
        let got = in_time(
            "getting",
            self.channel.basic_get(queue.into(), BasicGetOptions { no_ack: true }),
        )
        .await?;
        Ok(got.map(|message| message.delivery.data))
    }

    /// How many messages are ready in a queue, and how many consumers it has.
    ///
    /// # Errors
    /// When there is no such queue. The channel is then gone as well.
    pub async fn depth(&self, queue: &str) -> Result<(u32, u32)> {
        let options = QueueDeclareOptions {
            passive: true,
            ..QueueDeclareOptions::default()
        };
        let declared = in_time(
            "looking at a queue",
            self.channel.queue_declare(queue.into(), options, FieldTable::default()),
        )
        .await?;
        Ok((declared.message_count(), declared.consumer_count()))
    }

    /// Listens to what an exchange carries from now on.
    ///
    /// # Errors
    /// When the exchange is not there.
    pub async fn tap(&self, exchange: &str, pattern: &str) -> Result<Tap> {
        let channel = in_time("opening a channel", self.connection.create_channel()).await?;
        let options = QueueDeclareOptions {
            exclusive: true,
            auto_delete: true,
            ..QueueDeclareOptions::default()
        };
        let queue = in_time(
            "declaring a queue",
            channel.queue_declare("".into(), options, FieldTable::default()),
        )
        .await?;
        let name = queue.name().clone();
        let bound = channel.queue_bind(
            name.clone(),
            exchange.into(),
            pattern.into(),
            QueueBindOptions::default(),
            FieldTable::default(),
        );
        in_time("binding a queue", bound).await?;
        let consumed = channel.basic_consume(name, "".into(), BasicConsumeOptions::default(), FieldTable::default());
        let consumer = in_time("consuming", consumed).await?;
        Ok(Tap {
            _channel: channel,
            consumer,
        })
    }
}

/// Listens to an exchange, until dropped.
pub struct Tap {
    _channel: Channel,
    consumer: Consumer,
}

/// What a [`Tap`] heard.
#[derive(Clone, Debug)]
pub struct Heard {
    /// The routing key.
    pub routing_key: String,
    /// The type of the body.
    pub content_type: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

impl Tap {
    /// The next message.
    ///
    /// # Errors
    /// When there is none before the deadline.
    pub async fn next(&mut self, deadline: Duration) -> Result<Heard> {
        let next = tokio::time::timeout(deadline, self.consumer.next())
            .await
            .context("nothing was heard in time")?;
        let delivery = next.context("the tap's connection has ended")??;
        delivery.ack(BasicAckOptions::default()).await?;
        Ok(Heard {
            routing_key: delivery.routing_key.to_string(),
            content_type: delivery.properties.content_type().as_ref().map(ToString::to_string),
            body: delivery.data,
        })
    }
}

fn properties(message: &Message) -> BasicProperties {
    let mut headers = FieldTable::default();
    for (name, value) in &message.headers {
        headers.insert(name.as_str().into(), AMQPValue::LongString(value.as_str().into()));
    }
    let mut properties = BasicProperties::default().with_delivery_mode(2).with_headers(headers);
    if let Some(id) = &message.message_id {
        properties = properties.with_message_id(id.as_str().into());
    }
    if let Some(user) = &message.user_id {
        properties = properties.with_user_id(user.as_str().into());
    }
    if let Some(content_type) = &message.content_type {
        properties = properties.with_content_type(content_type.as_str().into());
    }
    properties
}

async fn in_time<T>(doing: &str, answer: impl Future<Output = lapin::Result<T>>) -> Result<T> {
    let answered = tokio::time::timeout(ANSWER, answer).await;
    answered
        .with_context(|| format!("{doing}: the broker did not answer"))?
        .with_context(|| doing.to_owned())
}
