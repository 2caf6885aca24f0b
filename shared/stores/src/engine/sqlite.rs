//! SQLite files.

use super::{Access, Dialect, Engine, Error, OpenError, Row, Session, within};
use crate::config::StoreConfig;
use crate::live::{LiveTable, TypeName};
use crate::map::{Column, ForeignKey, Ident, Index, OnDelete, TableName};
use crate::sql::{Bind, Sql};
use futures_util::future::BoxFuture;
use sqlx::sqlite::{SqliteArguments, SqliteConnectOptions, SqlitePool, SqlitePoolOptions, SqliteRow, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Row as _, Transaction};
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::Duration;

pub(crate) struct Sqlite {
    pool: SqlitePool,
    path: PathBuf,
    answer_timeout: Duration,
}

impl Sqlite {
    pub(crate) fn open(config: &StoreConfig, address: &str) -> Result<Self, OpenError> {
        let options: SqliteConnectOptions = address.parse().map_err(|_| OpenError::Address)?;
        let options = options
            .create_if_missing(false)
            .busy_timeout(config.lock_timeout())
            // A commit has reached the disk before it is reported; together with the write that every batch makes (see
            // `touch`), that holds for what earlier attempts committed too. The file has no standby: what holds, holds here.
            .synchronous(SqliteSynchronous::Full)
            // What is deleted is overwritten, and nothing of a batch is spilt into a temporary file.
            .pragma("secure_delete", "ON")
            .pragma("temp_store", "MEMORY")
            .disable_statement_logging();
        let path = options.get_filename().to_owned();
        let pool = SqlitePoolOptions::new()
            .max_connections(config.pool_max.max(1))
            .acquire_timeout(config.connect_timeout())
            .connect_lazy_with(options);
        Ok(Self {
            pool,
            path,
            answer_timeout: config.answer_timeout(),
        })
    }

    async fn start(&self, access: Access) -> Result<SqliteSession, Error> {
        let begin = match access {
            Access::Look => "begin deferred",
            Access::Change => "begin immediate",
        };
        Ok(SqliteSession {
            transaction: within(self.answer_timeout, self.pool.begin_with(begin)).await?,
            answer_timeout: self.answer_timeout,
        })
    }
}

impl Engine for Sqlite {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    fn begin(&self, access: Access) -> BoxFuture<'_, Result<Box<dyn Session>, Error>> {
        Box::pin(async move { Ok(Box::new(self.start(access).await?) as Box<dyn Session>) })
    }

    fn tables(&self) -> BoxFuture<'_, Result<Vec<LiveTable>, Error>> {
        Box::pin(async {
            let mut session = self.start(Access::Look).await?;
            let mut tables = Vec::new();
            for row in session.fetch(Sql::new(TABLES)).await? {
                let (Some(Some(table)), Some(without_rowid)) = (row.first(), row.get(1)) else {
                    continue;
                };
                if let Some(name) = Ident::new(table) {
                    let mut live = LiveTable::empty(TableName { schema: None, name }, "main");
                    live.row_id = without_rowid.as_deref() == Some("0");
                    describe(&mut session, table, &mut live).await?;
                    tables.push(live);
                }
            }
            Ok(tables)
        })
    }

    fn identity(&self) -> BoxFuture<'_, Result<Vec<Vec<u8>>, Error>> {
        Box::pin(async {
            let path = self.path.clone();
            let seen = tokio::task::spawn_blocking(move || {
                let path = path.canonicalize()?;
                let about = path.metadata()?;
                Ok::<_, std::io::Error>((path, about.dev(), about.ino()))
            });
            let (path, device, inode) = match seen.await {
                Ok(seen) => seen.map_err(|error| Error::from(sqlx::Error::Io(error)))?,
                Err(_) => return Err(Error::NoAnswer),
            };
            Ok(vec![
                b"sqlite".to_vec(),
                path.into_os_string().into_encoded_bytes(),
                device.to_be_bytes().to_vec(),
                inode.to_be_bytes().to_vec(),
            ])
        })
    }
}

struct SqliteSession {
    transaction: Transaction<'static, sqlx::Sqlite>,
    answer_timeout: Duration,
}

impl Session for SqliteSession {
    fn fetch(&mut self, sql: Sql) -> BoxFuture<'_, Result<Vec<Row>, Error>> {
        Box::pin(async {
            let (text, binds) = sql.finish();
            let query = binds.into_iter().fold(sqlx::query(text), bind);
            let rows = within(self.answer_timeout, query.fetch_all(&mut *self.transaction)).await?;
            Ok(rows.iter().map(texts).collect::<Result<_, _>>()?)
        })
    }

    /// Writes the file's `user_version` as it is: the header page goes through the journal, and nothing has changed.
    fn touch(&mut self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async {
            let rows = self
                .fetch(Sql::new("select cast(user_version as text) from pragma_user_version"))
                .await?;
            let version: i32 = rows
                .first()
                .and_then(|row| row.first().cloned().flatten())
                .and_then(|version| version.parse().ok())
                .unwrap_or(0);
            let mut sql = Sql::new("pragma user_version = ");
            sql.signed(version);
            self.fetch(sql).await.map(|_| ())
        })
    }

    fn commit(self: Box<Self>) -> BoxFuture<'static, Result<(), Error>> {
        Box::pin(async move { within(self.answer_timeout, self.transaction.commit()).await })
    }
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Sqlite, SqliteArguments>;

fn bind(query: Query<'_>, value: Bind) -> Query<'_> {
    match value {
        Bind::Int(value) => query.bind(value),
        Bind::Text(value) => query.bind(value),
        Bind::Texts(values) => query.bind(serde_json::to_string(&values).expect("texts always become JSON")),
    }
}

fn texts(row: &SqliteRow) -> Result<Row, sqlx::Error> {
    (0..row.len()).map(|at| row.try_get(at)).collect()
}

const TABLES: &str = "select name, cast(wr as text) from pragma_table_list where schema = 'main' and type = 'table' and name not like 'sqlite\\_%' escape '\\'";

async fn describe(session: &mut SqliteSession, table: &str, live: &mut LiveTable) -> Result<(), Error> {
    let named = |text: &'static str| {
        let mut sql = Sql::new(text);
        sql.bind(Bind::Text(Some(table.to_owned())));
        sql
    };
    let columns = named("select name, type, cast(\"notnull\" as text), cast(pk as text) from pragma_table_info(");
    let mut key = Vec::new();
    for row in session.fetch(columns.then(") order by cid")).await? {
        let mut values = row.into_iter().map(Option::unwrap_or_default);
        let mut next = || values.next().unwrap_or_default();
        let (name, kind, not_null, at) = (next(), next(), next(), next());
        live.types.insert(name.clone(), TypeName::of_sqlite(&kind));
        if at != "0" {
            key.push((at.parse::<u32>().unwrap_or(0), name.clone()));
        }
        live.table.columns.push(Column {
            name,
            kind,
            nullable: not_null == "0",
        });
    }
    key.sort();
    live.table.primary_key = key.into_iter().map(|(_, name)| name).collect();
    let indexes = named(
        "select l.name, cast(l.\"unique\" as text), coalesce(i.name, (select m.sql from sqlite_schema m where m.name = l.name), '') \
         from pragma_index_list(",
    );
    let mut last = None;
    for row in session
        .fetch(indexes.then(") l join pragma_index_info(l.name) i where l.partial = 0 order by l.seq, i.seqno"))
        .await?
    {
        let index = row.first().cloned().flatten();
        if last != index {
            let unique = row.get(1).cloned().flatten().as_deref() == Some("1");
            live.table.indexes.push(Index {
                parts: Vec::new(),
                unique,
            });
            last = index;
        }
        if let Some(index) = live.table.indexes.last_mut() {
            index
                .parts
                .extend(row.get(2).cloned().flatten().map(|part| expression(&part)));
        }
    }
    let references =
        named("select cast(id as text), \"table\", \"from\", coalesce(\"to\", ''), on_delete from pragma_foreign_key_list(");
    let mut last = None;
    for row in session.fetch(references.then(") order by id, seq")).await? {
        let mut values = row.into_iter().map(Option::unwrap_or_default);
        let mut next = || values.next().unwrap_or_default();
        let (id, referred, from, to, on_delete) = (next(), next(), next(), next(), next());
        let Some(name) = Ident::new(&referred) else { continue };
        if last.as_ref() != Some(&id) {
            live.table.foreign_keys.push(ForeignKey {
                columns: Vec::new(),
                table: TableName { schema: None, name },
                referred: Vec::new(),
                on_delete: match on_delete.as_str() {
                    "CASCADE" => OnDelete::Cascade,
                    "SET NULL" | "SET DEFAULT" => OnDelete::Clear,
                    _ => OnDelete::Refuse,
                },
            });
            last = Some(id);
        }
        if let Some(key) = live.table.foreign_keys.last_mut() {
            key.columns.push(from);
            key.referred.extend(Some(to).filter(|to| !to.is_empty()));
        }
    }
    Ok(())
}

/// The text of an index on an expression is only in the statement that made it: what stands between the outer brackets.
fn expression(part: &str) -> String {
    match (
        part.to_ascii_lowercase().starts_with("create"),
        part.find('('),
        part.rfind(')'),
    ) {
        (true, Some(from), Some(to)) if from < to => part[from + 1..to].trim().to_owned(),
        _ => part.to_owned(),
    }
}
