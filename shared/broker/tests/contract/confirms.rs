//! What a confirmation says, and what it does not.

use crate::world::{Mandatory, World, on_each_version, publish, soon};
use lapin::{BasicProperties, Channel, Confirmation, options::BasicPublishOptions, types::FieldTable};
use std::collections::BTreeSet;

fn identified(id: &str) -> BasicProperties {
    BasicProperties::default().with_message_id(id.into())
}

#[tokio::test]
async fn an_unroutable_message_that_is_not_mandatory_is_confirmed_and_gone() {
    on_each_version(async |world| {
        let nowhere = world.name("nowhere");
        let said = publish(&world.channel, "", &nowhere, Mandatory::No, identified("m")).await;
        assert_eq!(said, Confirmation::Ack(None));
    })
    .await;
}

#[tokio::test]
async fn a_fan_out_that_reaches_three_of_four_queues_is_confirmed() {
    on_each_version(async |world| {
        let (a, b, c) = (
            world.queue("a", &[]).await,
            world.queue("b", &[]).await,
            world.queue("c", &[]).await,
        );
        world.queue("forgotten", &[]).await;
        let everybody = world.fan_out("everybody", &[&a, &b, &c], FieldTable::default()).await;
        let said = publish(&world.channel, &everybody, "", Mandatory::Yes, identified("m")).await;
        assert_eq!(said, Confirmation::Ack(None));
    })
    .await;
}

#[tokio::test]
async fn a_returned_message_arrives_as_an_ack() {
    on_each_version(async |world| {
        let nowhere = world.name("nowhere");
        let said = publish(&world.channel, "", &nowhere, Mandatory::Yes, identified("m")).await;
        assert!(said.is_ack(), "whoever looks at is_ack alone has lost the message");
        let returned = said.take_message().expect("the message itself");
        assert_eq!(returned.reply_code, 312);
        assert_eq!(
            returned.delivery.properties.message_id().as_ref().map(|id| id.as_str()),
            Some("m")
        );
    })
    .await;
}

#[tokio::test]
async fn what_an_alternate_exchange_catches_is_not_returned() {
    on_each_version(async |world| {
        let caught = world.queue("caught", &[]).await;
        let strays = world.fan_out("strays", &[&caught], FieldTable::default()).await;
        let mut arguments = FieldTable::default();
        arguments.insert("alternate-exchange".into(), crate::world::text(&strays));
        let nobody = world.fan_out("nobody", &[], arguments).await;
        let said = publish(&world.channel, &nobody, "", Mandatory::Yes, identified("m")).await;
        assert_eq!(said, Confirmation::Ack(None));
        assert_eq!(crate::world::id(&world.arrived(&caught).await), "m");
    })
    .await;
}

/// lapin hands a return to whichever confirmation completes next, sometimes a wrong one. What our publisher leans on holds all the
/// same: when every confirmation of a window is there, so is every return of it, and the ids in them say which. (That the publisher
/// does so is in its own suite, which runs on both versions as well.)
#[tokio::test]
async fn the_returns_of_a_window_are_all_with_its_confirmations_though_maybe_with_the_wrong_ones() {
    on_each_version(async |world| {
        let queue = world.queue("work", &[]).await;
        let mut misplaced = 0;
        for _ in 0..8 {
            let said = window(&world.channel, &queue, 200).await;
            let ids = |(n, said): (usize, Confirmation)| {
                let returned = said.take_message()?;
                Some((n, returned.delivery.properties.message_id().as_ref()?.to_string()))
            };
            let returned: Vec<(usize, String)> = said.into_iter().enumerate().filter_map(ids).collect();
            misplaced += returned.iter().filter(|(n, id)| id != &n.to_string()).count();
            let known: BTreeSet<String> = returned.into_iter().map(|(_, id)| id).collect();
            let lost: BTreeSet<String> = (0..200).filter(|n| is_lost(*n)).map(|n| n.to_string()).collect();
            assert_eq!(known, lost);
        }
        eprintln!("{misplaced} returns were with the wrong confirmation");
    })
    .await;
}

fn is_lost(n: usize) -> bool {
    n % 41 == 17
}

/// Sends messages without waiting in between, some of them unroutable, then awaits every confirmation, in order.
async fn window(channel: &Channel, queue: &str, size: usize) -> Vec<Confirmation> {
    let mandatory = BasicPublishOptions {
        mandatory: true,
        ..BasicPublishOptions::default()
    };
    let mut confirms = Vec::new();
    for n in 0..size {
        let key = if is_lost(n) {
            format!("{queue}.nowhere")
        } else {
            queue.to_owned()
        };
        let sent = channel.basic_publish("".into(), key.into(), mandatory, b"body", identified(&n.to_string()));
        confirms.push(soon("the publish", sent).await.unwrap());
    }
    let mut said = Vec::new();
    for confirm in confirms {
        let confirmation = soon("a confirmation", confirm).await.unwrap();
        assert!(confirmation.is_ack());
        said.push(confirmation);
    }
    said
}

#[tokio::test]
async fn wait_for_confirms_hides_what_the_broker_refused() {
    on_each_version(async |world: &World| {
        let full = crate::overflow::full(world).await;
        let sent = async |_n: usize| {
            let options = BasicPublishOptions::default();
            let sent = world
                .channel
                .basic_publish("".into(), full.as_str().into(), options, b"body", BasicProperties::default());
            // Its own confirmation is dropped, as whoever calls `wait_for_confirms` does.
            drop(soon("the publish", sent).await.unwrap());
        };
        for n in 0..50 {
            sent(n).await;
        }
        let before = world.ready(&full).await;
        let returned = soon("all confirmations", world.channel.wait_for_confirms()).await;
        assert!(returned.is_ok_and(|returned| returned.is_empty()), "it says that all is well");
        assert_eq!(world.ready(&full).await, before, "and none of the fifty is there");
    })
    .await;
}

#[tokio::test]
async fn a_channel_that_did_not_ask_for_confirmations_gets_none() {
    on_each_version(async |world| {
        let queue = world.queue("work", &[]).await;
        let connection = crate::world::connect(&world.url).await;
        let channel = connection.create_channel().await.unwrap();
        let said = publish(&channel, "", &queue, Mandatory::Yes, identified("m")).await;
        assert_eq!(said, Confirmation::NotRequested);
        assert!(!said.is_ack() && !said.is_nack());
        connection.close(200, "done".into()).await.unwrap();
    })
    .await;
}
