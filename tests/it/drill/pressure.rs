//! The fleet without workers, without room, with a person of whom workers die: it waits, says so, and loses nothing. Every drill is
//! judged by states that are waited for, never by a clock.

mod alarm;
mod dead;
mod delivery_limit;
mod full;
mod nobody;
mod poison;
mod rolling;

use super::workers::{all_ready, ready};
use anyhow::{Context as _, Result};
use erasure_tests::{eventually::eventually_true, producer::Producer, role::Role, world::World};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(240);

/// Starts a process for each of these roles and waits until they are ready.
async fn run(world: &World, names: &[&str]) -> Result<Vec<Role>> {
    let mut roles = names.iter().map(|name| world.run(&[name])).collect::<Result<Vec<_>>>()?;
    all_ready(&mut roles).await?;
    Ok(roles)
}

/// A number out of the ledger; `{}` is its schema.
async fn ledger(world: &World, sql: &str) -> Result<i64> {
    world.company().number("crm", &sql.replace("{}", world.name())).await
}

/// Waits until a question to the ledger has this answer.
async fn until_ledger(world: &World, what: &str, sql: &str, answer: i64) -> Result<()> {
    until_ledger_in(SOON, world, what, sql, answer).await
}

/// [`until_ledger`] with another deadline.
async fn until_ledger_in(deadline: Duration, world: &World, what: &str, sql: &str, answer: i64) -> Result<()> {
    let holds = || async { ledger(world, sql).await.is_ok_and(|number| number == answer) };
    let waited = eventually_true(what, deadline, holds).await;
    waited.with_context(|| format!("{sql}: {:?}", answer))
}

/// How many messages are ready in a queue.
async fn depth(world: &World, queue: &str) -> Result<u32> {
    Ok(Producer::connect(world.amqp()).await?.depth(queue).await?.0)
}
