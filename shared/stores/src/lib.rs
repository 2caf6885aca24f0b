//! The customers' stores: the data map, the verbs over it, and one module per technology behind one engine trait.

mod config;
mod engine;
mod fault;
mod live;
pub mod map;
mod sql;
mod statement;
mod store;

pub use config::StoreConfig;
pub use store::{Error, FindMode, Pace, Store, Stores};
