//! A sample company of its own for each test, on either engine.

use erasure_protocol::{
    Attempt, Identifier, IdentifierKind, Millis, Operation, Options, Outcome, Record, RequestId, RequestKey, Resolution, Subject,
    SubsystemName, Task, TenantId,
};
use erasure_stores::map::Map;
use erasure_stores::{Pace, Store, StoreConfig, Stores};
use sqlx::{AssertSqlSafe, PgPool, Row as _, SqlitePool};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Sqlite,
    Postgres,
}

pub(crate) enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

pub(crate) struct World {
    pub(crate) urls: BTreeMap<String, String>,
    pools: BTreeMap<String, Pool>,
    pub(crate) map: Arc<Map>,
    pub(crate) stores: Stores,
    folder: tempfile::TempDir,
}

pub(crate) const NOW: Millis = Millis(1_900_000_000_000);
pub(crate) const FAR: Millis = Millis(4_000_000_000_000);

static NEXT: AtomicU32 = AtomicU32::new(0);

fn sample(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/sample").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

impl World {
    /// The sample company with so many people.
    pub(crate) async fn sample(kind: Kind, people: u32) -> Self {
        let mut scripts = BTreeMap::new();
        for store in ["crm", "marketing", "warehouse"] {
            let folder = match kind {
                Kind::Sqlite => "sqlite",
                Kind::Postgres => "postgres",
            };
            let fill = sample(&format!("{folder}/{store}.fill.sql")).replace("{people}", &people.to_string());
            scripts.insert(
                store.to_owned(),
                sample(&format!("{folder}/{store}.schema.sql")) + "\n" + &fill,
            );
        }
        Self::of(kind, &sample("map.toml"), scripts).await
    }

    /// One store `db` of this map, with this schema.
    pub(crate) async fn one(kind: Kind, map: &str, script: &str) -> Self {
        Self::of(kind, map, [("db".to_owned(), script.to_owned())].into()).await
    }

    async fn of(kind: Kind, map: &str, scripts: BTreeMap<String, String>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (mut urls, mut pools) = (BTreeMap::new(), BTreeMap::new());
        for (store, script) in scripts {
            let url = match kind {
                Kind::Sqlite => {
                    let file = folder.path().join(format!("{store}.db"));
                    std::fs::File::create(&file).unwrap();
                    format!("sqlite:{}", file.display())
                }
                Kind::Postgres => {
                    let server =
                        std::env::var("ERASURE_TEST_POSTGRES").expect("ERASURE_TEST_POSTGRES is not set: run ./tests/run");
                    let schema = format!("it_{}_{}_{store}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
                    let admin = PgPool::connect(&server).await.unwrap();
                    let sql = format!("drop schema if exists {schema} cascade; create schema {schema}");
                    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&admin).await.unwrap();
                    admin.close().await;
                    let join = if server.contains('?') { '&' } else { '?' };
                    format!("{server}{join}options[search_path]={schema}")
                }
            };
            let pool = match kind {
                Kind::Sqlite => Pool::Sqlite(
                    sqlx::sqlite::SqlitePoolOptions::new()
                        .max_connections(1)
                        .connect(&url)
                        .await
                        .unwrap(),
                ),
                Kind::Postgres => {
                    let options = sqlx::postgres::PgPoolOptions::new().max_connections(2);
                    Pool::Postgres(options.connect(&url).await.unwrap())
                }
            };
            pool.run(&script).await;
            urls.insert(store.clone(), url);
            pools.insert(store, pool);
        }
        let map = Arc::new(Map::parse(map).unwrap_or_else(|refused| panic!("{refused:?}")));
        let stores = open(&urls);
        Self {
            urls,
            pools,
            map,
            stores,
            folder,
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) async fn run(&self, store: &str, sql: &str) {
        self.pools[store].run(sql).await;
    }

    /// The one number that the query gives.
    pub(crate) async fn number(&self, store: &str, sql: &str) -> i64 {
        let sql = AssertSqlSafe(sql.to_owned());
        match &self.pools[store] {
            Pool::Sqlite(pool) => sqlx::query(sql).fetch_one(pool).await.unwrap().get(0),
            Pool::Postgres(pool) => sqlx::query(sql).fetch_one(pool).await.unwrap().get(0),
        }
    }

    pub(crate) fn store(&self, subsystem: &str) -> Store {
        self.stores
            .store(&self.map, &SubsystemName::new(subsystem).unwrap(), [7; 32])
            .unwrap()
    }

    /// The subjects that these records resolve to, at the tenant acme.
    pub(crate) async fn resolve(&self, given: &[Record]) -> Vec<Subject> {
        self.store("profiles").resolve(&tenant("acme"), given).await.unwrap()
    }

    pub(crate) async fn erase(&self, subsystem: &str, subjects: &[Subject], attempt: Attempt) -> Vec<Outcome> {
        let pace = if subsystem == "analytics" { Pace::Chunks } else { Pace::Whole };
        let tasks = tasks("acme", subjects, attempt);
        self.store(subsystem).perform(Operation::Erase, &tasks, pace).await.unwrap()
    }
}

impl Pool {
    async fn run(&self, sql: &str) {
        let sql = AssertSqlSafe(sql.to_owned());
        match self {
            Self::Sqlite(pool) => drop(sqlx::raw_sql(sql).execute(pool).await.unwrap()),
            Self::Postgres(pool) => drop(sqlx::raw_sql(sql).execute(pool).await.unwrap()),
        }
    }
}

pub(crate) fn open(urls: &BTreeMap<String, String>) -> Stores {
    let configs = urls.iter().map(|(name, url)| {
        let config = StoreConfig {
            lock_timeout_ms: 20_000,
            ..StoreConfig::at(url)
        };
        (name.clone(), config)
    });
    Stores::open(&configs.collect()).unwrap()
}

pub(crate) fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

pub(crate) fn record(pairs: &[(&str, &str)]) -> Record {
    let pair = |(kind, value): &(&str, &str)| (IdentifierKind::new(kind).unwrap(), Identifier::new(*value).unwrap());
    pairs.iter().map(pair).collect()
}

pub(crate) fn user(number: u32) -> Record {
    record(&[("user_id", &format!("u-{number:07}"))])
}

pub(crate) fn found(records: &[Record]) -> Subject {
    Subject {
        resolution: Resolution::Found,
        records: records.to_vec(),
    }
}

pub(crate) fn tasks(tenant_name: &str, subjects: &[Subject], attempt: Attempt) -> Vec<Task> {
    let tenant = tenant(tenant_name);
    let task = |(number, subject): (usize, &Subject)| Task {
        request: RequestKey::of(&tenant, &RequestId::new("r").unwrap()),
        tenant: tenant.clone(),
        number: number as u64,
        subject: Arc::new(subject.clone()),
        attempt,
        accepted_at: NOW,
        deadline: FAR,
        options: Options::default(),
        reference: None,
    };
    subjects.iter().enumerate().map(task).collect()
}
