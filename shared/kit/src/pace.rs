//! How fast bulk work goes: as fast as the store takes it, and never more of the store than it was given. While single requests come, it
//! takes half of that, one batch at a time.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How much of a store bulk work may take, for each process. Single requests are not held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BulkPace {
    /// How many batches may be at the store at once. Fewer are while the store is slow.
    pub batches_at_once_max: usize,
    /// For how much of the time each of them may be there, in percent: after a batch it rests in proportion. Half of it while single
    /// requests come; with 100 it never rests.
    pub share_percent: u8,
    /// How many people a second at most; as many as it takes, unless told.
    pub subjects_per_second: Option<u32>,
}

impl Default for BulkPace {
    fn default() -> Self {
        Self {
            batches_at_once_max: 2,
            share_percent: 90,
            subjects_per_second: None,
        }
    }
}

impl BulkPace {
    /// A rate is kept by one batch after the other.
    fn at_once_max(&self) -> f64 {
        #[allow(clippy::cast_precision_loss, reason = "a small number")]
        let most = self.batches_at_once_max.max(1) as f64;
        if self.subjects_per_second.is_some() { 1.0 } else { most }
    }
}

/// When the single lane of a worker had something to do.
#[derive(Debug, Default)]
pub(crate) struct Singles(Mutex<Option<Instant>>);

/// For how long after a single request the next one is expected.
const SINGLES_COME: Duration = Duration::from_secs(1);

impl Singles {
    pub(crate) fn came(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Whether there was one just now.
    pub(crate) fn come(&self) -> bool {
        let last = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.is_some_and(|last| last.elapsed() < SINGLES_COME)
    }
}

/// What a batch took of the store.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Spent {
    pub(crate) subjects: usize,
    pub(crate) time: Duration,
}

/// A store is slow when a person takes so many times as long as at its best.
const SLOW: f64 = 2.0;
/// How much the memory of its best fades with each batch: what was good once may never come again.
const FADING: f64 = 1.01;
/// After how much of a whole further batch at once a good one counts.
const STEP: f64 = 0.25;
/// The most that a rest is prolonged for a store that is slow with a single batch.
const PATIENCE_MAX: f64 = 8.0;

/// The pace of one lane.
#[derive(Debug)]
pub(crate) struct Pace {
    bulk: Option<BulkPace>,
    at_once: f64,
    best: Option<f64>,
}

impl Pace {
    /// One batch after the other, without rest.
    pub(crate) fn steady() -> Self {
        Self {
            bulk: None,
            at_once: 1.0,
            best: None,
        }
    }

    pub(crate) fn of_bulk(pace: BulkPace) -> Self {
        Self {
            bulk: Some(pace),
            at_once: pace.at_once_max(),
            best: None,
        }
    }

    /// How many batches may be under way, or resting after they were.
    pub(crate) fn at_once(&self, singles_come: bool) -> usize {
        if singles_come && self.bulk.is_some_and(|bulk| bulk.share_percent < 100) {
            return 1;
        }
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between one and the setting"
        )]
        let whole = self.at_once as usize;
        whole.max(1)
    }

    /// Learns from a batch, and says how long its place has to rest.
    pub(crate) fn ended(&mut self, spent: Spent, singles_come: bool) -> Duration {
        let Some(bulk) = self.bulk.filter(|_| spent.subjects > 0) else {
            return Duration::ZERO;
        };
        #[allow(clippy::cast_precision_loss, reason = "a batch has few people")]
        let subjects = spent.subjects as f64;
        let each = spent.time.as_secs_f64() / subjects;
        let best = self.best.map_or(each, |best| (best * FADING).min(each));
        self.best = Some(best);
        let slowness = if best > 0.0 { each / best } else { 1.0 };
        let most = bulk.at_once_max();
        // Where it is slow with one batch alone, others are at it: they come first.
        let patience = if slowness <= SLOW {
            self.at_once = (self.at_once + STEP).min(most);
            1.0
        } else if self.at_once >= 2.0 {
            self.at_once -= 1.0;
            1.0
        } else {
            (slowness / SLOW).min(PATIENCE_MAX)
        };
        let share = f64::from(bulk.share_percent.clamp(1, 100)) / 100.0;
        let share = if singles_come && share < 1.0 { share / 2.0 } else { share };
        let by_share = spent.time.mul_f64((1.0 - share) / share * patience);
        let by_rate = bulk.subjects_per_second.map_or(Duration::ZERO, |rate| {
            Duration::from_secs_f64(subjects / f64::from(rate.max(1))).saturating_sub(spent.time)
        });
        by_share.max(by_rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(subjects: usize, millis: u64) -> Spent {
        Spent {
            subjects,
            time: Duration::from_millis(millis),
        }
    }

    fn pace(share_percent: u8, subjects_per_second: Option<u32>) -> Pace {
        Pace::of_bulk(BulkPace {
            batches_at_once_max: 3,
            share_percent,
            subjects_per_second,
        })
    }

    #[test]
    fn once_the_store_keeps_up_again_more_goes_at_once_up_to_the_setting() {
        let mut pace = pace(100, None);
        assert_eq!(pace.at_once(false), 3);
        assert_eq!(pace.ended(batch(512, 100), false), Duration::ZERO);
        assert_eq!(pace.ended(batch(512, 300), false), Duration::ZERO);
        assert_eq!(pace.at_once(false), 2);
        for _ in 0..4 {
            pace.ended(batch(512, 100), false);
        }
        assert_eq!(pace.at_once(false), 3);
    }

    #[test]
    fn a_store_that_slows_down_gets_less_at_once_and_then_longer_rests() {
        let mut pace = pace(50, None);
        for _ in 0..8 {
            pace.ended(batch(512, 100), false);
        }
        assert_eq!(pace.at_once(false), 3);
        pace.ended(batch(512, 400), false);
        assert_eq!(pace.at_once(false), 2);
        pace.ended(batch(512, 400), false);
        assert_eq!(pace.at_once(false), 1);
        let rest = pace.ended(batch(512, 400), false);
        assert!(
            rest > Duration::from_millis(700),
            "{rest:?} after four tenths of a second, at half"
        );
        assert_eq!(pace.at_once(false), 1);
    }

    #[test]
    fn while_single_requests_come_it_takes_half_one_batch_at_a_time() {
        let mut some = pace(80, None);
        assert_eq!(some.at_once(true), 1);
        assert_eq!(some.ended(batch(512, 100), true), Duration::from_millis(150));
        assert_eq!(
            (some.ended(batch(512, 100), false), some.at_once(false)),
            (Duration::from_millis(25), 3)
        );
        let mut all = pace(100, None);
        assert_eq!((all.ended(batch(512, 100), true), all.at_once(true)), (Duration::ZERO, 3));
        let singles = Singles::default();
        assert!(!singles.come());
        singles.came();
        assert!(singles.come());
    }

    #[test]
    fn what_was_good_once_is_forgotten() {
        let mut pace = pace(100, None);
        pace.ended(batch(512, 100), false);
        for _ in 0..200 {
            pace.ended(batch(512, 400), false);
        }
        assert_eq!(pace.at_once(false), 3);
    }

    #[test]
    fn a_share_and_a_rate_are_kept_by_resting() {
        assert_eq!(pace(25, None).ended(batch(512, 100), false), Duration::from_millis(300));
        let mut slow = pace(100, Some(1_000));
        assert_eq!(slow.ended(batch(500, 100), false), Duration::from_millis(400));
        assert_eq!((slow.ended(batch(500, 600), false), slow.at_once(false)), (Duration::ZERO, 1));
        assert_eq!(pace(25, None).ended(batch(0, 100), false), Duration::ZERO);
        assert_eq!(Pace::steady().ended(batch(512, 100), false), Duration::ZERO);
    }
}
