use crate::place::Place;
use crate::world::{World, ack, message, one_by_one, single, soon, subsystem, to_single};
use erasure_broker::{Argument, DeadQueue, Inspector, PublishError, Route, Settled, Source};
use erasure_protocol::{Lane, Rung, SubsystemName};

async fn an_unroutable_message_among_many_is_known_by_its_id(place: Place) {
    let world = World::new(place).await;
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

async fn a_message_the_broker_refuses_does_not_hold_up_its_neighbours(place: Place) {
    let world = World::new(place).await;
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

async fn events_are_confirmed_though_nobody_listens_and_strays_are_caught(place: Place) {
    let world = World::new(place).await;
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

async fn requests_and_acts_reach_their_queues(place: Place) {
    let world = World::new(place).await;
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

async fn a_parked_message_can_be_looked_at_and_removed(place: Place) {
    let world = World::new(place).await;
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

async fn a_missing_queue_is_an_answer(place: Place) {
    let world = World::bare(place);
    let inspector = Inspector::new(&world.config);
    assert_eq!(inspector.queue_state(&single()).await.unwrap(), None);
    assert_eq!(inspector.queue_state(&single()).await.unwrap(), None);
}

async fn a_full_queue_rejects_and_takes_messages_again_once_there_is_room(place: Place) {
    let world = World::new(place).await;
    world.redeclare(&single(), &[("x-max-length", Argument::Number(1))]).await;
    let publisher = world.publisher();
    // RabbitMQ lets a few more in than it was told to.
    let mut sent = 0;
    let mut last = Ok(());
    while last.is_ok() && sent < 20 {
        let next = message(to_single(), format!("m{sent}"), "{}");
        last = soon("publishing", publisher.publish_all(vec![next])).await;
        sent += usize::from(last.is_ok());
    }
    assert_eq!(last, Err(PublishError::Rejected));
    let mut consumer = world.consumer(single(), one_by_one());
    for n in 0..sent {
        let delivery = world.next(&mut consumer).await;
        assert_eq!(
            delivery.meta.message_id,
            Some(format!("m{n}")),
            "what was rejected is not in the queue"
        );
        ack(delivery).await;
    }
    let again = message(to_single(), format!("m{sent}"), "{}");
    soon("the same again", async {
        while publisher.publish_all(vec![again.clone()]).await.is_err() {}
    })
    .await;
    let delivery = world.next(&mut consumer).await;
    assert_eq!(delivery.meta.message_id, Some(format!("m{sent}")));
    ack(delivery).await;
    world.end().await;
}

async fn the_same_id_twice_is_two_messages(place: Place) {
    let world = World::new(place).await;
    let publisher = world.publisher();
    for _ in 0..2 {
        soon("publishing", publisher.publish_all(vec![message(to_single(), "m", "{}")]))
            .await
            .unwrap();
    }
    world.until(&single(), |state| state.ready == 2).await;
    world.end().await;
}

everywhere! {
    a_full_queue_rejects_and_takes_messages_again_once_there_is_room,
    the_same_id_twice_is_two_messages,
    an_unroutable_message_among_many_is_known_by_its_id,
    a_message_the_broker_refuses_does_not_hold_up_its_neighbours,
    events_are_confirmed_though_nobody_listens_and_strays_are_caught,
    requests_and_acts_reach_their_queues,
    a_parked_message_can_be_looked_at_and_removed,
    a_missing_queue_is_an_answer,
}
