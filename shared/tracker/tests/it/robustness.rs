//! What only a server has: a script cache to lose, an encoding of small hashes, eviction, TLS, and a connection that can fail.

use crate::cluster::Cluster;
use crate::place::server_url;
use crate::server::{Server, free_port};
use crate::world::{World, all_erased, claim_of, purge};
use anyhow::{Context, Result};
use erasure_protocol::{Header, LedgerId, Millis, RequestState};
use erasure_tracker::{Claimed, Config, Error, Init, Marked, Tracker};
use uuid::Uuid;

#[tokio::test]
async fn a_lost_script_cache_is_noticed_by_nobody() -> Result<()> {
    let world = World::new().await?;
    let headers: Vec<_> = (0..20).map(|_| world.header(1, &[purge("profiles", 1)])).collect();
    assert!(world.tracker.init(&headers).await?.iter().all(|it| *it == Init::Created));
    redis::cmd("SCRIPT")
        .arg("FLUSH")
        .exec_async(&mut world.redis.server()?)
        .await?;
    let claims: Vec<_> = headers.iter().map(|it| claim_of(it, 0, 0)).collect();
    assert!(
        world
            .tracker
            .claim(&claims)
            .await?
            .iter()
            .all(|it| matches!(it, Claimed::Open { .. }))
    );
    redis::cmd("SCRIPT")
        .arg("FLUSH")
        .exec_async(&mut world.redis.server()?)
        .await?;
    let marks: Vec<_> = headers.iter().map(|it| all_erased(it, 0, 0)).collect();
    assert!(
        world
            .tracker
            .mark(&marks)
            .await?
            .iter()
            .all(|it| *it == Marked::Ok { complete: true })
    );
    assert_eq!(world.tracker.next_complete(1000).await?.len(), 20);
    Ok(())
}

#[tokio::test]
async fn a_request_on_one_subject_is_small() -> Result<()> {
    let world = World::new().await?;
    let plan: Vec<_> = ["profiles", "segments", "analytics", "subprocessors"]
        .into_iter()
        .zip(1..)
        .map(|(s, e)| purge(s, e))
        .collect();
    let header = world.running(1, &plan).await?;
    let key = world
        .keys()
        .await?
        .into_iter()
        .find(|it| it.contains(&header.request.as_uuid().simple().to_string()));
    let key = key.context("no key")?;
    let usage = async |raw: &mut redis::aio::MultiplexedConnection| -> Result<u64> {
        Ok(redis::cmd("MEMORY").arg("USAGE").arg(&key).query_async(raw).await?)
    };
    let open = usage(&mut world.redis.server()?).await?;
    for at in 0..4 {
        world.claim(&header, at, 0).await?;
        world.mark(all_erased(&header, at, 0)).await?;
    }
    let complete = usage(&mut world.redis.server()?).await?;
    let end = Header {
        state: RequestState::Erased,
        finished_at: Some(Millis(1_790_000_009_000)),
        ..header
    };
    world.tracker.finish(&[end]).await?;
    let last = usage(&mut world.redis.server()?).await?;
    eprintln!("bytes of one request on one subject and four subsystems: {open} open, {complete} complete, {last} final");
    let encoding: String = redis::cmd("OBJECT")
        .arg("ENCODING")
        .arg(&key)
        .query_async(&mut world.redis.server()?)
        .await?;
    assert!(["listpack", "ziplist"].contains(&encoding.as_str()), "{encoding}");
    assert!(complete <= 640, "{complete}");
    Ok(())
}

#[tokio::test]
async fn a_redis_that_evicts_is_refused_and_one_that_keeps_nothing_is_warned_of() -> Result<()> {
    let server = Server::start(&["--maxmemory-policy", "allkeys-lru"]).await?;
    let config = Config {
        url: server.url(),
        ..Config::default()
    };
    let ledger = LedgerId(Uuid::new_v4());
    let refused = Tracker::connect(&config, ledger).await;
    assert!(matches!(refused, Err(Error::Evicts { policy }) if policy == "allkeys-lru"));
    let server = Server::start(&["--appendonly", "no"]).await?;
    let tracker = Tracker::connect(
        &Config {
            url: server.url(),
            ..config
        },
        ledger,
    )
    .await?;
    assert_eq!(tracker.warnings().len(), 1);
    Ok(())
}

#[tokio::test]
async fn tls_and_a_user_of_its_own_are_enough_and_a_stranger_s_certificate_is_refused() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let certificate = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let (cert, key, url_file) = (
        dir.path().join("cert.pem"),
        dir.path().join("key.pem"),
        dir.path().join("url"),
    );
    std::fs::write(&cert, certificate.cert.pem())?;
    std::fs::write(&key, certificate.signing_key.serialize_pem())?;
    let port = free_port()?.to_string();
    let files = [cert.to_str().context("path")?, key.to_str().context("path")?];
    let tls = [
        "--tls-port",
        &port,
        "--tls-cert-file",
        files[0],
        "--tls-key-file",
        files[1],
        "--tls-auth-clients",
        "no",
    ];
    let server = Server::start(&tls).await?;
    // What a managed Redis may give: our keys, and no CONFIG or any other administration.
    let acl = [
        "ACL",
        "SETUSER",
        "fleet",
        "on",
        ">planted",
        "~er:*",
        "+@all",
        "-@admin",
        "-@dangerous",
        "+info",
    ];
    server.ask(&acl).await?;
    std::fs::write(&url_file, format!("rediss://fleet:planted@localhost:{port}/\n"))?;
    let ledger = LedgerId(Uuid::new_v4());
    let config = Config {
        url_file: Some(url_file),
        ..Config::default()
    };
    assert!(matches!(
        Tracker::connect(&config, ledger).await,
        Err(Error::Unreachable { .. })
    ));
    let config = Config {
        ca_file: Some(cert),
        ..config
    };
    let tracker = Tracker::connect(&config, ledger).await?;
    let world = World::new().await?;
    let header = Header {
        ledger,
        ..world.header(1, &[purge("profiles", 1)])
    };
    assert_eq!(tracker.init(std::slice::from_ref(&header)).await?, [Init::Created]);
    assert_eq!(
        tracker.mark(&[all_erased(&header, 0, 0)]).await?,
        [Marked::Ok { complete: true }]
    );
    assert!(tracker.progress(&[header.request]).await?[0].is_some());
    Ok(())
}

#[tokio::test]
async fn a_server_that_is_not_there_is_an_error_in_time_without_the_url() -> Result<()> {
    server_url()?;
    let port = free_port()?;
    let url = format!("redis://er:planted@127.0.0.1:{port}/");
    let failed = Tracker::connect(
        &Config {
            url,
            ..Config::default()
        },
        LedgerId(Uuid::nil()),
    )
    .await;
    let Err(error) = failed else {
        anyhow::bail!("connected to nothing")
    };
    assert!(error.is_transient());
    assert!(!format!("{error:?} {error}").contains("planted"));
    Ok(())
}

#[tokio::test]
async fn a_cluster_is_found_by_any_of_its_nodes_when_the_first_named_is_not_there() -> Result<()> {
    let (gone, cluster) = (free_port()?, Cluster::start().await?);
    let config = Config {
        url: format!("redis://127.0.0.1:{gone}/, {}", cluster.url()),
        cluster: true,
        ..Config::default()
    };
    let ledger = LedgerId(Uuid::new_v4());
    assert_eq!(Tracker::connect(&config, ledger).await?.high_water().await?, 0);
    let alone = Config {
        url: format!("redis://127.0.0.1:{gone}/"),
        ..config
    };
    assert!(Tracker::connect(&alone, ledger).await.is_err_and(|it| it.is_transient()));
    Ok(())
}
