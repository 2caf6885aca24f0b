//! What can go wrong when talking to the broker.

use std::{io, time::Duration};

/// What we were doing when the broker failed us. Holds names of exchanges and queues, never the content of a message.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The configuration cannot be used.
    #[error("{0}")]
    Config(String),
    /// A file the configuration names cannot be read.
    #[error("reading {path}")]
    File {
        /// Which file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// The broker did not answer in time.
    #[error("{doing}: no answer from the broker within {} ms", waited.as_millis())]
    Timeout {
        /// What we were doing.
        doing: String,
        /// How long we waited.
        waited: Duration,
    },
    /// The connection failed, or the broker refused what we did.
    #[error("{doing}")]
    Broker {
        /// What we were doing.
        doing: String,
        /// The client library's own account.
        source: Box<dyn std::error::Error + Send + Sync>,
        /// The AMQP reply code, when the broker gave one (403 no permission, 404 not found, 406 other arguments).
        code: Option<u16>,
    },
    /// The broker is too old: before 3.10 a quorum queue can lose what it dead-letters.
    #[error("the broker is RabbitMQ {found}; 3.10 or later is needed")]
    TooOld {
        /// Which version it said it is.
        found: String,
    },
    /// The peer does not speak AMQP 0-9-1 as RabbitMQ does.
    #[error("the peer did not introduce itself as RabbitMQ does")]
    NotRabbit,
}

impl Error {
    pub(crate) fn broker(doing: impl Into<String>, source: lapin::Error) -> Self {
        let code = reply_code(&source);
        Self::Broker {
            doing: doing.into(),
            source: Box::new(source),
            code,
        }
    }

    /// The connection, or what was open on it, is no more.
    pub(crate) fn gone(doing: &str) -> Self {
        let source = io::Error::new(io::ErrorKind::ConnectionReset, "gone");
        Self::broker(doing, source.into())
    }

    /// The AMQP reply code, when the broker gave one.
    #[must_use]
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::Broker { code, .. } => *code,
            Self::Config(_) | Self::File { .. } | Self::Timeout { .. } | Self::TooOld { .. } | Self::NotRabbit => None,
        }
    }

    /// The broker's own words, for the log and for people.
    #[must_use]
    pub fn detail(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text = format!("{text}: {error}");
            cause = error.source().filter(|inner| !error.to_string().contains(&inner.to_string()));
        }
        text
    }
}

/// The reply code of a protocol error; `None` for anything else.
pub(crate) fn reply_code(error: &lapin::Error) -> Option<u16> {
    match error.kind() {
        lapin::ErrorKind::ProtocolError(error) => Some(error.get_id()),
        _ => None,
    }
}
