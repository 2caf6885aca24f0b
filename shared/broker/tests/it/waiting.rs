//! The rungs: what waits comes back to its lane, in order, and not before its time.

use crate::place::Place;
use crate::world::{RUNG, World, ack, ids, message, one_by_one, single, soon, subsystem};
use erasure_broker::{ConsumerOptions, Delivery, Route, Settled, Source};
use erasure_protocol::{Lane, SubsystemName};
use std::time::Duration;
use tokio::time::Instant;

fn wait_for(subsystem: SubsystemName, lane: Lane) -> Route {
    Route::Wait {
        rung: RUNG,
        subsystem,
        lane,
    }
}

async fn a_waiting_message_comes_back_to_its_lane_as_it_was(place: Place) {
    let world = World::new(place).await;
    let publisher = world.publisher();
    let mut consumer = world.consumer(single(), one_by_one());
    for lap in 0..3 {
        let mut sent = message(wait_for(subsystem(), Lane::Single), format!("lap{lap}"), "the body");
        sent.headers.push(("cloudEvents_type".to_owned(), "remainder".to_owned()));
        sent.headers.push(("reason".to_owned(), "for nobody here".to_owned()));
        soon("publishing", publisher.publish_all(vec![sent])).await.unwrap();
        let delivery = world.next(&mut consumer).await;
        assert_eq!(delivery.body, b"the body");
        assert_eq!(delivery.meta.message_id.as_deref(), Some(format!("lap{lap}").as_str()));
        assert_eq!(delivery.meta.routing_key, "profiles.single");
        assert_eq!(delivery.meta.content_type.as_deref(), Some("application/json"));
        assert_eq!(delivery.meta.delivery_count, 0);
        assert!(!delivery.meta.redelivered);
        assert_eq!(
            delivery.meta.headers,
            [("cloudEvents_type".to_owned(), "remainder".to_owned())]
        );
        ack(delivery).await;
    }
    world.end().await;
}

async fn nothing_comes_back_before_its_time_and_all_in_the_order_in_which_it_went(place: Place) {
    let world = World::new(place).await;
    let publisher = world.publisher();
    let mut consumer = world.consumer(single(), ConsumerOptions::default());
    let begun = Instant::now();
    let messages = (0..20).map(|n| message(wait_for(subsystem(), Lane::Single), format!("m{n}"), "{}"));
    soon("publishing", publisher.publish_all(messages.collect())).await.unwrap();
    let mut seen = Vec::new();
    while seen.len() < 20 {
        let batch = soon("what has waited", consumer.next_batch()).await.unwrap();
        // The server's clock counts whole milliseconds.
        assert!(begun.elapsed() + Duration::from_millis(1) >= Duration::from_millis(RUNG.0));
        seen.extend(ids(&batch));
        assert!(Delivery::ack_all(batch).await.iter().all(|it| *it == Settled::Done));
    }
    let sent: Vec<String> = (0..20).map(|n| format!("m{n}")).collect();
    assert_eq!(seen, sent);
    world.end().await;
}

async fn each_lane_gets_its_own_back_and_what_nobody_wants_is_caught(place: Place) {
    let world = World::new(place).await;
    let publisher = world.publisher();
    let mut messages: Vec<_> = Lane::ALL
        .map(|lane| message(wait_for(subsystem(), lane), lane.as_str(), "{}"))
        .to_vec();
    let nowhere = SubsystemName::new("nowhere").unwrap();
    messages.push(message(wait_for(nowhere, Lane::Solo), "stray", "{}"));
    soon("publishing", publisher.publish_all(messages)).await.unwrap();
    for lane in Lane::ALL {
        let source = Source::Work {
            subsystem: subsystem(),
            lane,
        };
        world.until(&source, |state| state.ready == 1).await;
        let mut consumer = world.consumer(source, one_by_one());
        let delivery = world.next(&mut consumer).await;
        assert_eq!(delivery.meta.message_id.as_deref(), Some(lane.as_str()));
        ack(delivery).await;
    }
    world.until(&Source::Unrouted, |state| state.ready == 1).await;
    world.until(&Source::Wait { rung: RUNG }, |state| state.ready == 0).await;
    world.end().await;
}

everywhere! {
    a_waiting_message_comes_back_to_its_lane_as_it_was,
    nothing_comes_back_before_its_time_and_all_in_the_order_in_which_it_went,
    each_lane_gets_its_own_back_and_what_nobody_wants_is_caught,
}
