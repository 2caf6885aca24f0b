//! A Redis Cluster of one test's own: three primaries with a third of the slots each, and a replica of each.

use std::time::Duration;

use anyhow::{Context, Result};

use crate::{eventually::eventually_true, private::PrivateServer};

const THIRDS: [(u16, u16); 3] = [(0, 5_460), (5_461, 10_922), (10_923, 16_383)];
const SOON: Duration = Duration::from_secs(60);

/// Six servers. The first three begin as primaries, the other three as their replicas, in the same order.
#[derive(Debug)]
pub struct RedisCluster(Vec<PrivateServer>);

impl RedisCluster {
    /// Starts one, and returns when every replica follows its primary.
    ///
    /// # Errors
    /// When it does not come to that.
    pub async fn start() -> Result<Self> {
        let nodes = (0..6).map(|_| PrivateServer::start_redis_node()).collect::<Result<_>>()?;
        let cluster = Self(nodes);
        for (at, (first, last)) in THIRDS.into_iter().enumerate() {
            cluster
                .tell(at, &["CLUSTER", "ADDSLOTSRANGE", &first.to_string(), &last.to_string()])
                .await?;
            cluster
                .tell(at, &["CLUSTER", "SET-CONFIG-EPOCH", &(at + 1).to_string()])
                .await?;
        }
        for node in &cluster.0[1..] {
            cluster
                .tell(0, &["CLUSTER", "MEET", "127.0.0.1", port(node)?.as_str()])
                .await?;
        }
        cluster.all_say(0..6, &["CLUSTER", "INFO"], "cluster_known_nodes:6").await?;
        for at in 0..3 {
            let primary = cluster.ask(at, &["CLUSTER", "MYID"]).await?;
            cluster.tell(at + 3, &["CLUSTER", "REPLICATE", &primary]).await?;
        }
        cluster
            .all_say(3..6, &["INFO", "replication"], "master_link_status:up")
            .await?;
        // Killed before, a replica would come back with nothing.
        let written = "aof_rewrite_in_progress:0\r\naof_rewrite_scheduled:0";
        cluster.all_say(3..6, &["INFO", "persistence"], written).await?;
        cluster.all_say(0..6, &["CLUSTER", "INFO"], "cluster_state:ok").await?;
        Ok(cluster)
    }

    /// Where to reach all of its nodes, parted by commas, this one first.
    #[must_use]
    pub fn urls(&self, first: usize) -> String {
        let others = (0..self.0.len()).filter(|at| *at != first);
        let urls: Vec<String> = std::iter::once(first).chain(others).map(|at| self.0[at].url()).collect();
        urls.join(",")
    }

    /// One of its nodes.
    #[must_use]
    pub fn node(&self, at: usize) -> &PrivateServer {
        &self.0[at]
    }

    /// Which of the first primaries holds a key whose name has this part.
    ///
    /// # Errors
    /// When none does.
    pub async fn primary_of(&self, part: &str) -> Result<usize> {
        for at in 0..3 {
            let mut connection = redis::Client::open(self.0[at].url())?
                .get_multiplexed_async_connection()
                .await?;
            let keys: Vec<String> = redis::cmd("KEYS")
                .arg(format!("*{part}*"))
                .query_async(&mut connection)
                .await?;
            if !keys.is_empty() {
                return Ok(at);
            }
        }
        anyhow::bail!("no primary holds a key named *{part}*")
    }

    /// Waits until a node is a primary.
    ///
    /// # Errors
    /// When it does not become one.
    pub async fn has_taken_over(&self, at: usize) -> Result<()> {
        self.all_say(at..at + 1, &["INFO", "replication"], "role:master").await
    }

    async fn all_say(&self, nodes: std::ops::Range<usize>, command: &[&str], part: &str) -> Result<()> {
        for at in nodes {
            let says = || async { self.ask(at, command).await.is_ok_and(|answer| answer.contains(part)) };
            eventually_true(&format!("node {at} of the Redis Cluster says {part}"), SOON, says).await?;
        }
        Ok(())
    }

    async fn tell(&self, at: usize, command: &[&str]) -> Result<()> {
        self.ask(at, command).await.map(drop)
    }

    async fn ask(&self, at: usize, command: &[&str]) -> Result<String> {
        let mut connection = redis::Client::open(self.0[at].url())?
            .get_multiplexed_async_connection()
            .await?;
        let mut sent = redis::cmd(command[0]);
        sent.arg(&command[1..]);
        let answer = sent.query_async(&mut connection).await;
        answer.with_context(|| format!("{command:?} on node {at}"))
    }
}

fn port(node: &PrivateServer) -> Result<String> {
    let url = node.url();
    let port = url.trim_end_matches('/').rsplit(':').next();
    port.map(str::to_owned).context("a port in the URL")
}
