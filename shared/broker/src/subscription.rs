//! The session behind a consumer: connects, consumes, gives channels up, drains.

use crate::{Channel, Config, Connection, Error, Inflow, Names, Received, Source, delivery::Generation, pause::Pauses, session};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

/// How long the last channel waits after a stop. The process has a deadline of its own.
const DRAIN_GRACE: Duration = Duration::from_secs(60);
/// A holder that drops every delivery must not make us open channels as fast as we can.
const RECYCLE_PAUSE: Duration = Duration::from_millis(250);

/// A message as it came, with what it shares with the others of its channel.
#[derive(Debug)]
pub(crate) struct Raw {
    pub(crate) message: Received,
    pub(crate) generation: Arc<Generation>,
}

/// What the session hands to the consumer.
#[expect(
    clippy::large_enum_variant,
    reason = "the small variant is sent once; boxing would cost every message"
)]
#[derive(Debug)]
pub(crate) enum Parcel {
    /// A message.
    Message(Raw),
    /// There will be no more.
    End,
}

/// What the session was asked for, and its ends of the wires to the consumer.
#[derive(Debug)]
pub(crate) struct Subscription {
    pub(crate) config: Config,
    pub(crate) source: Source,
    pub(crate) prefetch: u16,
    pub(crate) deliveries: mpsc::Sender<Parcel>,
    pub(crate) wanted: watch::Receiver<bool>,
    pub(crate) connected: watch::Sender<bool>,
    pub(crate) stop: CancellationToken,
}

/// Why a channel is given up although nothing broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// We were told to stop: drain.
    Stopped,
    /// Nobody takes deliveries any more.
    Abandoned,
    /// We were told to pause.
    Paused,
    /// A delivery was dropped unsettled: only closing the channel gives it back uncounted.
    Dropped,
}

/// Waits until the value is true, or its sender is gone.
pub(crate) async fn until_true(mut value: watch::Receiver<bool>) {
    // An error says that the sender is gone; then there is nothing left to wait for.
    let _ = value.wait_for(|it| *it).await;
}

/// Keeps consuming until told to stop, or until nobody listens.
pub(crate) async fn run(subscription: Subscription) {
    let queue = Names::new(&subscription.config.prefix).source(&subscription.source);
    let name = format!("erasure consumer {queue}");
    let mut pauses = Pauses::new(&subscription.config);
    loop {
        let opening = session::connect_for_ever(&subscription.config, &name, &mut pauses, &subscription.stop);
        let connection = tokio::select! {
            biased;
            () = subscription.deliveries.closed() => return,
            connection = opening => connection,
        };
        let Some(connection) = connection else { return };
        let served = Box::pin(subscription.serve(&connection, &queue, &mut pauses)).await;
        subscription.connected.send_replace(false);
        match served {
            Ok(Ended::Stopped | Ended::Abandoned | Ended::Paused | Ended::Dropped) => {
                return connection.close(&subscription.config).await;
            }
            Err(error) => {
                connection.close(&subscription.config).await;
                if session::rest(&mut pauses, &subscription.stop, &name, &error).await.is_none() {
                    return;
                }
            }
        }
    }
}

impl Subscription {
    /// One connection, any number of channels.
    async fn serve(&self, connection: &Connection, queue: &str, pauses: &mut Pauses) -> Result<Ended, Error> {
        loop {
            if self.stop.is_cancelled() {
                return Ok(Ended::Stopped);
            }
            let ended = if *self.wanted.borrow() {
                Box::pin(self.consume(connection, queue, pauses)).await?
            } else {
                self.connected.send_replace(true);
                self.wait_while_paused(connection).await?
            };
            match ended {
                Ended::Stopped | Ended::Abandoned => return Ok(ended),
                Ended::Paused => {}
                Ended::Dropped => tokio::select! {
                    biased;
                    () = self.stop.cancelled() => {}
                    () = tokio::time::sleep(RECYCLE_PAUSE) => {}
                },
            }
        }
    }

    async fn wait_while_paused(&self, connection: &Connection) -> Result<Ended, Error> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Ok(Ended::Stopped),
            () = self.deliveries.closed() => Ok(Ended::Abandoned),
            () = until_true(self.wanted.clone()) => Ok(Ended::Paused),
            error = connection.lost() => Err(error),
        }
    }

    /// One channel, from its opening until everything handed out on it is settled.
    async fn consume(&self, connection: &Connection, queue: &str, pauses: &mut Pauses) -> Result<Ended, Error> {
        let channel = connection.channel(&self.config).await?;
        channel.prefetch(self.prefetch).await?;
        let mut inflow = channel.consume(queue).await?;
        pauses.reset();
        self.connected.send_replace(true);
        let generation = Arc::new(Generation::default());
        let mut held = None;
        let ended = self
            .forward(connection, (&channel, &mut inflow), &mut held, &generation)
            .await;
        let result = match ended {
            Ok(Ended::Stopped) => {
                self.drain(&channel, inflow, held, &generation).await;
                Ok(Ended::Stopped)
            }
            Ok(ended) => {
                generation.closing.store(true, Ordering::Release);
                channel.cancel(&mut inflow).await;
                generation.settle(self.config.settle_grace(), false).await;
                Ok(ended)
            }
            Err(error) => Err(error),
        };
        generation.closing.store(true, Ordering::Release);
        generation.over.store(true, Ordering::Release);
        if result.is_ok() {
            channel.close().await?;
        }
        result
    }

    /// Passes deliveries on until something else is wanted.
    async fn forward(
        &self,
        connection: &Connection,
        (channel, inflow): (&Channel, &mut Inflow),
        held: &mut Option<Raw>,
        generation: &Arc<Generation>,
    ) -> Result<Ended, Error> {
        let mut wanted = self.wanted.clone();
        let lost = connection.lost();
        tokio::pin!(lost);
        loop {
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return Ok(Ended::Stopped),
                paused = wanted.wait_for(|it| !*it) => {
                    return Ok(if paused.is_ok() { Ended::Paused } else { Ended::Abandoned });
                }
                () = generation.changed.notified() => {
                    if generation.dropped.load(Ordering::Acquire) {
                        return Ok(Ended::Dropped);
                    }
                }
                error = &mut lost => return Err(error),
                permit = self.deliveries.reserve(), if held.is_some() => match (permit, held.take()) {
                    (Ok(permit), Some(raw)) => permit.send(Parcel::Message(raw)),
                    (Ok(_), None) => {}
                    (Err(_), _) => return Ok(Ended::Abandoned),
                },
                () = self.deliveries.closed() => return Ok(Ended::Abandoned),
                next = inflow.next(channel), if held.is_none() => *held = Some(received(next, generation)?),
            }
        }
    }

    /// Takes no more, hands out what came already, waits for it to be settled.
    async fn drain(&self, channel: &Channel, mut inflow: Inflow, mut held: Option<Raw>, generation: &Arc<Generation>) {
        let limit = self.config.response_timeout();
        channel.cancel(&mut inflow).await;
        let hand_out = async {
            loop {
                let raw = match held.take() {
                    Some(raw) => raw,
                    None => match tokio::time::timeout(limit, inflow.next(channel)).await {
                        Ok(next @ Some(Ok(_))) => match received(next, generation) {
                            Ok(raw) => raw,
                            Err(_) => return,
                        },
                        Ok(None | Some(Err(_))) | Err(_) => return,
                    },
                };
                if self.deliveries.send(Parcel::Message(raw)).await.is_err() {
                    return;
                }
            }
        };
        let settled = async {
            hand_out.await;
            // Now, not when everything is settled: the holder may settle only after it has seen the end. Nobody there is fine too.
            let _ = self.deliveries.send(Parcel::End).await;
            generation.settle(DRAIN_GRACE, true).await;
        };
        tokio::select! {
            biased;
            () = self.deliveries.closed() => generation.settle(self.config.settle_grace(), false).await,
            settled = tokio::time::timeout(DRAIN_GRACE, settled) => if settled.is_err() {
                tracing::warn!("deliveries were still unsettled when the time to drain was over; they will be delivered again");
            },
        }
    }
}

fn received(next: Option<Result<Received, Error>>, generation: &Arc<Generation>) -> Result<Raw, Error> {
    let message = next.ok_or_else(|| Error::gone("the broker ended the consumer"))??;
    generation.buffered.fetch_add(1, Ordering::AcqRel);
    Ok(Raw {
        message,
        generation: generation.clone(),
    })
}
