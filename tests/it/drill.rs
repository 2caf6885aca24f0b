//! Tests that kill, wipe, stop and cut private servers. One at a time: see `.config/nextest.toml`.

mod order;
mod servers;
