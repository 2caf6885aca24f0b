//! Finding the person behind identifiers.

use super::batch::Person;
use super::{Schema, Store};
use crate::engine::{Access, Session};
use crate::map::{Alternative, Comparison, Ident, Reach, Rule};
use crate::statement::Filter;
use erasure_protocol::{Fault, Identifier, IdentifierKind, Record, Resolution, Subject, TenantId};
use std::collections::BTreeSet;

/// How often the rows of aliases are followed to further aliases.
const ALIAS_ROUNDS_MAX: usize = 4;

impl Store {
    /// The sets of identifier kinds that can find a person, in the order of the map.
    #[must_use]
    pub fn alternatives(&self) -> Vec<Vec<IdentifierKind>> {
        let all = self.finders().flat_map(|(_, alternatives)| alternatives);
        all.map(|it| it.columns.iter().map(|(_, kind)| kind.clone()).collect())
            .collect()
    }

    /// The kinds that the data map declares.
    #[must_use]
    pub fn kinds(&self) -> Vec<IdentifierKind> {
        self.map.identifiers.keys().cloned().collect()
    }

    /// The value in the form in which it is compared.
    #[must_use]
    pub fn normalise(&self, kind: &IdentifierKind, value: &str) -> String {
        self.map.normalise(kind, value)
    }

    /// For each record of identifiers the subject it belongs to: found (the record as given, then one for each row), nobody, or
    /// ambiguous (then with nothing but what was given). In order.
    ///
    /// Rows are one person's when an exact identifier that alone finds people says so (two rows with one `user_id` are aliases);
    /// sharing an e-mail address does not make two rows one person.
    ///
    /// # Errors
    /// With the store's fault.
    pub async fn resolve(&self, tenant: &TenantId, given: &[Record]) -> Result<Vec<Subject>, Fault> {
        let mut subjects: Vec<Subject> = given.iter().cloned().map(Subject::given).collect();
        let finders: Vec<_> = self.finders().collect();
        if subjects.is_empty() || finders.is_empty() {
            return Ok(subjects);
        }
        let schema = self.schema().await?;
        let mut session = self.begin(Access::Look).await?;
        let mut rows: Vec<BTreeSet<Record>> = vec![BTreeSet::new(); given.len()];
        let mut asking: Vec<usize> = (0..given.len()).collect();
        for round in 0..ALIAS_ROUNDS_MAX {
            let people = asking.iter().map(|at| Person {
                ordinal: *at,
                tenant,
                subject: &subjects[*at],
                accepted_at: None,
            });
            let people: Vec<_> = people.collect();
            let mut news = BTreeSet::new();
            for (rule, alternatives) in &finders {
                // What was given counts in full; from row to row only exact ids lead on.
                let wanted = alternatives.iter().filter(|it| round == 0 || self.names_a_person(it));
                let wanted: Vec<Alternative> = wanted.cloned().collect();
                for (ordinal, record) in self.records(&mut *session, &schema, rule, &wanted, &people).await? {
                    if rows[ordinal].insert(record) {
                        news.insert(ordinal);
                    }
                }
            }
            for at in &news {
                subjects[*at].records = std::iter::once(&given[*at]).chain(&rows[*at]).cloned().collect();
            }
            asking = news.into_iter().collect();
            if asking.is_empty() {
                break;
            }
        }
        for ((subject, rows), given) in subjects.iter_mut().zip(&rows).zip(given) {
            subject.resolution = match self.people_in(rows) {
                0 => Resolution::Nobody,
                1 => Resolution::Found,
                _ => {
                    // Nothing of other people is sealed into this request.
                    subject.records = vec![given.clone()];
                    Resolution::Ambiguous
                }
            };
        }
        Ok(subjects)
    }

    fn finders(&self) -> impl Iterator<Item = (&Rule, &Vec<Alternative>)> {
        self.section().rules.iter().filter_map(|rule| match &rule.reach {
            Reach::Match(alternatives) if !rule.resolves.is_empty() => Some((rule, alternatives)),
            Reach::Match(_) | Reach::Through(_) => None,
        })
    }

    async fn records(
        &self,
        session: &mut dyn Session,
        schema: &Schema,
        rule: &Rule,
        alternatives: &[Alternative],
        people: &[Person<'_>],
    ) -> Result<Vec<(usize, Record)>, Fault> {
        let branches = self.branches(schema, rule, alternatives, people);
        if branches.is_empty() {
            return Ok(Vec::new());
        }
        let target = self.target(schema, rule);
        let columns: Vec<Ident> = rule.resolves.values().map(|name| name.ident().clone()).collect();
        let sql = target.hold(&branches, &columns, &[], Filter::default(), false, None);
        let rows = self.fetch(session, &rule.table, sql).await?;
        let records = rows.into_iter().filter_map(|row| {
            let mut values = row.into_iter();
            let ordinal = values.next()??.parse().ok()?;
            let values = values.skip(target.key.len());
            let pairs = rule.resolves.keys().zip(values);
            let record: Record = pairs
                .filter_map(|(kind, value)| Some((kind.clone(), Identifier::new(value?)?)))
                .collect();
            (!record.is_empty()).then_some((ordinal, record))
        });
        Ok(records.collect())
    }

    /// One column, compared byte by byte: an id.
    fn names_a_person(&self, alternative: &Alternative) -> bool {
        match &alternative.columns[..] {
            [(_, kind)] => self.map.comparison(kind) == Comparison::Exact,
            _ => false,
        }
    }

    /// How many different people these rows are.
    fn people_in(&self, rows: &BTreeSet<Record>) -> usize {
        let ids: BTreeSet<&IdentifierKind> = self
            .finders()
            .flat_map(|(_, alternatives)| alternatives)
            .filter(|it| self.names_a_person(it))
            .flat_map(|it| it.columns.iter().map(|(_, kind)| kind))
            .collect();
        let rows: Vec<&Record> = rows.iter().collect();
        let mut group: Vec<usize> = (0..rows.len()).collect();
        for a in 0..rows.len() {
            for b in 0..a {
                let same = ids
                    .iter()
                    .any(|kind| rows[a].get(*kind).is_some_and(|id| rows[b].get(*kind) == Some(id)));
                if same {
                    let (from, to) = (group[a], group[b]);
                    group.iter_mut().filter(|it| **it == from).for_each(|it| *it = to);
                }
            }
        }
        group.into_iter().collect::<BTreeSet<_>>().len()
    }
}
