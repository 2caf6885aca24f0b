//! Sessions that break, and a broker that is not there.

use crate::place::Place;
use crate::world::{World, ids, message, one_by_one, single, soon, to_single};
use erasure_broker::{Config, Consumer, Delivery, PublishError, Publisher, Settled};
use std::collections::BTreeSet;

async fn a_publisher_survives_cuts_and_loses_nothing(place: Place) {
    let world = World::new(place).await;
    let publisher = world.publisher();
    let mut sent = BTreeSet::new();
    for round in 0..5 {
        let ids: Vec<String> = (0..300).map(|n| format!("r{round}-{n}")).collect();
        let messages = ids.iter().map(|id| message(to_single(), id.clone(), "{}")).collect();
        let publishing = publisher.publish(messages);
        tokio::pin!(publishing);
        // Let it start, then cut the wire under it.
        tokio::select! {
            biased;
            _ = &mut publishing => panic!("done before it was cut"),
            () = tokio::task::yield_now() => {}
        }
        world.place.cut();
        let results = soon("publishing", publishing).await;
        assert!(
            results.iter().all(Result::is_ok),
            "{:?}",
            results.iter().find(|it| it.is_err())
        );
        sent.extend(ids);
    }
    let mut consumer = world.consumer(single(), erasure_broker::ConsumerOptions::default());
    let mut seen = BTreeSet::new();
    while seen.len() < sent.len() {
        let batch = soon("the messages", consumer.next_batch()).await.unwrap();
        seen.extend(ids(&batch));
        assert!(Delivery::ack_all(batch).await.iter().all(|it| *it == Settled::Done));
    }
    assert_eq!(seen, sent);
    world.end().await;
}

async fn a_consumer_survives_cuts_and_what_it_held_is_stale(place: Place) {
    let world = World::new(place).await;
    let publisher = world.publisher();
    world.publish(&publisher, 3).await;
    let mut consumer = world.consumer(single(), one_by_one());
    let mut done = BTreeSet::new();
    while done.len() < 3 {
        let held = soon("a message", consumer.next_batch()).await.unwrap().pop().unwrap();
        world.place.cut();
        let again = soon("it again", consumer.next_batch()).await.unwrap().pop().unwrap();
        assert_eq!(again.meta.message_id, held.meta.message_id);
        assert!(again.meta.redelivered);
        assert_eq!(held.ack().await, Settled::Stale);
        done.extend(again.meta.message_id.clone());
        assert_eq!(again.ack().await, Settled::Done);
    }
    world.until(&single(), |state| state.ready == 0).await;
    world.end().await;
}

async fn without_a_broker_a_publish_is_unknown_in_time_and_nothing_claims_to_be_connected(place: Place) {
    let world = World::bare(place);
    world.place.shut();
    let config = Config {
        confirm_timeout_ms: 300,
        ..world.config.clone()
    };
    let publisher = Publisher::start(&config, "nobody there", world.stop.child_token());
    let result = soon("an answer", publisher.publish_all(vec![message(to_single(), "m", "{}")])).await;
    assert_eq!(result, Err(PublishError::Unknown));
    assert!(!publisher.is_connected());
    let mut consumer = Consumer::start(&config, single(), one_by_one(), world.stop.child_token());
    assert!(!consumer.is_connected());
    world.stop.cancel();
    assert!(soon("the end", consumer.next_batch()).await.is_none());
}

async fn a_consumer_waits_for_its_queue_to_appear(place: Place) {
    let world = World::bare(place);
    let mut consumer = world.consumer(single(), one_by_one());
    assert!(!consumer.is_connected());
    erasure_broker::apply(&world.config, &world.topology).await.unwrap();
    soon("the session", consumer.ready()).await;
    let publisher = world.publisher();
    world.publish(&publisher, 1).await;
    let delivery = soon("the message", consumer.next_batch()).await.unwrap().pop().unwrap();
    assert_eq!(delivery.ack().await, Settled::Done);
    world.end().await;
}

everywhere! {
    a_publisher_survives_cuts_and_loses_nothing,
    a_consumer_survives_cuts_and_what_it_held_is_stale,
    without_a_broker_a_publish_is_unknown_in_time_and_nothing_claims_to_be_connected,
    a_consumer_waits_for_its_queue_to_appear,
}
