//! The durable record of Erasure Fleet in SQL: requests, plans, sealed slices, reports, evidence, events. SQLite or PostgreSQL,
//! by one implementation.
//!
//! The ledger is the authority: *erased* exists only as a final state in here, and a final state is never left. What is asked of
//! it twice is written once, so every call may be repeated after an error. It holds no identifier of a person in the clear: only
//! sealed bytes and keyed hashes.

mod config;
#[cfg(feature = "double")]
mod double;
mod error;
mod ledger;
mod migrate;
mod model;
mod ops;
mod schema;
mod sql;

pub use config::{Access, Config};
#[cfg(feature = "double")]
pub use double::MemoryLedger;
pub use error::Error;
pub use ledger::Ledger;
pub use migrate::{Migrated, grants, migrate};
pub use model::*;
