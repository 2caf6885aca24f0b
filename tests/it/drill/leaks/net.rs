//! The net: every word in every form in which it could stand somewhere, looked for in one pass.

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use anyhow::Result;
use std::collections::BTreeSet;
use std::io::Read;

/// A word and the form in which it was found.
pub(super) type Catch = (String, &'static str);

/// Finds words as text in any case, as UTF-16, hexadecimal, base64 wherever it begins in its group of three, lists of numbers,
/// percent-encoded and JSON-escaped; these also of the word in lower and upper case.
pub(super) struct Net {
    automaton: AhoCorasick,
    knots: Vec<Catch>,
}

impl Net {
    pub(super) fn of(words: &[String]) -> Result<Self> {
        let (mut patterns, mut knots) = (Vec::new(), Vec::new());
        for word in words {
            for (form, pattern) in forms(word) {
                patterns.push(pattern);
                knots.push((word.clone(), form));
            }
        }
        let automaton = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .kind(Some(AhoCorasickKind::ContiguousNFA))
            .build(patterns)?;
        Ok(Self { automaton, knots })
    }

    /// Everything that is found in what is read, each once.
    pub(super) fn cast(&self, bytes: impl Read) -> Result<BTreeSet<Catch>> {
        let mut catch = BTreeSet::new();
        for found in self.automaton.stream_find_iter(bytes) {
            catch.insert(self.knots[found?.pattern().as_usize()].clone());
        }
        Ok(catch)
    }
}

/// Names of forms, with the bytes to look for.
fn forms(word: &str) -> Vec<(&'static str, Vec<u8>)> {
    let mut forms = vec![
        ("text", word.as_bytes().to_vec()),
        ("UTF-16LE", word.bytes().flat_map(|byte| [byte, 0]).collect()),
        ("UTF-16BE", word.bytes().flat_map(|byte| [0, byte]).collect()),
    ];
    for written in BTreeSet::from([word.to_owned(), word.to_lowercase(), word.to_uppercase()]) {
        forms.extend(encodings(written.as_bytes()));
    }
    forms
}

fn encodings(bytes: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let each =
        |form: &dyn Fn(&u8) -> String, between: &str| bytes.iter().map(form).collect::<Vec<_>>().join(between).into_bytes();
    let mut forms = vec![
        ("hexadecimal", each(&|byte| format!("{byte:02x}"), "")),
        ("numbers", each(&u8::to_string, ",")),
        ("numbers", each(&u8::to_string, ", ")),
        ("percent", each(&|byte| format!("%{byte:02x}"), "")),
        ("JSON escapes", each(&|byte| format!("\\u{byte:04x}"), "")),
    ];
    for at in 0..3 {
        let digits = base64_inside(bytes, at);
        let safe = digits.replace('+', "-").replace('/', "_");
        if safe != digits {
            forms.push(("base64", safe.into_bytes()));
        }
        forms.push(("base64", digits.into_bytes()));
    }
    forms
}

/// The digits of base64 that stand for these bytes alone, when `at` bytes of something else come before them in their group.
fn base64_inside(bytes: &[u8], at: usize) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let padded: Vec<u8> = std::iter::repeat_n(0, at).chain(bytes.iter().copied()).collect();
    let bit = |n: usize| padded[n / 8] >> (7 - n % 8) & 1;
    let (first, last) = ((at * 8).div_ceil(6), padded.len() * 8 / 6);
    let digit = |n: usize| (n * 6..n * 6 + 6).fold(0, |value, n| value << 1 | bit(n));
    (first..last).map(|n| char::from(DIGITS[usize::from(digit(n))])).collect()
}

#[test]
fn the_net_sees_through_every_form_and_catches_nothing_else() -> Result<()> {
    let net = Net::of(&["Planted".to_owned(), "other".to_owned()])?;
    // printf 'xx: planted!' | base64, with 0 to 2 letters before it; the others by hand.
    for (form, text) in [
        ("text", "a PLANTED b"),
        ("base64", "cGxhbnRlZCE="),
        ("base64", "eHBsYW50ZWQh"),
        ("base64", "eHhwbGFudGVkIQ=="),
        ("base64", "UGxhbnRlZA=="),
        ("hexadecimal", "706C616E746564"),
        ("hexadecimal", "\\x506c616e746564"),
        ("numbers", "[112,108,97,110,116,101,100]"),
        ("numbers", "[80, 108, 97, 110, 116, 101, 100]"),
        ("percent", "%70%6C%61%6e%74%65%64"),
        ("JSON escapes", "\\u0070\\u006c\\u0061\\u006e\\u0074\\u0065\\u0064"),
        ("UTF-16LE", "p\0l\0a\0n\0t\0e\0d\0"),
        ("UTF-16BE", "\0P\0L\0A\0N\0T\0E\0D"),
    ] {
        let expected = BTreeSet::from([("Planted".to_owned(), form)]);
        assert_eq!(net.cast(text.as_bytes())?, expected, "{text:?}");
        // Also where a border of the reader's buffer lies in it.
        let far = [vec![b'.'; 64 * 1024 - 3], text.as_bytes().to_vec()].concat();
        assert_eq!(net.cast(far.as_slice())?, expected, "{text:?} far away");
    }
    assert!(net.cast(&b"cGxhbnRlcgo= planter p l a n t e d"[..])?.is_empty());
    Ok(())
}
