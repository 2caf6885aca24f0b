//! What rules say about each other, and what a rule says that cannot be meant: refused before any database is looked at.

use super::{Action, Change, Code, Map, Name, Place, Problem, Reach, Rule, Section, Strategy, Tenancy, Through, suggest};

/// Everything that contradicts itself in a map whose rules could all be read.
pub(super) fn problems(map: &Map) -> Vec<Problem> {
    let mut found = resolving(map);
    for section in map.sections.values() {
        found.extend(covered_twice(section));
        found.extend(circle(section));
        found.extend(several_memberships(section));
        for rule in &section.rules {
            found.extend(through(map, section, rule));
            found.extend(undo(rule, ("hide", &rule.hide), ("restore", &rule.restore)));
            found.extend(undo(rule, ("deactivate", &rule.deactivate), ("reactivate", &rule.reactivate)));
            found.extend(anonymise(rule));
            found.extend(when_last(section, rule));
            found.extend(counted_in(rule));
        }
    }
    found
}

fn refusal(code: Code, place: Place, rule: &Rule, what: &str, advice: impl Into<String>) -> Problem {
    Problem::error(code, place, format!("rule `{}` {what}", rule.name), advice)
}

/// Exactly one section finds people at intake, and not through a parent.
fn resolving(map: &Map) -> Vec<Problem> {
    let resolving: Vec<(&Section, &Rule)> = map
        .sections
        .values()
        .flat_map(|section| section.rules.iter().map(move |rule| (section, rule)))
        .filter(|(_, rule)| !rule.resolves.is_empty())
        .collect();
    let Some((first, _)) = resolving.first() else {
        let place = map.sections.values().find(|it| it.subsystem.as_str() == "profiles");
        let place = place.map_or(Place { line: 1, column: 1 }, |it| it.place);
        let advice =
            "add resolves = { user_id = \"COLUMN\", ... } to the rule of the table that people are in, in section `profiles`";
        let message = "no rule has `resolves`, so nobody could be found before the erasure";
        return vec![Problem::error(Code::Resolves, place, message, advice)];
    };
    let elsewhere = resolving.iter().filter(|(section, _)| section.subsystem != first.subsystem);
    let elsewhere = elsewhere.map(|(_, rule)| {
        let what = format!("resolves people, and section `{}` does so too", first.subsystem);
        refusal(
            Code::Resolves,
            rule.place(),
            rule,
            &what,
            "keep `resolves` in one section only",
        )
    });
    let children = resolving.iter().filter(|(_, rule)| matches!(rule.reach, Reach::Through(_)));
    let children = children.map(|(_, rule)| {
        let advice = "move `resolves` to a rule with `match`";
        refusal(
            Code::Resolves,
            rule.place(),
            rule,
            "resolves people, and is itself reached through another",
            advice,
        )
    });
    elsewhere.chain(children).collect()
}

fn covered_twice(section: &Section) -> Vec<Problem> {
    let both = section
        .rules
        .iter()
        .filter(|it| section.without_people.contains_key(&it.table));
    both.map(|rule| {
        let what = format!("is about table `{}`, which `without_people` says holds nobody", rule.table);
        refusal(
            Code::Contradiction,
            rule.place(),
            rule,
            &what,
            "take it out of one of the two",
        )
    })
    .collect()
}

fn circle(section: &Section) -> Option<Problem> {
    let circle = section.circle();
    let first = circle.first()?;
    let names: Vec<&str> = circle.iter().map(|it| it.name.as_str()).collect();
    let what = format!("waits for itself: {} go round in a circle", suggest::list(&names));
    let advice = "let one of them `match` by an identifier instead of `through` or `when_last`";
    Some(refusal(Code::Through, first.place(), first, &what, advice))
}

fn several_memberships(section: &Section) -> Option<Problem> {
    let mut rules = section.rules.iter().filter(|it| it.members_of.is_some());
    let (first, second) = (rules.next()?, rules.next()?);
    let what = format!("has `members_of`, and `{}` has it too", first.name);
    let advice = "keep it in the rule of the table that lists a segment's members";
    Some(refusal(Code::Contradiction, second.place(), second, &what, advice))
}

fn through(map: &Map, section: &Section, rule: &Rule) -> Option<Problem> {
    let Reach::Through(Through { rule: parent, .. }) = &rule.reach else {
        return None;
    };
    let refuse = |what: String, advice: String| Some(refusal(Code::Through, parent.place(), rule, &what, advice));
    match section.rule(parent.as_str()) {
        Some(found) if found.when_last.is_some() => refuse(
            format!("goes through `{parent}`, whose rows belong to several people"),
            "give the child the same `match` and `when_last` as its parent, or `on delete cascade` in the schema".to_owned(),
        ),
        Some(_) => None,
        None => {
            let other = map.sections.values().find(|it| it.rule(parent.as_str()).is_some());
            match other {
                Some(other) => refuse(
                    format!("goes through `{parent}`, which is a rule of section `{}`", other.subsystem),
                    "a child is reached through a parent of its own section, in one store and transaction: match it by an identifier".to_owned(),
                ),
                None => refuse(
                    format!("goes through `{parent}`, and there is no such rule"),
                    suggest::advise(parent.as_str(), section.rules.iter().map(|it| it.name.as_str())),
                ),
            }
        }
    }
}

/// What sets columns has a counterpart that sets the same ones, to values that say nothing of what was there before.
fn undo(rule: &Rule, done: (&str, &[Change]), undone: (&str, &[Change])) -> Vec<Problem> {
    let mut found = Vec::new();
    for ((act, changes), (counterpart, others)) in [(done, undone), (undone, done)] {
        for change in changes {
            if !others.iter().any(|it| it.column == change.column) {
                let what = format!("sets `{}` to {act}, and `{counterpart}` does not set it", change.column);
                let advice = format!("add the column to {counterpart} = {{ set = {{ ... }} }}");
                found.push(refusal(Code::NoUndo, change.column.place(), rule, &what, advice));
            }
            match change.strategy {
                Strategy::Null | Strategy::Now | Strategy::Value(_) => {}
                Strategy::Unlink | Strategy::Pseudonym | Strategy::Truncate(_) => {
                    let what = format!("loses what `{}` was, and {act} must be reversible", change.column);
                    let advice = "use \"null\", \"now\" or { value = ... } on a column made for it, such as hidden_at";
                    found.push(refusal(Code::NoUndo, change.column.place(), rule, &what, advice));
                }
            }
            found.extend(fixed(rule, &change.column));
        }
    }
    found
}

/// Tenant and key columns stay as they are: a row that changes them is another's, or is never found again.
fn fixed(rule: &Rule, column: &Name) -> Option<Problem> {
    let tenant = matches!(&rule.tenancy, Tenancy::Column(it) if it == column);
    let what = match (tenant, rule.key.contains(column)) {
        (true, _) => format!("changes its tenant column `{column}`"),
        (false, true) => format!("changes its key column `{column}`"),
        (false, false) => return None,
    };
    Some(refusal(
        Code::Change,
        column.place(),
        rule,
        &what,
        "leave that column as it is",
    ))
}

/// An anonymised row points at nobody: of each alternative at least one column changes, and all `personal` ones do.
fn anonymise(rule: &Rule) -> Vec<Problem> {
    let Action::Anonymise(changes) = &rule.erase else {
        return Vec::new();
    };
    let changed = |column: &Name| changes.iter().any(|it| it.column == *column);
    let mut found: Vec<Problem> = changes.iter().filter_map(|it| fixed(rule, &it.column)).collect();
    if let Reach::Match(alternatives) = &rule.reach {
        for alternative in alternatives
            .iter()
            .filter(|it| !it.columns.iter().any(|(column, _)| changed(column)))
        {
            let names: Vec<&str> = alternative.columns.iter().map(|(column, _)| column.as_str()).collect();
            let place = alternative.columns.first().map_or(rule.place(), |(column, _)| column.place());
            let what = format!("anonymises rows that still match the person by {}", suggest::list(&names));
            let advice = "change one of these columns as well, for example to \"unlink\"";
            found.push(refusal(Code::StillPersonal, place, rule, &what, advice));
        }
    }
    for column in rule.personal.iter().filter(|it| !changed(it)) {
        let what = format!("says that `{column}` is personal, and anonymising leaves it");
        let advice = "say what it becomes: \"null\", \"pseudonym\", { value = ... } or { truncate = ... }";
        found.push(refusal(Code::StillPersonal, column.place(), rule, &what, advice));
    }
    found
}

fn when_last(section: &Section, rule: &Rule) -> Vec<Problem> {
    let Some(when_last) = &rule.when_last else {
        return Vec::new();
    };
    let place = when_last.column.place();
    let refuse = |what: &str, advice: &str| refusal(Code::WhenLast, place, rule, what, advice);
    let mut found = Vec::new();
    let owners = section
        .rules
        .iter()
        .any(|it| it.table == when_last.table && it.name != rule.name);
    if !owners {
        let what = format!(
            "goes with the last row of `{}`, a table without a rule in this section",
            when_last.table
        );
        found.push(refuse(&what, "add the rule that removes its owners to this section"));
    }
    match rule.erase {
        Action::Delete => {}
        Action::Anonymise(_) | Action::Keep { .. } => {
            found.push(refuse(
                "has `when_last` and does not delete",
                "write erase = \"delete\", or leave `when_last` out",
            ));
        }
    }
    let reversible = [&rule.hide, &rule.restore, &rule.deactivate, &rule.reactivate];
    if reversible.iter().any(|it| !it.is_empty()) {
        let what = "belongs to several people and would be hidden or deactivated with one of them";
        found.push(refuse(
            what,
            "leave hide, restore, deactivate and reactivate out of this rule",
        ));
    }
    found
}

fn counted_in(rule: &Rule) -> Option<Problem> {
    let counted_in = rule.counted_in.as_ref()?;
    match rule.erase {
        Action::Delete => None,
        Action::Anonymise(_) | Action::Keep { .. } => {
            let advice = "write erase = \"delete\", or leave `counted_in` out: a row that stays still counts";
            let place = counted_in.column.place();
            Some(refusal(
                Code::Count,
                place,
                rule,
                "has `counted_in` and does not delete",
                advice,
            ))
        }
    }
}
