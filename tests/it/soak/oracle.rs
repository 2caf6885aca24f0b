//! The independent listener: at every *erased* it looks into the stores itself.

use super::{books::Books, estate::Estate};
use anyhow::Result;
use erasure_tests::eventually::eventually;
use futures_util::StreamExt as _;
use lapin::{
    Connection, ConnectionProperties,
    options::{BasicAckOptions, BasicConsumeOptions, BasicQosOptions, QueueBindOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable},
};
use serde_json::Value;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// Durable, so that what is told while RabbitMQ is being killed is heard later.
pub(crate) const QUEUE: &str = "the-oracle";
/// How long a store may take to answer, a restart of it included.
const LOOK: Duration = Duration::from_secs(120);
const CONNECT: Duration = Duration::from_secs(10);
const FINAL: [&str; 4] = ["erased", "erased_with_retention", "nothing_held", "closed_not_erased"];
/// Said on the way; nothing to object to.
const HARMLESS: [&str; 3] = ["accepted", "running", "conflict"];

/// Listens until dropped.
#[derive(Debug)]
pub(crate) struct Oracle {
    task: JoinHandle<()>,
}

impl Oracle {
    /// Listens from now on.
    pub(crate) async fn start(amqp: &str, estate: Estate, books: Books) -> Result<Self> {
        declare(amqp).await?;
        let listener = Listener {
            amqp: amqp.to_owned(),
            estate,
            books,
        };
        let task = tokio::spawn(async move {
            loop {
                // RabbitMQ is killed under it as well; what was not acknowledged is heard again.
                let _ = listener.listen().await;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        });
        Ok(Self { task })
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn declare(amqp: &str) -> Result<()> {
    let connection = Connection::connect(amqp, ConnectionProperties::default()).await?;
    let channel = connection.create_channel().await?;
    let options = QueueDeclareOptions {
        durable: true,
        ..QueueDeclareOptions::default()
    };
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    channel.queue_declare(QUEUE.into(), options, arguments).await?;
    let bind = QueueBindOptions::default();
    let bound = channel.queue_bind(QUEUE.into(), "erasure.events".into(), "#".into(), bind, FieldTable::default());
    bound.await?;
    Ok(())
}

struct Listener {
    amqp: String,
    estate: Estate,
    books: Books,
}

impl Listener {
    async fn listen(&self) -> Result<()> {
        let connecting = Connection::connect(&self.amqp, ConnectionProperties::default());
        let connection = tokio::time::timeout(CONNECT, connecting).await??;
        let channel = connection.create_channel().await?;
        channel.basic_qos(16, BasicQosOptions::default()).await?;
        let options = BasicConsumeOptions::default();
        let consuming = channel.basic_consume(QUEUE.into(), "".into(), options, FieldTable::default());
        let mut consumer = consuming.await?;
        while let Some(delivery) = consumer.next().await {
            let delivery = delivery?;
            self.take(&serde_json::from_slice(&delivery.data)?).await;
            delivery.ack(BasicAckOptions::default()).await?;
        }
        Ok(())
    }

    async fn take(&self, event: &Value) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (id, request, kind) = (text(&event["id"]), text(&event["data"]["request_id"]), text(&event["type"]));
        let word = kind.strip_prefix("erasure.request.").unwrap_or(&kind).to_owned();
        let heard_at = Instant::now();
        let false_word = self.is_false(&request, &word).await;
        let mut pages = self.books.open();
        pages.events += 1;
        pages.falsehoods.extend(false_word);
        let is_final = FINAL.contains(&word.as_str());
        if !is_final && !HARMLESS.contains(&word.as_str()) {
            let reason = &event["data"]["reason"];
            pages.surprises.push(format!("{request}: {word} {reason}"));
        }
        let Some(entry) = pages.requests.get_mut(&request) else {
            pages.surprises.push(format!("{request} was never asked for: {word}"));
            return;
        };
        entry.accepted = true;
        if is_final {
            entry.finals.insert(id);
            entry.words.insert(word);
            entry.ended.get_or_insert(heard_at);
        }
    }

    /// What is not true in this word about this request.
    async fn is_false(&self, request: &str, word: &str) -> Option<String> {
        let entry = self.books.open().requests.get(request).cloned()?;
        match word {
            "nothing_held" if entry.is_fresh => Some(format!("{request}: nothing held, and yet they were there")),
            "erased" | "nothing_held" => {
                let look = || async { self.estate.rows_of(&entry.people, entry.with_newsletter).await.ok() };
                match eventually("the stores answer the oracle", LOOK, look).await {
                    Ok(0) => None,
                    Ok(left) => Some(format!("{request}: {word}, and {left} rows are there")),
                    Err(error) => Some(format!("{request}: {error:#}")),
                }
            }
            "erased_with_retention" | "closed_not_erased" => Some(format!("{request} has ended as {word}")),
            _ => None,
        }
    }
}
