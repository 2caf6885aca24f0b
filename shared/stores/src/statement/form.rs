//! The forms that strategies give to columns, and how a row that is not in its final form yet is told.

use super::Target;
use crate::engine::Dialect;
use crate::live::TypeName;
use crate::map::{Change, Constant, Ident, Strategy, Unit};
use crate::sql::{Bind, Sql};

impl Target<'_> {
    /// Whether some column is not in its final form. Of nothing to change, everything is open: the row itself is to go.
    pub(super) fn open(&self, sql: &mut Sql, changes: &[(Change, TypeName)]) {
        if changes.is_empty() {
            return sql.push("1 = 1");
        }
        sql.push("(");
        sql.list(" or ", changes, |sql, (change, kind)| {
            sql.column(&change.column);
            match &change.strategy {
                Strategy::Null | Strategy::Unlink => sql.push(" is not null"),
                Strategy::Now => sql.push(" is null"),
                Strategy::Value(_) | Strategy::Truncate(_) => {
                    sql.push(" is distinct from ");
                    self.value(sql, change, kind, &mut 0);
                }
                Strategy::Pseudonym => {
                    sql.push(" is not null and not ");
                    self.dialect.as_text(sql, |sql| sql.column(&change.column));
                    sql.push(if kind.is_uuid() {
                        " like '________-____-8%'"
                    } else {
                        " like 'anon-________________________________'"
                    });
                }
            }
        });
        sql.push(")");
    }

    pub(super) fn value(&self, sql: &mut Sql, change: &Change, kind: &TypeName, slot: &mut usize) {
        match &change.strategy {
            Strategy::Null | Strategy::Unlink => sql.push("null"),
            Strategy::Now => sql.push(match (self.dialect, kind.name.as_str()) {
                (Dialect::Postgres, _) => "now()",
                (Dialect::Sqlite, "integer") => "unixepoch()",
                (Dialect::Sqlite, _) => "datetime('now')",
            }),
            Strategy::Value(constant) => match (self.dialect, constant) {
                (Dialect::Sqlite, Constant::Integer(number)) => sql.bind(Bind::Int(*number)),
                (Dialect::Sqlite, Constant::Boolean(yes)) => sql.bind(Bind::Int(i64::from(*yes))),
                (Dialect::Sqlite, Constant::Text(text)) => sql.bind(Bind::Text(Some(text.clone()))),
                (Dialect::Postgres, constant) => {
                    let text = match constant {
                        Constant::Text(text) => text.clone(),
                        Constant::Integer(number) => number.to_string(),
                        Constant::Boolean(yes) => yes.to_string(),
                    };
                    kind.cast(sql, |sql| {
                        sql.bind(Bind::Text(Some(text)));
                        sql.push("::text");
                    });
                }
            },
            Strategy::Pseudonym => {
                kind.cast(sql, |sql| sql.slot("s", *slot));
                *slot += 1;
            }
            Strategy::Truncate(unit) => self.truncated(sql, &change.column, kind, *unit),
        }
    }

    fn truncated(&self, sql: &mut Sql, column: &Ident, kind: &TypeName, unit: Unit) {
        match self.dialect {
            Dialect::Postgres => {
                sql.push(match unit {
                    Unit::Day => "date_trunc('day', ",
                    Unit::Month => "date_trunc('month', ",
                    Unit::Year => "date_trunc('year', ",
                });
                sql.column(column);
                sql.push(match kind.name.as_str() {
                    "timestamptz" => ", 'UTC')",
                    "date" => "::timestamp)::date",
                    _ => "::timestamp)",
                });
            }
            Dialect::Sqlite => {
                sql.push(match unit {
                    Unit::Day => "strftime('%Y-%m-%d', ",
                    Unit::Month => "strftime('%Y-%m-01', ",
                    Unit::Year => "strftime('%Y-01-01', ",
                });
                sql.column(column);
                sql.push(")");
            }
        }
    }
}
