//! A store's schema as plain data, as its engine reads it from the database.

use super::TableName;
use std::collections::BTreeMap;

/// The schemas of the stores that could be read, by the store's name in the configuration.
#[derive(Clone, Debug, Default)]
pub struct Catalog {
    /// Each store's tables. A store that is absent here is not checked, and that is reported.
    pub stores: BTreeMap<String, Vec<Table>>,
}

/// One table.
#[derive(Clone, Debug)]
pub struct Table {
    /// Its name; the schema only when the table is not on the store's search path.
    pub name: TableName,
    /// Its columns, in the store's order.
    pub columns: Vec<Column>,
    /// The primary key's columns, in the key's order; empty when it has none.
    pub primary_key: Vec<String>,
    /// Its indexes. The primary key's need not be among them.
    pub indexes: Vec<Index>,
    /// Its references to other tables.
    pub foreign_keys: Vec<ForeignKey>,
}

/// One column.
#[derive(Clone, Debug)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type as the store writes it.
    pub kind: String,
    /// Whether it may be null.
    pub nullable: bool,
}

/// One index.
#[derive(Clone, Debug)]
pub struct Index {
    /// Its parts in order: a column's name, or the text of an expression such as `lower(email)`.
    pub parts: Vec<String>,
    /// Whether it allows no duplicates.
    pub unique: bool,
}

/// One reference to another table.
#[derive(Clone, Debug)]
pub struct ForeignKey {
    /// The columns here.
    pub columns: Vec<String>,
    /// The table referred to, named as in [`Table::name`].
    pub table: TableName,
    /// The columns there.
    pub referred: Vec<String>,
    /// What deleting the row referred to does here.
    pub on_delete: OnDelete,
}

/// What a reference does when the row it points to is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDelete {
    /// It refuses (`no action`, `restrict`).
    Refuse,
    /// The referring row goes too.
    Cascade,
    /// The reference becomes null or its default.
    Clear,
}
