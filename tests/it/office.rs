//! A world whose fleet runs, and the people who ask it, look at it and mend it.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use erasure_tests::{
    eventually::eventually,
    role::Role,
    world::{Builder, TOKEN, World},
};
use serde_json::Value;

/// How long anything may take on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

/// What holds a person: store, table, and the column with what is put before the number.
const HELD: [(&str, &str, &str, &str); 9] = [
    ("crm", "participants", "user_id", "u-"),
    ("marketing", "memberships", "user_id", "u-"),
    ("warehouse", "events", "user_id", "u-"),
    ("warehouse", "report_rows", "user_id", "u-"),
    ("warehouse", "share_links", "participant_id", ""),
    ("warehouse", "referrals", "referrer_id", ""),
    ("warehouse", "referrals", "referred_id", ""),
    ("warehouse", "rewards", "participant_id", ""),
    ("warehouse", "payouts", "participant_id", ""),
];

/// A world in which every role runs in one process.
pub(crate) struct Office {
    pub(crate) world: World,
    pub(crate) role: Role,
    client: reqwest::Client,
}

/// A world that tries again within moments and soon gives up.
pub(crate) fn hasty() -> Builder {
    let rungs = vec![toml::Value::from(100), toml::Value::from(300)];
    World::builder()
        .set("retry.rungs", rungs)
        .set("retry.attempts_max", 3)
        .set("reconciler.stalled_after_ms", 1_500)
}

impl Office {
    /// Builds the world, starts the fleet and waits until it is ready.
    pub(crate) async fn open(builder: Builder) -> Result<Self> {
        let world = builder.build().await?;
        let role = world.run_all().await?;
        Ok(Self::at(world, role))
    }

    /// With a process that runs already, ready or not.
    pub(crate) fn at(world: World, role: Role) -> Self {
        let client = reqwest::Client::new();
        Self { world, role, client }
    }

    /// Asks for the people of these numbers, all of one tenant, as one request.
    pub(crate) async fn ask(&self, id: &str, tenant: &str, people: &[u32], more: &[&str]) -> Result<()> {
        let users: Vec<String> = people.iter().map(|n| format!("u-{n:07}")).collect();
        let common = ["--tenant", tenant, "--id", id];
        if let [user] = users.as_slice() {
            let identifier = format!("user_id={user}");
            let arguments = [&["request"][..], &common, more, &[&identifier]].concat();
            self.world.command(&arguments).await?.done()?;
            return Ok(());
        }
        let rows: Vec<[&String; 1]> = users.iter().map(|user| [user]).collect();
        let file = self.world.csv(&format!("{id}.csv"), &["user_id"], &rows)?;
        let arguments = [&["import"][..], &common, more, &[&file]].concat();
        self.world.command(&arguments).await?.done()?;
        Ok(())
    }

    /// What support reads now; nothing when the request is not known yet.
    pub(crate) async fn answer(&self, id: &str) -> Option<Value> {
        let url = self.role.url(&format!("/v1/requests/{id}"));
        let answer = self.client.get(url).bearer_auth(TOKEN).send().await.ok()?;
        if !answer.status().is_success() {
            return None;
        }
        answer.json().await.ok()
    }

    /// Waits for an answer like this. One that is final and not like this ends the waiting.
    pub(crate) async fn until(&self, id: &str, what: &str, fits: impl Fn(&Value) -> bool) -> Result<Value> {
        let last = std::sync::Mutex::new(Value::Null);
        let look = || async {
            let answer = self.answer(id).await?;
            let end = !answer["finished_at"].is_null();
            *last.lock().ok()? = answer.clone();
            (fits(&answer) || end).then_some(answer)
        };
        let seen = eventually(what, PATIENCE, look).await;
        let seen =
            seen.with_context(|| format!("the last answer: {:#}", last.lock().map(|it| it.clone()).unwrap_or_default()))?;
        ensure!(fits(&seen), "{what} was expected, and this came: {seen:#}");
        Ok(seen)
    }

    /// Waits for this final state.
    pub(crate) async fn finishes(&self, id: &str, state: &str) -> Result<Value> {
        self.until(id, state, |answer| answer["state"] == state).await
    }

    /// Waits until a subsystem needs attention for this reason, and checks that everybody who must know is told in words, without
    /// an identifier of a person. Returns the answer.
    pub(crate) async fn stuck(&self, id: &str, subsystem: &str, code: &str, source: &str) -> Result<Value> {
        let what = format!("{subsystem} needs attention for {code} of {source}");
        let fits = |answer: &Value| {
            let line = line(answer, subsystem);
            line["state"] == "needs_attention" && line["fault"]["code"] == code && line["fault"]["source"] == source
        };
        let answer = self.until(id, &what, fits).await?;
        let fault = &line(&answer, subsystem)["fault"];
        let (meaning, advice) = (text(&fault["meaning"])?, text(&fault["advice"])?);
        let tenant = text(&answer["tenant"])?;
        // A task whose report is still on its way may be taken for open once more before it needs attention for good.
        let says_why = || async {
            let status = self.world.command(&["status", id, "--tenant", tenant]).await.ok()?;
            Some(status.done().ok()?.stdout).filter(|said| said.contains(code))
        };
        let status = eventually(&format!("`status` says {code}"), PATIENCE, says_why).await?;
        for word in [code, source, meaning, advice, "must act"] {
            ensure!(status.contains(word), "`status` does not say {word:?}:\n{status}");
        }
        ensure!(
            status.contains("Not erased."),
            "`status` must say that it is not erased:\n{status}"
        );
        for arguments in [&["attention", "list"][..], &["attention", "show", id, "--tenant", tenant]] {
            let said = self.attention(arguments, code).await?;
            for word in [id, code, source, advice] {
                ensure!(
                    said.contains(word),
                    "`{}` does not say {word:?}:\n{said}",
                    arguments.join(" ")
                );
            }
        }
        Ok(answer)
    }

    /// What `attention` says once it names the code: the ledger hears of a fault a moment after the tracker.
    async fn attention(&self, arguments: &[&str], code: &str) -> Result<String> {
        let look = || async {
            let said = self.world.command(arguments).await.ok()?.stdout;
            said.contains(code).then_some(said)
        };
        let said = eventually(&format!("`{}` names {code}", arguments.join(" ")), PATIENCE, look).await?;
        let lower = said.to_lowercase();
        for secret in ["u-00", "person0", "sampleton", "ext-00"] {
            ensure!(!lower.contains(secret), "an identifier is shown:\n{said}");
        }
        Ok(said)
    }

    /// Sends everything that needs attention out again.
    pub(crate) async fn redrive(&self) -> Result<()> {
        let redriven = self
            .world
            .command(&["attention", "redrive", "--all", "--actor", "test"])
            .await?;
        redriven.done().map(|_| ())
    }

    /// How many rows hold these people, payouts apart.
    pub(crate) async fn rows_of(&self, people: &[u32]) -> Result<i64> {
        let mut rows = 0;
        for (store, table, column, prefix) in HELD.iter().filter(|it| it.1 != "payouts") {
            let list = listed(people, prefix);
            let sql = format!("select count(*) from {table} where {column} in ({list})");
            rows += self.world.company().number(store, &sql).await?;
        }
        Ok(rows)
    }

    /// How many rows of each table hold somebody else.
    pub(crate) async fn others(&self, people: &[u32]) -> Result<Vec<i64>> {
        let mut rows = Vec::new();
        for (store, table, column, prefix) in HELD {
            let list = listed(people, prefix);
            let sql = format!("select count(*) from {table} where {column} is not null and {column} not in ({list})");
            rows.push(self.world.company().number(store, &sql).await?);
        }
        let wrong = "select count(*) from segments s where member_count <> \
                     (select count(*) from memberships m where m.segment_id = s.id)";
        ensure!(
            self.world.company().number("marketing", wrong).await? == 0,
            "a segment's count is wrong"
        );
        Ok(rows)
    }
}

/// One subsystem's part of an answer.
pub(crate) fn line<'a>(answer: &'a Value, subsystem: &str) -> &'a Value {
    let lines = answer["subsystems"].as_array();
    let found = lines.and_then(|lines| lines.iter().find(|line| line["subsystem"] == subsystem));
    found.unwrap_or(&Value::Null)
}

/// A text in an answer.
pub(crate) fn text(value: &Value) -> Result<&str> {
    match value {
        Value::String(text) => Ok(text),
        other => bail!("a text was expected, not {other}"),
    }
}

fn listed(people: &[u32], prefix: &str) -> String {
    let one = |n: &u32| {
        if prefix.is_empty() {
            n.to_string()
        } else {
            format!("'{prefix}{n:07}'")
        }
    };
    people.iter().map(one).collect::<Vec<_>>().join(", ")
}
