//! Three private RabbitMQ nodes of one cluster: every quorum queue has a replica on each.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result};

use crate::{
    eventually::eventually_true,
    private::{Kind, PrivateServer},
    process::{Signal, signal},
};

/// How many nodes: the fewest of which one may be lost.
pub const NODES: usize = 3;

const SOON: Duration = Duration::from_secs(30);

/// The nodes. Dropping it ends them.
#[derive(Debug)]
pub struct RabbitMqCluster {
    // The first is dropped last: the others find each other through its name server.
    joined: Vec<PrivateServer>,
    first: PrivateServer,
}

impl RabbitMqCluster {
    /// Starts the nodes and returns when all are joined. Blocks, for about 15 s.
    ///
    /// # Errors
    /// When a node does not start or does not join.
    pub fn start() -> Result<Self> {
        let first = PrivateServer::start(Kind::RabbitMq)?;
        let joined = std::thread::scope(|scope| {
            let starting: Vec<_> = (1..NODES).map(|_| scope.spawn(|| first.start_joined())).collect();
            let started = starting
                .into_iter()
                .map(|node| node.join().expect("starting a node does not panic"));
            started.collect::<Result<Vec<_>>>()
        })?;
        Ok(Self { joined, first })
    }

    /// One node, by its number from 0.
    ///
    /// # Panics
    /// When there is no such node.
    #[must_use]
    pub fn node(&self, number: usize) -> &PrivateServer {
        match number {
            0 => &self.first,
            other => &self.joined[other - 1],
        }
    }

    /// The URLs of all nodes, beginning with this one.
    #[must_use]
    pub fn urls_from(&self, number: usize) -> Vec<String> {
        (0..NODES).map(|n| self.node((number + n) % NODES).url()).collect()
    }

    /// Kills a node with SIGKILL, and returns when it is gone. The name server of the cluster lives on.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn kill9(&self, number: usize) -> Result<()> {
        let pid = self.node(number).pid()?;
        signal(pid, Signal::Kill)?;
        let process = format!("/proc/{pid}");
        eventually_true("the node is gone", SOON, || async { !Path::new(&process).exists() }).await
    }

    /// The numbers of the nodes that lead these queues, in order.
    ///
    /// # Errors
    /// When the nodes do not say.
    pub fn leaders(&self, queues: &[&str]) -> Result<Vec<usize>> {
        let told = self.first.rabbitmq_tool("rabbitmqctl --quiet list_queues name leader")?;
        let names = (0..NODES).map(|n| self.node(n).node_name()).collect::<Result<Vec<_>>>()?;
        let leader = |queue: &&str| {
            let line = told
                .lines()
                .find_map(|line| line.trim().strip_prefix(queue)?.strip_prefix('\t'));
            let name = line.with_context(|| format!("{queue} is not among the queues:\n{told}"))?;
            names
                .iter()
                .position(|it| it == name)
                .with_context(|| format!("{name} leads {queue}"))
        };
        queues.iter().map(leader).collect()
    }
}
