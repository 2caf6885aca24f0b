//! Building statements whose names come from the configuration. The only place that hands text to the database as SQL.

use crate::map::{Ident, TableName};
use sqlx::AssertSqlSafe;

/// A value for a placeholder.
#[derive(Clone, Debug)]
pub(crate) enum Bind {
    Int(i64),
    Text(Option<String>),
    Texts(Vec<Option<String>>),
}

/// A statement in the making: fixed text, quoted names, and placeholders with their values.
#[derive(Default)]
pub(crate) struct Sql {
    text: String,
    binds: Vec<Bind>,
}

impl Sql {
    pub(crate) fn new(text: &'static str) -> Self {
        Self::default().then(text)
    }

    pub(crate) fn push(&mut self, text: &'static str) {
        self.text.push_str(text);
    }

    #[must_use]
    pub(crate) fn then(mut self, text: &'static str) -> Self {
        self.push(text);
        self
    }

    /// A quoted name.
    pub(crate) fn ident(&mut self, name: &Ident) {
        self.text.push_str(&name.quoted());
    }

    /// A quoted table.
    pub(crate) fn table(&mut self, name: &TableName) {
        self.text.push_str(&name.quoted());
    }

    /// A column of the table that has the alias `t`. Always qualified: see [`Ident::quoted`].
    pub(crate) fn column(&mut self, name: &Ident) {
        self.push("t.");
        self.ident(name);
    }

    /// A column of one of our own aliases: `c0`, `c1`, …
    pub(crate) fn slot(&mut self, alias: &'static str, at: usize) {
        self.text.push_str(alias);
        self.text.push_str(".c");
        self.text.push_str(&at.to_string());
    }

    /// Our own column name without alias.
    pub(crate) fn slot_name(&mut self, at: usize) {
        self.text.push('c');
        self.text.push_str(&at.to_string());
    }

    /// A small number of our own.
    pub(crate) fn number(&mut self, number: usize) {
        self.text.push_str(&number.to_string());
    }

    /// A whole number of the database's own.
    pub(crate) fn signed(&mut self, number: i32) {
        self.text.push_str(&number.to_string());
    }

    /// A placeholder and its value.
    pub(crate) fn bind(&mut self, value: Bind) {
        self.binds.push(value);
        self.text.push('$');
        self.text.push_str(&self.binds.len().to_string());
    }

    /// The parts between which `separator` stands.
    pub(crate) fn list<T>(
        &mut self,
        separator: &'static str,
        items: impl IntoIterator<Item = T>,
        mut each: impl FnMut(&mut Self, T),
    ) {
        for (at, item) in items.into_iter().enumerate() {
            if at > 0 {
                self.push(separator);
            }
            each(self, item);
        }
    }

    /// The finished statement. Sound, because the text consists of constants, quoted [`Ident`]s, numbers and placeholders.
    pub(crate) fn finish(self) -> (AssertSqlSafe<String>, Vec<Bind>) {
        (AssertSqlSafe(self.text), self.binds)
    }

    #[cfg(test)]
    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_name_stays_inside_its_quotes() {
        let mut sql = Sql::new("select 1 from ");
        sql.ident(&Ident::new("x\"; drop table y; --").unwrap());
        assert_eq!(sql.text(), "select 1 from \"x\"\"; drop table y; --\"");
    }
}
