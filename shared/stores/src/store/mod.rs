//! A store as one subsystem sees it: its section of the map, and the verbs over it.

mod apply;
mod batch;
mod find;
mod hold;
mod members;
mod perform;
mod readback;
mod resolve;

pub use find::FindMode;
pub use perform::Pace;

use crate::config::StoreConfig;
use crate::engine::{self, Dialect, Engine, OpenError, Session};
use crate::fault;
use crate::live::{LiveTable, TypeName};
use crate::map::{Catalog, Change, Ident, Map, Rule, Section, TableName, Tenancy};
use crate::sql::Sql;
use crate::statement::Target;
use erasure_protocol::{EvidenceKey, Fault, FaultClass, FaultCode, SubsystemName};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// Why the stores of a configuration cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A store's address is of no use. Nothing was connected to.
    #[error("store {store}: {why}")]
    Address {
        /// The store's name in the configuration.
        store: String,
        /// What is wrong with it, without the address, which may hold a password.
        why: String,
    },
    /// The map sends a subsystem to a store that the configuration does not name.
    #[error("subsystem {subsystem} is on the store {store}, which the configuration does not name")]
    NoSuchStore {
        /// The subsystem.
        subsystem: SubsystemName,
        /// The store's name in the map.
        store: String,
    },
    /// The map has no section for a subsystem.
    #[error("the data map has no section for the subsystem {0}")]
    NoSection(SubsystemName),
}

/// All stores of a configuration, by name. Connects when first used, so that roles start in any order.
#[derive(Clone)]
pub struct Stores(Arc<BTreeMap<String, Arc<Opened>>>);

struct Opened {
    engine: Arc<dyn Engine>,
    schema: Mutex<Option<Arc<Schema>>>,
}

/// The tables of one store, as last seen.
struct Schema(Vec<LiveTable>);

impl Stores {
    /// Sets up the pools, without connecting yet.
    ///
    /// # Errors
    /// When an address cannot be read or understood.
    pub fn open(configs: &BTreeMap<String, StoreConfig>) -> Result<Self, Error> {
        let open = |(name, config): (&String, &StoreConfig)| {
            let engine = engine::open(config).map_err(|error| Error::Address {
                store: name.clone(),
                why: match &error {
                    OpenError::File(source) => format!("{error}: {source}"),
                    OpenError::Scheme | OpenError::Address => error.to_string(),
                },
            })?;
            let schema = Mutex::new(None);
            Ok((name.clone(), Arc::new(Opened { engine, schema })))
        };
        Ok(Self(Arc::new(configs.iter().map(open).collect::<Result<_, _>>()?)))
    }

    /// The store of one subsystem, to work on by its section of the map. `pseudonym_key` keys the pseudonyms.
    ///
    /// # Errors
    /// When the map has no such section, or the section names no store of these.
    pub fn store(&self, map: &Arc<Map>, subsystem: &SubsystemName, pseudonym_key: [u8; 32]) -> Result<Store, Error> {
        let section = map
            .sections
            .get(subsystem)
            .ok_or_else(|| Error::NoSection(subsystem.clone()))?;
        let opened = self.0.get(&section.store).ok_or_else(|| Error::NoSuchStore {
            subsystem: subsystem.clone(),
            store: section.store.clone(),
        })?;
        Ok(Store {
            name: section.store.clone(),
            map: Arc::clone(map),
            subsystem: subsystem.clone(),
            opened: Arc::clone(opened),
            pseudonym_key,
        })
    }

    /// The schemas of the stores that can be read now, for `Map::check`, and the faults of those that cannot.
    pub async fn catalog(&self) -> (Catalog, Vec<Fault>) {
        let (mut catalog, mut faults) = (Catalog::default(), Vec::new());
        for (name, opened) in self.0.iter() {
            match opened.engine.tables().await {
                Ok(tables) => {
                    let tables = tables.into_iter().map(|live| live.table).collect();
                    catalog.stores.insert(name.clone(), tables);
                }
                Err(error) => faults.push(fault::fault(&error, name)),
            }
        }
        (catalog, faults)
    }
}

impl std::fmt::Debug for Stores {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// One subsystem's store and section of the map. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    name: String,
    map: Arc<Map>,
    subsystem: SubsystemName,
    opened: Arc<Opened>,
    pseudonym_key: [u8; 32],
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Store({} on {})", self.subsystem, self.name)
    }
}

impl Store {
    /// The store's name in the configuration.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The data map.
    #[must_use]
    pub fn map(&self) -> &Map {
        &self.map
    }

    /// What evidence is bound to: the store's identity and timeline as they are now, and this section of the map.
    ///
    /// # Errors
    /// With the store's fault when it cannot be asked.
    pub async fn evidence(&self) -> Result<EvidenceKey, Fault> {
        let identity = self
            .opened
            .engine
            .identity()
            .await
            .map_err(|error| fault::fault(&error, &self.name))?;
        let section = self.map.canonical_bytes(&self.subsystem).unwrap_or_default();
        let mut parts: Vec<&[u8]> = identity.iter().map(Vec::as_slice).collect();
        parts.push(&section);
        Ok(EvidenceKey(erasure_privacy::digest16(&parts)))
    }

    /// The part of [`Self::evidence`] that is known without the store: a digest of this section of the map.
    #[must_use]
    pub fn map_digest(&self) -> [u8; 16] {
        erasure_privacy::digest16(&[&self.map.canonical_bytes(&self.subsystem).unwrap_or_default()])
    }

    fn section(&self) -> &Section {
        self.map
            .sections
            .get(&self.subsystem)
            .expect("Stores::store made this store from the map's section, and the map never changes")
    }

    fn dialect(&self) -> Dialect {
        self.opened.engine.dialect()
    }

    fn source(&self, table: &TableName) -> String {
        format!("{}.{table}", self.name)
    }

    /// The rules' tables as they are in the database; looked at again after a fault that a changed schema may have caused.
    async fn schema(&self) -> Result<Arc<Schema>, Fault> {
        let known = self.opened.schema.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(schema) = known.filter(|schema| self.missing(schema).is_none()) {
            return Ok(schema);
        }
        let tables = self
            .opened
            .engine
            .tables()
            .await
            .map_err(|error| fault::fault(&error, &self.name))?;
        let schema = Arc::new(Schema(tables));
        if let Some(fault) = self.missing(&schema) {
            return Err(fault);
        }
        *self.opened.schema.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&schema));
        Ok(schema)
    }

    /// The fault of the first table or column that the section names and the database does not have.
    fn missing(&self, schema: &Schema) -> Option<Fault> {
        self.section().rules.iter().find_map(|rule| {
            named(rule).into_iter().find_map(|(table, columns)| {
                let Some(live) = schema.table(table) else {
                    return Some(fault::of(FaultCode::TableMissing, &self.source(table)));
                };
                let missing = columns.into_iter().find(|column| live.kind(column).is_none())?;
                Some(fault::of(
                    FaultCode::ColumnMissing,
                    &format!("{}.{missing}", self.source(table)),
                ))
            })
        })
    }

    /// Forgets the schema after a fault that a restored table would cure.
    fn noted(&self, fault: Fault) -> Fault {
        if fault.class == FaultClass::Permanent {
            *self.opened.schema.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
        fault
    }

    async fn begin(&self, access: engine::Access) -> Result<Box<dyn Session>, Fault> {
        let begun = self.opened.engine.begin(access).await;
        begun.map_err(|error| self.noted(fault::fault(&error, &self.name)))
    }

    async fn fetch(&self, session: &mut dyn Session, table: &TableName, sql: Sql) -> Result<Vec<engine::Row>, Fault> {
        let rows = session.fetch(sql).await;
        rows.map_err(|error| self.noted(fault::fault(&error, &self.source(table))))
    }

    fn target<'a>(&self, schema: &Schema, rule: &'a Rule) -> Target<'a> {
        let live = schema.table(&rule.table);
        let tenant = match &rule.tenancy {
            Tenancy::Column(column) => live
                .and_then(|live| live.kind(column))
                .map(|kind| (column.ident().clone(), kind.clone())),
            Tenancy::Single | Tenancy::Parent => None,
        };
        Target {
            dialect: self.dialect(),
            table: &rule.table,
            key: live.map(|live| live.key(self.dialect())).unwrap_or_default(),
            tenant,
        }
    }
}

impl Schema {
    fn table(&self, name: &TableName) -> Option<&LiveTable> {
        self.0.iter().find(|live| {
            live.table.name.name == name.name
                && match &name.schema {
                    Some(schema) => live.schema == schema.as_str(),
                    None => live.table.name.schema.is_none(),
                }
        })
    }

    fn kind(&self, table: &TableName, column: &Ident) -> TypeName {
        let kind = self.table(table).and_then(|live| live.kind(column));
        // `Store::missing` has refused a section whose columns are not all there.
        kind.cloned().unwrap_or_else(|| TypeName::of_postgres("text"))
    }

    fn typed(&self, rule: &Rule, changes: &[Change]) -> Vec<(Change, TypeName)> {
        let typed = |change: &Change| (change.clone(), self.kind(&rule.table, &change.column));
        changes.iter().map(typed).collect()
    }
}

/// Every table and column that a rule names.
fn named(rule: &Rule) -> Vec<(&TableName, Vec<&Ident>)> {
    use crate::map::{Action, Reach};
    let mut own: Vec<&Ident> = rule.resolves.values().map(|name| name.ident()).collect();
    own.extend(
        rule.personal
            .iter()
            .chain(&rule.members_of)
            .chain(&rule.created)
            .map(|name| name.ident()),
    );
    if let Tenancy::Column(column) = &rule.tenancy {
        own.push(column);
    }
    match &rule.reach {
        Reach::Match(alternatives) => own.extend(alternatives.iter().flat_map(|it| &it.columns).map(|(name, _)| name.ident())),
        Reach::Through(through) => own.extend(through.on.iter().map(|(child, _)| child.ident())),
    }
    let erase: &[Change] = match &rule.erase {
        Action::Anonymise(changes) => changes,
        Action::Delete | Action::Keep { .. } => &[],
    };
    let sets = [erase, &rule.hide, &rule.restore, &rule.deactivate, &rule.reactivate];
    own.extend(sets.into_iter().flatten().map(|change| change.column.ident()));
    let mut all = Vec::new();
    if let Some(last) = &rule.when_last {
        own.push(&last.key);
        all.push((&last.table, vec![last.column.ident()]));
    }
    if let Some(counted) = &rule.counted_in {
        own.extend(counted.on.iter().map(|(here, _)| here.ident()));
        let there = counted.on.iter().map(|(_, there)| there.ident());
        all.push((&counted.table, there.chain([counted.column.ident()]).collect()));
    }
    all.push((&rule.table, own));
    all
}
