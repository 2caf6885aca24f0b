//! A channel, as its client holds it.

use super::{inbox::Inbox, message::Content, message::Message, pledge::Pledge, process::Process, receipt::Receipt, state::State};
use crate::{Confirm, Error, Outgoing, QueueState, Received, Row, received::Acker};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// A channel. Dropping its last handle closes it.
#[derive(Clone)]
pub(crate) struct Line(Arc<Held>);

struct Held {
    process: Process,
    id: u64,
    over: CancellationToken,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.process.broker.with(|state| state.close_line(self.id));
    }
}

impl Line {
    pub(super) fn new(process: Process, id: u64, over: CancellationToken) -> Self {
        Self(Arc::new(Held { process, id, over }))
    }

    pub(crate) fn publish(&self, message: &Outgoing, target: &(String, String)) -> Result<Confirm, Error> {
        if self.0.over.is_cancelled() {
            return Err(Error::gone(&format!("publishing to {}", target.0)));
        }
        let Held { process, id, over } = &*self.0;
        let content = Arc::new(Content::of(message, process.broker.time()));
        let (mandatory, target) = (message.to.must_arrive(), target.clone());
        let (process, id) = (process.clone(), *id);
        let sending = async move {
            let broker = process.broker.clone();
            // An alarm is over some day, and then what was held up is taken.
            let _ = broker.blocked().subscribe().wait_for(|blocked| !blocked).await;
            let taking = || broker.with(|state| take(state, id, content, &target, mandatory));
            process.weather.around("broker.publish", taking).await
        };
        Ok(Confirm::Memory(Pledge::begin(sending, over.clone())))
    }

    pub(crate) fn prefetch(&self, deliveries_max: u16) -> Result<(), Error> {
        let id = self.0.id;
        let found = self
            .0
            .process
            .broker
            .with(|state| state.lines.get_mut(&id).map(|line| line.prefetch = deliveries_max));
        found.ok_or_else(|| Error::gone("limiting the prefetch"))
    }

    pub(crate) async fn consume(&self, queue: &str) -> Result<Inbox, Error> {
        let doing = format!("consuming from {queue}");
        let started = self.ask("broker.consume", &doing, |state, line| state.consume(line, queue));
        started.await?;
        Ok(Inbox::new(self.0.process.clone(), self.0.id))
    }

    pub(crate) fn cancel(&self) {
        self.0.process.broker.with(|state| state.cancel(self.0.id));
    }

    pub(crate) async fn get(&self, queue: &str) -> Result<Option<Received>, Error> {
        let doing = format!("getting a message from {queue}");
        let got = self
            .ask("broker.inspect", &doing, |state, line| state.get(line, queue))
            .await?;
        Ok(got.map(|(tag, message)| received(&self.0.process, self.0.id, tag, &message)))
    }

    pub(crate) async fn queue_state(&self, queue: &str) -> Result<QueueState, Error> {
        let doing = format!("looking at queue {queue}");
        self.ask("broker.inspect", &doing, |state, _| state.queue_state(queue)).await
    }

    pub(crate) async fn exchange_there(&self, name: &str) -> Result<(), Error> {
        let doing = format!("looking for exchange {name}");
        self.ask("broker.inspect", &doing, |state, _| state.exchange_there(name))
            .await
    }

    pub(crate) async fn declare(&self, row: &Row) -> Result<(), Error> {
        self.ask("broker.declare", "declaring", |state, _| state.declare(row)).await
    }

    pub(crate) fn close(&self) -> Result<(), Error> {
        if self.0.over.is_cancelled() {
            return Err(Error::gone("closing a channel"));
        }
        self.0.process.broker.with(|state| state.close_line(self.0.id));
        Ok(())
    }

    pub(crate) async fn lost(&self) {
        self.0.over.cancelled().await;
    }

    /// A call that is answered. A refusal closes the channel.
    async fn ask<T>(
        &self,
        call: &'static str,
        doing: &str,
        effect: impl FnOnce(&mut State, u64) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let id = self.0.id;
        let answer = self.0.process.ask(call, doing, |state| {
            if !state.lines.contains_key(&id) {
                return Err(Error::gone(doing));
            }
            let answer = effect(state, id);
            if answer.is_err() {
                state.close_line(id);
            }
            answer
        });
        answer.await?
    }
}

/// The broker takes a message, if the channel it comes on is still open.
fn take(
    state: &mut State,
    line: u64,
    content: Arc<Content>,
    target: &(String, String),
    mandatory: bool,
) -> Result<crate::confirm::Verdict, Error> {
    if !state.lines.contains_key(&line) {
        return Err(Error::gone(&format!("publishing to {}", target.0)));
    }
    let taken = state.publish(content, target, mandatory);
    if taken.is_err() {
        state.close_line(line);
    }
    taken
}

pub(super) fn received(process: &Process, line: u64, tag: u64, message: &Message) -> Received {
    Received {
        body: message.body(),
        meta: message.meta(),
        acker: Acker::Memory(Receipt::new(process.clone(), line, tag)),
    }
}
