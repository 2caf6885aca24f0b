//! The same deletions and read-backs as hand-written SQL: 512 people in a transaction, the four subsystems at the same time.
//!
//! A transaction is committed before its people are read back, and reading back costs one more statement.

use anyhow::{Context, Result, ensure};
use sqlx::{AssertSqlSafe, PgConnection, Row};
use tokio::time::Instant;

use crate::estate::{Copy, TENANT, users};

/// How many people are erased in one transaction: as many as the fleet's workers take.
const BATCH: usize = 512;

/// The people of a batch, as rows to join with.
const PEOPLE: &str = "with s as materialized (select * from unnest($1::text[], $2::text[]) as s (tenant, who)) ";

/// The same by the number that the participants have.
const ROWS: &str = "with s as materialized (select * from unnest($1::text[], $2::bigint[]) as s (tenant, who)) ";

/// One person who was found.
#[derive(Clone, Debug)]
struct Found {
    user: String,
    participant: i64,
    account: i64,
}

/// Seconds for all of them.
pub(crate) async fn run(copy: &Copy, subjects: u32) -> Result<f64> {
    let mut stores = Vec::new();
    for store in ["crm", "marketing", "warehouse", "mailing"] {
        stores.push(copy.connect(store).await?);
    }
    let users = users(1..subjects + 1);
    let mut stores = stores.into_iter();
    let mut next = || stores.next().context("four stores");
    let (mut crm, mut marketing, mut warehouse, mut mailing) = (next()?, next()?, next()?, next()?);
    let begun = Instant::now();
    let found = find(&mut crm, &users).await?;
    ensure!(
        found.len() == users.len(),
        "{} of {} people were found",
        found.len(),
        users.len()
    );
    tokio::try_join!(
        profiles(&mut crm, &found),
        segments(&mut marketing, &found),
        analytics(&mut warehouse, &found),
        mailings(&mut mailing, &found),
    )?;
    Ok(begun.elapsed().as_secs_f64())
}

async fn find(crm: &mut PgConnection, users: &[String]) -> Result<Vec<Found>> {
    let sql = [
        PEOPLE,
        "select p.user_id, p.id, p.account_id from s join participants p on p.tenant_id = s.tenant and p.user_id = s.who",
    ];
    let mut found = Vec::with_capacity(users.len());
    for batch in users.chunks(BATCH) {
        let query = sqlx::query(AssertSqlSafe(sql.concat()))
            .bind(tenants(batch.len()))
            .bind(batch.to_vec());
        for row in query.fetch_all(&mut *crm).await? {
            found.push(Found {
                user: row.get(0),
                participant: row.get(1),
                account: row.get(2),
            });
        }
    }
    Ok(found)
}

async fn profiles(crm: &mut PgConnection, found: &[Found]) -> Result<()> {
    for batch in found.chunks(BATCH) {
        let mut accounts: Vec<i64> = batch.iter().map(|it| it.account).collect();
        accounts.sort_unstable();
        accounts.dedup();
        let mut work = Work::begin(crm, batch).await?;
        work.by_accounts("select id from accounts where id = any($1) order by id for update", &accounts)
            .await?;
        work.by_user("delete from participants t using s where t.tenant_id = s.tenant and t.user_id = s.who")
            .await?;
        work.by_accounts(
            "delete from accounts a where id = any($1) and not exists (select 1 from participants p where p.account_id = a.id)",
            &accounts,
        )
        .await?;
        work.commit().await?;
        work.nothing_left(
            "select (select count(*) from s join participants t on t.tenant_id = s.tenant and t.user_id = s.who) \
             + (select count(*) from accounts a where id = any($3::bigint[]) and not exists (select 1 from participants p where p.account_id = a.id))",
            Some(&accounts),
        )
        .await?;
    }
    Ok(())
}

async fn segments(marketing: &mut PgConnection, found: &[Found]) -> Result<()> {
    for batch in found.chunks(BATCH) {
        let mut work = Work::begin(marketing, batch).await?;
        work.by_user(
            ", gone as (delete from memberships t using s where t.tenant_id = s.tenant and t.user_id = s.who returning segment_id), \
             held as (select g.segment_id, count(*) as removed from gone g group by g.segment_id order by g.segment_id) \
             update segments g set member_count = g.member_count - held.removed from held where g.id = held.segment_id",
        )
        .await?;
        work.commit().await?;
        work.nothing_left(
            "select count(*) from s join memberships t on t.tenant_id = s.tenant and t.user_id = s.who",
            None,
        )
        .await?;
    }
    Ok(())
}

async fn analytics(warehouse: &mut PgConnection, found: &[Found]) -> Result<()> {
    for batch in found.chunks(BATCH) {
        let mut work = Work::begin(warehouse, batch).await?;
        work.by_user("delete from events t using s where t.tenant_id = s.tenant and t.user_id = s.who")
            .await?;
        work.by_user("delete from report_rows t using s where t.tenant_id = s.tenant and t.user_id = s.who")
            .await?;
        work.by_number(
            "update share_links t set participant_id = null, referral_code = null from s \
             where t.tenant_id = s.tenant and t.participant_id = s.who",
        )
        .await?;
        work.by_number("update referrals t set referrer_id = null from s where t.tenant_id = s.tenant and t.referrer_id = s.who")
            .await?;
        work.by_number(
            "update referrals t set referred_id = null, referred_name = 'Deleted participant', referred_email = null from s \
             where t.tenant_id = s.tenant and t.referred_id = s.who",
        )
        .await?;
        work.by_number(
            "update reward_notes n set note = null from s join rewards r on r.tenant_id = s.tenant and r.participant_id = s.who \
             where n.reward_id = r.id",
        )
        .await?;
        work.by_number(
            "update rewards t set participant_id = null, recipient_name = 'Deleted participant' from s \
             where t.tenant_id = s.tenant and t.participant_id = s.who",
        )
        .await?;
        work.commit().await?;
        let numbers: Vec<i64> = batch.iter().map(|it| it.participant).collect();
        work.nothing_left(
            ", n as materialized (select ($1::text[])[1] as tenant, who from unnest($3::bigint[]) as n (who)) \
             select (select count(*) from s join events t on t.tenant_id = s.tenant and t.user_id = s.who) \
             + (select count(*) from s join report_rows t on t.tenant_id = s.tenant and t.user_id = s.who) \
             + (select count(*) from n join share_links t on t.tenant_id = n.tenant and t.participant_id = n.who) \
             + (select count(*) from n join referrals t on t.tenant_id = n.tenant and t.referrer_id = n.who) \
             + (select count(*) from n join referrals t on t.tenant_id = n.tenant and t.referred_id = n.who) \
             + (select count(*) from n join rewards t on t.tenant_id = n.tenant and t.participant_id = n.who)",
            Some(&numbers),
        )
        .await?;
    }
    Ok(())
}

async fn mailings(mailing: &mut PgConnection, found: &[Found]) -> Result<()> {
    for batch in found.chunks(BATCH) {
        let mut work = Work::begin(mailing, batch).await?;
        work.by_user("delete from letters t using s where t.tenant_id = s.tenant and t.user_id = s.who")
            .await?;
        work.by_user("delete from preferences t using s where t.tenant_id = s.tenant and t.user_id = s.who")
            .await?;
        work.commit().await?;
        work.nothing_left(
            "select (select count(*) from s join letters t on t.tenant_id = s.tenant and t.user_id = s.who) \
             + (select count(*) from s join preferences t on t.tenant_id = s.tenant and t.user_id = s.who)",
            None,
        )
        .await?;
    }
    Ok(())
}

/// One batch on its way.
struct Work<'a> {
    connection: &'a mut PgConnection,
    tenants: Vec<&'static str>,
    users: Vec<&'a str>,
    numbers: Vec<i64>,
}

impl<'a> Work<'a> {
    async fn begin(connection: &'a mut PgConnection, batch: &'a [Found]) -> Result<Self> {
        sqlx::query("begin").execute(&mut *connection).await?;
        Ok(Self {
            connection,
            tenants: tenants(batch.len()),
            users: batch.iter().map(|it| it.user.as_str()).collect(),
            numbers: batch.iter().map(|it| it.participant).collect(),
        })
    }

    async fn by_user(&mut self, sql: &str) -> Result<()> {
        let query = sqlx::query(AssertSqlSafe([PEOPLE, sql].concat()))
            .bind(&self.tenants)
            .bind(&self.users);
        query.execute(&mut *self.connection).await.with_context(|| sql.to_owned())?;
        Ok(())
    }

    async fn by_number(&mut self, sql: &str) -> Result<()> {
        let query = sqlx::query(AssertSqlSafe([ROWS, sql].concat()))
            .bind(&self.tenants)
            .bind(&self.numbers);
        query.execute(&mut *self.connection).await.with_context(|| sql.to_owned())?;
        Ok(())
    }

    async fn by_accounts(&mut self, sql: &'static str, accounts: &[i64]) -> Result<()> {
        sqlx::query(sql)
            .bind(accounts)
            .execute(&mut *self.connection)
            .await
            .context(sql)?;
        Ok(())
    }

    async fn commit(&mut self) -> Result<()> {
        sqlx::query("commit").execute(&mut *self.connection).await?;
        Ok(())
    }

    /// Reads back, after the commit.
    async fn nothing_left(&mut self, sql: &str, numbers: Option<&[i64]>) -> Result<()> {
        let query = sqlx::query_scalar(AssertSqlSafe([PEOPLE, sql].concat()))
            .bind(&self.tenants)
            .bind(&self.users);
        let query = match numbers {
            Some(numbers) => query.bind(numbers),
            None => query,
        };
        let left: i64 = query.fetch_one(&mut *self.connection).await.with_context(|| sql.to_owned())?;
        ensure!(left == 0, "{left} rows are left: {sql}");
        Ok(())
    }
}

fn tenants(count: usize) -> Vec<&'static str> {
    vec![TENANT; count]
}
