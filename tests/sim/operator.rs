//! Those who ask, and those who look after what needs attention.

use std::sync::Arc;
use std::time::Duration;

use erasure_broker::{Outgoing, Publisher, Route};
use erasure_ledger::{AttentionFilter, Ledger};
use erasure_protocol::{ACT_VERSION, Act, ActKind, Command, FaultCode, Lane, Operation, Options, RequestKey};
use tokio_util::sync::CancellationToken;

use crate::scenario::Ask;
use crate::world::{World, tenant};

/// How long somebody waits who was not confirmed.
const ASK_AGAIN: Duration = Duration::from_millis(200);

/// Producers and operators, over one connection of their own.
#[derive(Clone)]
pub(crate) struct Operator {
    world: Arc<World>,
    publisher: Publisher,
}

impl Operator {
    pub(crate) fn start(world: &Arc<World>) -> Self {
        let config = world.broker.config(&world.sky, "producer");
        Self {
            world: Arc::clone(world),
            publisher: Publisher::start(&config, "producer", CancellationToken::new()),
        }
    }

    /// Every command of the scenario, each at its time and until it is confirmed.
    pub(crate) fn produce(&self) {
        for ask in &self.world.scenario.asks {
            for (time, at) in ask.at.iter().enumerate() {
                let (this, ask, wait) = (self.clone(), ask.clone(), u64::try_from(*at).unwrap_or(0));
                tokio::spawn(async move {
                    tokio::time::sleep(Duration::from_millis(wait)).await;
                    this.world.trace.act(this.world.sky.at(), format!("asks for {}", ask.id));
                    this.insist(command(&ask, time)).await;
                    this.world.oracle.was_confirmed(&ask.id, time);
                });
            }
        }
    }

    /// Asks for everything parked to be tried again.
    pub(crate) fn redrive(&self) {
        self.act(ActKind::Redrive {
            request: None,
            subsystem: None,
            code: None,
        });
    }

    /// What an operator does who looks at the list: whom nobody can tell apart is given up, the rest is tried again.
    pub(crate) async fn attend(&self, ledger: &Ledger) {
        let listed = ledger.attention(&AttentionFilter::default(), None, 100).await;
        let listed = listed.expect("the observer's weather is always fine");
        let (hopeless, rest): (Vec<_>, Vec<_>) = listed.iter().partition(|it| it.fault.code == FaultCode::Ambiguous);
        for failed in hopeless {
            self.world.oracle.was_given_up(failed.request);
            self.discard(failed.request);
        }
        if !rest.is_empty() {
            self.redrive();
        }
    }

    fn discard(&self, request: RequestKey) {
        self.act(ActKind::Discard {
            request,
            reason_code: "asked-anew".to_owned(),
        });
    }

    fn act(&self, kind: ActKind) {
        let act = Act {
            version: ACT_VERSION,
            id: uuid::Uuid::new_v4(),
            actor: "operator".to_owned(),
            at: self.world.sky.now(),
            act: kind,
        };
        let message = Outgoing {
            to: Route::Act,
            message_id: act.id.to_string(),
            content_type: "application/json".to_owned(),
            body: act.to_json(),
            headers: Vec::new(),
        };
        let this = self.clone();
        tokio::spawn(async move { this.insist(message).await });
    }

    async fn insist(&self, message: Outgoing) {
        while self.publisher.publish_all(vec![message.clone()]).await.is_err() {
            tokio::time::sleep(ASK_AGAIN).await;
        }
    }
}

fn command(ask: &Ask, time: usize) -> Outgoing {
    let subjects = ask.records();
    let lane = Lane::for_subjects(subjects.len() as u64);
    let command = Command {
        request_id: erasure_protocol::RequestId::new(ask.id.as_str()).expect("it is an id"),
        tenant: tenant().to_string(),
        operation: Operation::Erase,
        subjects,
        received_at: None,
        regulation: None,
        origin: None,
        ticket: None,
        options: Options::default(),
        part: None,
    };
    Outgoing {
        to: Route::Request { lane },
        message_id: format!("{}/{time}", ask.id),
        content_type: "application/json".to_owned(),
        body: command.to_json(),
        headers: Vec::new(),
    }
}
