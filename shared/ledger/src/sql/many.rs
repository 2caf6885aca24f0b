//! Statements over many rows or keys at once. PostgreSQL gets the columns as arrays, so that the text is always the same and stays
//! prepared; SQLite gets one placeholder for each value.

use super::{Row, Text, Tx, Value};
use crate::Error;
use std::borrow::Cow;
use std::fmt::Write as _;

/// How many rows go into one statement. SQLite takes 32,766 bound values; no table here has 30 columns.
const ROWS_PER_STATEMENT: usize = 1_000;

/// A text and the values bound to it.
pub(crate) type Statement = (Text, Vec<Value>);

/// `INSERT INTO {target} … {tail}` in as many statements as it takes. How many rows were inserted.
pub(crate) async fn insert_many(
    tx: &mut Tx,
    target: &'static str,
    tail: &'static str,
    rows: Vec<Vec<Value>>,
) -> Result<u64, Error> {
    let mut inserted = 0;
    for (text, values) in inserts(tx.is_sqlite(), target, tail, rows)? {
        inserted += tx.execute(text, values).await?;
    }
    Ok(inserted)
}

/// The same with a tail that returns something of the rows that were inserted.
pub(crate) async fn insert_returning(
    tx: &mut Tx,
    target: &'static str,
    tail: &'static str,
    rows: Vec<Vec<Value>>,
) -> Result<Vec<Row>, Error> {
    let statements = inserts(tx.is_sqlite(), target, tail, rows)?;
    tx.query_each(statements).await
}

fn inserts(is_sqlite: bool, target: &str, tail: &str, rows: Vec<Vec<Value>>) -> Result<Vec<Statement>, Error> {
    let build = |source: &str| format!("INSERT INTO {target} {source} {tail}");
    chunks(rows).map(|rows| sourced(is_sqlite, rows, build)).collect()
}

/// `WITH w ({columns}) AS (these rows) {text}`, in as many statements as it takes.
pub(crate) fn of_rows(
    is_sqlite: bool,
    columns: &'static str,
    text: &'static str,
    rows: Vec<Vec<Value>>,
) -> Result<Vec<Statement>, Error> {
    let build = |source: &str| format!("WITH w ({columns}) AS ({source}) {text}");
    chunks(rows).map(|rows| sourced(is_sqlite, rows, build)).collect()
}

/// `text` with "is one of these keys" in place of `{these}`, in as many statements as it takes. The values in `first` have the
/// numbers from 1 on.
pub(crate) fn of_these<K: Clone + Into<Value>>(
    is_sqlite: bool,
    text: &'static str,
    first: &[Value],
    keys: &[K],
) -> Result<Vec<Statement>, Error> {
    let from = first.len() + 1;
    let statement = |keys: &[K]| {
        let mut values = first.to_vec();
        let keys = keys.iter().cloned().map(Into::into);
        if is_sqlite {
            values.extend(keys);
            let these = format!("IN ({})", placeholders(from, values.len() + 1 - from));
            return Ok((shaped(text.replace("{these}", &these), values.len() == from), values));
        }
        values.append(&mut Value::columns(keys.map(|key| vec![key]).collect())?);
        let text = text.replace("{these}", &format!("= ANY(${from})"));
        Ok((Text::Constant(Cow::Owned(text)), values))
    };
    keys.chunks(ROWS_PER_STATEMENT).map(statement).collect()
}

fn chunks(rows: Vec<Vec<Value>>) -> impl Iterator<Item = Vec<Vec<Value>>> {
    let mut rows = rows.into_iter();
    std::iter::from_fn(move || {
        let chunk: Vec<_> = rows.by_ref().take(ROWS_PER_STATEMENT).collect();
        (!chunk.is_empty()).then_some(chunk)
    })
}

/// A statement around these rows as a query, whose placeholders are numbered from 1 on.
fn sourced(is_sqlite: bool, rows: Vec<Vec<Value>>, build: impl Fn(&str) -> String) -> Result<Statement, Error> {
    if is_sqlite {
        let source = format!("VALUES {}", tuples(rows.len(), rows.first().map_or(0, Vec::len)));
        let text = shaped(build(&source), rows.len() == 1);
        return Ok((text, rows.into_iter().flatten().collect()));
    }
    let columns = Value::columns(rows)?;
    let types: Vec<_> = (1..)
        .zip(&columns)
        .map(|(at, column)| format!("${at}::{}", column.array_type()))
        .collect();
    let source = format!("SELECT * FROM UNNEST({})", types.join(", "));
    Ok((Text::Constant(Cow::Owned(build(&source))), columns))
}

/// The shape for one is the one that comes again and again.
fn shaped(text: String, of_one: bool) -> Text {
    if of_one {
        Text::Constant(Cow::Owned(text))
    } else {
        Text::Shaped(text)
    }
}

/// `$3,$4,$5`: so many placeholders, from this one on.
fn placeholders(from: usize, count: usize) -> String {
    let mut text = String::with_capacity(count * 5);
    for at in from..from + count {
        if at > from {
            text.push(',');
        }
        // Writing into a String cannot fail.
        let _ = write!(text, "${at}");
    }
    text
}

/// SQLite looks numbered placeholders up one by one, which is quadratic (8 s for 30,000 rows); plain ones it only counts.
fn tuples(rows: usize, columns: usize) -> String {
    let tuple = format!("({})", ["?"].repeat(columns).join(","));
    let mut text = String::with_capacity(rows * (tuple.len() + 1));
    for row in 0..rows {
        if row > 0 {
            text.push(',');
        }
        text.push_str(&tuple);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::args;

    #[test]
    fn placeholders_count_on() {
        assert_eq!(tuples(2, 2), "(?,?),(?,?)");
        assert_eq!(placeholders(3, 2), "$3,$4");
        assert_eq!(placeholders(1, 0), "");
    }

    #[test]
    fn on_postgresql_a_text_does_not_depend_on_how_many_rows_there_are() {
        let rows = |count: u32| (0..count).map(|at| args![at, "a", vec![0_u8]]).collect::<Vec<_>>();
        let texts = |statements: Vec<Statement>| statements.iter().map(|it| it.0.as_str().to_owned()).collect::<Vec<_>>();
        let insert = "INSERT INTO t (a, b, c) SELECT * FROM UNNEST($1::bigint[], $2::text[], $3::bytea[]) ";
        assert_eq!(texts(inserts(false, "t (a, b, c)", "", rows(1)).unwrap()), [insert]);
        assert_eq!(
            texts(inserts(false, "t (a, b, c)", "", rows(1_001)).unwrap()),
            [insert, insert]
        );
        let these = |is_sqlite, keys: &[u32]| texts(of_these(is_sqlite, "x {these}", &["a".into()], keys).unwrap());
        assert_eq!(these(false, &[1, 2]), ["x = ANY($2)"]);
        assert_eq!(these(true, &[1, 2]), ["x IN ($2,$3)"]);
        assert!(these(true, &[]).is_empty());
        let one = of_these(true, "x {these}", &[], &[1_u32]).unwrap();
        assert!(
            matches!(one[0].0, Text::Constant(_)),
            "on SQLite the shape for one stays prepared"
        );
        assert_eq!(
            texts(of_rows(true, "a, b, c", "SELECT a FROM w", rows(2)).unwrap()),
            ["WITH w (a, b, c) AS (VALUES (?,?,?),(?,?,?)) SELECT a FROM w"]
        );
    }

    #[test]
    fn a_column_of_two_types_and_a_short_row_are_refused() {
        let mixed = vec![args![1_u32], args!["a"]];
        assert!(matches!(inserts(false, "t (a)", "", mixed), Err(Error::Refused(_))));
        let short = vec![args![1_u32, "a"], args![1_u32]];
        assert!(matches!(inserts(false, "t (a, b)", "", short), Err(Error::Refused(_))));
    }
}
