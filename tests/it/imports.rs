//! Files of people: good lines are erased, bad ones reported by number, and a file in parts is one request however often it comes.

use anyhow::{Context, Result};
use erasure_tests::{
    producer::{Message, Producer, Published},
    world::World,
};
use serde_json::{Value, json};

use crate::desk::{Desk, command, is_gone, others, parked, state_of, user};

/// Line, code and field of every bad line that `erasure import --json` has printed.
fn bad_lines(imported: &Value) -> Result<Vec<(u64, &str, &str)>> {
    let bad = imported["bad"].as_array().context("a list of bad lines")?;
    let line = |it: &'_ Value| it["line"].as_u64().unwrap_or_default();
    Ok(bad
        .iter()
        .map(|it| {
            (
                line(it),
                it["code"].as_str().unwrap_or_default(),
                it["field"].as_str().unwrap_or_default(),
            )
        })
        .collect())
}

#[tokio::test]
async fn every_good_line_of_a_bad_csv_is_erased_and_every_bad_one_reported_by_its_number() -> Result<()> {
    let world = World::builder().build().await?;
    let gone = [1, 2, 5, 8];
    let before = others(world.company(), &gone).await?;
    let _role = world.run_all().await?;
    let long = format!("{},,", "x".repeat(70_000));
    let lines: Vec<&[u8]> = vec![
        b"\xef\xbb\xbfuser_id,email,business_unit",
        b"u-0000001,,",
        b"\"u-0000002\",,",
        b"u-0000003",
        b"u-0000004,,,more",
        b"u-0000001,,",
        b",person0000005@example.invalid,APAC",
        b",person0000006@example.invalid,",
        b"\"u-0000007,,",
        b"u-\xff\xfe,,",
        b"",
        b",\"Person0000008@example.invalid\",\"apac\"",
        b"u-\x00,,",
        long.as_bytes(),
    ];
    let file = world.file("people.csv", lines.join(&b"\r\n"[..]))?;
    let answer = world
        .command(&["import", &file, "--tenant", "acme", "--id", "file", "--watch", "--json"])
        .await?;
    assert_eq!(answer.code, Some(1), "some lines were not sent: {answer:?}");
    let imported = answer.json()?;
    assert_eq!((&imported["good"], &imported["bad_count"]), (&json!(4), &json!(8)));
    let expected = [
        (4, "FILE-003", ""),
        (5, "FILE-004", ""),
        (6, "FILE-012", ""),
        (8, "FILE-008", "business_unit"),
        (9, "FILE-005", ""),
        (10, "FILE-002", ""),
        (13, "FILE-009", "user_id"),
        (14, "FILE-001", ""),
    ];
    let found = bad_lines(&imported)?;
    // Line 8 lacks two things; which of them is named first is a matter of taste.
    let found: Vec<_> = found
        .into_iter()
        .map(|it| if it.0 == 8 { (8, it.1, "business_unit") } else { it })
        .collect();
    assert_eq!(found, expected);
    assert!(
        !answer.stderr.contains("person00") && !answer.stderr.contains("u-00"),
        "{}",
        answer.stderr
    );
    assert_eq!(imported["answer"]["people"]["erased"], 4);
    for n in gone {
        is_gone(world.company(), n).await?;
    }
    assert_eq!(others(world.company(), &gone).await?, before);
    Ok(())
}

#[tokio::test]
async fn ndjson_is_read_line_by_line_and_a_file_without_a_good_line_sends_nothing() -> Result<()> {
    let world = World::builder().build().await?;
    let gone = [11, 14];
    let before = others(world.company(), &gone).await?;
    let _role = world.run_all().await?;
    let text = "\u{feff}{\"user_id\":\"u-0000011\"}\nnot json\n{\"shoe\":\"1\"}\n[]\n\n{\"participant_id\":14}\n{\"user_id\":null}\n{\"email\":\"x\"}\n";
    let file = world.file("people.ndjson", text)?;
    let answer = world
        .command(&["import", &file, "--tenant", "acme", "--id", "nd", "--watch", "--json"])
        .await?;
    assert_eq!(answer.code, Some(1), "{answer:?}");
    let expected = [
        (2, "FILE-006", ""),
        (3, "FILE-007", "shoe"),
        (4, "FILE-006", ""),
        (7, "FILE-009", "user_id"),
        (8, "FILE-008", ""),
    ];
    assert_eq!(bad_lines(&answer.json()?)?, expected);
    for n in gone {
        is_gone(world.company(), n).await?;
    }

    let nothing = [
        ("empty.csv", ""),
        ("header.csv", "user_id\n"),
        ("wrong.csv", "user,mail\nu-0000001,x\n"),
        ("half.csv", "email\nperson0000001@example.invalid\n"),
        ("twice.csv", "user_id,user_id\nu-0000001,u-0000001\n"),
        ("bad.csv", "user_id,external_id\nu-0000001\n"),
        ("empty.ndjson", ""),
        ("bad.ndjson", "u-0000001\n"),
    ];
    for (name, text) in nothing {
        let file = world.file(name, text)?;
        let answer = world.command(&["import", &file, "--tenant", "acme", "--id", name]).await?;
        assert_eq!(answer.code, Some(1), "{name}: {answer:?}");
        assert!(
            answer.stderr.contains(name) && answer.stderr.contains("nothing was sent"),
            "{name}: {answer:?}"
        );
        assert!(!answer.stderr.contains("0000001"), "{name}: {answer:?}");
        assert_ne!(world.command(&["status", name, "--tenant", "acme"]).await?.code, Some(0));
    }
    assert_eq!(others(world.company(), &gone).await?, before);
    assert_eq!(parked(&world).await?, []);
    Ok(())
}

#[tokio::test]
async fn a_command_line_ends_with_0_done_1_failed_2_wrong_use() -> Result<()> {
    let world = World::builder().people(10).build().await?;
    let file = world.file("people.csv", "user_id\nu-0000001\n")?;
    let text = world.file("people.txt", "user_id\nu-0000001\n")?;
    let table: [(&[&str], i32); 16] = [
        (&["import", &file, "--tenant", "acme", "--id", "ok"], 0),
        (&["request", "--tenant", "acme", "user_id=u-0000002"], 0),
        (&["request", "--tenant", "acme", "--dry-run", "user_id=u-0000002"], 0),
        (&["attention", "list"], 0),
        (&["find", "--tenant", "acme", "user_id=u-0000002"], 0),
        (&["lookup", "--tenant", "acme", "user_id=u-0000002"], 0),
        (&["import", "missing.csv", "--tenant", "acme"], 1),
        (&["status", "unknown", "--tenant", "acme"], 1),
        (&["attention", "show", "unknown"], 1),
        (&["import", &text, "--tenant", "acme"], 2),
        (&["import", &file, "--tenant", "initech"], 2),
        (&["request", "--tenant", "acme", "u-0000002"], 2),
        (&["request", "--tenant", "acme", "shoe=42"], 2),
        (&["request", "--tenant", "acme", "email=x@example.invalid"], 2),
        (&["attention", "redrive", "--actor", "olivia"], 2),
        (&["frobnicate"], 2),
    ];
    for (arguments, code) in table {
        let answer = world.command(arguments).await?;
        assert_eq!(answer.code, Some(code), "{answer:?}");
        assert_eq!(
            answer.stdout.is_empty(),
            code != 0,
            "data, and only data, goes to stdout: {answer:?}"
        );
        if code != 0 {
            assert!(!answer.stderr.is_empty() && !answer.stderr.contains("0000002"), "{answer:?}");
        }
    }
    Ok(())
}

/// Publishes a part as the API's callers and `import` do, but in plain text.
async fn part(producer: &Producer, id: &str, number: u32, last: bool, people: &[String]) -> Result<()> {
    let subjects: Vec<Value> = people.iter().map(|user_id| json!({ "user_id": user_id })).collect();
    let mut body = command("acme", id, &subjects);
    body["part"] = json!({ "number": number, "last": last });
    let message = Message {
        exchange: "erasure".into(),
        routing_key: "request.bulk".into(),
        content_type: Some("application/json".into()),
        body: body.to_string().into_bytes(),
        ..Message::default()
    };
    assert_eq!(producer.publish(&message).await?, Published::Confirmed);
    Ok(())
}

#[tokio::test]
async fn parts_in_any_order_are_one_request_and_nothing_is_touched_before_the_last_one() -> Result<()> {
    let world = World::builder().build().await?;
    let gone = [1, 2, 3, 4];
    let before = others(world.company(), &gone).await?;
    let _role = world.run_all().await?;
    let mut desk = Desk::open(&world).await?;
    part(&desk.producer, "parts", 2, true, &[user(4)]).await?;
    part(&desk.producer, "parts", 0, false, &[user(1), user(2)]).await?;
    let answer = state_of(&world, "parts", "acme", "receiving").await?;
    assert!(
        answer["text"].as_str().is_some_and(|text| text.contains("still arriving")),
        "{answer}"
    );
    // Repeated, and once with other content: the first is the same, the second a conflict.
    part(&desk.producer, "parts", 0, false, &[user(1), user(2)]).await?;
    part(&desk.producer, "parts", 0, false, &[user(9)]).await?;
    desk.hears("the conflict", |event| event["data"]["state"] == "conflict")
        .await?;
    state_of(&world, "parts", "acme", "receiving").await?;
    let here = "select count(*) from participants where id in (1, 2, 3, 4)";
    assert_eq!(world.company().number("crm", here).await?, 4);
    part(&desk.producer, "parts", 1, false, &[user(3)]).await?;
    assert_eq!(desk.end_of("acme", "parts").await?, "erased");
    let answer = state_of(&world, "parts", "acme", "erased").await?;
    assert_eq!((&answer["subjects"], &answer["people"]["erased"]), (&json!(4), &json!(4)));
    for n in gone {
        is_gone(world.company(), n).await?;
    }
    assert_eq!(others(world.company(), &gone).await?, before);
    Ok(())
}

#[tokio::test]
async fn twenty_thousand_lines_go_on_where_they_stopped_and_come_twice_for_one_erasure() -> Result<()> {
    const LINES: u32 = 20_000;
    let world = World::builder().people(200).build().await?;
    let gone: Vec<u32> = (1..=100).collect();
    let before = others(world.company(), &gone).await?;
    let _role = world.run_all().await?;
    let mut desk = Desk::open(&world).await?;
    let people: Vec<String> = (1..=LINES).map(user).collect();
    let rows: Vec<[&str; 1]> = people.iter().map(|it| [it.as_str()]).collect();
    let file = world.csv("people.csv", &["user_id"], &rows)?;
    // What an import that was cut off has left: its first part.
    part(&desk.producer, "big", 0, false, &people[..512]).await?;
    state_of(&world, "big", "acme", "receiving").await?;
    let import = ["import", &file, "--tenant", "acme", "--id", "big", "--json"];
    let answer = world.command(&import).await?.done()?.json()?;
    assert_eq!(
        (&answer["good"], &answer["parts"]),
        (&json!(LINES), &json!(LINES.div_ceil(512)))
    );
    world.command(&import).await?.done()?;
    assert_eq!(desk.end_of("acme", "big").await?, "erased");
    let again = world.command(&[&import[..], &["--watch"]].concat()).await?.done()?.json()?;
    let people = &again["answer"]["people"];
    assert_eq!(
        (&people["erased"], &people["nothing_held"]),
        (&json!(100), &json!(LINES - 100))
    );
    let told = desk.ids_of("acme", "big");
    assert_eq!((told["accepted"].len(), told["erased"].len()), (1, 1), "{told:?}");
    assert_eq!(parked(&world).await?, []);
    is_gone(world.company(), 1).await?;
    is_gone(world.company(), 100).await?;
    let left = "select count(*) from participants where tenant_id = 'acme'";
    assert_eq!(world.company().number("crm", left).await?, 0);
    assert_eq!(others(world.company(), &gone).await?, before);
    Ok(())
}
