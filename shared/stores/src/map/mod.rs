//! The data map: which tables and columns of the customers' stores hold a person, and what to do with each.

mod canonical;
mod catalog;
mod check;
mod consistency;
mod name;
mod normalise;
mod order;
mod parse;
mod personal;
mod problem;
mod raw;
mod read;
mod suggest;
mod types;

pub use catalog::{Catalog, Column, ForeignKey, Index, OnDelete, Table};
pub use check::check;
pub use name::{Ident, Name, TableName};
pub use parse::MAP_BYTES_MAX;
pub use problem::{Code, Problem, Refused, Severity};
pub use types::{
    Action, Alternative, Change, Comparison, Constant, CountedIn, KeepOption, Map, Place, Reach, Rule, Section, Strategy,
    Tenancy, Through, Unit, WhenLast,
};

#[cfg(test)]
mod tests;
