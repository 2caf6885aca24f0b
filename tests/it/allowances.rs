//! A vendor's allowance, shared by all processes: counted at the vendor's side.

#![allow(clippy::unwrap_used, reason = "helpers of tests, outside of test functions")]

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::subprocessors::{failure, person, task, vendor};
use erasure_drill::{Blow, Lost, Weather};
use erasure_kit::Subsystem as _;
use erasure_protocol::{FaultClass, FaultCode, LedgerId, Millis, Operation, Outcome, SubsystemName, Task};
use erasure_subprocessors::Subprocessors;
use erasure_tests::eventually::eventually_true;
use erasure_tests::opendsr::{Act, Mode, Processor};
use erasure_tests::servers::Servers;
use erasure_tracker::double::MemoryRedis;
use erasure_tracker::{Config, Tracker};
use serde_json::{Value, json};
use std::sync::Arc;
use uuid::Uuid;

const SECOND: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(40);

/// How long a call may take here; a call that was given a place must be over a second of grace later.
const TIMEOUT: Duration = Duration::from_millis(500);

/// A Redis of a test's own keys, which several processes can come to.
struct Shared {
    config: Config,
    ledger: LedgerId,
}

impl Shared {
    fn new() -> Self {
        let config = Config {
            url: Servers::of_this_run().unwrap().redis,
            key_prefix: format!("t{:08x}", Uuid::new_v4().as_u128() >> 96),
            ..Config::default()
        };
        Self {
            config,
            ledger: LedgerId(Uuid::new_v4()),
        }
    }

    /// The subsystem as one process has it.
    async fn process(&self, vendor: &Value) -> Subprocessors {
        let tracker = Tracker::connect(&self.config, self.ledger).await.unwrap();
        with_tracker(vendor, &tracker)
    }

    async fn wipe(&self) {
        let client = redis::Client::open(self.config.url.as_str()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let pattern = format!("{}:*", self.config.key_prefix);
        let keys: Vec<String> = redis::cmd("KEYS").arg(pattern).query_async(&mut connection).await.unwrap();
        assert!(keys.iter().any(|key| key.ends_with(":places")), "{keys:?}");
        redis::cmd("DEL").arg(keys).exec_async(&mut connection).await.unwrap();
    }
}

fn with_tracker(vendor: &Value, tracker: &Tracker) -> Subprocessors {
    let config = serde_json::from_value(json!({ "vendors": [vendor] })).unwrap();
    let name = SubsystemName::new("subprocessors").unwrap();
    Subprocessors::new(config).unwrap().with_tracker(&name, tracker)
}

fn allowing(mailer: &Processor, calls: u32) -> Value {
    let mut vendor = vendor("mailer", &mailer.url());
    vendor["calls_per_second"] = json!(calls);
    vendor["calls_at_once"] = json!(16);
    vendor["timeout_ms"] = json!(u64::try_from(TIMEOUT.as_millis()).unwrap());
    vendor
}

fn people(range: std::ops::Range<u64>) -> Vec<Task> {
    let of = |number: u64| Task {
        deadline: Millis(i64::MAX),
        ..task(number, person(&[("user_id", &format!("invented-{number}"))]))
    };
    range.map(of).collect()
}

async fn submit(process: &Subprocessors, tasks: &[Task]) -> Vec<Outcome> {
    process.perform(Operation::Erase, tasks).await.unwrap()
}

fn all_accepted(outcomes: &[Outcome]) {
    assert!(
        outcomes.iter().all(|it| matches!(it, Outcome::Pending { .. })),
        "{outcomes:?}"
    );
}

#[tokio::test]
async fn two_processes_never_exceed_what_a_vendor_allows_however_long_calls_take() {
    let slow = |ms| Act::Slow { ms };
    let mailer = Processor::start(Mode {
        create: vec![slow(120), slow(5), Act::Serve, slow(300), slow(40), Act::Serve],
        calls_allowed: Some((40, 1_000)),
        ..Mode::ok(0)
    })
    .await
    .unwrap();
    let shared = Shared::new();
    let vendor = allowing(&mailer, 40);
    let (one, other) = (shared.process(&vendor).await, shared.process(&vendor).await);
    let (first, second) = (people(0..70), people(70..140));
    let (first, second) = tokio::join!(submit(&one, &first), submit(&other, &second));
    all_accepted(&first);
    all_accepted(&second);
    let traffic = mailer.traffic();
    assert_eq!(traffic.moments().len(), 140, "nobody was told to slow down");
    assert!(traffic.most_in(SECOND) <= 40, "{} in a second", traffic.most_in(SECOND));
    // A change of the settings is honoured by whoever has it.
    let fewer = shared.process(&allowing(&mailer, 10)).await;
    let begun = Instant::now();
    all_accepted(&submit(&fewer, &people(140..170)).await);
    let traffic = mailer.traffic();
    let since: Vec<_> = traffic.moments().iter().filter(|at| **at >= begun).collect();
    assert_eq!(since.len(), 30);
    assert!(
        *since[29] - *since[0] >= 2 * SECOND - Duration::from_millis(1),
        "30 calls at 10 a second"
    );
}

#[tokio::test]
async fn the_places_of_a_process_that_was_killed_come_back() {
    let mailer = Processor::start(Mode::slow(60_000)).await.unwrap();
    let shared = Shared::new();
    let vendor = allowing(&mailer, 3);
    let doomed = shared.process(&vendor).await;
    let work = tokio::spawn(async move { submit(&doomed, &people(0..3)).await });
    let called = || async { mailer.traffic().moments().len() == 3 };
    eventually_true("it has called with every place", PATIENCE, called)
        .await
        .unwrap();
    work.abort();
    assert!(work.await.unwrap_err().is_cancelled());
    mailer.set(Mode::ok(0));
    let heir = shared.process(&vendor).await;
    all_accepted(&submit(&heir, &people(3..6)).await);
    assert!(mailer.traffic().most_in(SECOND) <= 3);
}

#[tokio::test]
async fn a_wiped_redis_gives_no_place_before_every_call_of_before_is_over() {
    let mailer = Processor::start(Mode::ok(0)).await.unwrap();
    let shared = Shared::new();
    let process = shared.process(&allowing(&mailer, 5)).await;
    all_accepted(&submit(&process, &people(0..5)).await);
    shared.wipe().await;
    let wiped = Instant::now();
    all_accepted(&submit(&process, &people(5..10)).await);
    let traffic = mailer.traffic();
    let next = traffic.moments()[5] - wiped;
    assert!(next >= SECOND + TIMEOUT, "{next:?} after the wipe");
    assert!(traffic.most_in(SECOND) <= 5);
}

#[tokio::test]
async fn what_a_vendor_asks_of_one_process_the_others_keep_too() {
    let mailer = Processor::start(Mode::ok(0)).await.unwrap();
    let shared = Shared::new();
    let vendor = allowing(&mailer, 50);
    let (one, other) = (shared.process(&vendor).await, shared.process(&vendor).await);
    all_accepted(&submit(&one, &people(0..1)).await);
    mailer.set(Mode::throttled("600"));
    let told = submit(&one, &people(1..2)).await;
    assert_eq!(failure(&told[0]).1, FaultCode::VendorThrottles);
    let calls = mailer.traffic().moments().len();
    let heard = submit(&other, &people(2..4)).await;
    for outcome in &heard {
        assert_eq!(failure(outcome), ("retry", FaultCode::VendorThrottles, FaultClass::Throttled));
        assert!(
            matches!(outcome, Outcome::Retry(fault) if fault.retry_after_ms > Some(300_000)),
            "{outcome:?}"
        );
    }
    assert_eq!(mailer.traffic().moments().len(), calls, "the other process has not called");
}

#[tokio::test]
async fn while_redis_is_away_nobody_calls_and_it_is_no_attempt() {
    let mailer = Processor::start(Mode::ok(0)).await.unwrap();
    let away = Arc::new(AtomicBool::new(false));
    let weather = Weather::new({
        let away = Arc::clone(&away);
        move |_| Blow {
            lost: away.load(Ordering::Relaxed).then_some(Lost::Question),
            ..Blow::default()
        }
    });
    let begun = Instant::now();
    let redis = MemoryRedis::new(move || Millis(1_790_000_000_000).plus(begun.elapsed()));
    let config = Config::default();
    let tracker = Tracker::on_double(&redis, &config, LedgerId(Uuid::new_v4()), weather)
        .await
        .unwrap();
    let process = with_tracker(&allowing(&mailer, 20), &tracker);
    away.store(true, Ordering::Relaxed);
    let tasks = people(0..6);
    for outcome in submit(&process, &tasks).await {
        assert_eq!(
            failure(&outcome),
            ("retry", FaultCode::VendorThrottles, FaultClass::Throttled)
        );
    }
    assert!(mailer.traffic().moments().is_empty());
    away.store(false, Ordering::Relaxed);
    all_accepted(&submit(&process, &tasks).await);
}
