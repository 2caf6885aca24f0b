//! The ledger as a process holds it.

use crate::config::Place;
use crate::migrate::check;
use crate::sql::{Pool, Row, Tx, Value, args, of_these, open_postgres, open_sqlite};
use crate::{Access, Config, Error};
use erasure_protocol::{LedgerId, Millis, RequestKey};
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::{Mutex, MutexGuard};

/// The ledger, opened. Cheap to clone; all clones share the connections.
#[derive(Clone)]
pub struct Ledger {
    pool: Pool,
    id: LedgerId,
    /// Bulk work stands in line here first, so that at most one piece of it is ahead of a single one at SQLite's one writer.
    bulk: Arc<Mutex<()>>,
    _lock: Option<Arc<WriteLock>>,
}

impl Ledger {
    /// Opens the ledger and checks that its schema fits: exactly this version's, or one newer (so that one version back runs on
    /// the newer schema).
    ///
    /// # Errors
    /// When the database cannot be reached, the schema is missing, too old or too new, or, on SQLite, another process writes.
    pub async fn open(config: &Config, access: Access) -> Result<Self, Error> {
        let (pool, lock) = match config.place()? {
            Place::Sqlite(path) => {
                if !path.exists() {
                    return Err(Error::SchemaMissing { place: config.shown() });
                }
                let lock = match access {
                    Access::Read => None,
                    Access::Write => Some(Arc::new(WriteLock::take(&path)?)),
                };
                (open_sqlite(config, &path, access).await?, lock)
            }
            Place::Postgres(url) => (open_postgres(config, &url, access).await?, None),
        };
        let id = check(config, &pool).await?;
        Ok(Self {
            pool,
            id,
            bulk: Arc::default(),
            _lock: lock,
        })
    }

    /// The ledger over a pool that was checked.
    #[cfg(feature = "double")]
    pub(crate) fn over(pool: Pool, id: LedgerId) -> Self {
        Self {
            pool,
            id,
            bulk: Arc::default(),
            _lock: None,
        }
    }

    /// The ledger's id, made by the first migration.
    #[must_use]
    pub fn id(&self) -> LedgerId {
        self.id
    }

    /// The database's clock. On SQLite that is this machine's.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn now(&self) -> Result<Millis, Error> {
        let text = match &self.pool {
            #[cfg(feature = "double")]
            Pool::Memory(memory) => return memory.now("reading the clock").await,
            Pool::Sqlite { .. } => "SELECT CAST(unixepoch('subsec') * 1000 AS INTEGER)",
            Pool::Postgres(_) => "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)",
        };
        self.one("reading the clock", text, args![])
            .await?
            .ok_or(Error::Damaged("the clock"))?
            .millis(0)
    }

    /// The sequence that every accepting transaction raises. Below a mark that the tracker has seen, this is a ledger that was
    /// set back.
    ///
    /// # Errors
    /// When the database cannot be reached.
    pub async fn seq(&self) -> Result<u64, Error> {
        let row = self
            .one("reading the sequence", "SELECT seq FROM ledger_meta", args![])
            .await?;
        row.ok_or(Error::Damaged("the sequence"))?.number(0)
    }

    /// Ends all connections. The next process may write once every clone is dropped.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    pub(crate) fn pool(&self) -> &Pool {
        &self.pool
    }

    pub(crate) async fn begin(&self, doing: &'static str) -> Result<Tx, Error> {
        self.pool.begin(doing).await
    }

    pub(crate) async fn bulk_turn(&self) -> MutexGuard<'_, ()> {
        self.bulk.lock().await
    }

    pub(crate) async fn rows(&self, doing: &'static str, text: &'static str, values: Vec<Value>) -> Result<Vec<Row>, Error> {
        self.pool.query(doing, text, values).await
    }

    /// Runs a reading statement over these keys: see [`of_these`].
    pub(crate) async fn rows_of<K: Clone + Into<Value>>(
        &self,
        doing: &'static str,
        text: &'static str,
        first: &[Value],
        keys: &[K],
    ) -> Result<Vec<Row>, Error> {
        let statements = of_these(self.pool.is_sqlite(), text, first, keys)?;
        self.pool.query_each(doing, statements).await
    }

    pub(crate) async fn one(&self, doing: &'static str, text: &'static str, values: Vec<Value>) -> Result<Option<Row>, Error> {
        Ok(self.rows(doing, text, values).await?.into_iter().next())
    }
}

impl std::fmt::Debug for Ledger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ledger({})", self.id)
    }
}

/// Where a page by request begins: after this one.
pub(crate) fn after_key(after: Option<RequestKey>) -> Value {
    // Nothing sorts before no bytes.
    after.map_or_else(|| Value::from(Vec::new()), Value::from)
}

/// The lock that keeps a second process from writing a SQLite ledger. The system lets go of it when the process ends, however.
#[derive(Debug)]
pub(crate) struct WriteLock(#[expect(dead_code, reason = "held, never read")] File);

impl WriteLock {
    pub(crate) fn take(ledger: &Path) -> Result<Self, Error> {
        let mut name = ledger.as_os_str().to_owned();
        name.push(".lock");
        let path = PathBuf::from(name);
        let open = File::options().create(true).append(true).open(&path);
        let file = open.map_err(|source| Error::File {
            doing: "open",
            path: path.clone(),
            source,
        })?;
        match file.try_lock() {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(Error::Locked { path: ledger.to_owned() }),
            Err(TryLockError::Error(source)) => Err(Error::File {
                doing: "lock",
                path,
                source,
            }),
        }
    }
}
