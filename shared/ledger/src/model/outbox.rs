//! Events on their way out, and messages put aside.

use erasure_protocol::{Millis, Sealed, TenantId};

/// An event to be published once its transaction is committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its id; publishing twice under one id is harmless.
    pub id: String,
    /// Its CloudEvents type.
    pub kind: String,
    /// Its routing key.
    pub routing_key: String,
    /// Its body, complete. Holds no identifier of a person.
    pub body: Vec<u8>,
}

impl From<erasure_protocol::Event> for Event {
    fn from(event: erasure_protocol::Event) -> Self {
        let body = event.to_json();
        Self {
            id: event.id,
            routing_key: event.event_type.clone(),
            kind: event.event_type,
            body,
        }
    }
}

/// A message that could not be taken, to be put aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewParked {
    /// Its id: the same message delivered twice is parked once.
    pub id: String,
    /// Its tenant, where that could be read.
    pub tenant: Option<TenantId>,
    /// The queue it came from.
    pub queue: String,
    /// Why, as a code.
    pub code: String,
    /// Which field, where one is to blame. Never its value.
    pub field: Option<String>,
    /// The body, sealed under the park key.
    pub sealed: Sealed,
    /// When.
    pub at: Millis,
    /// When it goes.
    pub expires_at: Millis,
}

/// What became of a parked message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ParkedState {
    /// Waits for somebody.
    Open,
    /// Was sent again.
    Redriven,
    /// Was given up.
    Discarded,
}

impl ParkedState {
    /// The word in the ledger.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Redriven => "redriven",
            Self::Discarded => "discarded",
        }
    }

    /// Reads the word; `None` when it is none of ours.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Open, Self::Redriven, Self::Discarded]
            .into_iter()
            .find(|it| it.as_str() == word)
    }
}

/// A parked message. Its body is gone once it is no longer open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parked {
    /// Its id.
    pub id: String,
    /// Its tenant, where that could be read.
    pub tenant: Option<TenantId>,
    /// The queue it came from.
    pub queue: String,
    /// Why, as a code.
    pub code: String,
    /// Which field.
    pub field: Option<String>,
    /// The body, sealed; `None` once it is no longer open.
    pub sealed: Option<Sealed>,
    /// When.
    pub at: Millis,
    /// When it goes.
    pub expires_at: Millis,
    /// What became of it.
    pub state: ParkedState,
}

/// Which parked messages to list. Empty: all open ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ParkedFilter {
    /// Only this tenant.
    pub tenant: Option<TenantId>,
    /// Only this code.
    pub code: Option<String>,
    /// Only this queue.
    pub queue: Option<String>,
    /// In this state; `None` is open.
    pub state: Option<ParkedState>,
    /// Only those parked until then.
    pub until: Option<Millis>,
}

/// Parked messages that came from one queue with one code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParkedGroup {
    /// The queue.
    pub queue: String,
    /// The code.
    pub code: String,
    /// How many there are.
    pub messages: u64,
    /// When the first was parked.
    pub since: Millis,
}
