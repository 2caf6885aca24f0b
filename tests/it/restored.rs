//! A ledger that went back in time.

use anyhow::{Context, Result};
use erasure_tests::{eventually::eventually_true, servers::Servers, world::World};
use erasure_tracker::{Config, Tracker};
use serde_json::json;

use crate::desk::{Desk, SOON, command, user};

#[tokio::test]
async fn nothing_is_taken_on_top_of_a_ledger_that_is_older_than_the_tracker_remembers() -> Result<()> {
    let world = World::builder().build().await?;
    let mut role = world.run_all().await?;
    let mut desk = Desk::open(&world).await?;
    desk.ask(&command("acme", "before", &[json!({ "user_id": user(12) })]))
        .await?;
    assert_eq!(desk.end_of("acme", "before").await?, "erased");
    let source = desk.heard[0]["source"].as_str().context("an event has a source")?.to_owned();
    let ledger = source
        .strip_prefix("urn:erasure:ledger:")
        .context("the source names the ledger")?;
    assert!(role.term().await?.success());

    let config = Config {
        url: Servers::of_this_run()?.redis,
        key_prefix: world.name().to_owned(),
        ..Config::default()
    };
    let tracker = Tracker::connect(&config, erasure_protocol::LedgerId(ledger.parse()?)).await?;
    tracker.raise_high_water(1_000_000).await?;

    let role = world.run(&["all"])?;
    desk.ask(&command("acme", "after", &[json!({ "user_id": user(14) })])).await?;
    let readyz = role.url("/readyz");
    eventually_true("intake says why it takes nothing", SOON, || async {
        let answer = reqwest::get(&readyz).await;
        let Ok(answer) = answer else { return false };
        answer
            .text()
            .await
            .is_ok_and(|text| text.contains("an older ledger was restored"))
    })
    .await?;
    let people = "select count(*) from participants where user_id = 'u-0000014'";
    assert_eq!(world.company().number("crm", people).await?, 1);
    Ok(())
}
