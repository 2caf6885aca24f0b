use crate::world::*;
use erasure_ledger::*;

pub(crate) async fn migrating_twice_changes_nothing(world: World) {
    world.ledger.close().await;
    let (config, id) = (world.config.clone(), world.ledger.id());
    drop(world.ledger);
    let again = migrate(&config).await.unwrap();
    assert_eq!((again.ledger, again.from), (id, again.to));
    assert_eq!(Ledger::open(&config, Access::Write).await.unwrap().id(), id);
}

pub(crate) async fn one_newer_schema_is_accepted_and_two_are_not(world: World) {
    let newer = "INSERT INTO ledger_migration (number) SELECT max(number) + 1 FROM ledger_migration";
    world.meddle(newer).await;
    assert!(Ledger::open(&world.config, Access::Read).await.is_ok());
    world.meddle(newer).await;
    let refused = Ledger::open(&world.config, Access::Read).await.unwrap_err();
    assert!(
        matches!(refused, Error::SchemaTooNew { found, newest } if found == newest + 1),
        "{refused}"
    );
    world.meddle("DELETE FROM ledger_migration").await;
    let refused = Ledger::open(&world.config, Access::Read).await.unwrap_err();
    assert!(refused.to_string().contains("erasure ledger migrate"), "{refused}");
}

pub(crate) async fn a_reader_does_not_write(world: World) {
    let reader = Ledger::open(&world.config, Access::Read).await.unwrap();
    assert_eq!(reader.id(), world.ledger.id());
    assert!(reader.now().await.unwrap().0 > NOW.0 / 2);
    assert!(reader.record_act(&act("a", "x")).await.is_err());
    assert!(reader.acts("x").await.unwrap().is_empty());
}

#[tokio::test]
async fn a_second_writer_is_refused_with_what_to_do() {
    let world = World::sqlite().await;
    let refused = Ledger::open(&world.config, Access::Write).await.unwrap_err();
    assert!(
        matches!(refused, Error::Locked { .. }) && refused.to_string().contains("erasure run all"),
        "{refused}"
    );
    assert!(matches!(migrate(&world.config).await, Err(Error::Locked { .. })));
    world.ledger.close().await;
    drop(world.ledger);
    assert!(Ledger::open(&world.config, Access::Write).await.is_ok());
}

#[tokio::test]
async fn a_missing_ledger_says_what_to_run() {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = Config::at(format!("sqlite:{}", folder.path().join("none.db").display()));
    let postgres = Config {
        schema: "ledger_is_not_there".into(),
        ..Config::at(postgres_url())
    };
    for config in [sqlite, postgres] {
        let refused = Ledger::open(&config, Access::Write).await.unwrap_err();
        assert!(matches!(refused, Error::SchemaMissing { .. }) && refused.to_string().contains("erasure ledger migrate"));
    }
}

#[tokio::test]
async fn acts_are_neither_changed_nor_deleted_on_sqlite() {
    let world = World::sqlite().await;
    world.ledger.record_act(&act("a", "x")).await.unwrap();
    for text in ["UPDATE act SET actor = 'nobody'", "DELETE FROM act"] {
        let path = world.config.url.strip_prefix("sqlite:").unwrap();
        let mut connection = <sqlx::SqliteConnection as sqlx::Connection>::connect(&format!("sqlite:{path}"))
            .await
            .unwrap();
        let refused = sqlx::raw_sql(text).execute(&mut connection).await;
        assert!(refused.unwrap_err().to_string().contains("never"));
    }
}

#[tokio::test]
async fn the_granted_role_runs_the_fleet_and_changes_no_schema() {
    let world = World::postgres().await;
    let role = format!("{}_run", world.config.schema);
    world
        .meddle(&format!(
            "CREATE ROLE {role} LOGIN; {}",
            grants(&world.config, &role).unwrap()
        ))
        .await;
    let url = world.config.url.replacen("app@", &format!("{role}@"), 1);
    assert_ne!(url, world.config.url, "the test's URL names the login app");
    let config = Config {
        url,
        ..world.config.clone()
    };
    let world = World {
        ledger: Ledger::open(&config, Access::Write).await.unwrap(),
        ..world
    }
    .registered()
    .await;
    let new = whole("acme", "1", 1);
    let request = new.request;
    world.ledger.accept(new).await.unwrap();
    let ended = end(
        request,
        1,
        erasure_protocol::RequestState::Erased,
        erasure_protocol::Done::Erased,
    );
    assert_eq!(world.ledger.finalise(ended).await.unwrap(), Finalised::Now);
    world.ledger.record_act(&act("a", "x")).await.unwrap();
    world
        .ledger
        .purge(PurgeBefore {
            requests_finished: Some(erasure_protocol::Millis(i64::MAX)),
            limit: 1,
            ..Default::default()
        })
        .await
        .unwrap();
    assert!(migrate(&config).await.is_err(), "it may not create tables");
}
