//! What a vendor allows, held by everybody together.

use crate::place::Place;
use crate::world::World;
use anyhow::{Context, Result, ensure};
use erasure_protocol::SubsystemName;
use erasure_tracker::{Allowance, Allowed, Ask, Back, Place as Right, Tracker};
use std::time::{Duration, Instant};

const WINDOW: Duration = Duration::from_millis(60);
const ARRIVES_WITHIN: Duration = Duration::from_millis(40);
const HORIZON: Duration = Duration::from_millis(30);
/// The double's clock shows whole milliseconds.
const CLOCK: Duration = Duration::from_millis(2);
const DEADLINE: Duration = Duration::from_secs(20);

struct Desk {
    world: World,
    allowance: Allowance,
    seen: u64,
}

impl Desk {
    async fn open(place: &Place, calls: u32) -> Result<Self> {
        let allowance = Allowance {
            subsystem: SubsystemName::new("subprocessors").unwrap(),
            vendor: "mailer".to_owned(),
            calls,
            window: WINDOW,
            arrives_within: ARRIVES_WITHIN,
            horizon: HORIZON,
        };
        Ok(Self {
            world: World::with_a_running_clock(place).await?,
            allowance,
            seen: 0,
        })
    }

    async fn ask(&mut self, ask: Ask) -> Result<Allowed> {
        let tracker: &Tracker = &self.world.tracker;
        let allowed = tracker.allow(&self.allowance, &Ask { seen: self.seen, ..ask }).await?;
        ensure!(allowed.sequence > self.seen, "{allowed:?} after {}", self.seen);
        self.seen = allowed.sequence;
        Ok(allowed)
    }

    async fn want(&mut self, places: usize) -> Result<Allowed> {
        self.ask(Ask {
            places,
            ..Ask::default()
        })
        .await
    }

    async fn give_back(&mut self, place: &Right, answered: Option<Duration>) -> Result<()> {
        let back = vec![Back {
            place: place.clone(),
            answered,
        }];
        self.ask(Ask { back, ..Ask::default() }).await.map(drop)
    }

    /// Asks until there are so many, and says how long after `since` the last of them may start.
    async fn until(&mut self, places: usize, since: Instant) -> Result<(Vec<Right>, Duration)> {
        let (mut rights, mut last) = (Vec::new(), Duration::ZERO);
        while rights.len() < places {
            ensure!(since.elapsed() < DEADLINE, "{} of {places} places", rights.len());
            for (place, wait) in self.want(places - rights.len()).await?.places {
                rights.push(place);
                last = last.max(since.elapsed() + wait);
            }
            tokio::task::yield_now().await;
        }
        Ok((rights, last))
    }
}

pub(crate) async fn what_nobody_knows_of_is_allowed_only_after_everything_of_before_is_over(place: &Place) -> Result<()> {
    let mut desk = Desk::open(place, 2).await?;
    let begun = Instant::now();
    ensure!(desk.want(2).await?.places.is_empty());
    let (_, first) = desk.until(2, begun).await?;
    ensure!(first + CLOCK >= HORIZON + ARRIVES_WITHIN + WINDOW, "{first:?}");
    // Lost, with two calls under way.
    desk.world.wipe().await?;
    let lost = Instant::now();
    ensure!(desk.want(2).await?.places.is_empty());
    let (_, again) = desk.until(2, lost).await?;
    ensure!(again + CLOCK >= HORIZON + ARRIVES_WITHIN + WINDOW, "{again:?}");
    Ok(())
}

pub(crate) async fn a_place_is_free_a_window_after_the_end_of_its_call_and_not_before(place: &Place) -> Result<()> {
    let mut desk = Desk::open(place, 3).await?;
    let (rights, _) = desk.until(3, Instant::now()).await?;
    ensure!(desk.want(1).await?.places.is_empty(), "a fourth place of three");
    let ended = Instant::now();
    desk.give_back(&rights[1], Some(Duration::ZERO)).await?;
    let (_, free) = desk.until(1, ended).await?;
    ensure!(free + CLOCK >= WINDOW, "{free:?} after the end");
    Ok(())
}

pub(crate) async fn a_place_that_nobody_gives_back_is_free_when_its_call_must_be_over(place: &Place) -> Result<()> {
    let mut desk = Desk::open(place, 1).await?;
    let (rights, _) = desk.until(1, Instant::now()).await?;
    let taken = Instant::now();
    let (_, free) = desk.until(1, taken).await?;
    // It may have been taken ahead of time, never behind it.
    ensure!(free + Duration::from_millis(20) >= ARRIVES_WITHIN + WINDOW, "{free:?}");
    // Whoever had it before has no say any more.
    let late = Instant::now();
    desk.give_back(&rights[0], None).await?;
    ensure!(desk.want(1).await?.places.is_empty() || late.elapsed() > ARRIVES_WITHIN);
    Ok(())
}

pub(crate) async fn a_place_that_was_not_used_is_free_at_once(place: &Place) -> Result<()> {
    let mut desk = Desk::open(place, 1).await?;
    let (rights, _) = desk.until(1, Instant::now()).await?;
    desk.give_back(&rights[0], None).await?;
    ensure!(desk.want(1).await?.places.len() == 1);
    Ok(())
}

pub(crate) async fn fewer_calls_hold_at_once_and_more_calls_only_after_all_of_before_are_over(place: &Place) -> Result<()> {
    let mut desk = Desk::open(place, 4).await?;
    desk.until(4, Instant::now()).await?;
    desk.allowance.calls = 2;
    let cut = Instant::now();
    let (rights, _) = desk.until(2, cut).await?;
    let third = desk.want(1).await?;
    ensure!(
        third.places.is_empty() || cut.elapsed() > ARRIVES_WITHIN + WINDOW,
        "a third place of two"
    );
    for right in &rights {
        desk.give_back(right, None).await?;
    }
    desk.allowance.calls = 6;
    let raised = Instant::now();
    let (_, sixth) = desk.until(6, raised).await?;
    ensure!(sixth + CLOCK >= ARRIVES_WITHIN + WINDOW, "{sixth:?} after the change");
    // Another window says nothing of the calls of the one before.
    desk.allowance.window = WINDOW * 2;
    let changed = Instant::now();
    let (_, first) = desk.until(1, changed).await?;
    ensure!(
        first + CLOCK >= ARRIVES_WITHIN + WINDOW * 2,
        "{first:?} after the change of the window"
    );
    Ok(())
}

pub(crate) async fn a_vendor_s_silence_is_kept_by_everybody(place: &Place) -> Result<()> {
    let mut desk = Desk::open(place, 2).await?;
    let (rights, _) = desk.until(1, Instant::now()).await?;
    let told = Instant::now();
    let silence = Duration::from_millis(80);
    let heard = desk.ask(Ask {
        silence,
        ..Ask::default()
    });
    ensure!(heard.await?.silent > Duration::ZERO);
    desk.give_back(&rights[0], None).await?;
    let (_, first) = desk.until(1, told).await?;
    ensure!(first + CLOCK >= silence, "{first:?} after the vendor asked for silence");
    Ok(())
}

pub(crate) async fn an_older_copy_of_the_places_is_known_and_not_believed(place: &Place) -> Result<()> {
    let mut desk = Desk::open(place, 2).await?;
    let (rights, _) = desk.until(2, Instant::now()).await?;
    for right in &rights {
        desk.give_back(right, None).await?;
    }
    let copy = desk.world.redis.copy(&desk.world.config.key_prefix).await?;
    ensure!(desk.want(2).await?.places.len() == 2);
    desk.world.redis.restore(&desk.world.config.key_prefix, &copy).await?;
    let gone_back = Instant::now();
    ensure!(desk.want(2).await?.places.is_empty(), "both places were given a second time");
    let (_, first) = desk.until(1, gone_back).await.context("never again")?;
    ensure!(first + CLOCK >= ARRIVES_WITHIN + WINDOW, "{first:?}");
    Ok(())
}
