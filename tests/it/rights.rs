//! The fleet on a RabbitMQ whose administrator gives each role what `erasure topology show` says, and nothing more.

use anyhow::{Context, Result, ensure};
use erasure_tests::{
    company::Technology,
    producer::{Message, Producer, Published},
    servers::Servers,
    world::World,
};
use reqwest::Method;
use serde_json::{Value, json};

use crate::asked::{ask, held, listed, others, quick, until_line, until_ready, until_state, until_waits};

const PASSWORD: &str = "of-this-test-alone";

/// RabbitMQ's users of one test, made by its administrator and gone with it.
struct Users {
    management: String,
    names: Vec<String>,
}

impl Users {
    async fn make(world: &World, permissions: &[Value]) -> Result<Self> {
        let management = Servers::of_this_run()?
            .amqp_management
            .context("ERASURE_TEST_AMQP_MANAGEMENT is not set")?;
        let mut users = Self {
            management,
            names: Vec::new(),
        };
        let vhost = world.name();
        for permission in permissions {
            let text = |key: &str| permission[key].as_str().unwrap_or_default().to_owned();
            let user = format!("{vhost}-{}", text("role"));
            users.names.push(user.clone());
            users
                .call(
                    Method::PUT,
                    &format!("users/{user}"),
                    &json!({ "password": PASSWORD, "tags": "" }),
                )
                .await?;
            let rights = json!({ "configure": text("configure"), "write": text("write"), "read": text("read") });
            users
                .call(Method::PUT, &format!("permissions/{vhost}/{user}"), &rights)
                .await?;
            if let Some(topic) = permission["topic"].as_object() {
                let rights = json!({ "exchange": topic["exchange"], "write": topic["write"], "read": "" });
                users
                    .call(Method::PUT, &format!("topic-permissions/{vhost}/{user}"), &rights)
                    .await?;
            }
        }
        Ok(users)
    }

    async fn call(&self, method: Method, path: &str, body: &Value) -> Result<()> {
        let url = format!("{}/api/{path}", self.management.trim_end_matches('/'));
        let answer = reqwest::Client::new().request(method, &url).json(body).send().await?;
        ensure!(
            answer.status().is_success(),
            "RabbitMQ answered {} to {path}",
            answer.status()
        );
        Ok(())
    }

    async fn remove(self) -> Result<()> {
        for user in &self.names {
            self.call(Method::DELETE, &format!("users/{user}"), &json!({})).await?;
        }
        Ok(())
    }
}

/// The world's broker, as this role logs in.
fn url(world: &World, role: &str) -> String {
    world
        .amqp()
        .replacen("guest:guest", &format!("{}-{role}:{PASSWORD}", world.name()), 1)
}

#[tokio::test]
async fn each_role_needs_no_more_than_the_permissions_shown_and_a_prefix_keeps_its_names_apart() -> Result<()> {
    let mut world = quick().ledger(Technology::Postgres).build().await?;
    let before = others(world.company(), &[3]).await?;
    world.set("broker.prefix", "acme.")?;
    let shown = world.command(&["topology", "show", "--json"]).await?.done()?.json()?;
    let permissions = shown["permissions"].as_array().context("permissions")?;
    let users = Users::make(&world, permissions).await?;

    world.set("broker.url", url(&world, "worker"))?;
    let refused = world.command(&["topology", "apply"]).await?;
    assert_eq!(refused.code, Some(1), "a worker may declare nothing: {refused:?}");
    world.set("broker.url", url(&world, "admin"))?;
    world.command(&["topology", "apply"]).await?.done()?;
    let verified = world.command(&["topology", "verify"]).await?.done()?;
    assert!(verified.stdout.contains("policies could not be verified"), "{verified:?}");

    let mut roles = Vec::new();
    for (role, user) in [
        ("intake", "intake"),
        ("reconciler", "reconciler"),
        ("profiles", "worker"),
        ("segments", "worker"),
        ("analytics", "worker"),
        ("api", "operator"),
    ] {
        roles.push(world.run_with(&[role], &[("ERASURE__BROKER__URL", &url(&world, user))])?);
    }
    world.set("broker.url", url(&world, "operator"))?;
    for role in &roles {
        until_ready(role).await?;
    }
    ask(&world, "R-1", &["user_id=u-0000003"]).await?;
    until_state(&world, "R-1", "erased").await?;

    // What fails needs dead letters, outcomes and an operator's act.
    world
        .company()
        .execute("warehouse", "alter table events rename to events_away")
        .await?;
    let producer = Producer::connect(&url(&world, "producer")).await?;
    let command = r#"{"version":1,"request_id":"R-2","tenant":"acme","operation":"erase","subjects":[{"user_id":"u-0000006"}]}"#;
    let message = |key: &str| Message {
        exchange: "acme.erasure".into(),
        routing_key: key.into(),
        content_type: Some("application/json".into()),
        body: command.as_bytes().to_vec(),
        ..Message::default()
    };
    assert_eq!(producer.publish(&message("request")).await?, Published::Confirmed);
    until_line(&world, "R-2", "analytics", "needs_attention").await?;
    world
        .company()
        .execute("warehouse", "alter table events_away rename to events")
        .await?;
    let redrive = ["attention", "redrive", "--request", "R-2", "--actor", "ops"];
    world.command(&redrive).await?.done()?;
    until_state(&world, "R-2", "erased").await?;
    assert!(
        producer.publish(&message("act")).await.is_err(),
        "a producer may not publish an operator's act"
    );
    assert_eq!(held(world.company(), 3).await? + held(world.company(), 6).await?, 0);
    assert_eq!(others(world.company(), &[3, 6]).await?[0], before[0] - 1);
    for role in &roles {
        until_ready(role).await?;
        // Before it starts, a role asks the broker what it may not declare.
        let log = role.log()?;
        let since = log.split_once(" started ").map(|(_, since)| since);
        assert!(since.is_some_and(|since| !since.contains("ACCESS_REFUSED")), "{log}");
    }
    let guest = Producer::connect(world.amqp()).await?;
    assert_eq!(
        guest.depth("er.ingest.v1").await?,
        (0, 0),
        "the names without the prefix are nobody's"
    );
    users.remove().await
}

#[tokio::test]
async fn a_queue_with_another_argument_is_reported_and_policies_are_named_as_unverified() -> Result<()> {
    let mut world = quick().build().await?;
    world.set("broker.prefix", "other.")?;
    let management = Servers::of_this_run()?
        .amqp_management
        .context("ERASURE_TEST_AMQP_MANAGEMENT is not set")?;
    let admin = Users {
        management,
        names: Vec::new(),
    };
    let path = format!("queues/{}/other.er.work.profiles.single.v1", world.name());
    let wrong = json!({ "durable": true, "arguments": { "x-queue-type": "quorum", "x-delivery-limit": 3 } });
    admin.call(Method::PUT, &path, &wrong).await?;
    let applied = world.command(&["topology", "apply"]).await?;
    assert_eq!(applied.code, Some(1), "{applied:?}");

    assert_eq!(world.command(&["topology", "verify"]).await?.code, Some(1));
    let found = listed(&world, &["topology", "verify"]).await?;
    let about = |words: &str| {
        found
            .iter()
            .find(|it| it["problem"].as_str().is_some_and(|problem| problem.contains(words)))
            .with_context(|| format!("{words}: {found:?}"))
    };
    assert_eq!(about("other.er.work.profiles.single.v1 differs")?["blocking"], true);
    assert_eq!(about("policies could not be verified")?["blocking"], false);

    let role = world.run(&["all"])?;
    let said = until_waits(&role, "other.er.work.profiles.single.v1").await?;
    assert!(said.contains("broker"), "{said}");
    admin.call(Method::DELETE, &path, &json!({})).await?;
    until_ready(&role).await?;
    ask(&world, "R-1", &["user_id=u-0000003"]).await?;
    until_state(&world, "R-1", "erased").await?;
    Ok(())
}
