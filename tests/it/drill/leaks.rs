//! After a run no place that the fleet writes to holds an identifier in a readable form.
//!
//! A thousand unmistakable identifiers are planted. Every path is driven on which one travels: by command, file, HTTP and AMQP, sealed
//! and not; found, retried, parked, redriven, given up; refused by intake, by stores and by a vendor that quote the person; through a
//! process that is killed. Then the hunt looks for all of them in every form (`net`) in every log, page, event, answer, in RabbitMQ's,
//! Redis' and the ledger's files. That it is not blind is shown by decoys, one left in each kind of place in another form: it must find
//! exactly these, and what a producer has published in plain text in RabbitMQ's files, as the README says.

mod drive;
mod net;
mod places;
mod planted;

use crate::desk::Desk;
use anyhow::{Context, Result, ensure};
use drive::{Drive, FILES};
use erasure_tests::{
    company::Technology,
    opendsr::{Mode, Processor},
    private::{Kind, PrivateServer},
    producer::Message,
    world::World,
};
use net::{Catch, Net};
use places::Place;
use planted::Person;
use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;

#[tokio::test(flavor = "multi_thread")]
async fn no_identifier_is_readable_anywhere_with_a_ledger_in_sqlite_and_the_usual_log() -> Result<()> {
    hunt(Technology::Sqlite, "info,sqlx=warn,lapin=error").await
}

#[tokio::test(flavor = "multi_thread")]
async fn no_identifier_is_readable_anywhere_with_a_ledger_in_postgresql_and_everything_logged() -> Result<()> {
    let own = [
        "",
        "_api",
        "_broker",
        "_intake",
        "_kit",
        "_ledger",
        "_privacy",
        "_protocol",
        "_reconciler",
        "_stores",
        "_subprocessors",
        "_tracker",
        "_profiles",
        "_segments",
        "_analytics",
    ];
    let own: Vec<String> = own.iter().map(|name| format!("erasure{name}=trace")).collect();
    hunt(Technology::Postgres, &format!("debug,{}", own.join(","))).await
}

async fn hunt(ledger: Technology, log: &str) -> Result<()> {
    let (rabbitmq, redis) = (PrivateServer::start(Kind::RabbitMq)?, PrivateServer::start(Kind::Redis)?);
    let mailer = Processor::start(Mode::ok(0)).await?;
    let world = World::builder()
        .ledger(ledger)
        .stores(Technology::Postgres)
        .people(planted::COMPANY)
        .amqp(rabbitmq.url())
        .redis(redis.url())
        .map(planted::map()?)
        .vendor("mailer", &mailer.url())
        .set("log.filter", log)
        .set("retry.rungs", vec![toml::Value::from(100), toml::Value::from(300)])
        .set("retry.attempts_max", 3)
        .build()
        .await?;
    let (mut sealed, plain) = planted::people();
    let everybody = [sealed.clone(), plain.clone()].concat();
    let twins = sealed.split_off(sealed.len() - 2);
    let numbers = [twins[0].number, twins[1].number];
    planted::plant(world.company(), &everybody, numbers).await?;

    let mut drive = Drive {
        role: world.run_all().await?,
        desk: Desk::open(&world).await?,
        world: &world,
        mailer: &mailer,
        people: sealed.into_iter(),
        said: String::new(),
        answers: String::new(),
        pages: String::new(),
    };
    drive.by_command().await?;
    drive.by_file().await?;
    drive.by_http().await?;
    drive.ambiguous(&twins[0]).await?;
    drive.refused_by_stores().await?;
    drive.refused_by_vendor().await?;
    drive.killed().await?;
    drive.in_plain_text(&plain).await?;
    drive.look_at_pages().await?;

    let decoys = planted::decoys();
    let raw = tempfile::tempdir()?;
    let places = everything(drive, ledger, [&rabbitmq, &redis], raw.path(), &decoys).await?;
    let words = |people: &[Person]| people.iter().flat_map(Person::words).collect::<Vec<_>>();
    let net = Net::of(&words(&[everybody, decoys].concat()))?;
    let plain: BTreeSet<String> = words(&plain).into_iter().collect();
    judge(&net, &places.0, &places.1, &plain)
}

/// Leaves the decoys, ends everything, and lists every place; with it what the hunt must find: the kind of place, word and form.
async fn everything(
    mut drive: Drive<'_>,
    ledger: Technology,
    [rabbitmq, redis]: [&PrivateServer; 2],
    raw: &Path,
    decoys: &[Person],
) -> Result<(Vec<Place>, BTreeSet<(&'static str, Catch)>)> {
    let world = drive.world;
    let mut left = decoys.iter().map(|person| person.words()[1].clone());
    let mut expected = BTreeSet::new();
    let mut decoy = |kind: &'static str, form: &'static str| {
        let word = left.next().unwrap_or_default();
        expected.insert((kind, (word.clone(), form)));
        word
    };
    // What Redis has appended so far, before it is written anew without what is gone.
    copy(&redis.folder(), raw)?;

    let event = serde_json::json!({ "type": "erasure.request.decoy", "data": decoy("events", "text") });
    let told = Message {
        exchange: "erasure.events".to_owned(),
        routing_key: "erasure.request.decoy".to_owned(),
        content_type: Some("application/cloudevents+json".to_owned()),
        body: event.to_string().into_bytes(),
        ..Message::default()
    };
    drive.desk.producer.publish(&told).await?;
    drive
        .desk
        .hears("the decoy", |event| event["type"] == "erasure.request.decoy")
        .await?;
    ensure!(drive.role.runs(), "the fleet has gone through all of it");
    drive.role.term().await?;

    let hex: String = decoy("Redis", "hexadecimal")
        .bytes()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let mut connection = redis::Client::open(redis.url())?.get_multiplexed_async_connection().await?;
    let () = redis::cmd("SET").arg("decoy").arg(hex).query_async(&mut connection).await?;
    let () = redis::cmd("CONFIG")
        .arg("SET")
        .arg("rdbcompression")
        .arg("no")
        .query_async(&mut connection)
        .await?;
    let () = redis::cmd("SAVE").query_async(&mut connection).await?;
    drop(connection);
    let wide = decoy("RabbitMQ", "UTF-16LE").bytes().flat_map(|byte| [byte, 0]).collect();
    places::leave_in_rabbitmq(world, wide).await?;
    let numbers = decoy("ledger", "numbers")
        .bytes()
        .map(|byte| byte.to_string())
        .collect::<Vec<_>>()
        .join(",");
    places::leave_in_ledger(world, ledger, &numbers).await?;
    let percent: String = decoy("log", "percent").bytes().map(|byte| format!("%{byte:02X}")).collect();
    append(&world.dir().join("decoy.log"), &percent)?;
    append(&world.dir().join("decoy.txt"), &decoy("folder", "text"))?;
    let escapes: String = decoy("answers", "JSON escapes")
        .bytes()
        .map(|byte| format!("\\u{byte:04X}"))
        .collect();
    drive.answers += &escapes;
    drive.pages += &format!("label=\"{}\"", decoy("pages", "text").to_uppercase());
    drive.said += &decoy("commands", "text");
    rabbitmq.stop()?;
    redis.stop()?;

    let mut places = places::of_world(world, &FILES)?;
    places.extend(places::folder("RabbitMQ", &rabbitmq.folder())?);
    places.extend(places::folder("Redis", &redis.folder())?);
    places.extend(places::folder("Redis", raw)?);
    if ledger == Technology::Postgres {
        places.push(places::ledger_in_postgres(world).await?);
    }
    places.push(Place::text("events", format!("{:?}", drive.desk.heard)));
    places.push(Place::text("commands", drive.said));
    places.push(Place::text("answers", drive.answers));
    places.push(Place::text("pages", drive.pages));
    for (kind, bytes_min) in [
        ("log", 5_000),
        ("Redis", 20_000),
        ("RabbitMQ", 100_000),
        ("ledger", 20_000),
        ("answers", 5_000),
    ] {
        let bytes: u64 = places.iter().filter(|it| it.kind == kind).map(Place::bytes).sum();
        eprintln!("{kind}: {bytes} bytes");
        ensure!(bytes > bytes_min, "{kind} has been looked through: {bytes} bytes");
    }
    Ok((places, expected))
}

/// What is found is what was left there, and what producers have published in plain text in RabbitMQ's files: no more, no less.
fn judge(net: &Net, places: &[Place], decoys: &BTreeSet<(&'static str, Catch)>, plain: &BTreeSet<String>) -> Result<()> {
    let mut leaks = Vec::new();
    let (mut found, mut found_plain) = (BTreeSet::new(), false);
    for place in places {
        for (word, form) in net.cast(place.open()?).with_context(|| place.name.clone())? {
            let caught = (place.kind, (word.clone(), form));
            if place.kind == "RabbitMQ" && plain.contains(&word) {
                found_plain = true;
            } else if decoys.contains(&caught) {
                found.insert(caught);
            } else {
                leaks.push(format!("{word} as {form} in {} {}", place.kind, place.name));
            }
        }
    }
    ensure!(leaks.is_empty(), "{} leaks: {leaks:#?}", leaks.len());
    let missed: Vec<_> = decoys.difference(&found).collect();
    ensure!(missed.is_empty(), "the hunt is blind: {missed:?}");
    ensure!(found_plain, "RabbitMQ's files hold what was published in plain text");
    Ok(())
}

fn append(path: &Path, text: &str) -> Result<()> {
    let mut file = std::fs::OpenOptions::new().append(true).create(true).open(path)?;
    file.write_all(text.as_bytes()).context("leaving a decoy")
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            std::fs::create_dir(&target)?;
            copy(&entry.path(), &target)?;
        } else if entry.file_type()?.is_file() {
            std::fs::copy(entry.path(), &target)?;
        }
    }
    Ok(())
}
