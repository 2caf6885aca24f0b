//! The verbs, on SQLite files and on a real PostgreSQL: the same suite for both.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod world;

use erasure_protocol::{
    Attempt, Blame, FaultClass, FaultCode, Identifier, IdentifierKind, Millis, Operation, Outcome, Resolution, Subject,
};
use erasure_stores::{FindMode, Pace, StoreConfig, Stores};
use std::sync::Arc;
use world::{Kind, NOW, World, found, open, record, tasks, tenant, user};

macro_rules! on_both {
    ($($(#[$doc:meta])* async fn $name:ident($kind:ident: Kind) $body:block)*) => {
        $(async fn $name($kind: Kind) $body)*
        mod sqlite {
            $(#[tokio::test] async fn $name() { super::$name(super::Kind::Sqlite).await })*
        }
        mod postgres {
            $(#[tokio::test] async fn $name() { super::$name(super::Kind::Postgres).await })*
        }
    };
}

/// One table of people with ids that are numbers, and a tenant column.
const ONE_MAP: &str = r#"
version = 1
[identifiers]
user_id = "exact"
email = "trim_lower"
[subsystem.profiles]
store = "db"
tenant = "tenant"
[subsystem.profiles.table.people]
match = [{ user_id = "user_id" }, { email = "email" }]
resolves = { user_id = "user_id", email = "email" }
created = "created_at"
erase = "delete"
rows_per_subject_max = 3
"#;
const ONE_SCHEMA: &str = "create table people (id bigint primary key, tenant varchar(20) not null, user_id bigint, email text, created_at timestamp);
insert into people values (1, 'acme', 1, 'a@example.invalid', '2024-01-01 00:00:00'), (2, 'acme', 2, 'b@example.invalid', '2024-01-01 00:00:00'), (3, 'globex', 1, 'a@example.invalid', '2024-01-01 00:00:00')";

fn retry(outcome: &Outcome) -> FaultCode {
    match outcome {
        Outcome::Retry(fault) => fault.code,
        other => panic!("{other:?}"),
    }
}

fn with_email(pairs: &[(&str, &str)]) -> Subject {
    Subject::given(record(pairs))
}

on_both! {
    async fn three_hundred_people_go_in_one_batch_and_nobody_else_does(kind: Kind) {
        let world = World::sample(kind, 1000).await;
        let given: Vec<_> = (1..=300).map(user).collect();
        let subjects = world.resolve(&given).await;
        assert!(subjects.iter().all(|it| it.resolution == Resolution::Found && it.records.len() == 2));
        let events = world.number("warehouse", "select count(*) from events").await;
        for subsystem in ["profiles", "segments", "analytics"] {
            let outcomes = world.erase(subsystem, &subjects, Attempt::First).await;
            assert!(outcomes.iter().all(|it| *it == Outcome::Erased), "{subsystem}: {outcomes:?}");
            let again = world.erase(subsystem, &subjects, Attempt::Later).await;
            assert!(again.iter().all(|it| *it == Outcome::Erased), "{subsystem}: {again:?}");
            let tenant = tenant("acme");
            let shared: Vec<_> = subjects.iter().cloned().map(Arc::new).collect();
            let left = world.store(subsystem).find(&tenant, &shared, None, FindMode::Values).await.unwrap();
            assert!(left.iter().all(erasure_protocol::Findings::is_clear), "{subsystem}: {left:?}");
        }
        assert_eq!(world.number("crm", "select count(*) from participants").await, 700);
        assert_eq!(world.number("crm", "select count(*) from participants where id <= 300").await, 0);
        assert_eq!(world.number("crm", "select count(*) from accounts a where not exists (select 1 from participants p where p.account_id = a.id)").await, 0);
        assert_eq!(world.number("warehouse", "select count(*) from events").await, events - 300 * 4);
        assert_eq!(world.number("marketing", "select count(*) from segments where member_count <> (select count(*) from memberships where segment_id = segments.id)").await, 0);
        assert_eq!(world.number("warehouse", "select count(*) from reward_notes n join rewards r on r.id = n.reward_id where r.participant_id is null and n.note is not null").await, 0);
        assert!(world.number("warehouse", "select count(*) from reward_notes where note is null").await > 0);
        assert!(world.number("warehouse", "select count(*) from rewards where recipient_name = 'Deleted participant'").await > 0);
    }

    async fn what_must_be_kept_is_retained_until_its_date(kind: Kind) {
        let world = World::sample(kind, 100).await;
        let paid = world.number("warehouse", "select cast(min(participant_id) as bigint) from payouts").await;
        let subjects = vec![found(&[record(&[("participant_id", &paid.to_string())])])];
        let mut all = tasks("acme", &subjects, Attempt::First);
        all.extend(tasks("globex", &subjects, Attempt::First));
        let outcomes = world.store("analytics").perform(Operation::Erase, &all, Pace::Chunks).await.unwrap();
        let kept: Vec<_> = outcomes.iter().filter(|it| matches!(it, Outcome::Retained { ground, until } if ground.0.contains("17(3)(b)") && until.0 == NOW.0 + 3650 * 86_400_000)).collect();
        assert_eq!(kept.len(), 1, "{outcomes:?}");
    }

    async fn a_person_asked_for_twice_gets_two_answers(kind: Kind) {
        let world = World::sample(kind, 20).await;
        let one = world.resolve(&[user(1)]).await.remove(0);
        let nobody = Subject::given(user(999));
        let outcomes = world.erase("segments", &[one.clone(), one, nobody], Attempt::First).await;
        assert_eq!(outcomes, [Outcome::Erased, Outcome::Erased, Outcome::NothingHeld]);
    }

    async fn an_account_goes_with_its_last_participant_unless_it_is_to_be_preserved(kind: Kind) {
        let world = World::sample(kind, 20).await;
        // Accounts have 1, 2, 3, 4 people: 1 alone, 2 and 3 together, 4 to 6 together.
        let subjects = world.resolve(&[user(1), user(2)]).await;
        let mut tasks = tasks("acme", &subjects, Attempt::First);
        tasks[0].options.preserve_empty_account = true;
        let outcomes = world.store("profiles").perform(Operation::Erase, &tasks, Pace::Whole).await.unwrap();
        assert_eq!(outcomes, [Outcome::Erased, Outcome::Erased]);
        assert_eq!(world.number("crm", "select count(*) from accounts where id in (1, 2)").await, 2);
        let last = world.resolve(&[user(3)]).await;
        assert_eq!(world.erase("profiles", &last, Attempt::First).await, [Outcome::Erased]);
        assert_eq!(world.number("crm", "select count(*) from accounts where id = 2").await, 0);
    }

    async fn two_last_participants_at_once_leave_no_account(kind: Kind) {
        let world = World::sample(kind, 200).await;
        for pair in 0..10u32 {
            let subjects = world.resolve(&[user(pair * 10 + 2), user(pair * 10 + 3)]).await;
            let (a, b) = tokio::join!(
                world.erase("profiles", &subjects[..1], Attempt::First),
                world.erase("profiles", &subjects[1..], Attempt::First)
            );
            assert_eq!((a, b), (vec![Outcome::Erased], vec![Outcome::Erased]));
        }
        assert_eq!(world.number("crm", "select count(*) from accounts a where not exists (select 1 from participants p where p.account_id = a.id)").await, 0);
    }

    async fn counts_stay_right_when_batches_run_at_once(kind: Kind) {
        let world = World::sample(kind, 200).await;
        let batch = |from: u32| (0..25).map(|n| found(&[user(from + n)])).collect::<Vec<_>>();
        let batches: Vec<_> = [1, 26, 51, 76].into_iter().map(batch).collect();
        let all = tokio::join!(
            world.erase("segments", &batches[0], Attempt::First),
            world.erase("segments", &batches[1], Attempt::First),
            world.erase("segments", &batches[2], Attempt::First),
            world.erase("segments", &batches[3], Attempt::First)
        );
        assert!([all.0, all.1, all.2, all.3].into_iter().flatten().all(|it| it == Outcome::Erased));
        assert_eq!(world.number("marketing", "select count(*) from segments where member_count <> (select count(*) from memberships where segment_id = segments.id)").await, 0);
        assert_eq!(world.number("marketing", "select cast(member_count as bigint) from segments where id = 'acme-everybody'").await, 0);
    }

    async fn email_and_unit_find_one_person_whatever_the_case(kind: Kind) {
        let world = World::sample(kind, 30).await;
        let given = [
            record(&[("email", "  PERSON0000010@example.INVALID "), ("business_unit", "us")]),
            record(&[("email", "person0000010@example.invalid"), ("business_unit", "eu")]),
            record(&[("email", "person0000010@example.invalid")]),
        ];
        let subjects = world.resolve(&given).await;
        let seen: Vec<_> = subjects.iter().map(|it| it.resolution).collect();
        assert_eq!(seen, [Resolution::Found, Resolution::Nobody, Resolution::Nobody]);
        assert_eq!(subjects[0].records[1][&IdentifierKind::new("user_id").unwrap()], Identifier::new("u-0000010").unwrap());
        assert_eq!(world.erase("profiles", &subjects, Attempt::First).await, [Outcome::Erased, Outcome::NothingHeld, Outcome::NothingHeld]);
        assert_eq!(world.number("crm", "select count(*) from participants").await, 29);
    }

    async fn identifiers_of_two_people_are_ambiguous_and_nothing_is_done(kind: Kind) {
        let world = World::sample(kind, 20).await;
        world.run("crm", "update participants set email = 'same@example.invalid', business_unit = 'EU' where id in (1, 2)").await;
        let subjects = world.resolve(&[
            record(&[("email", "same@example.invalid"), ("business_unit", "EU")]),
            record(&[("user_id", "u-0000001"), ("external_id", "ext-0000002")]),
        ]).await;
        assert!(subjects.iter().all(|it| it.resolution == Resolution::Ambiguous && it.records.len() == 1));
        let outcomes = world.erase("profiles", &subjects, Attempt::First).await;
        assert!(outcomes.iter().all(|it| matches!(it, Outcome::Failed(fault) if fault.code == FaultCode::Ambiguous)), "{outcomes:?}");
        assert_eq!(world.number("crm", "select count(*) from participants").await, 20);
    }

    async fn deactivating_and_reactivating_keep_all_rows(kind: Kind) {
        let world = World::sample(kind, 20).await;
        let subjects = world.resolve(&[user(1)]).await;
        let all = tasks("acme", &subjects, Attempt::First);
        for _ in 0..2 {
            let outcomes = world.store("profiles").perform(Operation::Deactivate, &all, Pace::Whole).await.unwrap();
            assert_eq!(outcomes, [Outcome::Erased]);
            assert_eq!(world.number("crm", "select count(*) from participants where status = 'inactive'").await, 1);
        }
        world.store("profiles").perform(Operation::Reactivate, &all, Pace::Whole).await.unwrap();
        assert_eq!(world.number("crm", "select count(*) from participants where status = 'active'").await, 20);
    }

    async fn the_tenant_is_in_every_statement(kind: Kind) {
        let world = World::one(kind, ONE_MAP, ONE_SCHEMA).await;
        let subject = with_email(&[("user_id", "1")]);
        assert_eq!(world.erase("profiles", &[subject], Attempt::First).await, [Outcome::Erased]);
        assert_eq!(world.number("db", "select count(*) from people where tenant = 'globex'").await, 1);
        assert_eq!(world.number("db", "select count(*) from people").await, 2);
    }

    async fn hostile_values_match_nothing_and_break_nothing(kind: Kind) {
        let world = World::one(kind, ONE_MAP, ONE_SCHEMA).await;
        let hostile = ["abc", "1; drop table people", "' or 1=1 --", "9223372036854775808", "1e0", "\u{202e}1", "ÄPFEL", "{1,2}", "\"", "\\"];
        let mut subjects: Vec<_> = hostile.iter().map(|value| with_email(&[("user_id", value), ("email", value)])).collect();
        subjects.push(with_email(&[("user_id", "2")]));
        let outcomes = world.erase("profiles", &subjects, Attempt::First).await;
        let (last, others) = outcomes.split_last().unwrap();
        assert_eq!(*last, Outcome::Erased);
        assert!(others.iter().all(|it| *it == Outcome::NothingHeld), "{outcomes:?}");
        assert_eq!(world.number("db", "select count(*) from people").await, 2);
    }

    async fn hostile_names_are_only_names(kind: Kind) {
        let map = r#"
version = 1
[identifiers]
user_id = "exact"
[subsystem.profiles]
store = "db"
single_tenant = true
[subsystem.profiles.table."we\"ird; drop"]
match = [{ "se lect\"" = "user_id" }]
resolves = { user_id = "se lect\"" }
personal = ["Größe"]
erase = { anonymise = { "se lect\"" = "unlink", "Größe" = "pseudonym" } }
"#;
        let schema = "create table \"we\"\"ird; drop\" (\"se lect\"\"\" text, \"Größe\" text); insert into \"we\"\"ird; drop\" values ('7', 'tall'), ('8', 'tall')";
        let world = World::one(kind, map, schema).await;
        let outcomes = world.erase("profiles", &[with_email(&[("user_id", "7")]), with_email(&[("user_id", "8")])], Attempt::First).await;
        assert_eq!(outcomes, [Outcome::Erased, Outcome::Erased]);
        assert_eq!(world.number("db", "select count(distinct \"Größe\") from \"we\"\"ird; drop\" where \"se lect\"\"\" is null and \"Größe\" like 'anon-%'").await, 1);
    }

    async fn every_strategy_leaves_its_final_form_and_none_of_the_old(kind: Kind) {
        let map = r#"
version = 1
[identifiers]
user_id = "exact"
[subsystem.profiles]
store = "db"
single_tenant = true
[subsystem.profiles.table.people]
match = [{ user_id = "user_id" }]
resolves = { user_id = "user_id" }
personal = ["name", "phone"]
erase = { anonymise = { user_id = "unlink", name = { value = "gone" }, phone = "null", card = "pseudonym", nick = "pseudonym", born = { truncate = "year" }, seen = { truncate = "month" }, paid = { truncate = "day" }, left_at = "now", score = { value = 0 }, active = { value = false } } }
"#;
        let (uuid, time, day) = match kind {
            Kind::Sqlite => ("text", "text", "text"),
            Kind::Postgres => ("uuid", "timestamptz", "date"),
        };
        let card = "00000000-0000-4000-8000-000000000001";
        let row = |id: u32| format!("({id}, '{id}', 'Planted', '+1', '{card}', 'same', '1980-07-09', '2024-05-17 10:11:12', '2024-05-17 10:11:12', null, 7, true)");
        let schema = format!(
            "create table people (id bigint primary key, user_id text, name text, phone text, card {uuid}, nick text, born {day}, seen {time}, paid {time}, left_at {time}, score int, active boolean);
             insert into people values {}, {}, {}", row(1), row(2), row(3));
        let world = World::one(kind, map, &schema).await;
        let subjects = [with_email(&[("user_id", "1")]), with_email(&[("user_id", "2")])];
        assert_eq!(world.erase("profiles", &subjects, Attempt::First).await, [Outcome::Erased, Outcome::Erased]);
        let done = "user_id is null and name = 'gone' and phone is null and score = 0 and not active and left_at is not null
            and cast(born as text) like '1980-01-01%' and cast(seen as text) like '2024-05-01%' and cast(paid as text) like '2024-05-17%'
            and cast(paid as text) not like '%10:11%' and nick like 'anon-%'";
        assert_eq!(world.number("db", &format!("select count(*) from people where {done}")).await, 2);
        assert_eq!(world.number("db", &format!("select count(*) from people where id < 3 and cast(card as text) <> '{card}'")).await, 2);
        assert_eq!(world.number("db", "select count(distinct cast(card as text)) + count(distinct nick) from people where id < 3").await, 2, "equal values stay equal");
        assert_eq!(world.number("db", &format!("select count(*) from people where id = 3 and name = 'Planted' and cast(card as text) = '{card}'")).await, 1);
    }

    async fn younger_rows_are_somebody_new(kind: Kind) {
        let world = World::one(kind, ONE_MAP, ONE_SCHEMA).await;
        world.run("db", "insert into people values (9, 'acme', 1, 'new@example.invalid', '2040-01-01 00:00:00')").await;
        let outcomes = world.erase("profiles", &[with_email(&[("user_id", "1")])], Attempt::First).await;
        assert_eq!(outcomes, [Outcome::Erased]);
        let shared = [Arc::new(with_email(&[("user_id", "1")]))];
        for (accepted_at, clear) in [(Some(NOW), true), (None, false)] {
            let found = world.store("profiles").find(&tenant("acme"), &shared, accepted_at, FindMode::Counts).await.unwrap();
            assert_eq!(found[0].is_clear(), clear, "{found:?}");
        }
        assert_eq!(world.number("db", "select count(*) from people where id = 9").await, 1);
        assert_eq!(world.number("db", "select count(*) from people where id = 1").await, 0);
    }

    async fn after_the_deadline_nothing_is_changed(kind: Kind) {
        let world = World::one(kind, ONE_MAP, ONE_SCHEMA).await;
        let mut all = tasks("acme", &[with_email(&[("user_id", "1")]), with_email(&[("user_id", "2")])], Attempt::First);
        all[0].deadline = Millis(1_000);
        let outcomes = world.store("profiles").perform(Operation::Erase, &all, Pace::Whole).await.unwrap();
        assert_eq!(retry(&outcomes[0]), FaultCode::Expired);
        assert_eq!(outcomes[1], Outcome::Erased);
        assert_eq!(world.number("db", "select count(*) from people where id = 1").await, 1);
    }

    async fn a_match_above_the_cap_changes_nothing_of_that_subject(kind: Kind) {
        let world = World::one(kind, ONE_MAP, ONE_SCHEMA).await;
        world.run("db", "insert into people (id, tenant, user_id) values (11, 'acme', 1), (12, 'acme', 1), (13, 'acme', 1)").await;
        for pace in [Pace::Whole, Pace::Chunks] {
            let all = tasks("acme", &[with_email(&[("user_id", "1")]), with_email(&[("user_id", "2")])], Attempt::Later);
            let outcomes = world.store("profiles").perform(Operation::Erase, &all, pace).await.unwrap();
            assert!(matches!(&outcomes[0], Outcome::Failed(fault) if fault.code == FaultCode::RowCapExceeded && fault.source.0 == "db.people"), "{outcomes:?}");
            assert_eq!(outcomes[1], Outcome::Erased);
            assert_eq!(world.number("db", "select count(*) from people where user_id = 1 and tenant = 'acme'").await, 4);
        }
    }

    async fn a_row_of_two_people_counts_for_both_and_stays_where_one_has_too_many(kind: Kind) {
        for pace in [Pace::Whole, Pace::Chunks] {
            let world = World::one(kind, ONE_MAP, ONE_SCHEMA).await;
            world.run("db", "insert into people (id, tenant, user_id) values (11, 'acme', 1), (12, 'acme', 1)").await;
            let shared = [with_email(&[("user_id", "1")]), with_email(&[("email", "a@example.invalid")]), with_email(&[("user_id", "7")])];
            let all = tasks("acme", &shared, Attempt::First);
            let outcomes = world.store("profiles").perform(Operation::Erase, &all, pace).await.unwrap();
            assert_eq!(outcomes, [Outcome::Erased, Outcome::Erased, Outcome::NothingHeld]);
            assert_eq!(world.number("db", "select count(*) from people where tenant = 'acme'").await, 1);
        }
        // Two values that are one to the column make one row twice, which is no more rows.
        let map = ONE_MAP.replace("{ user_id = \"user_id\" }, { email", "{ email").replace("user_id = \"user_id\", email", "email").replace("rows_per_subject_max = 3", "rows_per_subject_max = 1");
        let world = World::one(kind, &map, ONE_SCHEMA).await;
        let twice = Subject { records: vec![record(&[("email", "a@example.invalid")]), record(&[("email", " A@example.invalid")])], ..with_email(&[]) };
        assert_eq!(world.erase("profiles", &[twice], Attempt::First).await, [Outcome::Erased]);
        let world = World::one(kind, ONE_MAP, ONE_SCHEMA).await;
        world.run("db", "insert into people (id, tenant, user_id, email) values (11, 'acme', 1, null), (12, 'acme', 1, null), (13, 'acme', 1, null), (14, 'acme', 4, 'a@example.invalid')").await;
        let all = tasks("acme", &[with_email(&[("user_id", "1")]), with_email(&[("email", "a@example.invalid")])], Attempt::First);
        let outcomes = world.store("profiles").perform(Operation::Erase, &all, Pace::Whole).await.unwrap();
        assert!(matches!(&outcomes[0], Outcome::Failed(fault) if fault.code == FaultCode::RowCapExceeded), "{outcomes:?}");
        assert_eq!(retry(&outcomes[1]), FaultCode::ResidueFound, "what they share is left alone");
        assert_eq!(world.number("db", "select count(*) from people where user_id = 1 and tenant = 'acme'").await, 4);
        assert_eq!(world.number("db", "select count(*) from people where id = 14").await, 0, "the other one's own row went");
    }

    async fn what_is_missing_is_named_and_found_again_when_it_is_back(kind: Kind) {
        let world = World::one(kind, ONE_MAP, ONE_SCHEMA).await;
        let store = world.store("profiles");
        let all = tasks("acme", &[with_email(&[("user_id", "1")])], Attempt::First);
        // The schema is known by now, and is lost behind our back.
        let shared = [Arc::clone(&all[0].subject)];
        store.find(&tenant("acme"), &shared, None, FindMode::Counts).await.unwrap();
        for (lose, restore, code) in [
            ("alter table people rename to gone", "alter table gone rename to people", FaultCode::TableMissing),
            ("alter table people rename column email to gone", "alter table people rename column gone to email", FaultCode::ColumnMissing),
        ] {
            world.run("db", lose).await;
            for fresh in [false, true] {
                let store = if fresh { open(&world.urls).store(&world.map, &erasure_protocol::SubsystemName::new("profiles").unwrap(), [0; 32]).unwrap() } else { store.clone() };
                let all = tasks("acme", &[with_email(&[("user_id", "1"), ("email", "a@example.invalid")])], Attempt::First);
                let fault = store.perform(Operation::Erase, &all, Pace::Whole).await.unwrap_err();
                assert_eq!((fault.code, fault.class, fault.blame), (code, FaultClass::Permanent, Blame::Store));
                assert!(fault.source.0.starts_with("db.people"), "{fault}");
            }
            world.run("db", restore).await;
        }
        assert_eq!(store.perform(Operation::Erase, &all, Pace::Whole).await.unwrap(), [Outcome::Erased]);
    }

    async fn a_read_only_store_says_so(kind: Kind) {
        let world = World::one(kind, ONE_MAP, ONE_SCHEMA).await;
        let url = match kind {
            Kind::Sqlite => format!("{}?mode=ro", world.urls["db"]),
            Kind::Postgres => format!("{}&options[default_transaction_read_only]=on", world.urls["db"]),
        };
        let stores = open(&[("db".to_owned(), url)].into());
        let store = stores.store(&world.map, &erasure_protocol::SubsystemName::new("profiles").unwrap(), [0; 32]).unwrap();
        let fault = store.perform(Operation::Erase, &tasks("acme", &[with_email(&[("user_id", "1")])], Attempt::First), Pace::Whole).await.unwrap_err();
        assert_eq!((fault.code, fault.blame), (FaultCode::StoreReadOnly, Blame::Store));
    }

    async fn a_store_that_cannot_be_reached_is_transient(kind: Kind) {
        let world = World::one(kind, ONE_MAP, ONE_SCHEMA).await;
        let url = match kind {
            Kind::Sqlite => format!("sqlite:{}/elsewhere/db", world.folder().display()),
            Kind::Postgres => "postgres://nobody@127.0.0.1:9/none".to_owned(),
        };
        let config = StoreConfig { connect_timeout_ms: 500, ..StoreConfig::at(url) };
        let stores = Stores::open(&[("db".to_owned(), config)].into()).unwrap();
        let store = stores.store(&world.map, &erasure_protocol::SubsystemName::new("profiles").unwrap(), [0; 32]).unwrap();
        let fault = store.perform(Operation::Erase, &tasks("acme", &[with_email(&[("user_id", "1")])], Attempt::First), Pace::Whole).await.unwrap_err();
        assert_eq!((fault.code, fault.class, fault.blame), (FaultCode::StoreUnreachable, FaultClass::Transient, Blame::Store));
    }

    async fn what_comes_back_after_the_commit_is_residue(kind: Kind) {
        let world = World::one(kind, ONE_MAP, ONE_SCHEMA).await;
        let trigger = match kind {
            Kind::Sqlite => "create trigger back after delete on people begin insert into people values (old.id + 100, old.tenant, old.user_id, old.email, old.created_at); end",
            Kind::Postgres => "create function back() returns trigger language plpgsql as $$ begin insert into people values (old.id + 100, old.tenant, old.user_id, old.email, old.created_at); return old; end $$; create trigger back after delete on people for each row execute function back()",
        };
        world.run("db", trigger).await;
        for pace in [Pace::Whole, Pace::Chunks] {
            let all = tasks("acme", &[with_email(&[("user_id", "1")]), with_email(&[("user_id", "5")])], Attempt::First);
            let outcomes = world.store("profiles").perform(Operation::Erase, &all, pace).await.unwrap();
            assert_eq!(retry(&outcomes[0]), FaultCode::ResidueFound);
            assert_eq!(outcomes[1], Outcome::NothingHeld);
        }
    }

    async fn a_constraint_blames_the_batch(kind: Kind) {
        let world = World::one(kind, ONE_MAP, ONE_SCHEMA).await;
        world.run("db", "create table parcels (person bigint references people (id)); insert into parcels values (1)").await;
        let all = tasks("acme", &[with_email(&[("user_id", "1")]), with_email(&[("user_id", "2")])], Attempt::First);
        let fault = world.store("profiles").perform(Operation::Erase, &all, Pace::Whole).await.unwrap_err();
        assert_eq!((fault.code, fault.blame), (FaultCode::ConstraintHolds, Blame::Batch));
        assert_eq!(world.number("db", "select count(*) from people").await, 3);
    }

    async fn chunks_reach_the_end_of_a_big_table(kind: Kind) {
        let map = ONE_MAP.replace("rows_per_subject_max = 3", "rows_per_subject_max = 1000\nrows_at_once_max = 7");
        let world = World::one(kind, &map, ONE_SCHEMA).await;
        let rows: Vec<String> = (100..200).map(|id| format!("({id}, 'acme', {})", 1 + id % 2)).collect();
        world.run("db", &format!("insert into people (id, tenant, user_id) values {}", rows.join(", "))).await;
        let all = tasks("acme", &[with_email(&[("user_id", "1")]), with_email(&[("user_id", "2")])], Attempt::First);
        assert_eq!(world.store("profiles").perform(Operation::Erase, &all, Pace::Chunks).await.unwrap(), [Outcome::Erased, Outcome::Erased]);
        assert_eq!(world.number("db", "select count(*) from people").await, 1);
    }

    async fn members_come_in_pages_without_gaps(kind: Kind) {
        let world = World::sample(kind, 100).await;
        let (mut after, mut seen) = (None, Vec::new());
        loop {
            let (page, next) = world.store("segments").members(&tenant("acme"), "acme-newsletter", after, 7).await.unwrap();
            seen.extend(page);
            after = next;
            if after.is_none() {
                break;
            }
        }
        let expected = world.number("marketing", "select count(*) from memberships where segment_id = 'acme-newsletter'").await;
        assert_eq!(seen.len(), usize::try_from(expected).unwrap());
        assert!(seen.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!(world.store("segments").members(&tenant("globex"), "acme-newsletter", None, 7).await.unwrap().0.len(), 0);
    }

    async fn evidence_changes_with_the_store_and_the_map(kind: Kind) {
        let world = World::one(kind, ONE_MAP, ONE_SCHEMA).await;
        let other = World::one(kind, &ONE_MAP.replace("rows_per_subject_max = 3", "rows_per_subject_max = 4"), ONE_SCHEMA).await;
        let name = erasure_protocol::SubsystemName::new("profiles").unwrap();
        let key = world.store("profiles").evidence().await.unwrap();
        assert_eq!(key, open(&world.urls).store(&world.map, &name, [0; 32]).unwrap().evidence().await.unwrap());
        assert_ne!(key, world.stores.store(&other.map, &name, [7; 32]).unwrap().evidence().await.unwrap());
        assert_ne!(key, other.stores.store(&world.map, &name, [7; 32]).unwrap().evidence().await.unwrap());
    }

    async fn the_look_up_shows_values_and_the_catalogue_the_schema(kind: Kind) {
        let world = World::sample(kind, 20).await;
        let subjects = world.resolve(&[user(2)]).await;
        let shared: Vec<_> = subjects.iter().cloned().map(Arc::new).collect();
        let found = world.store("profiles").find(&tenant("acme"), &shared, None, FindMode::Values).await.unwrap();
        let tables: Vec<_> = found[0].0.iter().map(|it| (it.table.as_str(), it.rows)).collect();
        assert_eq!(tables, [("participants", 1), ("accounts", 1)]);
        let shown = &found[0].0[0].values[0];
        assert!(shown.contains(&("user_id".to_owned(), Some("u-0000002".to_owned()))), "{shown:?}");
        let (catalog, faults) = world.stores.catalog().await;
        assert!(faults.is_empty());
        let participants = catalog.stores["crm"].iter().find(|it| it.name.to_string() == "participants").unwrap();
        assert_eq!(participants.primary_key, ["id"]);
        assert!(participants.indexes.iter().any(|it| it.parts.iter().any(|part| part.contains("lower"))), "{:?}", participants.indexes);
        assert_eq!(participants.foreign_keys.len(), 2, "{:?}", participants.foreign_keys);
    }
}
