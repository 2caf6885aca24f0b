//! The sample company's map is read, ordered and refused: each refusal once, at its line.

mod check;

use super::*;
use erasure_protocol::{IdentifierKind, SubsystemName};

const SAMPLE: &str = include_str!("../../../../deploy/sample/map.toml");

fn sample() -> Map {
    Map::parse(SAMPLE).unwrap_or_else(|refused| panic!("{refused}"))
}

fn subsystem(name: &str) -> SubsystemName {
    SubsystemName::new(name).unwrap()
}

/// The sample with one text replaced, which must occur.
fn changed(from: &str, to: &str) -> String {
    assert!(SAMPLE.contains(from), "{from}");
    SAMPLE.replacen(from, to, 1)
}

/// Expects exactly this refusal, on a line that contains `line`, with advice that contains `advice`.
#[track_caller]
fn refused(text: &str, code: Code, line: &str, advice: &str) {
    let refused = Map::parse(text).expect_err("the map should be refused");
    let [problem] = refused.problems() else {
        panic!("{refused}");
    };
    assert_eq!(problem.code, code, "{refused}");
    let shown = text.lines().nth(problem.place.line as usize - 1).unwrap_or_default();
    assert!(shown.contains(line), "{refused}");
    assert!(problem.advice.contains(advice), "{refused}");
    assert!(refused.to_string().contains(&problem.message));
}

const SCRATCH: &str = "version = 1\n[identifiers]\nuser_id = \"exact\"\nemail = \"trim_lower\"\n[subsystem.profiles]\nstore = \"crm\"\ntenant = \"tenant_id\"\n[subsystem.profiles.table.people]\nmatch = [{ user_id = \"user_id\" }]\nresolves = { user_id = \"user_id\" }\nerase = \"delete\"\n";

fn with(extra: &str) -> String {
    format!("{SCRATCH}{extra}")
}

#[test]
fn the_sample_map_says_what_it_means() {
    let map = sample();
    let count: usize = map.sections.values().map(|it| it.rules.len()).sum();
    assert_eq!(
        (map.revision, map.identifiers.len(), map.sections.len(), count),
        (1, 6, 3, 11)
    );
    let profiles = &map.sections[&subsystem("profiles")];
    let people = profiles.rule("participants").unwrap();
    assert_eq!(
        people.place().line as usize,
        1 + SAMPLE.lines().position(|it| it.contains("table.participants]")).unwrap()
    );
    assert_eq!(
        people.tenancy,
        Tenancy::Column(Name::new(Ident::new("tenant_id").unwrap(), Place::default()))
    );
    assert_eq!((people.rows_per_subject_max, people.resolves.len()), (100, 6));
    let Reach::Match(alternatives) = &people.reach else { panic!() };
    let pairs: Vec<String> = alternatives[3]
        .columns
        .iter()
        .map(|(column, kind)| format!("{column}={kind}"))
        .collect();
    assert_eq!(pairs, ["business_unit=business_unit", "email=email"]);
    let owner = profiles.rule("accounts").unwrap().when_last.clone().unwrap();
    assert_eq!(
        (owner.key.as_str(), owner.unless),
        ("id", Some(KeepOption::PreserveEmptyAccount))
    );
    let analytics = &map.sections[&subsystem("analytics")];
    assert_eq!(analytics.rule("referrals_received").unwrap().table.to_string(), "referrals");
    assert_eq!(analytics.rule("reward_notes").unwrap().tenancy, Tenancy::Parent);
    assert_eq!(analytics.rule("events").unwrap().rows_at_once_max, Some(50_000));
    assert_eq!(
        map.normalise(&IdentifierKind::new("email").unwrap(), " A@B.invalid"),
        "a@b.invalid"
    );
}

#[test]
fn children_go_before_parents_and_shared_rows_last() {
    let map = sample();
    let order = |name: &str| -> Vec<String> {
        let rules = map.order(&subsystem(name)).unwrap();
        rules.iter().map(|it| it.name.to_string()).collect()
    };
    assert_eq!(order("profiles"), ["participants", "accounts"]);
    let analytics = order("analytics");
    let at = |name: &str| analytics.iter().position(|it| it == name).unwrap();
    assert!(at("reward_notes") < at("rewards"), "{analytics:?}");
    assert!(map.order(&subsystem("nobody")).is_none());

    let text = "[subsystem.profiles.table.homes]\nmatch = [{ id = \"user_id\" }]\nwhen_last = { table = \"people\", column = \"home\" }\nerase = \"delete\"\n\
        [subsystem.profiles.table.deep]\nthrough = { rule = \"child\", on = { c = \"id\" } }\nerase = \"delete\"\n\
        [subsystem.profiles.table.child]\nthrough = { rule = \"people\", on = { p = \"id\" } }\nerase = \"delete\"\n";
    let map = Map::parse(&with(text)).unwrap();
    let names = |rules: Vec<&Rule>| rules.iter().map(|it| it.name.to_string()).collect::<Vec<_>>();
    let section = &map.sections[&subsystem("profiles")];
    assert_eq!(names(section.order()), ["deep", "child", "people", "homes"]);
    assert_eq!(names(section.parents()), ["people", "child"]);
}

#[test]
fn a_revision_changes_with_what_is_done_and_not_with_the_layout() {
    let bytes = |text: &str, name: &str| Map::parse(text).unwrap().canonical_bytes(&subsystem(name)).unwrap();
    let was = bytes(SAMPLE, "analytics");
    assert_eq!(bytes(&format!("# a comment\n\n{SAMPLE}"), "analytics"), was);
    assert_eq!(
        bytes(&changed("rows_at_once_max = 50000", "rows_at_once_max = 10"), "analytics"),
        was
    );
    assert_eq!(
        bytes(
            &changed("status = { value = \"inactive\" }", "status = { value = \"off\" }"),
            "analytics"
        ),
        was
    );
    for (from, to) in [
        ("revision = 1", "revision = 2"),
        ("email = \"trim_lower\"", "email = \"lower\""),
        ("store = \"warehouse\"", "store = \"lake\""),
        ("referral_code = \"null\"", "referral_code = \"pseudonym\""),
        ("for_days = 3650", "for_days = 365"),
        ("on = { reward_id = \"id\" }", "on = { reward_id = \"number\" }"),
        ("rows_per_subject_max = 1000000", "rows_per_subject_max = 999"),
    ] {
        assert_ne!(bytes(&changed(from, to), "analytics"), was, "{from}");
    }
    assert!(sample().canonical_bytes(&subsystem("nobody")).is_none());
}

#[test]
fn a_slip_is_shown_at_its_line_with_what_was_meant() {
    refused(
        &changed("members_of", "member_of"),
        Code::Shape,
        "member_of",
        "did you mean `members_of`?",
    );
    refused(
        &changed("hidden_at = \"now\"", "hidden_at = \"nwo\""),
        Code::Shape,
        "nwo",
        "did you mean `now`?",
    );
    refused(
        &changed("erase = \"delete\"", "erase = \"remove\""),
        Code::Shape,
        "remove",
        "there is: `delete`",
    );
    refused(&changed("version = 1", "version = one"), Code::Shape, "one", "correct");
    refused(&changed("store = \"crm\"", "store = 7"), Code::Shape, "store = 7", "correct");
    let text = changed("{ user_id = \"user_id\" },", "{ user_id = \"usr_id\" },");
    refused(&text, Code::UnknownIdentifier, "usr_id", "did you mean `user_id`?");
    let shown = Map::parse(&text).unwrap_err().to_string();
    assert!(shown.contains("{ user_id = \"usr_id\" },\n"), "{shown}");
    assert!(shown.contains("^^^^^^^^\n"), "{shown}");
}

#[test]
fn an_empty_map_section_or_match_is_refused() {
    let empty = Map::parse("").unwrap_err();
    let codes: Vec<Code> = empty.problems().iter().map(|it| it.code).collect();
    assert_eq!(codes, [Code::Version, Code::Empty, Code::Empty]);
    refused(
        &changed("version = 1", "version = 2"),
        Code::Version,
        "version = 2",
        "version = 1",
    );
    refused(
        &with("[subsystem.more]\nstore = \"crm\"\ntenant = \"t\"\n"),
        Code::Empty,
        "[subsystem.more]",
        "subsystem.more.table",
    );
    refused(
        &changed("store = \"crm\"\n", ""),
        Code::Empty,
        "[subsystem.profiles]",
        "store =",
    );
    refused(
        &changed("[{ id = \"account_id\" }]", "[]"),
        Code::NoReach,
        "match = []",
        "everybody",
    );
    refused(
        &with("").replace("[{ user_id = \"user_id\" }]", "[{}]"),
        Code::NoReach,
        "[{}]",
        "everybody",
    );
}

#[test]
fn a_rule_must_say_what_whose_and_how() {
    refused(
        &SCRATCH.replace("erase = \"delete\"\n", ""),
        Code::NoErase,
        "table.people",
        "erase = \"delete\"",
    );
    refused(
        &SCRATCH.replace("tenant = \"tenant_id\"\n", ""),
        Code::NoTenant,
        "table.people",
        "single_tenant",
    );
    refused(
        &SCRATCH.replace("match = [{ user_id = \"user_id\" }]\n", ""),
        Code::NoReach,
        "table.people",
        "match =",
    );
    refused(
        &with("through = { rule = \"people\", on = { a = \"b\" } }\n"),
        Code::NoReach,
        "through",
        "one of them",
    );
    refused(
        &with("single_tenant = true\ntenant = \"t\"\n"),
        Code::Contradiction,
        "single_tenant",
        "tenant",
    );
    Map::parse(&SCRATCH.replace("tenant = \"tenant_id\"", "single_tenant = true")).unwrap();
    refused(
        &changed(
            "[subsystem.analytics.table.events]",
            "[subsystem.analytics.table.\"\\u0007\"]",
        ),
        Code::BadName,
        "u0007",
        "control",
    );
    refused(&with("rows_at_once_max = 0\n"), Code::Limit, "rows_at_once_max", "1 to");
    refused(
        &changed("because = \"GDPR Art. 17(3)(b), tax law\"", "because = \" \""),
        Code::Change,
        "because",
        "ground",
    );
    refused(
        &changed("erase = { anonymise = { note = \"null\" } }", "erase = { anonymise = {} }")
            .replace("personal = [\"note\"]\n", ""),
        Code::Change,
        "anonymise = {}",
        "column",
    );
}

#[test]
fn people_must_be_found_by_exactly_one_section() {
    refused(
        &SCRATCH.replace("resolves = { user_id = \"user_id\" }\n", ""),
        Code::Resolves,
        "[subsystem.profiles]",
        "resolves =",
    );
    let twice = changed("personal = [\"payload\"]", "resolves = { user_id = \"user_id\" }");
    refused(&twice, Code::Resolves, "table.participants", "one section only");
}

#[test]
fn a_child_is_reached_inside_its_own_section() {
    let child = |rule: &str| {
        format!(
            "[subsystem.profiles.table.child]\nthrough = {{ rule = \"{rule}\", on = {{ p = \"id\" }} }}\nerase = \"delete\"\n"
        )
    };
    refused(&with(&child("poeple")), Code::Through, "poeple", "did you mean `people`?");
    refused(&with(&child("child")), Code::Through, "table.child", "match");
    refused(
        &with("[subsystem.profiles.table.child]\nthrough = { rule = \"people\", on = {} }\nerase = \"delete\"\n"),
        Code::Through,
        "on = {}",
        "on =",
    );
    let circle = child("other")
        + "[subsystem.profiles.table.other]\nthrough = { rule = \"child\", on = { p = \"id\" } }\nerase = \"delete\"\n";
    refused(&with(&circle), Code::Through, "table.child", "match");
    refused(
        &changed("rule = \"rewards\"", "rule = \"participants\""),
        Code::Through,
        "rule = \"participants\"",
        "own section",
    );
    let shared = with(&child("homes"))
        + "[subsystem.profiles.table.homes]\nmatch = [{ id = \"user_id\" }]\nwhen_last = { table = \"people\", column = \"home\" }\nerase = \"delete\"\n";
    refused(&shared, Code::Through, "rule = \"homes\"", "on delete cascade");
}

#[test]
fn what_is_reversible_can_be_taken_back() {
    refused(
        &SAMPLE.replace("restore = { set = { hidden_at = \"null\" } }\ndeactivate", "deactivate"),
        Code::NoUndo,
        "hide =",
        "restore",
    );
    let lossy = changed("hidden_at = \"now\"", "hidden_at = \"pseudonym\"");
    refused(&lossy, Code::NoUndo, "hide =", "hidden_at");
    let other = Map::parse(&changed("reactivate = { set = { status =", "reactivate = { set = { state =")).unwrap_err();
    assert!(
        other.problems().iter().all(|it| it.code == Code::NoUndo) && other.problems().len() == 2,
        "{other}"
    );
}

#[test]
fn an_anonymised_row_points_at_nobody() {
    let kept = changed("participant_id = \"unlink\", referral_code", "referral_code");
    refused(&kept, Code::StillPersonal, "participant_id = \"participant_id\"", "unlink");
    refused(
        &changed(", referred_email = \"null\" }", " }"),
        Code::StillPersonal,
        "personal",
        "becomes",
    );
    refused(
        &changed("note = \"null\"", "note = \"null\", id = \"null\"").replace("personal = [\"note\"]", "key = [\"id\"]"),
        Code::Change,
        "id = \"null\"",
        "leave",
    );
    refused(
        &changed("referral_code = \"null\"", "tenant_id = \"null\""),
        Code::Change,
        "tenant_id = \"null\"",
        "leave",
    );
}

#[test]
fn shared_rows_and_counts_need_a_delete() {
    refused(
        &changed(
            "table = \"participants\", column = \"account_id\"",
            "table = \"people\", column = \"account_id\"",
        ),
        Code::WhenLast,
        "when_last",
        "owners",
    );
    refused(
        &changed(
            "personal = [\"name\", \"billing_email\"]\nerase = \"delete\"",
            "erase = { keep = { because = \"law\", for_days = 1 } }",
        ),
        Code::WhenLast,
        "when_last",
        "delete",
    );
    refused(
        &changed(
            "[{ id = \"account_id\" }]",
            "[{ id = \"account_id\" }, { email = \"email\" }]",
        ),
        Code::WhenLast,
        "when_last",
        "match",
    );
    let hidden = "hide = { set = { h = \"now\" } }\nrestore = { set = { h = \"null\" } }\nwhen_last";
    refused(&changed("when_last", hidden), Code::WhenLast, "when_last", "hide");
    refused(
        &changed(
            "erase = \"delete\"\nhide = { set = { hidden_at = \"now\" } }\nrestore = { set = { hidden_at = \"null\" } }\n\n# ---- analytics",
            "erase = { keep = { because = \"law\", for_days = 1 } }\n# ---- analytics",
        ),
        Code::Count,
        "counted_in",
        "delete",
    );
    refused(
        &changed(
            "[subsystem.analytics.table.events]\n",
            "[subsystem.analytics.table.events]\nmembers_of = \"a\"\n",
        )
        .replace("table.report_rows]\n", "table.report_rows]\nmembers_of = \"a\"\n"),
        Code::Contradiction,
        "table.report_rows",
        "lists",
    );
    refused(
        &changed("visit_totals =", "events ="),
        Code::Contradiction,
        "table.events",
        "one of the two",
    );
}

#[test]
fn every_slip_is_told_at_once() {
    let text = changed("{ id = \"participant_id\" }", "{ id = \"nobody\" }").replace("for_days = 3650", "for_days = 0");
    assert_eq!(Map::parse(&text).unwrap_err().problems().len(), 2);
}

#[test]
fn no_text_whatever_makes_reading_panic() {
    // A linear congruential generator (Knuth's MMIX constants): the same texts on every run.
    let mut state = 42_u64;
    let mut next = |below: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 33).unwrap() % below
    };
    let pieces = [
        "", "\"", "{", "}", "[", "]", "=", "\n", "ä", "\u{0}", "'''", "[[", "1e9", ".", "#", "null", "-1", "true", "\t",
    ];
    let bytes: Vec<char> = SAMPLE.chars().collect();
    for _ in 0..400 {
        let (from, length) = (next(bytes.len()), next(40));
        let to = (from + length).min(bytes.len());
        let text: String = bytes[..from]
            .iter()
            .chain(&pieces[next(pieces.len())].chars().collect::<Vec<_>>())
            .chain(&bytes[to..])
            .collect();
        match Map::parse(&text) {
            Ok(map) => assert!(map.sections.values().all(|it| it.order().len() == it.rules.len())),
            Err(refused) => assert!(!refused.problems().is_empty() && !refused.to_string().is_empty()),
        }
    }
    assert_eq!(
        Map::parse(&" ".repeat(MAP_BYTES_MAX + 1)).unwrap_err().problems()[0].code,
        Code::Limit
    );
    assert!(Map::parse(&"[".repeat(100_000)).is_err());
}

#[test]
fn names_are_quoted_and_checked() {
    assert_eq!(Ident::new("a\"b; drop").unwrap().quoted(), "\"a\"\"b; drop\"");
    assert_eq!(TableName::parse("crm.people").unwrap().quoted(), "\"crm\".\"people\"");
    assert!(Ident::new("").is_none() && Ident::new("a\0b").is_none() && Ident::new(&"x".repeat(64)).is_none());
    assert!(TableName::parse(".x").is_none() && TableName::parse("x.").is_none());
}
