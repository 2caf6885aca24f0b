//! What only the double can be told to do: weather, and faults on command.

use crate::place::Place;
use crate::world::{RUNG, World, ack, ids, message, one_by_one, single, soon, subsystem, to_single};
use erasure_broker::{
    Argument, Config, Consumer, ConsumerOptions, DeadQueue, Delivery, Inspector, PublishError, Publisher, Route, Settled, Source,
    double::{Disk, MemoryBroker},
};
use erasure_drill::{Blow, Lost, Weather};
use erasure_protocol::Lane;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::time::Instant;

async fn world() -> (World, MemoryBroker, String) {
    let broker = MemoryBroker::new();
    let world = World::new(Place::Double(broker.clone())).await;
    let queue = world.topology.names().source(&single());
    (world, broker, queue)
}

/// Weather in which this call is lost the first time, and only then.
fn once(call: &'static str, lost: Lost) -> Weather {
    let calls = AtomicU64::new(0);
    Weather::new(move |it| Blow {
        lost: (it == call && calls.fetch_add(1, Ordering::Relaxed) == 0).then_some(lost),
        ..Blow::default()
    })
}

impl World {
    fn in_weather(&self, broker: &MemoryBroker, weather: Weather) -> Config {
        Config {
            double: Some(broker.process("other", weather)),
            ..self.config.clone()
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_publish_that_is_lost_is_unknown_and_its_like_may_be_there() {
    for (lost, there) in [(Lost::Question, 0), (Lost::Answer, 1)] {
        let (world, broker, queue) = world().await;
        let config = world.in_weather(&broker, once("broker.publish", lost));
        let publisher = Publisher::start(&config, "test", world.stop.child_token());
        let sent = message(to_single(), "m", "{}");
        let began = Instant::now();
        assert_eq!(publisher.publish_all(vec![sent.clone()]).await, Err(PublishError::Unknown));
        assert!(began.elapsed() >= Duration::from_millis(config.confirm_timeout_ms));
        assert_eq!(broker.contents()[&queue].ready.len(), there);
        assert_eq!(publisher.publish_all(vec![sent]).await, Ok(()));
        assert_eq!(broker.contents()[&queue].ready, vec!["m"; there + 1]);
        world.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_cut_under_a_publish_sends_it_again_and_makes_two_only_when_the_first_had_arrived() {
    let slow = Duration::from_millis(100);
    for (before, after, copies) in [(slow, Duration::ZERO, 1), (Duration::ZERO, slow, 2)] {
        let (world, broker, queue) = world().await;
        let weather = Weather::new(move |call| match call {
            "broker.publish" => Blow {
                before,
                after,
                lost: None,
            },
            _ => Blow::default(),
        });
        let config = world.in_weather(&broker, weather);
        let publisher = Publisher::start(&config, "test", world.stop.child_token());
        soon("a session", publisher.ready()).await;
        let publishing = publisher.publish_all(vec![message(to_single(), "m", "{}")]);
        tokio::pin!(publishing);
        assert!(tokio::time::timeout(slow / 2, &mut publishing).await.is_err());
        assert_eq!(broker.cut("other"), 1);
        assert_eq!(publishing.await, Ok(()));
        assert_eq!(broker.contents()[&queue].ready, vec!["m"; copies]);
        world.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_ack_that_is_lost_comes_again_and_one_that_arrived_does_not() {
    for (lost, told, again) in [(Lost::Question, Settled::Done, true), (Lost::Answer, Settled::Stale, false)] {
        let (world, broker, queue) = world().await;
        let publisher = world.publisher();
        world.publish(&publisher, 2).await;
        let config = world.in_weather(&broker, once("broker.ack", lost));
        let mut consumer = Consumer::start(&config, single(), one_by_one(), world.stop.child_token());
        assert_eq!(world.next(&mut consumer).await.ack().await, told);
        let next = world.next(&mut consumer).await;
        assert_eq!(next.meta.message_id.as_deref(), Some(if again { "m0" } else { "m1" }));
        // Either way the channel is given up, and that counts.
        assert_eq!(next.meta.delivery_count, 1);
        ack(next).await;
        if again {
            ack(world.next(&mut consumer).await).await;
        }
        assert_eq!(broker.contents()[&queue], erasure_broker::double::Contents::default());
        world.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_delivery_breaks_the_session_and_comes_again() {
    let (world, broker, _) = world().await;
    let publisher = world.publisher();
    world.publish(&publisher, 1).await;
    let config = world.in_weather(&broker, once("broker.deliver", Lost::Question));
    let mut consumer = Consumer::start(&config, single(), one_by_one(), world.stop.child_token());
    let delivery = world.next(&mut consumer).await;
    assert_eq!(delivery.meta.delivery_count, 1);
    ack(delivery).await;
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_and_lost_is_an_error() {
    let (world, broker, _) = world().await;
    let inspector = Inspector::new(&world.in_weather(&broker, once("broker.inspect", Lost::Answer)));
    inspector.queue_state(&single()).await.unwrap_err();
    assert!(inspector.queue_state(&single()).await.unwrap().is_some());
    let refusing = world.in_weather(&broker, once("broker.connect", Lost::Question));
    Inspector::new(&refusing).queue_state(&single()).await.unwrap_err();
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_restart_ends_every_session_and_only_a_lost_disk_loses_messages() {
    let (world, broker, queue) = world().await;
    let publisher = world.publisher();
    world.publish(&publisher, 3).await;
    let mut consumer = world.consumer(single(), one_by_one());
    let held = world.next(&mut consumer).await;
    broker.restart(Disk::Kept);
    assert_eq!(held.ack().await, Settled::Stale);
    let again = world.next(&mut consumer).await;
    assert_eq!(again.meta.message_id.as_deref(), Some("m0"));
    assert_eq!(again.meta.delivery_count, 1);
    broker.restart(Disk::Lost);
    assert_eq!(again.ack().await, Settled::Stale);
    assert!(
        broker
            .contents()
            .values()
            .all(|it| it.ready.is_empty() && it.unsettled.is_empty())
    );
    world.publish(&publisher, 1).await;
    ack(world.next(&mut consumer).await).await;
    assert!(broker.contents()[&queue].unsettled.is_empty());
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn while_it_is_down_nobody_connects_and_then_everybody_does() {
    let (world, broker, _) = world().await;
    let publisher = world.publisher();
    soon("the session", publisher.ready()).await;
    broker.stop(Disk::Kept);
    let publishing = publisher.publish_all(vec![message(to_single(), "m", "{}")]);
    tokio::pin!(publishing);
    assert!(tokio::time::timeout(Duration::from_secs(10), &mut publishing).await.is_err());
    assert!(!publisher.is_connected());
    broker.start();
    assert_eq!(publishing.await, Ok(()));
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn under_an_alarm_publishes_hang_and_deliveries_do_not() {
    let (world, broker, queue) = world().await;
    let publisher = world.publisher();
    world.publish(&publisher, 1).await;
    broker.block();
    let publishing = publisher.publish_all(vec![message(to_single(), "late", "{}")]);
    tokio::pin!(publishing);
    assert!(tokio::time::timeout(Duration::from_secs(5), &mut publishing).await.is_err());
    let mut consumer = world.consumer(single(), one_by_one());
    ack(world.next(&mut consumer).await).await;
    assert!(broker.contents()[&queue].ready.is_empty());
    broker.unblock();
    assert_eq!(publishing.await, Ok(()));
    assert_eq!(ids(&[world.next(&mut consumer).await]), ["late"]);
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn messages_can_be_lost_doubled_and_put_into_another_order() {
    let (world, broker, queue) = world().await;
    let publisher = world.publisher();
    world.publish(&publisher, 6).await;
    assert_eq!(broker.lose(&queue, 2), ["m0", "m1"]);
    assert_eq!(broker.duplicate(&queue, 1), ["m2"]);
    let ready = |broker: &MemoryBroker| broker.contents()[&queue].ready.clone();
    assert_eq!(ready(&broker), ["m2", "m3", "m4", "m5", "m2"]);
    broker.reorder(&queue, 7);
    let shuffled = ready(&broker);
    assert_ne!(shuffled, ["m2", "m3", "m4", "m5", "m2"]);
    let mut sorted = shuffled.clone();
    sorted.sort();
    assert_eq!(sorted, ["m2", "m2", "m3", "m4", "m5"]);
    let mut consumer = world.consumer(single(), one_by_one());
    for id in shuffled {
        let delivery = world.next(&mut consumer).await;
        assert_eq!(delivery.meta.message_id, Some(id));
        ack(delivery).await;
    }
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn only_the_connections_that_are_named_are_cut() {
    let (world, broker, queue) = world().await;
    let publisher = world.publisher();
    soon("a session", publisher.ready()).await;
    let other = world.in_weather(&broker, Weather::default());
    let consumer = Consumer::start(&other, single(), one_by_one(), world.stop.child_token());
    soon("a session", consumer.ready()).await;
    assert_eq!(broker.cut("nobody"), 0);
    assert_eq!(broker.cut(&format!("erasure consumer {queue}")), 1);
    soon("a session again", async {
        while broker.cut("other") == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    assert!(publisher.is_connected());
    world.end().await;
}

#[tokio::test(start_paused = true)]
async fn events_can_be_listened_to_as_they_are_published() {
    let (world, broker, _) = world().await;
    let mut tap = broker.tap(&world.topology.names().events());
    let publisher = world.publisher();
    let event = Route::Event {
        routing_key: "erasure.request.erased".to_owned(),
    };
    let messages = vec![message(to_single(), "work", "{}"), message(event, "event", "what happened")];
    soon("publishing", publisher.publish_all(messages)).await.unwrap();
    let seen = tap.try_recv().unwrap();
    assert_eq!(
        (seen.message_id.as_str(), seen.body.as_slice()),
        ("event", &b"what happened"[..])
    );
    assert_eq!(seen.routing_key, "erasure.request.erased");
    tap.try_recv().unwrap_err();
    world.end().await;
}

/// Before a real broker this takes three minutes (the time after which a dead letter that was refused is sent again).
#[tokio::test(start_paused = true)]
async fn what_a_full_dead_queue_refuses_is_parked_later() {
    let (world, broker, queue) = world().await;
    let dead = Source::Dead {
        queue: DeadQueue::Subsystem(subsystem()),
    };
    world.redeclare(&single(), &[("x-delivery-limit", Argument::Number(0))]).await;
    world.redeclare(&dead, &[("x-max-length", Argument::Number(1))]).await;
    let publisher = world.publisher();
    world.publish(&publisher, 3).await;
    let mut consumer = world.consumer(single(), one_by_one());
    for _ in 0..3 {
        assert_eq!(world.next(&mut consumer).await.reject().await, Settled::Done);
    }
    assert_eq!(broker.contents()[&queue].leaving, ["m1", "m2"]);
    let mut parked = world.consumer(dead, one_by_one());
    for expected in ["m0", "m1", "m2"] {
        let next = tokio::time::timeout(Duration::from_secs(400), parked.next_batch()).await;
        let delivery = next.unwrap().unwrap().pop().unwrap();
        assert_eq!(delivery.meta.message_id.as_deref(), Some(expected));
        ack(delivery).await;
    }
    world.end().await;
}

/// One run of a small fleet: a worker that fails and sends remainders, in changing weather. What was done, and when.
async fn history(seed: u64) -> Vec<String> {
    let broker = MemoryBroker::new();
    let mut world = World::bare(Place::Double(broker.clone()));
    world.config.prefix = "t.".to_owned();
    world.topology = erasure_broker::Topology::new(&world.config, &[subsystem()], &[RUNG]);
    broker.declare(&world.topology);
    let number = Arc::new(AtomicU64::new(seed));
    let next = move || {
        let n = number.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        (n ^ (n >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 33
    };
    let weather = Weather::new(move |_| Blow {
        before: Duration::from_millis(next() % 20),
        after: Duration::from_millis(next() % 20),
        lost: match next() % 25 {
            0 => Some(Lost::Question),
            1 => Some(Lost::Answer),
            _ => None,
        },
    });
    let config = Config {
        confirm_timeout_ms: 1_000,
        ..world.in_weather(&broker, weather)
    };
    let begun = Instant::now();
    let publisher = Publisher::start(&config, "test", world.stop.child_token());
    let options = ConsumerOptions {
        prefetch: 8,
        batch_max: 4,
        ..ConsumerOptions::default()
    };
    let mut consumer = Consumer::start(&config, single(), options, world.stop.child_token());
    let mut log = Vec::new();
    for n in 0..30 {
        let sent = publisher.publish_all(vec![message(to_single(), format!("m{n}"), "{}")]).await;
        log.push(format!("{:?} m{n} {sent:?}", begun.elapsed()));
    }
    while let Ok(Some(batch)) = tokio::time::timeout(Duration::from_secs(60), consumer.next_batch()).await {
        log.push(format!("{:?} {:?}", begun.elapsed(), ids(&batch)));
        if batch.len() % 2 == 0 {
            let wait = Route::Wait {
                rung: RUNG,
                subsystem: subsystem(),
                lane: Lane::Single,
            };
            let sent = publisher
                .publish_all(vec![message(wait, format!("r{}", log.len()), "{}")])
                .await;
            log.push(format!("{:?} {sent:?}", begun.elapsed()));
        }
        let settled = Delivery::ack_all(batch).await;
        log.push(format!("{:?} {settled:?}", begun.elapsed()));
    }
    world.stop.cancel();
    assert!(
        broker
            .contents()
            .values()
            .all(|it| it.ready.is_empty() && it.unsettled.is_empty())
    );
    log
}

#[tokio::test(start_paused = true)]
async fn the_same_weather_gives_the_same_history() {
    let run = |seed| {
        std::thread::spawn(move || {
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            runtime
                .enable_time()
                .start_paused(true)
                .build()
                .unwrap()
                .block_on(history(seed))
        })
        .join()
        .unwrap()
    };
    let (first, second, other) = (run(1), run(1), run(2));
    assert!(first.iter().any(|line| line.contains("Stale")) && first.iter().any(|line| line.contains("Unknown")));
    assert_eq!(first, second);
    assert_ne!(first, other);
}
