//! Where a tracker can keep its projection, and hands that look and break things there beside it.

use crate::cluster::Cluster;
use anyhow::{Context, Result};
use erasure_protocol::LedgerId;
#[cfg(feature = "double")]
use erasure_tracker::double::{MemoryRedis, Snapshot};
use erasure_tracker::{Config, Error, Tracker};
use redis::aio::MultiplexedConnection;
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::{Cmd, FromRedisValue};
use std::time::Duration;
use uuid::Uuid;

/// What the clock of a Redis in memory shows.
#[cfg(feature = "double")]
const NOW: erasure_protocol::Millis = erasure_protocol::Millis(1_790_000_100_000);

/// A kind of Redis.
pub(crate) enum Place {
    /// The tracker's double.
    #[cfg(feature = "double")]
    Memory,
    /// The server that `ERASURE_TEST_REDIS` names.
    Server,
    /// A cluster of the test's own.
    Cluster(Cluster),
}

/// One Redis, from the side.
#[derive(Clone)]
pub(crate) enum Redis {
    #[cfg(feature = "double")]
    Memory(MemoryRedis),
    Server(MultiplexedConnection),
    Cluster(ClusterConnection),
}

/// All keys under a prefix, as they were.
pub(crate) enum Copy {
    #[cfg(feature = "double")]
    Memory(Snapshot),
    /// Names, and what `DUMP` says of them.
    Dumps(Vec<(String, Vec<u8>)>),
}

pub(crate) fn server_url() -> Result<String> {
    std::env::var("ERASURE_TEST_REDIS").context("ERASURE_TEST_REDIS is not set; run ./tests/run")
}

impl Place {
    /// A configuration with a key prefix of its own, and hands in the Redis that it names.
    pub(crate) async fn open(&self) -> Result<(Config, Redis)> {
        let key_prefix = format!("t{:08x}", Uuid::new_v4().as_u128() >> 96);
        let config = |url, cluster| Config {
            url,
            key_prefix,
            partitions: 4,
            cluster,
            ..Config::default()
        };
        match self {
            #[cfg(feature = "double")]
            Self::Memory => Ok((config(String::new(), false), Redis::Memory(MemoryRedis::new(|| NOW)))),
            Self::Server => {
                let connection = redis::Client::open(server_url()?)?.get_multiplexed_async_connection().await?;
                Ok((config(server_url()?, false), Redis::Server(connection)))
            }
            Self::Cluster(cluster) => {
                let connection = ClusterClient::new(vec![cluster.url()])?.get_async_connection().await?;
                Ok((config(cluster.url(), true), Redis::Cluster(connection)))
            }
        }
    }
}

impl Redis {
    pub(crate) async fn tracker(&self, config: &Config, ledger: LedgerId) -> Result<Tracker, Error> {
        match self {
            #[cfg(feature = "double")]
            Self::Memory(redis) => Tracker::on_double(redis, config, ledger, erasure_drill::Weather::default()).await,
            Self::Server(_) | Self::Cluster(_) => Tracker::connect(config, ledger).await,
        }
    }

    /// The same; a Redis in memory anew, with a clock that runs. Those of servers do.
    pub(crate) fn with_a_running_clock(self) -> Self {
        match self {
            #[cfg(feature = "double")]
            Self::Memory(_) => {
                let begun = std::time::Instant::now();
                Self::Memory(MemoryRedis::new(move || NOW.plus(begun.elapsed())))
            }
            other => other,
        }
    }

    /// The one server's connection, for what only a server has.
    pub(crate) fn server(&self) -> Result<MultiplexedConnection> {
        match self {
            Self::Server(connection) => Ok(connection.clone()),
            _ => anyhow::bail!("not a single server"),
        }
    }

    #[cfg(feature = "double")]
    pub(crate) fn memory(&self) -> Result<MemoryRedis> {
        match self {
            Self::Memory(redis) => Ok(redis.clone()),
            Self::Server(_) | Self::Cluster(_) => anyhow::bail!("not in memory"),
        }
    }

    pub(crate) async fn keys(&self, prefix: &str) -> Result<Vec<String>> {
        match self {
            #[cfg(feature = "double")]
            Self::Memory(redis) => Ok(redis.keys()),
            _ => self.ask(redis::cmd("KEYS").arg(format!("{prefix}:*"))).await,
        }
    }

    /// How long a key still lives; `None` when for ever.
    pub(crate) async fn expires_in(&self, key: &str) -> Result<Option<Duration>> {
        match self {
            #[cfg(feature = "double")]
            Self::Memory(redis) => Ok(redis.expires_at(key).map(|at| at.since(NOW))),
            _ => {
                let ms: i64 = self.ask(redis::cmd("PTTL").arg(key)).await?;
                Ok(u64::try_from(ms).ok().map(Duration::from_millis))
            }
        }
    }

    pub(crate) async fn stream_length(&self, key: &str) -> Result<usize> {
        match self {
            #[cfg(feature = "double")]
            Self::Memory(redis) => Ok(redis.stream_length(key)),
            _ => self.ask(redis::cmd("XLEN").arg(key)).await,
        }
    }

    pub(crate) async fn delete(&self, key: &str) -> Result<()> {
        match self {
            #[cfg(feature = "double")]
            Self::Memory(redis) => redis.lose(key),
            _ => self.ask(redis::cmd("DEL").arg(key)).await?,
        }
        Ok(())
    }

    pub(crate) async fn wipe(&self, prefix: &str) -> Result<()> {
        for key in self.keys(prefix).await? {
            self.delete(&key).await?;
        }
        Ok(())
    }

    pub(crate) async fn copy(&self, prefix: &str) -> Result<Copy> {
        #[cfg(feature = "double")]
        if let Self::Memory(redis) = self {
            return Ok(Copy::Memory(redis.snapshot()));
        }
        let mut dumps = Vec::new();
        for key in self.keys(prefix).await? {
            let dump: Option<Vec<u8>> = self.ask(redis::cmd("DUMP").arg(&key)).await?;
            dumps.extend(dump.map(|it| (key, it)));
        }
        Ok(Copy::Dumps(dumps))
    }

    /// Goes back to an older copy.
    pub(crate) async fn restore(&self, prefix: &str, copy: &Copy) -> Result<()> {
        match (self, copy) {
            #[cfg(feature = "double")]
            (Self::Memory(redis), Copy::Memory(copy)) => redis.restore(copy),
            (Self::Server(_) | Self::Cluster(_), Copy::Dumps(dumps)) => {
                self.wipe(prefix).await?;
                for (key, dump) in dumps {
                    self.ask::<()>(redis::cmd("RESTORE").arg(key).arg(0).arg(dump)).await?;
                }
            }
            #[cfg(feature = "double")]
            _ => anyhow::bail!("a copy of another kind of place"),
        }
        Ok(())
    }

    async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T> {
        match self {
            #[cfg(feature = "double")]
            Self::Memory(_) => anyhow::bail!("a Redis in memory is asked by its own methods"),
            Self::Server(connection) => Ok(command.query_async(&mut connection.clone()).await?),
            Self::Cluster(connection) => Ok(command.query_async(&mut connection.clone()).await?),
        }
    }
}
