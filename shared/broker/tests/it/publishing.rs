use crate::world::{RUNG, World, message, one_by_one, single, soon, subsystem, to_single};
use erasure_broker::{DeadQueue, Inspector, PublishError, Route, Settled, Source};
use erasure_protocol::{Lane, Rung, SubsystemName};
use lapin::{
    options::{QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions},
    types::{AMQPValue, FieldTable},
};

#[tokio::test]
async fn an_unroutable_message_among_many_is_known_by_its_id() {
    let world = World::new().await;
    let publisher = world.publisher();
    let lost = |n: usize| n % 97 == 13;
    let nowhere = DeadQueue::Subsystem(SubsystemName::new("nowhere").unwrap());
    let messages = (0..600).map(|n| {
        let to = if lost(n) {
            Route::Dead { queue: nowhere.clone() }
        } else {
            to_single()
        };
        message(to, format!("m{n}"), "{}")
    });
    let results = soon("publishing", publisher.publish(messages.collect())).await;
    for (n, result) in results.iter().enumerate() {
        assert_eq!(
            matches!(result, Err(PublishError::Unroutable { .. })),
            lost(n),
            "{n}: {result:?}"
        );
        assert!(lost(n) || result.is_ok(), "{n}: {result:?}");
    }
    world
        .until(&single(), |state| {
            state.ready == (0..600).filter(|n| !lost(*n)).count() as u64
        })
        .await;
    world.end().await;
}

#[tokio::test]
async fn a_message_the_broker_refuses_does_not_hold_up_its_neighbours() {
    let world = World::new().await;
    let publisher = world.publisher();
    let no_such_exchange = Route::Wait {
        rung: Rung(77),
        subsystem: subsystem(),
        lane: Lane::Single,
    };
    let messages = vec![
        message(to_single(), "a", "{}"),
        message(no_such_exchange, "b", "{}"),
        message(to_single(), "c", "{}"),
    ];
    let results = soon("publishing", publisher.publish(messages)).await;
    assert_eq!(results, [Ok(()), Err(PublishError::Refused { code: 404 }), Ok(())]);
    world.end().await;
}

#[tokio::test]
async fn a_full_queue_rejects() {
    let world = World::new().await;
    let names = world.topology.names();
    let (queue, exchange) = (format!("{}small", names.prefix()), names.work());
    let work_queue = names.source(&single());
    let connection = world.raw().await;
    let channel = connection.create_channel().await.unwrap();
    let mut arguments = FieldTable::default();
    arguments.insert("x-overflow".into(), AMQPValue::LongString("reject-publish".into()));
    arguments.insert("x-max-length".into(), AMQPValue::LongInt(1));
    let options = QueueDeclareOptions {
        durable: true,
        ..QueueDeclareOptions::default()
    };
    channel
        .queue_declare(queue.as_str().into(), options, arguments)
        .await
        .unwrap();
    let key = "profiles.single";
    channel
        .queue_unbind(
            work_queue.as_str().into(),
            exchange.as_str().into(),
            key.into(),
            FieldTable::default(),
        )
        .await
        .unwrap();
    channel
        .queue_bind(
            queue.as_str().into(),
            exchange.as_str().into(),
            key.into(),
            QueueBindOptions::default(),
            FieldTable::default(),
        )
        .await
        .unwrap();

    let publisher = world.publisher();
    let mut last = Ok(());
    for n in 0..20 {
        last = soon(
            "publishing",
            publisher.publish_all(vec![message(to_single(), format!("m{n}"), "{}")]),
        )
        .await;
        if last.is_err() {
            break;
        }
    }
    assert_eq!(last, Err(PublishError::Rejected));
    channel
        .queue_delete(queue.as_str().into(), QueueDeleteOptions::default())
        .await
        .unwrap();
    connection.close(200, "done".into()).await.unwrap();
    world.end().await;
}

#[tokio::test]
async fn a_waiting_message_comes_back_to_its_lane_as_it_was() {
    let world = World::new().await;
    let publisher = world.publisher();
    let wait = Route::Wait {
        rung: RUNG,
        subsystem: subsystem(),
        lane: Lane::Single,
    };
    let mut consumer = world.consumer(single(), one_by_one());
    for lap in 0..3 {
        let mut sent = message(wait.clone(), format!("lap{lap}"), "the body");
        sent.headers.push(("cloudEvents_type".to_owned(), "remainder".to_owned()));
        soon("publishing", publisher.publish_all(vec![sent])).await.unwrap();
        let batch = soon("the message", consumer.next_batch()).await.unwrap();
        let delivery = batch.into_iter().next().unwrap();
        assert_eq!(delivery.body, b"the body");
        assert_eq!(delivery.meta.message_id.as_deref(), Some(format!("lap{lap}").as_str()));
        assert_eq!(delivery.meta.routing_key, "profiles.single");
        assert_eq!(delivery.meta.content_type.as_deref(), Some("application/json"));
        assert_eq!(
            delivery.meta.headers,
            [("cloudEvents_type".to_owned(), "remainder".to_owned())]
        );
        assert_eq!(delivery.ack().await, Settled::Done);
    }
    world.end().await;
}

#[tokio::test]
async fn events_are_confirmed_though_nobody_listens_and_strays_are_caught() {
    let world = World::new().await;
    let publisher = world.publisher();
    let event = Route::Event {
        routing_key: "erasure.request.erased".to_owned(),
    };
    let stray = Route::Work {
        subsystem: SubsystemName::new("nowhere").unwrap(),
        lane: Lane::Bulk,
    };
    let results = soon(
        "publishing",
        publisher.publish(vec![message(event, "e", "{}"), message(stray, "s", "{}")]),
    )
    .await;
    assert_eq!(results, [Ok(()), Ok(())]);
    world.until(&Source::Unrouted, |state| state.ready == 1).await;
    world.end().await;
}

#[tokio::test]
async fn requests_and_acts_reach_their_queues() {
    let world = World::new().await;
    let publisher = world.publisher();
    let routes = [
        (Route::Request { lane: Lane::Single }, Source::Ingest),
        (Route::Request { lane: Lane::Bulk }, Source::IngestBulk),
        (Route::Act, Source::Act),
        (Route::Outcome, Source::Outcome),
    ];
    for (route, source) in routes {
        soon("publishing", publisher.publish_all(vec![message(route, "m", "{}")]))
            .await
            .unwrap();
        world.until(&source, |state| state.ready == 1).await;
    }
    world.end().await;
}

#[tokio::test]
async fn a_parked_message_can_be_looked_at_and_removed() {
    let world = World::new().await;
    let publisher = world.publisher();
    let queue = DeadQueue::Subsystem(subsystem());
    let dead = Source::Dead { queue: queue.clone() };
    let messages = ["a", "b", "c"].map(|id| message(Route::Dead { queue: queue.clone() }, id, id));
    soon("publishing", publisher.publish_all(messages.to_vec())).await.unwrap();
    let inspector = Inspector::new(&world.config);
    for _ in 0..5 {
        world.until(&dead, |state| state.ready == 3).await;
        let seen = inspector.look(&dead, 10).await.unwrap();
        assert_eq!(seen.len(), 3);
        assert!(seen.iter().all(|it| it.meta.published_at.is_some()));
    }
    world.until(&dead, |state| state.ready == 3).await;
    let found = inspector.find(&dead, "b", 10).await.unwrap().unwrap();
    assert_eq!(found.body, b"b");
    assert_eq!(found.remove().await, Settled::Done);
    world.until(&dead, |state| state.ready == 2).await;
    assert!(inspector.find(&dead, "b", 10).await.unwrap().is_none());
    inspector.close().await;
    world.end().await;
}

#[tokio::test]
async fn a_missing_queue_is_an_answer() {
    let world = World::bare();
    let inspector = Inspector::new(&world.config);
    assert_eq!(inspector.queue_state(&single()).await.unwrap(), None);
    assert_eq!(inspector.queue_state(&single()).await.unwrap(), None);
}
