//! A vendor that misbehaves, end to end: never *erased* before it has confirmed, and finished once the cause is gone.

use anyhow::{Result, ensure};
use erasure_tests::opendsr::{Act, Mode, Processor};
use serde_json::Value;

use crate::office::{Office, PATIENCE, hasty, line, text};

const SOMEBODY: u32 = 7;

/// An office with one vendor that behaves like this.
async fn office(mode: Mode) -> Result<(Processor, Office)> {
    let mailer = Processor::start(mode).await?;
    // Calls are counted: on a slow machine, nothing may be sent again that is still under way.
    let patient = hasty().set("reconciler.stalled_after_ms", 30_000);
    let office = Office::open(patient.vendor("mailer", &mailer.url())).await?;
    Ok((mailer, office))
}

fn status(status: u16) -> Act {
    Act::Status {
        status,
        retry_after: None,
    }
}

/// Waits until the vendor is the only one left to wait for.
async fn waits_for_vendor(office: &Office, id: &str) -> Result<Value> {
    let fits = |answer: &Value| line(answer, "subprocessors")["state"] == "waiting_for_vendor" && answer["acts"] == "vendor";
    let answer = office.until(id, "only the vendor is waited for", fits).await?;
    let said = text(&answer["text"])?;
    ensure!(said.starts_with("Not erased yet. Our systems are done."), "{said}");
    Ok(answer)
}

/// Waits until the vendor was asked so often after accepted work.
async fn polled(mailer: &Processor, times: u64) -> Result<()> {
    let what = format!("the vendor was asked {times} times");
    erasure_tests::eventually::eventually_true(&what, PATIENCE, || async { mailer.calls().polls >= times }).await
}

#[tokio::test]
async fn a_vendor_that_fails_twice_is_asked_again_and_told_of_each_person_once() -> Result<()> {
    let (mailer, office) = office(Mode::doing(
        &[status(500), status(500), Act::Serve],
        &[status(500), Act::Serve],
    ))
    .await?;
    office.ask("recovers", "acme", &[SOMEBODY], &[]).await?;
    office.finishes("recovers", "erased").await?;
    assert_eq!(mailer.ids().len(), 1);
    assert_eq!(mailer.calls().creates, 3);
    assert_eq!(office.rows_of(&[SOMEBODY]).await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_vendor_that_only_fails_needs_attention_and_one_redrive_finishes_it() -> Result<()> {
    let (mailer, office) = office(Mode::failing(500)).await?;
    office.ask("fails", "acme", &[SOMEBODY], &[]).await?;
    office.stuck("fails", "subprocessors", "VENDOR-002", "mailer").await?;
    mailer.set(Mode::ok(1));
    office.redrive().await?;
    office.finishes("fails", "erased").await?;
    assert_eq!(mailer.ids().len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_vendor_that_asks_to_slow_down_is_given_the_time_and_it_is_no_attempt() -> Result<()> {
    let wait = Act::Status {
        status: 429,
        retry_after: Some("1".to_owned()),
    };
    // More refusals than attempts are allowed.
    let acts = [vec![wait; 4], vec![Act::Serve]].concat();
    let (mailer, office) = office(Mode::doing(&acts, &[])).await?;
    let rungs: Vec<u64> = vec![100, 300];
    assert!(rungs.len() < acts.len());
    office.ask("slow-down", "acme", &[SOMEBODY], &[]).await?;
    let fits = |answer: &Value| {
        let line = line(answer, "subprocessors");
        line["state"] == "retrying" && line["fault"]["code"] == "VENDOR-003" && line["next_at"].is_string()
    };
    let answer = office.until("slow-down", "the vendor asks to slow down", fits).await?;
    assert_eq!(answer["acts"], "fleet", "{answer:#}");
    office.finishes("slow-down", "erased").await?;
    assert_eq!(mailer.ids().len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_vendor_that_accepts_and_never_finishes_is_waited_for_and_it_is_never_called_erased() -> Result<()> {
    let (mailer, office) = office(Mode::never()).await?;
    office.ask("never", "acme", &[SOMEBODY], &[]).await?;
    waits_for_vendor(&office, "never").await?;
    polled(&mailer, 5).await?;
    let answer = waits_for_vendor(&office, "never").await?;
    assert_eq!(answer["state"], "running");
    assert_eq!(
        office.rows_of(&[SOMEBODY]).await?,
        0,
        "our own systems do not wait for a vendor"
    );
    let status = office
        .world
        .command(&["status", "never", "--tenant", "acme"])
        .await?
        .done()?
        .stdout;
    assert!(status.contains("waits for a vendor's confirmation"), "{status}");
    assert_eq!(mailer.calls().creates, 1, "acceptance is not asked for twice");
    mailer.set(Mode::ok(0));
    office.finishes("never", "erased").await?;
    assert_eq!(mailer.calls().creates, 1);
    Ok(())
}

#[tokio::test]
async fn a_vendor_at_a_wrong_address_needs_attention_and_one_redrive_finishes_it() -> Result<()> {
    let (mailer, office) = office(Mode::no_such_address()).await?;
    office.ask("no-address", "acme", &[SOMEBODY], &[]).await?;
    office.stuck("no-address", "subprocessors", "VENDOR-013", "mailer").await?;
    assert!(mailer.ids().is_empty());
    mailer.set(Mode::ok(1));
    office.redrive().await?;
    office.finishes("no-address", "erased").await?;
    assert_eq!(mailer.ids().len(), 1);
    Ok(())
}

#[tokio::test]
async fn a_vendor_that_forgot_what_it_accepted_needs_attention_and_a_redrive_submits_it_again() -> Result<()> {
    let (mailer, office) = office(Mode::forgetful()).await?;
    office.ask("forgot", "acme", &[SOMEBODY], &[]).await?;
    office.stuck("forgot", "subprocessors", "VENDOR-012", "mailer").await?;
    assert_eq!(mailer.calls().creates, 1);
    // A vendor that has really forgotten takes the same id for a new one.
    mailer.set(Mode {
        duplicate_status: 201,
        ..Mode::ok(1)
    });
    office.redrive().await?;
    office.finishes("forgot", "erased").await?;
    assert_eq!(mailer.calls().creates, 2, "it was submitted again");
    Ok(())
}

#[tokio::test]
async fn a_vendor_whose_answers_break_off_needs_attention_and_one_redrive_finishes_it() -> Result<()> {
    let (mailer, office) = office(Mode::malformed()).await?;
    office.ask("malformed", "acme", &[SOMEBODY], &[]).await?;
    office.stuck("malformed", "subprocessors", "VENDOR-014", "mailer").await?;
    mailer.set(Mode::ok(0));
    office.redrive().await?;
    office.finishes("malformed", "erased").await?;
    assert_eq!(mailer.ids().len(), 1);
    Ok(())
}

#[tokio::test]
async fn answers_that_break_off_while_waiting_lose_nothing_that_was_accepted() -> Result<()> {
    let (mailer, office) = office(Mode::doing(&[], &[Act::Malformed])).await?;
    office.ask("breaks-off", "acme", &[SOMEBODY], &[]).await?;
    polled(&mailer, 4).await?;
    let answer = waits_for_vendor(&office, "breaks-off").await?;
    assert_eq!(answer["state"], "running");
    mailer.set(Mode::ok(0));
    office.finishes("breaks-off", "erased").await?;
    assert_eq!(mailer.calls().creates, 1);
    Ok(())
}

#[tokio::test]
async fn what_a_vendor_cancelled_needs_attention_and_a_redrive_submits_it_under_a_new_id() -> Result<()> {
    let cancelled = Act::Says {
        status: "cancelled".to_owned(),
    };
    let (mailer, office) = office(Mode::doing(&[], std::slice::from_ref(&cancelled))).await?;
    office.ask("cancelled", "acme", &[SOMEBODY], &[]).await?;
    office.stuck("cancelled", "subprocessors", "VENDOR-015", "mailer").await?;
    // The first id is known and stays cancelled; the second is served.
    mailer.set(Mode::doing(&[], &[cancelled, Act::Serve]));
    office.redrive().await?;
    office.finishes("cancelled", "erased").await?;
    assert_eq!(
        mailer.ids().len(),
        2,
        "a cancelled request is not revived: a new one takes its place"
    );
    Ok(())
}

#[tokio::test]
async fn a_vendor_sees_each_person_once_though_its_worker_is_killed_and_restarted() -> Result<()> {
    let mailer = Processor::start(Mode {
        // Slow enough that the kill finds calls under way.
        create: vec![Act::Slow { ms: 150 }],
        ..Mode::never()
    })
    .await?;
    let world = hasty().vendor("mailer", &mailer.url()).build().await?;
    let role = world.run(&["intake", "reconciler", "api", "profiles", "segments", "analytics"])?;
    let mut worker = world.run(&["subprocessors"])?;
    let mut office = Office::at(world, role);
    office.role.ready().await?;
    let people: Vec<u32> = (1..=20).collect();
    office.ask("restarted", "acme", &people, &[]).await?;
    let some = || async { mailer.ids().len() >= 3 };
    erasure_tests::eventually::eventually_true("some were submitted", PATIENCE, some).await?;
    worker.kill9().await?;
    let before = mailer.ids().len();
    ensure!(before < people.len(), "the kill came too late: {before} had been submitted");
    mailer.set(Mode::ok(0));
    let _worker = office.world.run(&["subprocessors"])?;
    office.finishes("restarted", "erased").await?;
    assert_eq!(mailer.ids().len(), people.len(), "each person once");
    let mut told: Vec<String> = mailer
        .bodies()
        .iter()
        .map(|body| body["subject_identities"].to_string())
        .collect();
    told.sort_unstable();
    told.dedup();
    assert_eq!(told.len(), people.len());
    assert_eq!(office.rows_of(&people).await?, 0);
    Ok(())
}
