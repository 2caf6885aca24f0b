//! Tests that kill, wipe, stop and cut private servers. One at a time: see `.config/nextest.toml`.

mod leaks;
mod order;
mod servers;
