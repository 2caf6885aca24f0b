//! The deliveries of one batch, from the moment they are taken until each is acknowledged or left to be delivered again.

use crate::suspicion::Delivered;
use crate::{Letter, SEALED_LETTER};
use erasure_broker::{DeadQueue, Delivery, Outgoing, Publisher, Route};
use erasure_drill::{Point, point};
use erasure_privacy::KeyRing;
use erasure_protocol::{FaultCode, Item, LedgerId, SubsystemName, WIRE_VERSION, WorkMessage};

/// Deliveries in hand. An ack goes out only for those that nothing has spoiled; the others are dropped, which makes the broker
/// deliver them again.
pub(crate) struct Hand {
    deliveries: Vec<Held>,
}

struct Held {
    delivery: Delivery,
    spoiled: bool,
}

/// An item, and the delivery it came in.
pub(crate) struct InHand {
    pub(crate) from: usize,
    pub(crate) item: Item,
}

/// What reading the deliveries gave.
pub(crate) struct Read {
    pub(crate) items: Vec<InHand>,
    /// A message was newer than this build can read: the lane must wait for a newer build.
    pub(crate) newer: bool,
}

impl Hand {
    pub(crate) fn new(deliveries: Vec<Delivery>) -> Self {
        Self {
            deliveries: deliveries
                .into_iter()
                .map(|delivery| Held {
                    delivery,
                    spoiled: false,
                })
                .collect(),
        }
    }

    /// Leaves this delivery unacknowledged.
    pub(crate) fn spoil(&mut self, at: usize) {
        self.deliveries[at].spoiled = true;
    }

    /// How often the broker has delivered the message before.
    pub(crate) fn delivered(&self, at: usize) -> Delivered {
        let meta = &self.deliveries[at].delivery.meta;
        Delivered {
            before: meta.redelivered || meta.delivery_count > 0,
            times: meta.delivery_count,
        }
    }

    /// The items of all deliveries. What cannot be read, or belongs to another ledger, is parked, sealed, in the dead queue.
    pub(crate) async fn read(
        &mut self,
        ledger: LedgerId,
        subsystem: &SubsystemName,
        publisher: &Publisher,
        keys: &KeyRing,
    ) -> Read {
        let mut read = Read {
            items: Vec::new(),
            newer: false,
        };
        for (from, held) in self.deliveries.iter_mut().enumerate() {
            match decode(&held.delivery.body) {
                Decoded::Message(message) if message.ledger == ledger => {
                    let meta = &held.delivery.meta;
                    let was_delivered = meta.redelivered || meta.delivery_count > 0;
                    read.items
                        .extend(message.items.into_iter().map(|item| in_hand(from, item, was_delivered)));
                }
                Decoded::Newer => {
                    held.spoiled = true;
                    read.newer = true;
                }
                Decoded::Message(_) | Decoded::Unreadable => {
                    tracing::warn!(%subsystem, code = %FaultCode::NotRead, "parked a message that is not of this fleet's making");
                    let parked = match dead_letter(keys, subsystem, &held.delivery) {
                        Ok(letter) => publisher.publish_all(vec![letter]).await.is_ok(),
                        Err(_) => false,
                    };
                    held.spoiled |= !parked;
                }
            }
        }
        read
    }

    /// Acknowledges what is done and lets go of the rest. Returns how many were left.
    pub(crate) async fn settle(self) -> usize {
        let mut left = 0;
        for held in self.deliveries {
            if held.spoiled {
                left += 1;
                drop(held.delivery);
            } else {
                // A stale or failed ack means that it comes again, and is found done.
                let _settled = held.delivery.ack().await;
                point(Point::WorkerAcked).await;
            }
        }
        left
    }
}

/// What was delivered before may have been tried by somebody who could not say so: whatever Redis has kept of it, it is nobody's
/// first attempt any more.
fn in_hand(from: usize, item: Item, was_delivered: bool) -> InHand {
    let tried = item.tried || was_delivered;
    InHand {
        from,
        item: Item { tried, ..item },
    }
}

enum Decoded {
    Message(WorkMessage),
    Newer,
    Unreadable,
}

fn decode(body: &[u8]) -> Decoded {
    #[derive(serde::Deserialize)]
    struct Version {
        version: u32,
    }
    match serde_json::from_slice::<Version>(body) {
        Ok(Version { version }) if version > WIRE_VERSION => Decoded::Newer,
        Ok(_) => serde_json::from_slice(body).map_or(Decoded::Unreadable, Decoded::Message),
        Err(_) => Decoded::Unreadable,
    }
}

fn dead_letter(keys: &KeyRing, subsystem: &SubsystemName, delivery: &Delivery) -> Result<Outgoing, erasure_privacy::Error> {
    let message_id = delivery.meta.message_id.clone();
    Ok(Outgoing {
        to: Route::Dead {
            queue: DeadQueue::Subsystem(subsystem.clone()),
        },
        message_id: message_id.unwrap_or_else(|| uuid::Uuid::now_v7().to_string()),
        content_type: SEALED_LETTER.to_owned(),
        body: Letter::of(delivery, keys)?.seal(keys)?,
        headers: vec![("reason".to_owned(), FaultCode::NotRead.as_str().to_owned())],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_delivered_before_is_nobodys_first_attempt() {
        let item: Item = serde_json::from_value(serde_json::json!({
            "request": "00000000-0000-4000-8000-000000000000", "tenant": "acme", "slice": 0, "count": 1, "operation": "erase",
            "phase": "purge", "lane": "single", "wanted": "gA", "attempt": 0, "dispatch": 1, "accepted_at": 0, "deadline": 1,
            "sealed": "AAAA",
        }))
        .unwrap();
        assert!(!in_hand(0, item.clone(), false).item.tried);
        let again = in_hand(0, item, true).item;
        assert!(again.tried);
        assert!(in_hand(0, again, false).item.tried, "what a worker has said stays said");
    }

    #[test]
    fn a_newer_version_is_told_from_garbage() {
        assert!(matches!(decode(br#"{"version":2,"anything":true}"#), Decoded::Newer));
        assert!(matches!(decode(br#"{"version":1}"#), Decoded::Unreadable));
        assert!(matches!(decode(b"\xff\xfe"), Decoded::Unreadable));
    }
}
