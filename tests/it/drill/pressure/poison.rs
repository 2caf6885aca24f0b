//! A person of whom worker processes die.

use super::{SOON, run, until_ledger};
use crate::{
    asked::{listed, until_state},
    drill::{
        crowd::{Crowd, rows_in},
        workers::{apart, profiles_alone, publish},
    },
};
use anyhow::{Result, ensure};
use erasure_protocol::{RequestId, RequestKey, TenantId};
use erasure_tests::{eventually::eventually_true, role::Role, world::World};
use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};
use tokio_util::sync::CancellationToken;

/// In the first of the two slices.
const POISON: usize = 137;

/// Starts a worker again whenever it dies, as systemd or Kubernetes would, and counts.
async fn supervise(world: Arc<World>, poison: String, deaths: Arc<AtomicU32>, stop: CancellationToken) -> Result<()> {
    while !stop.is_cancelled() {
        let mut worker: Role = world.run_with(&["profiles"], &[("ERASURE_DRILL_DIE_OF", &poison)])?;
        loop {
            tokio::select! {
                () = stop.cancelled() => {
                    worker.kill9().await?;
                    return Ok(());
                }
                () = tokio::time::sleep(std::time::Duration::from_millis(20)) => {}
            }
            if !worker.runs() {
                deaths.fetch_add(1, Ordering::SeqCst);
                break;
            }
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_thousand_people_only_the_one_that_kills_workers_is_parked() -> Result<()> {
    let world = Arc::new(apart().map(profiles_alone()?).build().await?);
    let crowd = Crowd::of(world.company(), 1_000, 10).await?;
    let _keepers = run(&world, &["intake", "reconciler"]).await?;
    let key = RequestKey::of(&TenantId::new("acme")?, &RequestId::new("bulk")?);
    let (deaths, stop) = (Arc::new(AtomicU32::new(0)), CancellationToken::new());
    let supervisor = tokio::spawn(supervise(
        Arc::clone(&world),
        format!("{key}:{POISON}"),
        Arc::clone(&deaths),
        stop.clone(),
    ));
    publish(world.amqp(), &crowd).await?;

    // Everybody else is erased; the one stands alone on the list.
    let ended = "select count(*) from {}.request where state = 'erased'";
    until_ledger(&world, "everybody who was asked for alone is erased", ended, 10).await?;
    let everybody = crowd.people();
    let alone = || async { rows_in(world.company(), "crm", &everybody).await.is_ok_and(|left| left == 1) };
    eventually_true("all but one are erased", SOON, alone).await?;
    ensure!(rows_in(world.company(), "crm", &everybody[POISON..=POISON]).await? == 1);
    let parked = "select count(*) from {}.report where kind = 'failed' and code = 'WORK-006'";
    until_ledger(&world, "the one needs attention", parked, 1).await?;
    let entries = listed(&world, &["attention", "list"]).await?;
    ensure!(entries.len() == 1, "{entries:?}");
    ensure!(entries[0]["code"] == "WORK-006" && entries[0]["tasks"] == 1, "{entries:?}");
    let died = deaths.load(Ordering::SeqCst);
    eprintln!("{died} workers died of one person of a thousand");
    ensure!((2..20).contains(&died), "{died} workers died");

    stop.cancel();
    supervisor.await??;
    let _well = run(&world, &["profiles"]).await?;
    world
        .command(&["attention", "redrive", "--request", "bulk", "--actor", "ops"])
        .await?
        .done()?;
    until_state(&world, "bulk", "erased").await?;

    ensure!(rows_in(world.company(), "crm", &everybody).await? == 0);
    Ok(())
}
