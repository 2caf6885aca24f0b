//! Consuming in batches.

use crate::{
    Config, Delivery, Source,
    subscription::{self, Parcel, Raw},
};
use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;

/// How much is taken at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsumerOptions {
    /// How many deliveries the broker may leave with us unsettled. Above 0.
    pub prefetch: u16,
    /// How many deliveries a batch has at most. More than `prefetch` never come together.
    pub batch_max: usize,
    /// How long the first delivery of a batch waits for more.
    pub linger: Duration,
    /// Bodies longer than this are marked ([`crate::Meta::too_large`]).
    pub body_bytes_max: usize,
}

impl Default for ConsumerOptions {
    fn default() -> Self {
        Self {
            prefetch: 64,
            batch_max: 32,
            linger: Duration::from_millis(5),
            body_bytes_max: 16 * 1024 * 1024,
        }
    }
}

/// Takes deliveries from one queue, over a connection of its own that is opened again whenever it breaks.
#[derive(Debug)]
pub struct Consumer {
    deliveries: mpsc::Receiver<Parcel>,
    /// A batch under way, kept here so that cancelling [`Consumer::next_batch`] loses nothing.
    partial: Vec<Delivery>,
    ended: bool,
    options: ConsumerOptions,
    control: ConsumerControl,
    task: JoinHandle<()>,
}

/// Pauses and watches a [`Consumer`] from elsewhere.
#[derive(Clone, Debug)]
pub struct ConsumerControl {
    wanted: Arc<watch::Sender<bool>>,
    connected: watch::Receiver<bool>,
}

impl ConsumerControl {
    /// Stops taking deliveries; what was handed out can still be settled, the rest goes back to the queue.
    pub fn pause(&self) {
        self.wanted.send_replace(false);
    }

    /// Takes deliveries again.
    pub fn resume(&self) {
        self.wanted.send_replace(true);
    }

    /// Whether it is paused.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        !*self.wanted.borrow()
    }

    /// Whether the session stands. A paused consumer keeps its session.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        *self.connected.borrow()
    }

    /// Waits until the session stands.
    pub async fn ready(&self) {
        subscription::until_true(self.connected.clone()).await;
    }
}

impl Consumer {
    /// Starts consuming. After `stop` what was prefetched is still handed out and can be settled.
    #[must_use]
    pub fn start(config: &Config, source: Source, options: ConsumerOptions, stop: CancellationToken) -> Self {
        let options = ConsumerOptions {
            prefetch: options.prefetch.max(1),
            batch_max: options.batch_max.clamp(1, usize::from(options.prefetch.max(1))),
            ..options
        };
        let (send, deliveries) = mpsc::channel(usize::from(options.prefetch));
        let (wanted, wants) = watch::channel(true);
        let (connects, connected) = watch::channel(false);
        let task = tokio::spawn(subscription::run(subscription::Subscription {
            config: config.clone(),
            source,
            prefetch: options.prefetch,
            deliveries: send,
            wanted: wants,
            connected: connects,
            stop,
        }));
        Self {
            deliveries,
            partial: Vec::new(),
            ended: false,
            options,
            control: ConsumerControl {
                wanted: Arc::new(wanted),
                connected,
            },
            task,
        }
    }

    /// The next batch: at least one delivery. `None` after `stop`, once everything prefetched has been handed out.
    ///
    /// May be cancelled and called again: nothing is lost.
    pub async fn next_batch(&mut self) -> Option<Vec<Delivery>> {
        while self.partial.is_empty() {
            if self.ended {
                return None;
            }
            let parcel = self.deliveries.recv().await;
            self.open(parcel);
        }
        let until = Instant::now() + self.options.linger;
        while self.partial.len() < self.options.batch_max && !self.ended {
            match timeout_at(until, self.deliveries.recv()).await {
                Ok(parcel) => self.open(parcel),
                Err(_) => break,
            }
        }
        Some(std::mem::take(&mut self.partial))
    }

    fn open(&mut self, parcel: Option<Parcel>) {
        match parcel {
            Some(Parcel::Message(raw)) => self.admit(raw),
            Some(Parcel::End) | None => self.ended = true,
        }
    }

    /// A delivery of a channel that is being given up goes back to its queue by itself.
    fn admit(&mut self, raw: Raw) {
        let Raw { mut message, generation } = raw;
        generation.buffered.fetch_sub(1, Ordering::AcqRel);
        generation.changed.notify_one();
        if !generation.closing.load(Ordering::Acquire) {
            message.meta.too_large = message.body.len() > self.options.body_bytes_max;
            self.partial.push(Delivery::new(message, generation));
        }
    }

    /// A handle to pause, resume and watch it from elsewhere.
    #[must_use]
    pub fn control(&self) -> ConsumerControl {
        self.control.clone()
    }

    /// See [`ConsumerControl::pause`].
    pub fn pause(&self) {
        self.control.pause();
    }

    /// See [`ConsumerControl::resume`].
    pub fn resume(&self) {
        self.control.resume();
    }

    /// See [`ConsumerControl::is_connected`].
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.control.is_connected()
    }

    /// See [`ConsumerControl::ready`].
    pub async fn ready(&self) {
        self.control.ready().await;
    }

    /// Waits until the session has closed, which after `stop` is when every delivery was settled or the grace was over.
    pub async fn closed(mut self) {
        self.deliveries.close();
        self.partial.clear();
        // It ends by itself, and a panic in it was reported by the runtime.
        let _ = self.task.await;
    }
}
