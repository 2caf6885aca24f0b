//! What a wiped, foreign, forgetful or clustered Redis does to it.

use crate::server::Server;
use crate::world::{World, all_erased, claim_of, mark_of, purge, redis_url};
use anyhow::{Context, Result};
use erasure_protocol::{Blame, Fault, FaultClass, FaultCode, Header, LedgerId, Mask, Millis, RequestState, TaskOutcome};
use erasure_tracker::{Claimed, Config, Error, Finished, Init, Mark, Marked, Tracker};
use std::time::Duration;
use uuid::Uuid;

#[tokio::test]
async fn after_a_wipe_everything_is_unknown_and_wanted_until_it_is_projected_again() -> Result<()> {
    for subjects in [1, 600] {
        let mut world = World::new().await?;
        let header = world.running(subjects, &[purge("profiles", 1)]).await?;
        world.mark(all_erased(&header, 0, 0)).await?;
        world.wipe().await?;
        assert_eq!(world.tracker.progress(&[header.request]).await?, [None]);
        assert_eq!(world.tracker.evidence(header.request).await?, None);
        assert_eq!(world.claim(&header, 0, 0).await?, Claimed::Unknown);
        assert_eq!(world.mark(all_erased(&header, 0, 0)).await?, Marked::Unknown);
        assert_eq!(world.tracker.extend(header.request, &header.plan).await?, Init::Unknown);
        let end = Header {
            state: RequestState::Erased,
            ..header.clone()
        };
        assert_eq!(world.tracker.finish(&[end]).await?, [Finished::Unknown]);
        let wanted = world.tracker.next_wanted(10).await?;
        assert_eq!(
            wanted.iter().map(|it| it.request).collect::<Vec<_>>(),
            [header.request],
            "named once"
        );
        assert_eq!(world.tracker.next_complete(10).await?, []);
        let again = Header {
            generation: 2,
            ..header.clone()
        };
        assert_eq!(world.tracker.project(&[again]).await?, [Init::Created]);
        world.tracker.settle_wanted(&wanted).await?;
        assert_eq!(world.tracker.next_wanted(10).await?, []);
        let Claimed::Open { generation, done, .. } = world.claim(&header, 0, 0).await? else {
            anyhow::bail!("not open")
        };
        assert_eq!((generation, done), (2, Mask::EMPTY));
    }
    Ok(())
}

#[tokio::test]
async fn a_generation_grows_by_init_and_is_set_by_project() -> Result<()> {
    let world = World::new().await?;
    let header = world.running(1, &[purge("profiles", 1)]).await?;
    let of = |generation| Header {
        generation,
        ..header.clone()
    };
    let read = async || -> Result<u32> {
        let progress = world.tracker.progress(&[header.request]).await?.remove(0);
        Ok(progress.context("unknown")?.header.generation)
    };
    world.tracker.init(&[of(3)]).await?;
    world.tracker.init(&[of(2)]).await?;
    assert_eq!(read().await?, 3);
    world.tracker.project(&[of(2)]).await?;
    assert_eq!(read().await?, 2);
    Ok(())
}

#[tokio::test]
async fn a_lease_a_start_and_a_due_date_are_reported_and_a_mark_ends_the_lease() -> Result<()> {
    for subjects in [2, 600] {
        let world = World::new().await?;
        let header = world.running(subjects, &[purge("profiles", 1)]).await?;
        for before in [0, 1] {
            let Claimed::Open { starts, now, key, .. } = world.claim(&header, 0, 0).await? else {
                anyhow::bail!("not open")
            };
            assert_eq!(starts, before);
            assert_eq!(Some(key), header.key);
            let read = world.tracker.outstanding(header.request).await?.unwrap();
            assert!(read.now >= now);
            assert_eq!(read.slices[0].leased_until.since(now), Duration::from_secs(60));
        }
        let (done, retry): (Mask, Mask) = ([0].into_iter().collect(), [1].into_iter().collect());
        let fault = Fault::new(FaultClass::Transient, Blame::Store, FaultCode::StoreBusy, "warehouse.events");
        let note = TaskOutcome::Retry {
            tasks: Mask::EMPTY,
            fault,
            attempt: 1,
            next_try: Millis(5_000),
        };
        let due = Some(Millis(5_000));
        world
            .mark(Mark {
                erased: done,
                retrying: retry,
                due,
                note: Some(note.clone()),
                ..mark_of(&header, 0, 0)
            })
            .await?;
        let read = world.tracker.outstanding(header.request).await?.unwrap();
        let first = read.slices[0];
        assert_eq!((first.leased_until, first.due), (Millis(0), Millis(5_000)));
        assert_eq!(first.missing, Mask::first(subjects.min(512) as usize).without(&done));
        let progress = world.tracker.progress(&[header.request]).await?.remove(0).unwrap();
        assert_eq!(
            (progress.entries[0].note.as_ref(), progress.entries[0].counts.retrying),
            (Some(&note), 1)
        );
        let Claimed::Open { starts, done: seen, .. } = world.claim(&header, 0, 0).await? else {
            anyhow::bail!("not open")
        };
        assert_eq!((starts, seen), (0, done));
        for slice in 0..header.slices {
            world.mark(all_erased(&header, 0, slice)).await?;
        }
        assert_eq!(world.tracker.outstanding(header.request).await?.unwrap().slices, []);
        let progress = world.tracker.progress(&[header.request]).await?.remove(0).unwrap();
        assert_eq!(progress.entries[0].note, None);
    }
    Ok(())
}

#[tokio::test]
async fn a_lost_script_cache_is_noticed_by_nobody() -> Result<()> {
    let mut world = World::new().await?;
    let headers: Vec<_> = (0..20).map(|_| world.header(1, &[purge("profiles", 1)])).collect();
    assert!(world.tracker.init(&headers).await?.iter().all(|it| *it == Init::Created));
    redis::cmd("SCRIPT").arg("FLUSH").exec_async(&mut world.raw).await?;
    let claims: Vec<_> = headers.iter().map(|it| claim_of(it, 0, 0)).collect();
    assert!(
        world
            .tracker
            .claim(&claims)
            .await?
            .iter()
            .all(|it| matches!(it, Claimed::Open { .. }))
    );
    redis::cmd("SCRIPT").arg("FLUSH").exec_async(&mut world.raw).await?;
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
async fn another_ledger_neither_writes_nor_reads() -> Result<()> {
    let mut world = World::new().await?;
    let header = world.running(1, &[purge("profiles", 1)]).await?;
    let stranger = Header {
        ledger: LedgerId(Uuid::new_v4()),
        ..header.clone()
    };
    assert_eq!(world.tracker.init(&[stranger]).await?, [Init::Foreign]);
    let other = Tracker::connect(&world.config, LedgerId(Uuid::new_v4())).await?;
    assert_eq!(other.progress(&[header.request]).await?, [None]);
    assert_eq!(other.claim(&[claim_of(&header, 0, 0)]).await?, [Claimed::Unknown]);
    let mut twin = *world.ledger.0.as_bytes();
    twin[15] ^= 1;
    let twin = LedgerId(Uuid::from_bytes(twin));
    let refused = Tracker::connect(&world.config, twin).await;
    assert!(matches!(refused, Err(Error::ForeignLedger)));
    let meta = world.keys().await?.into_iter().filter(|key| key.ends_with(":meta"));
    for key in meta {
        redis::cmd("DEL").arg(key).exec_async(&mut world.raw).await?;
    }
    let twin = Tracker::connect(&world.config, twin).await?;
    assert_eq!(twin.claim(&[claim_of(&header, 0, 0)]).await?, [Claimed::Foreign]);
    assert_eq!(twin.mark(&[all_erased(&header, 0, 0)]).await?, [Marked::Unknown]);
    assert_eq!(twin.progress(&[header.request]).await?, [None]);
    Ok(())
}

#[tokio::test]
async fn a_forgotten_request_is_unknown() -> Result<()> {
    let world = World::new().await?;
    let header = world.running(600, &[purge("profiles", 1)]).await?;
    world.mark(all_erased(&header, 0, 0)).await?;
    world.tracker.forget(&[header.request]).await?;
    assert_eq!(world.tracker.progress(&[header.request]).await?, [None]);
    Ok(())
}

#[tokio::test]
async fn the_high_water_mark_never_falls() -> Result<()> {
    let world = World::new().await?;
    assert_eq!(world.tracker.high_water().await?, 0);
    assert_eq!(world.tracker.raise_high_water(7).await?, 7);
    assert_eq!(world.tracker.raise_high_water(3).await?, 7);
    world.tracker.meta_set("version", "1").await?;
    assert_eq!(world.tracker.meta_get("version").await?.as_deref(), Some("1"));
    assert_eq!(world.tracker.meta_get("none").await?, None);
    Ok(())
}

#[tokio::test]
async fn a_request_on_one_subject_is_small() -> Result<()> {
    let mut world = World::new().await?;
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
    let open = usage(&mut world.raw).await?;
    for at in 0..4 {
        world.claim(&header, at, 0).await?;
        world.mark(all_erased(&header, at, 0)).await?;
    }
    let complete = usage(&mut world.raw).await?;
    let end = Header {
        state: RequestState::Erased,
        finished_at: Some(Millis(1_790_000_009_000)),
        ..header
    };
    world.tracker.finish(&[end]).await?;
    let last = usage(&mut world.raw).await?;
    eprintln!("bytes of one request on one subject and four subsystems: {open} open, {complete} complete, {last} final");
    let encoding: String = redis::cmd("OBJECT")
        .arg("ENCODING")
        .arg(&key)
        .query_async(&mut world.raw)
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
async fn a_cluster_does_what_a_single_node_does() -> Result<()> {
    let server = Server::start(&["--cluster-enabled", "yes"]).await?;
    server.ask(&["CLUSTER", "ADDSLOTSRANGE", "0", "16383"]).await?;
    server
        .wait_for(&["CLUSTER", "INFO"], |answer| answer.contains("cluster_state:ok"))
        .await?;
    let config = Config {
        url: server.url(),
        cluster: true,
        ..Config::default()
    };
    let ledger = LedgerId(Uuid::new_v4());
    let tracker = Tracker::connect(&config, ledger).await?;
    let world = World::new().await?;
    let headers: Vec<_> = (0..40)
        .map(|_| Header {
            ledger,
            ..world.header(600, &[purge("profiles", 1)])
        })
        .collect();
    assert!(tracker.init(&headers).await?.iter().all(|it| *it == Init::Created));
    let marks: Vec<_> = headers
        .iter()
        .flat_map(|it| [all_erased(it, 0, 0), all_erased(it, 0, 1)])
        .collect();
    let complete: Vec<_> = tracker
        .mark(&marks)
        .await?
        .into_iter()
        .map(|it| it == Marked::Ok { complete: true })
        .collect();
    assert_eq!(complete, [false, true].repeat(40));
    let told = tracker.next_complete(1000).await?;
    assert_eq!(told.len(), 40);
    tracker.settle_complete(&told).await?;
    assert_eq!(tracker.next_complete(1000).await?, []);
    let requests: Vec<_> = headers.iter().map(|it| it.request).collect();
    let read = tracker.progress(&requests).await?;
    assert!(
        read.iter()
            .zip(&headers)
            .all(|(it, header)| it.as_ref().is_some_and(|it| it.header == *header))
    );
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
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port().to_string();
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
    redis_url()?;
    let port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
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
