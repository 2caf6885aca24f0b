//! Holds up a worker in the middle of its work: a lock on a table, as any other program of the company may take one.

use anyhow::{Context, Result};
use erasure_tests::{company::Company, eventually::eventually_true};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(60);

/// A lock on one table of a company in PostgreSQL, until dropped or let go.
pub(super) struct Hold {
    connection: PgConnection,
    company: Company,
    store: &'static str,
    table: &'static str,
}

impl Hold {
    /// Nobody writes to the table any more; reading goes on.
    pub(super) async fn writes(company: &Company, store: &'static str, table: &'static str) -> Result<Self> {
        Self::lock(company, store, table, "exclusive").await
    }

    /// Nobody reads or writes the table any more.
    pub(super) async fn everything(company: &Company, store: &'static str, table: &'static str) -> Result<Self> {
        Self::lock(company, store, table, "access exclusive").await
    }

    async fn lock(company: &Company, store: &'static str, table: &'static str, mode: &str) -> Result<Self> {
        let url = company.urls().get(store).context("the company has this store")?;
        let mut connection = PgConnection::connect(url).await?;
        let lock = format!("begin; lock table {table} in {mode} mode");
        sqlx::raw_sql(AssertSqlSafe(lock)).execute(&mut connection).await?;
        Ok(Self {
            connection,
            company: company.clone(),
            store,
            table,
        })
    }

    /// Waits until so many others wait for the table.
    pub(super) async fn holds_up(&self, count: i64) -> Result<()> {
        let sql = format!(
            "select count(*) from pg_locks where not granted and relation = '{}'::regclass",
            self.table
        );
        let waiting = || async {
            self.company
                .number(self.store, &sql)
                .await
                .is_ok_and(|waiting| waiting >= count)
        };
        eventually_true("somebody waits for the table", SOON, waiting).await
    }

    /// Lets them go on.
    pub(super) async fn release(mut self) -> Result<()> {
        sqlx::raw_sql("rollback").execute(&mut self.connection).await?;
        Ok(())
    }
}
