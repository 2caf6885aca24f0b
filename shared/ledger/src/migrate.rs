//! Bringing the schema up to date, with a login of its own; and saying whether it is.

use crate::config::Place;
use crate::ledger::WriteLock;
use crate::schema::{MIGRATIONS, WORKING_TABLES, newest};
use crate::sql::{Pool, Tx, args, open_postgres, open_sqlite};
use crate::{Access, Config, Error};
use erasure_protocol::LedgerId;
use std::path::Path;

const DOING: &str = "migrating the ledger";

/// What migrating has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migrated {
    /// The ledger.
    pub ledger: LedgerId,
    /// The schema's version before; 0 when there was none.
    pub from: u32,
    /// The schema's version now.
    pub to: u32,
}

/// Brings the schema up to date, in one transaction. On PostgreSQL it needs a login that may create tables; the roles that run do
/// not: see [`grants`]. Running it again does nothing.
///
/// # Errors
/// When the database cannot be reached, another process writes the SQLite file, or the schema is too new.
pub async fn migrate(config: &Config) -> Result<Migrated, Error> {
    let (pool, _lock) = match config.place()? {
        Place::Sqlite(path) => {
            let lock = WriteLock::take(&path)?;
            create_file(&path)?;
            (open_sqlite(config, &path, Access::Write).await?, Some(lock))
        }
        Place::Postgres(url) => (open_postgres(config, &url, Access::Write).await?, None),
    };
    let migrated = migrate_pool(config, &pool).await;
    pool.close().await;
    migrated
}

pub(crate) async fn migrate_pool(config: &Config, pool: &Pool) -> Result<Migrated, Error> {
    let mut tx = pool.begin(DOING).await?;
    if !tx.is_sqlite() {
        create_schema(config, &mut tx).await?;
    }
    tx.define("CREATE TABLE IF NOT EXISTS ledger_migration (number BIGINT PRIMARY KEY)")
        .await?;
    let from = tx
        .query("SELECT coalesce(max(number), 0) FROM ledger_migration", args![])
        .await?[0]
        .number(0)?;
    if from > newest() + 1 {
        return Err(Error::SchemaTooNew {
            found: from,
            newest: newest() + 1,
        });
    }
    for (number, migration) in (1_u32..).zip(MIGRATIONS).skip(from as usize) {
        let only_sqlite = if tx.is_sqlite() { migration.sqlite } else { &[] };
        for text in migration.both.iter().chain(only_sqlite) {
            tx.define(text).await?;
        }
        if number == 1 {
            let id = uuid::Uuid::new_v4().as_hyphenated().to_string();
            tx.execute("INSERT INTO ledger_meta (one, ledger, seq) VALUES (1, $1, 0)", args![id])
                .await?;
        }
        tx.execute("INSERT INTO ledger_migration (number) VALUES ($1)", args![number])
            .await?;
    }
    let id = tx.query("SELECT ledger FROM ledger_meta", args![]).await?;
    let ledger = ledger_id(id.first().ok_or(Error::Damaged("the ledger's id"))?.text(0)?)?;
    tx.commit().await?;
    Ok(Migrated {
        ledger,
        from,
        to: from.max(newest()),
    })
}

async fn create_schema(config: &Config, tx: &mut Tx) -> Result<(), Error> {
    let schema = config.schema_name()?;
    // Two migrations at once wait for each other: `CREATE … IF NOT EXISTS` alone can fail when raced.
    tx.query(
        "SELECT 1 FROM (SELECT pg_advisory_xact_lock(hashtextextended($1, 4711))) AS held",
        args![schema],
    )
    .await?;
    if tx
        .query("SELECT 1 FROM pg_namespace WHERE nspname = $1", args![schema])
        .await?
        .is_empty()
    {
        tx.define(&format!("CREATE SCHEMA \"{schema}\"")).await?;
    }
    Ok(())
}

/// The statements by which an administrator lets `role` run the fleet on a PostgreSQL ledger: no table of it may be created,
/// changed or dropped, and acts are only ever added.
///
/// # Errors
/// When the schema's name is wrong.
pub fn grants(config: &Config, role: &str) -> Result<String, Error> {
    let schema = config.schema_name()?;
    let role = format!("\"{}\"", role.replace('"', "\"\""));
    let tables = |names: &[&str]| {
        names
            .iter()
            .map(|name| format!("\"{schema}\".{name}"))
            .collect::<Vec<_>>()
            .join(", ")
    };
    Ok(format!(
        "GRANT USAGE ON SCHEMA \"{schema}\" TO {role};\n\
         GRANT SELECT ON {} TO {role};\n\
         GRANT SELECT, UPDATE ON {} TO {role};\n\
         GRANT SELECT, INSERT ON {} TO {role};\n\
         GRANT SELECT, INSERT, UPDATE, DELETE ON {} TO {role};\n",
        tables(&["ledger_migration"]),
        tables(&["ledger_meta"]),
        tables(&["act"]),
        tables(WORKING_TABLES),
    ))
}

/// Checks that this software can work with the schema that is there, and reads the ledger's id.
pub(crate) async fn check(config: &Config, pool: &Pool) -> Result<LedgerId, Error> {
    let missing = || Error::SchemaMissing { place: config.shown() };
    let found = match pool
        .query(
            "reading the schema's version",
            "SELECT max(number) FROM ledger_migration",
            args![],
        )
        .await
    {
        Ok(rows) => rows
            .first()
            .map(|row| row.int_or_null(0))
            .transpose()?
            .flatten()
            .ok_or_else(missing)?,
        Err(Error::Statement { reason, .. }) if is_missing_table(&reason) => return Err(missing()),
        Err(error) => return Err(error),
    };
    let found = u32::try_from(found).map_err(|_| Error::Damaged("the schema's version"))?;
    if found < newest() {
        return Err(Error::SchemaTooOld { found, needed: newest() });
    }
    if found > newest() + 1 {
        return Err(Error::SchemaTooNew {
            found,
            newest: newest() + 1,
        });
    }
    let rows = pool
        .query("reading the ledger's id", "SELECT ledger FROM ledger_meta", args![])
        .await?;
    ledger_id(rows.first().ok_or_else(missing)?.text(0)?)
}

/// 42P01 is PostgreSQL's code; SQLite has only the general code 1 and its words.
fn is_missing_table(reason: &str) -> bool {
    reason.contains("(code 42P01)") || reason.contains("no such table")
}

fn ledger_id(text: &str) -> Result<LedgerId, Error> {
    text.parse().map(LedgerId).map_err(|_| Error::Damaged("the ledger's id"))
}

/// Only the owner may read the file; SQLite gives its log the same permissions.
fn create_file(path: &Path) -> Result<(), Error> {
    let mut options = std::fs::OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let made = options.open(path);
    made.map(drop).map_err(|source| Error::File {
        doing: "create",
        path: path.to_owned(),
        source,
    })
}
