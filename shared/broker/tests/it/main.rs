//! The crate against a real broker, named by `ERASURE_TEST_AMQP`. Each test has a prefix of its own and removes its queues.

#![allow(clippy::unwrap_used, reason = "helpers of tests are not marked as tests")]

mod consuming;
mod publishing;
mod tls;
mod topology;
mod wire;
mod world;
