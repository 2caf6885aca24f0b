//! From a regulation to a due date.

use erasure_protocol::{Millis, Regulation};
use jiff::{Span, Timestamp, tz::TimeZone};

/// When a request is due that was received then. In UTC; the end of the due day is not waited for.
///
/// - GDPR: one calendar month (Art. 12(3); Regulation 1182/71 Art. 3: a month ends on the same day of the month, or on its last).
/// - CCPA: 45 days (Cal. Civ. Code § 1798.130(a)(2)).
/// - Contracts: 30 days.
#[must_use]
pub fn due_at(regulation: Regulation, received_at: Millis) -> Millis {
    let span = match regulation {
        Regulation::Gdpr => Span::new().months(1),
        Regulation::Ccpa => Span::new().days(45),
        Regulation::ThirtyDays => Span::new().days(30),
    };
    let received = Timestamp::from_millisecond(received_at.0).map(|at| at.to_zoned(TimeZone::UTC));
    // A date beyond the calendar is nobody's request; the earliest date is the safe one.
    received
        .and_then(|at| at.checked_add(span))
        .map_or(received_at, |due| Millis(due.timestamp().as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn due(regulation: Regulation, received: &str) -> String {
        due_at(regulation, Millis::from_rfc3339(received).unwrap()).to_rfc3339()
    }

    #[test]
    fn a_calendar_month_ends_on_the_same_day_or_on_the_last() {
        assert_eq!(due(Regulation::Gdpr, "2026-02-03T14:05:00Z"), "2026-03-03T14:05:00.000Z");
        assert_eq!(due(Regulation::Gdpr, "2026-01-31T00:00:00Z"), "2026-02-28T00:00:00.000Z");
        assert_eq!(due(Regulation::Gdpr, "2028-01-31T00:00:00Z"), "2028-02-29T00:00:00.000Z");
    }

    #[test]
    fn days_are_days() {
        assert_eq!(due(Regulation::Ccpa, "2026-01-01T00:00:00Z"), "2026-02-15T00:00:00.000Z");
        assert_eq!(
            due(Regulation::ThirtyDays, "2026-01-01T00:00:00Z"),
            "2026-01-31T00:00:00.000Z"
        );
        assert_eq!(due_at(Regulation::ThirtyDays, Millis(i64::MAX)), Millis(i64::MAX));
    }
}
