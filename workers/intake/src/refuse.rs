//! What is refused is put aside, sealed, with its reason: nothing is lost, nobody is told a lie, and it can be sent again.

use crate::read::Refusal;
use crate::{Error, Intake};
use erasure_broker::Delivery;
use erasure_ledger::NewParked;
use erasure_privacy::digest16;
use erasure_protocol::{Event, EventData, EventKind, Millis, Sealed};

impl Intake {
    /// Parks the body, says why in an event, and acknowledges.
    pub(crate) async fn refuse(&self, queue: &str, delivery: Delivery, refusal: &Refusal, now: Millis) -> Result<(), Error> {
        let id = parked_id(&delivery, refusal);
        // The envelope keeps the content type and the headers: a redrive publishes what was received.
        let letter = serde_json::json!({
            "content_type": delivery.meta.content_type,
            "headers": delivery.meta.headers,
            "body": Sealed(delivery.body.clone()),
        });
        let sealed = self.keys.seal_parked(letter.to_string().as_bytes())?;
        let parked = NewParked {
            id: id.clone(),
            tenant: refusal.tenant.clone(),
            queue: queue.to_owned(),
            code: refusal.code.to_owned(),
            field: refusal.field.clone(),
            sealed: Sealed(sealed),
            at: now,
            expires_at: now.plus(self.keep_parked),
        };
        self.ledger.park(&parked).await?;
        let kind = if refusal.code == crate::accept::CONFLICT {
            EventKind::Conflict
        } else {
            EventKind::Refused
        };
        let data = EventData::refused(kind, refusal.tenant.as_ref(), refusal.request_id.as_ref(), refusal.code, &id);
        let event = Event::with_id(format!("{id}:{kind}"), self.ledger.id(), now, data);
        self.ledger.add_event(&event.into(), now).await?;
        tracing::warn!(
            code = refusal.code,
            field = refusal.field,
            parked = id,
            "refused a command: {}",
            refusal.reason
        );
        metrics::counter!("erasure_commands_refused_total", "code" => refusal.code).increment(1);
        let _settled = delivery.ack().await;
        Ok(())
    }
}

/// The same message delivered twice is parked once.
fn parked_id(delivery: &Delivery, refusal: &Refusal) -> String {
    let digest = digest16(&[
        refusal.code.as_bytes(),
        delivery.meta.message_id.as_deref().unwrap_or("").as_bytes(),
        &delivery.body,
    ]);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}
