//! Time as the fleet stores and compares it.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A moment, in whole milliseconds since the Unix epoch (UTC).
///
/// Nothing in this crate reads a clock: whoever needs "now" is handed one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Millis(pub i64);

impl Millis {
    /// This moment and `span` more.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)))
    }

    /// How long from `earlier` until this moment; zero when `earlier` is the later one.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// RFC 3339 in UTC with milliseconds, as events and answers carry it.
    #[must_use]
    pub fn to_rfc3339(self) -> String {
        jiff::Timestamp::from_millisecond(self.0).map_or_else(|_| self.0.to_string(), |at| format!("{at:.3}"))
    }

    /// Reads RFC 3339 as the schemas of our messages have it: `2026-11-22T03:00:00Z`, with a fraction or an offset where wanted.
    /// `None` when it is not that, or before the year 0, which cannot be written again.
    #[must_use]
    pub fn from_rfc3339(text: &str) -> Option<Self> {
        if !has_the_form(text.as_bytes()) {
            return None;
        }
        let at = text.parse::<jiff::Timestamp>().ok()?.as_millisecond();
        (at >= YEAR_0_MS).then_some(Self(at))
    }
}

/// `0000-01-01T00:00:00Z`, the first moment that RFC 3339 can write.
const YEAR_0_MS: i64 = -62_167_219_200_000;

/// The calendar's own reader takes more than RFC 3339: blanks, missing seconds, names of time zones, years of six digits.
fn has_the_form(text: &[u8]) -> bool {
    const DATE_AND_TIME: &[u8] = b"0000-00-00T00:00:00";
    let Some((head, rest)) = text.split_at_checked(DATE_AND_TIME.len()) else {
        return false;
    };
    let digits = rest.iter().skip(1).take_while(|byte| byte.is_ascii_digit()).count();
    let zone = match rest.strip_prefix(b".") {
        Some(fraction) if (1..=9).contains(&digits) => &fraction[digits..],
        Some(_) => return false,
        None => rest,
    };
    let is = |form: &[u8], text: &[u8]| {
        let same = |(form, byte): (&u8, &u8)| form == byte || (*form == b'0' && byte.is_ascii_digit());
        form.len() == text.len() && form.iter().zip(text).all(same)
    };
    is(DATE_AND_TIME, head) && [&b"Z"[..], b"+00:00", b"-00:00"].iter().any(|form| is(form, zone))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3339_survives_the_round_trip() {
        let at = Millis::from_rfc3339("2026-02-03T14:05:00.250+01:00").unwrap();
        assert_eq!(at.to_rfc3339(), "2026-02-03T13:05:00.250Z");
        assert_eq!(Millis::from_rfc3339(&at.to_rfc3339()), Some(at));
        assert_eq!(Millis::from_rfc3339("yesterday"), None);
    }

    #[test]
    fn what_the_schema_of_a_time_refuses_is_not_read() {
        for text in [
            "2026-11-22 03:00:00Z",
            "2026-11-22T03:00Z",
            "20261122T030000Z",
            "2026-11-22T03:00:00",
            "2026-11-22T03:00:00.Z",
            "2026-11-22T03:00:00.1234567890Z",
            "2026-11-22T03:00:00+0100",
            "2026-11-22T03:00:00+01:00[Europe/Berlin]",
            "-009999-01-02T03:04:05Z",
            "0000-01-01T00:00:00+01:00",
            "2026-02-30T00:00:00Z",
        ] {
            assert_eq!(Millis::from_rfc3339(text), None, "{text}");
        }
        for text in ["0000-01-01T00:00:00Z", "2026-11-22T03:00:00.123456789-11:30"] {
            let at = Millis::from_rfc3339(text).unwrap();
            assert_eq!(Millis::from_rfc3339(&at.to_rfc3339()), Some(at), "{text}");
        }
    }
}
