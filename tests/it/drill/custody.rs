//! Intake and reconciler killed at the moments when a request changes hands.

use super::{
    crowd::Crowd,
    hold::Hold,
    watcher::Watcher,
    workers::{all_ready, apart, is_empty, publish},
};
use anyhow::{Result, ensure};
use erasure_tests::{
    eventually::eventually_true,
    proxy::{Proxy, host_of},
    role::Role,
    servers::Servers,
    world::World,
};
use redis::aio::MultiplexedConnection;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(90);
const BACKLOG: u32 = 200;

/// Starts a process for each of these roles.
async fn run(world: &World, names: &[&str]) -> Result<Vec<Role>> {
    let mut roles = names.iter().map(|name| world.run(&[name])).collect::<Result<Vec<_>>>()?;
    all_ready(&mut roles).await?;
    Ok(roles)
}

async fn accepted(world: &World) -> Result<i64> {
    world
        .company()
        .number("crm", &format!("select count(*) from {}.request", world.name()))
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn intake_killed_before_it_took_custody_of_a_backlog_loses_nobody() -> Result<()> {
    let world = apart().build().await?;
    let crowd = Crowd::of(world.company(), 0, BACKLOG).await?;
    let watcher = Watcher::start(world.amqp(), world.company(), &crowd).await?;
    let _roles = run(&world, &["reconciler", "profiles", "segments", "analytics"]).await?;
    let mut killed = run(&world, &["intake"]).await?.remove(0);
    let hold = Hold::everything(world.company(), "crm", "participants").await?;
    publish(world.amqp(), &crowd).await?;
    hold.holds_up(1).await?;
    killed.kill9().await?;
    hold.release().await?;
    ensure!(accepted(&world).await? == 0, "nothing is in the ledger yet");
    let _intake = run(&world, &["intake"]).await?;
    watcher.all_erased(&crowd, SOON).await?;
    crowd.is_gone_and_nobody_else(world.company()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn intake_killed_between_custody_and_ack_counts_every_command_once() -> Result<()> {
    let world = apart().build().await?;
    let crowd = Crowd::of(world.company(), 0, BACKLOG).await?;
    let watcher = Watcher::start(world.amqp(), world.company(), &crowd).await?;
    let _roles = run(&world, &["reconciler", "profiles", "segments", "analytics"]).await?;
    publish(world.amqp(), &crowd).await?;
    let wire = Proxy::start(host_of(&Servers::of_this_run()?.amqp)?).await?;
    let hold = Hold::everything(world.company(), "crm", "participants").await?;
    let url = wire.instead_of_host_in(world.amqp())?;
    let mut killed = world.run_with(&["intake"], &[("ERASURE__BROKER__URL", &url)])?;
    hold.holds_up(1).await?;
    wire.black_hole();
    hold.release().await?;
    let some_accepted = || async { accepted(&world).await.is_ok_and(|count| count > 0) };
    eventually_true("the ledger has some of them", SOON, some_accepted).await?;
    killed.kill9().await?;
    wire.cut();
    let _intake = run(&world, &["intake"]).await?;
    watcher.all_erased(&crowd, SOON).await?;
    ensure!(accepted(&world).await? == i64::from(BACKLOG), "each command is one request");
    crowd.is_gone_and_nobody_else(world.company()).await
}

/// The reconciler is killed, then the work ends; `lose` loses the notices of that as well.
async fn reconciler_killed_before_the_end(lose: bool) -> Result<()> {
    let world = apart().set("reconciler.stalled_after_ms", 2_000).build().await?;
    let crowd = Crowd::of(world.company(), 1_000, 20).await?;
    let watcher = Watcher::start(world.amqp(), world.company(), &crowd).await?;
    let _roles = run(&world, &["intake", "profiles", "segments", "analytics"]).await?;
    let mut killed = run(&world, &["reconciler"]).await?.remove(0);
    let hold = Hold::writes(world.company(), "marketing", "memberships").await?;
    publish(world.amqp(), &crowd).await?;
    is_empty(world.company(), "crm", &crowd).await?;
    is_empty(world.company(), "warehouse", &crowd).await?;
    hold.holds_up(2).await?;
    killed.kill9().await?;
    hold.release().await?;

    let announced = || async { notices(&world).await.is_ok_and(|count| count == crowd.requests().len()) };
    eventually_true("every request is complete", SOON, announced).await?;
    if lose {
        let (mut redis, outboxes) = outboxes(&world).await?;
        let _: () = redis::cmd("DEL").arg(outboxes).query_async(&mut redis).await?;
    }
    ensure!(watcher.ended() == 0, "nobody could say that anybody is erased");
    let _reconciler = run(&world, &["reconciler"]).await?;
    watcher.all_erased(&crowd, SOON).await?;
    crowd.is_gone_and_nobody_else(world.company()).await
}

/// The keys under which the tracker keeps notices of complete requests.
async fn outboxes(world: &World) -> Result<(MultiplexedConnection, Vec<String>)> {
    let client = redis::Client::open(Servers::of_this_run()?.redis)?;
    let mut redis = client.get_multiplexed_async_connection().await?;
    let pattern = format!("{}:*:out", world.name());
    let keys = redis::cmd("KEYS").arg(pattern).query_async(&mut redis).await?;
    Ok((redis, keys))
}

/// How many notices there are.
async fn notices(world: &World) -> Result<usize> {
    let (mut redis, outboxes) = outboxes(world).await?;
    let mut count = 0;
    for outbox in outboxes {
        let length: usize = redis::cmd("XLEN").arg(outbox).query_async(&mut redis).await?;
        count += length;
    }
    Ok(count)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_became_complete_without_a_reconciler_is_finalised_by_the_next_one() -> Result<()> {
    reconciler_killed_before_the_end(false).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_complete_request_whose_notice_is_lost_is_finalised_all_the_same() -> Result<()> {
    reconciler_killed_before_the_end(true).await
}
