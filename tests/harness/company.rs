//! The sample company's stores (`deploy/sample`), filled for one test: three SQLite files, or three PostgreSQL schemas.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, Result};
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection, sqlite::SqliteConnectOptions};

use crate::binary::repository;

/// The stores that the sample's data map names.
pub const STORES: [&str; 3] = ["crm", "marketing", "warehouse"];

/// Which databases hold the company.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Technology {
    /// A file for each store.
    Sqlite,
    /// A schema for each store, in the server of the run.
    Postgres,
}

/// The stores, filled.
#[derive(Clone, Debug)]
pub struct Company {
    technology: Technology,
    /// URL by store.
    urls: BTreeMap<String, String>,
}

impl Company {
    /// Makes and fills the stores. `name` tells this test's schemas from another's; `dir` takes the files.
    ///
    /// # Errors
    /// When a store cannot be made.
    pub async fn found(technology: Technology, people: u32, name: &str, dir: &Path, postgres: &str) -> Result<Self> {
        let mut urls = BTreeMap::new();
        for store in STORES {
            let url = match technology {
                Technology::Sqlite => format!("sqlite:{}", dir.join(format!("{store}.db")).display()),
                Technology::Postgres => postgres_url(postgres, &format!("{name}_{store}")),
            };
            let scripts = scripts(technology, store, people)?;
            fill(technology, &url, &scripts)
                .await
                .with_context(|| format!("filling the store {store}"))?;
            urls.insert(store.to_owned(), url);
        }
        Ok(Self { technology, urls })
    }

    /// A company that is there already: the URL of each store.
    #[must_use]
    pub fn at(technology: Technology, urls: BTreeMap<String, String>) -> Self {
        Self { technology, urls }
    }

    /// Where each store is.
    #[must_use]
    pub fn urls(&self) -> &BTreeMap<String, String> {
        &self.urls
    }

    /// One whole number that a store answers to a query, for example a count of rows.
    ///
    /// # Errors
    /// When it does not answer with one.
    pub async fn number(&self, store: &str, sql: &str) -> Result<i64> {
        let url = self
            .urls
            .get(store)
            .with_context(|| format!("the company has no store {store}"))?;
        let query = sqlx::query_scalar(AssertSqlSafe(sql.to_owned()));
        let answer = match self.technology {
            Technology::Sqlite => query.fetch_one(&mut sqlite(url).await?).await,
            Technology::Postgres => {
                let query = sqlx::query_scalar(AssertSqlSafe(sql.to_owned()));
                return query
                    .fetch_one(&mut PgConnection::connect(url).await?)
                    .await
                    .with_context(|| sql.to_owned());
            }
        };
        answer.with_context(|| sql.to_owned())
    }

    /// Runs a statement in a store, to break or mend it.
    ///
    /// # Errors
    /// When it refuses.
    pub async fn execute(&self, store: &str, sql: &str) -> Result<()> {
        let url = self
            .urls
            .get(store)
            .with_context(|| format!("the company has no store {store}"))?;
        fill(self.technology, url, &[sql.to_owned()])
            .await
            .with_context(|| sql.to_owned())
    }
}

/// The URL of a schema. The parameter is understood by every client: the search path finds the tables.
#[must_use]
pub fn postgres_url(server: &str, schema: &str) -> String {
    format!("{server}?options=-c%20search_path%3D{schema}")
}

/// What makes and fills a store of the sample.
///
/// # Errors
/// When a script cannot be read.
pub fn scripts(technology: Technology, store: &str, people: u32) -> Result<Vec<String>> {
    let folder = repository().join("deploy/sample").join(match technology {
        Technology::Sqlite => "sqlite",
        Technology::Postgres => "postgres",
    });
    let read = |kind: &str| {
        let path = folder.join(format!("{store}.{kind}.sql"));
        std::fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
    };
    Ok(vec![read("schema")?, read("fill")?.replace("{people}", &people.to_string())])
}

async fn fill(technology: Technology, url: &str, scripts: &[String]) -> Result<()> {
    match technology {
        Technology::Sqlite => {
            let mut connection = sqlite(url).await?;
            for script in scripts {
                sqlx::raw_sql(AssertSqlSafe(script.clone())).execute(&mut connection).await?;
            }
        }
        Technology::Postgres => {
            let mut connection = PgConnection::connect(url).await?;
            let make_schema =
                "do $$ begin execute format('create schema if not exists %I', current_setting('search_path')); end $$";
            sqlx::raw_sql(make_schema).execute(&mut connection).await?;
            for script in scripts {
                sqlx::raw_sql(AssertSqlSafe(script.clone())).execute(&mut connection).await?;
            }
        }
    }
    Ok(())
}

async fn sqlite(url: &str) -> Result<SqliteConnection> {
    let path = url
        .strip_prefix("sqlite:")
        .context("a SQLite store has a URL that begins with sqlite:")?;
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
    Ok(SqliteConnection::connect_with(&options).await?)
}
