//! Sends commands to intake as any producer does, but sealed: the broker never sees an identifier.

use crate::assemble::Fleet;
use anyhow::{Context as _, bail};
use erasure_broker::{Outgoing, PublishError, Publisher, Route};
use erasure_kit::parked_id;
use erasure_ledger::{Ledger, Parked};
use erasure_privacy::KeyRing;
use erasure_protocol::{Command, Lane, SEALED_CONTENT_TYPE};
use std::sync::Arc;
use tokio_util::sync::{CancellationToken, DropGuard};

/// How often a message that was not confirmed is sent again. Each attempt waits as long as the broker's configuration says.
const ATTEMPTS_MAX: u32 = 3;

/// Seals and publishes.
pub(crate) struct Sender {
    publisher: Publisher,
    keys: Arc<KeyRing>,
    _stops: DropGuard,
}

/// A command that the broker has confirmed.
pub(crate) struct Sent {
    message_id: String,
    body: Vec<u8>,
}

impl Sender {
    /// Starts a session.
    ///
    /// # Errors
    /// When the key ring cannot be used.
    pub(crate) fn start(fleet: &Fleet) -> anyhow::Result<Self> {
        let stop = CancellationToken::new();
        let publisher = Publisher::start(&fleet.config.broker, "erasure command line", stop.clone());
        Ok(Self {
            publisher,
            keys: fleet.keys()?,
            _stops: stop.drop_guard(),
        })
    }

    /// Publishes the commands and waits until the broker has confirmed each.
    ///
    /// # Errors
    /// With what to do when one is not known to have arrived.
    pub(crate) async fn send(&self, commands: &[Command], lane: Lane) -> anyhow::Result<Vec<Sent>> {
        let mut open = Vec::with_capacity(commands.len());
        for command in commands {
            open.push(Outgoing {
                to: Route::Request { lane },
                message_id: uuid::Uuid::new_v4().to_string(),
                content_type: SEALED_CONTENT_TYPE.to_owned(),
                body: self.keys.seal_command(&command.to_json()).context("sealing a command")?,
                headers: Vec::new(),
            });
        }
        let sent = open
            .iter()
            .map(|it| Sent {
                message_id: it.message_id.clone(),
                body: it.body.clone(),
            })
            .collect();
        for attempt in 1.. {
            let results = self.publisher.publish(open.clone()).await;
            let failed = open
                .into_iter()
                .zip(results)
                .filter_map(|(message, result)| Some((message, result.err()?)));
            let (again, errors): (Vec<_>, Vec<_>) = failed.unzip();
            match errors.iter().find(|error| !error.is_transient()).or(errors.first()) {
                None => break,
                Some(error) if attempt < ATTEMPTS_MAX && error.is_transient() => open = again,
                Some(error) => bail!("publishing to RabbitMQ: {error}; {}", advice(error)),
            }
        }
        Ok(sent)
    }
}

fn advice(error: &PublishError) -> &'static str {
    match error {
        PublishError::Unroutable { .. } => "run `erasure topology apply`",
        PublishError::Rejected => "intake does not keep up or is not running; ask again, under the same id, when it is",
        PublishError::Unknown => "see whether broker.url is right and RabbitMQ runs, then ask again under the same id",
        PublishError::Refused { .. } => "grant this login the role operator of `erasure topology show`",
        PublishError::Invalid(_) | PublishError::Stopped => "ask again",
    }
}

impl Sent {
    /// The message as it was put aside, if intake has refused it.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub(crate) async fn refused(&self, ledger: &Ledger) -> anyhow::Result<Option<Parked>> {
        Ok(ledger.parked_one(&parked_id(Some(&self.message_id), &self.body)).await?)
    }
}
