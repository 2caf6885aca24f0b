//! Values in, rows out.

use super::Text;
use crate::Error;
use erasure_protocol::{EvidenceKey, Mask, Millis, RequestKey, Sealed};
use sqlx::{AssertSqlSafe, Column, Executor, Postgres, Row as _, Sqlite, TypeInfo, ValueRef};
use std::borrow::Cow;

/// A value to be bound. A missing one keeps its type, because PostgreSQL asks for it.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Int(Option<i64>),
    Text(Option<String>),
    Blob(Option<Vec<u8>>),
    /// A column of many rows. Only PostgreSQL has these.
    Ints(Vec<Option<i64>>),
    /// The same of texts.
    Texts(Vec<Option<String>>),
    /// The same of bytes.
    Blobs(Vec<Option<Vec<u8>>>),
}

impl Value {
    /// The array for values of this one's type, empty.
    fn array(&self) -> Self {
        match self {
            Self::Int(_) | Self::Ints(_) => Self::Ints(Vec::new()),
            Self::Text(_) | Self::Texts(_) => Self::Texts(Vec::new()),
            Self::Blob(_) | Self::Blobs(_) => Self::Blobs(Vec::new()),
        }
    }

    /// PostgreSQL's name for the type of this array.
    pub(super) fn array_type(&self) -> &'static str {
        match self {
            Self::Int(_) | Self::Ints(_) => "bigint[]",
            Self::Text(_) | Self::Texts(_) => "text[]",
            Self::Blob(_) | Self::Blobs(_) => "bytea[]",
        }
    }

    fn push(&mut self, value: Self) -> Result<(), Error> {
        match (self, value) {
            (Self::Ints(all), Self::Int(one)) => all.push(one),
            (Self::Texts(all), Self::Text(one)) => all.push(one),
            (Self::Blobs(all), Self::Blob(one)) => all.push(one),
            _ => return Err(Error::Refused("a column has one type")),
        }
        Ok(())
    }

    /// The columns of these rows, as arrays. Every row must have the columns of the first.
    pub(super) fn columns(rows: Vec<Vec<Self>>) -> Result<Vec<Self>, Error> {
        let mut columns: Vec<Self> = rows.first().into_iter().flatten().map(Self::array).collect();
        for row in rows {
            if row.len() != columns.len() {
                return Err(Error::Refused("every row has the same columns"));
            }
            for (column, value) in columns.iter_mut().zip(row) {
                column.push(value)?;
            }
        }
        Ok(columns)
    }
}

macro_rules! from {
    ($($from:ty => $variant:ident, |$it:ident| $to:expr;)*) => {$(
        impl From<$from> for Value {
            fn from($it: $from) -> Self {
                Self::$variant(Some($to))
            }
        }
        impl From<Option<$from>> for Value {
            fn from(value: Option<$from>) -> Self {
                Self::$variant(value.map(|$it| $to))
            }
        }
    )*};
}

from! {
    i64 => Int, |it| it;
    u32 => Int, |it| i64::from(it);
    u16 => Int, |it| i64::from(it);
    usize => Int, |it| i64::try_from(it).unwrap_or(i64::MAX);
    u64 => Int, |it| i64::try_from(it).unwrap_or(i64::MAX);
    bool => Int, |it| i64::from(it);
    Millis => Int, |it| it.0;
    &str => Text, |it| it.to_owned();
    String => Text, |it| it;
    &[u8] => Blob, |it| it.to_vec();
    [u8; 32] => Blob, |it| it.to_vec();
    Vec<u8> => Blob, |it| it;
    &Sealed => Blob, |it| it.0.clone();
    RequestKey => Blob, |it| it.as_uuid().as_bytes().to_vec();
    EvidenceKey => Blob, |it| it.0.to_vec();
    &Mask => Blob, |it| it.as_bytes().to_vec();
}

/// One value of an answer.
#[derive(Clone, Debug)]
pub(super) enum Cell {
    Null,
    Int(i64),
    Text(String),
    Blob(Vec<u8>),
}

/// One row of an answer, read by the position of the column.
#[derive(Clone, Debug)]
pub(crate) struct Row(pub(super) Vec<Cell>);

impl Row {
    fn cell(&self, at: usize) -> Result<&Cell, Error> {
        self.0.get(at).ok_or(Error::Damaged("a column is missing"))
    }

    pub(crate) fn int_or_null(&self, at: usize) -> Result<Option<i64>, Error> {
        match self.cell(at)? {
            Cell::Null => Ok(None),
            Cell::Int(value) => Ok(Some(*value)),
            Cell::Text(_) | Cell::Blob(_) => Err(Error::Damaged("a number")),
        }
    }

    pub(crate) fn text_or_null(&self, at: usize) -> Result<Option<&str>, Error> {
        match self.cell(at)? {
            Cell::Null => Ok(None),
            Cell::Text(value) => Ok(Some(value)),
            Cell::Int(_) | Cell::Blob(_) => Err(Error::Damaged("a text")),
        }
    }

    pub(crate) fn blob_or_null(&self, at: usize) -> Result<Option<&[u8]>, Error> {
        match self.cell(at)? {
            Cell::Null => Ok(None),
            Cell::Blob(value) => Ok(Some(value)),
            Cell::Int(_) | Cell::Text(_) => Err(Error::Damaged("bytes")),
        }
    }

    pub(crate) fn int(&self, at: usize) -> Result<i64, Error> {
        self.int_or_null(at)?.ok_or(Error::Damaged("a number is missing"))
    }

    pub(crate) fn text(&self, at: usize) -> Result<&str, Error> {
        self.text_or_null(at)?.ok_or(Error::Damaged("a text is missing"))
    }

    pub(crate) fn blob(&self, at: usize) -> Result<&[u8], Error> {
        self.blob_or_null(at)?.ok_or(Error::Damaged("bytes are missing"))
    }

    pub(crate) fn flag(&self, at: usize) -> Result<bool, Error> {
        Ok(self.int(at)? != 0)
    }

    /// A number that fits the smaller type.
    pub(crate) fn number<T: TryFrom<i64>>(&self, at: usize) -> Result<T, Error> {
        T::try_from(self.int(at)?).map_err(|_| Error::Damaged("a number out of range"))
    }

    pub(crate) fn millis(&self, at: usize) -> Result<Millis, Error> {
        self.int(at).map(Millis)
    }

    pub(crate) fn mask(&self, at: usize) -> Result<Mask, Error> {
        self.blob(at).map(Mask::from_bytes)
    }

    pub(crate) fn bytes<const N: usize>(&self, at: usize) -> Result<[u8; N], Error> {
        self.bytes_or_null(at)?.ok_or(Error::Damaged("bytes are missing"))
    }

    pub(crate) fn bytes_or_null<const N: usize>(&self, at: usize) -> Result<Option<[u8; N]>, Error> {
        let bytes = self.blob_or_null(at)?.map(TryInto::try_into).transpose();
        bytes.map_err(|_| Error::Damaged("bytes of another length"))
    }

    pub(crate) fn request(&self, at: usize) -> Result<RequestKey, Error> {
        Ok(RequestKey::from_uuid(uuid::Uuid::from_bytes(self.bytes(at)?)))
    }

    /// A word of one of our vocabularies.
    pub(crate) fn word<T>(&self, at: usize, read: impl Fn(&str) -> Option<T>) -> Result<T, Error> {
        read(self.text(at)?).ok_or(Error::Damaged("an unknown word"))
    }
}

macro_rules! bound {
    ($text:expr, $values:expr, |$query:ident| { $($array:pat => $bind:expr,)* }) => {{
        let query = match $text {
            Text::Constant(Cow::Borrowed(text)) => sqlx::query(text).persistent(true),
            Text::Constant(Cow::Owned(text)) => sqlx::query(AssertSqlSafe(text)).persistent(true),
            Text::Shaped(text) => sqlx::query(AssertSqlSafe(text)).persistent(false),
        };
        $values.into_iter().fold(query, |$query, value| match value {
            Value::Int(value) => $query.bind(value),
            Value::Text(value) => $query.bind(value),
            Value::Blob(value) => $query.bind(value),
            $($array => $bind,)*
        })
    }};
}

macro_rules! for_sqlite {
    ($text:expr, $values:expr) => {
        bound!($text, $values, |query| {
            // It has no arrays: the statement then lacks a value, and is refused.
            Value::Ints(_) | Value::Texts(_) | Value::Blobs(_) => query,
        })
    };
}

macro_rules! for_postgres {
    ($text:expr, $values:expr) => {
        bound!($text, $values, |query| {
            Value::Ints(values) => query.bind(values),
            Value::Texts(values) => query.bind(values),
            Value::Blobs(values) => query.bind(values),
        })
    };
}

pub(super) async fn sqlite_rows<'c, E: Executor<'c, Database = Sqlite>>(
    on: E,
    text: Text,
    values: Vec<Value>,
) -> Result<Vec<Row>, sqlx::Error> {
    let query = for_sqlite!(text, values);
    query.fetch_all(on).await?.iter().map(sqlite_row).collect()
}

pub(super) async fn postgres_rows<'c, E: Executor<'c, Database = Postgres>>(
    on: E,
    text: Text,
    values: Vec<Value>,
) -> Result<Vec<Row>, sqlx::Error> {
    let query = for_postgres!(text, values);
    query.fetch_all(on).await?.iter().map(postgres_row).collect()
}

pub(super) async fn sqlite_execute<'c, E: Executor<'c, Database = Sqlite>>(
    on: E,
    text: Text,
    values: Vec<Value>,
) -> Result<u64, sqlx::Error> {
    let query = for_sqlite!(text, values);
    Ok(query.execute(on).await?.rows_affected())
}

pub(super) async fn postgres_execute<'c, E: Executor<'c, Database = Postgres>>(
    on: E,
    text: Text,
    values: Vec<Value>,
) -> Result<u64, sqlx::Error> {
    let query = for_postgres!(text, values);
    Ok(query.execute(on).await?.rows_affected())
}

fn sqlite_row(row: &sqlx::sqlite::SqliteRow) -> Result<Row, sqlx::Error> {
    (0..row.len())
        .map(|at| {
            let raw = row.try_get_raw(at)?;
            if raw.is_null() {
                return Ok(Cell::Null);
            }
            let kind = raw.type_info().name().to_owned();
            match kind.as_str() {
                "TEXT" => row.try_get_unchecked(at).map(Cell::Text),
                "BLOB" => row.try_get_unchecked(at).map(Cell::Blob),
                _ => row.try_get_unchecked(at).map(Cell::Int),
            }
        })
        .collect::<Result<_, _>>()
        .map(Row)
}

fn postgres_row(row: &sqlx::postgres::PgRow) -> Result<Row, sqlx::Error> {
    row.columns()
        .iter()
        .map(|column| {
            let at = column.ordinal();
            if row.try_get_raw(at)?.is_null() {
                return Ok(Cell::Null);
            }
            match column.type_info().name() {
                "TEXT" | "VARCHAR" | "NAME" => row.try_get(at).map(Cell::Text),
                "BYTEA" => row.try_get(at).map(Cell::Blob),
                "INT4" => row.try_get::<i32, _>(at).map(|it| Cell::Int(i64::from(it))),
                "BOOL" => row.try_get::<bool, _>(at).map(|it| Cell::Int(i64::from(it))),
                _ => row.try_get(at).map(Cell::Int),
            }
        })
        .collect::<Result<_, _>>()
        .map(Row)
}
