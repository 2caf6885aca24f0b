//! After an erasure no pipe of the fleet holds an identifier in a readable form.
//!
//! Rare words stand for the people. The hunt looks for each as text, in base64 and in hexadecimal, in every file of RabbitMQ,
//! Redis and the ledger, in every log, in the metrics and in the events. That it would find one is shown by a producer who
//! publishes in plain text: RabbitMQ keeps that on its disk, and nobody else does.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use erasure_tests::{
    private::{Kind, PrivateServer},
    world::{TOKEN, World},
};
use serde_json::{Value, json};

use crate::desk::{Desk, command, is_gone, parked, state_of};

/// The word of people who are asked for by the command line, a file and HTTP: all of these seal.
const SEALED: &str = "qzsealedqz";
/// The word of people who are asked for by a producer in plain text.
const PLAIN: &str = "qzplainqz";
/// The word of a ticket, which is nobody's secret: it is in the ledger and in Redis, and the hunt must find it there.
const TICKET: &str = "qzticketqz";

#[tokio::test]
async fn no_identifier_is_readable_anywhere_after_the_erasure() -> Result<()> {
    let (rabbitmq, redis) = (PrivateServer::start(Kind::RabbitMq)?, PrivateServer::start(Kind::Redis)?);
    let world = World::builder()
        .amqp(rabbitmq.url())
        .redis(redis.url())
        .people(20)
        .set("log.filter", "debug")
        .set("retry.rungs", vec![toml::Value::from(100), toml::Value::from(300)])
        .set("retry.attempts_max", 3)
        .build()
        .await?;
    plant(&world).await?;
    let mut role = world.run_all().await?;
    let mut desk = Desk::open(&world).await?;

    let said = [
        everything_sealed(&world, &mut desk).await?,
        everything_in_plain_text(&world, &mut desk).await?,
    ]
    .concat();
    for n in [1, 2, 3, 4, 5, 6, 7] {
        is_gone(world.company(), n).await?;
    }
    let metrics = reqwest::get(role.url("/metrics")).await?.text().await?;
    let events = format!("{:?}", desk.heard);
    drop(desk);
    role.term().await?;
    rabbitmq.stop()?;
    redis.stop()?;

    let own = |path: &Path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let is_ledger = name.starts_with("ledger.db");
        is_ledger || Path::new(name).extension().is_some_and(|it| it.eq_ignore_ascii_case("log"))
    };
    let ledger_and_logs: Vec<PathBuf> = files(world.dir())?.into_iter().filter(|path| own(path)).collect();
    let [broker, tracker] = [rabbitmq.folder(), redis.folder()].map(|folder| files(&folder));
    let (broker, tracker) = (broker?, tracker?);
    for (what, files) in [
        ("ledger and logs", &ledger_and_logs),
        ("Redis", &tracker),
        ("RabbitMQ", &broker),
    ] {
        let bytes: u64 = files
            .iter()
            .filter_map(|file| Some(std::fs::metadata(file).ok()?.len()))
            .sum();
        assert!(files.len() > 1 && bytes > 5_000, "{what} has been looked through: {files:?}");
    }
    for word in [SEALED, PLAIN] {
        assert_eq!(readable(word, &ledger_and_logs)?, Vec::<PathBuf>::new());
        assert_eq!(readable(word, &tracker)?, Vec::<PathBuf>::new());
        for (what, text) in [("metrics", &metrics), ("events", &events), ("what commands said", &said)] {
            assert!(!holds(text.as_bytes(), &forms(word)), "{what} hold {word}");
        }
    }
    assert_eq!(readable(SEALED, &broker)?, Vec::<PathBuf>::new());
    for (word, files) in [(PLAIN, &broker), (TICKET, &tracker), (TICKET, &ledger_and_logs)] {
        assert_ne!(
            readable(word, files)?,
            Vec::<PathBuf>::new(),
            "the hunt finds {word} where it is"
        );
    }
    Ok(())
}

/// Rare words in place of what the sample company has: persons 1 to 5 sealed, 6 and 7 in plain text, 8 and 9 are one to an e-mail.
async fn plant(world: &World) -> Result<()> {
    for (word, people) in [(SEALED, "id <= 5"), (PLAIN, "id in (6, 7)"), (SEALED, "id in (8, 9)")] {
        let email = format!("'{word}-' || case when id > 7 then 0 else id end || '@example.invalid'");
        let sql = format!(
            "update participants set external_id = '{word}-ext-' || id, email = {email}, business_unit = 'EU', \
             last_name = '{word}' where {people}"
        );
        world.company().execute("crm", &sql).await?;
    }
    Ok(())
}

/// By the command line, a file and HTTP; with a conflict, a task that failed, one nobody knew and one that was given up.
async fn everything_sealed(world: &World, desk: &mut Desk) -> Result<String> {
    let mut said = String::new();
    let mut run = async |arguments: &[&str]| -> Result<()> {
        let answer = world.command(arguments).await?;
        said.extend([answer.stdout.as_str(), answer.stderr.as_str()]);
        answer.done().map(drop)
    };
    let first = format!("external_id={SEALED}-ext-1");
    run(&["request", "--tenant", "acme", "--id", "cli", "--watch", &first]).await?;
    // The same id for somebody else is put aside, sealed.
    let stranger = format!("external_id={SEALED}-ext-other");
    run(&["request", "--tenant", "acme", "--id", "cli", &stranger]).await?;
    let file = world.csv(
        "people.csv",
        &["external_id"],
        &[[format!("{SEALED}-ext-2")], [format!("{SEALED}-ext-unknown")]],
    )?;
    run(&["import", &file, "--tenant", "acme", "--id", "file", "--watch"]).await?;
    let url = role_url(world)?;
    let by_email = json!({ "email": format!("{SEALED}-3@example.invalid"), "business_unit": "EU" });
    let client = reqwest::Client::new();
    let posted = client
        .post(format!("{url}/v1/requests"))
        .bearer_auth(TOKEN)
        .header("content-type", "application/json");
    let posted = posted
        .body(command("acme", "http", std::slice::from_ref(&by_email)).to_string())
        .send()
        .await?;
    ensure!(posted.status() == 202, "{posted:?}");
    state_of(world, "http", "acme", "erased").await?;
    let found = client
        .post(format!("{url}/v1/find"))
        .bearer_auth(TOKEN)
        .header("content-type", "application/json");
    let found = found
        .body(json!({ "tenant": "acme", "identifiers": by_email }).to_string())
        .send()
        .await?;
    ensure!(found.text().await?.contains("\"http\""), "found by an identifier");

    // A table that is missing for a while: the task fails, and is redriven.
    world
        .company()
        .execute("marketing", "alter table memberships rename to elsewhere")
        .await?;
    let fourth = format!("external_id={SEALED}-ext-4");
    run(&["request", "--tenant", "acme", "--id", "failed", &fourth]).await?;
    let failed = |event: &Value| event["data"]["state"] == "needs_attention" && event["data"]["request_id"] == "failed";
    desk.hears("that the table is missing", failed).await?;
    world
        .company()
        .execute("marketing", "alter table elsewhere rename to memberships")
        .await?;
    run(&["attention", "redrive", "--all", "--actor", "olivia"]).await?;
    ensure!(desk.end_of("acme", "failed").await? == "erased");
    // Two people under one e-mail: somebody decides, and gives up.
    let both = format!("email={SEALED}-0@example.invalid");
    run(&["request", "--tenant", "acme", "--id", "ambiguous", &both, "business_unit=EU"]).await?;
    let ambiguous = |event: &Value| event["data"]["state"] == "needs_attention" && event["data"]["request_id"] == "ambiguous";
    desk.hears("that it is ambiguous", ambiguous).await?;
    run(&["attention", "show", "ambiguous", "--tenant", "acme"]).await?;
    run(&[
        "attention",
        "discard",
        "ambiguous",
        "--tenant",
        "acme",
        "--actor",
        "olivia",
        "--reason",
        "duplicate",
    ])
    .await?;
    ensure!(desk.end_of("acme", "ambiguous").await? == "closed_not_erased");
    // Deactivated and erased by what one person has told.
    let fifth = format!("external_id={SEALED}-ext-5");
    run(&[
        "request", "--tenant", "acme", "--id", "fifth", "--ticket", TICKET, "--watch", &fifth,
    ])
    .await?;
    run(&["find", "--tenant", "acme", &fifth]).await?;
    run(&["lookup", "--tenant", "acme", &fifth]).await?;
    run(&["attention", "list"]).await?;
    Ok(said)
}

/// By a producer that seals nothing: a good one, a malformed one, one with other content under the same id.
async fn everything_in_plain_text(world: &World, desk: &mut Desk) -> Result<String> {
    desk.ask(&command(
        "acme",
        "plain",
        &[json!({ "external_id": format!("{PLAIN}-ext-6") })],
    ))
    .await?;
    ensure!(desk.end_of("acme", "plain").await? == "erased");
    desk.ask(&command(
        "acme",
        "plain",
        &[json!({ "external_id": format!("{PLAIN}-ext-other") })],
    ))
    .await?;
    desk.ask(&command(
        "initech",
        "tenant",
        &[json!({ "external_id": format!("{PLAIN}-ext-other") })],
    ))
    .await?;
    desk.ask(&command("acme", "kind", &[json!({ PLAIN: PLAIN, "Qz@plain": PLAIN })]))
        .await?;
    desk.ask(&json!(format!("not a command of {PLAIN}"))).await?;
    let email = json!({ "email": format!(" {}-7@EXAMPLE.invalid", PLAIN.to_uppercase()), "business_unit": "eu" });
    desk.ask(&command("acme", "plain-7", &[email])).await?;
    ensure!(desk.end_of("acme", "plain-7").await? == "erased");
    ensure!(
        parked(world).await?.len() == 5,
        "two conflicts and three refusals: {:?}",
        parked(world).await?
    );
    let listed = world.command(&["attention", "list", "--json"]).await?.done()?;
    Ok(listed.stdout + &listed.stderr)
}

/// Where the process that was started serves HTTP, from its log.
fn role_url(world: &World) -> Result<String> {
    let log = files(world.dir())?
        .into_iter()
        .find(|path| path.extension().is_some_and(|it| it == "log"));
    let log = std::fs::read_to_string(log.context("a process has a log")?)?;
    let at = log.find("127.0.0.1:").context("it tells where it listens")?;
    let address: String = log[at..]
        .chars()
        .take_while(|c| c.is_ascii_digit() || ".:".contains(*c))
        .collect();
    Ok(format!("http://{address}"))
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let entry = entry?;
        match entry.file_type()? {
            kind if kind.is_dir() => found.extend(files(&entry.path())?),
            kind if kind.is_file() => found.push(entry.path()),
            _ => {}
        }
    }
    Ok(found)
}

/// The files in which the word stands in one of its forms.
fn readable(word: &str, files: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let forms = forms(word);
    let mut found = Vec::new();
    for file in files {
        if holds(&std::fs::read(file)?, &forms) {
            found.push(file.clone());
        }
    }
    Ok(found)
}

fn holds(bytes: &[u8], forms: &[Vec<u8>]) -> bool {
    let lower = bytes.to_ascii_lowercase();
    forms
        .iter()
        .any(|form| lower.windows(form.len()).any(|window| window == form))
}

/// The word in lower case as text, in hexadecimal, as a list of numbers, and in base64 wherever it begins in its group of three.
fn forms(word: &str) -> Vec<Vec<u8>> {
    let hex: String = word.bytes().map(|byte| format!("{byte:02x}")).collect();
    let numbers = word.bytes().map(|byte| byte.to_string()).collect::<Vec<_>>().join(",");
    let mut forms = vec![word.to_owned(), hex, numbers];
    forms.extend((0..3).map(|at| base64_inside(word.as_bytes(), at).to_ascii_lowercase()));
    forms.into_iter().map(String::into_bytes).collect()
}

/// The digits of base64 that stand for these bytes alone, when `at` bytes of something else come before them in their group.
fn base64_inside(bytes: &[u8], at: usize) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let padded: Vec<u8> = std::iter::repeat_n(0, at).chain(bytes.iter().copied()).collect();
    let bit = |n: usize| padded[n / 8] >> (7 - n % 8) & 1;
    let (first, last) = ((at * 8).div_ceil(6), padded.len() * 8 / 6);
    let digit = |n: usize| (n * 6..n * 6 + 6).fold(0, |value, n| value << 1 | bit(n));
    (first..last).map(|n| char::from(DIGITS[usize::from(digit(n))])).collect()
}

#[test]
fn the_hunt_sees_through_base64_and_hexadecimal() {
    // printf 'xx: planted!' | base64, with 0 to 2 letters before it.
    for text in [
        "cGxhbnRlZCE=",
        "eHBsYW50ZWQh",
        "eHhwbGFudGVkIQ==",
        "706C616E746564",
        "a PLANTED b",
        "[112,108,97,110,116,101,100]",
    ] {
        assert!(holds(text.as_bytes(), &forms("planted")), "{text}");
    }
    assert!(!holds(b"cGxhbnRlcgo=", &forms("planted")));
}
