//! What support reads, and that nobody else reads an identifier.

use anyhow::Result;
use erasure_tests::world::World;
use serde_json::{Value, json};

use crate::desk::{Desk, command, lines, state_of, user};

#[tokio::test]
async fn a_person_is_found_by_any_identifier_after_the_erasure_with_a_state_of_their_own() -> Result<()> {
    let world = World::builder().build().await?;
    let _role = world.run_all().await?;
    let mut desk = Desk::open(&world).await?;
    let people = [
        json!({ "user_id": user(100) }),
        json!({ "user_id": user(98) }),
        json!({ "user_id": "u-nobody" }),
    ];
    desk.ask(&command("globex", "bulk", &people)).await?;
    assert_eq!(desk.end_of("globex", "bulk").await?, "erased_with_retention");
    let table: [(&[&str], &str); 7] = [
        (&["user_id=u-0000100"], "erased_with_retention"),
        (&["external_id=ext-0000100"], "erased_with_retention"),
        (&["user_id=u-0000098"], "erased"),
        (&["external_id=ext-0000098"], "erased"),
        (&["participant_id=98"], "erased"),
        (&["email= PERSON0000098@example.invalid", "business_unit=apac"], "erased"),
        (&["user_id=u-nobody"], "nothing_held"),
    ];
    for (identifiers, state) in table {
        let arguments = [&["find", "--tenant", "globex", "--json"], identifiers].concat();
        let found = lines(&world.command(&arguments).await?.done()?.stdout)?;
        let [found] = found.as_slice() else {
            panic!("{identifiers:?}: {found:?}")
        };
        let told = (&found["request_id"], &found["state"], &found["subjects"]);
        assert_eq!(told, (&json!("bulk"), &json!(state), &json!(1)), "{identifiers:?}");
    }
    for stranger in ["user_id=u-0000097", "participant_id=100000"] {
        let nobody = world
            .command(&["find", "--tenant", "globex", "--json", stranger])
            .await?
            .done()?;
        assert_eq!(nobody.stdout, "");
    }
    let other_tenant = world
        .command(&["find", "--tenant", "acme", "--json", "user_id=u-0000098"])
        .await?
        .done()?;
    assert_eq!(other_tenant.stdout, "");

    let lookup = async |who: &str| -> Result<Value> {
        let answer = world
            .command(&["lookup", "--tenant", "globex", "--json", who])
            .await?
            .done()?;
        assert!(
            !answer.stderr.contains("0000"),
            "values go to stdout alone: {}",
            answer.stderr
        );
        answer.json()
    };
    let erased = lookup("user_id=u-0000098").await?;
    assert_eq!((&erased["nothing_held"], &erased["holds"]), (&json!(true), &json!([])));
    let kept = lookup("participant_id=100").await?;
    let places: Vec<_> = kept["holds"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|it| &it["table"])
        .collect();
    assert_eq!(places, ["payouts"], "{kept}");
    let everything = lookup("user_id=u-0000096").await?;
    let places: Vec<_> = everything["holds"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|it| &it["rule"])
        .collect();
    for rule in [
        "participants",
        "memberships",
        "events",
        "report_rows",
        "share_links",
        "referrals_made",
        "rewards",
        "reward_notes",
    ] {
        assert!(places.contains(&&json!(rule)), "{rule} is missing in {places:?}");
    }
    assert!(
        everything.to_string().contains("person0000096@example.invalid"),
        "{everything}"
    );
    Ok(())
}

#[tokio::test]
async fn every_command_speaks_json_and_none_but_the_look_up_prints_an_identifier() -> Result<()> {
    let world = World::builder()
        .set("http.token", erasure_tests::world::TOKEN)
        .build()
        .await?;
    let _role = world.run_all().await?;
    let mut desk = Desk::open(&world).await?;
    desk.ask(&command("initech", "refused", &[json!({ "user_id": user(7) })]))
        .await?;
    desk.hears("the refusal", |event| event["data"]["state"] == "refused").await?;
    let (_, _, parked) = crate::desk::parked(&world).await?.remove(0);
    let file = world.file("people.csv", "user_id\nu-0000005\nu-0000007,x\n")?;
    let email = "email=person0000004@example.invalid";
    let commands: [&[&str]; 18] = [
        &["request", "--tenant", "acme", "--dry-run", email, "business_unit=US"],
        &[
            "request",
            "--tenant",
            "acme",
            "--id",
            "one",
            email,
            "business_unit=US",
            "--watch",
        ],
        &["import", &file, "--tenant", "acme", "--id", "many", "--watch"],
        &["status", "one", "--tenant", "acme"],
        &["status", "many", "--tenant", "acme", "--watch"],
        &["find", "--tenant", "acme", email, "business_unit=US"],
        &["find", "--tenant", "acme", "user_id=u-0000007"],
        &["attention", "list"],
        &["attention", "show", &parked],
        &["attention", "discard", &parked, "--actor", "olivia", "--reason", "duplicate"],
        &["subsystem", "list"],
        &["map", "check"],
        &["topology", "show"],
        &["topology", "verify"],
        &["topology", "apply"],
        &["ledger", "migrate"],
        &["key", "list"],
        &["config", "check"],
    ];
    for arguments in commands {
        for form in [&["--json"][..], &[]] {
            let answer = world.command(&[arguments, form].concat()).await?;
            let said = format!("{}{}", answer.stdout, answer.stderr);
            for planted in ["person00000", "u-00000", "Sampleton"] {
                assert!(!said.contains(planted), "{arguments:?} tells {planted}: {said}");
            }
            if !form.is_empty() {
                let documents = lines(&answer.stdout)?;
                let data = !matches!(arguments[0], "find" | "topology" | "ledger" | "map" | "config");
                assert!(!data || !documents.is_empty(), "{arguments:?} prints data: {answer:?}");
            }
        }
    }
    let schema = world.command(&["config", "schema"]).await?.done()?;
    schema.json()?;
    for wrong in [
        &["find", "--tenant", "acme", "person0000001@example.invalid"][..],
        &["lookup", "--tenant", "acme", "mail=person0000001@example.invalid"],
        &["lookup", "--tenant", "acme", "email=person0000001@example.invalid"],
        &["request", "--tenant", "person0000001@example.invalid", "user_id=1"],
        &[
            "request",
            "--tenant",
            "acme",
            "--id",
            "person0000001@example.invalid",
            "user_id=1",
        ],
    ] {
        let answer = world.command(wrong).await?;
        assert_eq!(answer.code, Some(2), "{answer:?}");
        assert!(!answer.stderr.contains("person0000001"), "{}", answer.stderr);
    }
    state_of(&world, "one", "acme", "erased").await?;
    Ok(())
}
