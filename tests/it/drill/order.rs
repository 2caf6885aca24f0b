//! Roles that are started before their servers, and a Redis that would forget.

use anyhow::{Context, Result};
use erasure_tests::private::{Kind, PrivateServer};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::asked::{ask, held, others, quick, until_ready, until_state, until_waits};

/// Says one line to Redis and returns what it answers first.
async fn redis(url: &str, command: &str) -> Result<String> {
    let address = url.trim_start_matches("redis://").trim_end_matches('/');
    let mut stream = tokio::net::TcpStream::connect(address)
        .await
        .with_context(|| address.to_owned())?;
    stream.write_all(format!("{command}\r\n").as_bytes()).await?;
    let mut answer = [0; 256];
    let length = stream.read(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer[..length]).into_owned())
}

#[tokio::test]
async fn roles_started_before_redis_and_rabbitmq_say_what_they_wait_for_and_go_on() -> Result<()> {
    let (rabbit, store) = (PrivateServer::start(Kind::RabbitMq)?, PrivateServer::start(Kind::Redis)?);
    let world = quick().amqp(rabbit.url()).redis(store.url()).build().await?;
    let before = others(world.company(), &[3]).await?;
    store.stop()?;
    rabbit.stop()?;
    // Nothing of the topology is there when it comes.
    std::fs::remove_dir_all(rabbit.folder().join("data"))?;

    let mut role = world.run(&["all"])?;
    until_waits(&role, "\"part\":\"tracker\"").await?;
    store.start_again()?;
    until_waits(&role, "\"part\":\"broker\"").await?;
    assert!(role.runs());
    rabbit.start_again()?;
    until_ready(&role).await?;
    ask(&world, "R-1", &["user_id=u-0000003"]).await?;
    until_state(&world, "R-1", "erased").await?;
    assert_eq!(held(world.company(), 3).await?, 0);
    assert_eq!(others(world.company(), &[3]).await?, before);
    Ok(())
}

#[tokio::test]
async fn a_redis_that_evicts_keys_is_refused_until_it_does_not() -> Result<()> {
    let store = PrivateServer::start(Kind::Redis)?;
    let world = quick().redis(store.url()).build().await?;
    assert_eq!(
        redis(&store.url(), "CONFIG SET maxmemory-policy allkeys-lru").await?,
        "+OK\r\n"
    );
    let role = world.run(&["all"])?;
    let said = until_waits(&role, "allkeys-lru").await?;
    assert!(said.contains("set maxmemory-policy noeviction"), "{said}");
    ask(&world, "R-1", &["user_id=u-0000003"]).await?;
    assert!(held(world.company(), 3).await? > 0);
    assert_eq!(
        redis(&store.url(), "CONFIG SET maxmemory-policy noeviction").await?,
        "+OK\r\n"
    );
    until_state(&world, "R-1", "erased").await?;
    until_ready(&role).await?;
    Ok(())
}
