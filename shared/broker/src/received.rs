//! A message as it came, and the way to tell its broker what became of it.

use crate::{Error, Meta, session::within};
use lapin::options::{BasicAckOptions, BasicRejectOptions};
use std::time::Duration;

/// A message as it came.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) body: Vec<u8>,
    pub(crate) meta: Meta,
    pub(crate) acker: Acker,
}

/// Settles one delivery, on the channel it came from.
#[derive(Debug)]
pub(crate) enum Acker {
    Amqp(lapin::Acker, Duration),
    #[cfg(feature = "double")]
    Memory(crate::double::Receipt),
}

impl Acker {
    /// The broker may forget it. Whether it was told: `false` when the channel is gone.
    pub(crate) async fn ack(&self) -> Result<bool, Error> {
        match self {
            Self::Amqp(acker, limit) => within(*limit, "settling a delivery", acker.ack(BasicAckOptions::default())).await,
            #[cfg(feature = "double")]
            Self::Memory(receipt) => receipt.ack().await,
        }
    }

    /// The broker puts it back and counts. Whether it was told.
    pub(crate) async fn reject(&self) -> Result<bool, Error> {
        match self {
            Self::Amqp(acker, limit) => {
                let rejecting = acker.reject(BasicRejectOptions { requeue: true });
                within(*limit, "settling a delivery", rejecting).await
            }
            #[cfg(feature = "double")]
            Self::Memory(receipt) => receipt.reject().await,
        }
    }
}
