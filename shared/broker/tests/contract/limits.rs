//! What becomes of a message that was delivered too often.

use crate::world::{V3_10, V4_0, World, deliveries, id, number, on_each_version, text};

/// Above the default limit of 4.0.
const OFTEN: i64 = 40;

/// Rejects the only message of a queue until it is gone, or `OFTEN` times. How often was it delivered?
async fn rejected_until_gone(world: &World, queue: &str) -> Option<i64> {
    for delivered in 0..OFTEN {
        match world.get(queue).await {
            Some(message) => World::reject(&message).await,
            None => return Some(delivered),
        }
    }
    None
}

#[tokio::test]
async fn a_queue_without_a_limit_of_its_own_drops_after_twenty_one_deliveries_from_4_0_on() {
    on_each_version(async |world| {
        let queue = world.queue("work", &[]).await;
        world.put(&queue, "m").await;
        let dropped_after = world.expected(&[(V3_10, None), (V4_0, Some(21))]);
        assert_eq!(rejected_until_gone(world, &queue).await, dropped_after);
    })
    .await;
}

#[tokio::test]
async fn a_limit_with_a_dead_letter_exchange_parks() {
    on_each_version(async |world| {
        let dead = world.queue("dead", &[]).await;
        let arguments = [
            ("x-delivery-limit", number(3)),
            ("x-dead-letter-exchange", text("")),
            ("x-dead-letter-routing-key", text(&dead)),
            ("x-dead-letter-strategy", text("at-least-once")),
            ("x-overflow", text("reject-publish")),
        ];
        let queue = world.queue("work", &arguments).await;
        world.put(&queue, "m").await;
        assert_eq!(rejected_until_gone(world, &queue).await, Some(4));
        assert_eq!(id(&world.arrived(&dead).await), "m");
    })
    .await;
}

#[tokio::test]
async fn a_limit_without_a_dead_letter_exchange_drops() {
    on_each_version(async |world| {
        let queue = world.queue("work", &[("x-delivery-limit", number(3))]).await;
        world.put(&queue, "m").await;
        assert_eq!(rejected_until_gone(world, &queue).await, Some(4));
    })
    .await;
}

#[tokio::test]
async fn a_limit_of_minus_one_destroys_at_the_first_return_before_4_0_and_is_none_from_then_on() {
    on_each_version(async |world| {
        let queue = world.queue("dead", &[("x-delivery-limit", number(-1))]).await;
        world.put(&queue, "m").await;
        let dropped_after = world.expected(&[(V3_10, Some(1)), (V4_0, None)]);
        assert_eq!(rejected_until_gone(world, &queue).await, dropped_after);
    })
    .await;
}

#[tokio::test]
async fn a_high_limit_is_a_limit_and_counts_up_to_it() {
    on_each_version(async |world| {
        let queue = world.queue("work", &[("x-delivery-limit", number(1_000))]).await;
        world.put(&queue, "m").await;
        assert_eq!(rejected_until_gone(world, &queue).await, None);
        assert_eq!(deliveries(&world.arrived(&queue).await), OFTEN);
    })
    .await;
}
