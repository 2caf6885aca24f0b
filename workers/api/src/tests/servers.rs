//! What needs a real RabbitMQ or Redis.

use super::*;
use erasure_broker::{Consumer, ConsumerOptions, Source, Topology};
use erasure_protocol::{Command, Mask, SEALED_CONTENT_TYPE};
use erasure_tracker::{Mark, Marked};
use std::time::Duration;

fn server(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run ./tests/run"))
}

fn own(prefix: &str) -> String {
    format!("{prefix}{}", uuid::Uuid::new_v4().simple())
}

/// What lies in an ingest queue, opened.
async fn opened(world: &World, broker: &erasure_broker::Config, source: Source) -> Command {
    let stop = CancellationToken::new();
    let mut consumer = Consumer::start(broker, source, ConsumerOptions::default(), stop.clone());
    let batch = tokio::time::timeout(Duration::from_secs(20), consumer.next_batch())
        .await
        .unwrap()
        .unwrap();
    let delivery = batch.into_iter().next().unwrap();
    assert_eq!(delivery.meta.content_type.as_deref(), Some(SEALED_CONTENT_TYPE));
    assert!(!String::from_utf8_lossy(&delivery.body).contains("planted"));
    let command = Command::parse(&world.keys.open_command(&delivery.body).unwrap()).unwrap();
    let _settled = delivery.ack().await;
    stop.cancel();
    command
}

#[tokio::test]
async fn an_accepted_command_lies_sealed_in_the_queue_of_its_size() {
    let broker = erasure_broker::Config {
        url: server("ERASURE_TEST_AMQP"),
        prefix: own("t"),
        ..erasure_broker::Config::default()
    };
    erasure_broker::apply(&broker, &Topology::new(&broker, &[], &[]))
        .await
        .unwrap();
    let world = World::on(&broker, None, |_| ()).await;
    let mut many = command();
    many["request_id"] = json!("r-2");
    many["subjects"] = (0..1000)
        .map(|number| json!({"user_id": format!("planted-{number}")}))
        .collect();
    for (sent, source) in [(command(), Source::Ingest), (many, Source::IngestBulk)] {
        let (status, taken) = world.post("/v1/requests", &sent).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{taken}");
        assert_is("Taken", &taken);
        let id = sent["request_id"].as_str().unwrap();
        assert_eq!(taken["status"], format!("/v1/requests/{id}?tenant=1"));
        // Nothing was added: the same call made again must be the same content.
        let arrived = opened(&world, &broker, source).await;
        assert_eq!(arrived, Command::parse(sent.to_string().as_bytes()).unwrap());
    }
    assert_eq!(world.get("/readyz").await.0, StatusCode::OK);
}

#[tokio::test]
async fn while_it_is_open_the_tracker_knows_more_than_the_ledger() {
    let broker = erasure_broker::Config {
        url: "amqp://guest:guest@127.0.0.1:1/%2f".to_owned(),
        ..erasure_broker::Config::default()
    };
    let tracker = erasure_tracker::Config {
        url: server("ERASURE_TEST_REDIS"),
        key_prefix: own("t"),
        ..erasure_tracker::Config::default()
    };
    let world = World::on(&broker, Some(tracker), |_| ()).await;
    world.accept("1", "r-1").await;
    let tracker = world.tracker.as_ref().unwrap();
    let request = RequestKey::of(&tenant("1"), &RequestId::new("r-1").unwrap());
    let header = world.ledger.header(request).await.unwrap().unwrap();
    tracker.init(&[header]).await.unwrap();
    let second = Mark {
        request,
        slice: 0,
        entry: 0,
        evidence: EvidenceKey([1; 16]),
        count: 2,
        erased: [1].into_iter().collect(),
        nothing_held: Mask::EMPTY,
        retained: Mask::EMPTY,
        failed: Mask::EMPTY,
        pending: Mask::EMPTY,
        retrying: Mask::EMPTY,
        due: None,
        note: None,
    };
    assert_eq!(tracker.mark(&[second]).await.unwrap(), [Marked::Ok { complete: false }]);
    let (_, answer) = world.get("/v1/requests/r-1?tenant=1").await;
    assert_eq!(
        (&answer["people"]["erased"], &answer["people"]["in_progress"]),
        (&json!(1), &json!(1))
    );
    let person = json!({"tenant": "1", "identifiers": {"email": "a@example.org", "business_unit": "eu"}});
    let (_, people) = world.post("/v1/find", &person).await;
    let own = &people["requests"][0];
    assert_eq!(
        (&own["people"]["erased"], &own["people"]["in_progress"]),
        (&json!(1), &json!(0))
    );
    // Done, and yet not called erased: the ledger has not.
    assert_eq!(own["headline"], "not_erased_yet");
}
