//! The data map as data: which tables and columns hold a person, and what is to be done with each.

use super::{Name, TableName};
use erasure_protocol::{IdentifierKind, SubsystemName};
use std::collections::BTreeMap;
use std::fmt;

/// A place in the map's text. Both count from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The line.
    pub line: u32,
    /// The column, in characters.
    pub column: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// The whole data map, read and found free of contradictions. Only [`Map::parse`] makes one.
#[derive(Clone, Debug)]
pub struct Map {
    /// Counts up when somebody goes back to an older map on purpose: it takes part in every section's canonical bytes, so that
    /// an old map with a new number is a new map.
    pub revision: u64,
    /// The kinds of identifiers, and how values of each are compared.
    pub identifiers: BTreeMap<IdentifierKind, Comparison>,
    /// The part of each subsystem that works on a store.
    pub sections: BTreeMap<SubsystemName, Section>,
}

/// The part of the map that belongs to one subsystem.
#[derive(Clone, Debug)]
pub struct Section {
    /// The subsystem.
    pub subsystem: SubsystemName,
    /// The name of the store in the configuration.
    pub store: String,
    /// Tables of this store that hold no person, each with the reason; `map check` does not ask about them.
    pub without_people: BTreeMap<TableName, String>,
    /// The rules as written. Not the order to work in: that is [`Section::order`].
    pub rules: Vec<Rule>,
    /// Where the section begins.
    pub place: Place,
}

/// What is to be done with a person's rows in one table.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The rule's key in the map, unique in its section; the table's name unless `table` says otherwise.
    pub name: Name,
    /// The table. Two rules may name the same one.
    pub table: TableName,
    /// How the tenant is held apart.
    pub tenancy: Tenancy,
    /// How a person's rows are found.
    pub reach: Reach,
    /// The primary key's columns, if the map names them; empty means that the store's catalogue is asked.
    pub key: Vec<Name>,
    /// The identifiers that a row of this table yields, by kind: the column it stands in. Not empty only in rules that find
    /// people at intake.
    pub resolves: BTreeMap<IdentifierKind, Name>,
    /// Columns that hold personal data beyond those that match, for the look-up.
    pub personal: Vec<Name>,
    /// What erasing does.
    pub erase: Action,
    /// What hiding sets; empty when hiding leaves this table alone.
    pub hide: Vec<Change>,
    /// What taking the hiding back sets.
    pub restore: Vec<Change>,
    /// What deactivating sets.
    pub deactivate: Vec<Change>,
    /// What reactivating sets.
    pub reactivate: Vec<Change>,
    /// The row belongs to several people and goes only with the last of them.
    pub when_last: Option<WhenLast>,
    /// A count elsewhere that has to go down with each deleted row.
    pub counted_in: Option<CountedIn>,
    /// The column that names the segment which the row is a membership of.
    pub members_of: Option<Name>,
    /// When the row was created: rows younger than the request's acceptance belong to somebody new and are left alone.
    pub created: Option<Name>,
    /// At most this many rows in one statement and transaction, if the table is worked on in chunks.
    pub rows_at_once_max: Option<u32>,
    /// More rows than this for one subject stop it as a failure instead: a match that wide is more likely a mistake in the map.
    pub rows_per_subject_max: u32,
}

/// How a rule keeps one tenant's rows from another's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tenancy {
    /// By this column.
    Column(Name),
    /// The store holds one tenant only, says the map (`single_tenant = true`).
    Single,
    /// Through the parent's row, which was found within its tenant.
    Parent,
}

/// How a rule finds a person's rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reach {
    /// By the person's identifiers: a row that any of these matches. Never empty.
    Match(Vec<Alternative>),
    /// By the rows that another rule of the section found.
    Through(Through),
}

/// Columns that match together. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alternative {
    /// Each column with the kind of identifier that it is compared with, ordered by column.
    pub columns: Vec<(Name, IdentifierKind)>,
}

/// A child table reached through its parent, in the same store and transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Through {
    /// The parent's rule in the same section.
    pub rule: Name,
    /// The child's column and the parent's column it refers to. Never empty.
    pub on: Vec<(Name, Name)>,
}

/// The row is deleted only when no row of `table` refers to it any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WhenLast {
    /// The table whose rows own it, for example `participants`.
    pub table: TableName,
    /// The column there that refers to it, for example `account_id`.
    pub column: Name,
    /// The column here that is referred to: the one of the rule's only alternative.
    pub key: Name,
    /// The option of a request that keeps it nevertheless.
    pub unless: Option<KeepOption>,
}

/// An option of a request that keeps a row which nobody owns any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeepOption {
    /// `preserve_empty_account`.
    PreserveEmptyAccount,
}

/// A materialised count that goes down with each row removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CountedIn {
    /// The table that holds the count, for example `segments`.
    pub table: TableName,
    /// The count's column.
    pub column: Name,
    /// This table's column and the column there that it refers to. Never empty.
    pub on: Vec<(Name, Name)>,
}

/// What erasing does with a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Removes it.
    Delete,
    /// Keeps it, about nobody: sets columns to their final form. Never empty.
    Anonymise(Vec<Change>),
    /// Leaves it, under a legal ground.
    Keep {
        /// The ground, as support reads it.
        because: String,
        /// For how many days from the request's acceptance.
        for_days: u32,
    },
}

/// One column's new value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The column.
    pub column: Name,
    /// What it becomes.
    pub strategy: Strategy,
}

/// What a column becomes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// `null`.
    Null,
    /// The store's clock.
    Now,
    /// `null`, in a column that refers to the person: the row stays and points at nobody.
    Unlink,
    /// A keyed pseudonym of the old value: equal values stay equal, nobody without the key gets back.
    Pseudonym,
    /// This constant.
    Value(Constant),
    /// A date or time cut down to its day, month or year.
    Truncate(Unit),
}

/// A constant that the map writes into a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Constant {
    /// A text.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// True or false.
    Boolean(bool),
}

/// What a date is cut down to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// The day.
    Day,
    /// The month's first day.
    Month,
    /// The year's first day.
    Year,
}

/// How values of one kind of identifier are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// Byte by byte.
    Exact,
    /// Without regard to case.
    Lower,
    /// Without regard to case or blanks around it.
    TrimLower,
}

impl Rule {
    /// Where the rule begins.
    #[must_use]
    pub fn place(&self) -> Place {
        self.name.place()
    }
}
