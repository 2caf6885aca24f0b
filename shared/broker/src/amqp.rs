//! What is done on a channel of AMQP, each step with a limit in time.

use crate::{
    Confirm, Error, ExchangeKind, Meta, Outgoing, QueueState, Received, Row, broken, received::Acker, session::within,
    topology::Argument,
};
use erasure_drill::{Rule, is_broken};
use lapin::{
    BasicProperties,
    options::{
        BasicCancelOptions, BasicConsumeOptions, BasicGetOptions, BasicPublishOptions, BasicQosOptions, ConfirmSelectOptions,
        ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
    },
    types::{AMQPValue, FieldTable},
};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const PERSISTENT: u8 = 2;

/// A channel of lapin's, and how long its broker may take to answer.
#[derive(Clone)]
pub(crate) struct AmqpChannel {
    pub(crate) channel: lapin::Channel,
    pub(crate) limit: Duration,
}

impl AmqpChannel {
    pub(crate) async fn ask_for_confirms(&self) -> Result<(), Error> {
        let asking = self.channel.confirm_select(ConfirmSelectOptions::default());
        within(self.limit, "asking for confirmations", asking).await
    }

    pub(crate) async fn publish(&self, message: &Outgoing, (exchange, key): &(String, String)) -> Result<Confirm, Error> {
        let options = BasicPublishOptions {
            mandatory: message.to.must_arrive(),
            immediate: false,
        };
        let sending = self.channel.basic_publish(
            exchange.as_str().into(),
            key.as_str().into(),
            options,
            &message.body,
            properties(message),
        );
        let sent = within(self.limit, format!("publishing to {exchange}"), sending).await;
        sent.map(Confirm::Amqp)
    }

    pub(crate) async fn prefetch(&self, deliveries_max: u16) -> Result<(), Error> {
        let limiting = self.channel.basic_qos(deliveries_max, BasicQosOptions::default());
        within(self.limit, "limiting the prefetch", limiting).await
    }

    pub(crate) async fn consume(&self, queue: &str) -> Result<lapin::Consumer, Error> {
        let options = BasicConsumeOptions::default();
        let starting = self
            .channel
            .basic_consume(queue.into(), "".into(), options, FieldTable::default());
        within(self.limit, format!("consuming from {queue}"), starting).await
    }

    pub(crate) async fn cancel(&self, stream: &lapin::Consumer) {
        let cancelling = self.channel.basic_cancel(stream.tag(), BasicCancelOptions::default());
        // If it fails the channel is broken, and closing it comes next anyway.
        let _ = within(self.limit, "cancelling", cancelling).await;
    }

    pub(crate) async fn get(&self, queue: &str) -> Result<Option<Received>, Error> {
        let getting = self.channel.basic_get(queue.into(), BasicGetOptions::default());
        let message = within(self.limit, format!("getting a message from {queue}"), getting).await?;
        Ok(message.map(|message| self.received(message.delivery)))
    }

    pub(crate) fn received(&self, delivery: lapin::message::Delivery) -> Received {
        Received {
            meta: Meta::of(&delivery),
            body: delivery.data,
            acker: Acker::Amqp(delivery.acker, self.limit),
        }
    }

    pub(crate) async fn queue_state(&self, queue: &str) -> Result<QueueState, Error> {
        let options = QueueDeclareOptions {
            passive: true,
            ..QueueDeclareOptions::default()
        };
        let asking = self.channel.queue_declare(queue.into(), options, FieldTable::default());
        let state = within(self.limit, format!("looking at queue {queue}"), asking).await?;
        Ok(QueueState {
            ready: state.message_count().into(),
            consumers: state.consumer_count(),
        })
    }

    pub(crate) async fn exchange_there(&self, name: &str, kind: ExchangeKind) -> Result<(), Error> {
        let options = ExchangeDeclareOptions {
            passive: true,
            ..ExchangeDeclareOptions::default()
        };
        let asking = self
            .channel
            .exchange_declare(name.into(), kind_of(kind), options, FieldTable::default());
        within(self.limit, format!("looking for exchange {name}"), asking).await
    }

    pub(crate) async fn declare(&self, row: &Row) -> Result<(), Error> {
        match row {
            Row::Exchange { name, kind, alternate } => self.declare_exchange(name, *kind, alternate.as_deref()).await,
            Row::Queue { name, arguments } => self.declare_queue(name, arguments).await,
            Row::Binding { exchange, queue, key } => {
                let binding = self.channel.queue_bind(
                    queue.as_str().into(),
                    exchange.as_str().into(),
                    key.as_str().into(),
                    QueueBindOptions::default(),
                    FieldTable::default(),
                );
                within(self.limit, format!("binding queue {queue} to exchange {exchange}"), binding).await
            }
        }
    }

    async fn declare_exchange(&self, name: &str, kind: ExchangeKind, alternate: Option<&str>) -> Result<(), Error> {
        let mut arguments = FieldTable::default();
        if let Some(alternate) = alternate {
            arguments.insert("alternate-exchange".into(), AMQPValue::LongString(alternate.into()));
        }
        let options = ExchangeDeclareOptions {
            durable: true,
            ..ExchangeDeclareOptions::default()
        };
        let declaring = self.channel.exchange_declare(name.into(), kind_of(kind), options, arguments);
        within(self.limit, format!("declaring exchange {name}"), declaring).await
    }

    async fn declare_queue(&self, name: &str, arguments: &[(&'static str, Argument)]) -> Result<(), Error> {
        let options = QueueDeclareOptions {
            durable: true,
            ..QueueDeclareOptions::default()
        };
        let declaring = self.channel.queue_declare(name.into(), options, table_of(arguments));
        within(self.limit, format!("declaring queue {name}"), declaring)
            .await
            .map(|_| ())
    }

    pub(crate) async fn close(&self) -> Result<(), Error> {
        within(self.limit, "closing a channel", self.channel.close(200, "done".into())).await
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.channel.status().connected()
    }
}

fn kind_of(kind: ExchangeKind) -> lapin::ExchangeKind {
    match kind {
        ExchangeKind::Direct => lapin::ExchangeKind::Direct,
        ExchangeKind::Topic => lapin::ExchangeKind::Topic,
        ExchangeKind::Fanout => lapin::ExchangeKind::Fanout,
    }
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

fn properties(message: &Outgoing) -> BasicProperties {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    let mut headers = FieldTable::default();
    for (name, value) in &message.headers {
        headers.insert(name.as_str().into(), AMQPValue::LongString(value.as_str().into()));
    }
    if is_broken(Rule::RebuiltHeaders) {
        broken::copy_death(&mut headers);
    }
    BasicProperties::default()
        .with_delivery_mode(PERSISTENT)
        .with_message_id(message.message_id.as_str().into())
        .with_content_type(message.content_type.as_str().into())
        .with_timestamp(now.as_secs())
        .with_headers(headers)
}
