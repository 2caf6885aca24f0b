//! Where the hunt looks.

use anyhow::{Context, Result};
use erasure_tests::{
    company::Technology,
    producer::{Message, Producer, Published},
    servers::Servers,
    world::World,
};
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// One thing to look through, and what kind of thing it is.
pub(super) struct Place {
    pub(super) kind: &'static str,
    pub(super) name: String,
    content: Content,
}

enum Content {
    File(PathBuf),
    Text(String),
}

impl Place {
    pub(super) fn text(kind: &'static str, text: impl Into<String>) -> Self {
        Self {
            kind,
            name: kind.to_owned(),
            content: Content::Text(text.into()),
        }
    }

    fn file(kind: &'static str, path: PathBuf) -> Self {
        Self {
            kind,
            name: path.display().to_string(),
            content: Content::File(path),
        }
    }

    pub(super) fn open(&self) -> Result<Box<dyn Read + '_>> {
        match &self.content {
            Content::File(path) => Ok(Box::new(File::open(path).with_context(|| self.name.clone())?)),
            Content::Text(text) => Ok(Box::new(text.as_bytes())),
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        match &self.content {
            Content::File(path) => std::fs::metadata(path).map_or(0, |it| it.len()),
            Content::Text(text) => text.len() as u64,
        }
    }
}

/// Every file of a folder and of those in it.
pub(super) fn folder(kind: &'static str, folder: &Path) -> Result<Vec<Place>> {
    Ok(files(folder)?.into_iter().map(|path| Place::file(kind, path)).collect())
}

/// What the fleet has written into the world's folder: all but the files that the test itself has put there.
pub(super) fn of_world(world: &World, own: &[&str]) -> Result<Vec<Place>> {
    let name = |path: &Path| path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
    let written = files(world.dir())?
        .into_iter()
        .filter(|path| !own.contains(&name(path).as_str()));
    let kind = |path: &Path| match name(path) {
        name if name.starts_with("ledger.db") => "ledger",
        name if name.ends_with(".log") => "log",
        _ => "folder",
    };
    Ok(written.map(|path| Place::file(kind(&path), path)).collect())
}

/// Every row of a ledger in PostgreSQL.
pub(super) async fn ledger_in_postgres(world: &World) -> Result<Place> {
    let mut connection = PgConnection::connect(&Servers::of_this_run()?.postgres).await?;
    let tables: Vec<String> =
        sqlx::query_scalar("select table_name::text from information_schema.tables where table_schema = $1")
            .bind(world.name())
            .fetch_all(&mut connection)
            .await?;
    let mut rows = String::new();
    for table in tables {
        let sql = format!(
            "select coalesce(string_agg(it::text, E'\\n'), '') from {}.{table} it",
            world.name()
        );
        let text: String = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut connection).await?;
        rows += &text;
    }
    Ok(Place::text("ledger", rows))
}

/// Leaves a word in a column of the ledger.
pub(super) async fn leave_in_ledger(world: &World, ledger: Technology, word: &str) -> Result<()> {
    let columns = "(id, queue, code, field, at, expires_at, state)";
    let values = format!("('decoy', 'decoy', 'decoy', '{word}', 1, 1, 'open')");
    match ledger {
        Technology::Sqlite => {
            let url = format!("sqlite:{}", world.dir().join("ledger.db").display());
            let sql = format!("insert into parked {columns} values {values}");
            let mut connection = SqliteConnection::connect(&url).await?;
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await?;
            connection.close().await?;
        }
        Technology::Postgres => {
            let sql = format!("insert into {}.parked {columns} values {values}", world.name());
            let mut connection = PgConnection::connect(&Servers::of_this_run()?.postgres).await?;
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await?;
        }
    }
    Ok(())
}

/// Leaves a word in a dead queue that nobody empties any more.
pub(super) async fn leave_in_rabbitmq(world: &World, word: Vec<u8>) -> Result<()> {
    let letter = Message {
        routing_key: "er.dead.profiles.v1".to_owned(),
        body: word,
        ..Message::default()
    };
    let published = Producer::connect(world.amqp()).await?.publish(&letter).await?;
    anyhow::ensure!(published == Published::Confirmed, "{published:?}");
    Ok(())
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        match entry.file_type()? {
            kind if kind.is_dir() => found.extend(files(&entry.path())?),
            kind if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
    Ok(found)
}
