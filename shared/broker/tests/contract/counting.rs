//! What counts as a delivery.

use crate::{
    wire::Wire,
    world::{V3_10, V4_0, V4_3, World, confirming, connect, deliveries, on_each_version, seen, soon},
};
use futures_util::StreamExt;
use lapin::{
    Channel,
    message::Delivery,
    options::{BasicAckOptions, BasicConsumeOptions, BasicGetOptions, BasicNackOptions, BasicQosOptions},
    types::FieldTable,
};

async fn one(world: &World) -> String {
    let queue = world.queue("work", &[]).await;
    world.put(&queue, "m").await;
    queue
}

/// Takes a message on a channel and keeps it.
async fn hold(channel: &Channel, queue: &str) -> Delivery {
    let asked = channel.basic_get(queue.into(), BasicGetOptions::default());
    soon("an answer", asked).await.unwrap().expect("a message").delivery
}

/// Puts messages into a queue and takes them all with one consumer, which handles none.
async fn prefetched(world: &World, channel: &Channel, count: u16) -> String {
    let queue = world.queue("work", &[]).await;
    for n in 0..count {
        world.put(&queue, &n.to_string()).await;
    }
    channel.basic_qos(count, BasicQosOptions::default()).await.unwrap();
    let (options, none) = (BasicConsumeOptions::default(), FieldTable::default());
    let mut consumer = channel
        .basic_consume(queue.as_str().into(), "".into(), options, none)
        .await
        .unwrap();
    for _ in 0..count {
        soon("a delivery", consumer.next()).await.unwrap().unwrap();
    }
    queue
}

#[tokio::test]
async fn a_rejected_delivery_is_counted() {
    on_each_version(async |world| {
        let queue = one(world).await;
        for before in 0..3 {
            let message = world.arrived(&queue).await;
            assert_eq!(deliveries(&message), before);
            assert_eq!(message.delivery.redelivered, before > 0);
            World::reject(&message).await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_nacked_delivery_is_counted_before_4_3() {
    on_each_version(async |world| {
        let queue = one(world).await;
        for _ in 0..3 {
            let options = BasicNackOptions {
                requeue: true,
                ..BasicNackOptions::default()
            };
            assert!(world.arrived(&queue).await.nack(options).await.unwrap());
        }
        let counted = world.expected(&[(V3_10, 3), (V4_0, 3), (V4_3, 0)]);
        assert_eq!(deliveries(&world.arrived(&queue).await), counted);
    })
    .await;
}

#[tokio::test]
async fn closing_a_channel_counts_for_every_message_that_was_prefetched_on_it() {
    on_each_version(async |world| {
        let channel = world.channel().await;
        let queue = prefetched(world, &channel, 5).await;
        channel.close(200, "an orderly end".into()).await.unwrap();
        for _ in 0..5 {
            assert_eq!(deliveries(&world.arrived(&queue).await), 1);
        }
    })
    .await;
}

#[tokio::test]
async fn losing_a_connection_counts_for_every_message_that_was_prefetched_on_it() {
    on_each_version(async |world| {
        let wire = Wire::to(&world.url).await;
        let connection = connect(&wire.url(&world.url, "")).await;
        let channel = connection.create_channel().await.unwrap();
        let queue = prefetched(world, &channel, 5).await;
        wire.cut();
        for _ in 0..5 {
            assert_eq!(deliveries(&world.arrived(&queue).await), 1);
        }
    })
    .await;
}

#[tokio::test]
async fn tags_begin_again_on_a_new_channel_and_an_ack_from_the_old_one_is_no_error_and_does_nothing() {
    on_each_version(async |world| {
        let queue = one(world).await;
        let first = world.channel().await;
        let held = hold(&first, &queue).await;
        first.close(200, "done".into()).await.unwrap();
        let second = world.channel().await;
        let again = hold(&second, &queue).await;
        assert_eq!((held.delivery_tag, again.delivery_tag), (1, 1));
        assert!(!held.ack(BasicAckOptions::default()).await.unwrap());
        second.close(200, "done".into()).await.unwrap();
        let message = world.arrived(&queue).await;
        assert!(message.delivery.redelivered, "it was acknowledged by nobody");
    })
    .await;
}

#[tokio::test]
async fn an_ack_on_a_lost_connection_is_no_error_and_does_nothing() {
    on_each_version(async |world| {
        let queue = one(world).await;
        let wire = Wire::to(&world.url).await;
        let connection = connect(&wire.url(&world.url, "")).await;
        let channel = confirming(&connection).await;
        let held = hold(&channel, &queue).await;
        wire.cut();
        let message = world.arrived(&queue).await;
        assert!(message.delivery.redelivered);
        // The broker may know before the client does.
        seen("the end of the connection", async || {
            (!connection.status().connected()).then_some(())
        })
        .await;
        assert!(!held.ack(BasicAckOptions::default()).await.unwrap());
        World::reject(&message).await;
        world.arrived(&queue).await;
    })
    .await;
}
