//! People of the sample company who are to be forgotten, and everybody else.

use anyhow::{Result, ensure};
use erasure_tests::{
    company::{Company, STORES},
    producer::Message,
};
use serde_json::json;

/// Every other person of acme from the first on, in requests of a thousand people and of one.
#[derive(Clone, Debug)]
pub(super) struct Crowd {
    requests: Vec<Asked>,
    others: Vec<i64>,
}

/// One request and its people, by their numbers.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) id: String,
    pub(super) people: Vec<u32>,
}

impl Crowd {
    /// `bulk` people in one request (none: no such request), then `singles` people in a request each.
    pub(super) async fn of(company: &Company, bulk: u32, singles: u32) -> Result<Self> {
        let odd = |index: u32| index * 2 + 1;
        let mut requests = Vec::new();
        if bulk > 0 {
            let people = (0..bulk).map(odd).collect();
            requests.push(Asked {
                id: "bulk".to_owned(),
                people,
            });
        }
        requests.extend((bulk..bulk + singles).map(|index| Asked {
            id: format!("single-{index}"),
            people: vec![odd(index)],
        }));
        let mut crowd = Self {
            requests,
            others: Vec::new(),
        };
        crowd.others = crowd.rows_of_others(company).await?;
        ensure!(
            rows_of(company, &crowd.people()).await? > 0,
            "the company knows nobody of the crowd"
        );
        Ok(crowd)
    }

    /// These people in this one request.
    pub(super) async fn in_one(company: &Company, asked: Asked) -> Result<Self> {
        let mut crowd = Self {
            requests: vec![asked],
            others: Vec::new(),
        };
        crowd.others = crowd.rows_of_others(company).await?;
        let rows = rows_of(company, &crowd.people()).await?;
        ensure!(rows > 0, "the company knows nobody of the crowd");
        Ok(crowd)
    }

    pub(super) fn requests(&self) -> &[Asked] {
        &self.requests
    }

    pub(super) fn people(&self) -> Vec<u32> {
        self.requests.iter().flat_map(|asked| asked.people.iter().copied()).collect()
    }

    /// All of them are gone everywhere, nobody else has lost or got a row or a letter, and the segments' counts are right.
    pub(super) async fn is_gone_and_nobody_else(&self, company: &Company) -> Result<()> {
        let left = rows_of(company, &self.people()).await?;
        ensure!(left == 0, "{left} rows of people who were to be forgotten are there");
        let others = self.rows_of_others(company).await?;
        ensure!(
            others == self.others,
            "rows of other people: {:?} before, {others:?} after",
            self.others
        );
        let wrong = "select count(*) from segments s \
                     where member_count <> (select count(*) from memberships m where m.segment_id = s.id)";
        ensure!(company.number("marketing", wrong).await? == 0, "a segment's count is wrong");
        Ok(())
    }

    /// A sum over everybody else's rows, and over what is in them. The first factor is larger than any sum of the second kind.
    async fn rows_of_others(&self, company: &Company) -> Result<Vec<i64>> {
        let users = users(&self.people());
        let sums = [
            (
                "crm",
                "participants",
                "id * 31 + length(email) + length(first_name) + length(external_id)",
            ),
            ("marketing", "memberships", "length(segment_id) + length(user_id)"),
            ("warehouse", "events", "id * 31 + length(payload)"),
            ("warehouse", "report_rows", "id * 31 + visits"),
        ];
        let mut others = Vec::new();
        for (store, table, row) in sums {
            let sums = format!("count(*) * 10000000000000 + cast(coalesce(sum({row}), 0) as bigint)");
            let sql = format!("select {sums} from {table} where user_id not in ({users})");
            others.push(company.number(store, &sql).await?);
        }
        Ok(others)
    }
}

impl Asked {
    /// The command, as any producer would publish it.
    pub(super) fn message(&self) -> Message {
        let subjects: Vec<_> = self.people.iter().map(|n| json!({ "user_id": user(*n) })).collect();
        let command =
            json!({ "version": 1, "request_id": self.id, "tenant": "acme", "operation": "erase", "subjects": subjects });
        Message {
            exchange: "erasure".to_owned(),
            routing_key: if self.people.len() > 1 { "request.bulk" } else { "request" }.to_owned(),
            message_id: Some(self.id.clone()),
            content_type: Some("application/json".to_owned()),
            body: command.to_string().into_bytes(),
            ..Message::default()
        }
    }
}

/// How many rows hold one of these people.
pub(super) async fn rows_of(company: &Company, people: &[u32]) -> Result<i64> {
    let mut rows = 0;
    for store in STORES {
        rows += rows_in(company, store, people).await?;
    }
    Ok(rows)
}

/// How many rows of one store hold one of these people.
pub(super) async fn rows_in(company: &Company, store: &str, people: &[u32]) -> Result<i64> {
    let users = users(people);
    let of_users = |table: &str| format!("(select count(*) from {table} where user_id in ({users}))");
    let sql = match store {
        "crm" => format!("select {}", of_users("participants")),
        "marketing" => format!("select {}", of_users("memberships")),
        _ => {
            let numbers = people.iter().map(u32::to_string).collect::<Vec<_>>().join(", ");
            let links = format!("(select count(*) from share_links where participant_id in ({numbers}))");
            format!("select {} + {} + {links}", of_users("events"), of_users("report_rows"))
        }
    };
    company.number(store, &sql).await
}

pub(super) fn user(number: u32) -> String {
    format!("u-{number:07}")
}

fn users(people: &[u32]) -> String {
    people
        .iter()
        .map(|n| format!("'{}'", user(*n)))
        .collect::<Vec<_>>()
        .join(", ")
}
