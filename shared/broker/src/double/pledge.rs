//! The confirmation of one message.

use crate::{Error, confirm::Verdict};
use erasure_drill::Lost;
use futures_util::FutureExt;
use std::future::Future;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

type Said = Result<Result<Verdict, Error>, Lost>;

pub(crate) struct Pledge {
    answer: Answer,
    over: CancellationToken,
}

enum Answer {
    Here(Said),
    /// The message is on its way whether or not its sender lives.
    Coming(JoinHandle<Said>),
}

impl Pledge {
    /// Sends at once, so that without weather messages arrive in the order in which they were sent.
    pub(super) fn begin(sending: impl Future<Output = Said> + Send + 'static, over: CancellationToken) -> Self {
        let mut sending = Box::pin(sending);
        let answer = match sending.as_mut().now_or_never() {
            Some(said) => Answer::Here(said),
            None => Answer::Coming(tokio::spawn(sending)),
        };
        Self { answer, over }
    }

    /// What is lost is never answered.
    pub(crate) async fn verdict(self) -> Result<Verdict, Error> {
        let said = match self.answer {
            Answer::Here(said) => said,
            Answer::Coming(coming) => tokio::select! {
                biased;
                () = self.over.cancelled() => Err(Lost::Answer),
                said = coming => said.unwrap_or(Err(Lost::Answer)),
            },
        };
        match said {
            Ok(verdict) => verdict,
            Err(Lost::Question | Lost::Answer) => {
                self.over.cancelled().await;
                Err(Error::gone("awaiting a confirmation"))
            }
        }
    }
}
