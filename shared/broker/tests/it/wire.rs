//! A wire that can be cut: a proxy between the crate and the broker.

use crate::world::{World, ids, message, one_by_one, single, soon, to_single};
use erasure_broker::{Config, Consumer, Delivery, PublishError, Publisher, Settled};
use std::{collections::BTreeSet, net::SocketAddr, sync::Arc};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};

struct Wire {
    address: SocketAddr,
    /// How many times it was cut so far.
    cuts: Arc<watch::Sender<u64>>,
}

impl Wire {
    async fn to(broker: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let cuts = Arc::new(watch::channel(0).0);
        let cut = cuts.clone();
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let (broker, mut cut) = (broker.clone(), cut.subscribe());
                tokio::spawn(async move {
                    let mut far = TcpStream::connect(broker).await.unwrap();
                    tokio::select! {
                        _ = copy_bidirectional(&mut near, &mut far) => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        });
        Self { address, cuts }
    }

    fn cut(&self) {
        self.cuts.send_modify(|it| *it += 1);
    }
}

/// The same broker through a wire.
async fn wired(world: &World) -> (Wire, Config) {
    let (login, rest) = world.config.url.split_once('@').unwrap();
    let (host, vhost) = rest.split_once('/').unwrap();
    let wire = Wire::to(host.to_owned()).await;
    let config = Config {
        url: format!("{login}@{}/{vhost}", wire.address),
        ..world.config.clone()
    };
    (wire, config)
}

#[tokio::test]
async fn a_publisher_survives_cuts_and_loses_nothing() {
    let world = World::new().await;
    let (wire, config) = wired(&world).await;
    let publisher = Publisher::start(&config, "cut", world.stop.child_token());
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
        wire.cut();
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

#[tokio::test]
async fn a_consumer_survives_cuts_and_what_it_held_is_stale() {
    let world = World::new().await;
    let (wire, config) = wired(&world).await;
    let publisher = world.publisher();
    world.publish(&publisher, 3).await;
    let mut consumer = Consumer::start(&config, single(), one_by_one(), world.stop.child_token());
    let mut done = BTreeSet::new();
    while done.len() < 3 {
        let held = soon("a message", consumer.next_batch()).await.unwrap().pop().unwrap();
        wire.cut();
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

#[tokio::test]
async fn without_a_broker_a_publish_is_unknown_in_time_and_nothing_claims_to_be_connected() {
    let world = World::bare();
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let config = Config {
        url: format!("amqp://guest:guest@{closed}/%2f"),
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

#[tokio::test]
async fn a_consumer_waits_for_its_queue_to_appear() {
    let world = World::bare();
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
