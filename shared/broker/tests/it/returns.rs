//! What comes back to a queue: in which order, how it is counted, and when it has come back too often.

use crate::place::Place;
use crate::world::{World, ack, ids, message, one_by_one, single, soon, subsystem, to_single};
use erasure_broker::{Argument, ConsumerOptions, DeadQueue, Route, Settled, Source};
use erasure_protocol::Lane;
use std::time::Duration;

fn dead() -> Source {
    Source::Dead {
        queue: DeadQueue::Subsystem(subsystem()),
    }
}

async fn a_rejected_delivery_comes_again_and_is_counted(place: Place) {
    let world = World::new(place).await;
    let publisher = world.publisher();
    world.publish(&publisher, 1).await;
    let mut consumer = world.consumer(single(), one_by_one());
    for before in 0..4 {
        let delivery = world.next(&mut consumer).await;
        assert_eq!(delivery.meta.delivery_count, before);
        assert_eq!(delivery.meta.redelivered, before > 0);
        assert_eq!(delivery.reject().await, Settled::Done);
    }
    world.end().await;
}

async fn a_session_that_ends_counts_however_it_ends(place: Place) {
    let world = World::new(place).await;
    let publisher = world.publisher();
    world.publish(&publisher, 1).await;
    let mut consumer = world.consumer(single(), one_by_one());
    for before in 0..6 {
        let delivery = world.next(&mut consumer).await;
        assert_eq!(delivery.meta.delivery_count, before);
        match before % 3 {
            // Dropped unsettled: the channel is closed, and another one opened.
            0 => drop(delivery),
            // Cut.
            1 => {
                world.place.cut();
                drop(delivery);
            }
            // Given up, politely.
            _ => {
                drop(delivery);
                drop(consumer);
                consumer = world.consumer(single(), one_by_one());
            }
        }
    }
    world.end().await;
}

async fn what_was_prefetched_comes_back_with_the_rest_and_is_counted_too(place: Place) {
    let world = World::new(place).await;
    let publisher = world.publisher();
    world.publish(&publisher, 4).await;
    let options = ConsumerOptions {
        prefetch: 4,
        batch_max: 2,
        linger: Duration::from_millis(200),
        ..ConsumerOptions::default()
    };
    let mut consumer = world.consumer(single(), options);
    let batch = soon("two of four", consumer.next_batch()).await.unwrap();
    assert_eq!(ids(&batch), ["m0", "m1"]);
    world.until(&single(), |state| state.ready == 0).await;
    drop(batch);
    drop(consumer);
    world.until(&single(), |state| state.ready == 4 && state.consumers == 0).await;
    let mut consumer = world.consumer(single(), one_by_one());
    for n in 0..4 {
        let delivery = world.next(&mut consumer).await;
        assert_eq!(delivery.meta.message_id, Some(format!("m{n}")));
        assert_eq!(delivery.meta.delivery_count, 1);
        ack(delivery).await;
    }
    world.end().await;
}

async fn what_came_back_is_delivered_before_what_is_new(place: Place) {
    let world = World::new(place).await;
    let publisher = world.publisher();
    world.publish(&publisher, 3).await;
    let mut consumer = world.consumer(single(), one_by_one());
    let first = world.next(&mut consumer).await;
    assert_eq!(first.meta.message_id.as_deref(), Some("m0"));
    assert_eq!(first.reject().await, Settled::Done);
    for expected in ["m0", "m1", "m2"] {
        let delivery = world.next(&mut consumer).await;
        assert_eq!(delivery.meta.message_id.as_deref(), Some(expected));
        ack(delivery).await;
    }
    world.end().await;
}

async fn what_comes_back_too_often_is_parked_with_its_reason(place: Place) {
    let world = World::new(place).await;
    world.redeclare(&single(), &[("x-delivery-limit", Argument::Number(2))]).await;
    let publisher = world.publisher();
    soon(
        "publishing",
        publisher.publish_all(vec![message(to_single(), "m", "the body")]),
    )
    .await
    .unwrap();
    let mut consumer = world.consumer(single(), one_by_one());
    for before in 0..3 {
        let delivery = world.next(&mut consumer).await;
        assert_eq!(delivery.meta.delivery_count, before);
        assert_eq!(delivery.meta.death_reason, None);
        assert_eq!(delivery.reject().await, Settled::Done);
    }
    let mut parked = world.consumer(dead(), one_by_one());
    for before in 0..4 {
        let delivery = world.next(&mut parked).await;
        assert_eq!(delivery.body, b"the body");
        assert_eq!(delivery.meta.message_id.as_deref(), Some("m"));
        assert_eq!(delivery.meta.routing_key, "profiles");
        assert_eq!(delivery.meta.death_reason.as_deref(), Some("delivery_limit"));
        assert_eq!(delivery.meta.delivery_count, before, "it counts afresh, and without a limit");
        assert_eq!(delivery.reject().await, Settled::Done);
    }
    world.until(&single(), |state| state.ready == 0).await;
    world.end().await;
}

async fn a_session_that_ends_may_be_the_one_too_many(place: Place) {
    let world = World::new(place).await;
    world.redeclare(&single(), &[("x-delivery-limit", Argument::Number(1))]).await;
    let publisher = world.publisher();
    world.publish(&publisher, 1).await;
    let mut consumer = world.consumer(single(), one_by_one());
    for _ in 0..2 {
        drop(world.next(&mut consumer).await);
    }
    world.until(&dead(), |state| state.ready == 1).await;
    world.end().await;
}

async fn a_letter_that_waited_before_tells_of_its_first_death(place: Place) {
    let world = World::new(place).await;
    world.redeclare(&single(), &[("x-delivery-limit", Argument::Number(0))]).await;
    let publisher = world.publisher();
    let wait = Route::Wait {
        rung: crate::world::RUNG,
        subsystem: subsystem(),
        lane: Lane::Single,
    };
    soon("publishing", publisher.publish_all(vec![message(wait, "m", "{}")]))
        .await
        .unwrap();
    let mut consumer = world.consumer(single(), one_by_one());
    let delivery = world.next(&mut consumer).await;
    assert_eq!(delivery.meta.death_reason.as_deref(), Some("expired"));
    assert_eq!(delivery.reject().await, Settled::Done);
    let mut parked = world.consumer(dead(), one_by_one());
    let delivery = world.next(&mut parked).await;
    assert_eq!(delivery.meta.death_reason.as_deref(), Some("expired"));
    ack(delivery).await;
    world.end().await;
}

everywhere! {
    a_rejected_delivery_comes_again_and_is_counted,
    a_session_that_ends_counts_however_it_ends,
    what_was_prefetched_comes_back_with_the_rest_and_is_counted_too,
    what_came_back_is_delivered_before_what_is_new,
    what_comes_back_too_often_is_parked_with_its_reason,
    a_session_that_ends_may_be_the_one_too_many,
    a_letter_that_waited_before_tells_of_its_first_death,
}
