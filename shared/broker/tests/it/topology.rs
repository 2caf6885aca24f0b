use crate::place::Place;
use crate::world::{World, single};
use erasure_broker::{Argument, Problem, Row, ServerVersion, apply, server_version, verify};

fn blocking(problems: &[Problem]) -> Vec<String> {
    problems
        .iter()
        .filter(|it| it.is_blocking())
        .map(ToString::to_string)
        .collect()
}

async fn an_applied_topology_verifies_and_may_be_applied_again(place: Place) {
    let world = World::bare(place);
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

async fn a_queue_with_another_argument_is_reported_and_left_alone(place: Place) {
    let world = World::new(place).await;
    let name = world.topology.names().source(&single());
    world.redeclare(&single(), &[("x-delivery-limit", Argument::Number(7))]).await;

    let found = blocking(&verify(&world.config, &world.topology).await.unwrap());
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains(&name) && found[0].contains("inequivalent arg"), "{found:?}");
    let refused = apply(&world.config, &world.topology).await.unwrap_err();
    assert_eq!(refused.code(), Some(406));
    assert!(refused.to_string().contains(&name), "{refused}");
    world.end().await;
}

everywhere! {
    an_applied_topology_verifies_and_may_be_applied_again,
    a_queue_with_another_argument_is_reported_and_left_alone,
}
