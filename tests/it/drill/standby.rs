//! A PostgreSQL store that must have a synchronous standby, and has lost it.

use crate::asked::{PATIENCE, ask, quick, status, until_state};
use anyhow::{Result, ensure};
use erasure_tests::{
    company::Technology,
    eventually::eventually,
    private::{Kind, PrivateServer},
};
use sqlx::{Connection, PgConnection};

/// What is gone on the primary alone comes back with a failover. So whoever finds nothing left waits like the one that erased it.
#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_found_done_waits_for_the_standby_like_any_other() -> Result<()> {
    let server = PrivateServer::start(Kind::Postgres)?;
    let world = quick().stores(Technology::Postgres).postgres(server.url()).build().await?;
    let _fleet = world.run_all().await?;
    ask(&world, "first", &["user_id=u-0000003"]).await?;
    until_state(&world, "first", "erased").await?;

    let mut administrator = PgConnection::connect(&server.url()).await?;
    let reload = "select pg_reload_conf()";
    sqlx::raw_sql("alter system set synchronous_standby_names = 'nobody'")
        .execute(&mut administrator)
        .await?;
    sqlx::raw_sql(reload).execute(&mut administrator).await?;
    ask(&world, "second", &["user_id=u-0000003"]).await?;
    let waiting = "select count(*) from pg_stat_activity where wait_event = 'SyncRep'";
    let either = || async {
        let ended = status(&world, "second").await.ok().flatten()?["finished_at"].is_string();
        let waits = world.company().number("crm", waiting).await.ok()? >= 3;
        (ended || waits).then_some(ended)
    };
    let ended = eventually("it waits in all three stores, or ends", PATIENCE, either).await?;
    ensure!(!ended, "it has ended though no standby has heard of it");

    sqlx::raw_sql("alter system reset synchronous_standby_names")
        .execute(&mut administrator)
        .await?;
    sqlx::raw_sql(reload).execute(&mut administrator).await?;
    until_state(&world, "second", "nothing_held").await.map(|_| ())
}
