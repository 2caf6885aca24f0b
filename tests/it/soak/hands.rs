//! Hands the load in, over AMQP and HTTP, as honest producers do: the same command with the same id until somebody has taken it.

use super::{
    books::Books,
    fleet::Fleet,
    load::{Command, Kind, Load, Way},
};
use anyhow::{Result, ensure};
use erasure_tests::{
    producer::{Producer, Published},
    world::TOKEN,
};
use std::{
    sync::{Arc, Mutex, atomic::Ordering},
    time::Duration,
};
use tokio::{sync::watch, task::JoinSet, time::MissedTickBehavior};

/// One command each.
pub(crate) const TICK: Duration = Duration::from_millis(250);
/// Between two tries.
const AGAIN: Duration = Duration::from_millis(300);
const HTTP_TIMEOUT: Duration = Duration::from_secs(20);

/// Producers over AMQP and HTTP.
pub(crate) struct Hands {
    fleet: Arc<Fleet>,
    books: Books,
    /// Connections that are free.
    producers: Mutex<Vec<Producer>>,
    http: reqwest::Client,
}

impl Hands {
    pub(crate) fn new(fleet: Arc<Fleet>, books: Books) -> Arc<Self> {
        let http = reqwest::Client::builder().timeout(HTTP_TIMEOUT).build();
        Arc::new(Self {
            fleet,
            books,
            producers: Mutex::default(),
            http: http.expect("a client without settings of the system"),
        })
    }

    /// One command a tick, however slowly they are taken; the ticks are told. Returns when every command has been taken.
    pub(crate) async fn hand_in(self: Arc<Self>, load: Load, ticks: watch::Sender<u32>) -> Result<()> {
        let mut interval = tokio::time::interval(TICK);
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut under_way = JoinSet::new();
        for (tick, command) in (0..).zip(load.commands) {
            interval.tick().await;
            ticks.send_replace(tick);
            under_way.spawn(Arc::clone(&self).insist(command));
        }
        // Whatever still waits for its tick need not wait any longer.
        ticks.send_replace(u32::MAX);
        while let Some(done) = under_way.join_next().await {
            done?;
        }
        Ok(())
    }

    async fn insist(self: Arc<Self>, command: Command) {
        // Before the ledger has the original, the conflict would be the original.
        while command.kind == Kind::Conflict && !self.books.is_accepted(&command.id) {
            tokio::time::sleep(AGAIN).await;
        }
        let with_newsletter = self.fleet.is_newsletter_in_force.load(Ordering::SeqCst);
        self.books.handing_in(&command, with_newsletter);
        loop {
            let tried = match command.way {
                Way::Amqp => self.publish(&command).await,
                Way::Http => self.post(&command).await,
            };
            match tried {
                Ok(()) => return self.books.taken(&command),
                Err(_) => tokio::time::sleep(AGAIN).await,
            }
        }
    }

    async fn publish(&self, command: &Command) -> Result<()> {
        let free = self.producers.lock().expect("nobody panics with it in hand").pop();
        let producer = match free {
            Some(producer) => producer,
            None => Producer::connect(self.fleet.world.amqp()).await?,
        };
        // One that fails is dropped with its connection.
        let published = producer.publish(&command.message()).await?;
        self.producers.lock().expect("nobody panics with it in hand").push(producer);
        ensure!(published == Published::Confirmed, "{published:?}");
        Ok(())
    }

    async fn post(&self, command: &Command) -> Result<()> {
        let url = format!("{}/v1/requests", self.fleet.api());
        let posting = self.http.post(url).bearer_auth(TOKEN).json(&command.body());
        let answer = posting.send().await?;
        ensure!(answer.status().as_u16() == 202, "{}", answer.status());
        Ok(())
    }
}
