//! The private servers do what the other drills rely on.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result};
use erasure_tests::{
    eventually::eventually_true,
    private::{Kind, PrivateServer},
    producer::{Message, Producer, Published},
    servers::RabbitMq4,
};
use lapin::{
    ConnectionProperties,
    options::QueueDeclareOptions,
    types::{AMQPValue, FieldTable},
};
use redis::AsyncCommands;
use sqlx::{Connection, PgConnection, Row};

const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn a_killed_redis_comes_back_on_its_port_with_its_data_and_a_wiped_one_without() -> Result<()> {
    let server = PrivateServer::start(Kind::Redis)?;
    let client = redis::Client::open(server.url())?;
    let _: () = client.get_multiplexed_async_connection().await?.set("key", "value").await?;
    server.kill9()?;
    assert!(client.get_multiplexed_async_connection().await.is_err());
    server.start_again()?;
    let kept: Option<String> = client.get_multiplexed_async_connection().await?.get("key").await?;
    assert_eq!(kept.as_deref(), Some("value"));
    server.wipe()?;
    let gone: Option<String> = client.get_multiplexed_async_connection().await?.get("key").await?;
    assert_eq!(gone, None);
    Ok(())
}

#[tokio::test]
async fn a_paused_redis_is_silent_until_it_goes_on() -> Result<()> {
    let server = PrivateServer::start(Kind::Redis)?;
    let client = redis::Client::open(server.url())?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    server.pause()?;
    let silent = tokio::time::timeout(Duration::from_millis(200), connection.get::<_, Option<String>>("key")).await;
    assert!(silent.is_err() || silent.is_ok_and(|answer| answer.is_err()));
    server.resume()?;
    let answers = || async {
        let connected = client.get_multiplexed_async_connection().await;
        connected.is_ok()
    };
    eventually_true("Redis answers again", SOON, answers).await
}

#[tokio::test]
async fn a_killed_rabbitmq_keeps_what_it_confirmed_and_a_wiped_one_knows_no_queue() -> Result<()> {
    keeps_what_it_confirmed(Kind::RabbitMq).await
}

#[tokio::test]
async fn a_killed_rabbitmq_4_keeps_what_it_confirmed_and_a_wiped_one_knows_no_queue() -> Result<()> {
    match RabbitMq4::of_this_run()? {
        Some(_) => keeps_what_it_confirmed(Kind::RabbitMq4).await,
        None => Ok(()),
    }
}

async fn keeps_what_it_confirmed(kind: Kind) -> Result<()> {
    let server = PrivateServer::start(kind)?;
    declare(&server.url(), "kept").await?;
    server.remembers("kept").await?;
    let message = Message {
        routing_key: "kept".into(),
        body: b"body".to_vec(),
        ..Message::default()
    };
    assert_eq!(
        Producer::connect(&server.url()).await?.publish(&message).await?,
        Published::Confirmed
    );
    let unroutable = Message {
        routing_key: "nowhere".into(),
        ..Message::default()
    };
    assert_eq!(
        Producer::connect(&server.url()).await?.publish(&unroutable).await?,
        Published::Returned
    );
    server.kill9()?;
    assert!(Producer::connect(&server.url()).await.is_err());
    server.start_again()?;
    assert_eq!(
        Producer::connect(&server.url()).await?.take("kept").await?,
        Some(b"body".to_vec())
    );
    server.wipe()?;
    assert!(Producer::connect(&server.url()).await?.take("kept").await.is_err());
    Ok(())
}

#[tokio::test]
async fn a_killed_postgresql_keeps_what_it_committed() -> Result<()> {
    let server = PrivateServer::start(Kind::Postgres)?;
    let mut connection = PgConnection::connect(&server.url()).await?;
    sqlx::raw_sql("create table kept (x int); insert into kept values (7)")
        .execute(&mut connection)
        .await?;
    server.kill9()?;
    server.start_again()?;
    let row = sqlx::query("select x from kept")
        .fetch_one(&mut PgConnection::connect(&server.url()).await?)
        .await?;
    assert_eq!(row.try_get::<i32, _>(0)?, 7);
    Ok(())
}

#[tokio::test]
async fn nothing_is_left_of_a_dropped_server() -> Result<()> {
    let rabbitmq4 = RabbitMq4::of_this_run()?.map(|_| Kind::RabbitMq4);
    for kind in [Kind::RabbitMq, Kind::Redis, Kind::Postgres].into_iter().chain(rabbitmq4) {
        let server = PrivateServer::start(kind)?;
        let folder = server.folder();
        let processes = processes_naming(&folder)?;
        assert!(
            kind == Kind::Redis || !processes.is_empty(),
            "{kind:?} shows its folder in its command line or environment"
        );
        let process = format!("/proc/{}", server.pid()?);
        drop(server);
        let gone = || async { !Path::new(&process).exists() && processes_naming(&folder).is_ok_and(|left| left.is_empty()) };
        eventually_true("no process of it is left", SOON, gone)
            .await
            .with_context(|| format!("{kind:?}"))?;
        assert!(!folder.exists());
    }
    Ok(())
}

async fn declare(url: &str, queue: &str) -> Result<()> {
    let channel = lapin::Connection::connect(url, ConnectionProperties::default())
        .await?
        .create_channel()
        .await?;
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    let options = QueueDeclareOptions {
        durable: true,
        ..QueueDeclareOptions::default()
    };
    channel.queue_declare(queue.into(), options, arguments).await?;
    Ok(())
}

/// Ids of processes that name the folder in their command line or environment. Zombies have neither.
fn processes_naming(folder: &Path) -> Result<Vec<String>> {
    let name = folder.to_str().context("an ASCII path")?.as_bytes();
    let names = |path: String| std::fs::read(path).is_ok_and(|bytes| bytes.windows(name.len()).any(|window| window == name));
    let ids = std::fs::read_dir("/proc")?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let ids = ids.filter(|id| id.bytes().all(|byte| byte.is_ascii_digit()));
    Ok(ids
        .filter(|id| names(format!("/proc/{id}/cmdline")) || names(format!("/proc/{id}/environ")))
        .collect())
}
