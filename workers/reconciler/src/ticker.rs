//! The loop that every part of the reconciler is: do, say what went wrong, wait, until told to stop.

use crate::Error;
use erasure_kit::Health;
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// How long a part waits after a failure.
const AFTER_FAILURE: Duration = Duration::from_millis(500);

/// What a turn has found.
pub(crate) enum Turn {
    /// There may be more: go on at once.
    More,
    /// Nothing left for now.
    Idle,
}

/// A part of the reconciler: its name in readiness, how often it looks, and a bell that lets it look at once.
pub(crate) struct Part<'a> {
    pub(crate) health: &'a Health,
    pub(crate) name: &'static str,
    pub(crate) every: Duration,
    pub(crate) bell: Option<&'a Notify>,
}

impl Part<'_> {
    /// Repeats `step` until `stop`. A failure is said once, shows in readiness, and is tried again.
    pub(crate) async fn repeat<F>(&self, stop: &CancellationToken, mut step: impl FnMut() -> F)
    where
        F: Future<Output = Result<Turn, Error>>,
    {
        while !stop.is_cancelled() {
            let wait = match step().await {
                Ok(Turn::More) => {
                    self.health.ready(self.name);
                    tokio::task::yield_now().await;
                    continue;
                }
                Ok(Turn::Idle) => {
                    self.health.ready(self.name);
                    self.every
                }
                Err(error) => {
                    self.health.waiting(self.name, in_full(&error));
                    AFTER_FAILURE
                }
            };
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                () = rung(self.bell) => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }
}

async fn rung(bell: Option<&Notify>) {
    match bell {
        Some(bell) => bell.notified().await,
        None => std::future::pending().await,
    }
}

/// An error with its causes, in one line.
pub(crate) fn in_full(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
