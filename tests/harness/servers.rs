//! The servers of the test run, shared by all tests: each isolates itself by a prefix or a schema.

use std::sync::Once;

use anyhow::{Context, Result, ensure};

/// Where they are.
#[derive(Clone, Debug)]
pub struct Servers {
    /// `amqp://…`, of a RabbitMQ.
    pub amqp: String,
    /// Its management API, when it has one.
    pub amqp_management: Option<String>,
    /// The RabbitMQ 4 of the run, where there is one.
    pub rabbitmq4: Option<RabbitMq4>,
    /// `redis://…`.
    pub redis: String,
    /// `postgres://…`, of a login that may create schemas and databases.
    pub postgres: String,
}

/// A second RabbitMQ, of the next major version.
#[derive(Clone, Debug)]
pub struct RabbitMq4 {
    /// `amqp://…`.
    pub amqp: String,
    /// Its management API.
    pub management: String,
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
            rabbitmq4: RabbitMq4::of_this_run()?,
            redis: wanted("ERASURE_TEST_REDIS")?,
            postgres: wanted("ERASURE_TEST_POSTGRES")?,
        })
    }
}

impl RabbitMq4 {
    /// Where it is. A machine without one says so and goes on; CI does not.
    ///
    /// # Errors
    /// When there is none and this is CI.
    pub fn of_this_run() -> Result<Option<Self>> {
        let named = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
        let amqp = named("ERASURE_TEST_AMQP_4");
        ensure!(
            amqp.is_some() || named("CI").is_none_or(|ci| ci != "true"),
            "RabbitMQ 4.x is not here, and CI must have it"
        );
        if amqp.is_none() {
            static SAID: Once = Once::new();
            SAID.call_once(|| eprintln!("NOT RUN: RabbitMQ 4.x is not here"));
        }
        Ok(amqp
            .zip(named("ERASURE_TEST_AMQP_4_MANAGEMENT"))
            .map(|(amqp, management)| Self { amqp, management }))
    }
}

fn wanted(name: &str) -> Result<String> {
    std::env::var(name).with_context(|| format!("{name} is not set: run ./tests/run, or `cargo nextest run` in the root"))
}
