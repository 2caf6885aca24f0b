//! The servers of the test run, shared by all tests: each isolates itself by a prefix or a schema.

use anyhow::{Context, Result};

/// Where they are.
#[derive(Clone, Debug)]
pub struct Servers {
    /// `amqp://…`, of a RabbitMQ.
    pub amqp: String,
    /// Its management API, when it has one.
    pub amqp_management: Option<String>,
    /// `redis://…`.
    pub redis: String,
    /// `postgres://…`, of a login that may create schemas and databases.
    pub postgres: String,
}

impl Servers {
    /// Reads what `tests/setup` has exported.
    ///
    /// # Errors
    /// When it has not been run: tests never skip for want of a server.
    pub fn of_this_run() -> Result<Self> {
        Ok(Self {
            amqp: wanted("ERASURE_TEST_AMQP")?,
            amqp_management: std::env::var("ERASURE_TEST_AMQP_MANAGEMENT").ok(),
            redis: wanted("ERASURE_TEST_REDIS")?,
            postgres: wanted("ERASURE_TEST_POSTGRES")?,
        })
    }
}

fn wanted(name: &str) -> Result<String> {
    std::env::var(name).with_context(|| format!("{name} is not set: run ./tests/run, or `cargo nextest run` in the root"))
}
