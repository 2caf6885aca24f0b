//! The names that the data map gives to tables and columns, and the only way to put one into SQL.

use super::Place;
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;

/// A table's, column's or schema's name, exactly as the store spells it.
///
/// [`Ident::quoted`] is the only way to put a name into a statement.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ident(String);

impl Ident {
    /// The longest name, in bytes (PostgreSQL cuts longer ones off without an error).
    pub const LENGTH_MAX: usize = 63;

    /// Checks the name: 1 to 63 bytes, no control character; `None` otherwise.
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        let fits = !name.trim().is_empty() && name.len() <= Self::LENGTH_MAX && !name.chars().any(char::is_control);
        fits.then(|| Self(name.to_owned()))
    }

    /// The name as the store spells it, for comparing and for showing; never for a statement.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as SQL: in double quotes, quotes inside doubled (ISO 9075, understood by SQLite and PostgreSQL).
    ///
    /// SQLite reads a quoted name that no column has as a *text*, so that a dropped column would match nothing in silence.
    /// Always qualify a column with its table or alias (`t."column"`): then it is an error.
    #[must_use]
    pub fn quoted(&self) -> String {
        format!("\"{}\"", self.0.replace('"', "\"\""))
    }
}

impl fmt::Display for Ident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An [`Ident`] with the place in the map where it was written. Equality, order and hash ignore the place.
#[derive(Clone, Debug)]
pub struct Name {
    ident: Ident,
    place: Place,
}

impl Name {
    pub(super) fn new(ident: Ident, place: Place) -> Self {
        Self { ident, place }
    }

    /// The name itself.
    #[must_use]
    pub fn ident(&self) -> &Ident {
        &self.ident
    }

    /// Where it was written.
    #[must_use]
    pub fn place(&self) -> Place {
        self.place
    }
}

impl Deref for Name {
    type Target = Ident;
    fn deref(&self) -> &Ident {
        &self.ident
    }
}

impl PartialEq for Name {
    fn eq(&self, other: &Self) -> bool {
        self.ident == other.ident
    }
}

impl Eq for Name {}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Self) -> Ordering {
        self.ident.cmp(&other.ident)
    }
}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.ident.hash(state);
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.ident.fmt(f)
    }
}

/// A table: its name, and its schema where the map says `"schema.table"`. Without one the store's own search path decides.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableName {
    /// The schema, if the map names one.
    pub schema: Option<Ident>,
    /// The table within it.
    pub name: Ident,
}

impl TableName {
    /// Reads `table` or `schema.table`; `None` when a part is not a name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (schema, name) = match text.split_once('.') {
            Some((schema, name)) => (Some(Ident::new(schema)?), name),
            None => (None, text),
        };
        Some(Self {
            schema,
            name: Ident::new(name)?,
        })
    }

    /// The table as SQL, each part quoted.
    #[must_use]
    pub fn quoted(&self) -> String {
        match &self.schema {
            Some(schema) => format!("{}.{}", schema.quoted(), self.name.quoted()),
            None => self.name.quoted(),
        }
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.schema {
            Some(schema) => write!(f, "{schema}.{}", self.name),
            None => self.name.fmt(f),
        }
    }
}
