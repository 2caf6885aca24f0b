//! What the author of a subsystem meets: the traits to implement, and the runner that drives them.
//!
//! The runner does one batch in one order, and never another: CLAIM (which tasks are open) → perform (the subsystem commits and
//! reads back) → report, confirmed, whatever is neither erased nor nothing held → MARK → publish the remainder, confirmed → ack.

mod batch;
mod breaker;
mod config;
#[cfg(feature = "double")]
pub mod double;
mod evidence;
mod hand;
mod health;
mod lane;
mod letter;
pub mod messages;
mod opened;
mod pace;
mod perform;
mod settle;
mod subsystem;
mod suspicion;
mod worker;

pub use config::WorkerConfig;
pub use erasure_privacy::{digest16, sha256_hex};
pub use health::Health;
pub use letter::{Letter, SEALED_LETTER, parked_id};
pub use pace::BulkPace;
pub use subsystem::{AnyMembers, AnyResolve, AnySubsystem, Members, Resolve, Subsystem};
pub use worker::Worker;
