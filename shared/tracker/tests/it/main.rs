//! The tracker on its double, on a real Redis (`ERASURE_TEST_REDIS` names it; run `./tests/run`) and on a Redis Cluster.

#![allow(
    clippy::unwrap_used,
    reason = "a panic is a test's way to fail; clippy sees only #[test] functions as tests"
)]

mod allowance;
mod cluster;
mod completion;
mod conformance;
mod machine;
mod place;
mod recovery;
mod robustness;
mod server;
#[cfg(feature = "double")]
mod weather;
mod world;
