//! Why the tracker could not answer.

use crate::config::ConfigError;

/// What went wrong while talking to Redis. Holds neither addresses nor passwords nor anything of a person.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration cannot be used.
    #[error("tracker configuration")]
    Config(#[from] ConfigError),
    /// Redis cannot be reached, or did not answer in time. What was asked may or may not have happened: every operation can
    /// be repeated.
    #[error("Redis cannot be reached or did not answer while {doing}")]
    Unreachable {
        /// What the tracker was doing.
        doing: &'static str,
        /// The client's own words.
        #[source]
        source: Source,
    },
    /// Redis refuses, for example for lack of memory or of a permission.
    #[error("Redis refuses while {doing}")]
    Refused {
        /// What the tracker was doing.
        doing: &'static str,
        /// The server's own words.
        #[source]
        source: Source,
    },
    /// Redis may throw keys away when memory is short.
    #[error("Redis evicts keys (maxmemory-policy {policy}); set maxmemory-policy noeviction")]
    Evicts {
        /// The policy it has.
        policy: String,
    },
    /// The keys under this prefix belong to another ledger.
    #[error("the tracker's keys belong to another ledger; choose another key_prefix")]
    ForeignLedger,
    /// Something stored cannot be read.
    #[error("the tracker holds something unreadable: {what}")]
    Unreadable {
        /// What it should have been.
        what: &'static str,
    },
}

/// The words of the Redis client or server.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Source(pub(crate) String);

impl Error {
    /// Whether trying again later may help without anybody changing anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Refused { .. } => true,
            Self::Config(_) | Self::Evicts { .. } | Self::ForeignLedger | Self::Unreadable { .. } => false,
        }
    }

    pub(crate) fn refused(doing: &'static str, words: String) -> Self {
        let source = Source(words);
        Self::Refused { doing, source }
    }

    pub(crate) fn from_redis(doing: &'static str, error: &redis::RedisError) -> Self {
        let source = Source(error.to_string());
        let no_answer =
            error.is_io_error() || error.is_timeout() || error.is_connection_dropped() || error.is_connection_refusal();
        if no_answer {
            Self::Unreachable { doing, source }
        } else {
            Self::Refused { doing, source }
        }
    }
}
