//! From the map as TOML spells it to its types: each rule by itself.

use super::parse::Reader;
use super::raw::{Pairs, RawChanges, RawErase, RawMap, RawRule, RawSection, RawSet, RawStrategy, RawThrough, Text};
use super::{
    Action, Alternative, Change, Code, Comparison, CountedIn, Map, Name, Place, Reach, Rule, Section, Strategy, Tenancy, Through,
    WhenLast, suggest,
};
use erasure_protocol::{IdentifierKind, SubsystemName};
use std::collections::BTreeMap;
use toml::Spanned;

/// The version of the map's format that this program reads.
const VERSION: i64 = 1;

/// How many rows one subject may have in one table, unless the rule says otherwise.
const ROWS_PER_SUBJECT_MAX: u32 = 10_000;

type Kinds = BTreeMap<IdentifierKind, Comparison>;

pub(super) fn map(reader: &mut Reader<'_>, raw: RawMap) -> Map {
    version(reader, raw.version.as_ref());
    let mut identifiers = Kinds::new();
    for (name, comparison) in &raw.identifiers {
        match IdentifierKind::new(name.get_ref()) {
            Some(kind) => drop(identifiers.insert(kind, (*comparison).into())),
            None => {
                let place = reader.place(&name.span());
                let message = format!("{:?} cannot name an identifier", name.get_ref());
                reader.refuse(
                    Code::BadName,
                    place,
                    message,
                    "write a lowercase letter, then up to 39 of a-z 0-9 _",
                );
            }
        }
    }
    let start = Place { line: 1, column: 1 };
    if identifiers.is_empty() {
        let advice = "add a table [identifiers], for example user_id = \"exact\"";
        reader.refuse(Code::Empty, start, "the map declares no identifiers", advice);
    }
    if raw.subsystem.is_empty() {
        let advice = "add a table [subsystem.profiles] with its store and its rules";
        reader.refuse(
            Code::Empty,
            start,
            "the map has no section, so nothing would ever be erased",
            advice,
        );
    }
    let revision = raw.revision.and_then(|it| number(reader, &it, 0, i64::MAX));
    let mut sections = BTreeMap::new();
    for (name, raw) in raw.subsystem {
        if let Some(section) = section(reader, &identifiers, &name, raw) {
            sections.insert(section.subsystem.clone(), section);
        }
    }
    Map {
        revision: revision.unwrap_or(0).unsigned_abs(),
        identifiers,
        sections,
    }
}

fn version(reader: &mut Reader<'_>, version: Option<&Spanned<i64>>) {
    let place = version.map_or(Place { line: 1, column: 1 }, |it| reader.place(&it.span()));
    let advice = format!("write version = {VERSION}");
    match version.map(Spanned::get_ref) {
        Some(&VERSION) => {}
        Some(other) => reader.refuse(
            Code::Version,
            place,
            format!("version {other} of the map's format is unknown"),
            advice,
        ),
        None => reader.refuse(Code::Version, place, "the map does not say its format's version", advice),
    }
}

fn section(reader: &mut Reader<'_>, kinds: &Kinds, name: &Text, raw: RawSection) -> Option<Section> {
    let place = reader.place(&name.span());
    let store = match &raw.store {
        Some(store) if !store.get_ref().trim().is_empty() => Some(store.get_ref().clone()),
        Some(_) | None => {
            let message = format!("section `{}` does not name its store", name.get_ref());
            reader.refuse(
                Code::Empty,
                place,
                message,
                "add store = \"...\", a name from [stores] of the configuration",
            );
            None
        }
    };
    if raw.table.is_empty() {
        let message = format!("section `{}` has no rule, so it would erase nothing", name.get_ref());
        let advice = format!(
            "add a table [subsystem.{}.table.NAME] for each table with people in it",
            name.get_ref()
        );
        reader.refuse(Code::Empty, place, message, advice);
    }
    let default = tenancy(reader, raw.tenant.as_ref(), raw.single_tenant.as_ref());
    let mut without_people = BTreeMap::new();
    for (table, reason) in &raw.without_people {
        if let Some(table) = reader.table(table) {
            without_people.insert(table, reason.get_ref().clone());
        }
    }
    let mut rules: Vec<Rule> = Vec::new();
    for (name, raw) in raw.table {
        rules.extend(
            RuleReader {
                reader,
                kinds,
                name: &name,
            }
            .rule(default.as_ref(), raw),
        );
    }
    rules.sort_by_key(Rule::place);
    let subsystem = SubsystemName::new(name.get_ref().as_str())
        .map_err(|error| reader.refuse(Code::BadName, place, error.to_string(), "rename the section"))
        .ok();
    Some(Section {
        subsystem: subsystem?,
        store: store?,
        without_people,
        rules,
        place,
    })
}

/// What `tenant` and `single_tenant` of one level say; `None` when they say nothing.
fn tenancy(reader: &mut Reader<'_>, tenant: Option<&Text>, single: Option<&Spanned<bool>>) -> Option<Tenancy> {
    match (tenant, single.map(|it| (*it.get_ref(), reader.place(&it.span())))) {
        (Some(_), Some((true, place))) => {
            let message = "`tenant` and `single_tenant` contradict each other";
            reader.refuse(
                Code::Contradiction,
                place,
                message,
                "keep `tenant` if the store holds more than one tenant",
            );
            Some(Tenancy::Single)
        }
        (Some(column), Some((false, _)) | None) => reader.name(column).map(Tenancy::Column),
        (None, Some((true, _))) => Some(Tenancy::Single),
        (None, Some((false, _)) | None) => None,
    }
}

/// A whole number within its range.
fn number(reader: &mut Reader<'_>, value: &Spanned<i64>, min: i64, max: i64) -> Option<i64> {
    if (min..=max).contains(value.get_ref()) {
        return Some(*value.get_ref());
    }
    let place = reader.place(&value.span());
    reader.refuse(
        Code::Limit,
        place,
        format!("{} is out of range", value.get_ref()),
        format!("write {min} to {max}"),
    );
    None
}

/// Reads one rule.
struct RuleReader<'r, 'a> {
    reader: &'r mut Reader<'a>,
    kinds: &'r Kinds,
    name: &'r Text,
}

impl RuleReader<'_, '_> {
    fn rule(&mut self, default: Option<&Tenancy>, raw: RawRule) -> Option<Rule> {
        let place = self.reader.place(&self.name.span());
        let erase = raw.erase.map(|it| self.erase(it));
        if erase.is_none() {
            let advice =
                "add erase = \"delete\", { anonymise = { column = \"null\" } } or { keep = { because = \"...\", for_days = 1 } }";
            self.refuse(Code::NoErase, place, "does not say what erasing does", advice);
        }
        let reach = self.reach(place, raw.matches.as_ref(), raw.through.as_ref());
        let own = tenancy(self.reader, raw.tenant.as_ref(), raw.single_tenant.as_ref());
        let tenancy = own.or_else(|| match &reach {
            Some(Reach::Through(_)) => Some(Tenancy::Parent),
            Some(Reach::Match(_)) | None => default.cloned(),
        });
        if tenancy.is_none() {
            let advice =
                "add tenant = \"COLUMN\" to the rule or its section, or single_tenant = true if the store holds one tenant only";
            self.refuse(Code::NoTenant, place, "does not say which tenant a row belongs to", advice);
        }
        let name = self.reader.name(self.name);
        let table = match (&raw.table, &name) {
            (Some(table), _) => self.reader.table(table),
            (None, Some(_)) => self.reader.table(self.name),
            (None, None) => None,
        };
        let resolves = self.resolves(&raw.resolves);
        let [hide, restore, deactivate, reactivate] =
            [raw.hide, raw.restore, raw.deactivate, raw.reactivate].map(|it| self.set(it));
        let when_last = raw.when_last.map(|it| (self.reader.place(&it.span()), it.into_inner()));
        let when_last = when_last.and_then(|(place, raw)| {
            let (table, column) = (self.reader.table(&raw.table), self.reader.name(&raw.column));
            let key = self.owner_key(place, reach.as_ref());
            Some(WhenLast {
                table: table?,
                column: column?,
                key: key?,
                unless: raw.unless.map(Into::into),
            })
        });
        let counted_in = raw.counted_in.and_then(|it| {
            let place = self.reader.place(&it.span());
            let raw = it.into_inner();
            let (table, column) = (self.reader.table(&raw.table), self.reader.name(&raw.column));
            let on = self.on(Code::Count, place, &raw.on);
            Some(CountedIn {
                table: table?,
                column: column?,
                on: on?,
            })
        });
        let rows_at_once_max = self.limit(raw.rows_at_once_max.as_ref());
        let rows_per_subject_max = self.limit(raw.rows_per_subject_max.as_ref());
        Some(Rule {
            name: name?,
            table: table?,
            tenancy: tenancy?,
            reach: reach?,
            key: self.names(&raw.key),
            resolves,
            personal: self.names(&raw.personal),
            erase: erase?,
            hide,
            restore,
            deactivate,
            reactivate,
            when_last,
            counted_in,
            members_of: raw.members_of.and_then(|it| self.reader.name(&it)),
            created: raw.created.and_then(|it| self.reader.name(&it)),
            rows_at_once_max,
            rows_per_subject_max: rows_per_subject_max.unwrap_or(ROWS_PER_SUBJECT_MAX),
        })
    }

    fn refuse(&mut self, code: Code, place: Place, what: &str, advice: impl Into<String>) {
        let message = format!("rule `{}` {what}", self.name.get_ref());
        self.reader.refuse(code, place, message, advice);
    }

    fn names(&mut self, texts: &[Text]) -> Vec<Name> {
        texts.iter().filter_map(|it| self.reader.name(it)).collect()
    }

    fn limit(&mut self, value: Option<&Spanned<i64>>) -> Option<u32> {
        let value = number(self.reader, value?, 1, i64::from(u32::MAX))?;
        u32::try_from(value).ok()
    }

    fn reach(
        &mut self,
        place: Place,
        matches: Option<&Spanned<Vec<Spanned<Pairs>>>>,
        through: Option<&Spanned<RawThrough>>,
    ) -> Option<Reach> {
        match (matches, through) {
            (Some(_), Some(through)) => {
                let place = self.reader.place(&through.span());
                self.refuse(Code::NoReach, place, "has both `match` and `through`", "keep one of them");
                None
            }
            (None, None) => {
                let advice = "add match = [{ COLUMN = \"IDENTIFIER\" }], or through = { rule = \"PARENT\", on = { COLUMN = \"PARENT COLUMN\" } }";
                self.refuse(Code::NoReach, place, "does not say how a person's rows are found", advice);
                None
            }
            (Some(alternatives), None) => self.alternatives(alternatives).map(Reach::Match),
            (None, Some(through)) => {
                let place = self.reader.place(&through.span());
                let rule = self.reader.name(&through.get_ref().rule);
                let on = self.on(Code::Through, place, &through.get_ref().on);
                Some(Reach::Through(Through { rule: rule?, on: on? }))
            }
        }
    }

    fn alternatives(&mut self, raw: &Spanned<Vec<Spanned<Pairs>>>) -> Option<Vec<Alternative>> {
        const ADVICE: &str = "write at least one { COLUMN = \"IDENTIFIER\" }: no condition would match everybody";
        if raw.get_ref().is_empty() {
            let place = self.reader.place(&raw.span());
            self.refuse(Code::NoReach, place, "has an empty `match`", ADVICE);
            return None;
        }
        let mut alternatives = Vec::new();
        for it in raw.get_ref() {
            let mut columns: Vec<(Name, IdentifierKind)> = Vec::new();
            for (column, kind) in it.get_ref() {
                let (column, kind) = (self.reader.name(column), self.kind(kind));
                columns.extend(column.zip(kind));
            }
            if it.get_ref().is_empty() {
                let place = self.reader.place(&it.span());
                self.refuse(Code::NoReach, place, "has an alternative without a condition", ADVICE);
            }
            alternatives.push(Alternative { columns });
        }
        Some(alternatives)
    }

    fn kind(&mut self, text: &Text) -> Option<IdentifierKind> {
        let known = IdentifierKind::new(text.get_ref()).filter(|it| self.kinds.contains_key(it));
        if known.is_none() {
            let place = self.reader.place(&text.span());
            let what = format!("uses the identifier `{}`, which the map does not declare", text.get_ref());
            let advice = suggest::advise(text.get_ref(), self.kinds.keys().map(IdentifierKind::as_str));
            self.refuse(Code::UnknownIdentifier, place, &what, format!("{advice} (see [identifiers])"));
        }
        known
    }

    fn resolves(&mut self, raw: &Pairs) -> BTreeMap<IdentifierKind, Name> {
        raw.iter()
            .filter_map(|(kind, column)| self.kind(kind).zip(self.reader.name(column)))
            .collect()
    }

    fn on(&mut self, code: Code, place: Place, raw: &Pairs) -> Option<Vec<(Name, Name)>> {
        if raw.is_empty() {
            let advice = "write on = { COLUMN HERE = \"COLUMN THERE\" }";
            self.refuse(code, place, "does not say which columns belong together", advice);
            return None;
        }
        let pairs = raw
            .iter()
            .map(|(here, there)| self.reader.name(here).zip(self.reader.name(there)));
        pairs.collect()
    }

    /// The column by which owners refer to a shared row: the one that its rule matches by.
    fn owner_key(&mut self, place: Place, reach: Option<&Reach>) -> Option<Name> {
        if let Some(Reach::Match(alternatives)) = reach
            && let [Alternative { columns }] = alternatives.as_slice()
            && let [(column, _)] = columns.as_slice()
        {
            return Some(column.clone());
        }
        if reach.is_some() {
            let what = "has `when_last`, so it must match by exactly one column, the one its owners refer to";
            self.refuse(
                Code::WhenLast,
                place,
                what,
                "write match = [{ id = \"account_id\" }] or the like",
            );
        }
        None
    }

    fn erase(&mut self, raw: Spanned<RawErase>) -> Action {
        let place = self.reader.place(&raw.span());
        match raw.into_inner() {
            RawErase::Delete => Action::Delete,
            RawErase::Anonymise(changes) => Action::Anonymise(self.changes(place, changes)),
            RawErase::Keep { because, for_days } => {
                if because.get_ref().trim().is_empty() {
                    let place = self.reader.place(&because.span());
                    self.refuse(
                        Code::Change,
                        place,
                        "keeps without a ground",
                        "write the legal ground in `because`",
                    );
                }
                Action::Keep {
                    because: because.into_inner(),
                    for_days: self.limit(Some(&for_days)).unwrap_or(1),
                }
            }
        }
    }

    fn set(&mut self, raw: Option<Spanned<RawSet>>) -> Vec<Change> {
        let Some(raw) = raw else { return Vec::new() };
        let place = self.reader.place(&raw.span());
        let RawSet::Set(changes) = raw.into_inner();
        self.changes(place, changes)
    }

    fn changes(&mut self, place: Place, raw: RawChanges) -> Vec<Change> {
        if raw.is_empty() {
            let advice = "name at least one column and what it becomes";
            self.refuse(Code::Change, place, "changes no column", advice);
        }
        let changes = raw.into_iter().filter_map(|(column, strategy)| {
            Some(Change {
                column: self.reader.name(&column)?,
                strategy: strategy.into(),
            })
        });
        changes.collect()
    }
}

impl From<RawStrategy> for Strategy {
    fn from(raw: RawStrategy) -> Self {
        match raw {
            RawStrategy::Null => Self::Null,
            RawStrategy::Now => Self::Now,
            RawStrategy::Unlink => Self::Unlink,
            RawStrategy::Pseudonym => Self::Pseudonym,
            RawStrategy::Value(constant) => Self::Value(constant.0),
            RawStrategy::Truncate(unit) => Self::Truncate(unit.into()),
        }
    }
}
