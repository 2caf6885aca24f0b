//! Queues that are full.

use crate::world::{Mandatory, World, id, number, on_each_version, publish, text};
use lapin::{BasicProperties, Confirmation, types::FieldTable};

/// More than a limit of one lets in: it is not strict.
const MANY: usize = 1_000;

/// A queue that has begun to refuse.
pub(crate) async fn full(world: &World) -> String {
    let arguments = [("x-max-length", number(1)), ("x-overflow", text("reject-publish"))];
    let queue = world.queue("full", &arguments).await;
    for n in 0..MANY {
        if world.put(&queue, &n.to_string()).await.is_nack() {
            return queue;
        }
    }
    panic!("{MANY} messages fit into a queue for one");
}

#[tokio::test]
async fn a_full_queue_that_rejects_says_so_until_there_is_room() {
    on_each_version(async |world| {
        let queue = full(world).await;
        let held = world.ready(&queue).await;
        for n in 0..20 {
            assert_eq!(world.put(&queue, &format!("late-{n}")).await, Confirmation::Nack(None));
        }
        assert_eq!(world.ready(&queue).await, held);
        assert_eq!(id(&world.arrived(&queue).await), "0", "and the oldest is still there");
    })
    .await;
}

#[tokio::test]
async fn a_full_queue_forgets_its_oldest_message_unless_told_otherwise() {
    on_each_version(async |world| {
        let queue = world.queue("small", &[("x-max-length", number(2))]).await;
        for n in 0..5 {
            assert_eq!(world.put(&queue, &n.to_string()).await, Confirmation::Ack(None));
        }
        assert_eq!(id(&world.arrived(&queue).await), "3", "three confirmed messages are gone");
    })
    .await;
}

#[tokio::test]
async fn a_fan_out_that_one_queue_refuses_is_refused_though_the_other_has_it() {
    on_each_version(async |world| {
        let (full, other) = (full(world).await, world.queue("other", &[]).await);
        let both = world.fan_out("both", &[&full, &other], FieldTable::default()).await;
        let said = publish(
            &world.channel,
            &both,
            "",
            Mandatory::Yes,
            BasicProperties::default().with_message_id("m".into()),
        )
        .await;
        assert_eq!(said, Confirmation::Nack(None));
        assert_eq!(id(&world.arrived(&other).await), "m");
    })
    .await;
}
