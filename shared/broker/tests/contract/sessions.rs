//! What ends a channel, a consumer or a connection, and how that is learnt.

use crate::{
    wire::Wire,
    world::{connect, declare, number, on_each_version, seen, soon},
};
use futures_util::StreamExt;
use lapin::{
    ErrorKind,
    options::{BasicConsumeOptions, QueueDeleteOptions},
    types::FieldTable,
};

#[tokio::test]
async fn declaring_a_queue_again_with_other_arguments_is_refused_and_costs_the_channel() {
    on_each_version(async |world| {
        let queue = world.queue("work", &[]).await;
        let channel = world.channel().await;
        declare(&channel, &queue, &[]).await.expect("the same once more is fine");
        let refused = declare(&channel, &queue, &[("x-delivery-limit", number(7))])
            .await
            .unwrap_err();
        let code = match refused.kind() {
            ErrorKind::ProtocolError(error) => error.get_id(),
            other => panic!("{other:?}"),
        };
        assert_eq!(code, 406);
        assert!(!channel.status().connected());
    })
    .await;
}

#[tokio::test]
async fn a_consumer_ends_without_an_error_when_its_queue_is_deleted() {
    on_each_version(async |world| {
        let name = world.name("doomed");
        declare(&world.channel, &name, &[]).await.unwrap();
        let channel = world.channel().await;
        let (options, none) = (BasicConsumeOptions::default(), FieldTable::default());
        let mut consumer = channel
            .basic_consume(name.as_str().into(), "".into(), options, none)
            .await
            .unwrap();
        let deleted = world
            .channel
            .queue_delete(name.as_str().into(), QueueDeleteOptions::default());
        deleted.await.unwrap();
        assert!(soon("the consumer's end", consumer.next()).await.is_none());
        assert!(channel.status().connected(), "the channel knows nothing of it");
    })
    .await;
}

#[tokio::test]
async fn a_hung_broker_is_noticed_by_heartbeats_alone() {
    on_each_version(async |world| {
        let wire = Wire::to(&world.url).await;
        let beating = connect(&wire.url(&world.url, "?heartbeat=1")).await;
        let deaf = connect(&wire.url(&world.url, "?heartbeat=0")).await;
        let as_told = connect(&wire.url(&world.url, "")).await;
        wire.swallow();
        seen("its loss", async || (!beating.status().connected()).then_some(())).await;
        assert!(deaf.status().connected());
        assert!(as_told.status().connected(), "the broker's own suggestion is a minute");
    })
    .await;
}
