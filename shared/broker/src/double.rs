//! The broker in memory: of RabbitMQ what the protocol leans on, and nothing else.
//!
//! Every process of a simulation gets a [`Config`](crate::Config) of its own with a [`Process`] in it, and then uses this crate as ever:
//! sessions, windows, batches and settling are the same code as before a real broker; only connections and channels end here.
//!
//! Time is tokio's, so a paused clock works. Nothing is random: on a current-thread runtime the same calls under the same weather give
//! the same history. A broker lives in the runtime that first publishes to it.
//!
//! The calls that have weather: `broker.connect`, `broker.consume`, `broker.deliver` (what has come in for a consumer, at once),
//! `broker.publish` (each message for itself), `broker.ack`, `broker.reject`, `broker.inspect` and `broker.declare`. What is lost on
//! the way becomes, as over TCP:
//!
//! * a publish without a confirmation, until its publisher gives up waiting;
//! * an ack or reject that the broker never got and its sender knows nothing of (question lost: the connection breaks), or that it got
//!   without the sender knowing (answer lost);
//! * a connection that breaks under a delivery;
//! * for the others, no answer in time.

mod broker;
mod control;
mod exchange;
mod inbox;
mod letter;
mod line;
mod link;
mod message;
mod pledge;
mod process;
mod queue;
mod receipt;
mod session;
mod state;

pub use broker::MemoryBroker;
pub use control::{Contents, Disk};
pub use message::Seen;
pub use process::Process;

pub(crate) use inbox::Inbox;
pub(crate) use line::Line;
pub(crate) use link::Link;
pub(crate) use pledge::Pledge;
pub(crate) use receipt::Receipt;
