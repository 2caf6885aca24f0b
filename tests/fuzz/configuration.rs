//! The configuration with the environment over it, and the data map: read or refused with a place, never a panic, and what was
//! read once is read the same again.

use super::Letter;
use erasure_stores::map::{Catalog, Map, check};
use std::path::Path;

/// The binary's own source: it is a program and has no library, and its configuration is worth more here than a seam.
#[allow(dead_code, reason = "the program uses the rest")]
#[path = "../../workers/fleet/src"]
mod fleet {
    pub(super) mod config;
}

pub(super) fn judge(data: &[u8]) {
    let letter = Letter::open(data);
    let Ok(text) = std::str::from_utf8(letter.body) else { return };
    match letter.get("kind") {
        Some("map") => map(text),
        _ => configuration(text, &letter),
    }
}

fn configuration(text: &str, letter: &Letter<'_>) {
    let variables = || {
        letter
            .head
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
    };
    let read = || fleet::config::Config::read(text, variables(), Path::new("/etc/erasure"));
    match (read(), read()) {
        (Ok(first), Ok(second)) => assert!(first == second, "the same text is the same configuration"),
        (Err(first), Err(second)) => {
            let told = format!("{first:#}");
            assert!(!told.trim().is_empty(), "a refusal says something");
            assert_eq!(told, format!("{second:#}"), "the same text is refused alike");
        }
        (Ok(_), Err(error)) | (Err(error), Ok(_)) => panic!("read once and refused once: {error:#}"),
    }
}

fn map(text: &str) {
    let lines = u32::try_from(text.bytes().filter(|byte| *byte == b'\n').count()).unwrap_or(u32::MAX);
    match Map::parse(text) {
        Ok(map) => {
            let again = Map::parse(text).expect("read before");
            assert!(!map.sections.is_empty(), "a map without a section erases nothing");
            for subsystem in map.sections.keys() {
                let bytes = map.canonical_bytes(subsystem).expect("a section of this map");
                assert_eq!(Some(bytes), again.canonical_bytes(subsystem), "one map is one revision");
            }
            // Nothing could be looked at: every section must be reported.
            let problems = check(&map, &Catalog::default());
            assert!(problems.len() >= map.sections.len());
        }
        Err(refused) => {
            assert!(!refused.problems().is_empty(), "a refusal has a reason");
            for problem in refused.problems() {
                assert!(
                    (1..=lines + 1).contains(&problem.place.line),
                    "line {} of {lines}",
                    problem.place.line
                );
                assert!(!problem.message.is_empty() && !problem.advice.is_empty());
            }
            // Each problem shows a line; what it quotes must not multiply with the number of problems.
            let (told, bound) = (refused.to_string().len(), 1024 * (text.len() + 64));
            assert!(told < bound, "{told} bytes of refusal for {} bytes of map", text.len());
        }
    }
}
