//! What the broker wrote into a dead message does not travel on. On a real broker alone: the double writes nothing.

use crate::place::Place;
use crate::world::{RUNG, World, ack, message, one_by_one, single, soon, subsystem};
use erasure_broker::{DeadQueue, Route, Source};
use erasure_protocol::Lane;
use lapin::{
    BasicProperties, Connection, ConnectionProperties,
    options::BasicPublishOptions,
    types::{AMQPValue, FieldTable},
};

/// RabbitMQ before 4.0 reads a client's `x-death`, and drops what would go where it says that the message has died.
#[tokio::test]
async fn a_message_made_of_a_dead_one_comes_back_from_its_wait() {
    let world = World::new(Place::rabbit().await).await;
    let names = world.topology.names();
    // What the broker writes into a message that has reached its delivery limit in its lane.
    let mut death = FieldTable::default();
    death.insert("queue".into(), text(&names.source(&single())));
    death.insert("reason".into(), text("delivery_limit"));
    death.insert("exchange".into(), text(&names.work()));
    death.insert("count".into(), AMQPValue::LongLongInt(1));
    death.insert(
        "routing-keys".into(),
        AMQPValue::FieldArray(vec![text("profiles.single")].into()),
    );
    let mut headers = FieldTable::default();
    headers.insert(
        "x-death".into(),
        AMQPValue::FieldArray(vec![AMQPValue::FieldTable(death)].into()),
    );
    let connecting = Connection::connect(&world.config.url, ConnectionProperties::default());
    let connection = connecting.await.unwrap();
    let channel = connection.create_channel().await.unwrap();
    let exchange = names.dead();
    let properties = BasicProperties::default().with_headers(headers);
    let options = BasicPublishOptions::default();
    let sent = channel.basic_publish(exchange.as_str().into(), "profiles".into(), options, b"the body", properties);
    sent.await.unwrap();

    let queue = DeadQueue::Subsystem(subsystem());
    let mut dead = world.consumer(Source::Dead { queue }, one_by_one());
    let letter = world.next(&mut dead).await;
    let wait = Route::Wait {
        rung: RUNG,
        subsystem: subsystem(),
        lane: Lane::Single,
    };
    let again = message(wait, "again", "the body");
    soon("publishing", world.publisher().publish_all(vec![again])).await.unwrap();
    ack(letter).await;
    let mut lane = world.consumer(single(), one_by_one());
    let back = world.next(&mut lane).await;
    assert_eq!(back.body, b"the body");
    ack(back).await;
    connection.close(200, "done".into()).await.unwrap();
    world.end().await;
}

fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}
