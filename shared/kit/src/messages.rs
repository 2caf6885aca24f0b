//! Items into messages: the one place that builds work messages, for intake, workers and reconciler alike.

use erasure_broker::{DeadQueue, Outgoing, Route};
use erasure_protocol::{
    Header, Item, Lane, LedgerId, Mask, Millis, OutcomeMessage, Phase, Rung, Sealed, SubsystemName, WIRE_VERSION, WorkMessage,
};
use std::time::Duration;

/// The content type of messages between the roles.
pub const CONTENT_TYPE: &str = "application/json";

/// How many items travel in one message at most.
const ITEMS_PER_MESSAGE_MAX: usize = 64;

/// How many bytes of sealed slices travel in one message, unless a single one is larger.
const SEALED_BYTES_PER_MESSAGE: usize = 256 * 1024;

/// How long an item may change anything after it was sent out. A later duplicate is refused by the store's own clock; the
/// reconciler sends a fresh one.
pub const ITEM_LIFETIME: Duration = Duration::from_secs(7 * 24 * 3600);

/// Everything about an item that is not in the request's header.
#[derive(Clone, Debug)]
pub struct ItemPart {
    /// The phase of the plan.
    pub phase: Phase,
    /// The slice's number.
    pub slice: u32,
    /// How many subjects it has.
    pub count: u16,
    /// The tasks wanted.
    pub wanted: Mask,
    /// How many attempts have failed.
    pub attempt: u32,
    /// How often the ledger has sent these tasks out, this time included.
    pub dispatch: u32,
    /// The sealed subjects.
    pub sealed: Sealed,
    /// Sealed references of waiting tasks.
    pub references: Option<Sealed>,
}

/// The item of a request for one subsystem.
#[must_use]
pub fn item(header: &Header, part: ItemPart, now: Millis) -> Item {
    Item {
        request: header.request,
        tenant: header.tenant.clone(),
        slice: part.slice,
        count: part.count,
        operation: header.operation,
        phase: part.phase,
        lane: header.lane,
        wanted: part.wanted,
        attempt: part.attempt,
        dispatch: part.dispatch,
        tried: false,
        accepted_at: header.accepted_at,
        deadline: now.plus(ITEM_LIFETIME),
        options: header.options,
        sealed: part.sealed,
        references: part.references,
    }
}

/// Packs items for one lane into as few messages as fit, in order.
#[must_use]
pub fn work(ledger: LedgerId, subsystem: &SubsystemName, lane: Lane, items: Vec<Item>) -> Vec<Outgoing> {
    pack(
        ledger,
        items,
        &Route::Work {
            subsystem: subsystem.clone(),
            lane,
        },
    )
}

/// Packs items that come back to their lane after a rung.
#[must_use]
pub fn wait(ledger: LedgerId, subsystem: &SubsystemName, lane: Lane, rung: Rung, items: Vec<Item>) -> Vec<Outgoing> {
    pack(
        ledger,
        items,
        &Route::Wait {
            rung,
            subsystem: subsystem.clone(),
            lane,
        },
    )
}

/// Hands items back to the ledger's side: what it knows is sent again, the rest is put aside for somebody to look at. Unlike what
/// the broker puts into a dead queue, these messages name no reason of death.
#[must_use]
pub fn unknown(ledger: LedgerId, subsystem: &SubsystemName, items: Vec<Item>) -> Vec<Outgoing> {
    let queue = DeadQueue::Subsystem(subsystem.clone());
    pack(ledger, items, &Route::Dead { queue })
}

/// The message of a report.
#[must_use]
pub fn outcome(report: &OutcomeMessage) -> Outgoing {
    outgoing(
        Route::Outcome,
        serde_json::to_vec(report).expect("a report has only text keys and finite numbers"),
    )
}

fn pack(ledger: LedgerId, items: Vec<Item>, to: &Route) -> Vec<Outgoing> {
    let mut packs: Vec<Vec<Item>> = Vec::new();
    let mut bytes = 0;
    for item in items {
        let size = item.sealed.0.len();
        let fits = bytes + size <= SEALED_BYTES_PER_MESSAGE;
        match packs.last_mut() {
            Some(pack) if fits && pack.len() < ITEMS_PER_MESSAGE_MAX => {
                pack.push(item);
                bytes += size;
            }
            Some(_) | None => {
                packs.push(vec![item]);
                bytes = size;
            }
        }
    }
    let body = |items| {
        let message = WorkMessage {
            version: WIRE_VERSION,
            ledger,
            items,
        };
        serde_json::to_vec(&message).expect("a work message has only text keys and finite numbers")
    };
    packs.into_iter().map(|items| outgoing(to.clone(), body(items))).collect()
}

fn outgoing(to: Route, body: Vec<u8>) -> Outgoing {
    Outgoing {
        to,
        message_id: uuid::Uuid::now_v7().to_string(),
        content_type: CONTENT_TYPE.to_owned(),
        body,
        headers: Vec::new(),
    }
}
