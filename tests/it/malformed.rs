//! What cannot be understood is refused by field, put aside, told, and disturbs nobody.

use anyhow::Result;
use erasure_tests::{
    eventually::{eventually, eventually_true},
    producer::Message,
    world::{TOKEN, World},
};
use serde_json::{Value, json};

use crate::desk::{Desk, SOON, command, is_gone, others, parked, user};

/// A word that stands in every bad message and must be told nowhere.
const PLANTED: &str = "xyzzy-planted-7391";

struct Bad {
    name: &'static str,
    body: Vec<u8>,
    content_type: &'static str,
    code: &'static str,
    field: &'static str,
}

fn bad(name: &'static str, body: impl Into<Vec<u8>>, code: &'static str, field: &'static str) -> Bad {
    Bad {
        name,
        body: body.into(),
        content_type: "application/json",
        code,
        field,
    }
}

/// A good command with this put in.
fn with(name: &str, value: Value) -> Vec<u8> {
    let mut command = command("acme", "bad", &[json!({ "user_id": user(1) })]);
    command[name] = value;
    command.to_string().into_bytes()
}

fn subject(subject: Value) -> Vec<u8> {
    with("subjects", json!([subject]))
}

fn every_kind_of_bad() -> Vec<Bad> {
    let many: Vec<Value> = (0..1001).map(|n| json!({ "user_id": format!("{PLANTED}-{n}") })).collect();
    let mut not_utf8 = subject(json!({ "user_id": PLANTED }));
    not_utf8[5] = 0xff;
    let deep = format!("{}\"{PLANTED}\"{}", "[".repeat(100_000), "]".repeat(100_000));
    let mut wrong_type = bad(
        "a type that is not read",
        subject(json!({ "user_id": PLANTED })),
        "COMMAND-026",
        "content_type",
    );
    wrong_type.content_type = "application/xml";
    let large = json!({ "padding": PLANTED.repeat(10 * 1024 * 1024 / PLANTED.len()) }).to_string();
    let larger_than_read = json!({ "padding": PLANTED.repeat(1024 * 1024 / PLANTED.len() + 1) }).to_string();
    vec![
        bad("nothing", "", "COMMAND-003", ""),
        bad("not JSON", format!("hello {PLANTED}"), "COMMAND-003", ""),
        bad("a list", "[]", "COMMAND-004", ""),
        bad(
            "no version",
            json!({ "tenant": "acme", "ticket": PLANTED }).to_string(),
            "COMMAND-005",
            "version",
        ),
        bad("version 0", with("version", json!(0)), "COMMAND-008", "version"),
        bad("version text", with("version", json!("1")), "COMMAND-004", "version"),
        bad("no identifiers", subject(json!({})), "COMMAND-012", "subjects[0]"),
        bad(
            "unknown kind",
            subject(json!({ "shoe_size": PLANTED })),
            "COMMAND-017",
            "subjects[0].shoe_size",
        ),
        bad(
            "half a way",
            subject(json!({ "email": PLANTED })),
            "COMMAND-018",
            "subjects[0]",
        ),
        bad(
            "NUL",
            subject(json!({ "user_id": format!("{PLANTED}\0") })),
            "COMMAND-016",
            "subjects[0].user_id",
        ),
        bad(
            "null",
            subject(json!({ "user_id": null })),
            "COMMAND-015",
            "subjects[0].user_id",
        ),
        bad(
            "blank",
            subject(json!({ "user_id": "  " })),
            "COMMAND-013",
            "subjects[0].user_id",
        ),
        bad(
            "long",
            subject(json!({ "user_id": PLANTED.repeat(100) })),
            "COMMAND-014",
            "subjects[0].user_id",
        ),
        bad("no subjects", with("subjects", json!([])), "COMMAND-010", "subjects"),
        bad("1,001 subjects", with("subjects", json!(many)), "COMMAND-011", "subjects"),
        bad("unknown field", with("reply_to", json!(PLANTED)), "COMMAND-006", "reply_to"),
        bad(
            "an id with a blank",
            with("request_id", json!(format!("{PLANTED} 1"))),
            "COMMAND-019",
            "request_id",
        ),
        bad(
            "unknown operation",
            with("operation", json!("forget")),
            "COMMAND-021",
            "operation",
        ),
        bad(
            "no time",
            with("received_at", json!("yesterday")),
            "COMMAND-022",
            "received_at",
        ),
        bad("not UTF-8", not_utf8, "COMMAND-002", ""),
        bad("deeply nested", deep, "COMMAND-003", ""),
        bad("1 MiB and more", larger_than_read, "COMMAND-001", ""),
        bad("10 MB", large, "COMMAND-001", ""),
        wrong_type,
    ]
}

#[tokio::test]
async fn every_malformed_message_is_put_aside_by_field_and_disturbs_nobody() -> Result<()> {
    let world = World::builder()
        .set("log.filter", "debug,sqlx=warn,lapin=error")
        .build()
        .await?;
    let before = others(world.company(), &[1]).await?;
    let mut role = world.run_all().await?;
    let mut desk = Desk::open(&world).await?;
    let bad = every_kind_of_bad();
    for it in &bad {
        let message = Message {
            message_id: Some(format!("m-{}", it.name)),
            content_type: Some(it.content_type.into()),
            body: it.body.clone(),
            ..Message::default()
        };
        desk.hand_in(message).await?;
    }
    desk.ask(&command("acme", "good", &[json!({ "user_id": user(1) })])).await?;
    assert_eq!(desk.end_of("acme", "good").await?, "erased");
    is_gone(world.company(), 1).await?;
    assert_eq!(others(world.company(), &[1]).await?, before);

    let put_aside = parked(&world).await?;
    let mut found: Vec<(&str, &str)> = put_aside
        .iter()
        .map(|(code, field, _)| (code.as_str(), field.as_str()))
        .collect();
    let mut expected: Vec<(&str, &str)> = bad.iter().map(|it| (it.code, it.field)).collect();
    found.sort_unstable();
    expected.sort_unstable();
    // Where text ends to be JSON is told as a place, which is not held here.
    let found: Vec<_> = found
        .into_iter()
        .map(|(code, field)| (code, if code == "COMMAND-003" { "" } else { field }))
        .collect();
    assert_eq!(found, expected);
    for (_, _, id) in &put_aside {
        let told = |event: &Value| event["data"]["state"] == "refused" && event["data"]["parked"] == id.as_str();
        desk.hears("a refusal", told).await?;
        let shown = world.command(&["attention", "show", id, "--json"]).await?.done()?;
        assert!(!shown.stdout.contains("xyzzy") && !shown.json()?["advice"].as_str().unwrap_or("").is_empty());
    }
    let log = role.log()?;
    assert!(!log.contains("panicked") && !log.contains("xyzzy"), "the log tells no value");
    assert!(!format!("{:?}", desk.heard).contains("xyzzy"), "no event tells a value");
    assert!(role.runs());
    Ok(())
}

#[tokio::test]
async fn a_command_of_a_newer_version_waits_while_others_pass_it() -> Result<()> {
    let world = World::builder().build().await?;
    let mut role = world.run_all().await?;
    let mut desk = Desk::open(&world).await?;
    desk.ask(&json!({ "version": 99, "whatever": { "comes": "later" } })).await?;
    let client = reqwest::Client::new();
    let url = role.url("/readyz");
    let newer = || async {
        let answer = client.get(&url).send().await.ok()?;
        let is_unready = answer.status() == 503;
        let text = answer.text().await.ok()?;
        (is_unready && text.contains("newer version")).then_some(text)
    };
    eventually("/readyz says that a newer build is needed", SOON, newer).await?;
    for n in 1..4 {
        let id = format!("beside-{n}");
        desk.ask(&command("acme", &id, &[json!({ "user_id": user(n) })])).await?;
        assert_eq!(desk.end_of("acme", &id).await?, "erased");
    }
    assert_eq!(parked(&world).await?, [], "it is not put aside: a later release reads it");
    role.term().await?;
    let kept = || async { desk.producer.depth("er.ingest.v1").await.is_ok_and(|(ready, _)| ready == 1) };
    eventually_true("the newer command is back in its queue", SOON, kept).await
}

#[tokio::test]
async fn a_malformed_post_is_answered_by_field_with_a_problem() -> Result<()> {
    let world = World::builder().build().await?;
    let mut role = world.run_all().await?;
    let client = reqwest::Client::new();
    let post = async |body: Vec<u8>, content_type: &str, token: &str| -> Result<(u16, String, Value)> {
        let answer = client
            .post(role.url("/v1/requests"))
            .header("content-type", content_type)
            .bearer_auth(token);
        let answer = answer.body(body).send().await?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let content_type = headers
            .get("content-type")
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        let text = answer.text().await?;
        Ok((status, content_type.to_owned(), serde_json::from_str(&text)?))
    };
    for it in every_kind_of_bad() {
        let (status, content_type, problem) = post(it.body, it.content_type, TOKEN).await?;
        assert_eq!(content_type, "application/problem+json", "{}", it.name);
        assert!(!problem.to_string().contains("xyzzy"), "{}: {problem}", it.name);
        assert_eq!(problem["status"], status, "{}", it.name);
        match it.code {
            "COMMAND-001" => assert_eq!(status, 413, "{}: {problem}", it.name),
            "COMMAND-026" => assert_eq!(status, 415, "{}: {problem}", it.name),
            code => {
                let syntax = matches!(code, "COMMAND-002" | "COMMAND-003");
                assert_eq!(status, if syntax { 400 } else { 422 }, "{}: {problem}", it.name);
                assert_eq!(problem["errors"][0]["code"], code, "{}: {problem}", it.name);
                if !syntax {
                    assert_eq!(problem["errors"][0]["field"], it.field, "{}: {problem}", it.name);
                }
            }
        }
    }
    let newer = post(with("version", json!(99)), "application/json", TOKEN).await?;
    assert_eq!((newer.0, &newer.2["errors"][0]["code"]), (422, &json!("COMMAND-009")));
    let tenant = post(with("tenant", json!("initech")), "application/json", TOKEN).await?;
    assert!((400..500).contains(&tenant.0), "{tenant:?}");
    let stranger = post(
        with("version", json!(1)),
        "application/json",
        "not-the-token-of-this-test-98765",
    )
    .await?;
    assert_eq!(stranger.0, 401);
    assert_eq!(parked(&world).await?, []);
    let good = post(with("request_id", json!("good")), "application/json", TOKEN).await?;
    assert_eq!(good.0, 202);
    crate::desk::state_of(&world, "good", "acme", "erased").await?;
    is_gone(world.company(), 1).await?;
    let log = role.log()?;
    assert!(role.runs() && !log.contains("panicked") && !log.contains("xyzzy"));
    Ok(())
}
