//! A node of three is killed while a thousand people are being erased. Nobody helps by hand. `broker.url` names one address, so a
//! load balancer stands before the nodes, as an operator has one.

use super::{outages::InTheMiddle, workers::apart};
use anyhow::{Result, ensure};
use erasure_tests::{balancer::Balancer, rabbitmq_cluster::RabbitMqCluster};

const WORK: [&str; 2] = ["er.work.segments.single.v1", "er.work.segments.bulk.v1"];

/// A bulk in the middle, with the work queues led by one node and every connection of the fleet on another (or the same).
async fn in_the_middle(cluster: &RabbitMqCluster, balancer: &Balancer, leads: usize, connected: usize) -> Result<InTheMiddle> {
    // A quorum queue is led by the node on which it was declared.
    balancer.prefer(&cluster.urls_from(leads))?;
    let amqp = balancer.instead_of_host_in(&cluster.node(0).url())?;
    let world = apart().amqp(amqp).build().await?;
    ensure!(cluster.leaders(&WORK)? == [leads; 2], "{:?}", cluster.leaders(&WORK)?);
    balancer.prefer(&cluster.urls_from(connected))?;
    InTheMiddle::of(world).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_connected_elsewhere_does_not_lose_anybody_with_the_node_that_leads_the_work_queues() -> Result<()> {
    let cluster = RabbitMqCluster::start()?;
    let balancer = Balancer::start(&cluster.urls_from(1)).await?;
    let middle = in_the_middle(&cluster, &balancer, 1, 2).await?;
    cluster.kill9(1).await?;
    middle.ends_well("leader of the queues killed").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fleet_behind_a_load_balancer_does_not_lose_anybody_with_the_node_it_is_connected_to() -> Result<()> {
    let cluster = RabbitMqCluster::start()?;
    let balancer = Balancer::start(&cluster.urls_from(0)).await?;
    let middle = in_the_middle(&cluster, &balancer, 0, 0).await?;
    cluster.kill9(0).await?;
    middle.ends_well("leader of the queues, with every connection, killed").await
}
