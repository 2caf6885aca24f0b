//! Files as people write them.

use super::*;
use erasure_protocol::{Command, Operation, Options, RequestId};
use std::io::BufReader;

fn vocabulary() -> Vocabulary {
    let kinds = ["user_id", "email", "business_unit"].map(|name| IdentifierKind::new(name).unwrap());
    let [user, email, unit] = kinds.clone();
    Vocabulary {
        kinds: kinds.into(),
        alternatives: vec![vec![user], vec![email, unit]],
    }
}

fn template() -> Command {
    Command {
        request_id: RequestId::new("file-1").unwrap(),
        tenant: "acme".to_owned(),
        operation: Operation::Erase,
        subjects: Vec::new(),
        received_at: None,
        regulation: None,
        origin: None,
        ticket: None,
        options: Options::default(),
        part: None,
    }
}

fn read(format: Format, text: &[u8]) -> (Vec<Command>, Report) {
    // A tiny buffer, so that every line crosses its border.
    let mut parts = Parts::open(BufReader::with_capacity(7, text), format, vocabulary(), template()).unwrap();
    let commands = parts.by_ref().map(Result::unwrap).collect();
    (commands, parts.report().clone())
}

fn refusal(text: &[u8]) -> String {
    Parts::open(text, Format::Csv, vocabulary(), template())
        .unwrap_err()
        .to_string()
}

fn bad(report: &Report) -> Vec<(u64, LineCode, &str)> {
    report
        .bad
        .iter()
        .map(|bad| (bad.line, bad.code, bad.field.as_str()))
        .collect()
}

#[test]
fn a_mark_and_windows_line_ends_change_nothing() {
    let (commands, report) = read(Format::Csv, b"\xef\xbb\xbfuser_id\r\n1\r\n\"2\"\r\n\r\n3");
    assert_eq!((report.good, report.bad_count), (3, 0));
    assert_eq!(commands.len(), 1);
    let kind = IdentifierKind::new("user_id").unwrap();
    let values: Vec<_> = commands[0].subjects.iter().map(|it| it[&kind].expose()).collect();
    assert_eq!(values, ["1", "2", "3"]);
}

#[test]
fn bad_lines_are_reported_by_number_and_the_good_ones_go_on() {
    let (commands, report) = read(
        Format::Csv,
        b"email,business_unit\na@x.org,eu\nb@x.org\nc@x.org,eu,more\n,eu\n\xff,eu\n\"d@x.org,eu\na@x.org,eu\ne@x.org,us\nn\0l,eu\n",
    );
    use LineCode as L;
    assert_eq!(
        bad(&report),
        [
            (3, L::TooFewFields, ""),
            (4, L::TooManyFields, ""),
            (5, L::Incomplete, "email"),
            (6, L::NotUtf8, ""),
            (7, L::BadQuote, ""),
            (8, L::Duplicate, ""),
            (10, L::BadIdentifier, "email"),
        ]
    );
    assert_eq!((report.good, commands[0].subjects.len()), (2, 2));
    assert!(Command::parse(&commands[0].to_json()).is_ok());
}

#[test]
fn a_line_without_end_is_skipped_and_not_kept_in_memory() {
    let mut text = b"user_id\n1\n".to_vec();
    text.extend(vec![b'x'; LINE_BYTES_MAX + 1]);
    text.extend(b"\n2\n");
    let (_, report) = read(Format::Csv, &text);
    assert_eq!(bad(&report), [(3, LineCode::TooLong, "")]);
    assert_eq!(report.good, 2);
}

#[test]
fn a_wrong_header_says_which_columns_are_wanted() {
    assert!(refusal(b"").contains("user_id, or email + business_unit"));
    assert!(refusal(b"mail,business_unit\n").contains("column 1 is mail, which is not known"));
    assert!(refusal(b"email\n").contains("complete way"));
    assert!(refusal(b"user_id,user_id\n").contains("column 2 is there twice"));
    let forgotten = refusal(b"planted@example.org,eu\n");
    assert!(
        forgotten.contains("withheld") && !forgotten.contains("planted"),
        "{forgotten}"
    );
}

#[test]
fn parts_are_full_and_only_the_final_one_is_last() {
    for (lines, sizes) in [
        (0, vec![]),
        (1, vec![1]),
        (512, vec![512]),
        (513, vec![512, 1]),
        (1024, vec![512, 512]),
    ] {
        let mut text = "user_id\n".to_owned();
        (0..lines).for_each(|at| text.push_str(&format!("{at}\n")));
        text.push_str("\n0,too,many\n");
        let (commands, report) = read(Format::Csv, text.as_bytes());
        assert_eq!(commands.iter().map(|it| it.subjects.len()).collect::<Vec<_>>(), sizes);
        let parts: Vec<_> = commands.iter().map(|it| it.part.unwrap()).collect();
        assert!(
            parts
                .iter()
                .enumerate()
                .all(|(at, part)| part.number as usize == at && part.last == (at + 1 == parts.len()))
        );
        assert_eq!((report.good, report.bad_count), (lines, 1));
    }
}

#[test]
fn one_option_holds_for_the_whole_file() {
    let (commands, report) = read(
        Format::Csv,
        b"user_id,preserveEmptyAccount\n1,true\n2,false\n3,yes\n4,maybe\n",
    );
    assert!(commands[0].options.preserve_empty_account);
    assert_eq!(
        bad(&report),
        [
            (3, LineCode::OptionDiffers, PRESERVE_COLUMN),
            (5, LineCode::BadOption, PRESERVE_COLUMN)
        ]
    );
}

#[test]
fn json_lines_are_read_alike() {
    let (commands, report) = read(
        Format::Ndjson,
        b"{\"user_id\": 7}\n{\"email\": \"a@x.org\"}\nno\n{\"phone\": 1}\n{\"user_id\": [1]}\n{\"user_id\": \"8\", \"preserveEmptyAccount\": false}\n",
    );
    use LineCode as L;
    assert_eq!(
        bad(&report),
        [
            (2, L::Incomplete, ""),
            (3, L::NotJson, ""),
            (4, L::UnknownField, "phone"),
            (5, L::BadIdentifier, "user_id")
        ]
    );
    assert_eq!(commands[0].subjects.len(), 2);
}

#[test]
fn of_two_people_under_one_name_neither_is_passed_over() {
    let (commands, report) = read(
        Format::Ndjson,
        b"{\"user_id\":\"1\",\"user_id\":\"2\"}\n{\"user_id\":\"\",\"user_id\":\"3\"}\n",
    );
    assert!(commands.is_empty());
    let twice = (LineCode::GivenTwice, "user_id");
    assert_eq!(bad(&report), [(1, twice.0, twice.1), (2, twice.0, twice.1)]);
}

#[test]
fn a_report_lists_a_thousand_bad_lines_and_counts_the_others() {
    let text = format!("user_id\n{}", "a,b\n".repeat(1500));
    let (commands, report) = read(Format::Csv, text.as_bytes());
    assert!(commands.is_empty());
    assert_eq!((report.bad.len(), report.bad_count), (1000, 1500));
}
