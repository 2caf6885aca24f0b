//! The statements. Each works on a whole batch, and says of each row which subjects (ordinals) it belongs to.
//!
//! All begin alike: the batch's identifiers as rows of text, one set for each alternative, joined to the table one by one and
//! united (never `or`, which makes the database look at every row for every subject).

mod form;

use crate::engine::{Dialect, Row};
use crate::live::{KeyColumn, TypeName};
use crate::map::{Change, Comparison, Ident, Strategy, TableName, WhenLast};
use crate::sql::Sql;

/// How many rows of one subject and rule a look-up shows.
pub(crate) const ROWS_SHOWN_MAX: usize = 20;

/// The slot in which every row of a batch carries its subject's ordinal.
const ORDINAL: usize = 0;

/// The table of a rule, and what names its rows.
pub(crate) struct Target<'a> {
    pub(crate) dialect: Dialect,
    pub(crate) table: &'a TableName,
    pub(crate) key: Vec<KeyColumn>,
    /// The tenant's column, when the rule has one.
    pub(crate) tenant: Option<(Ident, TypeName)>,
}

/// One way to reach rows: conditions that hold together, and the values to compare with. Slot 0 is the ordinal.
pub(crate) struct Branch {
    pub(crate) conditions: Vec<Condition>,
    /// Rows created after the moment in this slot are somebody else's.
    pub(crate) created: Option<(Ident, TypeName, usize)>,
    pub(crate) width: usize,
    pub(crate) rows: Vec<Row>,
}

/// A column compared with a slot.
pub(crate) struct Condition {
    pub(crate) column: Ident,
    pub(crate) kind: TypeName,
    pub(crate) how: Comparison,
    pub(crate) slot: usize,
}

/// Which of the rows reached are meant.
#[derive(Clone, Copy, Default)]
pub(crate) struct Filter<'a> {
    /// Only those of which some column is not in its final form.
    pub(crate) open: Option<&'a [(Change, TypeName)]>,
    /// Only those that nobody owns any more.
    pub(crate) ownerless: Option<&'a WhenLast>,
}

impl Target<'_> {
    /// Ordinal, key, the wanted columns, and whether some column is not in its final form ('1' or '0'). The same twice where two values
    /// of a subject are one to the column.
    pub(crate) fn hold(
        &self,
        branches: &[Branch],
        columns: &[Ident],
        changes: &[(Change, TypeName)],
        filter: Filter<'_>,
        lock: bool,
        limit: Option<usize>,
    ) -> Sql {
        let mut sql = self.met(branches);
        sql.push(" select ");
        ordinal(&mut sql, branches);
        for key in &self.key {
            sql.push(", ");
            self.dialect.as_text(&mut sql, |sql| sql.column(&key.name));
        }
        for column in columns {
            sql.push(", ");
            self.dialect.as_text(&mut sql, |sql| sql.column(column));
        }
        sql.push(", case when ");
        self.open(&mut sql, changes);
        sql.push(" then '1' else '0' end");
        self.join_met(&mut sql, branches, filter);
        self.in_order(&mut sql, limit, lock);
        sql
    }

    /// Ordinal and count, for those that have any.
    pub(crate) fn count(&self, branches: &[Branch], filter: Filter<'_>) -> Sql {
        let mut sql = self.reach(branches);
        sql.push(" select h.o, ");
        self.dialect.as_text(&mut sql, |sql| sql.push("count(*)"));
        self.reached(&mut sql, filter);
        sql.push(" group by h.o");
        sql
    }

    /// Ordinal and the wanted columns of the first rows of each.
    pub(crate) fn show(&self, branches: &[Branch], columns: &[Ident], filter: Filter<'_>) -> Sql {
        let mut sql = self.reach(branches);
        sql.push(", x as (select h.o as o");
        for (at, column) in columns.iter().enumerate() {
            sql.push(", ");
            self.readable(&mut sql, column);
            sql.push(" as ");
            sql.slot_name(at);
        }
        sql.push(", row_number() over (partition by h.o order by ");
        sql.list(", ", 0..self.key.len(), |sql, at| sql.slot("h", at));
        sql.push(") as n");
        self.reached(&mut sql, filter);
        sql.push(") select x.o");
        for at in 0..columns.len() {
            sql.push(", ");
            sql.slot("x", at);
        }
        sql.push(" from x where x.n <= ");
        sql.number(ROWS_SHOWN_MAX);
        sql
    }

    /// Deletes rows by key (the slots), and, last, tenant. Returns the keys that went, and the wanted columns of each.
    pub(crate) fn delete(&self, rows: &[Row], columns: &[Ident], ownerless: Option<&WhenLast>) -> Sql {
        let mut sql = self.keys(rows, 0);
        sql.push(" delete from ");
        sql.table(self.table);
        match self.dialect {
            Dialect::Postgres => {
                sql.push(" as t using s0 as s where ");
                self.by_key(&mut sql);
            }
            Dialect::Sqlite => {
                sql.push(" as t where (");
                sql.list(", ", &self.key, |sql, key| sql.column(&key.name));
                sql.push(") in (select ");
                sql.list(", ", 0..self.key.len(), |sql, at| sql.slot("s", at));
                sql.push(" from s0 as s)");
                if let Some((tenant, _)) = &self.tenant {
                    sql.push(" and ");
                    sql.column(tenant);
                    sql.push(" in (select ");
                    sql.slot("s", self.key.len());
                    sql.push(" from s0 as s)");
                }
            }
        }
        if let Some(last) = ownerless {
            sql.push(" and ");
            nobody_owns(&mut sql, last);
        }
        self.returning(&mut sql, columns);
        sql
    }

    /// Holds rows as [`Self::hold`] does and deletes them, in one statement. Ordinal, how many rows were held, how many went: the two
    /// differ where people share rows, and then nobody knows whose they were. Only where [`Dialect::takes`].
    pub(crate) fn take(&self, branches: &[Branch], limit: Option<usize>) -> Sql {
        let mut sql = self.met(branches);
        sql.push(", l(o");
        for at in 0..self.key.len() {
            sql.push(", ");
            sql.slot_name(at);
        }
        sql.push(") as materialized (select ");
        ordinal(&mut sql, branches);
        for key in &self.key {
            sql.push(", ");
            sql.column(&key.name);
        }
        self.join_met(&mut sql, branches, Filter::default());
        self.in_order(&mut sql, limit, true);
        sql.push("), d(o) as (delete from ");
        sql.table(self.table);
        sql.push(" as t using l where ");
        sql.list(" and ", self.key.iter().enumerate(), |sql, (at, key)| {
            sql.column(&key.name);
            sql.push(" = ");
            sql.slot("l", at);
        });
        // No join of the two: what is not a table has no statistics, and would be compared row by row.
        sql.push(" returning l.o) select x.o, sum(x.held)::text, sum(x.gone)::text from (select l.o, count(*) as held, 0 as gone from l group by l.o ");
        sql.push("union all select d.o, 0, count(*) from d group by d.o) as x group by x.o");
        sql
    }

    /// Changes rows by key (the slots) and tenant; slots after these hold pseudonyms, in the order of the changes that need one.
    pub(crate) fn change(&self, rows: &[Row], changes: &[(Change, TypeName)]) -> Sql {
        let pseudonyms = changes
            .iter()
            .filter(|(change, _)| change.strategy == Strategy::Pseudonym)
            .count();
        let mut sql = self.keys(rows, pseudonyms);
        sql.push(" update ");
        sql.table(self.table);
        sql.push(" as t set ");
        let mut slot = self.slots();
        sql.list(", ", changes, |sql, (change, kind)| {
            sql.ident(&change.column);
            sql.push(" = ");
            self.value(sql, change, kind, &mut slot);
        });
        sql.push(" from s0 as s where ");
        self.by_key(&mut sql);
        self.returning(&mut sql, &[]);
        sql
    }

    /// Locks counters by key.
    pub(crate) fn lock_counters(&self, branch: &Branch) -> Sql {
        let mut sql = self.reach(std::slice::from_ref(branch));
        sql.push(" select h.o");
        self.reached(&mut sql, Filter::default());
        sql.push(" order by ");
        sql.list(", ", 0..self.key.len(), |sql, at| sql.slot("h", at));
        sql.push(self.dialect.lock());
        sql
    }

    /// Lowers a count by what the ordinal's slot says, never below zero.
    pub(crate) fn subtract(&self, branch: &Branch, count: &Ident) -> Sql {
        let mut sql = Sql::new("with ");
        self.dialect.rows(&mut sql, "s", 0, branch.width, &branch.rows);
        sql.push(" update ");
        sql.table(self.table);
        sql.push(" as t set ");
        sql.ident(count);
        sql.push(" = case when ");
        let removed = |sql: &mut Sql| {
            sql.push("cast(");
            sql.slot("s", ORDINAL);
            sql.push(" as bigint)");
        };
        sql.column(count);
        sql.push(" > ");
        removed(&mut sql);
        sql.push(" then ");
        sql.column(count);
        sql.push(" - ");
        removed(&mut sql);
        sql.push(" else 0 end from s0 as s where ");
        sql.column(count);
        sql.push(" is not null and ");
        self.conditions(&mut sql, branch, "s");
        sql
    }

    /// Locks are taken in one order, so that two batches wait for each other instead of dying of each other.
    fn in_order(&self, sql: &mut Sql, limit: Option<usize>, lock: bool) {
        sql.push(" order by ");
        sql.list(", ", &self.key, |sql, key| sql.column(&key.name));
        if let Some(limit) = limit {
            sql.push(" limit ");
            sql.number(limit);
        }
        if lock {
            sql.push(self.dialect.lock());
        }
    }

    fn slots(&self) -> usize {
        self.key.len() + usize::from(self.tenant.is_some())
    }

    fn keys(&self, rows: &[Row], more: usize) -> Sql {
        let mut sql = Sql::new("with ");
        self.dialect.rows(&mut sql, "s", 0, self.slots() + more, rows);
        sql
    }

    fn by_key(&self, sql: &mut Sql) {
        sql.list(" and ", self.key.iter().enumerate(), |sql, (at, key)| {
            sql.column(&key.name);
            sql.push(" = ");
            key.kind.cast(sql, |sql| sql.slot("s", at));
        });
        if let Some((tenant, kind)) = &self.tenant {
            sql.push(" and ");
            kind.equals(
                sql,
                self.dialect,
                Comparison::Exact,
                |sql| sql.column(tenant),
                |sql| sql.slot("s", self.key.len()),
            );
        }
    }

    /// The keys as they were given where the dialect can (a physical place changes with the row), else as they are.
    fn returning(&self, sql: &mut Sql, columns: &[Ident]) {
        sql.push(" returning ");
        match self.dialect {
            Dialect::Postgres => sql.list(", ", 0..self.key.len(), |sql, at| sql.slot("s", at)),
            Dialect::Sqlite => sql.list(", ", &self.key, |sql, key| self.returned(sql, &key.name)),
        }
        for column in columns {
            sql.push(", ");
            self.returned(sql, column);
        }
    }

    /// SQLite knows the table by its own name only in this place, not by the alias.
    fn returned(&self, sql: &mut Sql, column: &Ident) {
        self.dialect.as_text(sql, |sql| match self.dialect {
            Dialect::Postgres => sql.column(column),
            Dialect::Sqlite => {
                sql.ident(&self.table.name);
                sql.push(".");
                sql.ident(column);
            }
        });
    }

    /// As [`Self::reach`]; with one branch without `h`, so that each row is looked up once.
    fn met(&self, branches: &[Branch]) -> Sql {
        let [branch] = branches else {
            return self.reach(branches);
        };
        let mut sql = Sql::new("with ");
        self.dialect.rows(&mut sql, "s", 0, branch.width, &branch.rows);
        sql
    }

    fn join_met(&self, sql: &mut Sql, branches: &[Branch], filter: Filter<'_>) {
        let [branch] = branches else {
            return self.reached(sql, filter);
        };
        sql.push(" from s0 as s join ");
        sql.table(self.table);
        sql.push(" as t on ");
        self.conditions(sql, branch, "s");
        self.filter(sql, filter);
    }

    /// `with s0 …, s1 …, h(o, c0, c1, …) as (…)`: who has which rows.
    fn reach(&self, branches: &[Branch]) -> Sql {
        let mut sql = Sql::new("with ");
        for (at, branch) in branches.iter().enumerate() {
            self.dialect.rows(&mut sql, "s", at, branch.width, &branch.rows);
            sql.push(", ");
        }
        sql.push("h(o");
        for at in 0..self.key.len() {
            sql.push(", ");
            sql.slot_name(at);
        }
        sql.push(") as (");
        sql.list(" union ", branches.iter().enumerate(), |sql, (at, branch)| {
            sql.push("select distinct ");
            sql.slot("s", ORDINAL);
            for key in &self.key {
                sql.push(", ");
                sql.column(&key.name);
            }
            sql.push(" from s");
            sql.number(at);
            sql.push(" as s join ");
            sql.table(self.table);
            sql.push(" as t on ");
            self.conditions(sql, branch, "s");
        });
        sql.push(")");
        sql
    }

    fn reached(&self, sql: &mut Sql, filter: Filter<'_>) {
        sql.push(" from h join ");
        sql.table(self.table);
        sql.push(" as t on ");
        sql.list(" and ", self.key.iter().enumerate(), |sql, (at, key)| {
            sql.column(&key.name);
            sql.push(" = ");
            sql.slot("h", at);
        });
        self.filter(sql, filter);
    }

    fn filter(&self, sql: &mut Sql, filter: Filter<'_>) {
        if let Some(changes) = filter.open {
            sql.push(" and ");
            self.open(sql, changes);
        }
        if let Some(last) = filter.ownerless {
            sql.push(" and ");
            nobody_owns(sql, last);
        }
    }

    fn conditions(&self, sql: &mut Sql, branch: &Branch, alias: &'static str) {
        sql.list(" and ", &branch.conditions, |sql, it| {
            it.kind.equals(
                sql,
                self.dialect,
                it.how,
                |sql| sql.column(&it.column),
                |sql| sql.slot(alias, it.slot),
            );
        });
        if let Some((column, kind, slot)) = &branch.created {
            sql.push(" and (");
            sql.column(column);
            sql.push(" is null or ");
            self.seconds(sql, column, kind);
            sql.push(" is null or ");
            self.seconds(sql, column, kind);
            sql.push(" <= ");
            match self.dialect {
                Dialect::Postgres => {
                    sql.slot(alias, *slot);
                    sql.push("::float8 / 1000");
                }
                Dialect::Sqlite => {
                    sql.push("cast(");
                    sql.slot(alias, *slot);
                    sql.push(" as real) / 1000");
                }
            }
            sql.push(")");
        }
    }

    /// A moment as seconds since the epoch. Whole numbers are seconds or, when that would be beyond the year 5000, milliseconds.
    fn seconds(&self, sql: &mut Sql, column: &Ident, kind: &TypeName) {
        match (self.dialect, kind.name.as_str()) {
            (Dialect::Postgres, "int4" | "int8" | "numeric") => {
                sql.push("(case when ");
                sql.column(column);
                sql.push(" > 100000000000 then ");
                sql.column(column);
                sql.push(" / 1000.0 else ");
                sql.column(column);
                sql.push(" end)");
            }
            (Dialect::Postgres, "timestamptz") => {
                sql.push("extract(epoch from ");
                sql.column(column);
                sql.push(")");
            }
            (Dialect::Postgres, _) => {
                // Without a zone it is taken as UTC.
                sql.push("extract(epoch from ");
                sql.column(column);
                sql.push("::timestamp at time zone 'UTC')");
            }
            (Dialect::Sqlite, _) => {
                sql.push("(case when typeof(");
                sql.column(column);
                sql.push(") = 'text' then unixepoch(");
                sql.column(column);
                sql.push(", 'subsec') when ");
                sql.column(column);
                sql.push(" > 100000000000 then ");
                sql.column(column);
                sql.push(" / 1000.0 else ");
                sql.column(column);
                sql.push(" end)");
            }
        }
    }

    /// A column for somebody to read: bytes as hexadecimal digits.
    fn readable(&self, sql: &mut Sql, column: &Ident) {
        match self.dialect {
            Dialect::Postgres => self.dialect.as_text(sql, |sql| sql.column(column)),
            Dialect::Sqlite => {
                sql.push("case typeof(");
                sql.column(column);
                sql.push(") when 'blob' then hex(");
                sql.column(column);
                sql.push(") else cast(");
                sql.column(column);
                sql.push(" as text) end");
            }
        }
    }
}

/// Whose a row of [`Target::met`] is.
fn ordinal(sql: &mut Sql, branches: &[Branch]) {
    match branches {
        [_] => sql.slot("s", ORDINAL),
        _ => sql.push("h.o"),
    }
}

fn nobody_owns(sql: &mut Sql, last: &WhenLast) {
    sql.push("not exists (select 1 from ");
    sql.table(&last.table);
    sql.push(" as o where o.");
    sql.ident(&last.column);
    sql.push(" = ");
    sql.column(&last.key);
    sql.push(")");
}
