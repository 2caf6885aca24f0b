//! What is wrong with a data map: where, why, and what to do.

use super::Place;
use std::fmt;

/// One thing that is wrong with a map, by itself or against the schema it is for. Never holds personal data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Whether it stops the fleet.
    pub severity: Severity,
    /// What kind of problem it is.
    pub code: Code,
    /// Where in the map.
    pub place: Place,
    /// What is wrong, in one sentence.
    pub message: String,
    /// What to do about it, in one sentence.
    pub advice: String,
}

/// Whether a problem stops the fleet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The map is not used as long as this stands.
    Error,
    /// It works, but somebody should look.
    Warning,
}

/// The kinds of problems. Their numbers are stable: runbooks refer to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// Not TOML, or not the shape of a map.
    Shape,
    /// A version that this program does not read.
    Version,
    /// No section, no rule or no identifier.
    Empty,
    /// A text that cannot be the name of what it names.
    BadName,
    /// An identifier that the map does not declare.
    UnknownIdentifier,
    /// A rule that does not say what erasing does.
    NoErase,
    /// A rule that says neither its tenant column nor `single_tenant`.
    NoTenant,
    /// A rule that does not say, or says twice, how rows are found.
    NoReach,
    /// A `through` that leads nowhere, elsewhere or in a circle.
    Through,
    /// Nobody, or several sections, find people at intake.
    Resolves,
    /// Something reversible that cannot be taken back.
    NoUndo,
    /// A change that cannot be made.
    Change,
    /// An anonymised row that still points at the person.
    StillPersonal,
    /// A shared row whose last owner cannot be told.
    WhenLast,
    /// A count that cannot be kept.
    Count,
    /// A limit outside its range.
    Limit,
    /// Two statements that contradict each other.
    Contradiction,
    /// A store that could not be looked at.
    StoreUnread,
    /// A table that is missing.
    NoTable,
    /// A column that is missing.
    NoColumn,
    /// A tenant column that is missing.
    NoTenantColumn,
    /// A column that becomes null and must not.
    NotNull,
    /// A value that does not fit the column's type.
    WrongType,
    /// A reference from elsewhere that would refuse the delete.
    Referenced,
    /// Keys of a parent that are not its own.
    NotUnique,
    /// A match that reads the whole table.
    Unindexed,
    /// A table without a primary key.
    NoKey,
    /// A column that looks personal and that no rule covers.
    LooksPersonal,
    /// People who can only be found here by an identifier that nothing resolves.
    Unresolved,
}

impl Code {
    /// The stable number, for example `MAP-005`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Shape => "MAP-001",
            Self::Version => "MAP-002",
            Self::Empty => "MAP-003",
            Self::BadName => "MAP-004",
            Self::UnknownIdentifier => "MAP-005",
            Self::NoErase => "MAP-006",
            Self::NoTenant => "MAP-007",
            Self::NoReach => "MAP-008",
            Self::Through => "MAP-009",
            Self::Resolves => "MAP-010",
            Self::NoUndo => "MAP-011",
            Self::Change => "MAP-012",
            Self::StillPersonal => "MAP-013",
            Self::WhenLast => "MAP-014",
            Self::Count => "MAP-015",
            Self::Limit => "MAP-016",
            Self::Contradiction => "MAP-017",
            Self::StoreUnread => "MAP-101",
            Self::NoTable => "MAP-102",
            Self::NoColumn => "MAP-103",
            Self::NoTenantColumn => "MAP-104",
            Self::NotNull => "MAP-105",
            Self::WrongType => "MAP-106",
            Self::Referenced => "MAP-107",
            Self::NotUnique => "MAP-108",
            Self::Unindexed => "MAP-109",
            Self::NoKey => "MAP-110",
            Self::LooksPersonal => "MAP-111",
            Self::Unresolved => "MAP-112",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
        })
    }
}

impl Problem {
    pub(super) fn error(code: Code, place: Place, message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            code,
            place,
            message: message.into(),
            advice: advice.into(),
        }
    }

    pub(super) fn warning(code: Code, place: Place, message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(code, place, message, advice)
        }
    }

    /// The problem as a person reads it: the sentence, the line of the map with a caret below, the advice.
    #[must_use]
    pub fn render(&self, map_text: &str) -> String {
        let head = format!("{}[{}] {}: {}", self.severity, self.code, self.place, self.message);
        let advice = format!("  = {}", self.advice);
        let Some(line) = map_text.lines().nth(self.place.line.saturating_sub(1) as usize) else {
            return format!("{head}\n{advice}\n");
        };
        let shown: String = line.chars().take(LINE_CHARS_MAX).collect();
        let number = self.place.line.to_string();
        let (gutter, caret) = (" ".repeat(number.len()), self.caret(&shown));
        format!("{head}\n{gutter} |\n{number} | {shown}\n{gutter} | {caret}\n{advice}\n")
    }

    /// Blanks up to the column, then a caret for each character of the word that begins there.
    fn caret(&self, line: &str) -> String {
        let before = self.place.column.saturating_sub(1) as usize;
        let word = line
            .chars()
            .skip(before)
            .take_while(|c| !c.is_whitespace() && !matches!(c, ',' | ']' | '}' | '='))
            .count();
        let blanks: String = line
            .chars()
            .take(before)
            .map(|c| if c == '\t' { '\t' } else { ' ' })
            .collect();
        format!("{blanks}{}", "^".repeat(word.max(1)))
    }
}

/// The most of one line that is shown.
const LINE_CHARS_MAX: usize = 160;

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}; {}", self.code, self.place, self.message, self.advice)
    }
}

/// Why a text is not a usable map: every problem that was found, in the order of the text.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the data map is refused\n{rendered}")]
pub struct Refused {
    problems: Vec<Problem>,
    rendered: String,
}

impl Refused {
    pub(super) fn new(mut problems: Vec<Problem>, map_text: &str) -> Self {
        problems.sort_by_key(|it| (it.place, it.code));
        problems.dedup();
        let rendered = problems.iter().map(|it| it.render(map_text)).collect::<Vec<_>>().join("\n");
        Self { problems, rendered }
    }

    /// The problems. Never empty.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_shows_its_line_with_a_caret_under_the_word() {
        let place = Place { line: 2, column: 5 };
        let problem = Problem::error(Code::Empty, place, "no rule", "write one");
        let shown = problem.render("a = 1\n\tb = word, c\n");
        assert_eq!(
            shown,
            "error[MAP-003] line 2, column 5: no rule\n  |\n2 | \tb = word, c\n  | \t   ^\n  = write one\n"
        );
        let place = Place { line: 2, column: 6 };
        assert!(
            Problem { place, ..problem }
                .render("a = 1\n\tb = word, c\n")
                .contains("| \t    ^^^^\n")
        );
    }

    #[test]
    fn a_place_outside_of_the_text_is_still_a_sentence() {
        let place = Place { line: 9, column: 1 };
        let problem = Problem::warning(Code::NoKey, place, "no key", "add one");
        assert_eq!(
            problem.render("x"),
            "warning[MAP-110] line 9, column 1: no key\n  = add one\n"
        );
    }
}
