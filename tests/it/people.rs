//! People who are not like the others: some of whose data must be kept, whom nobody can tell apart, or who are the last on an
//! account.

use anyhow::Result;
use serde_json::Value;

use crate::office::{Office, hasty, line, text};

/// The last of a hundred: the one with a payout, which tax law keeps.
const PAID: u32 = 100;

/// Alone on account 1; 2 and 3 share account 2.
const ALONE: u32 = 1;

impl Office {
    async fn account(&self, id: u32) -> Result<i64> {
        let sql = format!("select count(*) from accounts where id = {id}");
        self.world.company().number("crm", &sql).await
    }

    async fn status_column(&self, person: u32, status: &str) -> Result<i64> {
        let sql = format!("select count(*) from participants where id = {person} and status = '{status}'");
        self.world.company().number("crm", &sql).await
    }
}

#[tokio::test]
async fn somebody_with_payouts_is_erased_with_retention_and_the_status_names_ground_and_end() -> Result<()> {
    let office = Office::open(hasty()).await?;
    let before = office.others(&[PAID]).await?;
    office.ask("paid", "globex", &[PAID], &[]).await?;
    let answer = office.finishes("paid", "erased_with_retention").await?;
    let said = text(&answer["text"])?;
    assert!(
        said.starts_with("Erased except what must be kept. Analytics keeps data under GDPR Art. 17(3)(b), tax law until "),
        "{said}"
    );
    assert_eq!(line(&answer, "analytics")["state"], "retained");
    assert_eq!(line(&answer, "profiles")["state"], "done");
    let status = office
        .world
        .command(&["status", "paid", "--tenant", "globex"])
        .await?
        .done()?
        .stdout;
    assert!(status.contains("GDPR Art. 17(3)(b), tax law until "), "{status}");
    let year = office
        .world
        .command(&["--json", "status", "paid", "--tenant", "globex"])
        .await?
        .done()?
        .json()?;
    let end = text(&year["text"])?
        .split("tax law until ")
        .nth(1)
        .unwrap_or_default()
        .chars()
        .filter(char::is_ascii_digit)
        .count();
    assert!(end >= 5, "an end in ten years is a day with its year: {said}");
    let payouts = format!("select count(*) from payouts where participant_id = {PAID}");
    assert_eq!(
        office.world.company().number("warehouse", &payouts).await?,
        1,
        "what must be kept is kept"
    );
    assert_eq!(office.rows_of(&[PAID]).await?, 0, "the rest of the person is gone");
    assert_eq!(office.others(&[PAID]).await?, before);
    Ok(())
}

/// Person 5 gets the address and business unit of person 4: nobody can tell them apart by it.
const SAME: &str = "update participants set email = (select email from participants where id = 4), \
                    business_unit = (select business_unit from participants where id = 4) where id = 5";

#[tokio::test]
async fn identifiers_that_fit_two_people_need_attention_and_neither_is_touched() -> Result<()> {
    let office = Office::open(hasty()).await?;
    office.world.company().execute("crm", SAME).await?;
    let before = (office.rows_of(&[4, 5]).await?, office.others(&[4, 5]).await?);
    let unit = ["business_unit=us"];
    let whom = [
        "request",
        "--tenant",
        "acme",
        "--id",
        "twins",
        "email=person0000004@example.invalid",
    ];
    office.world.command(&[&whom[..], &unit].concat()).await?.done()?;
    for subsystem in ["profiles", "segments", "analytics"] {
        let fits = |answer: &Value| line(answer, subsystem)["fault"]["code"] == "SUBJECT-001";
        let answer = office.until("twins", "it is ambiguous", fits).await?;
        assert_eq!(answer["acts"], "support", "{answer:#}");
    }
    let said = office
        .world
        .command(&["status", "twins", "--tenant", "acme"])
        .await?
        .done()?
        .stdout;
    for word in [
        "Not erased.",
        "the identifiers fit several people",
        "Support must act: Submit a new request with a system id",
    ] {
        assert!(said.contains(word), "{said}");
    }
    assert_eq!((office.rows_of(&[4, 5]).await?, office.others(&[4, 5]).await?), before);
    Ok(())
}

#[tokio::test]
async fn one_whom_nobody_can_tell_apart_does_not_keep_the_others_of_a_bulk() -> Result<()> {
    let office = Office::open(hasty()).await?;
    office.world.company().execute("crm", SAME).await?;
    let erased = [6, 7, 8];
    let before = (office.rows_of(&[4, 5]).await?, office.others(&[4, 5, 6, 7, 8]).await?);
    // The two share a line of the file; each of the others has one.
    let units = [("4", "US"), ("6", "EU"), ("7", "US"), ("8", "APAC")];
    let rows: Vec<[String; 2]> = units
        .iter()
        .map(|(n, unit)| [format!("person000000{n}@example.invalid"), (*unit).to_owned()])
        .collect();
    let file = office.world.csv("bulk.csv", &["email", "business_unit"], &rows)?;
    office
        .world
        .command(&["import", &file, "--tenant", "acme", "--id", "bulk"])
        .await?
        .done()?;
    let all_but_one = |answer: &Value| answer["people"]["erased"] == 3 && answer["people"]["needs_attention"] == 1;
    office.until("bulk", "all but one are done", all_but_one).await?;
    office.stuck("bulk", "profiles", "SUBJECT-001", "identifiers").await?;
    assert_eq!(office.rows_of(&erased).await?, 0);
    assert_eq!(
        (office.rows_of(&[4, 5]).await?, office.others(&[4, 5, 6, 7, 8]).await?),
        before
    );
    Ok(())
}

#[tokio::test]
async fn an_account_goes_with_its_last_participant_and_never_before() -> Result<()> {
    let office = Office::open(hasty()).await?;
    let accounts = office.world.company().number("crm", "select count(*) from accounts").await?;
    office.ask("alone", "acme", &[ALONE], &[]).await?;
    office.finishes("alone", "erased").await?;
    assert_eq!(office.account(1).await?, 0, "it has nobody left");
    office.ask("one-of-two", "acme", &[2], &[]).await?;
    office.finishes("one-of-two", "erased").await?;
    assert_eq!(office.account(2).await?, 1, "somebody is left on it");
    office.ask("other-of-two", "acme", &[3], &[]).await?;
    office.finishes("other-of-two", "erased").await?;
    assert_eq!(office.account(2).await?, 0, "the last one took it along");
    assert_eq!(
        office.world.company().number("crm", "select count(*) from accounts").await?,
        accounts - 2
    );
    Ok(())
}

#[tokio::test]
async fn an_account_whose_last_participant_goes_stays_when_that_is_asked() -> Result<()> {
    let office = Office::open(hasty()).await?;
    office.ask("kept", "acme", &[ALONE], &["--preserve-empty-account"]).await?;
    office.finishes("kept", "erased").await?;
    assert_eq!(office.rows_of(&[ALONE]).await?, 0);
    assert_eq!(office.account(1).await?, 1);
    Ok(())
}

#[tokio::test]
async fn two_last_participants_erased_at_once_by_two_requests_take_their_account_along() -> Result<()> {
    for technology in [
        erasure_tests::company::Technology::Sqlite,
        erasure_tests::company::Technology::Postgres,
    ] {
        let office = Office::open(hasty().stores(technology)).await?;
        let accounts = office.world.company().number("crm", "select count(*) from accounts").await?;
        let (one, other) = tokio::join!(office.ask("one", "acme", &[2], &[]), office.ask("other", "acme", &[3], &[]));
        one.and(other)?;
        office.finishes("one", "erased").await?;
        office.finishes("other", "erased").await?;
        assert_eq!(office.rows_of(&[2, 3]).await?, 0);
        assert_eq!(office.account(2).await?, 0, "{technology:?}: nobody is left on it");
        assert_eq!(
            office.world.company().number("crm", "select count(*) from accounts").await?,
            accounts - 1
        );
    }
    Ok(())
}

#[tokio::test]
async fn deactivating_and_reactivating_change_the_status_and_remove_nothing() -> Result<()> {
    let office = Office::open(hasty()).await?;
    let everything = (office.rows_of(&[ALONE]).await?, office.others(&[ALONE]).await?);
    assert_eq!(office.status_column(ALONE, "active").await?, 1);
    for (operation, state, status) in [
        ("deactivate", "deactivated", "inactive"),
        ("reactivate", "reactivated", "active"),
    ] {
        office.ask(operation, "acme", &[ALONE], &["--operation", operation]).await?;
        let answer = office.finishes(operation, state).await?;
        assert_eq!(answer["people"]["erased"], 1, "{answer:#}");
        assert_eq!(office.status_column(ALONE, status).await?, 1);
        let sql = "select count(*) from participants where status <> 'active'";
        assert_eq!(
            office.world.company().number("crm", sql).await?,
            i64::from(status == "inactive"),
            "nobody else"
        );
        assert_eq!((office.rows_of(&[ALONE]).await?, office.others(&[ALONE]).await?), everything);
        assert_eq!(office.account(1).await?, 1);
    }
    Ok(())
}
