//! Two requests for one person, and somebody new behind an old address.

use anyhow::Result;
use erasure_tests::world::World;
use serde_json::Value;

use crate::asked::{ask, held, line, others, quick, status, until_line, until_ready, until_state};

const BREAK: &str = "alter table events rename to events_away";
const MEND: &str = "alter table events_away rename to events";
const EMAIL: [&str; 2] = ["email=person0000003@example.invalid", "business_unit=eu"];

fn is_final(status: &Value) -> bool {
    status["finished_at"].is_string()
}

#[tokio::test]
async fn a_second_request_by_other_identifiers_is_not_final_before_the_first_ones_stuck_subsystem_is() -> Result<()> {
    let world = quick().build().await?;
    let before = others(world.company(), &[3]).await?;
    let mut role = world.run_all().await?;
    world.company().execute("warehouse", BREAK).await?;
    ask(&world, "R-1", &["user_id=u-0000003"]).await?;
    until_line(&world, "R-1", "profiles", "done").await?;
    until_line(&world, "R-1", "analytics", "needs_attention").await?;

    ask(&world, "R-2", &EMAIL).await?;
    until_line(&world, "R-2", "profiles", "done").await?;
    until_line(&world, "R-2", "segments", "done").await?;
    for id in ["R-1", "R-2"] {
        let open = status(&world, id).await?.unwrap_or_default();
        assert!(!is_final(&open), "{open}");
        assert_ne!(line(&open, "analytics")["state"], "done", "{open}");
    }
    until_line(&world, "R-2", "analytics", "needs_attention").await?;
    world.company().execute("warehouse", MEND).await?;
    redrive(&world, "R-1").await?;
    redrive(&world, "R-2").await?;
    until_state(&world, "R-1", "erased").await?;
    let second = eventually_final(&world, "R-2").await?;
    assert!(
        ["erased", "nothing_held"].contains(&second["state"].as_str().unwrap_or_default()),
        "{second}"
    );
    assert_eq!(held(world.company(), 3).await?, 0);
    assert_eq!(others(world.company(), &[3]).await?, before);
    until_ready(&role).await?;
    role.term().await?;
    Ok(())
}

#[tokio::test]
async fn a_second_request_erases_what_the_first_one_found_and_still_waits_to_erase() -> Result<()> {
    // The second one comes when profiles knows nobody any more; the store works again, and nobody has redriven the first one.
    let world = quick().build().await?;
    let before = others(world.company(), &[3]).await?;
    let _role = world.run_all().await?;
    world.company().execute("warehouse", BREAK).await?;
    ask(&world, "R-1", &["user_id=u-0000003"]).await?;
    until_line(&world, "R-1", "profiles", "done").await?;
    until_line(&world, "R-1", "analytics", "needs_attention").await?;
    world.company().execute("warehouse", MEND).await?;

    ask(&world, "R-2", &EMAIL).await?;
    let second = eventually_final(&world, "R-2").await?;
    assert_eq!(held(world.company(), 3).await?, 0, "{second}");
    let first = status(&world, "R-1").await?.unwrap_or_default();
    assert!(!is_final(&first), "{first}");
    redrive(&world, "R-1").await?;
    until_state(&world, "R-1", "erased").await?;
    assert_eq!(others(world.company(), &[3]).await?, before);
    Ok(())
}

#[tokio::test]
async fn somebody_who_registers_anew_keeps_their_data_while_the_old_request_is_carried_out() -> Result<()> {
    let world = quick().build().await?;
    let keeper = world.run(&["intake", "reconciler", "segments", "analytics"])?;
    ask(&world, "R-1", &EMAIL).await?;
    until_line(&world, "R-1", "analytics", "done").await?;
    let anew = "insert into participants (id, tenant_id, account_id, user_id, external_id, email, business_unit, first_name, \
                last_name, created_at) values (9001, 'acme', 2, 'u-new', 'ext-new', 'Person0000003@example.invalid', 'EU', 'A', \
                'New', datetime('now', '+1 minute'))";
    world.company().execute("crm", anew).await?;
    let before = others(world.company(), &[3]).await?;

    let _profiles = world.run(&["profiles"])?;
    until_state(&world, "R-1", "erased").await?;
    ask(&world, "R-1", &EMAIL).await?;
    ask(&world, "R-2", &["user_id=u-0000006"]).await?;
    until_state(&world, "R-2", "erased").await?;
    assert_eq!(held(world.company(), 3).await?, 0);
    let there = "select count(*) from participants where id = 9001 and last_name = 'New' and status = 'active'";
    assert_eq!(world.company().number("crm", there).await?, 1);
    assert_eq!(
        others(world.company(), &[3]).await?[0],
        before[0] - 1,
        "only u-0000006 has gone since"
    );
    until_ready(&keeper).await?;
    Ok(())
}

async fn redrive(world: &World, id: &str) -> Result<()> {
    let redrive = ["attention", "redrive", "--request", id, "--actor", "ops"];
    world.command(&redrive).await?.done()?;
    Ok(())
}

async fn eventually_final(world: &World, id: &str) -> Result<Value> {
    crate::asked::until_status(world, id, "final", is_final).await
}
