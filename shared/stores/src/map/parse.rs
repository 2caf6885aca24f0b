//! From text to a map, or to everything that is wrong with the text.

use super::raw::{RawMap, Text};
use super::{Code, Ident, Map, Name, Place, Problem, Refused, TableName, consistency, read, suggest};
use std::ops::Range;

/// The longest map, in bytes.
pub const MAP_BYTES_MAX: usize = 1 << 20;

impl Map {
    /// Reads a map (TOML). See `deploy/sample/map.toml` for one with everything in it.
    ///
    /// # Errors
    /// Every problem that was found, each with its place and what to do. A text that is not TOML, or not of the map's shape, ends
    /// at the first one.
    pub fn parse(text: &str) -> Result<Self, Refused> {
        if text.len() > MAP_BYTES_MAX {
            let message = format!("the map is longer than {MAP_BYTES_MAX} bytes");
            return Err(Refused::new(
                vec![start(Code::Limit, &message, "is this the right file?")],
                "",
            ));
        }
        let mut reader = Reader {
            text,
            problems: Vec::new(),
        };
        let raw: RawMap = toml::from_str(text).map_err(|error| Refused::new(vec![reader.shape(&error)], text))?;
        let map = read::map(&mut reader, raw);
        // What contradicts what is only told of rules that could be read: otherwise one slip is reported twice.
        if reader.problems.is_empty() {
            reader.problems = consistency::problems(&map);
        }
        if reader.problems.is_empty() {
            Ok(map)
        } else {
            Err(Refused::new(reader.problems, text))
        }
    }
}

fn start(code: Code, message: &str, advice: &str) -> Problem {
    Problem::error(code, Place { line: 1, column: 1 }, message, advice)
}

/// The text being read, and what was found wrong so far.
pub(super) struct Reader<'a> {
    text: &'a str,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    /// Notes a problem, and goes on to find more.
    pub(super) fn refuse(&mut self, code: Code, place: Place, message: impl Into<String>, advice: impl Into<String>) {
        self.problems.push(Problem::error(code, place, message, advice));
    }

    /// Where these bytes are.
    pub(super) fn place(&self, span: &Range<usize>) -> Place {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        Place {
            line: u32::try_from(line).unwrap_or(u32::MAX),
            column: u32::try_from(column).unwrap_or(u32::MAX),
        }
    }

    /// A column's or rule's name.
    pub(super) fn name(&mut self, text: &Text) -> Option<Name> {
        let place = self.place(&text.span());
        match Ident::new(text.get_ref()) {
            Some(ident) => Some(Name::new(ident, place)),
            None => self.bad_name(text, "a name"),
        }
    }

    /// A table's name.
    pub(super) fn table(&mut self, text: &Text) -> Option<TableName> {
        match TableName::parse(text.get_ref()) {
            Some(table) => Some(table),
            None => self.bad_name(text, "a table"),
        }
    }

    fn bad_name<T>(&mut self, text: &Text, what: &str) -> Option<T> {
        let place = self.place(&text.span());
        let message = format!("{:?} cannot be {what}", text.get_ref());
        let advice = format!("write 1 to {} bytes without control characters", Ident::LENGTH_MAX);
        self.refuse(Code::BadName, place, message, advice);
        None
    }

    /// An error of the TOML reader, with the nearest of the words that it expected.
    fn shape(&self, error: &toml::de::Error) -> Problem {
        let place = self.place(&error.span().unwrap_or(0..0));
        let message = error.message().trim_end();
        let words: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
        let Some(("unknown field" | "unknown variant", _)) = message.split_once(" `") else {
            return Problem::error(Code::Shape, place, message.replace('\n', ", "), "correct this line");
        };
        let (written, known) = words
            .split_first()
            .map_or(("", &[][..]), |(written, known)| (*written, known));
        let what = format!("`{written}` means nothing here");
        Problem::error(Code::Shape, place, what, suggest::advise(written, known.iter().copied()))
    }
}
