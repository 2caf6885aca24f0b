//! Columns that look as if they held personal data, and that no rule covers.

use super::catalog::Table;
use super::{Action, Code, Map, Problem, Rule, Section, suggest};
use std::collections::BTreeSet;

/// Words in a column's name that speak of a person.
const WORDS: [&str; 32] = [
    "address",
    "birth",
    "birthday",
    "contact",
    "customer",
    "device",
    "dob",
    "email",
    "firstname",
    "forename",
    "fullname",
    "iban",
    "ip",
    "lastname",
    "latitude",
    "longitude",
    "mail",
    "member",
    "mobile",
    "nickname",
    "participant",
    "passport",
    "payload",
    "person",
    "phone",
    "postcode",
    "ssn",
    "street",
    "surname",
    "telephone",
    "user",
    "username",
];

/// Words that speak of a person together with the one after them.
const PAIRS: [(&str, &str); 4] = [("first", "name"), ("last", "name"), ("full", "name"), ("given", "name")];

/// Words that turn a column into a number or a switch rather than somebody's data.
const HARMLESS: [&str; 6] = ["count", "total", "max", "min", "limit", "enabled"];

/// Warnings about tables of the section's store that no rule is about, and about columns that an anonymised row keeps.
pub(super) fn uncovered(map: &Map, section: &Section, tables: &[Table]) -> Vec<Problem> {
    let sharing: Vec<&Section> = map.sections.values().filter(|it| it.store == section.store).collect();
    // A store that several sections share is asked about once.
    if sharing.first().is_some_and(|it| it.subsystem != section.subsystem) {
        return Vec::new();
    }
    tables.iter().filter_map(|it| table(map, section, &sharing, it)).collect()
}

fn table(map: &Map, section: &Section, sharing: &[&Section], table: &Table) -> Option<Problem> {
    if sharing.iter().any(|it| it.without_people.contains_key(&table.name)) {
        return None;
    }
    let rules: Vec<&Rule> = sharing
        .iter()
        .flat_map(|it| &it.rules)
        .filter(|it| it.table == table.name)
        .collect();
    // Whole rows are deleted, or kept under a ground: nothing of them is left over.
    if rules.iter().any(|it| !matches!(it.erase, Action::Anonymise(_))) {
        return None;
    }
    let named: BTreeSet<&str> = rules.iter().flat_map(|it| it.columns()).map(|it| it.as_str()).collect();
    let suspects: Vec<&str> = table.columns.iter().map(|it| it.name.as_str()).collect();
    let suspects: Vec<&str> = suspects
        .into_iter()
        .filter(|it| looks_personal(map, it) && !named.contains(it))
        .collect();
    if suspects.is_empty() {
        return None;
    }
    let columns = suggest::list(&suspects);
    let (place, message, advice) = match rules.first() {
        None => (
            section.place,
            format!(
                "table `{}` of store `{}` is in no rule and looks personal: {columns}",
                table.name, section.store
            ),
            format!("add a rule for it, or without_people = {{ {} = \"why\" }}", table.name),
        ),
        Some(rule) => (
            rule.place(),
            format!(
                "rule `{}` anonymises table `{}` and leaves what looks personal: {columns}",
                rule.name, table.name
            ),
            "add what becomes of these columns".to_owned(),
        ),
    };
    Some(Problem::warning(Code::LooksPersonal, place, message, advice))
}

fn looks_personal(map: &Map, column: &str) -> bool {
    let words = words(column);
    let has = |set: &[&str]| words.iter().any(|it| set.contains(&it.as_str()));
    let pair = words
        .windows(2)
        .any(|it| PAIRS.iter().any(|(a, b)| it[0] == *a && it[1] == *b));
    let declared = map.identifiers.keys().any(|it| it.as_str() == words.join("_"));
    !has(&HARMLESS) && (declared || pair || has(&WORDS))
}

/// `userId`, `user_id` and `User-ID` are all `user`, `id`.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before_lower = false;
    for c in name.chars() {
        if !c.is_alphanumeric() || (c.is_uppercase() && before_lower) {
            words.push(String::new());
        }
        before_lower = c.is_lowercase();
        if c.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(c.to_lowercase());
        }
    }
    words.retain(|it| !it.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_split_into_words_however_they_are_written() {
        for name in ["userId", "user_id", "User-ID", "USER_ID"] {
            assert_eq!(words(name), ["user", "id"], "{name}");
        }
    }
}
