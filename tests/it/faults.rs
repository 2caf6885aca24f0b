//! A store that is broken in some way: who waits, who must act, what is said, and that it ends well once the cause is gone.

use anyhow::{Result, ensure};
use erasure_tests::{
    company::{Company, Technology},
    proxy::Proxy,
    servers::Servers,
};

use crate::office::{Office, hasty, line, text};

const SOMEBODY: u32 = 7;

/// Breaks, sees it stuck with this reason, mends, redrives, and sees it erased.
async fn broken_and_mended(technology: Technology, store: &str, breaks: &str, mends: &str, reason: [&str; 3]) -> Result<()> {
    let office = Office::open(hasty().stores(technology)).await?;
    let before = office.others(&[SOMEBODY]).await?;
    office.world.company().execute(store, breaks).await?;
    office.ask("broken", "acme", &[SOMEBODY], &[]).await?;
    let [subsystem, code, source] = reason;
    let answer = office.stuck("broken", subsystem, code, source).await?;
    ensure!(answer["acts"] == "operations", "operations must act: {answer:#}");
    office.world.company().execute(store, mends).await?;
    office.redrive().await?;
    office.finishes("broken", "erased").await?;
    assert_eq!(office.rows_of(&[SOMEBODY]).await?, 0);
    assert_eq!(office.others(&[SOMEBODY]).await?, before);
    Ok(())
}

#[tokio::test]
async fn a_missing_table_needs_attention_and_one_redrive_finishes_it() -> Result<()> {
    let breaks = "alter table report_rows rename to report_rows_gone";
    let mends = "alter table report_rows_gone rename to report_rows";
    let reason = ["analytics", "STORE-012", "warehouse.report_rows"];
    broken_and_mended(Technology::Sqlite, "warehouse", breaks, mends, reason).await
}

#[tokio::test]
async fn a_missing_table_in_postgresql_needs_attention_and_one_redrive_finishes_it() -> Result<()> {
    let breaks = "alter table memberships rename to memberships_gone";
    let mends = "alter table memberships_gone rename to memberships";
    let reason = ["segments", "STORE-012", "marketing.memberships"];
    broken_and_mended(Technology::Postgres, "marketing", breaks, mends, reason).await
}

#[tokio::test]
async fn a_missing_column_needs_attention_and_one_redrive_finishes_it() -> Result<()> {
    let breaks = "alter table events rename column user_id to somebody";
    let mends = "alter table events rename column somebody to user_id";
    let reason = ["analytics", "STORE-013", "warehouse.events.user_id"];
    broken_and_mended(Technology::Sqlite, "warehouse", breaks, mends, reason).await
}

#[tokio::test]
async fn a_column_that_goes_while_the_fleet_runs_is_noticed_in_postgresql() -> Result<()> {
    let office = Office::open(hasty().stores(Technology::Postgres)).await?;
    // The fleet has seen the schema before it changes.
    office.ask("before", "acme", &[8], &[]).await?;
    office.finishes("before", "erased").await?;
    let company = office.world.company();
    company
        .execute("warehouse", "alter table events rename column user_id to somebody")
        .await?;
    office.ask("broken", "acme", &[SOMEBODY], &[]).await?;
    let fits = |answer: &serde_json::Value| line(answer, "analytics")["fault"]["code"] == "STORE-013";
    office.until("broken", "analytics misses a column", fits).await?;
    company
        .execute("warehouse", "alter table events rename column somebody to user_id")
        .await?;
    office.redrive().await?;
    office.finishes("broken", "erased").await?;
    assert_eq!(office.rows_of(&[SOMEBODY, 8]).await?, 0);
    Ok(())
}

/// A login of this test, and the URL that uses it.
async fn login(company: &Company, name: &str, url: &str) -> Result<String> {
    let sql = format!(
        "create role {name} login; grant usage on schema {name}_marketing to {name}; \
                       grant select on all tables in schema {name}_marketing to {name}"
    );
    company.execute("marketing", &sql).await?;
    Ok(url.replace("app@", &format!("{name}@")))
}

#[tokio::test]
async fn a_login_that_may_only_read_needs_attention_until_it_is_granted_more() -> Result<()> {
    let mut world = hasty().stores(Technology::Postgres).build().await?;
    let name = world.name().to_owned();
    let url = login(world.company(), &name, &world.company().urls()["marketing"]).await?;
    world.set("store.marketing.url", url)?;
    let role = world.run_all().await?;
    let office = Office::at(world, role);
    let before = office.others(&[SOMEBODY]).await?;
    office.ask("read-only", "acme", &[SOMEBODY], &[]).await?;
    office
        .stuck("read-only", "segments", "STORE-011", "marketing.memberships")
        .await?;
    let company = office.world.company();
    let grant = format!("grant select, update, delete on all tables in schema {name}_marketing to {name}");
    company.execute("marketing", &grant).await?;
    office.redrive().await?;
    office.finishes("read-only", "erased").await?;
    assert_eq!(office.rows_of(&[SOMEBODY]).await?, 0);
    assert_eq!(office.others(&[SOMEBODY]).await?, before);
    company.execute("marketing", &format!("drop owned by {name}")).await
}

#[tokio::test]
async fn a_store_that_takes_no_writes_needs_attention_until_it_does() -> Result<()> {
    let mut world = hasty().stores(Technology::Postgres).build().await?;
    let name = world.name().to_owned();
    let url = login(world.company(), &name, &world.company().urls()["marketing"]).await?;
    let company = world.company();
    let grant = format!(
        "grant select, update, delete on all tables in schema {name}_marketing to {name}; \
                         alter role {name} set default_transaction_read_only = on"
    );
    company.execute("marketing", &grant).await?;
    world.set("store.marketing.url", url)?;
    let role = world.run_all().await?;
    let office = Office::at(world, role);
    office.ask("read-only", "acme", &[SOMEBODY], &[]).await?;
    let fits = |answer: &serde_json::Value| line(answer, "segments")["fault"]["code"] == "STORE-014";
    office.until("read-only", "the store is read-only", fits).await?;
    let company = office.world.company();
    let open = format!("alter role {name} reset default_transaction_read_only");
    company.execute("marketing", &open).await?;
    let ended = format!("select pg_terminate_backend(pid) from pg_stat_activity where usename = '{name}'");
    company.execute("marketing", &ended).await?;
    office.redrive().await?;
    office.finishes("read-only", "erased").await?;
    assert_eq!(office.rows_of(&[SOMEBODY]).await?, 0);
    company.execute("marketing", &format!("drop owned by {name}")).await
}

#[tokio::test]
async fn a_refused_login_needs_attention_until_it_is_let_in_again() -> Result<()> {
    let mut world = hasty().stores(Technology::Postgres).build().await?;
    let name = world.name().to_owned();
    let url = login(world.company(), &name, &world.company().urls()["marketing"]).await?;
    let grant = format!("grant select, update, delete on all tables in schema {name}_marketing to {name}");
    world.company().execute("marketing", &grant).await?;
    world.set("store.marketing.url", url)?;
    let role = world.run_all().await?;
    let office = Office::at(world, role);
    // The store has been seen once: from then on nobody is kept from asking.
    office.ask("before", "acme", &[8], &[]).await?;
    office.finishes("before", "erased").await?;
    let company = office.world.company();
    let locked = format!(
        "alter role {name} nologin; \
                          select pg_terminate_backend(pid) from pg_stat_activity where usename = '{name}'"
    );
    company.execute("marketing", &locked).await?;
    office.ask("refused", "acme", &[SOMEBODY], &[]).await?;
    office.stuck("refused", "segments", "STORE-010", "marketing").await?;
    company.execute("marketing", &format!("alter role {name} login")).await?;
    office.redrive().await?;
    office.finishes("refused", "erased").await?;
    assert_eq!(office.rows_of(&[SOMEBODY]).await?, 0);
    company.execute("marketing", &format!("drop owned by {name}")).await
}

#[tokio::test]
async fn a_store_that_cannot_be_reached_is_retried_with_reason_and_time_and_needs_nobody_when_it_is_back() -> Result<()> {
    let servers = Servers::of_this_run()?;
    let wire = Proxy::start(erasure_tests::proxy::host_of(&servers.postgres)?).await?;
    let rungs: Vec<toml::Value> = vec![200.into(), 1_000.into()];
    let builder = hasty()
        .stores(Technology::Postgres)
        .set("retry.rungs", rungs)
        .set("retry.attempts_max", 50);
    let mut world = builder.build().await?;
    let url = wire.instead_of_host_in(&world.company().urls()["warehouse"])?;
    world.set("store.warehouse.url", url)?;
    world.set("store.warehouse.connect_timeout_ms", 1_000)?;
    let role = world.run_all().await?;
    let office = Office::at(world, role);
    // The store has been seen once: from then on nobody is kept from asking.
    office.ask("before", "acme", &[8], &[]).await?;
    office.finishes("before", "erased").await?;
    let before = office.others(&[SOMEBODY]).await?;
    wire.cut();
    office.ask("cut", "acme", &[SOMEBODY], &[]).await?;
    let fits = |answer: &serde_json::Value| {
        let line = line(answer, "analytics");
        line["state"] == "retrying" && line["fault"]["code"] == "STORE-001" && line["next_at"].is_string()
    };
    let answer = office.until("cut", "analytics retries", fits).await?;
    assert_eq!(answer["acts"], "fleet", "nobody must act: {answer:#}");
    let sentence = text(&line(&answer, "analytics")["sentence"])?;
    assert!(
        sentence.contains("warehouse: store cannot be reached, STORE-001"),
        "{sentence}"
    );
    assert!(text(&answer["text"])?.starts_with("Not erased yet."), "{answer:#}");
    wire.resume();
    office.finishes("cut", "erased").await?;
    assert_eq!(office.rows_of(&[SOMEBODY]).await?, 0);
    assert_eq!(office.others(&[SOMEBODY]).await?, before);
    Ok(())
}

#[tokio::test]
async fn a_store_that_cannot_be_reached_at_the_start_is_waited_for() -> Result<()> {
    let servers = Servers::of_this_run()?;
    let wire = Proxy::start(erasure_tests::proxy::host_of(&servers.postgres)?).await?;
    let mut world = hasty()
        .stores(Technology::Postgres)
        .set("reconciler.register_every_ms", 300)
        .build()
        .await?;
    let url = wire.instead_of_host_in(&world.company().urls()["warehouse"])?;
    world.set("store.warehouse.url", url)?;
    world.set("store.warehouse.connect_timeout_ms", 500)?;
    wire.cut();
    let role = world.run(&["all"])?;
    let mut office = Office::at(world, role);
    let client = reqwest::Client::new();
    let names_it = || async {
        let answer = client.get(office.role.url("/readyz")).send().await.ok()?.text().await.ok()?;
        answer.contains("STORE-001").then_some(())
    };
    erasure_tests::eventually::eventually("/readyz names the store", crate::office::PATIENCE, names_it).await?;
    office.ask("early", "acme", &[SOMEBODY], &[]).await?;
    assert_ne!(office.rows_of(&[SOMEBODY]).await?, 0);
    wire.resume();
    office.finishes("early", "erased").await?;
    office.role.ready().await?;
    assert_eq!(office.rows_of(&[SOMEBODY]).await?, 0);
    Ok(())
}

#[tokio::test]
async fn somebody_with_more_rows_than_the_cap_is_parked_alone() -> Result<()> {
    let office = Office::open(hasty()).await?;
    let company = office.world.company();
    let asked = [5, 6, SOMEBODY, 8, 9];
    let done = [5, 6, 8, 9];
    let before = office.others(&asked).await?;
    let more = "with recursive n (i) as (select 1 union all select i + 1 from n where i < 10001) \
                insert into report_rows (id, tenant_id, user_id, month, visits) \
                select 1000000 + i, 'acme', 'u-0000007', '2024-03', 1 from n";
    company.execute("warehouse", more).await?;
    office.ask("wide", "acme", &asked, &[]).await?;
    let answer = office
        .stuck("wide", "analytics", "STORE-021", "warehouse.report_rows")
        .await?;
    assert_eq!(line(&answer, "analytics")["counts"]["needs_attention"], 1, "{answer:#}");
    let all_but_one = |answer: &serde_json::Value| {
        let people = &answer["people"];
        people["erased"] == 4 && people["needs_attention"] == 1
    };
    office.until("wide", "the others are done", all_but_one).await?;
    assert_eq!(office.rows_of(&done).await?, 0);
    company
        .execute("warehouse", "delete from report_rows where id > 1000000")
        .await?;
    office.redrive().await?;
    office.finishes("wide", "erased").await?;
    assert_eq!(office.rows_of(&asked).await?, 0);
    assert_eq!(office.others(&asked).await?, before);
    Ok(())
}

/// A rule of the store's own that holds one person's row.
async fn one_is_held(technology: Technology, holds: &str, lets_go: &str) -> Result<()> {
    let office = Office::open(hasty().stores(technology)).await?;
    let company = office.world.company();
    let asked: Vec<u32> = (1..=20).collect();
    let done: Vec<u32> = asked.iter().copied().filter(|n| *n != SOMEBODY).collect();
    let before = office.others(&asked).await?;
    company.execute("warehouse", holds).await?;
    office.ask("held", "acme", &asked, &[]).await?;
    let answer = office
        .stuck("held", "analytics", "STORE-020", "warehouse.report_rows")
        .await?;
    assert_eq!(line(&answer, "analytics")["counts"]["needs_attention"], 1, "{answer:#}");
    let all_but_one = |answer: &serde_json::Value| answer["people"]["erased"] == 19;
    office.until("held", "the others are done", all_but_one).await?;
    assert_eq!(office.rows_of(&done).await?, 0);
    company.execute("warehouse", lets_go).await?;
    office.redrive().await?;
    office.finishes("held", "erased").await?;
    assert_eq!(office.rows_of(&asked).await?, 0);
    assert_eq!(office.others(&asked).await?, before);
    Ok(())
}

#[tokio::test]
async fn one_whom_the_store_holds_is_parked_alone() -> Result<()> {
    let holds = "create trigger holds before delete on report_rows when old.user_id = 'u-0000007' \
                 begin select raise(abort, 'u-0000007 is held'); end";
    one_is_held(Technology::Sqlite, holds, "drop trigger holds").await
}

#[tokio::test]
async fn one_whom_a_trigger_in_postgresql_holds_is_parked_alone() -> Result<()> {
    let holds = "create function holds() returns trigger language plpgsql as \
                 $$ begin raise exception '% is held', old.user_id; end $$; \
                 create trigger holds before delete on report_rows for each row \
                 when (old.user_id = 'u-0000007') execute function holds()";
    one_is_held(
        Technology::Postgres,
        holds,
        "drop trigger holds on report_rows; drop function holds()",
    )
    .await
}

#[tokio::test]
async fn somebody_who_is_written_back_is_never_called_erased() -> Result<()> {
    let office = Office::open(hasty()).await?;
    let company = office.world.company();
    let before = office.others(&[SOMEBODY]).await?;
    let writes_back = "create trigger writes_back after delete on report_rows begin \
                       insert into report_rows (id, tenant_id, user_id, month, visits) \
                       values (old.id + 1000000, old.tenant_id, old.user_id, old.month, old.visits); end";
    company.execute("warehouse", writes_back).await?;
    office.ask("residue", "acme", &[SOMEBODY], &[]).await?;
    let answer = office
        .stuck("residue", "analytics", "STORE-030", "warehouse.report_rows")
        .await?;
    assert_eq!(line(&answer, "analytics")["attempt"], 3, "every attempt was made: {answer:#}");
    company.execute("warehouse", "drop trigger writes_back").await?;
    office.redrive().await?;
    office.finishes("residue", "erased").await?;
    assert_eq!(office.rows_of(&[SOMEBODY]).await?, 0);
    assert_eq!(office.others(&[SOMEBODY]).await?, before);
    Ok(())
}

#[tokio::test]
async fn a_discarded_request_is_closed_not_erased_and_says_so_for_ever() -> Result<()> {
    let office = Office::open(hasty()).await?;
    let company = office.world.company();
    company.execute("warehouse", "alter table report_rows rename to gone").await?;
    let producer = erasure_tests::producer::Producer::connect(office.world.amqp()).await?;
    let mut tap = producer.tap("erasure.events", "#").await?;
    office.ask("given-up", "acme", &[SOMEBODY], &[]).await?;
    office
        .stuck("given-up", "analytics", "STORE-012", "warehouse.report_rows")
        .await?;
    let discard = [
        "attention",
        "discard",
        "given-up",
        "--tenant",
        "acme",
        "--actor",
        "test",
        "--reason",
        "not-our-customer",
    ];
    office.world.command(&discard).await?.done()?;
    let answer = office.finishes("given-up", "closed_not_erased").await?;
    assert!(text(&answer["text"])?.starts_with("Closed, not erased."), "{answer:#}");
    let status = office
        .world
        .command(&["status", "given-up", "--tenant", "acme"])
        .await?
        .done()?
        .stdout;
    assert!(status.contains("Closed, not erased. An operator gave up on it"), "{status}");
    let heard = loop {
        let heard = tap.next(crate::office::PATIENCE).await?;
        let body = String::from_utf8(heard.body)?;
        assert!(!body.contains("u-0000007"), "{body}");
        assert!(!body.contains("erasure.request.erased"), "{body}");
        if body.contains("erasure.request.closed_not_erased") {
            break body;
        }
    };
    assert!(heard.contains("not-our-customer"), "{heard}");
    // Nothing reopens it: the cause goes, and a redrive finds nothing.
    company.execute("warehouse", "alter table gone rename to report_rows").await?;
    office.redrive().await?;
    office.finishes("given-up", "closed_not_erased").await?;
    let shown = office
        .world
        .command(&["attention", "show", "given-up", "--tenant", "acme"])
        .await?
        .done()?
        .stdout;
    for word in ["closed_not_erased", "discard", "not-our-customer", "test"] {
        assert!(shown.contains(word), "{shown}");
    }
    Ok(())
}
