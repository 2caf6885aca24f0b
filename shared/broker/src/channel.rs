//! A channel of a connection: to a broker, or to the double.

use crate::{
    Confirm, Connection, Error, ExchangeKind, Inflow, Outgoing, QueueState, Received, Row, amqp::AmqpChannel, session::LOOK_EVERY,
};

/// A channel. A refusal closes it.
#[derive(Clone)]
pub(crate) enum Channel {
    Amqp(AmqpChannel),
    #[cfg(feature = "double")]
    Memory(crate::double::Line),
}

impl Channel {
    /// From now on the broker says of every message whether it has it.
    pub(crate) async fn ask_for_confirms(&self) -> Result<(), Error> {
        match self {
            Self::Amqp(channel) => channel.ask_for_confirms().await,
            #[cfg(feature = "double")]
            Self::Memory(_) => Ok(()),
        }
    }

    /// Sends a message to an exchange, with a routing key.
    pub(crate) async fn publish(&self, message: &Outgoing, target: &(String, String)) -> Result<Confirm, Error> {
        match self {
            Self::Amqp(channel) => channel.publish(message, target).await,
            #[cfg(feature = "double")]
            Self::Memory(line) => line.publish(message, target),
        }
    }

    /// Limits how many deliveries may be unsettled.
    pub(crate) async fn prefetch(&self, deliveries_max: u16) -> Result<(), Error> {
        match self {
            Self::Amqp(channel) => channel.prefetch(deliveries_max).await,
            #[cfg(feature = "double")]
            Self::Memory(line) => line.prefetch(deliveries_max),
        }
    }

    /// Begins to take deliveries.
    pub(crate) async fn consume(&self, queue: &str) -> Result<Inflow, Error> {
        match self {
            Self::Amqp(channel) => channel.consume(queue).await.map(Inflow::Amqp),
            #[cfg(feature = "double")]
            Self::Memory(line) => line.consume(queue).await.map(Inflow::Memory),
        }
    }

    /// Takes no more deliveries. What is on its way still comes.
    pub(crate) async fn cancel(&self, inflow: &mut Inflow) {
        match (self, inflow) {
            (Self::Amqp(channel), Inflow::Amqp(stream)) => channel.cancel(stream).await,
            #[cfg(feature = "double")]
            (Self::Memory(line), Inflow::Memory(_)) => line.cancel(),
            #[cfg(feature = "double")]
            (Self::Amqp(_), Inflow::Memory(_)) | (Self::Memory(_), Inflow::Amqp(_)) => {}
        }
    }

    /// Takes one message, if there is one.
    pub(crate) async fn get(&self, queue: &str) -> Result<Option<Received>, Error> {
        match self {
            Self::Amqp(channel) => channel.get(queue).await,
            #[cfg(feature = "double")]
            Self::Memory(line) => line.get(queue).await,
        }
    }

    /// How full a queue is.
    pub(crate) async fn queue_state(&self, queue: &str) -> Result<QueueState, Error> {
        match self {
            Self::Amqp(channel) => channel.queue_state(queue).await,
            #[cfg(feature = "double")]
            Self::Memory(line) => line.queue_state(queue).await,
        }
    }

    /// Whether there is such an exchange.
    pub(crate) async fn exchange_there(&self, name: &str, kind: ExchangeKind) -> Result<(), Error> {
        match self {
            Self::Amqp(channel) => channel.exchange_there(name, kind).await,
            #[cfg(feature = "double")]
            Self::Memory(line) => line.exchange_there(name).await,
        }
    }

    /// Declares one row; an equal one that is there already is fine.
    pub(crate) async fn declare(&self, row: &Row) -> Result<(), Error> {
        match self {
            Self::Amqp(channel) => channel.declare(row).await,
            #[cfg(feature = "double")]
            Self::Memory(line) => line.declare(row).await,
        }
    }

    /// Closes it, so that everything unsettled on it goes back to its queue.
    pub(crate) async fn close(&self) -> Result<(), Error> {
        match self {
            Self::Amqp(channel) => channel.close().await,
            #[cfg(feature = "double")]
            Self::Memory(line) => line.close(),
        }
    }

    /// Returns when it is lost, or the connection below it.
    pub(crate) async fn lost(&self, connection: &Connection) -> Error {
        match self {
            Self::Amqp(channel) => {
                let mut look = tokio::time::interval(LOOK_EVERY);
                while channel.is_connected() && connection.is_connected() {
                    look.tick().await;
                }
            }
            #[cfg(feature = "double")]
            Self::Memory(line) => line.lost().await,
        }
        Error::gone("the connection was lost")
    }
}
