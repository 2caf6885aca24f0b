//! What comes in on a channel that consumes.

use crate::{Channel, Error, Received};
use futures_util::StreamExt;

/// Deliveries, one after the other.
pub(crate) enum Inflow {
    Amqp(lapin::Consumer),
    #[cfg(feature = "double")]
    Memory(crate::double::Inbox),
}

impl Inflow {
    /// The next delivery; `None` when there will be no more. May be cancelled and called again: nothing is lost.
    pub(crate) async fn next(&mut self, channel: &Channel) -> Option<Result<Received, Error>> {
        match (self, channel) {
            (Self::Amqp(stream), Channel::Amqp(channel)) => {
                let next = stream.next().await?;
                Some(match next {
                    Ok(delivery) => Ok(channel.received(delivery)),
                    Err(source) => Err(Error::broker("consuming", source)),
                })
            }
            #[cfg(feature = "double")]
            (Self::Memory(inbox), _) => inbox.next().await.map(Ok),
            #[cfg(feature = "double")]
            (Self::Amqp(_), Channel::Memory(_)) => None,
        }
    }
}
