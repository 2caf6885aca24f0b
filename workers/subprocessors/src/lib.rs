//! The subsystem of the subprocessors: vendors that hold data of our people, told over HTTP and followed until each has
//! *confirmed* the erasure. It speaks `OpenDSR` 2.0, its predecessor 1.0 (<https://github.com/opengdpr/OpenDSR>),
//! and a dialect that tells of many people in one call.
//!
//! One task is one person at *all* vendors of the subsystem; it is erased only when every vendor said `completed`. Acceptance is
//! pending, never done. What a vendor accepted travels as a [`Reference`](erasure_protocol::Reference); no delivery is held
//! while a vendor works.

mod batch;
mod call;
mod client;
mod code;
mod config;
mod counter;
#[cfg(feature = "fuzz")]
#[doc(hidden)]
pub mod fuzz;
mod gate;
mod many;
mod reference;
mod reply;
mod secret;
mod subsystem;
mod wait;

pub use config::{Config, ConfigError, Format, Mapping, OnUnidentified, Regulation, Vendor, Version};
pub use secret::{Auth, Secret, SecretError};
pub use subsystem::Subprocessors;
