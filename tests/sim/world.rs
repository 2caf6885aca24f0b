//! Everything that outlives the processes of a run: servers, stores, time, and what the people of the run are.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use erasure_kit::double::{MemoryRow, MemoryStore, MemorySubsystem};
use erasure_ledger::{Ledger, MemoryLedger};
use erasure_privacy::KeyRing;
use erasure_protocol::{Identifier, IdentifierKind, LedgerId, Millis, Record, RequestId, RequestKey, SubsystemName, TenantId};
use erasure_tracker::double::MemoryRedis;

use crate::chance::Chance;
use crate::oracle::Oracle;
use crate::scenario::{Ask, Person, Scenario};
use crate::servers::Broker;
use crate::sky::Sky;
use crate::trace::Trace;

/// The subsystems over the stores of [`crate::scenario::STORES`].
pub(crate) const SUBSYSTEMS: [&str; 3] = ["profiles", "analytics", "ads"];

/// How long the vendor takes.
const VENDOR_TAKES: Duration = Duration::from_millis(700);

/// One run's world.
pub(crate) struct World {
    pub(crate) scenario: Scenario,
    pub(crate) sky: Sky,
    pub(crate) trace: Trace,
    pub(crate) chance: Chance,
    pub(crate) broker: Broker,
    pub(crate) redis: MemoryRedis,
    pub(crate) ledger: MemoryLedger,
    pub(crate) stores: Vec<MemoryStore>,
    pub(crate) keys: Arc<KeyRing>,
    pub(crate) oracle: Arc<Oracle>,
    settings: Mutex<Settings>,
}

/// What a process reads when it starts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// Of the data map.
    pub(crate) revision: u32,
    /// So many of the stores are configured.
    pub(crate) stores: usize,
}

impl World {
    pub(crate) fn new(scenario: Scenario, seed: u64) -> Arc<Self> {
        let trace = Trace::default();
        let sky = Sky::new(Chance::of(seed, "weather"), scenario.lost, trace.clone());
        let alternatives = vec![vec![kind("user_id")], vec![kind("email")]];
        let stores = crate::scenario::STORES.map(|name| MemoryStore::new(name, alternatives.clone()));
        let [crm, warehouse, ads] = stores;
        let stores = [crm, warehouse.that_only_follows(), ads.that_only_follows()];
        let oracle = Arc::new(Oracle::new(stores.to_vec(), sky.clone(), scenario.asks.clone()));
        let this = Self {
            broker: Broker::new(&oracle),
            redis: MemoryRedis::new(sky.clock()),
            ledger: MemoryLedger::new(LedgerId(uuid::Uuid::from_u128(u128::from(seed) + 1))),
            stores: stores.to_vec(),
            keys: keys(),
            chance: Chance::of(seed, "nemesis"),
            settings: Mutex::new(Settings {
                revision: 1,
                stores: scenario.stores,
            }),
            oracle,
            trace,
            sky,
            scenario,
        };
        for (number, person) in this.scenario.people.iter().enumerate() {
            this.settle(number, person);
        }
        Arc::new(this)
    }

    /// Whether there is such a process in this run.
    pub(crate) fn runs(&self, which: usize) -> bool {
        which != 1 || self.scenario.two_reconcilers
    }

    pub(crate) fn settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A ledger's handle for one process.
    pub(crate) fn ledger_of(&self, process: &'static str) -> Ledger {
        Ledger::on_double(&self.ledger, self.sky.over(process), self.sky.clock())
    }

    /// A store as one process sees it.
    pub(crate) fn subsystem(&self, process: &'static str, store: usize, revision: u32) -> MemorySubsystem {
        let subsystem = MemorySubsystem::new(&self.stores[store], revision, self.sky.over(process), self.sky.clock());
        match store {
            0 => subsystem,
            1 => subsystem.in_chunks(1),
            _ => subsystem.as_vendor(VENDOR_TAKES),
        }
    }

    /// The person's rows, made before the run began.
    fn settle(&self, number: usize, person: &Person) {
        for (store, rows) in person.rows.iter().enumerate() {
            for row in 0..*rows {
                let kept = person.kept && store == 1 && row == 0;
                self.insert(store, &user_id(number), number, Sky::moment(-1_000), kept);
            }
        }
    }

    /// Somebody comes anew under the address of a person, in every store: the same person, or one with an id of their own.
    pub(crate) fn come_again(&self, person: usize) {
        let id = match self.chance.below(2) {
            0 => user_id(person),
            _ => format!("{}-again-{}", user_id(person), self.sky.at()),
        };
        for store in 0..self.stores.len() {
            self.insert(store, &id, person, self.sky.now(), false);
        }
    }

    /// Whom nobody asks for any more comes back after a week in which nothing happened, and nobody writes down when.
    pub(crate) fn come_undated(&self, person: usize) {
        self.sky.leap(Duration::from_secs(8 * 24 * 3600));
        if !self.oracle.is_done_with(person) {
            return;
        }
        let id = user_id(person);
        let row = MemoryRow {
            created_at: None,
            ..MemoryRow::new(tenant(), row_of(0, &id, person), self.sky.now())
        };
        self.oracle.was_inserted(0, &id, person, Millis(i64::MAX), false);
        self.stores[0].insert(row);
    }

    fn insert(&self, store: usize, user: &str, person: usize, created_at: Millis, is_kept: bool) {
        let ground = || (erasure_protocol::Ground("tax".to_owned()), Sky::moment(1_000_000_000));
        let row = MemoryRow {
            kept: is_kept.then(ground),
            ..MemoryRow::new(tenant(), row_of(store, user, person), created_at)
        };
        self.oracle.was_inserted(store, user, person, created_at, is_kept);
        self.stores[store].insert(row);
    }
}

impl Ask {
    pub(crate) fn key(&self) -> RequestKey {
        RequestKey::of(&tenant(), &RequestId::new(self.id.as_str()).expect("it is an id"))
    }

    /// The identifiers of everybody it names; of many, those who are known stand in the last and short slice.
    pub(crate) fn records(&self) -> Vec<Record> {
        let known = self.people.iter().map(|person| match self.by_email {
            true => record(&[("email", &email(*person))]),
            false => record(&[("user_id", &user_id(*person))]),
        });
        let strangers = (0..self.strangers).map(|it| record(&[("user_id", &format!("stranger-{it}"))]));
        strangers.chain(known).collect()
    }
}

pub(crate) fn tenant() -> TenantId {
    TenantId::new("acme").expect("it is a name")
}

pub(crate) fn subsystem_name(store: usize) -> SubsystemName {
    SubsystemName::new(SUBSYSTEMS[store]).expect("it is a name")
}

pub(crate) fn kind(name: &str) -> IdentifierKind {
    IdentifierKind::new(name).expect("it is a kind")
}

pub(crate) fn user_id(person: usize) -> String {
    format!("user-{person}")
}

pub(crate) fn email(person: usize) -> String {
    format!("person{person}@example.invalid")
}

/// Where people are found.
pub(crate) const WITH_PEOPLE: usize = 0;
/// The warehouse knows nobody's address: only who knows the id finds the rows there.
pub(crate) const WITHOUT_ADDRESSES: usize = 1;

fn row_of(store: usize, user: &str, person: usize) -> Record {
    match store {
        WITHOUT_ADDRESSES => record(&[("user_id", user)]),
        _ => record(&[("user_id", user), ("email", &email(person))]),
    }
}

fn record(pairs: &[(&str, &str)]) -> Record {
    let pair = |(name, value): &(&str, &str)| (kind(name), Identifier::new(*value).expect("it is a value"));
    pairs.iter().map(pair).collect()
}

/// One key ring for all runs of this process: nothing in a run depends on what its keys are.
fn keys() -> Arc<KeyRing> {
    static KEYS: OnceLock<Arc<KeyRing>> = OnceLock::new();
    let make = || {
        let folder = tempfile::tempdir().expect("there is room for a key ring");
        let file = folder.path().join("keys.toml");
        erasure_privacy::generate(&file, Millis(0)).expect("keys can be made");
        Arc::new(KeyRing::load(&file).expect("what was made can be read"))
    };
    Arc::clone(KEYS.get_or_init(make))
}
