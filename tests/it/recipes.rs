//! The recipes over real stores pass the suite that the kit asks of every subsystem, as its double does.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use erasure_analytics::Analytics;
use erasure_kit::AnySubsystem;
use erasure_kit::double::conformance::{self, Place};
use erasure_profiles::Profiles;
use erasure_protocol::{Millis, SubsystemName};
use erasure_segments::Segments;
use erasure_stores::map::Map;
use erasure_stores::{FindMode, StoreConfig, Stores};
use erasure_tests::servers::Servers;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection, Row as _, SqliteConnection};

const MAP: &str = r#"
version = 1
[identifiers]
user_id = "exact"
email = "trim_lower"
[subsystem.recipe]
store = "db"
tenant = "tenant"
[subsystem.recipe.table.people]
match = [{ user_id = "user_id" }, { email = "email" }]
created = "created_at"
erase = "delete"
"#;

/// What makes of it a table that says who is who.
const RESOLVES: &str = r#"resolves = { user_id = "user_id", email = "email" }"#;

/// Another part of the estate that does.
const DIRECTORY: &str = r#"
[subsystem.directory]
store = "db"
tenant = "tenant"
[subsystem.directory.table.directory]
match = [{ user_id = "user_id" }]
resolves = { user_id = "user_id" }
created = "created_at"
erase = "delete"
"#;

const SCHEMA: &str = "create table people \
    (id bigint primary key, tenant varchar(20) not null, user_id varchar(20), email varchar(80), created_at timestamp)";

fn address_of(person: u32) -> String {
    format!("person{person}@example.invalid")
}

#[derive(Clone, Copy)]
enum Recipe {
    Profiles,
    Segments,
    Analytics,
}

/// One recipe over one table of its own.
struct Shop {
    recipe: Recipe,
    url: String,
    stores: Stores,
    rows: AtomicU32,
    _folder: tempfile::TempDir,
}

impl Shop {
    async fn on_sqlite(recipe: Recipe) -> Self {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let file = folder.path().join("shop.db");
        std::fs::File::create(&file).expect("a file of the test");
        Self::open(recipe, format!("sqlite:{}", file.display()), folder).await
    }

    async fn on_postgres(recipe: Recipe) -> Self {
        let server = Servers::of_this_run().expect("the servers of the run").postgres;
        let schema = format!("recipe_{}", uuid::Uuid::new_v4().simple());
        let mut administrator = PgConnection::connect(&server).await.expect("the run's PostgreSQL answers");
        let create = AssertSqlSafe(format!("create schema {schema}"));
        sqlx::raw_sql(create)
            .execute(&mut administrator)
            .await
            .expect("a database can be made");
        let join = if server.contains('?') { '&' } else { '?' };
        let url = format!("{server}{join}options[search_path]={schema}");
        Self::open(recipe, url, tempfile::tempdir().expect("a folder for the test")).await
    }

    async fn open(recipe: Recipe, url: String, folder: tempfile::TempDir) -> Self {
        let stores = Stores::open(&BTreeMap::from([("db".to_owned(), StoreConfig::at(&url))])).expect("the store opens");
        let this = Self {
            recipe,
            url,
            stores,
            rows: AtomicU32::new(0),
            _folder: folder,
        };
        this.run(SCHEMA).await;
        this
    }

    async fn run(&self, sql: &str) -> Option<i64> {
        let sql = AssertSqlSafe(sql.to_owned());
        if self.url.starts_with("sqlite:") {
            let mut connection = SqliteConnection::connect(&self.url).await.expect("the test's file opens");
            let row = sqlx::query(sql)
                .fetch_optional(&mut connection)
                .await
                .expect("the test's file answers");
            row.map(|row| row.get(0))
        } else {
            let mut connection = PgConnection::connect(&self.url).await.expect("the run's PostgreSQL answers");
            let row = sqlx::query(sql)
                .fetch_optional(&mut connection)
                .await
                .expect("the run's PostgreSQL answers");
            row.map(|row| row.get(0))
        }
    }
}

impl Place for Shop {
    fn subsystem(&self) -> AnySubsystem {
        let resolves = if self.knows_people() { RESOLVES } else { DIRECTORY };
        let map = Map::parse(&format!("{MAP}{resolves}")).expect("the map of the test is sound");
        let map = Arc::new(map);
        let name = SubsystemName::new("recipe").expect("a plain name");
        let store = self.stores.store(&map, &name, [7; 32]).expect("the map names the store");
        match self.recipe {
            Recipe::Profiles => AnySubsystem::new(Profiles::new(store, FindMode::Counts)),
            Recipe::Segments => AnySubsystem::new(Segments::new(store, FindMode::Values)),
            Recipe::Analytics => AnySubsystem::new(Analytics::new(store, FindMode::Counts)),
        }
    }

    fn knows_people(&self) -> bool {
        matches!(self.recipe, Recipe::Profiles)
    }

    async fn add_under(&self, address: u32, person: u32, created_at: Millis) {
        let address = address_of(address);
        for _ in 0..2 {
            let id = self.rows.fetch_add(1, Ordering::SeqCst);
            let made = created_at.to_rfc3339().replace('T', " ");
            let made = &made[..19];
            self.run(&format!(
                "insert into people values ({id}, 'acme', '{person}', '{address}', '{made}')"
            ))
            .await;
        }
    }

    async fn rows(&self, person: u32) -> u64 {
        let count = format!("select count(*) from people where user_id = '{person}'");
        self.run(&count)
            .await
            .expect("the store counts")
            .try_into()
            .expect("a count is not negative")
    }

    fn record(&self, person: u32) -> Vec<(&'static str, String)> {
        vec![("user_id", person.to_string()), ("email", address_of(person))]
    }

    fn now(&self) -> Millis {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970");
        Millis(since.as_millis().try_into().expect("before the year 292 million"))
    }
}

#[tokio::test]
async fn profiles_are_a_subsystem_like_any_other() {
    conformance::all(|| Shop::on_sqlite(Recipe::Profiles)).await;
    conformance::all(|| Shop::on_postgres(Recipe::Profiles)).await;
}

#[tokio::test]
async fn segments_are_a_subsystem_like_any_other() {
    conformance::all(|| Shop::on_sqlite(Recipe::Segments)).await;
    conformance::all(|| Shop::on_postgres(Recipe::Segments)).await;
}

#[tokio::test]
async fn analytics_are_a_subsystem_like_any_other() {
    conformance::all(|| Shop::on_sqlite(Recipe::Analytics)).await;
    conformance::all(|| Shop::on_postgres(Recipe::Analytics)).await;
}
