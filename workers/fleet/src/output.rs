//! Data to stdout, as a table for people or as JSON for programs; everything else to stderr.

use comfy_table::{Cell, Table, presets};
use serde::Serialize;
use std::fmt::Display;
use std::io::{ErrorKind, Write};

/// Where commands put what they have to say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Output {
    form: Form,
}

/// For whom data is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    People,
    Programs,
}

impl Output {
    /// JSON when `json` was asked for, else text.
    pub(crate) fn new(json: bool) -> Self {
        let form = if json { Form::Programs } else { Form::People };
        Self { form }
    }

    /// One thing: a JSON document for programs, `text` for people.
    ///
    /// # Errors
    /// When stdout cannot be written.
    pub(crate) fn document(self, value: &impl Serialize, text: impl FnOnce() -> String) -> anyhow::Result<()> {
        match self.form {
            Form::Programs => write(&serde_json::to_string(value)?),
            Form::People => write(text().trim_end()),
        }
    }

    /// Many things: one JSON document in each line for programs, `text` for people.
    ///
    /// # Errors
    /// When stdout cannot be written.
    pub(crate) fn list(self, items: &[impl Serialize], text: impl FnOnce() -> String) -> anyhow::Result<()> {
        match self.form {
            Form::Programs => items.iter().try_for_each(|item| write(&serde_json::to_string(item)?)),
            Form::People => write(text().trim_end()),
        }
    }

    /// Text as it is, whoever reads it: for what has a form of its own, such as SQL or a schema.
    ///
    /// # Errors
    /// When stdout cannot be written.
    pub(crate) fn text(self, text: &str) -> anyhow::Result<()> {
        write(text.trim_end())
    }

    /// A sentence beside the data.
    pub(crate) fn say(self, sentence: impl Display) {
        // Nobody can be told that stderr is gone.
        let _gone = writeln!(std::io::stderr().lock(), "{sentence}");
    }
}

/// A table for people. Cells hold no control characters, so that data cannot steer a terminal.
pub(crate) fn table<R: IntoIterator<Item = String>>(header: &[&str], rows: impl IntoIterator<Item = R>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(header.iter().map(|name| Cell::new(name.to_uppercase())));
    for row in rows {
        table.add_row(row.into_iter().map(|cell| Cell::new(plain(&cell))));
    }
    table.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
}

/// The text with control characters spelled out.
pub(crate) fn plain(text: &str) -> String {
    let spell = |c: char| -> String {
        if c.is_control() {
            c.escape_default().to_string()
        } else {
            c.to_string()
        }
    };
    text.chars().map(spell).collect()
}

/// `1,234`.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 row`, `2 rows`.
pub(crate) fn counted(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", thousands(number))
}

fn write(text: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    let written = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
    match written {
        // Whoever read has seen enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_cannot_steer_a_terminal() {
        let shown = table(&["a"], [vec!["\u{1b}[31mred\nline".to_owned()]]);
        assert!(!shown.contains('\u{1b}') && shown.lines().count() == 2, "{shown}");
    }

    #[test]
    fn numbers_read_well() {
        let shown = [0, 999, 1_000, 1_234_567].map(thousands);
        assert_eq!(shown, ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(
            (counted(1, "row"), counted(2, "row")),
            ("1 row".to_owned(), "2 rows".to_owned())
        );
    }
}
