//! The bytes that a revision of a section is hashed from.

use super::{
    Action, Change, Constant, CountedIn, KeepOption, Map, Name, Reach, Rule, Section, Strategy, TableName, Tenancy, Unit,
    WhenLast,
};
use erasure_protocol::SubsystemName;

/// Changes when the encoding below does.
const ENCODING: u64 = 1;

impl Map {
    /// What a revision of this subsystem's part of the map is hashed from: its section, the identifiers and the revision number,
    /// each value with its length, so that two different maps never give the same bytes.
    ///
    /// Everything that decides which rows are touched, and how, is in it; the order and layout of the text, comments,
    /// `without_people` and `rows_at_once_max` are not: changing those must not send finished work round again.
    #[must_use]
    pub fn canonical_bytes(&self, subsystem: &SubsystemName) -> Option<Vec<u8>> {
        let section = self.sections.get(subsystem)?;
        let mut out = Bytes(Vec::new());
        out.number(ENCODING);
        out.number(self.revision);
        out.count(self.identifiers.len());
        for (kind, comparison) in &self.identifiers {
            out.text(kind.as_str());
            out.text(comparison.as_str());
        }
        out.section(section);
        Some(out.0)
    }
}

struct Bytes(Vec<u8>);

impl Bytes {
    fn number(&mut self, value: u64) {
        self.0.extend_from_slice(&value.to_be_bytes());
    }

    fn count(&mut self, value: usize) {
        self.number(value as u64);
    }

    fn text(&mut self, value: &str) {
        self.count(value.len());
        self.0.extend_from_slice(value.as_bytes());
    }

    fn each<T>(&mut self, values: &[T], write: impl Fn(&mut Self, &T)) {
        self.count(values.len());
        for value in values {
            write(self, value);
        }
    }

    fn names(&mut self, names: &[Name]) {
        self.each(names, |out, it| out.text(it.as_str()));
    }

    fn pairs(&mut self, pairs: &[(Name, Name)]) {
        self.each(pairs, |out, (here, there)| {
            out.text(here.as_str());
            out.text(there.as_str());
        });
    }

    fn table(&mut self, table: &TableName) {
        self.text(table.schema.as_ref().map_or("", |it| it.as_str()));
        self.text(table.name.as_str());
    }

    fn section(&mut self, section: &Section) {
        self.text(section.subsystem.as_str());
        self.text(&section.store);
        let mut rules: Vec<&Rule> = section.rules.iter().collect();
        rules.sort_by(|a, b| a.name.cmp(&b.name));
        self.each(&rules, |out, it| out.rule(it));
    }

    fn rule(&mut self, rule: &Rule) {
        self.text(rule.name.as_str());
        self.table(&rule.table);
        self.tenancy(&rule.tenancy);
        self.reach(&rule.reach);
        self.names(&rule.key);
        self.count(rule.resolves.len());
        for (kind, column) in &rule.resolves {
            self.text(kind.as_str());
            self.text(column.as_str());
        }
        self.names(&rule.personal);
        self.action(&rule.erase);
        for changes in [&rule.hide, &rule.restore, &rule.deactivate, &rule.reactivate] {
            self.changes(changes);
        }
        self.each(rule.when_last.as_slice(), Self::when_last);
        self.each(rule.counted_in.as_slice(), Self::counted_in);
        for column in [&rule.members_of, &rule.created] {
            self.names(column.as_slice());
        }
        self.number(u64::from(rule.rows_per_subject_max));
    }

    fn tenancy(&mut self, tenancy: &Tenancy) {
        match tenancy {
            Tenancy::Column(column) => {
                self.text("column");
                self.text(column.as_str());
            }
            Tenancy::Single => self.text("single"),
            Tenancy::Parent => self.text("parent"),
        }
    }

    fn reach(&mut self, reach: &Reach) {
        match reach {
            Reach::Match(alternatives) => {
                self.text("match");
                self.each(alternatives, |out, alternative| {
                    out.each(&alternative.columns, |out, (column, kind)| {
                        out.text(column.as_str());
                        out.text(kind.as_str());
                    });
                });
            }
            Reach::Through(through) => {
                self.text("through");
                self.text(through.rule.as_str());
                self.pairs(&through.on);
            }
        }
    }

    fn action(&mut self, action: &Action) {
        match action {
            Action::Delete => self.text("delete"),
            Action::Anonymise(changes) => {
                self.text("anonymise");
                self.changes(changes);
            }
            Action::Keep { because, for_days } => {
                self.text("keep");
                self.text(because);
                self.number(u64::from(*for_days));
            }
        }
    }

    fn changes(&mut self, changes: &[Change]) {
        self.each(changes, |out, it| {
            out.text(it.column.as_str());
            out.strategy(&it.strategy);
        });
    }

    fn strategy(&mut self, strategy: &Strategy) {
        match strategy {
            Strategy::Null => self.text("null"),
            Strategy::Now => self.text("now"),
            Strategy::Unlink => self.text("unlink"),
            Strategy::Pseudonym => self.text("pseudonym"),
            Strategy::Value(constant) => {
                self.text("value");
                self.constant(constant);
            }
            Strategy::Truncate(unit) => {
                self.text("truncate");
                self.text(match unit {
                    Unit::Day => "day",
                    Unit::Month => "month",
                    Unit::Year => "year",
                });
            }
        }
    }

    fn constant(&mut self, constant: &Constant) {
        match constant {
            Constant::Text(text) => {
                self.text("text");
                self.text(text);
            }
            Constant::Integer(number) => {
                self.text("integer");
                self.text(&number.to_string());
            }
            Constant::Boolean(value) => {
                self.text("boolean");
                self.text(&value.to_string());
            }
        }
    }

    fn when_last(&mut self, when_last: &WhenLast) {
        self.table(&when_last.table);
        self.text(when_last.column.as_str());
        self.text(when_last.key.as_str());
        self.text(match when_last.unless {
            Some(KeepOption::PreserveEmptyAccount) => "preserve_empty_account",
            None => "",
        });
    }

    fn counted_in(&mut self, counted_in: &CountedIn) {
        self.table(&counted_in.table);
        self.text(counted_in.column.as_str());
        self.pairs(&counted_in.on);
    }
}
