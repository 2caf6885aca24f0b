//! Values in, rows out, for the double's driver. It counts parameters in the order in which a text names them, so each is found
//! by the number in its name.

use super::value::{Cell, Row, Value};
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, Statement};

pub(super) fn rows(on: &Connection, text: &str, values: &[Value]) -> rusqlite::Result<Vec<Row>> {
    let mut statement = on.prepare_cached(text)?;
    bind(&mut statement, values)?;
    let columns = statement.column_count();
    let mut answer = statement.raw_query();
    let mut rows = Vec::new();
    while let Some(row) = answer.next()? {
        let cells = (0..columns).map(|at| row.get_ref(at).map(cell));
        rows.push(Row(cells.collect::<Result<_, _>>()?));
    }
    Ok(rows)
}

pub(super) fn execute(on: &Connection, text: &str, values: &[Value]) -> rusqlite::Result<u64> {
    let mut statement = on.prepare_cached(text)?;
    bind(&mut statement, values)?;
    let changed = statement.raw_execute()?;
    Ok(changed as u64)
}

fn bind(statement: &mut Statement<'_>, values: &[Value]) -> rusqlite::Result<()> {
    for at in 1..=statement.parameter_count() {
        let named = statement.parameter_name(at).and_then(|name| name.get(1..)?.parse().ok());
        let number: usize = named.unwrap_or(at);
        let value = number.checked_sub(1).and_then(|index| values.get(index));
        let value = value.ok_or(rusqlite::Error::InvalidParameterCount(values.len(), number))?;
        statement.raw_bind_parameter(at, value)?;
    }
    Ok(())
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        let value = match self {
            Self::Int(value) => value.map_or(ValueRef::Null, ValueRef::Integer),
            Self::Text(value) => value.as_ref().map_or(ValueRef::Null, |it| ValueRef::Text(it.as_bytes())),
            Self::Blob(value) => value.as_ref().map_or(ValueRef::Null, |it| ValueRef::Blob(it)),
            Self::Ints(_) | Self::Texts(_) | Self::Blobs(_) => {
                return Err(rusqlite::Error::ToSqlConversionFailure("SQLite has no arrays".into()));
            }
        };
        Ok(ToSqlOutput::Borrowed(value))
    }
}

fn cell(value: ValueRef<'_>) -> Cell {
    match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(value) => Cell::Int(value),
        // The ledger computes no fractions.
        ValueRef::Real(value) => Cell::Text(value.to_string()),
        ValueRef::Text(value) => Cell::Text(String::from_utf8_lossy(value).into_owned()),
        ValueRef::Blob(value) => Cell::Blob(value.to_vec()),
    }
}
