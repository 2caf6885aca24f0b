//! A RabbitMQ that has run out of memory: it takes nothing, and still gives. The design leans on both.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use erasure_tests::{
    eventually::eventually_true,
    private::{Kind, PrivateServer},
    producer::{Message, Producer, Published},
    servers::RabbitMq4,
};
use futures_util::FutureExt;
use lapin::{
    BasicProperties, Confirmation, Connection, ConnectionProperties,
    options::{BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable},
};

const QUEUE: &str = "work";
const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn during_an_alarm_a_publish_hangs_and_arrives_after_it_while_consuming_goes_on() -> Result<()> {
    takes_nothing_and_still_gives(Kind::RabbitMq).await
}

#[tokio::test]
async fn during_an_alarm_of_rabbitmq_4_a_publish_hangs_and_arrives_after_it_while_consuming_goes_on() -> Result<()> {
    match RabbitMq4::of_this_run()? {
        Some(_) => takes_nothing_and_still_gives(Kind::RabbitMq4).await,
        None => Ok(()),
    }
}

async fn takes_nothing_and_still_gives(kind: Kind) -> Result<()> {
    let server = PrivateServer::start(kind)?;
    let publisher = Connection::connect(&server.url(), ConnectionProperties::default()).await?;
    let channel = publisher.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    let durable = QueueDeclareOptions {
        durable: true,
        ..QueueDeclareOptions::default()
    };
    channel.queue_declare(QUEUE.into(), durable, arguments).await?;
    let other = Producer::connect(&server.url()).await?;
    let before = Message {
        routing_key: QUEUE.into(),
        body: b"before".to_vec(),
        ..Message::default()
    };
    ensure!(other.publish(&before).await? == Published::Confirmed);

    server.rabbitmq_tool("rabbitmqctl --quiet set_vm_memory_high_watermark absolute 1MB")?;
    let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
    let mut confirm = channel
        .basic_publish("".into(), QUEUE.into(), options, b"during", properties)
        .await?;
    eventually_true("lapin is told", SOON, || async { publisher.status().blocked() }).await?;

    // On a connection of its own, as the fleet's consumers have: the publisher's is not read from any more.
    let taken = Producer::connect(&server.url()).await?.take(QUEUE).await?;
    ensure!(taken.as_deref() == Some(b"before"), "what was there can be taken");
    ensure!(
        (&mut confirm).now_or_never().is_none(),
        "nothing is said of what was published during the alarm"
    );

    server.rabbitmq_tool("rabbitmqctl --quiet set_vm_memory_high_watermark absolute 1GB")?;
    let said = tokio::time::timeout(SOON, confirm)
        .await
        .context("no confirmation after the alarm")??;
    ensure!(said == Confirmation::Ack(None), "{said:?}");
    let late = Producer::connect(&server.url()).await?.take(QUEUE).await?;
    ensure!(
        late.as_deref() == Some(b"during"),
        "whoever gave up waiting would have been wrong"
    );
    Ok(())
}
