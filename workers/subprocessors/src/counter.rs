//! This process's dealings with an allowance that all processes share.

use erasure_tracker::{Allowance, Ask, Back, Place, Tracker};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How far ahead places are taken. Far enough that the time between two looks is never lost, near enough that who comes later is
/// not kept waiting by who has much to do.
pub(crate) const HORIZON: Duration = Duration::from_millis(500);

/// How late a call may start on its place; a process that stood still for longer has lost it.
pub(crate) const LATE_MAX: Duration = Duration::from_secs(1);

/// How long until we look again when nothing is free: others give places back without telling us.
const LOOK_AGAIN_MAX: Duration = Duration::from_millis(100);
const LOOK_AGAIN_MIN: Duration = Duration::from_millis(2);

/// Takes places for all calls of this process and gives them back, as many as there are in each round trip.
#[derive(Debug)]
pub(crate) struct Counter {
    allowance: Allowance,
    tracker: Link,
    desk: Mutex<Desk>,
    trip: tokio::sync::Mutex<Trip>,
}

/// The way to Redis. Without one, nobody knows how much is left, and nothing may be called.
pub(crate) struct Link(pub(crate) Option<Tracker>);

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Link({})", if self.0.is_some() { "tracker" } else { "none" })
    }
}

#[derive(Debug, Default)]
struct Desk {
    /// Who waits for a place, first come first served.
    waiting: VecDeque<oneshot::Sender<Result<Held, NoPlace>>>,
    /// Places to be given back, each with the moment of its answer, if it was used.
    back: Vec<(Place, Option<Instant>)>,
    /// The vendor asked for silence until then, and the others do not know it yet.
    silent_until: Option<Instant>,
}

#[derive(Debug)]
struct Trip {
    seen: u64,
    /// Before then there is nothing to be had, unless a place comes back.
    look_at: Instant,
}

/// A place, and when its call may start. One that is dropped before its start goes back.
#[derive(Debug)]
pub(crate) struct Held {
    counter: Arc<Counter>,
    place: Option<Place>,
    start: Instant,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoPlace {
    /// Nobody could be asked.
    Unknown,
    /// The vendor wants silence for so long.
    Silent(Duration),
    /// The batch was over before there was one.
    Over,
}

/// For how long somebody waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience<'a> {
    /// Until then.
    pub(crate) ends: Instant,
    /// Or until this happens.
    pub(crate) over: &'a CancellationToken,
}

impl Patience<'_> {
    async fn ended(self) {
        tokio::select! {
            () = self.over.cancelled() => {}
            () = tokio::time::sleep_until(self.ends) => {}
        }
    }
}

impl Counter {
    pub(crate) fn new(allowance: Allowance, tracker: Link) -> Self {
        let trip = Trip {
            seen: 0,
            look_at: Instant::now(),
        };
        Self {
            allowance,
            tracker,
            desk: Mutex::default(),
            trip: tokio::sync::Mutex::new(trip),
        }
    }

    /// Waits for a place and for its time.
    ///
    /// Patience is looked at between round trips only: what Redis gives to a question that nobody waits for any more is lost until the
    /// calls that it was meant for must be over. A place that comes within it may start a moment after its end.
    pub(crate) async fn place(self: &Arc<Self>, patience: Patience<'_>) -> Result<Held, NoPlace> {
        loop {
            let held = self.take(patience).await?;
            tokio::select! {
                () = patience.over.cancelled() => return Err(NoPlace::Over),
                () = tokio::time::sleep_until(held.start) => {}
            }
            if held.start.elapsed() < LATE_MAX {
                return Ok(held);
            }
        }
    }

    async fn take(self: &Arc<Self>, patience: Patience<'_>) -> Result<Held, NoPlace> {
        let (sender, mut receiver) = oneshot::channel();
        self.desk().waiting.push_back(sender);
        loop {
            let wait = tokio::select! {
                biased;
                held = &mut receiver => return held.unwrap_or(Err(NoPlace::Unknown)),
                done = self.round() => done?,
            };
            tokio::select! {
                biased;
                held = &mut receiver => return held.unwrap_or(Err(NoPlace::Unknown)),
                () = patience.ended() => return Err(NoPlace::Over),
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// Tells the others at once when nobody here is about to ask for a place anyway.
    pub(crate) async fn tell(self: &Arc<Self>) {
        let asked_anyway = self.desk().waiting.iter().any(|waiter| !waiter.is_closed());
        if !asked_anyway {
            // Whoever cannot be told finds the places free when their calls must be over.
            let _ = self.round().await;
        }
    }

    /// Tells everybody that the vendor wants silence.
    pub(crate) async fn silence(self: &Arc<Self>, until: Instant) {
        {
            let mut desk = self.desk();
            desk.silent_until = Some(desk.silent_until.map_or(until, |other| other.max(until)));
        }
        let _ = self.round().await;
    }

    /// One round trip, if there is a reason for one. Answers how long to wait before the next.
    async fn round(self: &Arc<Self>) -> Result<Duration, NoPlace> {
        let mut trip = self.trip.lock().await;
        let (ask, back) = self.pack(trip.seen);
        let idle = ask.back.is_empty() && ask.silence.is_zero();
        if idle && (ask.places == 0 || trip.look_at > Instant::now()) {
            return Ok(trip.look_at.saturating_duration_since(Instant::now()).max(LOOK_AGAIN_MIN));
        }
        let Some(tracker) = &self.tracker.0 else {
            return Err(self.turn_away(NoPlace::Unknown));
        };
        let allowed = match tracker.allow(&self.allowance, &ask).await {
            Ok(allowed) => allowed,
            Err(error) => {
                tracing::warn!(vendor = self.allowance.vendor, %error, "a vendor's allowance cannot be asked for; its calls are put off");
                self.desk().back.extend(back);
                return Err(self.turn_away(NoPlace::Unknown));
            }
        };
        let now = Instant::now();
        trip.seen = allowed.sequence;
        let wanted_more = allowed.places.len() < ask.places;
        for (place, wait) in allowed.places {
            self.hand_over(Held {
                counter: Arc::clone(self),
                place: Some(place),
                start: now + wait,
            });
        }
        let wait = allowed.again.clamp(LOOK_AGAIN_MIN, LOOK_AGAIN_MAX);
        trip.look_at = if wanted_more { now + wait } else { now };
        if !allowed.silent.is_zero() {
            return Err(self.turn_away(NoPlace::Silent(allowed.silent)));
        }
        Ok(wait)
    }

    /// What there is to say and to ask.
    fn pack(&self, seen: u64) -> (Ask, Vec<(Place, Option<Instant>)>) {
        let mut desk = self.desk();
        desk.waiting.retain(|waiter| !waiter.is_closed());
        let back = std::mem::take(&mut desk.back);
        let silence = desk.silent_until.take();
        let ask = Ask {
            places: desk.waiting.len(),
            back: back
                .iter()
                .map(|(place, answered)| Back {
                    place: place.clone(),
                    answered: answered.map(|at| at.elapsed()),
                })
                .collect(),
            silence: silence.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now())),
            seen,
        };
        (ask, back)
    }

    /// To whoever waits longest. A place that nobody takes goes back as it is dropped.
    fn hand_over(&self, held: Held) {
        let mut held = Ok(held);
        loop {
            let next = self.desk().waiting.pop_front();
            let Some(waiter) = next else { return };
            match waiter.send(held) {
                Ok(()) => return,
                Err(unsent) => held = unsent,
            }
        }
    }

    /// Tells everybody who waits why there is no place.
    fn turn_away(&self, why: NoPlace) -> NoPlace {
        let waiting = std::mem::take(&mut self.desk().waiting);
        for waiter in waiting {
            // Who does not wait any more need not know.
            let _ = waiter.send(Err(why));
        }
        why
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// The call begins. From now on the place is free only when the call is over.
    pub(crate) fn begin(mut self) -> Used {
        Used {
            counter: Arc::clone(&self.counter),
            place: self.place.take(),
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            self.counter.desk().back.push((place, None));
        }
    }
}

/// A place whose call has begun. Of one that is dropped, Redis knows by when its call must be over.
#[derive(Debug)]
pub(crate) struct Used {
    counter: Arc<Counter>,
    place: Option<Place>,
}

impl Used {
    /// The call is over. Without an answer it may still be on its way to the vendor: then the place stays taken until it cannot be.
    pub(crate) async fn end(mut self, answered: Option<Instant>) {
        if let (Some(place), Some(at)) = (self.place.take(), answered) {
            self.counter.desk().back.push((place, Some(at)));
        }
        self.counter.tell().await;
    }
}
