//! The parts of the job, each alone and as fast as it goes: what the fleet could do at most, if what holds them together cost nothing.

mod hop;
pub(crate) mod ledger;
mod ledger_postgres;
mod ledger_sqlite;
mod stores;
mod tracker;

use std::sync::Arc;

use anyhow::Result;
use erasure_tests::servers::Servers;

use crate::{
    estate::Estate,
    fleet::{Load, parts, singles},
};
use ledger::Writes;

/// What the parts took, in seconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ceiling {
    /// Publishing, confirmed, and consuming.
    pub(crate) hop: f64,
    /// Finding, erasing and reading back.
    pub(crate) stores: f64,
    /// The tracker's scripts.
    pub(crate) tracker: f64,
    /// The ledger's writes, in PostgreSQL.
    pub(crate) ledger: f64,
    /// The same in SQLite.
    pub(crate) ledger_sqlite: f64,
    /// What Redis holds of open requests, in bytes.
    pub(crate) redis_bytes: f64,
}

impl Ceiling {
    /// All of them one after the other, with the ledger in PostgreSQL.
    pub(crate) fn seconds(&self) -> f64 {
        self.hop + self.stores + self.tracker + self.ledger
    }

    /// The same with the ledger in SQLite.
    pub(crate) fn seconds_sqlite(&self) -> f64 {
        self.hop + self.stores + self.tracker + self.ledger_sqlite
    }
}

/// Measures every part once.
pub(crate) async fn run(estate: &Arc<Estate>, load: Load, writes: &Writes) -> Result<Ceiling> {
    let servers = Servers::of_this_run()?;
    let commands = match load {
        Load::Singles => singles(1..estate.subjects + 1),
        Load::Bulk => parts(estate.subjects),
    };
    let hop = hop::run(&servers, &commands).await?;
    let copy = estate.copy().await?;
    let erased = stores::run(&copy, estate.subjects).await;
    let checked = match &erased {
        Ok(_) => copy.check().await,
        Err(_) => Ok(()),
    };
    copy.remove().await?;
    checked?;
    let tracker = tracker::run(&servers, estate.subjects, load).await?;
    Ok(Ceiling {
        hop,
        stores: erased?,
        tracker: tracker.seconds,
        ledger: ledger_postgres::run(&servers, writes).await?,
        ledger_sqlite: ledger_sqlite::run(writes).await?,
        redis_bytes: tracker.open_bytes,
    })
}
