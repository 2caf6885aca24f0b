//! Looking into queues: how deep they are, and what lies in the dead ones.

use crate::{Channel, Config, Connection, Error, Meta, Names, Received, Settled, Source, received::Acker};
use std::{fmt, sync::Arc};
use tokio::sync::Mutex;
use uuid::Uuid;

/// How many messages one look may hold at once.
const LOOK_MESSAGES_MAX: usize = 1_000;
const NOT_FOUND: u16 = 404;

/// How full a queue is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueState {
    /// Messages ready to be delivered. Delivered and unsettled ones are not among them.
    pub ready: u64,
    /// How many consumers it has. One that was cancelled counts until what it holds is settled.
    pub consumers: u32,
}

/// Looks into queues over one small connection, opened when first needed and again when it broke. Cheap to clone.
#[derive(Clone)]
pub struct Inspector {
    config: Config,
    names: Names,
    connection: Arc<Mutex<Option<Connection>>>,
}

impl fmt::Debug for Inspector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inspector")
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}

/// A message held out of its queue: remove it, or drop this and it goes back.
#[must_use]
pub struct Parked {
    /// Its handle: the message id, or one made from the body when its producer gave none.
    pub id: String,
    /// The body.
    pub body: Vec<u8>,
    /// What it says besides.
    pub meta: Meta,
    acker: Acker,
    /// Dropping the last handle closes the channel, which gives back whatever is unsettled on it.
    _channel: Channel,
}

impl fmt::Debug for Parked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parked")
            .field("id", &self.id)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

impl Parked {
    fn of(message: Received, channel: &Channel) -> Self {
        let Received { body, meta, acker } = message;
        let id = meta
            .message_id
            .clone()
            .unwrap_or_else(|| Uuid::new_v5(&Uuid::NAMESPACE_OID, &body).to_string());
        Self {
            id,
            body,
            meta,
            acker,
            _channel: channel.clone(),
        }
    }

    /// Removes it from its queue, for good.
    pub async fn remove(self) -> Settled {
        match self.acker.ack().await {
            Ok(true) => Settled::Done,
            Ok(false) | Err(_) => Settled::Stale,
        }
    }
}

impl Inspector {
    /// An inspector that has not connected yet.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self {
            config: config.clone(),
            names: Names::new(&config.prefix),
            connection: Arc::default(),
        }
    }

    /// How full the queue is; `None` when there is no such queue.
    ///
    /// # Errors
    /// When the broker cannot be asked.
    pub async fn queue_state(&self, source: &Source) -> Result<Option<QueueState>, Error> {
        let queue = self.names.source(source);
        let channel = self.channel().await?;
        match channel.queue_state(&queue).await {
            Ok(state) => {
                channel.close().await?;
                Ok(Some(state))
            }
            Err(error) if error.code() == Some(NOT_FOUND) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Looks at the first messages of a queue, at most 1,000. They are out of it for as long as this takes, and go back in a bunch when
    /// the last of them is dropped, which counts as a delivery: dead queues have no limit to that.
    ///
    /// # Errors
    /// When the broker cannot be asked.
    pub async fn look(&self, source: &Source, messages_max: usize) -> Result<Vec<Parked>, Error> {
        let channel = self.channel().await?;
        let mut found = Vec::new();
        while found.len() < messages_max.min(LOOK_MESSAGES_MAX)
            && let Some(message) = self.next(&channel, source).await?
        {
            found.push(message);
        }
        Ok(found)
    }

    /// Finds one message by its id (see [`Parked::id`]) among the first `messages_max`, at most 1,000. Those before it stay out of the queue until
    /// the result is dropped.
    ///
    /// # Errors
    /// When the broker cannot be asked.
    pub async fn find(&self, source: &Source, id: &str, messages_max: usize) -> Result<Option<Parked>, Error> {
        let channel = self.channel().await?;
        let mut passed = 0;
        while passed < messages_max.min(LOOK_MESSAGES_MAX)
            && let Some(message) = self.next(&channel, source).await?
        {
            if message.id == id {
                return Ok(Some(message));
            }
            passed += 1;
        }
        Ok(None)
    }

    /// Says goodbye to the broker.
    pub async fn close(&self) {
        if let Some(connection) = self.connection.lock().await.take() {
            connection.close(&self.config).await;
        }
    }

    async fn next(&self, channel: &Channel, source: &Source) -> Result<Option<Parked>, Error> {
        let message = channel.get(&self.names.source(source)).await?;
        Ok(message.map(|message| Parked::of(message, channel)))
    }

    /// A channel of the connection at hand, or of a new one when that broke.
    async fn channel(&self) -> Result<Channel, Error> {
        let mut slot = self.connection.lock().await;
        if let Some(connection) = slot.as_ref().filter(|it| it.is_connected())
            && let Ok(channel) = connection.channel(&self.config).await
        {
            return Ok(channel);
        }
        *slot = None;
        let connection = Connection::open(&self.config, "erasure inspector").await?;
        let channel = connection.channel(&self.config).await;
        *slot = Some(connection);
        channel
    }
}
