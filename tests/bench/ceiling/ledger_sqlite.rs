//! The ledger's writes as hand-written SQL in SQLite, with the settings of the fleet: a log, and every commit on the disk.

use anyhow::{Context, Result};
use erasure_ledger::{Config, migrate};
use sqlx::{
    Connection, QueryBuilder, Sqlite, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous},
};
use tokio::time::Instant;

use super::ledger::{CONFIRMATIONS_BYTES, ENTRIES, EVENT_BYTES, Part, SENT_BYTES, Writes, bytes, hashes, request_key, sealed};

/// How many rows go into one statement: as many as the fleet's ledger takes.
const ROWS: usize = 1_000;

/// Seconds for all of them.
pub(crate) async fn run(writes: &Writes) -> Result<f64> {
    let folder = tempfile::tempdir().context("making a folder")?;
    let path = folder.path().join("ledger.db");
    migrate(&Config::at(format!("sqlite:{}", path.display()))).await?;
    let options = SqliteConnectOptions::new()
        .filename(&path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .pragma("secure_delete", "ON");
    let mut ledger = SqliteConnection::connect_with(&options).await?;
    let parts = writes.parts();
    let begun = Instant::now();
    for parts in Writes::transactions(&parts) {
        accept(&mut ledger, parts, writes.hashes_per_subject()).await?;
        dispatch(&mut ledger, parts).await?;
        finalise(&mut ledger, parts).await?;
    }
    let seconds = begun.elapsed().as_secs_f64();
    ledger.close().await?;
    Ok(seconds)
}

async fn accept(ledger: &mut SqliteConnection, parts: &[Part], hashes_per_subject: usize) -> Result<()> {
    execute(ledger, "begin immediate").await?;
    let first: Vec<&Part> = parts.iter().filter(|it| it.slice == 0).collect();
    let head = "insert into request (id, tenant, request_id, operation, options, source, origin, regulation, received_at, accepted_at, due_at, \
        lane, state, plan, plan_version, slices, subjects, data_key_id, data_key) ";
    insert(ledger, head, &first, |row, part| {
        row.push_bind(request_key(part.request))
            .push_bind("acme")
            .push_bind(format!("W-{:07}", part.request))
            .push_bind("erase")
            .push_bind("{}")
            .push_bind("producer")
            .push_bind("producer")
            .push_bind("gdpr")
            .push_bind(1)
            .push_bind(1)
            .push_bind(1)
            .push_bind("single")
            .push_bind("running")
            .push_bind(bytes(7, 16))
            .push_bind(4)
            .push_bind(1)
            .push_bind(1)
            .push_bind("2026-11-a1b2c3d4")
            .push_bind(bytes(u64::from(part.request), 61));
    })
    .await?;
    let head = "insert into request_part (request, number, last, fingerprint) ";
    insert(ledger, head, parts, |row, part| {
        row.push_bind(request_key(part.request))
            .push_bind(part.slice)
            .push_bind(part.last)
            .push_bind(bytes(u64::from(part.request), 49));
    })
    .await?;
    insert(
        ledger,
        "insert into slice (request, number, count, sealed) ",
        parts,
        |row, part| {
            row.push_bind(request_key(part.request))
                .push_bind(part.slice)
                .push_bind(part.count)
                .push_bind(sealed(part));
        },
    )
    .await?;
    let hashes: Vec<_> = parts
        .iter()
        .flat_map(|part| hashes(part, hashes_per_subject).map(move |hash| (part, hash)))
        .collect();
    let head = "insert into subject_hash (hash, request, slice, position, key_id) ";
    insert(ledger, head, &hashes, |row, (part, (hash, position))| {
        row.push_bind(hash.clone())
            .push_bind(request_key(part.request))
            .push_bind(part.slice)
            .push_bind(*position)
            .push_bind("2026-11-a1b2c3d4");
    })
    .await?;
    let complete: Vec<&Part> = parts.iter().filter(|it| it.last).collect();
    insert(
        ledger,
        "insert into undispatched (large, accepted_at, request) ",
        &complete,
        |row, part| {
            row.push_bind(0).push_bind(1).push_bind(request_key(part.request));
        },
    )
    .await?;
    events(ledger, &complete, "erasure.request.accepted").await?;
    execute(ledger, "update ledger_meta set seq = seq + 1").await?;
    execute(ledger, "commit").await
}

async fn dispatch(ledger: &mut SqliteConnection, parts: &[Part]) -> Result<()> {
    execute(ledger, "begin immediate").await?;
    let head = "insert into dispatch (request, slice, sent, last_at) ";
    let rows: Vec<&Part> = parts.iter().collect();
    insert(ledger, head, &rows, |row, part| {
        row.push_bind(request_key(part.request))
            .push_bind(part.slice)
            .push_bind(bytes(1, SENT_BYTES))
            .push_bind(1);
    })
    .await?;
    let gone = "delete from undispatched where large = 0 and accepted_at = 1 and request in ";
    of(ledger, gone, &ended(parts)).await?;
    execute(ledger, "commit").await
}

async fn finalise(ledger: &mut SqliteConnection, parts: &[Part]) -> Result<()> {
    execute(ledger, "begin immediate").await?;
    let entries = by_entry(parts.iter());
    let head = "insert into evidence (request, entry, slice, letter, tasks, verified_at) ";
    insert(ledger, head, &entries, |row, (part, entry)| {
        row.push_bind(request_key(part.request))
            .push_bind(*entry)
            .push_bind(part.slice)
            .push_bind("e")
            .push_bind(vec![0xff_u8; part.count.div_ceil(8) as usize])
            .push_bind(1);
    })
    .await?;
    let end = format!(
        "update request set state = 'erased', finished_at = 1, verified_at = 1, software = '0.1.0', confirmations = '{}', \
         data_key = null, data_key_id = null where id in ",
        "c".repeat(CONFIRMATIONS_BYTES)
    );
    of(ledger, &end, &ended(parts)).await?;
    let all: Vec<Vec<u8>> = parts.iter().map(|it| request_key(it.request)).collect();
    of(ledger, "update slice set sealed = null where request in ", &all).await?;
    of(ledger, "delete from dispatch where request in ", &all).await?;
    let complete: Vec<&Part> = parts.iter().filter(|it| it.last).collect();
    events(ledger, &complete, "erasure.request.erased").await?;
    execute(ledger, "commit").await?;
    execute(ledger, "update outbox set sent_at = 1 where sent_at is null").await
}

async fn events(ledger: &mut SqliteConnection, complete: &[&Part], kind: &'static str) -> Result<()> {
    let head = "insert into outbox (id, kind, routing_key, body, created_at) ";
    insert(ledger, head, complete, |row, part| {
        row.push_bind(format!("{:036x}:{}", part.request, &kind[16..]))
            .push_bind(kind)
            .push_bind(kind)
            .push_bind(bytes(u64::from(part.request), EVENT_BYTES))
            .push_bind(1);
    })
    .await
}

fn ended(parts: &[Part]) -> Vec<Vec<u8>> {
    parts.iter().filter(|it| it.last).map(|it| request_key(it.request)).collect()
}

fn by_entry<'a>(parts: impl Iterator<Item = &'a Part>) -> Vec<(&'a Part, i64)> {
    let entries = 0..i64::try_from(ENTRIES).unwrap_or(i64::MAX);
    parts
        .flat_map(|part| entries.clone().map(move |entry| (part, entry)))
        .collect()
}

async fn insert<T>(
    ledger: &mut SqliteConnection,
    head: &str,
    rows: &[T],
    bind: impl Fn(&mut sqlx::query_builder::Separated<'_, Sqlite, &'static str>, &T),
) -> Result<()> {
    for rows in rows.chunks(ROWS) {
        let mut query = QueryBuilder::<Sqlite>::new(head);
        query.push_values(rows, |mut row, it| bind(&mut row, it));
        query.build().execute(&mut *ledger).await.with_context(|| head.to_owned())?;
    }
    Ok(())
}

async fn of(ledger: &mut SqliteConnection, head: &str, requests: &[Vec<u8>]) -> Result<()> {
    for requests in requests.chunks(ROWS) {
        let mut query = QueryBuilder::<Sqlite>::new(head);
        query.push_tuples(requests, |mut row, it| {
            row.push_bind(it.clone());
        });
        query.build().execute(&mut *ledger).await.with_context(|| head.to_owned())?;
    }
    Ok(())
}

async fn execute(ledger: &mut SqliteConnection, sql: &'static str) -> Result<()> {
    sqlx::query(sql).execute(ledger).await.context(sql)?;
    Ok(())
}
