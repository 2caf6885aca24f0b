//! The thin layer that makes one SQL text run on both databases. The only place that names the driver's types.
//!
//! Both take `$1` placeholders, `ON CONFLICT`, `RETURNING` and multi-row `VALUES`; what differs is here: types in the schema,
//! row locks (SQLite has one writer and needs none), and how a transaction begins.

mod connect;
mod many;
#[cfg(feature = "double")]
mod memory;
#[cfg(feature = "double")]
mod memory_value;
mod value;

pub(crate) use connect::{open_postgres, open_sqlite};
pub(crate) use many::{Statement, insert_many, insert_returning, of_rows, of_these};
#[cfg(feature = "double")]
pub(crate) use memory::{Memory, Shared};
pub(crate) use value::{Row, Value};

use crate::Error;
use erasure_protocol::RequestKey;
use futures_util::future::BoxFuture;
use sqlx::{AssertSqlSafe, PgPool, Postgres, Sqlite, SqlitePool, Transaction};
use std::borrow::Cow;

/// A statement's text.
#[derive(Debug)]
pub(crate) enum Text {
    /// Always the same: it stays in the prepared-statement cache.
    Constant(Cow<'static, str>),
    /// One of too many shapes to keep all of them prepared.
    Shaped(String),
}

impl Text {
    fn push(&mut self, tail: &str) {
        match self {
            Self::Constant(text) => text.to_mut().push_str(tail),
            Self::Shaped(text) => text.push_str(tail),
        }
    }

    #[cfg(any(test, feature = "double"))]
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Constant(text) => text,
            Self::Shaped(text) => text,
        }
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self::Shaped(text)
    }
}

impl From<&'static str> for Text {
    fn from(text: &'static str) -> Self {
        Self::Constant(Cow::Borrowed(text))
    }
}

/// The values bound to a statement, in order.
macro_rules! args {
    ($($value:expr),* $(,)?) => { vec![$($crate::sql::Value::from($value)),*] };
}
pub(crate) use args;

#[derive(Clone)]
pub(crate) enum Pool {
    Sqlite {
        writer: Option<SqlitePool>,
        readers: SqlitePool,
    },
    Postgres(PgPool),
    #[cfg(feature = "double")]
    Memory(Memory),
}

impl Pool {
    /// Runs one reading statement outside of a transaction.
    pub(crate) fn query(
        &self,
        doing: &'static str,
        text: impl Into<Text>,
        values: Vec<Value>,
    ) -> BoxFuture<'_, Result<Vec<Row>, Error>> {
        let text = text.into();
        Box::pin(async move {
            match self {
                Self::Sqlite { readers, .. } => value::sqlite_rows(readers, text, values).await,
                Self::Postgres(pool) => value::postgres_rows(pool, text, values).await,
                #[cfg(feature = "double")]
                Self::Memory(memory) => return memory.query(doing, text.as_str(), &values).await,
            }
            .map_err(|error| failure(doing, &error))
        })
    }

    /// Runs reading statements one after the other, and gives the rows of all.
    pub(crate) async fn query_each(&self, doing: &'static str, statements: Vec<Statement>) -> Result<Vec<Row>, Error> {
        let mut rows = Vec::new();
        for (text, values) in statements {
            rows.append(&mut self.query(doing, text, values).await?);
        }
        Ok(rows)
    }

    pub(crate) fn is_sqlite(&self) -> bool {
        match self {
            Self::Sqlite { .. } => true,
            Self::Postgres(_) => false,
            #[cfg(feature = "double")]
            Self::Memory(_) => true,
        }
    }

    /// Begins a writing transaction.
    pub(crate) fn begin(&self, doing: &'static str) -> BoxFuture<'_, Result<Tx, Error>> {
        Box::pin(async move {
            let inner = match self {
                Self::Sqlite { writer: None, .. } => return Err(Error::ReadOnly),
                Self::Sqlite {
                    writer: Some(writer), ..
                } => writer.begin_with("BEGIN IMMEDIATE").await.map(Inner::Sqlite),
                Self::Postgres(pool) => pool.begin().await.map(Inner::Postgres),
                #[cfg(feature = "double")]
                Self::Memory(memory) => Ok(Inner::Memory(memory.begin(doing).await?)),
            };
            Ok(Tx {
                doing,
                inner: inner.map_err(|error| failure(doing, &error))?,
            })
        })
    }

    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite { writer, readers } => {
                readers.close().await;
                if let Some(writer) = writer {
                    writer.close().await;
                }
            }
            Self::Postgres(pool) => pool.close().await,
            #[cfg(feature = "double")]
            Self::Memory(_) => {}
        }
    }

    /// Writes the log of SQLite back and cuts it to nothing, so that what was deleted is not left in it.
    pub(crate) async fn checkpoint(&self) -> Result<(), Error> {
        const DOING: &str = "cutting the log";
        match self {
            Self::Sqlite {
                writer: Some(writer), ..
            } => {
                value::sqlite_rows(writer, "PRAGMA wal_checkpoint(TRUNCATE)".into(), Vec::new())
                    .await
                    .map_err(|error| failure(DOING, &error))?;
                Ok(())
            }
            Self::Sqlite { writer: None, .. } | Self::Postgres(_) => Ok(()),
            #[cfg(feature = "double")]
            Self::Memory(_) => Ok(()),
        }
    }
}

/// A transaction. Dropped without [`Tx::commit`] it is rolled back.
pub(crate) struct Tx {
    doing: &'static str,
    inner: Inner,
}

enum Inner {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>),
    #[cfg(feature = "double")]
    Memory(memory::MemoryTx),
}

impl Tx {
    /// Runs a statement and gives its rows.
    pub(crate) fn query(&mut self, text: impl Into<Text>, values: Vec<Value>) -> BoxFuture<'_, Result<Vec<Row>, Error>> {
        let text = text.into();
        Box::pin(async move {
            match &mut self.inner {
                Inner::Sqlite(tx) => value::sqlite_rows(&mut **tx, text, values).await,
                Inner::Postgres(tx) => value::postgres_rows(&mut **tx, text, values).await,
                #[cfg(feature = "double")]
                Inner::Memory(tx) => return tx.query(self.doing, text.as_str(), &values).await,
            }
            .map_err(|error| failure(self.doing, &error))
        })
    }

    /// Like [`Self::query`], and holds the rows against other writers until the end of the transaction.
    pub(crate) fn query_for_update(&mut self, text: &'static str, values: Vec<Value>) -> BoxFuture<'_, Result<Vec<Row>, Error>> {
        self.query(self.with_lock(text, " FOR UPDATE"), values)
    }

    /// Like [`Self::query`], and holds the rows as they are until the end of the transaction.
    pub(crate) fn query_for_share(&mut self, text: &'static str, values: Vec<Value>) -> BoxFuture<'_, Result<Vec<Row>, Error>> {
        self.query(self.with_lock(text, " FOR SHARE"), values)
    }

    fn with_lock(&self, text: &'static str, lock: &str) -> Text {
        if self.is_sqlite() {
            return text.into();
        }
        Text::Constant(Cow::Owned(format!("{text}{lock}")))
    }

    /// Runs a statement over these keys, in the order of the slice where there are many, and gives the rows of all. The text says
    /// `{these}` where it compares.
    pub(crate) async fn query_these<K: Clone + Into<Value>>(
        &mut self,
        text: &'static str,
        keys: &[K],
    ) -> Result<Vec<Row>, Error> {
        let statements = of_these(self.is_sqlite(), text, &[], keys)?;
        self.query_each(statements).await
    }

    /// Like [`Self::query_these`], and holds the rows against other writers until the end of the transaction. For requests in order
    /// of key, by a text that asks for this order: so that two processes never wait for each other crosswise.
    pub(crate) async fn query_these_for_update(
        &mut self,
        text: &'static str,
        requests: &[RequestKey],
    ) -> Result<Vec<Row>, Error> {
        let mut statements = of_these(self.is_sqlite(), text, &[], requests)?;
        if !self.is_sqlite() {
            statements.iter_mut().for_each(|(text, _)| text.push(" FOR UPDATE"));
        }
        self.query_each(statements).await
    }

    /// Runs a statement that reads these rows as the table `w` with these columns, and gives what it returns.
    pub(crate) async fn query_rows(
        &mut self,
        columns: &'static str,
        text: &'static str,
        rows: Vec<Vec<Value>>,
    ) -> Result<Vec<Row>, Error> {
        let statements = of_rows(self.is_sqlite(), columns, text, rows)?;
        self.query_each(statements).await
    }

    /// Runs statements one after the other, and gives the rows of all.
    pub(crate) async fn query_each(&mut self, statements: Vec<Statement>) -> Result<Vec<Row>, Error> {
        let mut rows = Vec::new();
        for (text, values) in statements {
            rows.append(&mut self.query(text, values).await?);
        }
        Ok(rows)
    }

    /// Runs a statement and says how many rows it touched.
    pub(crate) fn execute(&mut self, text: impl Into<Text>, values: Vec<Value>) -> BoxFuture<'_, Result<u64, Error>> {
        let text = text.into();
        Box::pin(async move {
            match &mut self.inner {
                Inner::Sqlite(tx) => value::sqlite_execute(&mut **tx, text, values).await,
                Inner::Postgres(tx) => value::postgres_execute(&mut **tx, text, values).await,
                #[cfg(feature = "double")]
                Inner::Memory(tx) => return tx.execute(self.doing, text.as_str(), &values).await,
            }
            .map_err(|error| failure(self.doing, &error))
        })
    }

    /// Runs a statement of the schema, as it is for this database.
    pub(crate) fn define(&mut self, text: &str) -> BoxFuture<'_, Result<(), Error>> {
        let (blob, identity, without_rowid) = if self.is_sqlite() {
            ("BLOB", "INTEGER PRIMARY KEY AUTOINCREMENT", " WITHOUT ROWID")
        } else {
            ("BYTEA", "BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY", "")
        };
        let text = text
            .replace("{blob}", blob)
            .replace("{identity}", identity)
            .replace("{without_rowid}", without_rowid);
        Box::pin(async move {
            match &mut self.inner {
                Inner::Sqlite(tx) => sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut **tx).await.map(drop),
                Inner::Postgres(tx) => sqlx::raw_sql(AssertSqlSafe(text)).execute(&mut **tx).await.map(drop),
                #[cfg(feature = "double")]
                Inner::Memory(tx) => return tx.define(self.doing, &text),
            }
            .map_err(|error| failure(self.doing, &error))
        })
    }

    pub(crate) fn is_sqlite(&self) -> bool {
        match self.inner {
            Inner::Sqlite(_) => true,
            Inner::Postgres(_) => false,
            #[cfg(feature = "double")]
            Inner::Memory(_) => true,
        }
    }

    pub(crate) async fn commit(self) -> Result<(), Error> {
        match self.inner {
            Inner::Sqlite(tx) => tx.commit().await,
            Inner::Postgres(tx) => tx.commit().await,
            #[cfg(feature = "double")]
            Inner::Memory(tx) => return tx.commit(self.doing).await,
        }
        .map_err(|error| failure(self.doing, &error))
    }
}

/// What the driver reports, as one of ours. Never takes a database's detail text, which may quote values.
pub(crate) fn failure(doing: &'static str, error: &sqlx::Error) -> Error {
    use sqlx::Error as E;
    match error {
        E::Database(inner) => {
            let code = inner.code().unwrap_or_default().into_owned();
            let reason = format!("{} (code {code})", inner.message());
            match class_of(&code) {
                Class::Busy => Error::Busy { doing, reason },
                Class::Unreachable => Error::Unreachable { doing, reason },
                Class::Statement => Error::Statement { doing, reason },
            }
        }
        E::PoolTimedOut => Error::Unreachable {
            doing,
            reason: "no connection in time".to_owned(),
        },
        E::Io(_) | E::Tls(_) | E::PoolClosed | E::WorkerCrashed | E::BeginFailed | E::Protocol(_) => Error::Unreachable {
            doing,
            reason: error.to_string(),
        },
        // The driver's error type is not ours and may grow: what is unknown is never retried blindly.
        _ => Error::Statement {
            doing,
            reason: error.to_string(),
        },
    }
}

enum Class {
    Busy,
    Unreachable,
    Statement,
}

/// SQLite's codes are numbers (<https://sqlite.org/rescode.html>), PostgreSQL's have five characters
/// (<https://www.postgresql.org/docs/current/errcodes-appendix.html>).
fn class_of(code: &str) -> Class {
    if code.len() != 5 {
        return match code.parse::<u32>().map(|number| number & 0xff) {
            Ok(5 | 6) => Class::Busy,
            // I/O error, disk full, cannot open.
            Ok(10 | 13 | 14) => Class::Unreachable,
            _ => Class::Statement,
        };
    }
    match code {
        "40001" | "40P01" | "55P03" | "57014" => Class::Busy,
        // Shutting down, starting, or a standby that has not been promoted yet.
        "57P01" | "57P02" | "57P03" | "25006" => Class::Unreachable,
        _ if code.starts_with("53") => Class::Busy,
        _ if code.starts_with("08") || code.starts_with("58") => Class::Unreachable,
        _ => Class::Statement,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_pass_is_told_from_what_will_not() {
        for code in ["5", "517", "40P01", "53300"] {
            assert!(matches!(class_of(code), Class::Busy), "{code}");
        }
        for code in ["13", "57P01", "08006"] {
            assert!(matches!(class_of(code), Class::Unreachable), "{code}");
        }
        for code in ["1", "2067", "42P01", "42501", ""] {
            assert!(matches!(class_of(code), Class::Statement), "{code}");
        }
    }
}
