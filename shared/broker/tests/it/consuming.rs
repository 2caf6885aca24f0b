use crate::place::Place;
use crate::world::{World, ack, ids, message, one_by_one, single, soon, to_single};
use erasure_broker::{ConsumerOptions, Delivery, Settled};
use std::time::Duration;

fn batches(prefetch: u16, batch_max: usize, linger: Duration) -> ConsumerOptions {
    ConsumerOptions {
        prefetch,
        batch_max,
        linger,
        body_bytes_max: 8,
    }
}

async fn batches_fill_up_to_their_size_and_a_lone_message_does_not_wait_for_it(place: Place) {
    let world = World::new(place).await;
    let publisher = world.publisher();
    world.publish(&publisher, 20).await;
    let mut consumer = world.consumer(single(), batches(20, 8, Duration::from_secs(20)));
    for _ in 0..2 {
        let batch = soon("a full batch", consumer.next_batch()).await.unwrap();
        assert_eq!(batch.len(), 8);
        for delivery in batch {
            assert_eq!(delivery.ack().await, Settled::Done);
        }
    }
    drop(consumer);
    world.until(&single(), |state| state.ready == 4 && state.consumers == 0).await;
    let mut consumer = world.consumer(single(), batches(20, 20, Duration::from_millis(5)));
    let mut left = 4;
    while left > 0 {
        let batch = soon("what is left", consumer.next_batch()).await.unwrap();
        left -= batch.len();
        for delivery in batch {
            assert_eq!(delivery.ack().await, Settled::Done);
        }
    }
    world.until(&single(), |state| state.ready == 0).await;
    world.end().await;
}

async fn a_long_body_is_delivered_and_marked(place: Place) {
    let world = World::new(place).await;
    let publisher = world.publisher();
    let messages = vec![
        message(to_single(), "short", "12345678"),
        message(to_single(), "long", "123456789"),
    ];
    soon("publishing", publisher.publish_all(messages)).await.unwrap();
    let mut consumer = world.consumer(single(), batches(1, 1, Duration::ZERO));
    for long in [false, true] {
        let delivery = soon("a message", consumer.next_batch()).await.unwrap().pop().unwrap();
        assert_eq!(delivery.meta.too_large, long);
        assert_eq!(delivery.ack().await, Settled::Done);
    }
    world.end().await;
}

async fn a_dropped_delivery_comes_again_after_the_others_were_settled(place: Place) {
    let world = World::new(place).await;
    let publisher = world.publisher();
    world.publish(&publisher, 3).await;
    let mut consumer = world.consumer(single(), batches(3, 3, Duration::from_millis(500)));
    let mut batch = soon("three messages", consumer.next_batch()).await.unwrap();
    assert_eq!(ids(&batch), ["m0", "m1", "m2"]);
    drop(batch.remove(1));
    for delivery in batch {
        assert_eq!(
            delivery.ack().await,
            Settled::Done,
            "the channel must outlive what is in flight"
        );
    }
    let again = soon("the dropped one", consumer.next_batch()).await.unwrap();
    assert_eq!(ids(&again), ["m1"]);
    for delivery in again {
        assert_eq!(delivery.ack().await, Settled::Done);
    }
    world.until(&single(), |state| state.ready == 0).await;
    world.end().await;
}

async fn what_was_held_across_a_change_of_channel_is_stale_and_harmless(place: Place) {
    let world = World::new(place).await;
    let publisher = world.publisher();
    world.publish(&publisher, 2).await;
    let mut consumer = world.consumer(single(), batches(2, 2, Duration::from_millis(500)));
    let mut batch = soon("two messages", consumer.next_batch()).await.unwrap();
    let held = batch.pop().unwrap();
    drop(batch);
    // The session waits its grace for the one held, then takes another channel, on which tags count from 1 again.
    let mut again = soon("both again", consumer.next_batch()).await.unwrap();
    assert_eq!(again.len(), 2);
    assert_eq!(held.ack().await, Settled::Stale);
    let last = again.pop().unwrap();
    assert_eq!(again.pop().unwrap().ack().await, Settled::Done);
    assert_eq!(last.reject().await, Settled::Done);
    let delivery = soon("the rejected one", consumer.next_batch()).await.unwrap().pop().unwrap();
    assert_eq!(delivery.meta.message_id.as_deref(), Some("m1"));
    assert_eq!(delivery.ack().await, Settled::Done);
    world.end().await;
}

async fn a_paused_consumer_gives_its_messages_back_and_takes_them_again(place: Place) {
    let world = World::new(place).await;
    let publisher = world.publisher();
    let mut consumer = world.consumer(single(), one_by_one());
    soon("the session", consumer.ready()).await;
    consumer.pause();
    world.until(&single(), |state| state.consumers == 0).await;
    world.publish(&publisher, 5).await;
    world.until(&single(), |state| state.ready == 5).await;
    assert!(consumer.is_connected() && consumer.control().is_paused());
    consumer.resume();
    for n in 0..5 {
        let delivery = soon("a message", consumer.next_batch()).await.unwrap().pop().unwrap();
        assert_eq!(delivery.meta.message_id, Some(format!("m{n}")));
        if n == 2 {
            // What is in flight may still be settled while pausing; what was prefetched goes back.
            consumer.pause();
            assert_eq!(delivery.ack().await, Settled::Done);
            world.until(&single(), |state| state.consumers == 0 && state.ready == 2).await;
            consumer.resume();
        } else {
            assert_eq!(delivery.ack().await, Settled::Done);
        }
    }
    world.end().await;
}

async fn after_a_stop_what_was_prefetched_is_handed_out_and_settled(place: Place) {
    let world = World::new(place).await;
    let publisher = world.publisher();
    world.publish(&publisher, 10).await;
    let mut consumer = world.consumer(single(), batches(6, 2, Duration::from_millis(200)));
    let mut taken = soon("the first batch", consumer.next_batch()).await.unwrap();
    world.until(&single(), |state| state.ready == 4).await;
    world.stop.cancel();
    while let Some(batch) = soon("a batch or the end", consumer.next_batch()).await {
        taken.extend(batch);
    }
    assert_eq!(taken.len(), 6, "what was prefetched, and not one more");
    for delivery in taken {
        assert_eq!(delivery.ack().await, Settled::Done);
    }
    soon("the session's end", consumer.closed()).await;
    world.until(&single(), |state| state.ready == 4).await;
    world.end().await;
}

async fn no_more_than_the_prefetch_is_out_at_once(place: Place) {
    let world = World::new(place).await;
    let publisher = world.publisher();
    world.publish(&publisher, 10).await;
    let mut consumer = world.consumer(single(), batches(3, 3, Duration::from_millis(500)));
    for left in [7, 4, 1, 0] {
        let batch = soon("a batch", consumer.next_batch()).await.unwrap();
        assert!(batch.len() <= 3);
        world.until(&single(), |state| state.ready == left).await;
        assert!(Delivery::ack_all(batch).await.iter().all(|it| *it == Settled::Done));
    }
    world.end().await;
}

async fn two_consumers_share_a_queue_and_both_are_counted(place: Place) {
    let world = World::new(place).await;
    let mut one = world.consumer(single(), one_by_one());
    let mut other = world.consumer(single(), one_by_one());
    world.until(&single(), |state| state.consumers == 2).await;
    let publisher = world.publisher();
    world.publish(&publisher, 3).await;
    let (first, second) = (world.next(&mut one).await, world.next(&mut other).await);
    assert_ne!(first.meta.message_id, second.meta.message_id);
    world.until(&single(), |state| state.ready == 1 && state.consumers == 2).await;
    ack(first).await;
    ack(world.next(&mut one).await).await;
    drop(one);
    world.until(&single(), |state| state.ready == 0 && state.consumers == 1).await;
    ack(second).await;
    drop(other);
    world.until(&single(), |state| state.ready == 0 && state.consumers == 0).await;
    world.end().await;
}

async fn many_are_acknowledged_at_once(place: Place) {
    let world = World::new(place).await;
    let publisher = world.publisher();
    world.publish(&publisher, 300).await;
    let mut consumer = world.consumer(single(), batches(300, 300, Duration::from_secs(20)));
    let batch = soon("all", consumer.next_batch()).await.unwrap();
    let sent: Vec<String> = (0..300).map(|n| format!("m{n}")).collect();
    assert_eq!(ids(&batch), sent);
    let settled = soon("settling", Delivery::ack_all(batch)).await;
    assert_eq!(settled, vec![Settled::Done; 300]);
    drop(consumer);
    world.until(&single(), |state| state.ready == 0 && state.consumers == 0).await;
    world.end().await;
}

everywhere! {
    no_more_than_the_prefetch_is_out_at_once,
    two_consumers_share_a_queue_and_both_are_counted,
    many_are_acknowledged_at_once,
    batches_fill_up_to_their_size_and_a_lone_message_does_not_wait_for_it,
    a_long_body_is_delivered_and_marked,
    a_dropped_delivery_comes_again_after_the_others_were_settled,
    what_was_held_across_a_change_of_channel_is_stale_and_harmless,
    a_paused_consumer_gives_its_messages_back_and_takes_them_again,
    after_a_stop_what_was_prefetched_is_handed_out_and_settled,
}
