//! Tests that kill, wipe, stop and cut private servers. One at a time: see `.config/nextest.toml`.

mod alarm;
mod crowd;
mod custody;
mod hold;
mod leaks;
mod matrix;
mod order;
mod outages;
mod pressure;
mod rabbitmq4;
mod rabbitmq_cluster;
mod redis_cluster;
mod servers;
mod short_soak;
mod standby;
mod watcher;
mod wipe;
mod workers;
