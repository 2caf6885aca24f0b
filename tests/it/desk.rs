//! What the tests of commands share: a desk where commands are handed in, and the questions asked afterwards of the sample company.

#![allow(clippy::unwrap_used, reason = "helpers of tests, outside of test functions")]

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result, ensure};
use erasure_protocol::{RequestId, RequestKey, TenantId};
use erasure_tests::{
    company::Company,
    eventually::eventually,
    producer::{Message, Producer, Published, Tap},
    world::World,
};
use serde_json::{Value, json};

/// How long a request on a few people may take, a debug build on a busy machine included.
pub(crate) const SOON: Duration = Duration::from_secs(25);

/// The words of events after which nothing follows.
const FINAL: [&str; 4] = ["erased", "erased_with_retention", "nothing_held", "closed_not_erased"];

/// A plain command of version 1.
pub(crate) fn command(tenant: &str, id: &str, subjects: &[Value]) -> Value {
    json!({ "version": 1, "request_id": id, "tenant": tenant, "operation": "erase", "subjects": subjects })
}

/// The user id of person n of the sample company.
pub(crate) fn user(n: u32) -> String {
    format!("u-{n:07}")
}

/// The fleet's own key of a request, as everybody can work it out.
pub(crate) fn key(tenant: &str, id: &str) -> RequestKey {
    RequestKey::of(&TenantId::new(tenant).unwrap(), &RequestId::new(id).unwrap())
}

/// A producer, and everything that the fleet has told the world since.
pub(crate) struct Desk {
    pub(crate) producer: Producer,
    tap: Tap,
    /// Every event, in the order in which it was heard.
    pub(crate) heard: Vec<Value>,
}

impl Desk {
    /// Listens from now on.
    pub(crate) async fn open(world: &World) -> Result<Self> {
        let producer = Producer::connect(world.amqp()).await?;
        let tap = producer.tap("erasure.events", "#").await?;
        Ok(Self {
            producer,
            tap,
            heard: Vec::new(),
        })
    }

    /// Publishes a message as it is to where commands go.
    pub(crate) async fn hand_in(&self, message: Message) -> Result<()> {
        hand_in(&self.producer, message).await
    }

    /// Publishes plain JSON.
    pub(crate) async fn ask(&self, command: &Value) -> Result<()> {
        let message = Message {
            content_type: Some("application/json".into()),
            body: command.to_string().into_bytes(),
            ..Message::default()
        };
        self.hand_in(message).await
    }

    /// Listens until an event fits, and returns it. Events heard before count as well.
    pub(crate) async fn hears(&mut self, what: &str, fits: impl Fn(&Value) -> bool) -> Result<Value> {
        if let Some(event) = self.heard.iter().find(|event| fits(event)) {
            return Ok(event.clone());
        }
        loop {
            let heard = self.tap.next(SOON).await;
            let heard = heard.with_context(|| format!("waiting for {what}; so far {:?}", self.told()))?;
            let event: Value = serde_json::from_slice(&heard.body).context("an event is JSON")?;
            let content_type = heard.content_type.as_deref();
            ensure!(content_type == Some("application/cloudevents+json"), "{content_type:?}");
            ensure!(
                event["type"] == heard.routing_key.as_str(),
                "{event} came under {}",
                heard.routing_key
            );
            self.heard.push(event.clone());
            if fits(&event) {
                return Ok(event);
            }
        }
    }

    /// Waits for the last word on a request, and returns it without its prefix.
    pub(crate) async fn end_of(&mut self, tenant: &str, id: &str) -> Result<String> {
        let is_end = |event: &Value| is_of(event, tenant, id) && FINAL.iter().any(|word| event["data"]["state"] == *word);
        let event = self.hears(&format!("the end of {id}"), is_end).await?;
        Ok(event["data"]["state"].as_str().unwrap_or_default().to_owned())
    }

    /// The ids of what was told of a request, by the word after `erasure.request.`.
    pub(crate) fn ids_of(&self, tenant: &str, id: &str) -> BTreeMap<String, Vec<String>> {
        let mut ids: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for event in self.heard.iter().filter(|event| is_of(event, tenant, id)) {
            let word = event["data"]["state"].as_str().unwrap_or_default().to_owned();
            let id = event["id"].as_str().unwrap_or_default().to_owned();
            ids.entry(word).or_default().push(id);
        }
        ids
    }

    fn told(&self) -> Vec<String> {
        let told = self.heard.iter().map(|event| format!("{} {}", event["type"], event["data"]));
        told.collect()
    }
}

/// Publishes a message to where commands go, and insists on the confirmation.
pub(crate) async fn hand_in(producer: &Producer, message: Message) -> Result<()> {
    let to = Message {
        exchange: "erasure".into(),
        routing_key: "request".into(),
        ..message
    };
    let published = producer.publish(&to).await?;
    ensure!(published == Published::Confirmed, "the command was {published:?}");
    Ok(())
}

fn is_of(event: &Value, tenant: &str, id: &str) -> bool {
    event["data"]["tenant"] == tenant && event["data"]["request_id"] == id
}

/// Messages put aside and not yet dealt with: code, field and id, sorted.
pub(crate) async fn parked(world: &World) -> Result<Vec<(String, String, String)>> {
    let list = lines(&world.command(&["attention", "list", "--json"]).await?.done()?.stdout)?;
    let text = |entry: &Value, name: &str| entry[name].as_str().unwrap_or_default().to_owned();
    let parked = list
        .iter()
        .filter(|entry| entry["kind"] == "parked" && entry["state"] == "open");
    let mut parked: Vec<_> = parked
        .map(|entry| (text(entry, "code"), text(entry, "field"), text(entry, "id")))
        .collect();
    parked.sort();
    Ok(parked)
}

/// One JSON document in each line.
pub(crate) fn lines(text: &str) -> Result<Vec<Value>> {
    let documents = text
        .lines()
        .map(|line| serde_json::from_str(line).with_context(|| format!("no JSON: {line}")));
    documents.collect()
}

/// Waits until `erasure status` gives this state, and returns its answer.
pub(crate) async fn state_of(world: &World, id: &str, tenant: &str, state: &str) -> Result<Value> {
    eventually(&format!("{id} is {state}"), SOON, || async {
        let answer = world.command(&["status", id, "--tenant", tenant, "--json"]).await.ok()?;
        let answer = answer.json().ok()?;
        (answer["state"] == state).then_some(answer)
    })
    .await
}

/// Nothing of person n is left anywhere, and what must stay stands without them.
pub(crate) async fn is_gone(company: &Company, n: u32) -> Result<()> {
    let user = user(n);
    let counts_off = "segments s where member_count <> (select count(*) from memberships m where m.segment_id = s.id)";
    let none = [
        ("crm", format!("participants where id = {n}")),
        ("marketing", format!("memberships where user_id = '{user}'")),
        ("marketing", counts_off.to_owned()),
        ("warehouse", format!("events where user_id = '{user}'")),
        ("warehouse", format!("report_rows where user_id = '{user}'")),
        ("warehouse", format!("share_links where participant_id = {n}")),
        ("warehouse", format!("share_links where referral_code = 'REF-{n:07}'")),
        ("warehouse", format!("referrals where referrer_id = {n} or referred_id = {n}")),
        (
            "warehouse",
            format!("referrals where lower(referred_email) = 'person{n:07}@example.invalid'"),
        ),
        ("warehouse", format!("rewards where participant_id = {n}")),
        ("warehouse", format!("rewards where recipient_name like '%{n:07}%'")),
        ("warehouse", format!("reward_notes where note like '%{n:07}%'")),
    ];
    for (store, rows) in none {
        let found = company.number(store, &format!("select count(*) from {rows}")).await?;
        ensure!(found == 0, "person {n}: {found} {rows}");
    }
    let link = format!(
        "select count(*) from share_links where id = {n} and slug <> '' and landing_page <> '' and participant_id is null"
    );
    let links = company.number("warehouse", &link).await?;
    ensure!(links == 1, "the share link of {n} resolves and points at nobody");
    Ok(())
}

/// How many rows everybody but these people has, table by table; and how many rows stay whoever goes.
pub(crate) async fn others(company: &Company, gone: &[u32]) -> Result<Vec<i64>> {
    let ids = gone.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let users = gone.iter().map(|n| format!("'{}'", user(*n))).collect::<Vec<_>>().join(", ");
    let known = "referred_email is not null";
    let queries = [
        ("crm", format!("participants where id not in ({ids}) and last_name <> ''")),
        ("marketing", format!("memberships where user_id not in ({users})")),
        ("warehouse", format!("events where user_id not in ({users})")),
        ("warehouse", format!("report_rows where user_id not in ({users})")),
        (
            "warehouse",
            format!("share_links where participant_id not in ({ids}) and referral_code <> ''"),
        ),
        ("warehouse", format!("referrals where referrer_id not in ({ids})")),
        ("warehouse", format!("referrals where referred_id not in ({ids}) and {known}")),
        (
            "warehouse",
            format!("rewards where participant_id not in ({ids}) and recipient_name <> 'Deleted participant'"),
        ),
        ("warehouse", "share_links".to_owned()),
        ("warehouse", "referrals".to_owned()),
        ("warehouse", "rewards".to_owned()),
        ("warehouse", "reward_notes".to_owned()),
        ("warehouse", "visit_totals".to_owned()),
        ("marketing", "segments".to_owned()),
    ];
    let mut counts = Vec::new();
    for (store, rows) in queries {
        counts.push(company.number(store, &format!("select count(*) from {rows}")).await?);
    }
    Ok(counts)
}
