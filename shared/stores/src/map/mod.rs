//! The data map: which tables and columns of the customers' stores hold a person, and what to do with each.

mod catalog;
mod name;
mod types;

pub use catalog::{Catalog, Column, ForeignKey, Index, OnDelete, Table};
pub use name::{Ident, Name, TableName};
pub use types::{
    Action, Alternative, Change, Comparison, Constant, CountedIn, KeepOption, Map, Place, Reach, Rule, Section, Strategy,
    Tenancy, Through, Unit, WhenLast,
};
