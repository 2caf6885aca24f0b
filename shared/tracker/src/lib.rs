//! The tracker: a projection in Redis of how far each request is. The ledger writes its headers, workers claim and mark
//! slices, support reads progress. It may be wiped at any moment and rebuilt from the ledger.
//!
//! Three rules hold in every script: nothing subtracts evidence, nothing is counted towards completion, and what is
//! missing never reads as done.

mod allowance;
mod answer;
mod broken;
mod calls;
mod config;
mod connection;
#[cfg(feature = "double")]
pub mod double;
mod error;
#[cfg(feature = "fuzz")]
#[doc(hidden)]
pub mod fuzz;
mod header;
mod info;
mod keys;
mod note;
mod reading;
mod record;
mod script;
mod streams;
mod tracker;

pub use allowance::{Allowance, Allowed, Ask, Back, Place};
pub use calls::{
    Claim, Claimed, Evidence, EvidenceBits, Finished, Init, Mark, Marked, Notice, Outstanding, OutstandingSlices, PersonTask,
    TaskState, VerifiedAt,
};
pub use config::{Config, ConfigError};
pub use error::Error;
pub use info::Warning;
pub use tracker::Tracker;
