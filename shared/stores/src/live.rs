//! A table as it is in the database: its types decide how a value is bound and compared.

use crate::engine::Dialect;
use crate::map::{Comparison, Ident, Table, TableName};
use crate::sql::Sql;
use std::collections::BTreeMap;

/// A table and the types of its columns.
#[derive(Clone, Debug)]
pub(crate) struct LiveTable {
    pub(crate) table: Table,
    /// The schema it stands in, whether or not the search path leads there.
    pub(crate) schema: String,
    pub(crate) types: BTreeMap<String, TypeName>,
    /// Whether a hidden row id names each row (SQLite, unless the table has none).
    pub(crate) row_id: bool,
}

/// A type's name: the database's own for PostgreSQL; for SQLite the column's affinity, in the schema `sqlite`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TypeName {
    pub(crate) schema: String,
    pub(crate) name: String,
}

/// A column that is part of what names a row.
#[derive(Clone, Debug)]
pub(crate) struct KeyColumn {
    pub(crate) name: Ident,
    pub(crate) kind: TypeName,
}

impl LiveTable {
    pub(crate) fn empty(name: TableName, schema: &str) -> Self {
        Self {
            schema: schema.to_owned(),
            table: Table {
                name,
                columns: Vec::new(),
                primary_key: Vec::new(),
                indexes: Vec::new(),
                foreign_keys: Vec::new(),
            },
            types: BTreeMap::new(),
            row_id: false,
        }
    }

    pub(crate) fn kind(&self, column: &Ident) -> Option<&TypeName> {
        self.types.get(column.as_str())
    }

    /// What names a row: SQLite's row id, the primary key, or, in PostgreSQL and only for the length of one transaction, the
    /// row's physical place. A row that moves in that time is not changed; the read-back finds it, and it is tried again.
    pub(crate) fn key(&self, dialect: Dialect) -> Vec<KeyColumn> {
        let system = |name: &str, kind| Ident::new(name).map(|name| KeyColumn { name, kind });
        match dialect {
            Dialect::Sqlite if self.row_id && !self.types.contains_key("rowid") => {
                system("rowid", TypeName::of_sqlite("integer")).into_iter().collect()
            }
            Dialect::Postgres if self.table.primary_key.is_empty() => {
                let place = [("tableoid", "oid"), ("ctid", "tid")].map(|(name, kind)| system(name, TypeName::of_postgres(kind)));
                place.into_iter().flatten().collect()
            }
            Dialect::Sqlite | Dialect::Postgres => self
                .table
                .primary_key
                .iter()
                .filter_map(|name| {
                    let name = Ident::new(name)?;
                    let kind = self.kind(&name)?.clone();
                    Some(KeyColumn { name, kind })
                })
                .collect(),
        }
    }

    /// Whether [`Self::key`] still names the row after the transaction.
    pub(crate) fn key_lasts(&self, dialect: Dialect) -> bool {
        match dialect {
            Dialect::Postgres => !self.table.primary_key.is_empty(),
            Dialect::Sqlite => true,
        }
    }
}

impl TypeName {
    pub(crate) fn of_postgres(name: &str) -> Self {
        Self {
            schema: "pg_catalog".to_owned(),
            name: name.to_owned(),
        }
    }

    /// The affinity of a declared type: sqlite.org/datatype3.html, section 3.1.
    pub(crate) fn of_sqlite(declared: &str) -> Self {
        let declared = declared.to_ascii_uppercase();
        let has = |part: &str| declared.contains(part);
        let affinity = if has("INT") {
            "integer"
        } else if has("CHAR") || has("CLOB") || has("TEXT") {
            "text"
        } else if declared.is_empty() || has("BLOB") {
            "blob"
        } else {
            "numeric"
        };
        Self {
            schema: "sqlite".to_owned(),
            name: affinity.to_owned(),
        }
    }

    fn class(&self) -> Class {
        match (self.schema.as_str(), self.name.as_str()) {
            ("pg_catalog", "int2") => Class::Int(i64::from(i16::MIN), i64::from(i16::MAX)),
            ("pg_catalog", "int4") => Class::Int(i64::from(i32::MIN), i64::from(i32::MAX)),
            ("pg_catalog", "int8") => Class::Int(i64::MIN, i64::MAX),
            ("pg_catalog", "uuid") => Class::Uuid,
            ("pg_catalog", "numeric") => Class::Numeric,
            ("pg_catalog", "text" | "varchar" | "bpchar" | "name" | "oid" | "tid") | (_, "citext") => Class::Text,
            ("sqlite", "integer" | "numeric") => Class::LooseNumber,
            ("sqlite", _) => Class::Text,
            _ => Class::Foreign,
        }
    }

    /// The value in the form in which it is bound for this type; `None` when no such value can stand in the column.
    pub(crate) fn fit(&self, value: &str) -> Option<String> {
        if value.contains('\0') {
            return None;
        }
        let as_is = || Some(value.to_owned());
        match self.class() {
            Class::Int(min, max) => {
                let number: i64 = value.parse().ok()?;
                (min..=max).contains(&number).then(|| number.to_string())
            }
            Class::Uuid => {
                let digits: Vec<u8> = value.bytes().filter(|byte| *byte != b'-').collect();
                (digits.len() == 32 && digits.iter().all(u8::is_ascii_hexdigit))
                    .then(|| value.to_ascii_lowercase())
                    .filter(|uuid| uuid.len() == 32 || hyphened(uuid))
            }
            Class::Numeric => {
                let digits = value.strip_prefix('-').unwrap_or(value);
                let mut parts = digits.splitn(2, '.');
                let whole = |part: &str| !part.is_empty() && part.len() <= 100 && part.bytes().all(|b| b.is_ascii_digit());
                (parts.next().is_some_and(whole) && parts.next().is_none_or(whole)).then(|| value.to_owned())
            }
            // SQLite turns a text that looks like a number into one, in its own way ("7.0", "1e2", " 7"): only plain ones pass.
            Class::LooseNumber => match value.parse::<i64>() {
                Ok(number) => Some(number.to_string()),
                Err(_) if value.trim().parse::<f64>().is_ok() => None,
                Err(_) => as_is(),
            },
            Class::Text | Class::Foreign => as_is(),
        }
    }

    /// Whether text can be written into it as it is.
    pub(crate) fn is_text(&self) -> bool {
        matches!(self.class(), Class::Text)
    }

    /// Whether it is PostgreSQL's `uuid`.
    pub(crate) fn is_uuid(&self) -> bool {
        matches!(self.class(), Class::Uuid)
    }

    /// A text expression, cast to this type.
    pub(crate) fn cast(&self, sql: &mut Sql, expression: impl FnOnce(&mut Sql)) {
        let names = (Ident::new(&self.schema), Ident::new(&self.name));
        match (self.schema.as_str(), names) {
            ("sqlite", _) | (_, (None, _) | (_, None)) => expression(sql),
            (_, (Some(schema), Some(name))) => {
                sql.push("(");
                expression(sql);
                sql.push(")::");
                sql.ident(&schema);
                sql.push(".");
                sql.ident(&name);
            }
        }
    }

    /// The condition that the column equals the text expression, as this kind of identifier is compared. The store's own
    /// `lower` on both sides: two implementations would disagree beyond ASCII.
    pub(crate) fn equals(
        &self,
        sql: &mut Sql,
        dialect: Dialect,
        how: Comparison,
        column: impl Fn(&mut Sql),
        value: impl Fn(&mut Sql),
    ) {
        let folded = |sql: &mut Sql, open: &'static str, close: &'static str| {
            sql.push(open);
            dialect.as_text(sql, &column);
            sql.push(close);
            sql.push(" = ");
            sql.push(open);
            value(sql);
            sql.push(close);
        };
        match (how, self.class()) {
            (Comparison::Lower | Comparison::TrimLower, Class::Text | Class::Foreign) => folded(sql, "lower(", ")"),
            (Comparison::Exact, Class::Foreign) => folded(sql, "", ""),
            // Of a number or a UUID there is one form only.
            (
                Comparison::Exact | Comparison::Lower | Comparison::TrimLower,
                Class::Int(..) | Class::Uuid | Class::Numeric | Class::LooseNumber | Class::Text,
            ) => {
                column(sql);
                sql.push(" = ");
                self.cast(sql, value);
            }
        }
    }
}

enum Class {
    Int(i64, i64),
    Uuid,
    Numeric,
    LooseNumber,
    Text,
    /// Any other: compared as text.
    Foreign,
}

fn hyphened(uuid: &str) -> bool {
    uuid.len() == 36 && [8, 13, 18, 23].iter().all(|at| uuid.as_bytes()[*at] == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_stand_in_the_column_matches_nothing() {
        let bigint = TypeName::of_postgres("int8");
        assert_eq!(bigint.fit("abc"), None);
        assert_eq!(bigint.fit("9223372036854775808"), None);
        assert_eq!(bigint.fit("007").as_deref(), Some("7"));
        assert_eq!(TypeName::of_postgres("int2").fit("40000"), None);
        let uuid = TypeName::of_postgres("uuid");
        assert_eq!(uuid.fit("not-a-uuid"), None);
        assert_eq!(uuid.fit("6e1c9d8a-2f544a0b9a4e35f270c1e7aa"), None);
        assert!(uuid.fit("6E1C9D8A-2F54-4A0B-9A4E-35F270C1E7AA").is_some());
        assert_eq!(TypeName::of_postgres("text").fit("a\0b"), None);
        assert_eq!(TypeName::of_postgres("numeric").fit("1e5"), None);
    }

    #[test]
    fn sqlite_is_not_left_to_read_numbers_in_its_own_way() {
        let integer = TypeName::of_sqlite("BIGINT");
        assert_eq!(integer.fit("1e2"), None);
        assert_eq!(integer.fit(" 7"), None);
        assert_eq!(integer.fit("7").as_deref(), Some("7"));
        assert_eq!(integer.fit("u-7").as_deref(), Some("u-7"));
    }
}
