use crate::world::World;
use erasure_broker::{Problem, Row, ServerVersion, apply, server_version, verify};
use lapin::{
    options::{QueueDeclareOptions, QueueDeleteOptions},
    types::{AMQPValue, FieldTable},
};

fn blocking(problems: &[Problem]) -> Vec<String> {
    problems
        .iter()
        .filter(|it| it.is_blocking())
        .map(ToString::to_string)
        .collect()
}

#[tokio::test]
async fn an_applied_topology_verifies_and_may_be_applied_again() {
    let world = World::bare();
    let server = server_version(&world.config).await.unwrap();
    assert!(server >= ServerVersion::OLDEST);
    let rows = world
        .topology
        .table()
        .iter()
        .filter(|row| matches!(row, Row::Exchange { .. } | Row::Queue { .. }))
        .count();
    let before = verify(&world.config, &world.topology).await.unwrap();
    assert_eq!(blocking(&before).len(), rows, "{before:?}");
    let first = apply(&world.config, &world.topology).await.unwrap();
    assert_eq!(apply(&world.config, &world.topology).await.unwrap(), first);
    let after = verify(&world.config, &world.topology).await.unwrap();
    assert_eq!(blocking(&after), Vec::<String>::new());
    assert!(after.iter().any(|it| it.to_string().contains("effective_policy_definition")));
    world.end().await;
}

#[tokio::test]
async fn a_queue_with_another_argument_is_reported_and_left_alone() {
    let world = World::new().await;
    let name = world.topology.names().source(&crate::world::single());
    let connection = world.raw().await;
    let channel = connection.create_channel().await.unwrap();
    channel
        .queue_delete(name.as_str().into(), QueueDeleteOptions::default())
        .await
        .unwrap();
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    let durable = QueueDeclareOptions {
        durable: true,
        ..QueueDeclareOptions::default()
    };
    channel.queue_declare(name.as_str().into(), durable, arguments).await.unwrap();

    let found = blocking(&verify(&world.config, &world.topology).await.unwrap());
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains(&name) && found[0].contains("inequivalent arg"), "{found:?}");
    let refused = apply(&world.config, &world.topology).await.unwrap_err();
    assert_eq!(refused.code(), Some(406));
    assert!(refused.to_string().contains(&name), "{refused}");
    connection.close(200, "done".into()).await.unwrap();
    world.end().await;
}
