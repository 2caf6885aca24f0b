//! Messages that a queue passes on: what waits and comes back, and what a missing target costs.

use crate::world::{V3_10, V4_0, World, id, number, on_each_version, seen, text};
use lapin::{
    BasicProperties, Confirmation,
    options::{BasicAckOptions, QueueBindOptions},
    types::{AMQPValue, FieldTable},
};

const SHORT_MS: i64 = 50;

/// The arguments of a queue that passes everything on to another one after a while.
fn waits(target: &str) -> Vec<(&'static str, AMQPValue)> {
    vec![
        ("x-message-ttl", number(SHORT_MS)),
        ("x-dead-letter-exchange", text("")),
        ("x-dead-letter-routing-key", text(target)),
    ]
}

/// What a worker does that publishes a delivery's own properties again.
fn copied(properties: &BasicProperties) -> BasicProperties {
    let mut copy = BasicProperties::default();
    if let Some(headers) = properties.headers() {
        copy = copy.with_headers(headers.clone());
    }
    copy
}

/// Sends a message a lap, and a fresh one behind it. Which arrives first?
async fn lap(world: &World, first: &str, work: &str, name: &str, properties: BasicProperties) -> (String, BasicProperties) {
    assert_eq!(world.put_with(first, name, properties).await, Confirmation::Ack(None));
    assert_eq!(world.put(first, "behind").await, Confirmation::Ack(None));
    let message = world.arrived(work).await;
    message.ack(BasicAckOptions::default()).await.unwrap();
    let (name, properties) = (id(&message), copied(&message.delivery.properties));
    if name != "behind" {
        let behind = world.arrived(work).await;
        assert_eq!(id(&behind), "behind");
        behind.ack(BasicAckOptions::default()).await.unwrap();
    }
    (name, properties)
}

#[tokio::test]
async fn a_message_with_copied_deaths_vanishes_on_its_second_lap_over_two_queues_before_4_0() {
    on_each_version(async |world| {
        let work = world.queue("work", &[]).await;
        let second = world.queue("wait1", &waits(&work)).await;
        let first = world.queue("wait2", &waits(&second)).await;
        let (arrived, deaths) = lap(world, &first, &work, "m", BasicProperties::default()).await;
        assert_eq!(arrived, "m");
        let (arrived, _) = lap(world, &first, &work, "m", deaths).await;
        assert_eq!(arrived, world.expected(&[(V3_10, "behind"), (V4_0, "m")]));
    })
    .await;
}

#[tokio::test]
async fn a_message_built_anew_passes_two_queues_lap_after_lap() {
    on_each_version(async |world| {
        let work = world.queue("work", &[]).await;
        let second = world.queue("wait1", &waits(&work)).await;
        let first = world.queue("wait2", &waits(&second)).await;
        for _ in 0..3 {
            assert_eq!(lap(world, &first, &work, "m", BasicProperties::default()).await.0, "m");
        }
    })
    .await;
}

#[tokio::test]
async fn a_wait_of_one_hop_gives_back_even_a_message_with_copied_deaths() {
    on_each_version(async |world| {
        let work = world.queue("work", &[]).await;
        let wait = world.queue("wait", &waits(&work)).await;
        let mut properties = BasicProperties::default();
        for _ in 0..4 {
            let (arrived, deaths) = lap(world, &wait, &work, "m", properties).await;
            assert_eq!(arrived, "m");
            properties = deaths;
        }
    })
    .await;
}

#[tokio::test]
async fn a_message_with_a_short_time_of_its_own_waits_for_the_one_before_it() {
    on_each_version(async |world| {
        let work = world.queue("work", &[]).await;
        let arguments = [
            ("x-dead-letter-exchange", text("")),
            ("x-dead-letter-routing-key", text(&work)),
        ];
        let wait = world.queue("wait", &arguments).await;
        let expires = |after_ms: &str| BasicProperties::default().with_expiration(after_ms.into());
        world.put_with(&wait, "long", expires("1000")).await;
        world.put_with(&wait, "short", expires("50")).await;
        assert_eq!(id(&world.arrived(&work).await), "long");
        assert_eq!(id(&world.arrived(&work).await), "short");
    })
    .await;
}

/// Lets a message expire while its target is missing, then makes the target. Where it waited, and where it should arrive.
async fn expired_too_early(world: &World, safety: &[(&'static str, AMQPValue)]) -> (String, String) {
    let exchange = world.name("late");
    let mut arguments = vec![
        ("x-message-ttl", number(SHORT_MS)),
        ("x-dead-letter-exchange", text(&exchange)),
    ];
    arguments.extend_from_slice(safety);
    let wait = world.queue("wait", &arguments).await;
    world.put(&wait, "early").await;
    seen("its expiry", async || (world.ready(&wait).await == 0).then_some(())).await;
    let work = world.queue("work", &[]).await;
    world.fan_out("late", &[&work], FieldTable::default()).await;
    (wait, work)
}

/// It is gone: one that came later arrives alone.
async fn is_gone(world: &World, safety: &[(&'static str, AMQPValue)]) {
    let (wait, work) = expired_too_early(world, safety).await;
    world.put(&wait, "later").await;
    assert_eq!(id(&world.arrived(&work).await), "later");
    assert_eq!(world.ready(&work).await, 0);
}

fn at_least_once() -> (&'static str, AMQPValue) {
    ("x-dead-letter-strategy", text("at-least-once"))
}

#[tokio::test]
async fn an_expired_message_whose_target_is_missing_is_gone() {
    on_each_version(async |world| is_gone(world, &[]).await).await;
}

#[tokio::test]
async fn at_least_once_keeps_the_message_until_the_target_is_there() {
    on_each_version(async |world| {
        let safety = [at_least_once(), ("x-overflow", text("reject-publish"))];
        let (_, work) = expired_too_early(world, &safety).await;
        assert_eq!(id(&world.arrived(&work).await), "early");
    })
    .await;
}

#[tokio::test]
async fn at_least_once_without_reject_publish_is_silently_at_most_once() {
    on_each_version(async |world| is_gone(world, &[at_least_once()]).await).await;
}

#[tokio::test]
async fn a_waiting_message_goes_on_under_the_key_it_was_published_with() {
    on_each_version(async |world| {
        let work = world.queue("work", &[]).await;
        let back = world.name("back");
        let arguments = [("x-message-ttl", number(SHORT_MS)), ("x-dead-letter-exchange", text(&back))];
        let wait = world.queue("wait", &arguments).await;
        world.fan_out("back", &[&work], FieldTable::default()).await;
        let rung = world.fan_out("rung", &[&wait], FieldTable::default()).await;
        let (bind, none) = (QueueBindOptions::default(), FieldTable::default());
        let key = "profiles.single";
        let bound = world
            .channel
            .queue_bind(wait.as_str().into(), rung.as_str().into(), key.into(), bind, none);
        bound.await.unwrap();
        crate::world::publish(
            &world.channel,
            &rung,
            key,
            crate::world::Mandatory::Yes,
            BasicProperties::default(),
        )
        .await;
        assert_eq!(world.arrived(&work).await.delivery.routing_key.as_str(), key);
    })
    .await;
}
