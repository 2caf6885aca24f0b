//! RabbitMQ for the fleet: the whole topology as one table, supervised sessions, confirmed publishing, batch consuming, settling.
//!
//! The only crate that names `lapin`. What it promises its callers:
//!
//! * a message is published only when the broker confirmed it *and* did not return it ([`Publisher`]);
//! * a delivery is gone only when its holder acknowledged it on the very channel it came from ([`Delivery`]);
//! * a lost connection is never the caller's problem: sessions are opened again for ever, with growing, jittered pauses.
//!
//! lapin's own recovery stays off: it resumes silently with delivery tags that start at 1 again.

mod amqp;
mod apply;
mod broken;
mod channel;
mod config;
mod confirm;
mod connection;
mod consumer;
mod delivery;
#[cfg(feature = "double")]
pub mod double;
mod error;
mod inflow;
mod inspector;
mod message;
mod names;
mod pause;
mod permission;
mod publisher;
mod publishing;
mod received;
mod server;
mod session;
mod subscription;
mod topology;
mod verify;

pub(crate) use channel::Channel;
pub(crate) use confirm::Confirm;
pub(crate) use connection::Connection;
pub(crate) use inflow::Inflow;
pub(crate) use received::Received;

pub use apply::{Applied, apply};
pub use config::Config;
pub use consumer::{Consumer, ConsumerControl, ConsumerOptions};
pub use delivery::{Delivery, Meta, Settled};
pub use error::Error;
pub use inspector::{Inspector, Parked, QueueState};
pub use message::{DeadQueue, Outgoing, Route, Source};
pub use names::Names;
pub use permission::{Permission, Role, TopicPermission};
pub use publisher::{PublishError, Publisher};
pub use server::{ServerVersion, server_version};
pub use topology::{Argument, ExchangeKind, Row, Topology};
pub use verify::{Problem, verify};
