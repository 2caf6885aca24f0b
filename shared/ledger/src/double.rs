//! The ledger in memory, for tests of the whole: no map written by hand, but the very statements of the real one, on SQLite.

use crate::migrate::migrate_pool;
use crate::sql::{Memory, Pool, Shared};
use crate::{Config, Ledger};
use erasure_drill::Weather;
use erasure_protocol::{LedgerId, Millis};
use futures_util::FutureExt as _;
use std::fmt;
use std::sync::{Arc, OnceLock};

/// A migrated ledger in memory. It outlives the "processes" that open it by [`Ledger::on_double`]. Cheap to clone; all clones are
/// one.
#[derive(Clone)]
pub struct MemoryLedger {
    shared: Arc<Shared>,
    id: LedgerId,
}

impl MemoryLedger {
    /// An empty ledger with this id.
    #[must_use]
    pub fn new(id: LedgerId) -> Self {
        let shared = Shared::new().expect("SQLite opens a database in memory");
        shared.copy_from(template()).expect("the template is a sound database");
        let this = Self {
            shared: Arc::new(shared),
            id,
        };
        this.meddle(&format!("UPDATE ledger_meta SET ledger = '{}'", id.0.as_hyphenated()));
        this
    }

    /// Runs statements behind the ledger's back.
    ///
    /// # Panics
    /// When SQLite refuses them, or somebody is writing.
    pub fn meddle(&self, statements: &str) {
        self.shared.meddle(statements).expect("the statements of a test are sound");
    }
}

impl fmt::Debug for MemoryLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemoryLedger({})", self.id)
    }
}

impl Ledger {
    /// The ledger of one process on a database in memory. Every call passes `weather` as `ledger.begin`, `ledger.statement`,
    /// `ledger.commit`, `ledger.read` or `ledger.now`; its time is `clock`.
    ///
    /// Several may be open at once, and all of them may write, as on PostgreSQL; but like on SQLite one writes at a time. A
    /// transaction that is dropped is rolled back at once.
    #[must_use]
    pub fn on_double(memory: &MemoryLedger, weather: Weather, clock: impl Fn() -> Millis + Send + Sync + 'static) -> Self {
        let pool = Pool::Memory(Memory {
            shared: Arc::clone(&memory.shared),
            weather,
            clock: Arc::new(clock),
        });
        Self::over(pool, memory.id)
    }
}

/// Migrated once; every ledger is a copy of it.
fn template() -> &'static Shared {
    static TEMPLATE: OnceLock<Arc<Shared>> = OnceLock::new();
    TEMPLATE.get_or_init(|| {
        let shared = Arc::new(Shared::new().expect("SQLite opens a database in memory"));
        let pool = Pool::Memory(Memory {
            shared: Arc::clone(&shared),
            weather: Weather::default(),
            clock: Arc::new(|| Millis(0)),
        });
        let config = Config::default();
        let migrated = tokio::task::unconstrained(migrate_pool(&config, &pool)).now_or_never();
        migrated.expect("nothing in it waits").expect("the migrations run on SQLite");
        shared
    })
}
