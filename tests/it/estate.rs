//! The fleet in somebody's estate: logins with few rights, keys that come and go, clocks, addresses, and processes that must not
//! run twice.

use std::{os::unix::fs::PermissionsExt as _, path::Path};

use anyhow::{Context, Result};
use erasure_tests::{company::Technology, eventually::eventually_true, producer::Producer, servers::Servers, world::TOKEN};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::asked::{
    PATIENCE, ask, held, listed, others, quick, status, until_line, until_ready, until_state, until_status, until_waits,
};

/// What the data map of the sample names, by store.
const MAPPED: [(&str, &[&str]); 3] = [
    ("crm", &["participants", "accounts"]),
    ("marketing", &["memberships", "segments"]),
    (
        "warehouse",
        &[
            "events",
            "report_rows",
            "share_links",
            "referrals",
            "rewards",
            "reward_notes",
            "payouts",
        ],
    ),
];

async fn administer(postgres: &str, sql: &str) -> Result<()> {
    let mut connection = PgConnection::connect(postgres).await?;
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
        .execute(&mut connection)
        .await
        .with_context(|| sql.to_owned())?;
    Ok(())
}

/// The tables, columns, indexes and rights of the company and the ledger, in one number.
async fn shape(postgres: &str, name: &str) -> Result<i64> {
    let sql = format!(
        "select hashtext(string_agg(t, ',' order by t))::bigint from (
            select table_schema || '.' || table_name || '.' || column_name || ' ' || data_type from information_schema.columns
             where table_schema like '{name}%'
            union all select indexdef from pg_indexes where schemaname like '{name}%'
            union all select trigger_name || event_object_table from information_schema.triggers where trigger_schema like '{name}%'
            union all select routine_schema || routine_name from information_schema.routines where routine_schema like '{name}%'
         ) it (t)"
    );
    let mut connection = PgConnection::connect(postgres).await?;
    Ok(sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut connection).await?)
}

#[tokio::test]
async fn on_postgresql_the_roles_need_no_more_than_the_grants_and_change_no_schema() -> Result<()> {
    let postgres = Servers::of_this_run()?.postgres;
    let mut world = quick()
        .ledger(Technology::Postgres)
        .stores(Technology::Postgres)
        .build()
        .await?;
    let name = world.name().to_owned();
    let (runs, erases) = (format!("{name}_runs"), format!("{name}_erases"));
    administer(&postgres, &format!("create role {runs} login; create role {erases} login")).await?;
    let grants = world.command(&["ledger", "grants", &runs]).await?.done()?.stdout;
    administer(&postgres, &grants).await?;
    for (store, tables) in MAPPED {
        let schema = format!("{name}_{store}");
        administer(&postgres, &format!("grant usage on schema {schema} to {erases}")).await?;
        for table in tables {
            administer(
                &postgres,
                &format!("grant select, update, delete on {schema}.{table} to {erases}"),
            )
            .await?;
        }
        let url = world.company().urls()[store].replacen("//app@", &format!("//{erases}@"), 1);
        assert!(url.contains(&erases), "{url}");
        world.set(&format!("store.{store}.url"), url)?;
    }
    world.set("ledger.url", postgres.replacen("//app@", &format!("//{runs}@"), 1))?;
    let before = (shape(&postgres, &name).await?, others(world.company(), &[3]).await?);

    let mut roles = Vec::new();
    for role in ["intake", "reconciler", "profiles", "segments", "analytics"] {
        roles.push(world.run(&[role])?);
    }
    ask(&world, "R-1", &["external_id=ext-0000003"]).await?;
    until_state(&world, "R-1", "erased").await?;
    assert_eq!(held(world.company(), 3).await?, 0);
    for role in &roles {
        until_ready(role).await?;
    }
    assert_eq!((shape(&postgres, &name).await?, others(world.company(), &[3]).await?), before);
    let refused = world.command(&["ledger", "migrate"]).await?;
    assert!(refused.code == Some(0) || refused.code == Some(1), "{refused:?}");
    for role in &mut roles {
        role.term().await?;
    }
    administer(
        &postgres,
        &format!("drop owned by {runs}, {erases}; drop role {runs}, {erases}"),
    )
    .await
}

#[tokio::test]
async fn two_intakes_and_two_reconcilers_bring_every_request_to_one_end() -> Result<()> {
    let world = quick().ledger(Technology::Postgres).people(700).build().await?;
    let _first = world.run(&["intake", "reconciler"])?;
    let _second = world.run(&["intake", "reconciler"])?;
    let _workers = world.run(&["profiles", "segments", "analytics"])?;
    let producer = Producer::connect(world.amqp()).await?;
    let mut tap = producer.tap("erasure.events", "#").await?;

    for n in 1..=300 {
        let command = format!(
            r#"{{"version":1,"request_id":"S-{n}","tenant":"acme","operation":"erase","subjects":[{{"user_id":"u-{n:07}"}}]}}"#
        );
        let message = erasure_tests::producer::Message {
            exchange: "erasure".into(),
            routing_key: "request".into(),
            content_type: Some("application/json".into()),
            body: command.into_bytes(),
            ..Default::default()
        };
        producer.publish(&message).await?;
    }
    let rows: Vec<[String; 1]> = (301..=340).map(|n| [format!("u-{n:07}")]).collect();
    let file = world.csv("bulk.csv", &["user_id"], &rows)?;
    let import = ["import", &file, "--tenant", "acme", "--id", "B-1"];
    world.command(&import).await?.done()?;

    let mut ends: std::collections::BTreeMap<String, std::collections::BTreeSet<String>> = std::collections::BTreeMap::new();
    while ends.len() < 301 {
        let heard = tap
            .next(PATIENCE)
            .await
            .with_context(|| format!("{} ends so far", ends.len()))?;
        let event: Value = serde_json::from_slice(&heard.body)?;
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        if event["data"]["finished_at"].is_string() {
            assert_eq!(event["data"]["state"], "erased", "{event}");
            ends.entry(word(&event["data"]["request_id"]))
                .or_default()
                .insert(word(&event["id"]));
        }
    }
    // A second end of an earlier request would have come before the last one's.
    assert!(ends.values().all(|ids| ids.len() == 1), "{ends:?}");
    until_state(&world, "B-1", "erased").await?;
    assert_eq!(world.company().number("crm", "select count(*) from participants").await?, 360);
    assert_eq!(
        world.company().number("warehouse", "select count(*) from events").await?,
        360 * 4
    );
    let counts =
        "select count(*) from segments where member_count <> (select count(*) from memberships where segment_id = segments.id)";
    assert_eq!(world.company().number("marketing", counts).await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_second_fleet_on_the_same_ledger_file_is_refused_and_told_what_to_do() -> Result<()> {
    let world = quick().build().await?;
    let mut first = world.run_all().await?;
    let mut second = world.run(&["all"])?;
    let refused = || async {
        second
            .log()
            .is_ok_and(|log| log.contains("another process is writing the ledger"))
    };
    eventually_true("the second one is refused", PATIENCE, refused).await?;
    assert!(second.log()?.contains("move the ledger to PostgreSQL"), "{}", second.log()?);
    ask(&world, "R-1", &["user_id=u-0000003"]).await?;
    until_state(&world, "R-1", "erased").await?;
    assert!(first.runs());
    if second.runs() {
        second.kill9().await?;
    }
    Ok(())
}

fn mode(path: &Path, mode: u32) -> Result<()> {
    Ok(std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?)
}

#[tokio::test]
async fn a_key_ring_that_is_missing_open_or_weak_is_refused_with_the_command_that_mends_it() -> Result<()> {
    let world = quick().build().await?;
    let ring = world.dir().join("keys.toml");
    let sound = std::fs::read_to_string(&ring)?;
    let refusal = || async {
        let answer = world.command(&["run", "all"]).await?;
        assert_eq!(answer.code, Some(1), "{answer:?}");
        anyhow::Ok(format!("{}{}", answer.stdout, answer.stderr))
    };

    mode(&ring, 0o644)?;
    let said = refusal().await?;
    assert!(said.contains("chmod 600"), "{said}");
    mode(&ring, 0o600)?;

    let material = material(&serde_json::from_str(&sound)?).context("a ring has material")?;
    std::fs::write(&ring, sound.replace(&material, &"A".repeat(material.len())))?;
    let said = refusal().await?;
    assert!(said.contains("weak") && said.contains("erasure key rotate"), "{said}");

    std::fs::remove_file(&ring)?;
    let said = refusal().await?;
    assert!(said.contains("erasure key generate"), "{said}");

    std::fs::write(&ring, sound)?;
    mode(&ring, 0o600)?;
    let mut role = world.run_all().await?;
    role.term().await?;
    Ok(())
}

/// The first text under the name `material`, wherever it is.
fn material(value: &Value) -> Option<String> {
    let own = value["material"].as_str().map(str::to_owned);
    let inner = || match value {
        Value::Object(fields) => fields.values().find_map(material),
        Value::Array(items) => items.iter().find_map(material),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    };
    own.or_else(inner)
}

#[tokio::test]
async fn a_worker_without_the_newest_key_pauses_parks_nobody_and_goes_on_with_the_full_ring() -> Result<()> {
    let world = quick().build().await?;
    let ring = world.dir().join("keys.toml");
    let old = world.dir().join("old-keys.toml");
    std::fs::copy(&ring, &old)?;
    world.command(&["key", "rotate"]).await?.done()?;
    let _keeper = world.run(&["intake", "reconciler"])?;
    let workers = ["profiles", "segments", "analytics"];
    let mut left_behind = world.run_with(&workers, &[("ERASURE__KEYS__FILE", &old.display().to_string())])?;
    left_behind.ready().await?;
    ask(&world, "R-1", &["user_id=u-0000003"]).await?;
    let said = until_waits(&left_behind, "is not in the key ring").await?;
    assert!(
        said.contains("profiles.single") || said.contains("segments.single") || said.contains("analytics.single"),
        "{said}"
    );
    let attention = world.command(&["attention", "list", "--json"]).await?.done()?;
    assert!(!attention.stdout.contains("R-1"), "{attention:?}");
    let open = status(&world, "R-1").await?.unwrap_or_default();
    assert_eq!(open["state"], "running", "{open}");
    assert!(held(world.company(), 3).await? > 0);
    left_behind.term().await?;

    let _workers = world.run(&workers)?;
    until_state(&world, "R-1", "erased").await?;
    assert_eq!(held(world.company(), 3).await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_key_is_retired_only_when_no_open_request_needs_it() -> Result<()> {
    let world = quick().build().await?;
    let _keeper = world.run(&["intake", "reconciler"])?;
    ask(&world, "R-1", &["user_id=u-0000003"]).await?;
    until_line(&world, "R-1", "profiles", "pending").await?;
    let keys = listed(&world, &["key", "list"]).await?;
    let seal = keys.iter().find(|key| key["purpose"] == "seal").context("a seal key")?;
    let seal = seal["id"].as_str().context("its id")?.to_owned();
    world.command(&["key", "rotate"]).await?.done()?;
    let refused = world.command(&["key", "retire", &seal]).await?;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("1 open request"), "{refused:?}");

    let _workers = world.run(&["profiles", "segments", "analytics"])?;
    until_state(&world, "R-1", "erased").await?;
    world.command(&["key", "retire", &seal]).await?.done()?;
    let keys = listed(&world, &["key", "list"]).await?;
    let state = keys.iter().find(|key| key["id"] == seal.as_str()).map(|key| &key["state"]);
    assert_eq!(state, Some(&"retired".into()), "{keys:?}");
    Ok(())
}

#[tokio::test]
async fn http_answers_this_machine_alone_without_tls_and_nobody_without_the_token() -> Result<()> {
    let world = quick().build().await?;
    let open = std::net::TcpListener::bind(("0.0.0.0", 0))?.local_addr()?.to_string();
    let mut exposed = world.run_with(&["all"], &[("ERASURE__HTTP__LISTEN", &open)])?;
    assert!(!exposed.ended().await?.success());
    assert!(
        exposed.log()?.contains("TLS") || exposed.log()?.contains("tls"),
        "{}",
        exposed.log()?
    );

    let role = world.run(&["all"])?;
    until_ready(&role).await?;
    ask(&world, "R-1", &["user_id=u-0000003"]).await?;
    until_state(&world, "R-1", "erased").await?;
    let client = reqwest::Client::new();
    let url = role.url("/v1/requests/R-1?tenant=acme");
    assert_eq!(client.get(&url).send().await?.status(), 401);
    assert_eq!(client.get(&url).bearer_auth("another").send().await?.status(), 401);
    let known = client.get(&url).bearer_auth(TOKEN).send().await?;
    assert_eq!(known.status(), 200);
    assert_eq!(known.json::<Value>().await?["state"], "erased");
    let metrics = client.get(role.url("/metrics")).send().await?.text().await?;
    assert!(metrics.contains("erasure_tasks_total{"), "{metrics}");
    assert_eq!(client.get(role.url("/healthz")).send().await?.status(), 200);
    Ok(())
}

#[tokio::test]
async fn a_request_past_its_due_date_is_overdue_in_status_event_and_log() -> Result<()> {
    let world = quick().build().await?;
    let role = world.run(&["intake", "reconciler"])?;
    until_ready(&role).await?;
    let producer = Producer::connect(world.amqp()).await?;
    let mut tap = producer.tap("erasure.events", "erasure.request.overdue").await?;
    let forty_days_ago = (jiff::Timestamp::now() - jiff::SignedDuration::from_hours(40 * 24)).to_string();
    ask(&world, "R-1", &["user_id=u-0000003", "--received-at", &forty_days_ago]).await?;
    ask(&world, "R-2", &["user_id=u-0000006"]).await?;
    let event: Value = serde_json::from_slice(&tap.next(PATIENCE).await?.body)?;
    assert_eq!(event["data"]["request_id"], "R-1", "{event}");
    let overdue = until_status(&world, "R-1", "overdue", |status| status["overdue"] == true).await?;
    assert_ne!(overdue["state"], "erased", "{overdue}");
    assert_eq!(status(&world, "R-2").await?.unwrap_or_default()["overdue"], false);
    assert!(
        role.log()?.contains("overdue: the request is past its due date"),
        "{}",
        role.log()?
    );

    let _workers = world.run(&["profiles", "segments", "analytics"])?;
    until_state(&world, "R-1", "erased").await?;
    Ok(())
}

#[tokio::test]
async fn two_fleets_on_one_redis_under_one_prefix_know_nothing_of_each_other() -> Result<()> {
    let first = quick().build().await?;
    let _role = first.run_all().await?;
    ask(&first, "R-1", &["user_id=u-0000003"]).await?;
    until_state(&first, "R-1", "erased").await?;
    let second = quick().set("tracker.key_prefix", first.name()).build().await?;
    let _other = second.run_all().await?;
    assert_eq!(status(&second, "R-1").await?, None, "another ledger's end is nobody's here");
    ask(&second, "R-1", &["user_id=u-0000006"]).await?;
    until_state(&second, "R-1", "erased").await?;
    assert_eq!(held(second.company(), 6).await?, 0);
    assert!(held(second.company(), 3).await? > 0);
    assert!(held(first.company(), 6).await? > 0);
    Ok(())
}
