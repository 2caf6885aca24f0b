//! Data maps change while requests are open: what counts is what the newest one asks for.

use anyhow::Result;

use crate::asked::{
    PATIENCE, ask, held, line, others, quick, sample_map, sample_map_without, status, until_line, until_ready, until_registered,
    until_state, until_waits,
};
use erasure_tests::eventually::eventually_true;

const REPORTS: &str = "[subsystem.analytics.table.report_rows]";
const REPORTS_OF_3: &str = "select count(*) from report_rows where user_id = 'u-0000003'";

#[tokio::test]
async fn evidence_of_a_worker_on_an_old_map_does_not_make_a_person_erased() -> Result<()> {
    let world = quick().map(sample_map_without(REPORTS)?).build().await?;
    let before = others(world.company(), &[3]).await?;
    let mut old_worker = world.run(&["analytics"])?;
    let mut keeper = world.run(&["intake", "reconciler"])?;
    keeper.ready().await?;
    old_worker.ready().await?;
    ask(&world, "R-1", &["user_id=u-0000003"]).await?;
    until_line(&world, "R-1", "analytics", "done").await?;
    assert_eq!(
        world.company().number("warehouse", REPORTS_OF_3).await?,
        2,
        "the old map knows no reports"
    );

    keeper.term().await?;
    world.file("map.toml", sample_map()?)?;
    let mut keeper = world.run(&["intake", "reconciler", "profiles", "segments"])?;
    keeper.ready().await?;
    until_line(&world, "R-1", "profiles", "done").await?;
    until_line(&world, "R-1", "segments", "done").await?;
    until_waits(&old_worker, "older data map").await?;
    let extended = || async { keeper.log().is_ok_and(|log| log.contains("plan extended")) };
    eventually_true("the plan is extended", PATIENCE, extended).await?;
    let open = status(&world, "R-1").await?.unwrap_or_default();
    assert_eq!(open["state"], "running", "{open}");
    assert_ne!(line(&open, "analytics")["state"], "done", "{open}");
    assert_eq!(world.company().number("warehouse", REPORTS_OF_3).await?, 2);

    let _new_worker = world.run(&["analytics"])?;
    until_state(&world, "R-1", "erased").await?;
    assert_eq!(held(world.company(), 3).await?, 0);
    assert_eq!(others(world.company(), &[3]).await?, before);
    assert!(old_worker.runs());
    Ok(())
}

#[tokio::test]
async fn a_process_on_an_older_map_says_so_and_takes_nothing_until_its_revision_is_raised() -> Result<()> {
    let old = sample_map_without(REPORTS)?;
    let world = quick().map(old.clone()).build().await?;
    let mut role = world.run_all().await?;
    let first = until_registered(&world, "analytics", None).await?;
    role.term().await?;
    world.file("map.toml", sample_map()?)?;
    let mut role = world.run_all().await?;
    until_registered(&world, "analytics", Some(&first)).await?;
    role.term().await?;

    world.file("map.toml", &old)?;
    let mut role = world.run(&["all"])?;
    until_waits(&role, "older data map").await?;
    ask(&world, "R-1", &["user_id=u-0000003"]).await?;
    let said = until_waits(&role, "another evidence key").await?;
    assert!(said.contains("intake"), "{said}");
    assert_eq!(status(&world, "R-1").await?, None, "an outdated intake takes nothing");
    assert!(held(world.company(), 3).await? > 0);
    role.term().await?;

    world.file("map.toml", old.replace("\nrevision = 1\n", "\nrevision = 2\n"))?;
    let role = world.run(&["all"])?;
    until_state(&world, "R-1", "erased").await?;
    until_ready(&role).await?;
    assert_eq!(
        world.company().number("warehouse", REPORTS_OF_3).await?,
        2,
        "this map knows no reports"
    );
    Ok(())
}

#[tokio::test]
async fn a_subsystem_added_while_a_request_is_open_must_be_passed_too() -> Result<()> {
    let world = quick().map(sample_map_without("[subsystem.segments")?).build().await?;
    let before = others(world.company(), &[3]).await?;
    let mut role = world.run(&["intake", "reconciler", "profiles"])?;
    ask(&world, "R-1", &["external_id=ext-0000003"]).await?;
    let open = until_line(&world, "R-1", "profiles", "done").await?;
    assert!(line(&open, "segments").is_null(), "{open}");
    role.term().await?;

    world.file("map.toml", sample_map()?)?;
    let _role = world.run(&["all"])?;
    let erased = until_state(&world, "R-1", "erased").await?;
    assert_eq!(line(&erased, "segments")["state"], "done", "{erased}");
    assert_eq!(held(world.company(), 3).await?, 0);
    assert_eq!(others(world.company(), &[3]).await?, before);
    Ok(())
}

#[tokio::test]
async fn a_registered_subsystem_missing_in_the_configuration_stops_intake_until_it_is_retired() -> Result<()> {
    let world = quick().build().await?;
    let mut role = world.run(&["all"])?;
    until_registered(&world, "segments", None).await?;
    role.term().await?;

    world.file("map.toml", sample_map_without("[subsystem.segments")?)?;
    let role = world.run(&["all"])?;
    ask(&world, "R-1", &["user_id=u-0000003"]).await?;
    let said = until_waits(&role, "missing in this configuration").await?;
    assert!(
        said.contains("segments") && said.contains("erasure subsystem retire"),
        "{said}"
    );
    assert_eq!(status(&world, "R-1").await?, None);

    let retire = ["subsystem", "retire", "segments", "--reason", "sold", "--actor", "ops"];
    world.command(&retire).await?.done()?;
    let erased = until_state(&world, "R-1", "erased").await?;
    assert!(line(&erased, "segments").is_null(), "{erased}");
    let memberships = "select count(*) from memberships where user_id = 'u-0000003'";
    assert_eq!(
        world.company().number("marketing", memberships).await?,
        1,
        "nobody asked segments"
    );
    Ok(())
}
