//! A Redis Cluster that loses a primary while a thousand people are being erased. Its replica takes over; nobody helps by hand.

use super::{hold::Hold, outages::InTheMiddle, workers::apart};
use anyhow::{Result, ensure};
use erasure_protocol::{RequestId, RequestKey, TenantId};
use erasure_tests::{eventually::eventually, redis_cluster::RedisCluster, world::Builder};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(60);

fn on(cluster: &RedisCluster) -> Builder {
    apart().redis(cluster.urls(0)).set("tracker.cluster", true)
}

/// Work counts as stalled sooner than by default, and so does a lease whose end was lost.
fn impatient(builder: Builder) -> Builder {
    builder
        .set("reconciler.stalled_after_ms", 5_000)
        .set("worker.perform_timeout_s", 15)
        .set("tracker.lease_ms", 20_000)
}

/// The node that holds what is known of the request of a thousand.
async fn primary_of_the_bulk(cluster: &RedisCluster) -> Result<usize> {
    let bulk = RequestKey::of(&TenantId::new("acme")?, &RequestId::new("bulk")?);
    cluster.primary_of(&bulk.as_uuid().simple().to_string()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_cluster_that_loses_a_primary_heals_within_seconds() -> Result<()> {
    let cluster = RedisCluster::start().await?;
    let middle = InTheMiddle::of(on(&cluster).build().await?).await?;
    let killed = primary_of_the_bulk(&cluster).await?;
    cluster.node(killed).kill9()?;
    cluster.has_taken_over(killed + 3).await?;
    // Who starts now, and was told of the killed node first, finds the others.
    let urls = cluster.urls(killed);
    let mut late = middle.world.run_with(&["api"], &[("ERASURE__TRACKER__URL", &urls)])?;
    late.ready().await?;
    middle.ends_well("a primary of the Redis Cluster killed").await
}

/// What was acknowledged is lost: the marks of work that is done and whose messages are gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_redis_cluster_whose_replica_takes_over_with_older_data_does_the_lost_work_again() -> Result<()> {
    let cluster = RedisCluster::start().await?;
    let world = impatient(on(&cluster)).build().await?;
    let not_yet = Hold::writes(world.company(), "crm", "participants").await?;
    let (middle, killed) = tokio::try_join!(InTheMiddle::of(world), without_a_replica(&cluster, not_yet))?;
    cluster.node(killed).kill9()?;
    cluster.node(killed + 3).start_again()?;
    cluster.has_taken_over(killed + 3).await?;
    let said = middle
        .ends_well_within(SOON, "a Redis Cluster gone back to an older copy")
        .await?;
    ensure!(said.contains("sent again"), "nothing that was acknowledged was lost");
    Ok(())
}

/// Takes the bulk request's replica away once the tracker knows the request, and only then lets anybody be erased: of what its
/// primary takes in from then on there is no copy. Says which primary that is.
async fn without_a_replica(cluster: &RedisCluster, not_yet: Hold) -> Result<usize> {
    let known = || async { primary_of_the_bulk(cluster).await.ok() };
    let primary = eventually("the tracker knows the request", SOON, known).await?;
    cluster.node(primary + 3).kill9()?;
    not_yet.release().await?;
    Ok(primary)
}
