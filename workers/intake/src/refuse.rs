//! What is refused is put aside, sealed, with its reason: nothing is lost, nobody is told a lie, and it can be sent again.

use crate::read::Refusal;
use crate::{Error, Intake};
use erasure_broker::Delivery;
use erasure_kit::{Letter, parked_id};
use erasure_ledger::NewParked;
use erasure_protocol::{CommandCode, Event, EventData, EventKind, Millis, Sealed};

impl Intake {
    /// Parks the body, says why in an event, and acknowledges.
    pub(crate) async fn refuse(&self, queue: &str, delivery: Delivery, refusal: &Refusal, now: Millis) -> Result<(), Error> {
        let id = parked_id(delivery.meta.message_id.as_deref(), &delivery.body);
        let sealed = match Letter::of(&delivery, &self.keys) {
            Ok(letter) => letter.seal(&self.keys)?,
            // A letter that cannot be opened stays as it is.
            Err(_) => delivery.body.clone(),
        };
        let parked = NewParked {
            id: id.clone(),
            tenant: refusal.tenant.clone(),
            queue: queue.to_owned(),
            code: refusal.code.as_str().to_owned(),
            field: refusal.field.clone(),
            sealed: Sealed(sealed),
            at: now,
            expires_at: now.plus(self.keep_parked),
        };
        self.ledger.park(&parked).await?;
        let kind = if refusal.code == CommandCode::Conflict {
            EventKind::Conflict
        } else {
            EventKind::Refused
        };
        let code = refusal.code.as_str();
        let data = EventData::refused(kind, refusal.tenant.as_ref(), refusal.request_id.as_ref(), code, &id);
        let event = Event::with_id(format!("{id}:{kind}"), self.ledger.id(), now, data);
        self.ledger.add_event(&event.into(), now).await?;
        tracing::warn!(
            code,
            field = refusal.field,
            parked = id,
            "refused a command: {}",
            refusal.code.meaning()
        );
        metrics::counter!("erasure_commands_refused_total", "code" => code).increment(1);
        let _settled = delivery.ack().await;
        Ok(())
    }
}
