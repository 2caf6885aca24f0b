//! What of a message is still to be done is in the broker's hands before the message is let go.

use anyhow::Result;
use erasure_tests::{
    eventually::eventually_true,
    opendsr::{Mode, Processor},
    servers::Servers,
};

use crate::asked::{PATIENCE, ask, quick, until_state};

#[tokio::test]
async fn work_whose_remainder_no_queue_takes_is_kept_and_done_again() -> Result<()> {
    let vendor = Processor::start(Mode::failing(500)).await?;
    let knows_email = quick().vendor("mailer", &vendor.url());
    // Nothing that looks for lost work comes to its help.
    let world = knows_email.set("reconciler.stalled_after_ms", 3_600_000).build().await?;
    let _fleet = world.run_all().await?;
    let management = Servers::of_this_run()?.amqp_management.unwrap_or_default();
    for queue in ["er.wait.200.v1", "er.wait.1000.v1", "er.unrouted.v1"] {
        let queue = format!("{}/api/queues/{}/{queue}", management.trim_end_matches('/'), world.name());
        reqwest::Client::new().delete(queue).send().await?.error_for_status()?;
    }

    ask(&world, "R-1", &["user_id=u-0000003"]).await?;
    let again = || async { vendor.calls().creates >= 3 };
    eventually_true("the vendor is asked again and again", PATIENCE, again).await?;
    world.command(&["topology", "apply"]).await?.done()?;
    vendor.set(Mode::ok(0));
    until_state(&world, "R-1", "erased").await?;
    Ok(())
}
