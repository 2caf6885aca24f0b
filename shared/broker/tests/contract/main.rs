//! What RabbitMQ and lapin do, as far as the fleet leans on it: each fact is a test, asked of two major versions. Where versions
//! differ, what is expected is a table by version, so that an upgrade that changes a meaning is seen here first.
//!
//! Facts that need a broker killed or out of memory are in `tests/it/drill` (`servers`, `alarm`).

#![allow(clippy::unwrap_used, reason = "helpers of tests are not marked as tests")]

mod confirms;
mod counting;
mod dead_letters;
mod limits;
mod overflow;
mod sessions;
mod wire;
mod world;
