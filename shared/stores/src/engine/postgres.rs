//! PostgreSQL.

use super::{Access, Dialect, Engine, Error, OpenError, Row, Session, within};
use crate::config::StoreConfig;
use crate::live::{LiveTable, TypeName};
use crate::map::{Column, ForeignKey, Ident, Index, OnDelete, Table, TableName};
use crate::sql::{Bind, Sql};
use erasure_drill::{Rule, is_broken};
use futures_util::future::BoxFuture;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgPool, PgPoolOptions, PgRow};
use sqlx::{ConnectOptions as _, Row as _, Transaction};
use std::collections::BTreeMap;
use std::time::Duration;

pub(crate) struct Postgres {
    pool: PgPool,
    statement_timeout_ms: u64,
    lock_timeout_ms: u64,
    answer_timeout: Duration,
}

impl Postgres {
    pub(crate) fn open(config: &StoreConfig, address: &str) -> Result<Self, OpenError> {
        let options: PgConnectOptions = address.parse().map_err(|_| OpenError::Address)?;
        // Statements hold no values, but names and timings of the customer's are not ours to log.
        let options = options.application_name("erasure").disable_statement_logging();
        let pool = PgPoolOptions::new()
            .max_connections(config.pool_max.max(1))
            .acquire_timeout(config.connect_timeout())
            .connect_lazy_with(options);
        Ok(Self {
            pool,
            statement_timeout_ms: config.statement_timeout_ms.max(1),
            lock_timeout_ms: config.lock_timeout_ms.max(1),
            answer_timeout: config.answer_timeout(),
        })
    }

    /// A transaction with its limits, which are its own, so that a connection pooler in between does not matter.
    async fn start(&self) -> Result<PostgresSession, Error> {
        let begun = within(
            self.answer_timeout,
            self.pool.begin_with("begin isolation level read committed"),
        )
        .await?;
        let mut session = PostgresSession {
            transaction: begun,
            answer_timeout: self.answer_timeout,
        };
        let mut sql = Sql::new("select set_config('statement_timeout', ");
        sql.bind(Bind::Text(Some(self.statement_timeout_ms.to_string())));
        sql.push("::text, true), set_config('lock_timeout', ");
        sql.bind(Bind::Text(Some(self.lock_timeout_ms.to_string())));
        // Never lower than what the customer has set (remote_apply), never less than the disk.
        sql.push(
            "::text, true), case when current_setting('synchronous_commit') in ('off', 'local') \
             then set_config('synchronous_commit', 'on', true) end",
        );
        session.fetch(sql).await?;
        Ok(session)
    }

    async fn ask(&self, sql: Sql) -> Result<Vec<Row>, Error> {
        self.start().await?.fetch(sql).await
    }
}

impl Engine for Postgres {
    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }

    fn begin(&self, _access: Access) -> BoxFuture<'_, Result<Box<dyn Session>, Error>> {
        Box::pin(async { Ok(Box::new(self.start().await?) as Box<dyn Session>) })
    }

    fn tables(&self) -> BoxFuture<'_, Result<Vec<LiveTable>, Error>> {
        Box::pin(async {
            let columns = self.ask(Sql::new(COLUMNS)).await?;
            let indexes = self.ask(Sql::new(INDEXES)).await?;
            let references = self.ask(Sql::new(REFERENCES)).await?;
            Ok(assemble(columns, indexes, references))
        })
    }

    fn identity(&self) -> BoxFuture<'_, Result<Vec<Vec<u8>>, Error>> {
        Box::pin(async {
            let place = self
                .ask(Sql::new("select current_database()::text, current_schema()::text"))
                .await?;
            // Each of the two may be refused to this login (or, on a standby, impossible): then the address has to do.
            let cluster = self
                .ask(Sql::new("select system_identifier::text from pg_control_system()"))
                .await;
            let timeline = self
                .ask(Sql::new("select left(pg_walfile_name(pg_current_wal_lsn()), 8)"))
                .await;
            let options = self.pool.connect_options();
            let cluster =
                given(cluster)?.unwrap_or_else(|| vec![vec![Some(format!("{}:{}", options.get_host(), options.get_port()))]]);
            let rows = [
                vec![vec![Some("postgres".to_owned())]],
                cluster,
                given(timeline)?.unwrap_or_default(),
                place,
            ];
            Ok(rows
                .into_iter()
                .flatten()
                .flatten()
                .map(|value| value.unwrap_or_default().into_bytes())
                .collect())
        })
    }
}

/// Codes of a server that may not or cannot tell this: no privilege, no such function, not on a standby, not in this product.
const NEVER_TOLD: [&str; 4] = ["42501", "42883", "55000", "0A000"];

/// `None` when the server says that it may not or cannot be told. Every other refusal, such as that of a server that ends or has
/// just been started, is an error: an identity with a part left out would be that of another store.
fn given(answer: Result<Vec<Row>, Error>) -> Result<Option<Vec<Row>>, Error> {
    let never_told = |error: &sqlx::Error| {
        let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
        code.is_some_and(|code| NEVER_TOLD.contains(&code.as_ref()))
    };
    match answer {
        Ok(rows) => Ok(Some(rows)),
        Err(Error::Sql(error)) if never_told(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

struct PostgresSession {
    transaction: Transaction<'static, sqlx::Postgres>,
    answer_timeout: Duration,
}

impl Session for PostgresSession {
    fn fetch(&mut self, sql: Sql) -> BoxFuture<'_, Result<Vec<Row>, Error>> {
        Box::pin(async {
            let (text, binds) = sql.finish();
            let query = binds.into_iter().fold(sqlx::query(text), bind);
            let rows = within(self.answer_timeout, query.fetch_all(&mut *self.transaction)).await?;
            Ok(rows.iter().map(texts).collect::<Result<_, _>>()?)
        })
    }

    fn touch(&mut self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async {
            if is_broken(Rule::AttemptAlwaysWrites) {
                return Ok(());
            }
            let sql = Sql::new("select pg_logical_emit_message(true, 'erasure', 'batch')::text");
            self.fetch(sql).await.map(|_| ())
        })
    }

    fn commit(self: Box<Self>) -> BoxFuture<'static, Result<(), Error>> {
        Box::pin(async move { within(self.answer_timeout, self.transaction.commit()).await })
    }
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Postgres, PgArguments>;

fn bind(query: Query<'_>, value: Bind) -> Query<'_> {
    match value {
        Bind::Int(value) => query.bind(value),
        Bind::Text(value) => query.bind(value),
        Bind::Texts(values) => query.bind(values),
    }
}

fn texts(row: &PgRow) -> Result<Row, sqlx::Error> {
    (0..row.len()).map(|at| row.try_get(at)).collect()
}

/// Tables, with the schema only when the search path does not lead to them.
const COLUMNS: &str = "select n.nspname::text, pg_table_is_visible(c.oid)::text, c.relname::text, \
    a.attname::text, format_type(a.atttypid, a.atttypmod), tn.nspname::text, ty.typname::text, (not a.attnotnull)::text, \
    coalesce((select array_position(i.indkey::int2[], a.attnum) from pg_index i where i.indrelid = c.oid and i.indisprimary), -1)::text, \
    c.oid::text \
    from pg_class c join pg_namespace n on n.oid = c.relnamespace join pg_attribute a on a.attrelid = c.oid \
    join pg_type ty on ty.oid = a.atttypid join pg_namespace tn on tn.oid = ty.typnamespace \
    where c.relkind in ('r', 'p') and a.attnum > 0 and not a.attisdropped \
    and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname not like 'pg\\_t%' \
    order by c.oid, a.attnum";

const INDEXES: &str = "select i.indrelid::text, i.indexrelid::text, i.indisunique::text, \
    coalesce(a.attname::text, pg_get_indexdef(i.indexrelid, k.n::int4, true)) \
    from pg_index i cross join lateral generate_series(1, i.indnkeyatts) as k(n) \
    left join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[k.n - 1] and i.indkey[k.n - 1] <> 0 \
    where i.indisvalid and not i.indisprimary and i.indpred is null order by i.indexrelid, k.n";

const REFERENCES: &str = "select f.conrelid::text, f.oid::text, f.confrelid::text, f.confdeltype::text, a.attname::text, b.attname::text \
    from pg_constraint f cross join lateral generate_subscripts(f.conkey, 1) as k(n) \
    join pg_attribute a on a.attrelid = f.conrelid and a.attnum = f.conkey[k.n] \
    join pg_attribute b on b.attrelid = f.confrelid and b.attnum = f.confkey[k.n] \
    where f.contype = 'f' order by f.oid, k.n";

fn assemble(columns: Vec<Row>, indexes: Vec<Row>, references: Vec<Row>) -> Vec<LiveTable> {
    let mut tables: BTreeMap<String, LiveTable> = BTreeMap::new();
    let mut keys: BTreeMap<String, Vec<(i64, String)>> = BTreeMap::new();
    for row in columns {
        let [
            schema,
            visible,
            table,
            column,
            kind,
            type_schema,
            type_name,
            nullable,
            key_at,
            oid,
        ] = exactly(row);
        let Some(name) = Ident::new(&table.unwrap_or_default()) else {
            continue;
        };
        let schema = schema.unwrap_or_default();
        let (oid, column) = (oid.unwrap_or_default(), column.unwrap_or_default());
        let live = tables.entry(oid.clone()).or_insert_with(|| {
            let hidden = Ident::new(&schema).filter(|_| visible.as_deref() != Some("true"));
            LiveTable::empty(TableName { schema: hidden, name }, &schema)
        });
        live.types.insert(
            column.clone(),
            TypeName {
                schema: type_schema.unwrap_or_default(),
                name: type_name.unwrap_or_default(),
            },
        );
        let at = key_at.and_then(|at| at.parse().ok()).unwrap_or(-1);
        if at >= 0 {
            keys.entry(oid).or_default().push((at, column.clone()));
        }
        live.table.columns.push(Column {
            name: column,
            kind: kind.unwrap_or_default(),
            nullable: nullable.as_deref() == Some("true"),
        });
    }
    for (oid, mut columns) in keys {
        columns.sort();
        if let Some(live) = tables.get_mut(&oid) {
            live.table.primary_key = columns.into_iter().map(|(_, column)| column).collect();
        }
    }
    let mut last = None;
    for row in indexes {
        let [table, index, unique, part] = exactly(row);
        let Some(Table { indexes, .. }) = tables.get_mut(&table.unwrap_or_default()).map(|live| &mut live.table) else {
            continue;
        };
        if last != index {
            let unique = unique.as_deref() == Some("true");
            indexes.push(Index {
                parts: Vec::new(),
                unique,
            });
            last = index;
        }
        if let Some(index) = indexes.last_mut() {
            index.parts.extend(part);
        }
    }
    refer(&mut tables, references);
    tables.into_values().collect()
}

fn refer(tables: &mut BTreeMap<String, LiveTable>, references: Vec<Row>) {
    let names: BTreeMap<String, TableName> = tables
        .iter()
        .map(|(oid, live)| (oid.clone(), live.table.name.clone()))
        .collect();
    let mut last = None;
    for row in references {
        let [table, constraint, referred, on_delete, column, there] = exactly(row);
        let (Some(live), Some(referred)) = (
            tables.get_mut(&table.unwrap_or_default()),
            names.get(&referred.unwrap_or_default()),
        ) else {
            continue;
        };
        if last != constraint {
            live.table.foreign_keys.push(ForeignKey {
                columns: Vec::new(),
                table: referred.clone(),
                referred: Vec::new(),
                on_delete: match on_delete.as_deref() {
                    Some("c") => OnDelete::Cascade,
                    Some("n" | "d") => OnDelete::Clear,
                    Some(_) | None => OnDelete::Refuse,
                },
            });
            last = constraint;
        }
        if let Some(key) = live.table.foreign_keys.last_mut() {
            key.columns.extend(column);
            key.referred.extend(there);
        }
    }
}

/// The values of a row that has as many as asked for; the statement above sees to it.
fn exactly<const N: usize>(row: Row) -> [Option<String>; N] {
    let mut values = row.into_iter();
    std::array::from_fn(|_| values.next().flatten())
}
