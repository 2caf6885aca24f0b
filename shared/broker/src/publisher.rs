//! Publishing so that a message is either known to be in a queue or known not to be known.

use crate::{
    Config, Names, Outgoing,
    message::Route,
    publishing::{self, Job, Publishing},
    subscription::until_true,
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Duration, Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;

/// AMQP's limit for ids, media types, names and routing keys.
const SHORT_TEXT_BYTES_MAX: usize = 255;

/// Why a message is not known to be in a queue.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// No queue is bound for it. The topology is incomplete.
    #[error("no queue takes messages for {exchange} with routing key {routing_key}")]
    Unroutable {
        /// The exchange.
        exchange: String,
        /// The routing key.
        routing_key: String,
    },
    /// The queue is full, or cannot take messages at the moment. Publish again later, with the same id.
    #[error("the queue is full")]
    Rejected,
    /// It may or may not be in the queue. Publish again, with the same id.
    #[error("the broker did not confirm in time")]
    Unknown,
    /// The broker will not have this message: no such exchange, no permission, too large.
    #[error("the broker refuses it with code {code}")]
    Refused {
        /// The AMQP reply code.
        code: u16,
    },
    /// It cannot be put into AMQP.
    #[error("{0}")]
    Invalid(&'static str),
    /// The publisher was stopped before it was sent.
    #[error("publishing has stopped")]
    Stopped,
}

impl PublishError {
    /// Whether publishing the same again later, with the same id, may work.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Rejected | Self::Unknown => true,
            Self::Unroutable { .. } | Self::Refused { .. } | Self::Invalid(_) | Self::Stopped => false,
        }
    }
}

/// Publishes over a connection of its own, which is opened again whenever it breaks. Cheap to clone.
///
/// Messages of concurrent callers travel together, in windows that do not overlap: a returned message is then known by its id.
#[derive(Clone, Debug)]
pub struct Publisher {
    jobs: mpsc::Sender<Job>,
    connected: watch::Receiver<bool>,
    names: Names,
    limit: Duration,
}

impl Publisher {
    /// Starts publishing, under this name on the management page. After `stop` what was handed in is still sent.
    #[must_use]
    pub fn start(config: &Config, name: &str, stop: CancellationToken) -> Self {
        let (jobs, receive) = mpsc::channel(config.publish_window.max(1));
        let (connects, connected) = watch::channel(false);
        tokio::spawn(publishing::run(Publishing {
            config: config.clone(),
            name: name.to_owned(),
            jobs: receive,
            connected: connects,
            stop,
        }));
        Self {
            jobs,
            connected,
            names: Names::new(&config.prefix),
            limit: config.confirm_timeout(),
        }
    }

    /// Publishes: persistent, mandatory (events aside) and confirmed. One result per message, in order.
    ///
    /// Takes at most the configured time. A session that breaks meanwhile is opened again and what was not confirmed is sent again.
    pub async fn publish(&self, messages: Vec<Outgoing>) -> Vec<Result<(), PublishError>> {
        let deadline = Instant::now() + self.limit;
        let mut answers = Vec::with_capacity(messages.len());
        for message in messages {
            answers.push(self.hand_in(message, deadline).await);
        }
        let mut results = Vec::with_capacity(answers.len());
        for answer in answers {
            results.push(match answer {
                Ok(answer) => match timeout_at(deadline, answer).await {
                    Ok(Ok(result)) => result,
                    Ok(Err(_)) | Err(_) => Err(PublishError::Unknown),
                },
                Err(error) => Err(error),
            });
        }
        results
    }

    /// Publishes all; the first error is the result, and says nothing of the others.
    ///
    /// # Errors
    /// The first of any.
    pub async fn publish_all(&self, messages: Vec<Outgoing>) -> Result<(), PublishError> {
        self.publish(messages).await.into_iter().collect()
    }

    /// Whether the session stands.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        *self.connected.borrow()
    }

    /// Waits until the session stands.
    pub async fn ready(&self) {
        until_true(self.connected.clone()).await;
    }

    async fn hand_in(
        &self,
        message: Outgoing,
        deadline: Instant,
    ) -> Result<oneshot::Receiver<Result<(), PublishError>>, PublishError> {
        check(&message)?;
        let (reply, answer) = oneshot::channel();
        let job = Job {
            target: message.to.target(&self.names),
            message,
            reply,
            deadline,
            alone: false,
        };
        match timeout_at(deadline, self.jobs.send(job)).await {
            Ok(Ok(())) => Ok(answer),
            Ok(Err(_)) => Err(PublishError::Stopped),
            Err(_) => Err(PublishError::Unknown),
        }
    }
}

fn check(message: &Outgoing) -> Result<(), PublishError> {
    if message.message_id.is_empty() || message.message_id.len() > SHORT_TEXT_BYTES_MAX {
        return Err(PublishError::Invalid("a message id has 1 to 255 bytes"));
    }
    if message.content_type.len() > SHORT_TEXT_BYTES_MAX {
        return Err(PublishError::Invalid("a content type has up to 255 bytes"));
    }
    if let Route::Event { routing_key } = &message.to
        && routing_key.len() > SHORT_TEXT_BYTES_MAX
    {
        return Err(PublishError::Invalid("a routing key has up to 255 bytes"));
    }
    if message
        .headers
        .iter()
        .any(|(name, _)| name.starts_with("x-") || name.len() > SHORT_TEXT_BYTES_MAX)
    {
        return Err(PublishError::Invalid(
            "a header's name has up to 255 bytes and does not begin with x-",
        ));
    }
    Ok(())
}
