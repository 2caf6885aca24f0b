//! The sample company of the tests is the same in both technologies.

use anyhow::Result;
use erasure_tests::{
    company::{Company, Technology},
    servers::Servers,
};

const COUNTS: [(&str, &str); 5] = [
    ("crm", "select count(*) from participants"),
    ("crm", "select count(*) from accounts"),
    ("marketing", "select count(*) from memberships"),
    ("warehouse", "select count(*) from events"),
    ("warehouse", "select count(*) from referrals"),
];

#[tokio::test]
async fn it_has_as_many_rows_in_postgresql_as_in_sqlite() -> Result<()> {
    let postgres = Servers::of_this_run()?.postgres;
    let mut found = Vec::new();
    for technology in [Technology::Sqlite, Technology::Postgres] {
        let dir = tempfile::tempdir()?;
        let name = format!("c{}", uuid::Uuid::new_v4().simple());
        let company = Company::found(technology, 1_000, &name, dir.path(), &postgres).await?;
        let mut counts = Vec::new();
        for (store, sql) in COUNTS {
            counts.push(company.number(store, sql).await?);
        }
        found.push(counts);
    }
    assert_eq!(found[0], found[1]);
    assert_eq!(found[0][..3], [1_000, 400, 1_600]);
    Ok(())
}
