//! What settles one delivery.

use super::{process::Process, state::Settlement};
use crate::Error;
use erasure_drill::Lost;
use std::time::Duration;

/// Belongs to the channel that the delivery came on, and keeps neither it nor its connection open.
#[derive(Debug)]
pub(crate) struct Receipt {
    process: Process,
    line: u64,
    tag: u64,
}

impl Receipt {
    pub(super) fn new(process: Process, line: u64, tag: u64) -> Self {
        Self { process, line, tag }
    }

    pub(crate) async fn ack(&self) -> Result<bool, Error> {
        self.settle("broker.ack", Settlement::Ack).await
    }

    pub(crate) async fn reject(&self) -> Result<bool, Error> {
        self.settle("broker.reject", Settlement::Reject).await
    }

    /// A settlement has no answer: who sent it knows only that it was sent. So the connection breaks under one that does not arrive.
    async fn settle(&self, call: &'static str, how: Settlement) -> Result<bool, Error> {
        let broker = &self.process.broker;
        let settling = || broker.with(|state| state.settle(self.line, self.tag, how));
        match self.process.weather.around(call, settling).await {
            Ok(told) => Ok(told),
            Err(Lost::Question) => Ok(broker.with(|state| state.cut_below(self.line))),
            Err(Lost::Answer) => Err(Error::Timeout {
                doing: "settling a delivery".to_owned(),
                waited: Duration::ZERO,
            }),
        }
    }
}
