//! What the tests of the estate ask and wait for: how far a request is, what a process waits for, and who is still there.

use std::time::Duration;

use anyhow::{Context, Result};
use erasure_tests::{
    binary::repository,
    company::Company,
    eventually::eventually,
    role::Role,
    world::{Builder, World},
};
use serde_json::Value;

/// How long anything that must come to pass may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

/// A world whose fleet waits for moments only.
pub(crate) fn quick() -> Builder {
    World::builder()
        .set("retry.rungs", vec![200, 1_000])
        .set("reconciler.register_every_ms", 300)
        .set("reconciler.stalled_after_ms", 2_000)
}

/// The sample's data map.
pub(crate) fn sample_map() -> Result<String> {
    std::fs::read_to_string(repository().join("deploy/sample/map.toml")).context("reading the sample's map")
}

/// The sample's data map without the sections that begin so, each up to the next empty line.
pub(crate) fn sample_map_without(section: &str) -> Result<String> {
    let map = sample_map()?;
    let kept: Vec<&str> = map
        .split("\n\n")
        .filter(|block| !block.lines().any(|line| line.starts_with(section)))
        .collect();
    Ok(kept.join("\n\n"))
}

/// Asks for a person of acme.
pub(crate) async fn ask(world: &World, id: &str, identifiers: &[&str]) -> Result<()> {
    let mut command = vec!["request", "--tenant", "acme", "--id", id];
    command.extend(identifiers);
    world.command(&command).await?.done()?;
    Ok(())
}

/// What support reads of a request of acme, once somebody knows it.
pub(crate) async fn status(world: &World, id: &str) -> Result<Option<Value>> {
    let answer = world.command(&["status", id, "--tenant", "acme", "--json"]).await?;
    if answer.code == Some(0) {
        answer.json().map(Some)
    } else {
        Ok(None)
    }
}

/// Waits until the request is in this state; any other final one is an error.
pub(crate) async fn until_state(world: &World, id: &str, state: &str) -> Result<Value> {
    let finished = until_status(world, id, state, |status| {
        status["finished_at"].is_string() || status["state"] == state
    })
    .await?;
    anyhow::ensure!(finished["state"] == state, "{id} should be {state}: {finished}");
    Ok(finished)
}

/// Waits until one subsystem is in this state.
pub(crate) async fn until_line(world: &World, id: &str, subsystem: &str, state: &str) -> Result<Value> {
    let what = format!("{subsystem} {state}");
    until_status(world, id, &what, |status| line(status, subsystem)["state"] == state).await
}

/// Waits until the status fits.
pub(crate) async fn until_status(world: &World, id: &str, what: &str, fits: impl Fn(&Value) -> bool) -> Result<Value> {
    let look = || async {
        let found = status(world, id).await.ok().flatten();
        found.filter(|status| fits(status))
    };
    match eventually(&format!("{id}: {what}"), PATIENCE, look).await {
        Ok(found) => Ok(found),
        Err(error) => Err(error.context(format!("it is {:?}", status(world, id).await))),
    }
}

/// One subsystem's part of a status.
pub(crate) fn line<'a>(status: &'a Value, subsystem: &str) -> &'a Value {
    let lines = status["subsystems"].as_array();
    lines
        .and_then(|lines| lines.iter().find(|line| line["subsystem"] == subsystem))
        .unwrap_or(&Value::Null)
}

/// What a command prints for programs, one a line, whether it ends well or not.
pub(crate) async fn listed(world: &World, command: &[&str]) -> Result<Vec<Value>> {
    let answer = world.command(&[command, &["--json"]].concat()).await?;
    let lines = answer
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).context(line.to_owned()));
    lines.collect()
}

/// What `/readyz` says that a process waits for.
pub(crate) async fn waits(role: &Role) -> Result<String> {
    let answer = reqwest::get(role.url("/readyz")).await?;
    Ok(answer.text().await?)
}

/// Waits until `/readyz` says that the process waits for something like this.
pub(crate) async fn until_waits(role: &Role, for_what: &str) -> Result<String> {
    let look = || async { waits(role).await.ok().filter(|said| said.contains(for_what)) };
    match eventually(&format!("/readyz says {for_what:?}"), PATIENCE, look).await {
        Ok(said) => Ok(said),
        Err(error) => {
            let log = role.log().unwrap_or_default();
            Err(error.context(format!("it says {:?}; its log:\n{log}", waits(role).await)))
        }
    }
}

/// Waits until nothing is waited for.
pub(crate) async fn until_ready(role: &Role) -> Result<()> {
    until_waits(role, "\"ready\":true").await.map(|_| ())
}

/// Waits until a subsystem is registered, under another evidence key than this one, and returns its key.
pub(crate) async fn until_registered(world: &World, subsystem: &str, not: Option<&str>) -> Result<String> {
    let look = || async {
        let listed = listed(world, &["subsystem", "list"]).await.ok()?;
        let found = listed.iter().find(|it| it["name"] == subsystem)?["evidence"].as_str()?;
        Some(found.to_owned()).filter(|key| Some(key.as_str()) != not)
    };
    eventually(&format!("{subsystem} is registered"), PATIENCE, look).await
}

/// How many rows of the company hold or name person n, everywhere.
pub(crate) async fn held(company: &Company, n: u32) -> Result<i64> {
    let user = format!("'u-{n:07}'");
    let held = [
        ("crm", format!("participants where id = {n}")),
        ("marketing", format!("memberships where user_id = {user}")),
        ("warehouse", format!("events where user_id = {user}")),
        ("warehouse", format!("report_rows where user_id = {user}")),
        ("warehouse", format!("share_links where participant_id = {n}")),
        ("warehouse", format!("referrals where referrer_id = {n} or referred_id = {n}")),
        ("warehouse", format!("rewards where participant_id = {n}")),
    ];
    let mut rows = 0;
    for (store, from) in held {
        rows += company.number(store, &format!("select count(*) from {from}")).await?;
    }
    Ok(rows)
}

/// How many rows hold somebody else than these people, table by table, whole and unchanged.
pub(crate) async fn others(company: &Company, gone: &[u32]) -> Result<Vec<i64>> {
    let users: Vec<String> = gone.iter().map(|n| format!("'u-{n:07}'")).collect();
    let numbers: Vec<String> = gone.iter().map(ToString::to_string).collect();
    let (users, numbers) = (users.join(", "), numbers.join(", "));
    let kept = [
        (
            "crm",
            format!("participants where id not in ({numbers}) and first_name <> '' and status = 'active'"),
        ),
        ("marketing", format!("memberships where user_id not in ({users})")),
        (
            "warehouse",
            format!("events where user_id not in ({users}) and payload like '%person%'"),
        ),
        ("warehouse", format!("report_rows where user_id not in ({users})")),
        (
            "warehouse",
            format!("share_links where participant_id not in ({numbers}) and referral_code like 'REF-%'"),
        ),
        ("warehouse", format!("referrals where referrer_id not in ({numbers})")),
        (
            "warehouse",
            format!("referrals where referred_id not in ({numbers}) and referred_name like 'Sampleton%'"),
        ),
        (
            "warehouse",
            format!("rewards where participant_id not in ({numbers}) and recipient_name like 'Sampleton%'"),
        ),
        ("warehouse", format!("payouts where participant_id not in ({numbers})")),
    ];
    let mut counts = Vec::new();
    for (store, from) in kept {
        counts.push(company.number(store, &format!("select count(*) from {from}")).await?);
    }
    Ok(counts)
}
