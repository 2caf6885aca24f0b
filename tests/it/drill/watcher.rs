//! An independent listener: whenever the fleet tells the world that somebody is erased, it looks into the stores itself.

use super::crowd::{Asked, Crowd, rows_of};
use anyhow::{Context, Result, ensure};
use erasure_tests::{
    company::Company,
    eventually::{eventually, eventually_true},
};
use futures_util::StreamExt;
use lapin::{
    Connection, ConnectionProperties,
    options::{BasicAckOptions, BasicConsumeOptions, QueueBindOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldTable},
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::task::JoinHandle;

/// A queue that outlives the listener's connection and any one node, so that what is told meanwhile is heard later.
const QUEUE: &str = "the-listener";
/// How long a store may take to answer the listener, a restart included.
const LOOK: Duration = Duration::from_secs(40);
const CONNECT: Duration = Duration::from_secs(15);
/// Words of events after which nothing follows.
const FINAL: [&str; 4] = ["erased", "erased_with_retention", "nothing_held", "closed_not_erased"];

/// Listens until dropped.
pub(super) struct Watcher {
    heard: Arc<Mutex<Heard>>,
    asked: Known,
    task: JoinHandle<()>,
}

/// What was asked for, by request.
type Known = Arc<Mutex<BTreeMap<String, Asked>>>;

#[derive(Debug, Default)]
struct Heard {
    /// The ids of final events, by request.
    finals: BTreeMap<String, BTreeSet<String>>,
    /// The words of all final events.
    words: BTreeMap<String, BTreeSet<String>>,
    /// What must not have been told, or not then: the event's word, and what is wrong with it.
    faults: Vec<(String, String)>,
}

impl Watcher {
    /// Listens from now on.
    pub(super) async fn start(amqp: &str, company: &Company, crowd: &Crowd) -> Result<Self> {
        let connection = Connection::connect(amqp, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        let durable = QueueDeclareOptions {
            durable: true,
            ..QueueDeclareOptions::default()
        };
        let mut replicated = FieldTable::default();
        replicated.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
        channel.queue_declare(QUEUE.into(), durable, replicated).await?;
        let bind = QueueBindOptions::default();
        channel
            .queue_bind(QUEUE.into(), "erasure.events".into(), "#".into(), bind, FieldTable::default())
            .await?;
        let heard = Arc::new(Mutex::new(Heard::default()));
        let asked = Known::default();
        let listener = Listener {
            amqp: amqp.to_owned(),
            company: company.clone(),
            asked: Arc::clone(&asked),
            heard: Arc::clone(&heard),
        };
        let task = tokio::spawn(async move {
            loop {
                // The broker is what is killed here: it comes back.
                let _ended: Result<()> = listener.listen().await;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        let watcher = Self { heard, asked, task };
        watcher.expect(crowd);
        Ok(watcher)
    }

    /// Knows of one more crowd that is about to be asked for.
    pub(super) fn expect(&self, crowd: &Crowd) {
        let more = crowd.requests().iter().map(|asked| (asked.id.clone(), asked.clone()));
        self.asked.lock().expect("nobody panics with it in hand").extend(more);
    }

    /// Waits until every request of the crowd has come to its end, and checks what was told on the way there: nobody too early,
    /// one final event each, all of them *erased*, and nobody was asked to act.
    pub(super) async fn all_erased(&self, crowd: &Crowd, deadline: Duration) -> Result<()> {
        self.all_erased_but_told(crowd, deadline, &[]).await
    }

    /// [`Watcher::all_erased`], where these words may be told on the way.
    pub(super) async fn all_erased_but_told(&self, crowd: &Crowd, deadline: Duration, words: &[&str]) -> Result<()> {
        let all = crowd.requests().len();
        let ended = || {
            let heard = self.heard.lock().expect("the listener does not panic");
            crowd
                .requests()
                .iter()
                .filter(|asked| heard.finals.contains_key(&asked.id))
                .count()
        };
        let waited = eventually_true("every request has ended", deadline, || async { ended() == all }).await;
        waited.with_context(|| format!("{} of {all} have", ended()))?;
        self.nothing_untrue(words)
    }

    /// Checks everything that was told so far: each request has one final event, *erased*, and what was told was true.
    pub(super) fn nothing_untrue(&self, words: &[&str]) -> Result<()> {
        let mut heard = self.heard.lock().expect("the listener does not panic");
        let mut faults = std::mem::take(&mut heard.faults);
        faults.retain(|(word, _)| !words.contains(&word.as_str()));
        ensure!(faults.is_empty(), "{faults:#?}");
        for (request, ids) in &heard.finals {
            ensure!(ids.len() == 1, "{request} has ended more than once: {ids:?}");
            let words = &heard.words[request];
            ensure!(words.iter().eq(["erased"]), "{request} has ended as {words:?}");
        }
        Ok(())
    }

    /// How many requests have come to their end.
    pub(super) fn ended(&self) -> usize {
        self.heard.lock().expect("the listener does not panic").finals.len()
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Listener {
    amqp: String,
    company: Company,
    asked: Known,
    heard: Arc<Mutex<Heard>>,
}

impl Listener {
    async fn listen(&self) -> Result<()> {
        let connecting = Connection::connect(&self.amqp, ConnectionProperties::default());
        let connection = tokio::time::timeout(CONNECT, connecting).await??;
        let channel = connection.create_channel().await?;
        let options = BasicConsumeOptions::default();
        let mut consumer = channel
            .basic_consume(QUEUE.into(), "".into(), options, FieldTable::default())
            .await?;
        while let Some(delivery) = consumer.next().await {
            let delivery = delivery?;
            self.take(&serde_json::from_slice(&delivery.data)?).await;
            delivery.ack(BasicAckOptions::default()).await?;
        }
        Ok(())
    }

    async fn take(&self, event: &Value) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (id, request) = (text(&event["id"]), text(&event["data"]["request_id"]));
        let kind = text(&event["type"]);
        let word = kind.strip_prefix("erasure.request.").unwrap_or(&kind).to_owned();
        let fault = if word == "erased" {
            self.too_early(&request).await
        } else {
            None
        };
        let mut heard = self.heard.lock().expect("nobody panics with it in hand");
        heard.faults.extend(fault.map(|fault| (word.clone(), fault)));
        if FINAL.contains(&word.as_str()) {
            heard.finals.entry(request.clone()).or_default().insert(id);
            heard.words.entry(request).or_default().insert(word);
        } else if !["accepted", "running"].contains(&word.as_str()) {
            let fault = format!("{request}: {word} {}", event["data"]["reason"]);
            heard.faults.push((word, fault));
        }
    }

    /// Looks for people who were just said to be erased.
    async fn too_early(&self, request: &str) -> Option<String> {
        let known = self
            .asked
            .lock()
            .expect("nobody panics with it in hand")
            .get(request)
            .cloned();
        let Some(asked) = known else {
            return Some(format!("{request} was never asked for"));
        };
        let look = || async { rows_of(&self.company, &asked.people).await.ok() };
        match eventually("the stores answer", LOOK, look).await {
            Ok(0) => None,
            Ok(left) => Some(format!("{request} was reported erased while {left} rows were there")),
            Err(error) => Some(format!("{request}: {error:#}")),
        }
    }
}
