//! The company whose people are forgotten: made once as a template, copied for each run.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::{Context, Result, bail, ensure};
use erasure_tests::{
    binary::repository,
    company::{Company, STORES, Technology, postgres_url, scripts},
};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

/// The tenant of everybody.
pub(crate) const TENANT: &str = "acme";

/// The store of the fourth subsystem.
pub(crate) const MAILING: &str = "mailing";

/// What is counted of the people who were to be forgotten: store, and what must be zero. `{last}` is the last of them.
const GONE: [(&str, &str); 8] = [
    ("crm", "select count(*) from participants where id <= {last}"),
    (
        "crm",
        "select count(*) from accounts a where not exists (select 1 from participants p where p.account_id = a.id)",
    ),
    ("marketing", "select count(*) from memberships where user_id <= '{last_user}'"),
    (
        "marketing",
        "select count(*) from segments s where member_count <> (select count(*) from memberships m where m.segment_id = s.id)",
    ),
    (
        "warehouse",
        "select (select count(*) from events where user_id <= '{last_user}') \
         + (select count(*) from report_rows where user_id <= '{last_user}')",
    ),
    (
        "warehouse",
        "select (select count(*) from share_links where participant_id <= {last}) \
         + (select count(*) from referrals where referrer_id <= {last} or referred_id <= {last} or referred_email <= '{last_email}')",
    ),
    (
        "warehouse",
        "select (select count(*) from rewards where participant_id <= {last}) \
         + (select count(*) from reward_notes where reward_id <= {last} and note is not null)",
    ),
    (
        MAILING,
        "select (select count(*) from letters where user_id <= '{last_user}') \
         + (select count(*) from preferences where user_id <= '{last_user}')",
    ),
];

/// Everybody else's rows, which nobody may touch.
const OTHERS: [(&str, &str); 4] = [
    ("crm", "select count(*) from participants where id > {last}"),
    ("marketing", "select count(*) from memberships where user_id > '{last_user}'"),
    ("warehouse", "select count(*) from events where user_id > '{last_user}'"),
    (MAILING, "select count(*) from letters where user_id > '{last_user}'"),
];

/// The company as it is before anything is erased: one database with a schema for each store.
#[derive(Debug)]
pub(crate) struct Estate {
    server: String,
    template: String,
    /// How many people are to be forgotten: the first ones.
    pub(crate) subjects: u32,
    others: Vec<i64>,
}

impl Estate {
    /// Makes the template. Of the people it holds, the last tenth stays, so that nothing has to be kept of the others.
    pub(crate) async fn found(server: &str, subjects: u32) -> Result<Self> {
        let people = subjects + subjects.div_ceil(9) + 20;
        let template = format!("bench_{}", uuid::Uuid::new_v4().simple());
        execute(server, &format!("create database {template}")).await?;
        let database = database_url(server, &template)?;
        for store in STORES {
            let border = format!("(({people} + 19) / 20) * 10");
            let scripts = scripts(Technology::Postgres, store, people)?;
            let scripts = scripts.iter().map(|script| script.replace(&border, &people.to_string()));
            fill(&database, store, scripts).await?;
        }
        let mailing = [
            include_str!("company/mailing.schema.sql"),
            include_str!("company/mailing.fill.sql"),
        ];
        let border = "(({people} + 19) / 20) * 10";
        let mailing = mailing
            .iter()
            .map(|script| script.replace(border, "{people}").replace("{people}", &people.to_string()));
        fill(&database, MAILING, mailing).await?;
        execute(&database, "vacuum (analyze)").await?;
        let mut estate = Self {
            server: server.to_owned(),
            template,
            subjects,
            others: Vec::new(),
        };
        let company = company(&database);
        estate.others = estate.numbers(&company, &OTHERS).await?;
        ensure!(
            estate.others.iter().all(|count| *count > 0),
            "the company has nobody who is to stay"
        );
        Ok(estate)
    }

    /// The data map: the sample's, and the fourth subsystem.
    pub(crate) fn map() -> Result<String> {
        let sample = std::fs::read_to_string(repository().join("deploy/sample/map.toml")).context("reading the sample's map")?;
        Ok(sample + include_str!("company/mailing.toml"))
    }

    /// A fresh copy.
    pub(crate) async fn copy(self: &Arc<Self>) -> Result<Copy> {
        let database = format!("{}_run", self.template);
        execute(&self.server, &format!("drop database if exists {database} with (force)")).await?;
        let text = format!("create database {database} template {} strategy file_copy", self.template);
        execute(&self.server, &text).await?;
        // What one run wrote is not the next one's to flush.
        execute(&self.server, "checkpoint").await?;
        let url = database_url(&self.server, &database)?;
        Ok(Copy {
            estate: Arc::clone(self),
            company: company(&url),
            database,
            url,
        })
    }

    async fn numbers(&self, company: &Company, queries: &[(&str, &str)]) -> Result<Vec<i64>> {
        let last = self.subjects.to_string();
        let mut numbers = Vec::with_capacity(queries.len());
        for (store, sql) in queries {
            let sql = sql
                .replace("{last}", &last)
                .replace("{last_user}", &user(self.subjects))
                .replace("{last_email}", &format!("person{:07}@example.invalid", self.subjects));
            numbers.push(company.number(store, &sql).await?);
        }
        Ok(numbers)
    }
}

/// A company to erase from.
#[derive(Debug)]
pub(crate) struct Copy {
    estate: Arc<Estate>,
    company: Company,
    database: String,
    /// The URL of its database.
    pub(crate) url: String,
}

impl Copy {
    /// The company, as the harness has it.
    pub(crate) fn company(&self) -> &Company {
        &self.company
    }

    /// A connection to one of its stores.
    pub(crate) async fn connect(&self, store: &str) -> Result<PgConnection> {
        let url = self.company.urls().get(store).with_context(|| format!("no store {store}"))?;
        PgConnection::connect(url)
            .await
            .with_context(|| format!("connecting to {store}"))
    }

    /// That everybody who was to be forgotten is gone from every store, and everybody else is there.
    pub(crate) async fn check(&self) -> Result<()> {
        let left = self.estate.numbers(&self.company, &GONE).await?;
        for ((store, sql), count) in GONE.iter().zip(left) {
            ensure!(count == 0, "{count} rows are left in {store}: {sql}");
        }
        let others = self.estate.numbers(&self.company, &OTHERS).await?;
        ensure!(
            others == self.estate.others,
            "rows of others were touched: {:?} before, {others:?} after",
            self.estate.others
        );
        Ok(())
    }

    /// Removes it.
    pub(crate) async fn remove(self) -> Result<()> {
        let text = format!("drop database {} with (force)", self.database);
        execute(&self.estate.server, &text).await
    }
}

/// The user id of person n.
pub(crate) fn user(n: u32) -> String {
    format!("u-{n:07}")
}

/// The user ids of these people.
pub(crate) fn users(people: std::ops::Range<u32>) -> Vec<String> {
    people.map(user).collect()
}

/// The command that asks to forget one person.
pub(crate) fn single(n: u32) -> Value {
    json!({
        "version": 1,
        "request_id": format!("W-{n:07}"),
        "tenant": TENANT,
        "operation": "erase",
        "subjects": [{ "user_id": user(n) }],
    })
}

fn company(database: &str) -> Company {
    let stores = STORES.iter().copied().chain([MAILING]);
    let urls: BTreeMap<String, String> = stores
        .map(|store| (store.to_owned(), postgres_url(database, store)))
        .collect();
    Company::at(Technology::Postgres, urls)
}

async fn fill(database: &str, store: &str, scripts: impl Iterator<Item = String>) -> Result<()> {
    execute(database, &format!("create schema {store}")).await?;
    let mut connection = PgConnection::connect(&postgres_url(database, store)).await?;
    for script in scripts {
        if script.contains("+ 19) / 20") {
            bail!("the sample's scripts part the tenants in another way than the benchmark knows");
        }
        let run = connection.execute(sqlx::raw_sql(AssertSqlSafe(script))).await;
        run.with_context(|| format!("filling the store {store}"))?;
    }
    Ok(())
}

/// Runs one statement on a connection of its own.
pub(crate) async fn execute(url: &str, sql: &str) -> Result<()> {
    let mut connection = PgConnection::connect(url).await.context("connecting to PostgreSQL")?;
    let run = connection.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await;
    run.with_context(|| sql.to_owned())?;
    connection.close().await.context("closing")
}

/// The URL of another database of the same server.
fn database_url(server: &str, database: &str) -> Result<String> {
    let (server, _) = server.rsplit_once('/').context("a URL of a database has a path")?;
    Ok(format!("{server}/{database}"))
}
