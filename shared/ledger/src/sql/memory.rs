//! The database of the ledger's double: SQLite in memory, each statement executed at once on the thread that asks, so that a
//! paused clock and a seeded schedule stay what they are.

use super::memory_value;
use super::{Class, Row, Value, class_of};
use crate::Error;
use erasure_drill::{Lost, Weather};
use erasure_protocol::Millis;
use rusqlite::{Connection, OpenFlags};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::OwnedMutexGuard;

/// So many statements stay prepared. The product has fewer.
const STATEMENTS_MAX: usize = 256;

/// A database that outlives those who use it. Two connections, as with a file: readers see what is committed.
pub(crate) struct Shared {
    writer: Mutex<Connection>,
    reader: Mutex<Connection>,
    /// Who holds it may write.
    turn: Arc<tokio::sync::Mutex<()>>,
}

impl Shared {
    /// An empty one.
    pub(crate) fn new() -> rusqlite::Result<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!("file:/erasure-ledger-{}?vfs=memdb", COUNT.fetch_add(1, Ordering::Relaxed));
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_URI
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let open = || -> rusqlite::Result<Connection> {
            let connection = Connection::open_with_flags(&name, flags)?;
            connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
            // A transaction that spilled would lock the readers out.
            connection.execute_batch("PRAGMA automatic_index = OFF; PRAGMA cache_spill = OFF; PRAGMA synchronous = OFF")?;
            Ok(connection)
        };
        Ok(Self {
            writer: Mutex::new(open()?),
            reader: Mutex::new(open()?),
            turn: Arc::default(),
        })
    }

    /// Takes over everything that is in the other.
    pub(crate) fn copy_from(&self, template: &Self) -> rusqlite::Result<()> {
        let from = template.reader();
        let mut to = self.writer();
        rusqlite::backup::Backup::new(&from, &mut to)?.step(-1).map(drop)
    }

    /// Begins to write. The reader begins to read before that: an in-memory database lets nobody in while somebody writes, but
    /// whoever reads already keeps seeing what was committed before.
    fn begin(&self) -> rusqlite::Result<()> {
        let reader = self.reader();
        reader.execute_batch("BEGIN")?;
        memory_value::rows(&reader, "SELECT 1 FROM sqlite_schema LIMIT 1", &[])?;
        self.writer().execute_batch("BEGIN IMMEDIATE")
    }

    fn commit(&self) -> rusqlite::Result<()> {
        self.let_reader_go()?;
        self.writer().execute_batch("COMMIT")
    }

    /// Takes back whatever is under way.
    fn roll_back(&self) -> rusqlite::Result<()> {
        let writer = self.writer();
        if !writer.is_autocommit() {
            writer.execute_batch("ROLLBACK")?;
        }
        drop(writer);
        self.let_reader_go()
    }

    fn let_reader_go(&self) -> rusqlite::Result<()> {
        let reader = self.reader();
        if reader.is_autocommit() {
            return Ok(());
        }
        reader.execute_batch("COMMIT")
    }

    /// Runs statements behind the ledger's back.
    pub(crate) fn meddle(&self, text: &str) -> rusqlite::Result<()> {
        self.writer().execute_batch(text)
    }

    fn writer(&self) -> MutexGuard<'_, Connection> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reader(&self) -> MutexGuard<'_, Connection> {
        self.reader.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One process's way to the shared database.
#[derive(Clone)]
pub(crate) struct Memory {
    pub(crate) shared: Arc<Shared>,
    pub(crate) weather: Weather,
    pub(crate) clock: Arc<dyn Fn() -> Millis + Send + Sync>,
}

impl Memory {
    pub(super) async fn query(&self, doing: &'static str, text: &str, values: &[Value]) -> Result<Vec<Row>, Error> {
        let effect = || memory_value::rows(&self.shared.reader(), text, values);
        arrived(doing, self.weather.around("ledger.read", effect).await)
    }

    pub(crate) async fn now(&self, doing: &'static str) -> Result<Millis, Error> {
        let answer = self.weather.around("ledger.now", || (self.clock)()).await;
        answer.map_err(|lost| unreachable(doing, lost))
    }

    pub(super) async fn begin(&self, doing: &'static str) -> Result<MemoryTx, Error> {
        let turn = Arc::clone(&self.shared.turn).lock_owned().await;
        // Before the question goes out: who is dropped on the way has to roll back what may have begun.
        let tx = MemoryTx {
            memory: self.clone(),
            is_broken: false,
            _turn: turn,
        };
        arrived(doing, self.weather.around("ledger.begin", || self.shared.begin()).await)?;
        Ok(tx)
    }
}

/// A transaction of the double. Dropped, it is rolled back.
pub(crate) struct MemoryTx {
    memory: Memory,
    /// A call was lost, and with it the connection.
    is_broken: bool,
    _turn: OwnedMutexGuard<()>,
}

impl MemoryTx {
    pub(super) async fn query(&mut self, doing: &'static str, text: &str, values: &[Value]) -> Result<Vec<Row>, Error> {
        self.statement(doing, |on| memory_value::rows(on, text, values)).await
    }

    pub(super) async fn execute(&mut self, doing: &'static str, text: &str, values: &[Value]) -> Result<u64, Error> {
        self.statement(doing, |on| memory_value::execute(on, text, values)).await
    }

    pub(super) fn define(&mut self, doing: &'static str, text: &str) -> Result<(), Error> {
        self.memory.shared.meddle(text).map_err(|error| refused(doing, &error))
    }

    /// A lost answer leaves the caller in doubt of what is committed.
    pub(super) async fn commit(mut self, doing: &'static str) -> Result<(), Error> {
        self.call("ledger.commit", doing, Shared::commit).await
    }

    async fn statement<T>(
        &mut self,
        doing: &'static str,
        run: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        self.call("ledger.statement", doing, |shared| run(&shared.writer())).await
    }

    async fn call<T>(
        &mut self,
        call: &'static str,
        doing: &'static str,
        run: impl FnOnce(&Shared) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        if self.is_broken {
            return Err(unreachable(doing, Lost::Question));
        }
        let Memory { shared, weather, .. } = &self.memory;
        let answer = weather.around(call, || run(shared)).await;
        self.is_broken = answer.is_err();
        arrived(doing, answer)
    }
}

impl Drop for MemoryTx {
    fn drop(&mut self) {
        let rolled_back = self.memory.shared.roll_back();
        rolled_back.expect("a transaction in memory can always be rolled back");
    }
}

fn arrived<T>(doing: &'static str, answer: Result<rusqlite::Result<T>, Lost>) -> Result<T, Error> {
    answer
        .map_err(|lost| unreachable(doing, lost))?
        .map_err(|error| refused(doing, &error))
}

fn unreachable(doing: &'static str, lost: Lost) -> Error {
    let reason = match lost {
        Lost::Question => "the connection was lost before the question arrived",
        Lost::Answer => "the connection was lost before the answer arrived",
    };
    Error::Unreachable {
        doing,
        reason: reason.to_owned(),
    }
}

pub(crate) fn refused(doing: &'static str, error: &rusqlite::Error) -> Error {
    let code = error.sqlite_error().map_or(1, |it| it.extended_code);
    let reason = format!("{error} (code {code})");
    match class_of(&code.to_string()) {
        Class::Busy => Error::Busy { doing, reason },
        Class::Unreachable => Error::Unreachable { doing, reason },
        Class::Statement => Error::Statement { doing, reason },
    }
}
