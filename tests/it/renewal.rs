//! Evidence that has grown old is renewed by another look before a request is final.

use anyhow::Result;
use erasure_tests::{eventually::eventually_true, world::World};
use serde_json::json;

use crate::desk::{Desk, SOON, command, user};

/// Person 12 as the sample company knows them.
const BACK: &str = "insert into participants (id, tenant_id, account_id, user_id, external_id, email, business_unit, first_name, last_name, created_at)
    values (12, 'acme', 6, 'u-0000012', 'ext-0000012', 'person0000012@example.invalid', 'EU', 'Back', 'Sampleton', '2024-01-01 00:00:00')";
/// Somebody else who took the old address over, later than any request.
const NEW: &str = "insert into participants (id, tenant_id, account_id, user_id, external_id, email, business_unit, first_name, last_name, created_at)
    values (9012, 'acme', 6, 'u-new', 'ext-new', 'person0000012@example.invalid', 'EU', 'New', 'Sampleton', '2040-01-01 00:00:00')";

#[tokio::test]
async fn whoever_is_written_back_before_the_end_is_erased_again_and_somebody_new_is_spared() -> Result<()> {
    let world = World::builder().set("reconciler.evidence_age_s_max", 0).build().await?;
    let company = world.company();
    let people = "select count(*) from participants where id = 12";
    company
        .execute("warehouse", "alter table events rename to events_away")
        .await?;
    let _role = world.run_all().await?;
    let mut desk = Desk::open(&world).await?;
    let by_email = json!({ "email": "person0000012@example.invalid", "business_unit": "EU" });
    desk.ask(&command("acme", "aged", &[json!({ "user_id": user(12) }), by_email]))
        .await?;
    eventually_true("the profile is gone while analytics is stuck", SOON, || async {
        let gone = company.number("crm", people).await.is_ok_and(|rows| rows == 0);
        let stuck = world.command(&["attention", "list"]).await;
        gone && stuck.is_ok_and(|list| list.stdout.contains("STORE-012"))
    })
    .await?;
    company.execute("crm", BACK).await?;
    company.execute("crm", NEW).await?;
    company
        .execute("warehouse", "alter table events_away rename to events")
        .await?;
    let redrive = ["attention", "redrive", "--all", "--actor", "test"];
    world.command(&redrive).await?.done()?;
    assert_eq!(desk.end_of("acme", "aged").await?, "erased");
    assert_eq!(company.number("crm", people).await?, 0);
    let new = "select count(*) from participants where id = 9012 and first_name = 'New'";
    assert_eq!(company.number("crm", new).await?, 1);
    Ok(())
}
