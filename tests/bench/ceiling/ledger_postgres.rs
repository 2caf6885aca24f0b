//! The ledger's writes as hand-written SQL in PostgreSQL: the fleet's own schema, many requests in a transaction.

use anyhow::{Context, Result};
use erasure_ledger::{Config, migrate};
use erasure_tests::{company::postgres_url, servers::Servers};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::time::Instant;

use super::ledger::{CONFIRMATIONS_BYTES, ENTRIES, EVENT_BYTES, Part, SENT_BYTES, Writes, bytes, hashes, request_key, sealed};
use crate::estate::execute;

/// Seconds for all of them.
pub(crate) async fn run(servers: &Servers, writes: &Writes) -> Result<f64> {
    let schema = format!("bench_{}", uuid::Uuid::new_v4().simple());
    let config = Config {
        schema: schema.clone(),
        ..Config::at(servers.postgres.clone())
    };
    migrate(&config).await?;
    let url = postgres_url(&servers.postgres, &schema);
    let result = measured(&url, writes).await;
    execute(&servers.postgres, &format!("drop schema {schema} cascade")).await?;
    result
}

async fn measured(url: &str, writes: &Writes) -> Result<f64> {
    let mut ledger = PgConnection::connect(url).await?;
    let parts = writes.parts();
    let begun = Instant::now();
    for parts in Writes::transactions(&parts) {
        accept(&mut ledger, parts, writes.hashes_per_subject()).await?;
        dispatch(&mut ledger, parts).await?;
        finalise(&mut ledger, parts).await?;
    }
    Ok(begun.elapsed().as_secs_f64())
}

async fn accept(ledger: &mut PgConnection, parts: &[Part], hashes_per_subject: usize) -> Result<()> {
    run_sql(ledger, "begin", &[], &[]).await?;
    let first: Vec<&Part> = parts.iter().filter(|it| it.slice == 0).collect();
    let requests: Vec<Vec<u8>> = first.iter().map(|it| request_key(it.request)).collect();
    let names: Vec<String> = first.iter().map(|it| format!("W-{:07}", it.request)).collect();
    let keys: Vec<Vec<u8>> = first.iter().map(|it| bytes(u64::from(it.request), 61)).collect();
    sqlx::query(
        "insert into request (id, tenant, request_id, operation, options, source, origin, ticket, regulation, received_at, accepted_at, \
         due_at, lane, state, plan, plan_version, slices, subjects, data_key_id, data_key) \
         select id, 'acme', name, 'erase', '{}', 'producer', 'producer', null, 'gdpr', 1, 1, 1, 'single', \
         'running', $4, 4, 1, 1, '2026-11-a1b2c3d4', key from unnest($1::bytea[], $2::text[], $3::bytea[]) as r (id, name, key)",
    )
    .bind(&requests)
    .bind(&names)
    .bind(&keys)
    .bind(bytes(7, 16))
    .execute(&mut *ledger)
    .await?;

    let of: Vec<Vec<u8>> = parts.iter().map(|it| request_key(it.request)).collect();
    let numbers: Vec<i64> = parts.iter().map(|it| i64::from(it.slice)).collect();
    let last: Vec<i64> = parts.iter().map(|it| i64::from(it.last)).collect();
    let fingerprints: Vec<Vec<u8>> = parts.iter().map(|it| bytes(u64::from(it.request), 49)).collect();
    sqlx::query(
        "insert into request_part (request, number, last, fingerprint) \
         select * from unnest($1::bytea[], $2::bigint[], $3::bigint[], $4::bytea[])",
    )
    .bind(&of)
    .bind(&numbers)
    .bind(&last)
    .bind(&fingerprints)
    .execute(&mut *ledger)
    .await?;
    let counts: Vec<i64> = parts.iter().map(|it| i64::from(it.count)).collect();
    let seals: Vec<Vec<u8>> = parts.iter().map(sealed).collect();
    sqlx::query(
        "insert into slice (request, number, count, sealed) select * from unnest($1::bytea[], $2::bigint[], $3::bigint[], $4::bytea[])",
    )
    .bind(&of)
    .bind(&numbers)
    .bind(&counts)
    .bind(&seals)
    .execute(&mut *ledger)
    .await?;
    let mut rows = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for part in parts {
        for (hash, position) in hashes(part, hashes_per_subject) {
            rows.0.push(hash);
            rows.1.push(request_key(part.request));
            rows.2.push(i64::from(part.slice));
            rows.3.push(position);
        }
    }
    sqlx::query(
        "insert into subject_hash (hash, request, slice, position, key_id) \
         select hash, request, slice, position, '2026-11-a1b2c3d4' \
         from unnest($1::bytea[], $2::bytea[], $3::bigint[], $4::bigint[]) as h (hash, request, slice, position)",
    )
    .bind(&rows.0)
    .bind(&rows.1)
    .bind(&rows.2)
    .bind(&rows.3)
    .execute(&mut *ledger)
    .await?;
    let complete: Vec<&Part> = parts.iter().filter(|it| it.last).collect();
    let wait =
        "insert into undispatched (large, accepted_at, request) select 0, 1, request from unnest($1::bytea[]) as u (request)";
    run_sql(ledger, wait, &ended(parts), &[]).await?;
    events(ledger, &complete, "erasure.request.accepted").await?;
    run_sql(ledger, "update ledger_meta set seq = seq + 1", &[], &[]).await?;
    run_sql(ledger, "commit", &[], &[]).await
}

async fn dispatch(ledger: &mut PgConnection, parts: &[Part]) -> Result<()> {
    let of: Vec<Vec<u8>> = parts.iter().map(|it| request_key(it.request)).collect();
    let numbers: Vec<i64> = parts.iter().map(|it| i64::from(it.slice)).collect();
    run_sql(ledger, "begin", &[], &[]).await?;
    sqlx::query(
        "insert into dispatch (request, slice, sent, last_at) \
         select request, slice, $3, 1 from unnest($1::bytea[], $2::bigint[]) as d (request, slice)",
    )
    .bind(&of)
    .bind(&numbers)
    .bind(bytes(1, SENT_BYTES))
    .execute(&mut *ledger)
    .await?;
    let gone = "delete from undispatched where large = 0 and accepted_at = 1 and request = any($1)";
    run_sql(ledger, gone, &ended(parts), &[]).await?;
    run_sql(ledger, "commit", &[], &[]).await
}

async fn finalise(ledger: &mut PgConnection, parts: &[Part]) -> Result<()> {
    let of: Vec<Vec<u8>> = parts.iter().map(|it| request_key(it.request)).collect();
    let entries = ByEntry::of(parts.iter());
    let masks: Vec<Vec<u8>> = parts
        .iter()
        .flat_map(|it| std::iter::repeat_n(vec![0xff; it.count.div_ceil(8) as usize], ENTRIES))
        .collect();
    run_sql(ledger, "begin", &[], &[]).await?;
    sqlx::query(
        "insert into evidence (request, entry, slice, letter, tasks, verified_at) \
         select request, entry, slice, 'e', tasks, 1 \
         from unnest($1::bytea[], $2::bigint[], $3::bigint[], $4::bytea[]) as e (request, entry, slice, tasks)",
    )
    .bind(&entries.requests)
    .bind(&entries.entries)
    .bind(&entries.slices)
    .bind(&masks)
    .execute(&mut *ledger)
    .await?;
    let confirmations = ["c".repeat(CONFIRMATIONS_BYTES)];
    run_sql(
        ledger,
        "update request set state = 'erased', finished_at = 1, verified_at = 1, software = '0.1.0', confirmations = ($2::text[])[1], \
         data_key = null, data_key_id = null where id = any($1)",
        &ended(parts),
        &confirmations,
    )
    .await?;
    run_sql(ledger, "update slice set sealed = null where request = any($1)", &of, &[]).await?;
    run_sql(ledger, "delete from dispatch where request = any($1)", &of, &[]).await?;
    let complete: Vec<&Part> = parts.iter().filter(|it| it.last).collect();
    events(ledger, &complete, "erasure.request.erased").await?;
    run_sql(ledger, "commit", &[], &[]).await?;
    run_sql(ledger, "update outbox set sent_at = 1 where sent_at is null", &[], &[]).await
}

async fn events(ledger: &mut PgConnection, complete: &[&Part], kind: &str) -> Result<()> {
    let ids: Vec<String> = complete
        .iter()
        .map(|it| format!("{:036x}:{}", it.request, &kind[16..]))
        .collect();
    let bodies: Vec<Vec<u8>> = complete.iter().map(|it| bytes(u64::from(it.request), EVENT_BYTES)).collect();
    sqlx::query(
        "insert into outbox (id, kind, routing_key, body, created_at) \
         select id, $3, $3, body, 1 from unnest($1::text[], $2::bytea[]) as e (id, body)",
    )
    .bind(&ids)
    .bind(&bodies)
    .bind(kind)
    .execute(&mut *ledger)
    .await?;
    Ok(())
}

fn ended(parts: &[Part]) -> Vec<Vec<u8>> {
    parts.iter().filter(|it| it.last).map(|it| request_key(it.request)).collect()
}

/// Rows of which there is one for each entry of the plan, as columns.
struct ByEntry {
    requests: Vec<Vec<u8>>,
    entries: Vec<i64>,
    slices: Vec<i64>,
}

impl ByEntry {
    fn of<'a>(parts: impl Iterator<Item = &'a Part>) -> Self {
        let mut rows = Self {
            requests: Vec::new(),
            entries: Vec::new(),
            slices: Vec::new(),
        };
        for part in parts {
            for entry in 0..i64::try_from(ENTRIES).unwrap_or(i64::MAX) {
                rows.requests.push(request_key(part.request));
                rows.entries.push(entry);
                rows.slices.push(i64::from(part.slice));
            }
        }
        rows
    }
}

async fn run_sql(ledger: &mut PgConnection, sql: &str, requests: &[Vec<u8>], texts: &[String]) -> Result<()> {
    let mut query = sqlx::query(AssertSqlSafe(sql.to_owned()));
    if sql.contains("$1") {
        query = query.bind(requests);
    }
    if sql.contains("$2") {
        query = query.bind(texts);
    }
    query.execute(ledger).await.with_context(|| sql.to_owned())?;
    Ok(())
}
