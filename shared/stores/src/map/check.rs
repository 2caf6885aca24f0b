//! The map against the schemas that the stores have now.

use super::catalog::{Catalog, ForeignKey, OnDelete, Table};
use super::{
    Action, Alternative, Change, Code, Constant, Map, Name, Place, Problem, Reach, Rule, Section, Severity, Strategy, TableName,
    Tenancy, personal, suggest,
};
use erasure_protocol::IdentifierKind;
use std::collections::BTreeSet;

/// Everything that would make the map fail, or fall short, on these schemas; errors first, then in the order of the map.
#[must_use]
pub fn check(map: &Map, catalog: &Catalog) -> Vec<Problem> {
    let mut found = Vec::new();
    for section in map.sections.values() {
        let Some(tables) = catalog.stores.get(&section.store) else {
            let message = format!(
                "store `{}` of section `{}` could not be looked at",
                section.store, section.subsystem
            );
            let advice = suggest::advise(&section.store, catalog.stores.keys().map(String::as_str));
            found.push(Problem::error(Code::StoreUnread, section.place, message, advice));
            continue;
        };
        for (position, rule) in section.order().into_iter().enumerate() {
            let live = Live { map, section, tables };
            found.extend(live.rule(rule, position));
        }
        found.extend(personal::uncovered(map, section, tables));
    }
    found.sort_by_key(|it| (it.severity, it.place, it.code));
    found.dedup();
    found
}

/// The table of this name.
pub(super) fn table<'a>(tables: &'a [Table], name: &TableName) -> Option<&'a Table> {
    tables.iter().find(|it| it.name == *name)
}

/// One section beside what its store has.
struct Live<'a> {
    map: &'a Map,
    section: &'a Section,
    tables: &'a [Table],
}

impl Live<'_> {
    fn rule(&self, rule: &Rule, position: usize) -> Vec<Problem> {
        let mut found = self.others(rule);
        let Some(live) = table(self.tables, &rule.table) else {
            found.push(self.no_table(rule, &rule.table, rule.place()));
            return found;
        };
        found.extend(columns(rule, live));
        found.extend(changes(rule, live));
        found.extend(self.reach(rule, live));
        if rule.erase == Action::Delete {
            found.extend(self.references(rule, live, position));
        }
        if rule.key.is_empty() && live.primary_key.is_empty() {
            let what = format!("is about table `{}`, which has no primary key", rule.table);
            let advice = "name the columns that tell its rows apart with key = [...]";
            found.push(warning(Code::NoKey, rule.place(), rule, &what, advice));
        }
        found
    }

    fn no_table(&self, rule: &Rule, name: &TableName, place: Place) -> Problem {
        let names: Vec<String> = self.tables.iter().map(|it| it.name.to_string()).collect();
        let advice = suggest::advise(&name.to_string(), names.iter().map(String::as_str));
        let what = format!("needs table `{name}`, which store `{}` does not have", self.section.store);
        error(
            Code::NoTable,
            place,
            rule,
            &what,
            format!("{advice} (or the login may not see it)"),
        )
    }

    /// The other tables that a rule names, and their columns.
    fn others(&self, rule: &Rule) -> Vec<Problem> {
        let when_last = rule.when_last.iter().map(|it| (&it.table, vec![&it.column]));
        let counted_in = rule.counted_in.iter().map(|it| {
            let there = it.on.iter().map(|(_, there)| there);
            (&it.table, std::iter::once(&it.column).chain(there).collect())
        });
        let mut found = Vec::new();
        for (name, columns) in when_last.chain(counted_in) {
            match table(self.tables, name) {
                Some(live) => {
                    found.extend(columns.iter().filter_map(|it| no_column(rule, live, it)));
                    found.extend(columns.last().and_then(|it| slow(rule, live, it)));
                }
                None => found.push(self.no_table(rule, name, rule.place())),
            }
        }
        found
    }

    fn reach(&self, rule: &Rule, live: &Table) -> Vec<Problem> {
        match &rule.reach {
            Reach::Match(alternatives) => {
                let mut found = self.unresolved(rule, alternatives).into_iter().collect::<Vec<_>>();
                found.extend(alternatives.iter().filter_map(|it| self.unindexed(rule, live, it)));
                found
            }
            Reach::Through(through) => {
                let here: Vec<&str> = through.on.iter().map(|(here, _)| here.as_str()).collect();
                let there: Vec<&str> = through.on.iter().map(|(_, there)| there.as_str()).collect();
                let mut found = Vec::new();
                if !live.leading().any(|it| here.contains(&it)) {
                    let what = format!("looks for {} in `{}` without an index", suggest::list(&here), live.name);
                    found.push(warning(
                        Code::Unindexed,
                        through.rule.place(),
                        rule,
                        &what,
                        "add an index on these columns",
                    ));
                }
                let parent = self
                    .section
                    .rule(through.rule.as_str())
                    .and_then(|it| table(self.tables, &it.table));
                if parent.is_some_and(|parent| !parent.tells_apart(&there)) {
                    let what = format!(
                        "goes through {} of its parent, which are not unique there",
                        suggest::list(&there)
                    );
                    let advice = "use the parent's key: otherwise rows of somebody else are reached";
                    found.push(error(Code::NotUnique, through.rule.place(), rule, &what, advice));
                }
                found
            }
        }
    }

    /// People are only found here by an identifier that the producer has to give.
    fn unresolved(&self, rule: &Rule, alternatives: &[Alternative]) -> Option<Problem> {
        let resolved: BTreeSet<&IdentifierKind> = self
            .map
            .sections
            .values()
            .flat_map(|section| section.rules.iter().flat_map(|rule| rule.resolves.keys()))
            .collect();
        let reachable = |it: &Alternative| it.columns.iter().all(|(_, kind)| resolved.contains(kind));
        if alternatives.iter().any(reachable) {
            return None;
        }
        let what = "finds a person only by identifiers that no rule resolves: whoever is asked for without them stays here";
        let advice = "add the identifier to `resolves` of the table that people are in, or match by one that is there";
        Some(warning(Code::Unresolved, rule.place(), rule, what, advice))
    }

    fn unindexed(&self, rule: &Rule, live: &Table, alternative: &Alternative) -> Option<Problem> {
        let wanted: Vec<String> = alternative
            .columns
            .iter()
            .map(|(column, kind)| match self.map.comparison(kind).folds_case() {
                true => format!("lower({column})"),
                false => column.as_str().to_owned(),
            })
            .collect();
        let tenant = match &rule.tenancy {
            Tenancy::Column(column) => Some(column.as_str()),
            Tenancy::Single | Tenancy::Parent => None,
        };
        let serves = |parts: &[String]| {
            let plain: Vec<String> = parts.iter().map(|it| expression(it)).collect();
            let first = plain.iter().find(|it| Some(it.as_str()) != tenant);
            // Behind the tenant the next part counts; a tenant alone reads everybody in it.
            first.is_some_and(|it| wanted.iter().any(|wanted| wanted.eq_ignore_ascii_case(it)))
        };
        if serves(&live.primary_key) || live.indexes.iter().any(|it| serves(&it.parts)) {
            return None;
        }
        let names: Vec<&str> = wanted.iter().map(String::as_str).collect();
        let place = alternative.columns.first().map_or(rule.place(), |(column, _)| column.place());
        let what = format!(
            "looks for {} in `{}` without an index, and reads the whole table",
            suggest::list(&names),
            live.name
        );
        let columns: Vec<&str> = tenant.into_iter().chain(names.iter().copied()).collect();
        let advice = format!("create index on {} ({})", live.name, columns.join(", "));
        Some(warning(Code::Unindexed, place, rule, &what, advice))
    }

    /// References to the deleted rows that would refuse the delete.
    fn references(&self, rule: &Rule, live: &Table, position: usize) -> Vec<Problem> {
        let mut found = Vec::new();
        for other in self.tables {
            for key in other.foreign_keys.iter().filter(|it| it.table == live.name) {
                match key.on_delete {
                    OnDelete::Refuse => found.extend(self.reference(rule, other, key, position)),
                    OnDelete::Cascade | OnDelete::Clear => {}
                }
            }
        }
        found
    }

    fn reference(&self, rule: &Rule, other: &Table, key: &ForeignKey, position: usize) -> Option<Problem> {
        let lets_go = |it: &Rule| it.table == other.name && it.name != rule.name && releases(it, key);
        let order = self.section.order();
        let at = order.iter().position(|it| lets_go(it));
        if at.is_some_and(|at| at < position) {
            return None;
        }
        let columns: Vec<&str> = key.columns.iter().map(String::as_str).collect();
        let by = format!("{} of `{}`", suggest::list(&columns), other.name);
        let what = format!("deletes from `{}`, which {by} refers to: the store would refuse", rule.table);
        let advice = match at.and_then(|at| order.get(at)) {
            Some(later) => format!("write rule `{}` before this one", later.name),
            None => format!(
                "declare the foreign key `on delete set null` or `on delete cascade`, or add a rule for `{}` before this one in section `{}`",
                other.name, self.section.subsystem
            ),
        };
        Some(error(Code::Referenced, rule.place(), rule, &what, advice))
    }
}

/// Whether this rule removes the rows that refer, or makes the reference null.
fn releases(rule: &Rule, key: &ForeignKey) -> bool {
    match &rule.erase {
        Action::Delete => true,
        Action::Anonymise(changes) => key.columns.iter().any(|column| {
            let cleared = changes.iter().find(|it| it.column.as_str() == column);
            cleared.is_some_and(|it| matches!(it.strategy, Strategy::Null | Strategy::Unlink))
        }),
        Action::Keep { .. } => false,
    }
}

/// An index part as it is compared: without quotes, casts, blanks and collations.
fn expression(part: &str) -> String {
    let bare = part.replace(['"', '`', '[', ']', ' '], "");
    let bare = ["::text", "::charactervarying", "COLLATENOCASE"]
        .iter()
        .fold(bare, |bare, cast| bare.replace(cast, ""));
    let inner = bare.strip_prefix('(').and_then(|it| it.strip_suffix(')'));
    let bare = inner.map_or(bare.clone(), str::to_owned);
    bare.replace("((", "(").replace("))", ")")
}

impl Table {
    /// The first column of each index, the primary key's included.
    fn leading(&self) -> impl Iterator<Item = &str> {
        let indexed = self.indexes.iter().filter_map(|it| it.parts.first());
        self.primary_key.first().into_iter().chain(indexed).map(String::as_str)
    }

    /// Whether no two rows have the same values in these columns.
    fn tells_apart(&self, columns: &[&str]) -> bool {
        let covers = |key: &[String]| !key.is_empty() && key.iter().all(|it| columns.contains(&it.as_str()));
        covers(&self.primary_key) || self.indexes.iter().any(|it| it.unique && covers(&it.parts))
    }

    fn column(&self, name: &Name) -> Option<&super::Column> {
        self.columns.iter().find(|it| it.name == name.as_str())
    }
}

fn error(code: Code, place: Place, rule: &Rule, what: &str, advice: impl Into<String>) -> Problem {
    Problem::error(code, place, format!("rule `{}` {what}", rule.name), advice)
}

fn warning(code: Code, place: Place, rule: &Rule, what: &str, advice: impl Into<String>) -> Problem {
    Problem {
        severity: Severity::Warning,
        ..error(code, place, rule, what, advice)
    }
}

fn no_column(rule: &Rule, live: &Table, column: &Name) -> Option<Problem> {
    if live.column(column).is_some() {
        return None;
    }
    let advice = suggest::advise(column.as_str(), live.columns.iter().map(|it| it.name.as_str()));
    let what = format!("needs column `{column}`, which table `{}` does not have", live.name);
    Some(error(Code::NoColumn, column.place(), rule, &what, advice))
}

/// Another table is looked into by this column, without an index that begins with it, or has it behind the tenant.
fn slow(rule: &Rule, live: &Table, column: &Name) -> Option<Problem> {
    live.column(column)?;
    let indexes = live.indexes.iter().map(|it| it.parts.as_slice());
    let mut indexes = indexes.chain([live.primary_key.as_slice()]);
    if indexes.any(|parts| parts.iter().take(2).any(|it| expression(it) == column.as_str())) {
        return None;
    }
    let what = format!("looks for `{column}` in `{}` without an index", live.name);
    let advice = format!("create index on {} ({column})", live.name);
    Some(warning(Code::Unindexed, column.place(), rule, &what, advice))
}

/// The rule's own columns that are missing.
fn columns(rule: &Rule, live: &Table) -> Vec<Problem> {
    let mut found: Vec<Problem> = rule.columns().filter_map(|it| no_column(rule, live, it)).collect();
    if let Tenancy::Column(column) = &rule.tenancy
        && live.column(column).is_none()
    {
        let what = format!(
            "needs the tenant column `{column}`, which table `{}` does not have",
            live.name
        );
        let advice = "name the right one with tenant = \"...\" in the rule: without it, another tenant's people could be erased";
        found.push(error(Code::NoTenantColumn, rule.place(), rule, &what, advice));
    }
    found
}

/// Values that a column cannot take.
fn changes(rule: &Rule, live: &Table) -> Vec<Problem> {
    rule.changes()
        .filter_map(|change| {
            let column = live.column(&change.column)?;
            let nulled = matches!(change.strategy, Strategy::Null | Strategy::Unlink);
            if nulled && !column.nullable {
                let what = format!("makes `{}` null, and table `{}` does not allow it", change.column, live.name);
                let advice = "write { value = ... } instead, or let the column be null";
                return Some(error(Code::NotNull, change.column.place(), rule, &what, advice));
            }
            if fits(change, &column.kind) {
                return None;
            }
            let what = format!("writes into `{}` what does not fit its type `{}`", change.column, column.kind);
            Some(error(
                Code::WrongType,
                change.column.place(),
                rule,
                &what,
                "write a value of the column's type, or \"null\"",
            ))
        })
        .collect()
}

/// Whether the value can be of the column's type. An unknown type is taken to fit.
fn fits(change: &Change, kind: &str) -> bool {
    let Some(family) = Family::of(kind) else {
        return true;
    };
    let families: &[Family] = match &change.strategy {
        Strategy::Null | Strategy::Unlink => return true,
        Strategy::Pseudonym => &[Family::Text],
        Strategy::Now => &[Family::Time, Family::Text, Family::Number],
        Strategy::Truncate(_) => &[Family::Time, Family::Text],
        Strategy::Value(Constant::Text(_)) => &[Family::Text, Family::Time],
        Strategy::Value(Constant::Integer(_) | Constant::Boolean(_)) => &[Family::Number, Family::Boolean],
    };
    families.contains(&family)
}

/// What the types of the stores have in common.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    Text,
    Number,
    Boolean,
    Time,
}

impl Family {
    fn of(kind: &str) -> Option<Self> {
        let kind = kind.to_lowercase();
        let is = |words: &[&str]| words.iter().any(|it| kind.starts_with(it));
        if is(&["text", "char", "varchar", "clob", "citext", "nvarchar"]) {
            Some(Self::Text)
        } else if is(&["bool"]) {
            Some(Self::Boolean)
        } else if is(&["date", "time"]) {
            Some(Self::Time)
        } else if is(&[
            "int2", "int4", "int8", "integer", "bigint", "smallint", "numeric", "decimal", "real", "double", "float",
        ]) || kind == "int"
        {
            Some(Self::Number)
        } else {
            None
        }
    }
}

impl Rule {
    /// What the rule sets, in any of its acts.
    fn changes(&self) -> impl Iterator<Item = &Change> {
        let erased: &[Change] = match &self.erase {
            Action::Anonymise(changes) => changes,
            Action::Delete | Action::Keep { .. } => &[],
        };
        let reversible = [&self.hide, &self.restore, &self.deactivate, &self.reactivate];
        erased.iter().chain(reversible.into_iter().flatten())
    }

    /// The columns of the rule's own table that it names, the tenant's apart.
    pub(super) fn columns(&self) -> impl Iterator<Item = &Name> {
        let reach: Vec<&Name> = match &self.reach {
            Reach::Match(alternatives) => alternatives
                .iter()
                .flat_map(|it| it.columns.iter().map(|(column, _)| column))
                .collect(),
            Reach::Through(through) => through.on.iter().map(|(here, _)| here).collect(),
        };
        let counted = self.counted_in.iter().flat_map(|it| it.on.iter().map(|(here, _)| here));
        reach
            .into_iter()
            .chain(self.changes().map(|it| &it.column))
            .chain(counted)
            .chain(&self.key)
            .chain(&self.personal)
            .chain(self.resolves.values())
            .chain(&self.members_of)
            .chain(&self.created)
    }
}
