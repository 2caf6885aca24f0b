//! Where the time goes: a recording of the fleet's process by `perf`, and what PostgreSQL's statements took.

use std::{
    fmt::Write,
    path::{Path, PathBuf},
    process::Stdio,
    sync::OnceLock,
};

use anyhow::{Context, Result};
use sqlx::{Connection, PgConnection, Row};
use tokio::process::{Child, Command};

static FOLDER: OnceLock<PathBuf> = OnceLock::new();

/// Lets [`Profile::start`] do something, and leave it in this folder.
pub(crate) fn ask_for(folder: &Path) {
    // Asked for once, by the command line.
    let _ = FOLDER.set(folder.to_owned());
}

/// A look that has begun.
#[derive(Debug)]
pub(crate) struct Profile {
    perf: Child,
    statements: PathBuf,
}

impl Profile {
    /// Begins to look at a process and at PostgreSQL, if that was asked for.
    pub(crate) async fn start(name: &str, pid: u32, postgres: &str) -> Result<Option<Self>> {
        let Some(folder) = FOLDER.get() else {
            return Ok(None);
        };
        let mut connection = PgConnection::connect(postgres).await?;
        for text in [
            "create extension if not exists pg_stat_statements",
            "select pg_stat_statements_reset()",
        ] {
            sqlx::query(text)
                .execute(&mut connection)
                .await
                .context("looking at statements")?;
        }
        let perf = Command::new("perf")
            .args(["record", "--quiet", "--freq", "199", "--call-graph", "dwarf,16384", "--pid"])
            .arg(pid.to_string())
            .arg("--output")
            .arg(folder.join(format!("{name}.perf")))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("starting perf")?;
        let statements = folder.join(format!("{name}.statements"));
        Ok(Some(Self { perf, statements }))
    }

    /// Ends it, and writes down what PostgreSQL did, by the time it took.
    pub(crate) async fn end(mut self, postgres: &str, subjects: u32) -> Result<()> {
        let pid = self.perf.id().context("perf has ended by itself")?;
        let ended = Command::new("kill").args(["-INT", &pid.to_string()]).status().await?;
        anyhow::ensure!(ended.success(), "perf could not be ended");
        self.perf.wait().await?;
        let mut connection = PgConnection::connect(postgres).await?;
        let rows = sqlx::query(
            "select calls, total_exec_time + total_plan_time, rows, wal_bytes::float8, query from pg_stat_statements \
             order by total_exec_time + total_plan_time desc limit 60",
        )
        .fetch_all(&mut connection)
        .await?;
        let mut text = String::from("us a subject     calls      rows    log bytes a subject  statement\n");
        for row in rows {
            let statement = row.get::<String, _>(4).split_whitespace().collect::<Vec<_>>().join(" ");
            writeln!(
                text,
                "{:12.1} {:9} {:9} {:12.0}  {statement:.240}",
                row.get::<f64, _>(1) * 1e3 / f64::from(subjects),
                row.get::<i64, _>(0),
                row.get::<i64, _>(2),
                row.get::<f64, _>(3) / f64::from(subjects),
            )?;
        }
        std::fs::write(&self.statements, text).with_context(|| format!("writing {}", self.statements.display()))
    }
}
