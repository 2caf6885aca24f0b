//! What becomes of a command, whoever hands it in and however often.

use anyhow::Result;
use erasure_tests::{
    producer::{Message, Producer},
    world::World,
};
use serde_json::{Value, json};

use crate::desk::{Desk, command, hand_in, is_gone, key, others, parked, state_of, user};

/// A CloudEvent in binary mode, with this before the names of its attributes.
fn binary(prefix: &str, id: &str, data: &Value) -> Message {
    let attributes = [
        ("specversion", "1.0"),
        ("type", "erasure.request"),
        ("source", "/crm"),
        ("id", id),
    ];
    Message {
        content_type: Some("application/json; charset=utf-8".into()),
        headers: attributes
            .map(|(name, value)| (format!("{prefix}{name}"), value.to_owned()))
            .into(),
        body: data.to_string().into_bytes(),
        ..Message::default()
    }
}

#[tokio::test]
async fn a_person_is_erased_everywhere_by_any_identifier_in_any_form_of_command() -> Result<()> {
    let world = World::builder().build().await?;
    let company = world.company();
    let gone = [11, 12, 24, 30, 36];
    let before = others(company, &gone).await?;
    let mut role = world.run_all().await?;
    let mut desk = Desk::open(&world).await?;

    desk.ask(&command("acme", "plain", &[json!({ "user_id": user(12) })])).await?;
    let structured = json!({
        "specversion": "1.0", "type": "erasure.request", "source": "/crm", "id": "e-1", "datacontenttype": "application/json",
        "data": command("acme", "structured", &[json!({ "external_id": "ext-0000024" }), json!({ "user_id": user(11) })]),
    });
    let structured = Message {
        content_type: Some("application/cloudevents+json".into()),
        body: structured.to_string().into_bytes(),
        ..Message::default()
    };
    desk.hand_in(structured).await?;
    let by_email = json!({ "email": "  pERSON0000030@example.INVALID ", "business_unit": "eU" });
    desk.hand_in(binary("cloudEvents_", "e-2", &command("acme", "binary", &[by_email])))
        .await?;
    let by_number = command("acme", "binary-colon", &[json!({ "participant_id": 36 })]);
    desk.hand_in(binary("cloudEvents:", "e-3", &by_number)).await?;

    let people = [("plain", 1), ("structured", 2), ("binary", 1), ("binary-colon", 1)];
    for (id, subjects) in people {
        assert_eq!(desk.end_of("acme", id).await?, "erased", "{id}");
        let told = desk.ids_of("acme", id);
        for word in ["accepted", "erased"] {
            let [told] = told[word].as_slice() else { panic!("{told:?}") };
            let (begin, end) = (format!("{}:", key("acme", id)), format!(":{word}"));
            assert!(
                told.starts_with(&begin) && told.ends_with(&end),
                "anybody can work out the id: {told}"
            );
        }
        let event = desk
            .hears("its end", |event| event["id"] == told["erased"][0].as_str())
            .await?;
        assert_eq!(
            (&event["data"]["subjects"], &event["data"]["counts"]["erased"]),
            (&json!(subjects), &json!(subjects))
        );
    }
    for n in gone {
        is_gone(company, n).await?;
    }
    assert_eq!(others(company, &gone).await?, before);
    let shown = "select count(*) from referrals where referred_name = 'Deleted participant'";
    assert_eq!(company.number("warehouse", shown).await?, 1, "11 was referred by 12");
    let shown = "select count(*) from rewards where recipient_name = 'Deleted participant' and amount_cents > 0";
    assert_eq!(company.number("warehouse", shown).await?, 3, "12, 24 and 36 had a reward");
    assert!(role.runs());
    Ok(())
}

#[tokio::test]
async fn the_same_command_five_times_is_one_erasure_and_the_same_id_with_other_content_a_conflict() -> Result<()> {
    let world = World::builder().build().await?;
    let company = world.company();
    let before = others(company, &[7, 8]).await?;
    let _role = world.run_all().await?;
    let mut desk = Desk::open(&world).await?;
    let same = command("acme", "twice", &[json!({ "user_id": user(7) })]);
    for _ in 0..4 {
        desk.ask(&same).await?;
    }
    assert_eq!(desk.end_of("acme", "twice").await?, "erased");
    desk.ask(&same).await?;

    let mut other = same.clone();
    other["subjects"] = json!([{ "user_id": user(9) }]);
    desk.ask(&other).await?;
    let conflict = desk
        .hears("the conflict", |event| event["data"]["state"] == "conflict")
        .await?;
    assert_eq!(
        (&conflict["data"]["reason"], &conflict["data"]["request_id"]),
        (&json!("COMMAND-032"), &json!("twice"))
    );
    let put_aside = parked(&world).await?;
    let [(code, field, id)] = put_aside.as_slice() else {
        panic!("{put_aside:?}")
    };
    assert_eq!((code.as_str(), field.as_str()), ("COMMAND-032", "request_id"));
    assert_eq!(conflict["data"]["parked"], id.as_str());
    let shown = world.command(&["attention", "show", id]).await?.done()?;
    assert!(shown.stdout.contains("taken before with other content"), "{}", shown.stdout);

    // The id is the tenant's own, and whoever was erased may be asked for again.
    desk.ask(&command("globex", "twice", &[json!({ "user_id": user(58) })]))
        .await?;
    assert_eq!(desk.end_of("globex", "twice").await?, "erased");
    desk.ask(&command("acme", "later", &[json!({ "user_id": user(7) })])).await?;
    assert_eq!(desk.end_of("acme", "later").await?, "nothing_held");
    let which = world.command(&["status", "twice"]).await?;
    assert!(
        which.code != Some(0) && which.stderr.contains("acme") && which.stderr.contains("globex"),
        "{which:?}"
    );

    let told = desk.ids_of("acme", "twice");
    let counts: Vec<(&str, usize)> = told.iter().map(|(word, ids)| (word.as_str(), ids.len())).collect();
    assert!(
        counts.contains(&("accepted", 1)) && counts.contains(&("erased", 1)),
        "{counts:?}"
    );
    is_gone(company, 7).await?;
    is_gone(company, 58).await?;
    assert_eq!(
        company
            .number("crm", "select count(*) from participants where id = 9")
            .await?,
        1
    );
    let expected: Vec<i64> = others(company, &[7, 8, 58]).await?;
    let globex = others(company, &[7, 8]).await?;
    assert_eq!(globex[8..], before[8..], "what stays, stays");
    assert_eq!(expected[0] + 1, before[0], "of all others one is gone: 58");
    Ok(())
}

#[tokio::test]
async fn a_tenant_erases_its_own_people_only() -> Result<()> {
    let world = World::builder().build().await?;
    let company = world.company();
    // Two people of two tenants under one user id.
    let twin = "insert into participants (id, tenant_id, account_id, user_id, external_id, email, business_unit, first_name, last_name, created_at) \
                select 1005, 'globex', account_id, 'u-0000005', external_id || '-2', email, business_unit, first_name, last_name, created_at \
                from participants where id = 60";
    company.execute("crm", twin).await?;
    let twin = "insert into memberships (segment_id, tenant_id, user_id, added_at) \
                select 'globex-everybody', 'globex', user_id, added_at from memberships where user_id = 'u-0000005' and segment_id = 'acme-everybody'; \
                update segments set member_count = member_count + 1 where id = 'globex-everybody'";
    company.execute("marketing", twin).await?;
    let twin = "insert into events (id, tenant_id, user_id, kind, payload, occurred_at) values (9005, 'globex', 'u-0000005', 'visit', '{}', '2024-01-01 00:00:00')";
    company.execute("warehouse", twin).await?;
    let before = others(company, &[1005]).await?;
    let of_acme = "select count(*) from events where user_id = 'u-0000005' and tenant_id = 'acme'";
    let events = company.number("warehouse", of_acme).await?;
    let _role = world.run_all().await?;
    let mut desk = Desk::open(&world).await?;

    for (id, subject) in [
        ("by-user", json!({ "user_id": user(6) })),
        ("by-number", json!({ "participant_id": "6" })),
        (
            "by-email",
            json!({ "email": "person0000006@example.invalid", "business_unit": "EU" }),
        ),
    ] {
        desk.ask(&command("globex", id, &[subject])).await?;
        assert_eq!(desk.end_of("globex", id).await?, "nothing_held", "{id}");
    }
    assert_eq!(
        company
            .number("crm", "select count(*) from participants where id = 6")
            .await?,
        1
    );
    desk.ask(&command("globex", "twin", &[json!({ "user_id": "u-0000005" })]))
        .await?;
    assert_eq!(desk.end_of("globex", "twin").await?, "erased");

    let mut after = others(company, &[1005]).await?;
    assert_eq!(
        company
            .number("crm", "select count(*) from participants where id = 1005")
            .await?,
        0
    );
    assert_eq!(
        company
            .number("crm", "select count(*) from participants where id = 5")
            .await?,
        1
    );
    assert_eq!(company.number("warehouse", of_acme).await?, events);
    assert_eq!(
        company
            .number("warehouse", "select count(*) from events where id = 9005")
            .await?,
        0
    );
    let memberships = "select count(*) from memberships where user_id = 'u-0000005' and tenant_id = 'globex'";
    assert_eq!(company.number("marketing", memberships).await?, 0);
    // The twin's one membership and one event.
    after[1] += 1;
    after[2] += 1;
    assert_eq!(after, before);
    Ok(())
}

#[tokio::test]
async fn a_command_for_a_tenant_that_is_declared_later_waits_for_a_redrive() -> Result<()> {
    let mut world = World::builder().build().await?;
    world
        .company()
        .execute(
            "crm",
            "insert into tenants (id, number, name) values ('initech', '10003', 'Initech Sample')",
        )
        .await?;
    let person = "insert into participants (id, tenant_id, account_id, user_id, external_id, email, business_unit, first_name, last_name, created_at) \
                  values (2001, 'initech', 1, 'u-2001', 'ext-2001', 'p2001@example.invalid', 'EU', 'A', 'B', '2024-01-01 00:00:00')";
    world.company().execute("crm", person).await?;
    let mut role = world.run_all().await?;
    let mut desk = Desk::open(&world).await?;
    desk.ask(&command("initech", "early", &[json!({ "user_id": "u-2001" })]))
        .await?;
    let refused = desk.hears("the refusal", |event| event["data"]["state"] == "refused").await?;
    assert_eq!(
        (&refused["data"]["reason"], refused["data"].get("tenant")),
        (&json!("COMMAND-030"), None)
    );
    let put_aside = parked(&world).await?;
    let [(code, field, id)] = put_aside.as_slice() else {
        panic!("{put_aside:?}")
    };
    assert_eq!((code.as_str(), field.as_str()), ("COMMAND-030", "tenant"));

    role.term().await?;
    world.set("tenant.initech.regulation", "gdpr")?;
    let _role = world.run_all().await?;
    world
        .command(&["attention", "redrive", "--parked", id, "--actor", "olivia"])
        .await?
        .done()?;
    assert_eq!(desk.end_of("initech", "early").await?, "erased");
    assert_eq!(
        world
            .company()
            .number("crm", "select count(*) from participants where id = 2001")
            .await?,
        0
    );
    assert_eq!(parked(&world).await?, []);
    state_of(&world, "early", "initech", "erased").await?;
    Ok(())
}

#[tokio::test]
async fn a_declared_producer_asks_for_its_tenants_and_nobody_else_asks_at_all() -> Result<()> {
    let mut world = World::builder().build().await?;
    let login = Login::create(&world).await?;
    world.set(&format!("producer.{}.tenants", login.name), vec!["acme".to_owned()])?;
    world.set(&format!("producer.{}.origins", login.name), vec!["inactivity".to_owned()])?;
    let mut role = world.run_all().await?;
    let mut desk = Desk::open(&world).await?;
    let theirs = Producer::connect(&login.url).await?;
    let ask = |id: &str, tenant: &str, origin: &str, n: u32, user_id: Option<&str>| {
        let mut body = command(tenant, id, &[json!({ "user_id": user(n) })]);
        body["origin"] = json!(origin);
        Message {
            content_type: Some("application/json".into()),
            user_id: user_id.map(str::to_owned),
            body: body.to_string().into_bytes(),
            ..Message::default()
        }
    };
    let name = Some(login.name.as_str());
    desk.hand_in(ask("anonymous", "acme", "inactivity", 1, None)).await?;
    desk.hand_in(ask("guest", "acme", "inactivity", 1, Some("guest"))).await?;
    hand_in(&theirs, ask("unsaid", "acme", "inactivity", 1, None)).await?;
    hand_in(&theirs, ask("foreign", "globex", "inactivity", 51, name)).await?;
    hand_in(&theirs, ask("support", "acme", "support", 1, name)).await?;
    hand_in(&theirs, ask("theirs", "acme", "inactivity", 2, name)).await?;
    assert_eq!(desk.end_of("acme", "theirs").await?, "erased");
    // What comes from the command line holds the key ring, and is trusted.
    let sealed = world
        .command(&[
            "request",
            "--tenant",
            "acme",
            "--id",
            "sealed",
            "user_id=u-0000003",
            "--watch",
        ])
        .await?;
    sealed.done()?;
    for id in ["anonymous", "guest", "unsaid", "foreign", "support"] {
        let refused = |event: &Value| event["data"]["state"] == "refused" && event["data"]["request_id"] == id;
        let event = desk.hears(id, refused).await?;
        assert_eq!(event["data"]["reason"], "COMMAND-031", "{id}");
    }
    let put_aside = parked(&world).await?;
    assert_eq!(put_aside.len(), 5);
    assert!(
        put_aside
            .iter()
            .all(|(code, field, _)| code == "COMMAND-031" && field == "user_id"),
        "{put_aside:?}"
    );
    let kept = "select count(*) from participants where id in (1, 51)";
    assert_eq!(world.company().number("crm", kept).await?, 2);

    // Declared later, and redriven: then what was said under a declared name is done, and nothing else.
    role.term().await?;
    world.set(
        &format!("producer.{}.tenants", login.name),
        vec!["acme".to_owned(), "globex".to_owned()],
    )?;
    let _role = world.run_all().await?;
    world
        .command(&["attention", "redrive", "--code", "COMMAND-031", "--actor", "olivia"])
        .await?
        .done()?;
    assert_eq!(desk.end_of("globex", "foreign").await?, "erased");
    assert_eq!(
        world
            .company()
            .number("crm", "select count(*) from participants where id = 1")
            .await?,
        1
    );
    Ok(())
}

#[tokio::test]
async fn identifiers_that_fit_two_people_are_told_at_once_and_touch_nobody() -> Result<()> {
    let world = World::builder().build().await?;
    let twins = "update participants set email = 'twin@example.invalid', business_unit = 'EU' where id in (3, 4)";
    world.company().execute("crm", twins).await?;
    let before = others(world.company(), &[7]).await?;
    let _role = world.run_all().await?;
    let mut desk = Desk::open(&world).await?;
    let twin = json!({ "email": "twin@example.invalid", "business_unit": "eu" });
    desk.ask(&command("acme", "twins", &[twin, json!({ "user_id": user(7) })]))
        .await?;
    let told = desk
        .hears("that somebody must decide", |event| {
            event["data"]["state"] == "needs_attention"
        })
        .await?;
    let data = &told["data"];
    assert_eq!(
        (&data["request_id"], &data["subjects"]),
        (&json!("twins"), &json!(2)),
        "{told}"
    );
    let shown = world
        .command(&["attention", "show", "twins", "--tenant", "acme", "--json"])
        .await?
        .done()?
        .json()?;
    assert_eq!(shown["faults"][0]["code"], data["reason"], "{shown}");
    // Somebody gives up on it, with a reason: it is closed, and it does not say "erased".
    let discard = [
        "attention",
        "discard",
        "twins",
        "--tenant",
        "acme",
        "--actor",
        "olivia",
        "--reason",
        "wrong-person",
    ];
    state_of(&world, "twins", "acme", "running").await?;
    world.command(&discard).await?.done()?;
    assert_eq!(desk.end_of("acme", "twins").await?, "closed_not_erased");
    assert_eq!(desk.ids_of("acme", "twins")["needs_attention"].len(), 1);
    assert_eq!(others(world.company(), &[7]).await?, before);
    Ok(())
}

/// A login of the broker that may publish into this world's virtual host. Gone when dropped.
struct Login {
    management: String,
    name: String,
    url: String,
}

impl Login {
    async fn create(world: &World) -> Result<Self> {
        let management = std::env::var("ERASURE_TEST_AMQP_MANAGEMENT")?;
        let name = format!("crm-{}", world.name());
        let url = world.amqp().replacen("guest:guest", &format!("{name}:secret"), 1);
        let login = Self { management, name, url };
        let client = reqwest::Client::new();
        let permissions = format!("permissions/{}/{}", world.name(), login.name);
        let calls = [
            (format!("users/{}", login.name), json!({ "password": "secret", "tags": "" })),
            (permissions, json!({ "configure": "^$", "write": "^erasure$", "read": "^$" })),
        ];
        for (path, body) in calls {
            let url = format!("{}/api/{path}", login.management.trim_end_matches('/'));
            client
                .put(url)
                .header("content-type", "application/json")
                .body(body.to_string())
                .send()
                .await?
                .error_for_status()?;
        }
        Ok(login)
    }
}

impl Drop for Login {
    fn drop(&mut self) {
        let url = format!("{}/api/users/{}", self.management.trim_end_matches('/'), self.name);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.map(|runtime| runtime.block_on(reqwest::Client::new().delete(url).send()).is_ok())
            });
        });
    }
}
