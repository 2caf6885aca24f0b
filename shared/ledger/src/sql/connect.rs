//! Opening the two databases with the settings that make them durable.

use super::{Pool, failure};
use crate::{Access, Config, Error};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{AssertSqlSafe, Executor};
use std::path::Path;
use std::str::FromStr;

const DOING: &str = "opening the ledger";

/// Opens an existing file. WAL, `synchronous=FULL` (a commit is on the disk when it returns), `secure_delete` (what is deleted is
/// overwritten with zeros). One connection writes, the others only read.
pub(crate) async fn open_sqlite(config: &Config, path: &Path, access: Access) -> Result<Pool, Error> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .busy_timeout(config.busy_timeout())
        // Every join is over keys. With it, SQLite reads whole tables to match them with the rows of a statement.
        .pragma("automatic_index", "OFF");
    let writer = match access {
        Access::Read => None,
        Access::Write => {
            let options = options
                .clone()
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full)
                .pragma("secure_delete", "ON");
            let pool = SqlitePoolOptions::new()
                .max_connections(1)
                .idle_timeout(None)
                .max_lifetime(None)
                // A queue before the one writer is patience, not an outage.
                .acquire_timeout(config.connect_timeout().max(config.busy_timeout()) * 4);
            Some(pool.connect_with(options).await.map_err(|error| failure(DOING, &error))?)
        }
    };
    let readers = SqlitePoolOptions::new()
        .max_connections(config.pool_max.max(1))
        .acquire_timeout(config.connect_timeout())
        .connect_with(options.read_only(true))
        .await
        .map_err(|error| failure(DOING, &error))?;
    Ok(Pool::Sqlite { writer, readers })
}

/// Connects. Every connection works in the fleet's schema, and waits for its commits to be durable, whatever the server's default.
pub(crate) async fn open_postgres(config: &Config, url: &str, access: Access) -> Result<Pool, Error> {
    let schema = config.schema_name()?;
    // The parser's own message could quote the URL, and with it the password.
    let options = PgConnectOptions::from_str(url)
        .map_err(|_| Error::Config("url is not a PostgreSQL URL".to_owned()))?
        .application_name("erasure-ledger");
    let read_only = match access {
        Access::Read => "on",
        Access::Write => "off",
    };
    // set_config, not start-up parameters: connection poolers refuse those. Every statement of a running fleet goes by keys. So a
    // plan is made once for each statement, and the planner may not prefer to read a whole table because it knows it as small:
    // a busy ledger grows faster than its statistics.
    let setup = format!(
        "SELECT set_config('search_path', '{schema}', false), \
         set_config('lock_timeout', '{}ms', false), \
         set_config('default_transaction_read_only', '{read_only}', false); \
         SELECT set_config('synchronous_commit', 'on', false) \
         WHERE current_setting('synchronous_commit') IN ('off', 'local', 'remote_write'); \
         SELECT set_config('enable_seqscan', 'off', false), set_config('enable_hashjoin', 'off', false), \
         set_config('enable_mergejoin', 'off', false), set_config('jit', 'off', false), \
         set_config('max_parallel_workers_per_gather', '0', false), \
         set_config('plan_cache_mode', 'force_generic_plan', false)",
        config.busy_timeout().as_millis()
    );
    let pool = PgPoolOptions::new()
        .max_connections(config.pool_max.max(2))
        .acquire_timeout(config.connect_timeout())
        .after_connect(move |connection, _| {
            let setup = setup.clone();
            Box::pin(async move { connection.execute(sqlx::raw_sql(AssertSqlSafe(setup))).await.map(drop) })
        })
        .connect_with(options)
        .await
        .map_err(|error| failure(DOING, &error))?;
    Ok(Pool::Postgres(pool))
}
