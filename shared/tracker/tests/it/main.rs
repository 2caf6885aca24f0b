//! The tracker against a real Redis. `ERASURE_TEST_REDIS` names it; run `./tests/run`.

#![allow(
    clippy::unwrap_used,
    reason = "a panic is a test's way to fail; clippy sees only #[test] functions as tests"
)]

mod completion;
mod model;
mod robustness;
mod server;
mod world;
