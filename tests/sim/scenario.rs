//! What happens in a run, drawn from its seed before it begins: who lives where, what is asked, and what goes wrong when.

use crate::chance::Chance;

/// The stores, in the order of [`Person::rows`]: `crm` finds people, `warehouse` commits one by one, `ads` is a vendor.
pub(crate) const STORES: [&str; 3] = ["crm", "warehouse", "ads"];

/// Processes. The first takes commands and reconciles, the second may reconcile too, the others work.
pub(crate) const PROCESSES: [&str; 4] = ["front", "second", "worker-a", "worker-b"];

/// The whole run.
#[derive(Clone, Debug)]
pub(crate) struct Scenario {
    pub(crate) people: Vec<Person>,
    pub(crate) asks: Vec<Ask>,
    /// In order of time.
    pub(crate) blows: Vec<(i64, Trouble)>,
    /// From here on nothing goes wrong any more.
    pub(crate) calm_at: i64,
    /// So many of a thousand calls are lost until then.
    pub(crate) lost: u64,
    pub(crate) two_reconcilers: bool,
    /// How many of the stores are known from the beginning.
    pub(crate) stores: usize,
    /// Evidence older than this, in seconds, is looked at again.
    pub(crate) evidence_age_s: u64,
}

/// Somebody, known by the number.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    /// How many rows in each store.
    pub(crate) rows: [u8; 3],
    /// One row in the warehouse must be kept.
    pub(crate) kept: bool,
}

/// A command.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    /// The request.
    pub(crate) id: String,
    /// Of whom.
    pub(crate) people: Vec<usize>,
    /// By e-mail address instead of the user's id.
    pub(crate) by_email: bool,
    /// Further people, of whom nobody has heard.
    pub(crate) strangers: usize,
    /// When it is published, each time.
    pub(crate) at: Vec<i64>,
}

/// What goes wrong, or otherwise happens, at one moment.
#[derive(Clone, Debug)]
pub(crate) enum Trouble {
    Crash { process: usize, back_after: i64 },
    Restart { process: usize },
    Hold { process: usize, for_ms: i64 },
    BrokerRestarts,
    BrokerLoses,
    BrokerDuplicates,
    BrokerReorders,
    BrokerIsWiped,
    RedisIsWiped,
    RedisIsCopied,
    RedisGoesBack,
    StoreIsCopied { store: usize },
    StoreFailsOver { store: usize },
    StoreIsUnreachable { store: usize, for_ms: i64 },
    StoreIsBusy { store: usize, for_ms: i64 },
    ConstraintOn { person: usize, store: usize },
    WritesBack { person: usize, store: usize },
    ComesAgain { person: usize },
    AWeekPasses { person: usize },
    NewMap,
    NewStore,
    Redrive,
    VendorForgets,
}

impl Scenario {
    /// The scenario of a seed.
    pub(crate) fn of(seed: u64) -> Self {
        let chance = Chance::of(seed, "scenario");
        let people: Vec<Person> = (0..chance.between(2, 5)).map(|_| person(&chance)).collect();
        let calm_at = i64::try_from(chance.between(1_000, 6_000)).unwrap_or(0);
        let asks = (0..chance.between(1, 4)).map(|number| ask(&chance, number, people.len(), calm_at));
        let asks = asks.collect();
        let mut blows = Vec::new();
        for _ in 0..chance.below(7) {
            let at = moment(&chance, calm_at);
            let trouble = trouble(&chance, people.len());
            if let Some(before) = trouble.needs() {
                blows.push((moment(&chance, at + 1), before));
            }
            blows.push((at, trouble));
        }
        let is_late = chance.in_thousand(30);
        if is_late {
            blows = late(&chance, people.len());
        }
        blows.sort_by_key(|(at, _)| *at);
        Self {
            people,
            asks,
            calm_at: blows.last().map_or(calm_at, |(at, _)| calm_at.max(*at + 100)),
            blows,
            lost: if is_late { 0 } else { *chance.pick(&[0, 5, 20, 60]) },
            two_reconcilers: chance.in_thousand(300),
            stores: if chance.in_thousand(200) { 3 } else { 2 },
            evidence_age_s: *chance.pick(&[86_400, 86_400, 2]),
        }
    }
}

/// A worker is stopped with work in hand, for a week. Others do it. Somebody new comes. Then the worker goes on.
fn late(chance: &Chance, people: usize) -> Vec<(i64, Trouble)> {
    let at = moment(chance, 1_500);
    let process = usize::try_from(chance.between(2, 3)).unwrap_or(2);
    let person = usize::try_from(chance.below(people as u64)).unwrap_or(0);
    let stops = Trouble::Hold { process, for_ms: 16_000 };
    vec![(at, stops), (at + 15_000, Trouble::AWeekPasses { person })]
}

impl Trouble {
    /// What must have happened before.
    fn needs(&self) -> Option<Self> {
        match self {
            Self::RedisGoesBack => Some(Self::RedisIsCopied),
            Self::StoreFailsOver { store } => Some(Self::StoreIsCopied { store: *store }),
            _ => None,
        }
    }
}

fn moment(chance: &Chance, before: i64) -> i64 {
    i64::try_from(chance.below(before.unsigned_abs())).unwrap_or(0)
}

fn person(chance: &Chance) -> Person {
    let mut rows = [0; 3].map(|_| match chance.below(10) {
        0..3 => 0,
        3..8 => 1,
        _ => 2,
    });
    // Whoever is known to the warehouse by an id alone is known by address elsewhere.
    rows[0] = rows[0].max(rows[1].min(1));
    Person {
        rows,
        kept: chance.in_thousand(50),
    }
}

fn ask(chance: &Chance, number: u64, people: usize, calm_at: i64) -> Ask {
    let mut whom: Vec<usize> = (0..people).filter(|_| chance.in_thousand(450)).collect();
    let strangers = match chance.below(2000) {
        0 => 513,
        1..300 => 1,
        _ => 0,
    };
    if whom.is_empty() && strangers == 0 {
        whom.push(usize::try_from(chance.below(people as u64)).unwrap_or(0));
    }
    let repeated = if chance.in_thousand(200) { 2 } else { 1 };
    Ask {
        id: format!("request-{number}"),
        people: whom,
        by_email: chance.in_thousand(200),
        strangers,
        at: (0..repeated).map(|_| moment(chance, calm_at * 3 / 4)).collect(),
    }
}

fn trouble(chance: &Chance, people: usize) -> Trouble {
    let store = usize::try_from(chance.below(2)).unwrap_or(0);
    let person = usize::try_from(chance.below(people as u64)).unwrap_or(0);
    let process = usize::try_from(chance.below(4)).unwrap_or(0);
    let for_ms = i64::try_from(chance.between(50, 3_000)).unwrap_or(0);
    match chance.below(30) {
        0..6 => Trouble::Crash {
            process,
            back_after: for_ms / 3,
        },
        6 => Trouble::Restart { process },
        7 | 8 => Trouble::Hold { process, for_ms },
        9 | 10 => Trouble::BrokerRestarts,
        11 => Trouble::BrokerLoses,
        12 => Trouble::BrokerDuplicates,
        13 => Trouble::BrokerReorders,
        14 => Trouble::BrokerIsWiped,
        15 | 16 => Trouble::RedisIsWiped,
        17 | 18 => Trouble::RedisGoesBack,
        19 | 20 => Trouble::StoreFailsOver { store },
        21 => Trouble::StoreIsUnreachable { store, for_ms },
        22 => Trouble::StoreIsBusy { store, for_ms },
        23 => Trouble::ConstraintOn { person, store },
        24 => Trouble::WritesBack { person, store },
        25 => Trouble::ComesAgain { person },
        26 => Trouble::NewMap,
        27 => Trouble::NewStore,
        28 => Trouble::Redrive,
        _ => Trouble::VendorForgets,
    }
}
