//! What comes in for a consumer.

use super::{line::received, process::Process, state::Found};
use crate::Received;
use erasure_drill::Lost;
use futures_util::future::BoxFuture;
use std::collections::VecDeque;

pub(crate) struct Inbox {
    process: Process,
    line: u64,
    /// Under way. Kept here, so that whoever waits may be cancelled and come again.
    travel: Option<BoxFuture<'static, Result<(), Lost>>>,
    arrived: VecDeque<Received>,
}

impl Inbox {
    pub(super) fn new(process: Process, line: u64) -> Self {
        Self {
            process,
            line,
            travel: None,
            arrived: VecDeque::new(),
        }
    }

    pub(crate) async fn next(&mut self) -> Option<Received> {
        loop {
            if let Some(received) = self.arrived.pop_front() {
                return Some(received);
            }
            if let Some(travel) = &mut self.travel {
                let result = travel.as_mut().await;
                self.travel = None;
                self.arrive(result);
                continue;
            }
            match self.process.broker.with(|state| state.look(self.line)) {
                Found::Some => self.depart(),
                Found::End => return None,
                Found::None(bell, over) => tokio::select! {
                    biased;
                    () = over.cancelled() => {}
                    () = bell.notified() => {}
                },
            }
        }
    }

    fn depart(&mut self) {
        let weather = self.process.weather.clone();
        self.travel = Some(Box::pin(async move { weather.around("broker.deliver", || ()).await }));
    }

    /// Everything that came in meanwhile arrives together. What does not arrive has broken the connection.
    fn arrive(&mut self, result: Result<(), Lost>) {
        let broker = &self.process.broker;
        match result {
            Ok(()) => {
                let fetched = broker.with(|state| state.fetch(self.line));
                let arrived = fetched
                    .iter()
                    .map(|(tag, message)| received(&self.process, self.line, *tag, message));
                self.arrived.extend(arrived);
            }
            Err(Lost::Question | Lost::Answer) => {
                broker.with(|state| state.cut_below(self.line));
            }
        }
    }
}
