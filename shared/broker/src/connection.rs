//! A connection: to a broker, or to the double.

use crate::{
    Channel, Config, Error,
    amqp::AmqpChannel,
    session::{LOOK_EVERY, close_within, tls, within},
};
use lapin::ConnectionProperties;

/// A connection that stays as it is: when it breaks, its owner opens another.
pub(crate) enum Connection {
    Amqp(lapin::Connection),
    #[cfg(feature = "double")]
    Memory(crate::double::Link),
}

impl Connection {
    /// Opens a connection that the management page shows under this name.
    pub(crate) async fn open(config: &Config, name: &str) -> Result<Self, Error> {
        #[cfg(feature = "double")]
        if let Some(double) = &config.double {
            return double.connect(name).await.map(Self::Memory);
        }
        let doing = "connecting to the broker";
        let uri = config.uri()?;
        let tls = tls(config)?;
        let properties = ConnectionProperties::default().with_connection_name(name.into());
        let runtime = lapin::runtime::default_runtime().map_err(|source| Error::broker(doing, source))?;
        let opening = Box::pin(lapin::Connection::connect_uri_with_config(uri, properties, tls, runtime));
        within(config.connect_timeout(), doing, opening).await.map(Self::Amqp)
    }

    /// Opens a channel.
    pub(crate) async fn channel(&self, config: &Config) -> Result<Channel, Error> {
        let limit = config.response_timeout();
        match self {
            Self::Amqp(connection) => {
                let channel = within(limit, "opening a channel", connection.create_channel()).await?;
                Ok(Channel::Amqp(AmqpChannel { channel, limit }))
            }
            #[cfg(feature = "double")]
            Self::Memory(link) => link.channel().map(Channel::Memory),
        }
    }

    /// Says goodbye; whether the other side still listens does not matter.
    pub(crate) async fn close(&self, config: &Config) {
        match self {
            Self::Amqp(connection) => {
                let closing = connection.close(200, "done".into());
                let _ = within(close_within(config), "closing the connection", closing).await;
            }
            #[cfg(feature = "double")]
            Self::Memory(link) => link.close(),
        }
    }

    pub(crate) fn is_connected(&self) -> bool {
        match self {
            Self::Amqp(connection) => connection.status().connected(),
            #[cfg(feature = "double")]
            Self::Memory(link) => link.is_connected(),
        }
    }

    /// Whether the broker has an alarm, and takes no messages.
    pub(crate) fn is_blocked(&self) -> bool {
        match self {
            Self::Amqp(connection) => connection.status().blocked(),
            #[cfg(feature = "double")]
            Self::Memory(link) => link.is_blocked(),
        }
    }

    /// Returns when the connection is lost.
    pub(crate) async fn lost(&self) -> Error {
        match self {
            Self::Amqp(connection) => {
                let mut look = tokio::time::interval(LOOK_EVERY);
                while connection.status().connected() {
                    look.tick().await;
                }
            }
            #[cfg(feature = "double")]
            Self::Memory(link) => link.lost().await,
        }
        Error::gone("the connection was lost")
    }
}
