//! Statements over many rows at once.

use super::{Tx, Value};
use crate::Error;
use std::fmt::Write as _;

/// How many rows go into one statement. SQLite takes 32,766 bound values, PostgreSQL 65,535; no table here has 30 columns.
pub(crate) const ROWS_PER_STATEMENT: usize = 1_000;

/// `INSERT INTO {target} VALUES (…),(…) {tail}` in as many statements as it takes. How many rows were inserted.
pub(crate) async fn insert_many(
    tx: &mut Tx,
    target: &'static str,
    tail: &'static str,
    rows: Vec<Vec<Value>>,
) -> Result<u64, Error> {
    let mut inserted = 0;
    let mut rows = rows.into_iter().peekable();
    while let Some(columns) = rows.peek().map(Vec::len) {
        let chunk: Vec<_> = rows.by_ref().take(ROWS_PER_STATEMENT).collect();
        let text = format!(
            "INSERT INTO {target} VALUES {} {tail}",
            tuples(tx.is_sqlite(), chunk.len(), columns)
        );
        inserted += tx.execute(text, chunk.into_iter().flatten().collect()).await?;
    }
    Ok(inserted)
}

/// `$3,$4,$5`: so many placeholders, from this one on.
pub(crate) fn placeholders(from: usize, count: usize) -> String {
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
fn tuples(is_sqlite: bool, rows: usize, columns: usize) -> String {
    let mut text = String::with_capacity(rows * (columns * 6 + 3));
    for row in 0..rows {
        text.push_str(if row > 0 { ",(" } else { "(" });
        if is_sqlite {
            text.push_str(&["?"].repeat(columns).join(","));
        } else {
            text.push_str(&placeholders(row * columns + 1, columns));
        }
        text.push(')');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_count_on_over_the_rows() {
        assert_eq!(tuples(false, 2, 2), "($1,$2),($3,$4)");
        assert_eq!(tuples(true, 2, 2), "(?,?),(?,?)");
        assert_eq!(placeholders(3, 2), "$3,$4");
        assert_eq!(placeholders(1, 0), "");
    }
}
