//! What the author of a subsystem meets: the traits to implement, and the runner that drives them.

mod subsystem;

pub use subsystem::{AnyMembers, AnyResolve, AnySubsystem, Members, Resolve, Subsystem};
