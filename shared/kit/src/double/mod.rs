//! A subsystem in memory, for tests of the whole, and the suite that every subsystem must pass.

pub mod conformance;
mod resolve;
mod store;
mod subsystem;

pub use store::{MemoryRow, MemoryStore, Snapshot, Trouble};
pub use subsystem::MemorySubsystem;
