//! The company as the oracle sees it: straight in its tables, past everything of the fleet.

use anyhow::{Context as _, Result, ensure};
use sqlx::{AssertSqlSafe, PgPool, postgres::PgPoolOptions};
use std::time::Duration;

/// The part of the data map that is added in the middle of the run.
pub(crate) const NEWSLETTER_MAP: &str = "\n[subsystem.newsletter]\nstore = \"marketing\"\ntenant = \"tenant_id\"\n\n\
    [subsystem.newsletter.table.letters]\nmatch = [{ user_id = \"user_id\" }]\nerase = \"delete\"\n";

/// The stores of one company.
#[derive(Clone, Debug)]
pub(crate) struct Estate {
    pool: PgPool,
    /// The beginning of every schema's name.
    name: String,
    /// Who is named has an odd number up to this one; all others are the control group.
    last: u32,
    /// Counts and sums over the control group, before anything was asked.
    before: Vec<i64>,
}

impl Estate {
    /// Adds the newsletter's table to the company, and writes down how everybody is.
    pub(crate) async fn survey(postgres: &str, name: &str, last: u32) -> Result<Self> {
        let pool = PgPoolOptions::new()
            .max_connections(3)
            .acquire_timeout(Duration::from_secs(10))
            .connect(postgres)
            .await?;
        let mut estate = Self {
            pool,
            name: name.to_owned(),
            last,
            before: Vec::new(),
        };
        let found = format!(
            "create table {name}_marketing.letters (user_id text primary key, tenant_id text not null); \
             insert into {name}_marketing.letters select user_id, tenant_id from {name}_crm.participants"
        );
        sqlx::raw_sql(AssertSqlSafe(found)).execute(&estate.pool).await?;
        estate.before = estate.control().await?;
        Ok(estate)
    }

    /// How many rows hold one of these people.
    pub(crate) async fn rows_of(&self, people: &[u32], with_newsletter: bool) -> Result<i64> {
        let name = &self.name;
        let by_user = [
            "crm.participants",
            "marketing.memberships",
            "warehouse.events",
            "warehouse.report_rows",
        ];
        let by_user = by_user.into_iter().chain(with_newsletter.then_some("marketing.letters"));
        let by_number = [
            ("share_links", "participant_id"),
            ("referrals", "referrer_id"),
            ("referrals", "referred_id"),
            ("rewards", "participant_id"),
        ];
        let users = by_user.map(|table| format!("(select count(*) from {name}_{table} where user_id = any($1))"));
        let numbers =
            by_number.map(|(table, column)| format!("(select count(*) from {name}_warehouse.{table} where {column} = any($2))"));
        let terms: Vec<String> = users.chain(numbers).collect();
        let sql = format!("select {}", terms.join(" + "));
        let users: Vec<String> = people.iter().map(|number| format!("u-{number:07}")).collect();
        let numbers: Vec<i64> = people.iter().copied().map(i64::from).collect();
        let count = sqlx::query_scalar(AssertSqlSafe(sql)).bind(users).bind(numbers);
        count.fetch_one(&self.pool).await.context("looking for people in the stores")
    }

    /// Nobody of the control group has lost or got a row or a letter, and the segments' counts are right. Otherwise what is wrong.
    pub(crate) async fn damage(&self) -> Result<Vec<String>> {
        let after = self.control().await?;
        let mut damage = Vec::new();
        if after != self.before {
            damage.push(format!("the control group: {:?} before, {after:?} after", self.before));
        }
        let name = &self.name;
        let wrong = format!(
            "select count(*) from {name}_marketing.segments s where member_count <> \
             (select count(*) from {name}_marketing.memberships m where m.segment_id = s.id)"
        );
        if self.ledger_number(&wrong).await? > 0 {
            damage.push("a segment's count is wrong: somebody was subtracted twice, or not at all".to_owned());
        }
        Ok(damage)
    }

    /// A number out of the ledger, or out of the stores by their full names. `{}` in it is the ledger's schema.
    pub(crate) async fn ledger_number(&self, sql: &str) -> Result<i64> {
        let sql = sql.replace("{}", &self.name);
        let number = sqlx::query_scalar(AssertSqlSafe(sql.clone()));
        number.fetch_one(&self.pool).await.with_context(|| sql)
    }

    /// Texts out of the ledger.
    pub(crate) async fn ledger_texts(&self, sql: &str) -> Result<Vec<String>> {
        let sql = sql.replace("{}", &self.name);
        let texts = sqlx::query_scalar(AssertSqlSafe(sql.clone()));
        texts.fetch_all(&self.pool).await.with_context(|| sql)
    }

    async fn control(&self) -> Result<Vec<i64>> {
        let user = "cast(substr(user_id, 3) as bigint)";
        let sums = [
            (
                "crm.participants",
                user,
                "id * 31 + length(email) + length(first_name) + length(external_id)",
            ),
            ("marketing.memberships", user, "length(segment_id) + length(user_id)"),
            ("marketing.letters", user, "length(user_id)"),
            ("warehouse.events", user, "id * 31 + length(payload)"),
            ("warehouse.report_rows", user, "id * 31 + visits"),
            ("warehouse.share_links", "id", "participant_id * 31 + length(referral_code)"),
        ];
        let mut control = Vec::new();
        for (table, number, row) in sums {
            for what in ["count(*)".to_owned(), format!("cast(coalesce(sum({row}), 0) as bigint)")] {
                let (name, last) = (&self.name, self.last);
                let sql = format!("select {what} from {name}_{table} where {number} % 2 = 0 or {number} > {last}");
                control.push(self.ledger_number(&sql).await?);
            }
        }
        ensure!(control.iter().all(|sum| *sum > 0), "the control group is empty: {control:?}");
        Ok(control)
    }
}
