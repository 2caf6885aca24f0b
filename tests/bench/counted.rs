//! What the servers count themselves: how often they were asked.

use anyhow::{Context, Result};
use erasure_tests::servers::Servers;
use sqlx::{Connection, PgConnection, Row};

/// Numbers since the servers started, or between two looks.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counted {
    /// Transactions that PostgreSQL has ended.
    pub(crate) transactions: f64,
    /// How often its log was brought to the disk.
    pub(crate) wal_syncs: f64,
    /// Bytes of its log.
    pub(crate) wal_bytes: f64,
    /// Commands that Redis has carried out, scripts counted once.
    pub(crate) redis_scripts: f64,
    /// Seconds that its scripts took.
    pub(crate) redis_script_seconds: f64,
}

impl Counted {
    /// As it is now. A process of PostgreSQL tells what it has counted a moment late, or when its client has gone.
    pub(crate) async fn now(servers: &Servers) -> Result<Self> {
        let mut postgres = PgConnection::connect(&servers.postgres)
            .await
            .context("connecting to PostgreSQL")?;
        let row = sqlx::query(
            "select (select sum(xact_commit + xact_rollback) from pg_stat_database)::float8, wal_sync::float8, \
             (pg_current_wal_insert_lsn() - '0/0')::float8 from pg_stat_wal",
        )
        .fetch_one(&mut postgres)
        .await
        .context("asking PostgreSQL what it has counted")?;
        let client = redis::Client::open(servers.redis.as_str()).context("reading the URL of Redis")?;
        let mut redis = client
            .get_multiplexed_async_connection()
            .await
            .context("connecting to Redis")?;
        let text: String = redis::cmd("INFO").arg("commandstats").query_async(&mut redis).await?;
        let script = text
            .lines()
            .find_map(|line| line.strip_prefix("cmdstat_evalsha:"))
            .unwrap_or_default();
        let number = |name: &str| {
            let mut fields = script.split(',').filter_map(|field| field.split_once('='));
            fields
                .find(|(field, _)| *field == name)
                .and_then(|(_, value)| value.parse::<f64>().ok())
        };
        Ok(Self {
            transactions: row.get(0),
            wal_syncs: row.get(1),
            wal_bytes: row.get(2),
            redis_scripts: number("calls").unwrap_or_default(),
            redis_script_seconds: number("usec").unwrap_or_default() / 1e6,
        })
    }

    /// What was counted since then.
    pub(crate) fn since(&self, before: &Self) -> Self {
        Self {
            transactions: self.transactions - before.transactions,
            wal_syncs: self.wal_syncs - before.wal_syncs,
            wal_bytes: self.wal_bytes - before.wal_bytes,
            redis_scripts: self.redis_scripts - before.redis_scripts,
            redis_script_seconds: self.redis_script_seconds - before.redis_script_seconds,
        }
    }
}
