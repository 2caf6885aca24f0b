//! How many calls somebody outside allows, held by all processes together.

use crate::script::{Call, Name};
use crate::{Error, Tracker};
use erasure_protocol::SubsystemName;
use redis::Value;
use std::time::Duration;

/// What one vendor allows: so many calls in any window of this length.
///
/// A place for a call is free again one window after the end of the call that used it. Because the vendor sees a call between its
/// start and its end, it never sees more calls in a window than there are places, however long calls are on their way. The price:
/// each place is used once in a window *and* the length of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Whose vendor it is.
    pub subsystem: SubsystemName,
    /// The vendor, by its name in the configuration: `a-z 0-9 _ -`.
    pub vendor: String,
    /// How many calls.
    pub calls: u32,
    /// In which time.
    pub window: Duration,
    /// How long after the moment it was planned for a call may still reach the vendor: how late it may start, and its timeout.
    pub arrives_within: Duration,
    /// How far ahead places are given away.
    pub horizon: Duration,
}

/// What is said and asked in one round trip.
#[derive(Clone, Debug, Default)]
pub struct Ask {
    /// So many places are wanted.
    pub places: usize,
    /// Places that come back.
    pub back: Vec<Back>,
    /// The vendor asked everybody to be silent for so long.
    pub silence: Duration,
    /// The highest [`Allowed::sequence`] of earlier answers: by it a Redis that has lost something is known.
    pub seen: u64,
}

/// A right to one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    number: String,
    token: String,
    start: String,
}

/// A place, and what became of it. A place that nobody gives back is free when its call must be over.
#[derive(Clone, Debug)]
pub struct Back {
    /// Which.
    pub place: Place,
    /// So long ago the vendor's answer arrived; `None` when there was no call.
    pub answered: Option<Duration>,
}

/// The answer to an [`Ask`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// Grows with every answer.
    pub sequence: u64,
    /// The places, and how long after this answer each call may start, soonest first. Fewer than asked for when there are no more.
    pub places: Vec<(Place, Duration)>,
    /// For how long the vendor wants silence.
    pub silent: Duration,
    /// When it is worth while to ask for more, unless a place comes back before.
    pub again: Duration,
}

impl Tracker {
    /// Asks for places of an allowance and gives others back, in one round trip. Where Redis has lost what it knew, nobody gets a
    /// place until all calls of before must be over and a window has passed.
    ///
    /// # Errors
    /// When Redis cannot be reached or refuses; then no call may be made.
    pub async fn allow(&self, allowance: &Allowance, ask: &Ask) -> Result<Allowed, Error> {
        let hold = allowance.arrives_within + allowance.window;
        let keys = self.keys().allowance(&allowance.subsystem, &allowance.vendor);
        let call = Call::new(Name::Allowance, keys)
            .number(allowance.calls)
            .number(allowance.window.as_micros())
            .number(hold.as_micros())
            .number(allowance.horizon.as_micros())
            .number(ask.seen)
            .number(ask.places)
            .number(ask.silence.as_micros());
        let call = ask.back.iter().fold(call, |call, back| {
            let from = match back.answered {
                Some(ago) => format!("-{}", ago.as_micros()),
                None => back.place.start.clone(),
            };
            call.arg(&back.place.number).arg(&back.place.token).arg(from)
        });
        let answers = self.connection.scripts("asking for a place to call", &[(0, call)]).await?;
        answers
            .into_iter()
            .next()
            .and_then(allowed)
            .ok_or(Error::Unreadable { what: "an allowance" })
    }
}

fn allowed(value: Value) -> Option<Allowed> {
    let words: Vec<String> = redis::from_redis_value(value).ok()?;
    let (head, rest) = words.split_first_chunk::<3>()?;
    let span = |text: &str| text.parse().ok().map(Duration::from_micros);
    let place = |words: &[String]| match words {
        [number, token, start, wait] => {
            let place = Place {
                number: number.clone(),
                token: token.clone(),
                start: start.clone(),
            };
            Some((place, span(wait)?))
        }
        _ => None,
    };
    Some(Allowed {
        sequence: head[0].parse().ok()?,
        silent: span(&head[1])?,
        again: span(&head[2])?,
        places: rest.chunks(4).map(place).collect::<Option<_>>()?,
    })
}
