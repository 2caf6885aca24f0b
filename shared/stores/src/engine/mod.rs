//! What a database technology has to offer, and the few words in which the technologies differ.
//!
//! All values travel as text: bound as text (or arrays of text) and cast by the statement, read as text that the statement has
//! cast. So the verbs above need one kind of row, and a value that does not fit is found before the database sees it.

mod postgres;
mod sqlite;

use crate::config::StoreConfig;
use crate::live::LiveTable;
use crate::sql::{Bind, Sql};
use futures_util::future::BoxFuture;
use std::sync::Arc;
use std::time::Duration;

/// A row as text.
pub(crate) type Row = Vec<Option<String>>;

/// Why a statement did not end well. Never shown: it may hold data. See `fault`.
#[derive(Debug)]
pub(crate) enum Error {
    Sql(Box<sqlx::Error>),
    NoAnswer,
}

impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(Box::new(error))
    }
}

/// One technology.
pub(crate) trait Engine: Send + Sync {
    fn dialect(&self) -> Dialect;
    /// A transaction; one that changes takes its locks so that a second one waits for it.
    fn begin(&self, access: Access) -> BoxFuture<'_, Result<Box<dyn Session>, Error>>;
    /// All tables that the login can see.
    fn tables(&self) -> BoxFuture<'_, Result<Vec<LiveTable>, Error>>;
    /// What makes this store this store, and its timeline.
    fn identity(&self) -> BoxFuture<'_, Result<Vec<Vec<u8>>, Error>>;
}

/// A transaction. Dropped without [`Session::commit`] it is rolled back.
pub(crate) trait Session: Send {
    fn fetch(&mut self, sql: Sql) -> BoxFuture<'_, Result<Vec<Row>, Error>>;
    /// Writes something that changes nothing of the customer's, so that the commit is a real one: it waits for the disk (and a
    /// synchronous standby), and with itself makes durable what an earlier attempt had committed.
    fn touch(&mut self) -> BoxFuture<'_, Result<(), Error>>;
    fn commit(self: Box<Self>) -> BoxFuture<'static, Result<(), Error>>;
}

/// What a transaction is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Look,
    Change,
}

/// Why a store cannot be set up. Says nothing of the address, which may hold a password.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error("the file with the address cannot be read")]
    File(#[source] std::io::Error),
    #[error("the address is none: it must begin with sqlite: or postgres:")]
    Scheme,
    #[error("the address cannot be understood")]
    Address,
}

pub(crate) fn open(config: &StoreConfig) -> Result<Arc<dyn Engine>, OpenError> {
    let address = config.address().map_err(OpenError::File)?;
    match address.split(':').next() {
        Some("sqlite") => Ok(Arc::new(sqlite::Sqlite::open(config, &address)?)),
        Some("postgres" | "postgresql") => Ok(Arc::new(postgres::Postgres::open(config, &address)?)),
        Some(_) | None => Err(OpenError::Scheme),
    }
}

/// Waits for an answer, but not for ever.
async fn within<T>(limit: Duration, answer: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, Error> {
    match tokio::time::timeout(limit, answer).await {
        Ok(answer) => answer.map_err(Error::from),
        Err(_) => Err(Error::NoAnswer),
    }
}

/// How a technology spells what it spells differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Postgres,
    Sqlite,
}

impl Dialect {
    /// A common table expression of `width` text columns `c0`, `c1`, … that holds these rows.
    pub(crate) fn rows(self, sql: &mut Sql, name: &'static str, number: usize, width: usize, rows: &[Row]) {
        sql.push(name);
        sql.number(number);
        sql.push("(");
        sql.list(",", 0..width, Sql::slot_name);
        match self {
            Self::Postgres => {
                sql.push(") as materialized (select * from unnest(");
                sql.list(",", 0..width, |sql, at| {
                    sql.bind(Bind::Texts(rows.iter().map(|row| row.get(at).cloned().flatten()).collect()));
                    sql.push("::text[]");
                });
                sql.push("))");
            }
            Self::Sqlite => {
                sql.push(") as materialized (select ");
                sql.list(",", 0..width, |sql, at| {
                    sql.push("cast(value->>");
                    sql.number(at);
                    sql.push(" as text)");
                });
                sql.push(" from json_each(");
                sql.bind(Bind::Text(Some(
                    serde_json::to_string(rows).expect("texts always become JSON"),
                )));
                sql.push("))");
            }
        }
    }

    /// An expression, read as text.
    pub(crate) fn as_text(self, sql: &mut Sql, expression: impl FnOnce(&mut Sql)) {
        match self {
            Self::Postgres => {
                sql.push("(");
                expression(sql);
                sql.push(")::text");
            }
            Self::Sqlite => {
                sql.push("cast(");
                expression(sql);
                sql.push(" as text)");
            }
        }
    }

    /// The store's clock, in milliseconds, as text.
    pub(crate) fn clock(self) -> Sql {
        Sql::new(match self {
            Self::Postgres => "select (extract(epoch from clock_timestamp()) * 1000)::int8::text",
            Self::Sqlite => "select cast(cast(unixepoch('now', 'subsec') * 1000 as integer) as text)",
        })
    }

    /// What ends a look that is to lock the rows it sees.
    /// Whether a statement can change rows in the middle of a query.
    pub(crate) fn takes(self) -> bool {
        match self {
            Self::Postgres => true,
            Self::Sqlite => false,
        }
    }

    pub(crate) fn lock(self) -> &'static str {
        match self {
            Self::Postgres => " for update of t",
            // A transaction that changes has the whole file for itself.
            Self::Sqlite => "",
        }
    }
}
