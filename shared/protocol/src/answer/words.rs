//! Dates, numbers and lists as people read them.

use crate::Millis;
use serde::Serializer;

/// "3 March", with the year when it is another one than now's: "31 December 2034". UTC.
pub(super) fn day(at: Millis, now: Millis) -> String {
    let same_year = format_utc(at, "%Y") == format_utc(now, "%Y");
    format_utc(at, if same_year { "%-d %B" } else { "%-d %B %Y" })
}

/// "4 February 10:12 UTC".
pub(super) fn day_and_time(at: Millis, now: Millis) -> String {
    format!("{} {}", day(at, now), format_utc(at, "%H:%M UTC"))
}

/// "14:05 UTC" today, "4 February 10:12 UTC" on another day.
pub(super) fn moment(at: Millis, now: Millis) -> String {
    if format_utc(at, "%F") == format_utc(now, "%F") {
        format_utc(at, "%H:%M UTC")
    } else {
        day_and_time(at, now)
    }
}

/// "10,000".
pub(super) fn thousands(count: u64) -> String {
    let digits = count.to_string();
    let first = digits.len() % 3;
    let (head, tail) = digits.split_at(first);
    let groups = tail
        .as_bytes()
        .chunks(3)
        .map(|group| String::from_utf8_lossy(group).into_owned());
    let head = (!head.is_empty()).then(|| head.to_owned());
    head.into_iter().chain(groups).collect::<Vec<_>>().join(",")
}

/// "profiles, segments and analytics".
pub(super) fn list(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

/// With a capital at its start and a full stop at its end.
pub(super) fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    let stop = if text.ends_with('.') { "" } else { "." };
    first.into_iter().chain(letters).collect::<String>() + stop
}

pub(super) fn rfc3339<S: Serializer>(at: &Millis, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&at.to_rfc3339())
}

#[allow(clippy::ref_option, reason = "the shape that serde asks for")]
pub(super) fn rfc3339_or_none<S: Serializer>(at: &Option<Millis>, serializer: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => rfc3339(at, serializer),
        None => serializer.serialize_none(),
    }
}

fn format_utc(at: Millis, form: &str) -> String {
    jiff::Timestamp::from_millisecond(at.0).map_or_else(|_| at.0.to_string(), |at| at.strftime(form).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_numbers_and_lists_read_as_people_write_them() {
        let at = |text: &str| Millis::from_rfc3339(text).unwrap();
        let now = at("2026-02-03T09:00:00Z");
        assert_eq!(day(at("2026-03-03T00:00:00Z"), now), "3 March");
        assert_eq!(day(at("2034-12-31T00:00:00Z"), now), "31 December 2034");
        assert_eq!(moment(at("2026-02-03T14:05:59Z"), now), "14:05 UTC");
        assert_eq!(moment(at("2026-02-04T10:12:00Z"), now), "4 February 10:12 UTC");
        assert_eq!(
            [0, 999, 1_000, 10_000, 1_234_567].map(thousands),
            ["0", "999", "1,000", "10,000", "1,234,567"]
        );
        let names = ["a", "b", "c"].map(str::to_owned);
        assert_eq!(
            [list(&names[..1]), list(&names[..2]), list(&names)],
            ["a", "a and b", "a, b and c"]
        );
        assert_eq!(sentence("analytics is done"), "Analytics is done.");
    }
}
