//! When to ask again.

use erasure_protocol::Millis;
use std::time::Duration;

/// The longest that a vendor can make us wait by `Retry-After`.
pub(crate) const RETRY_AFTER_MAX: Duration = Duration::from_secs(6 * 3600);

/// How long we wait when a vendor asks to slow down and does not say for how long.
pub(crate) const RETRY_AFTER_DEFAULT: Duration = Duration::from_secs(30);

/// The shortest wait between two questions, unless `poll_every_ms` is shorter still.
const WAIT_MIN: Duration = Duration::from_secs(5);

/// The next look at accepted work: when the vendor wants to be done, but at the latest after `poll_every`, and never at once.
pub(crate) fn next_poll(now: Millis, poll_every: Duration, expected_by: Option<Millis>) -> Millis {
    let latest = now.plus(poll_every);
    let soonest = now.plus(poll_every.min(WAIT_MIN));
    let wanted = expected_by.filter(|at| *at > now);
    together(wanted.map_or(latest, |at| at.clamp(soonest, latest)), poll_every)
}

/// The next look after an error: a wait that doubles with each, up to `poll_every`.
pub(crate) fn after_errors(now: Millis, poll_every: Duration, errors: u32) -> Millis {
    let doubled = WAIT_MIN.saturating_mul(1 << errors.saturating_sub(1).min(16));
    together(now.plus(doubled.min(poll_every)), poll_every)
}

/// Rounds a look up to a grid of a thousandth of the usual pace, so that the people of a batch are looked at together.
fn together(at: Millis, poll_every: Duration) -> Millis {
    let grid = i64::try_from(poll_every.as_millis() / 1_000).unwrap_or(i64::MAX).max(1);
    let late = at.0.rem_euclid(grid);
    if late == 0 {
        at
    } else {
        Millis(at.0.saturating_add(grid - late))
    }
}

/// Reads `Retry-After` (RFC 9110, section 10.2.3): seconds, or a date in any of its three forms. Capped; `None` when it is
/// neither.
pub(crate) fn retry_after(text: &str, now: Millis) -> Option<Duration> {
    let text = text.trim();
    let wait = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => http_date(text)?.since(now),
    };
    Some(wait.min(RETRY_AFTER_MAX))
}

fn http_date(text: &str) -> Option<Millis> {
    // RFC 9110, section 5.6.7: the form in use, the one of RFC 850, the one of asctime.
    let zoneless = [
        "%a, %d %b %Y %H:%M:%S GMT",
        "%A, %d-%b-%y %H:%M:%S GMT",
        "%a %b %e %H:%M:%S %Y",
    ];
    let civil = zoneless
        .iter()
        .find_map(|form| jiff::civil::DateTime::strptime(form, text).ok())?;
    let at = civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(Millis(at.timestamp().as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn the_next_look_is_when_the_vendor_expects_to_be_done_but_never_at_once() {
        let now = Millis(3_600_000);
        assert_eq!(next_poll(now, HOUR, None), Millis(7_200_000));
        assert_eq!(next_poll(now, HOUR, Some(Millis(3_960_000))), Millis(3_960_000));
        assert_eq!(next_poll(now, HOUR, Some(Millis(99_000_000))), Millis(7_200_000));
        assert_eq!(next_poll(now, HOUR, Some(Millis(3_600_001))), Millis(3_607_200));
        assert_eq!(
            next_poll(now, HOUR, Some(Millis(5))),
            Millis(7_200_000),
            "overdue: at the usual pace"
        );
        assert_eq!(next_poll(now, Duration::from_millis(20), None), Millis(3_600_020));
    }

    #[test]
    fn looks_that_are_close_are_one_look() {
        let looks = [1, 2, 3_500].map(|now| next_poll(Millis(now), HOUR, None));
        assert_eq!(looks, [Millis(3_603_600); 3]);
    }

    #[test]
    fn errors_make_the_wait_grow_up_to_the_usual_pace() {
        let now = Millis(0);
        assert_eq!(after_errors(now, HOUR, 1), Millis(7_200));
        assert_eq!(after_errors(now, HOUR, 3), Millis(21_600));
        assert_eq!(after_errors(now, HOUR, u32::MAX), Millis(3_600_000));
        assert_eq!(after_errors(now, Duration::from_millis(20), 1), Millis(20));
    }

    #[test]
    fn retry_after_is_read_in_every_form_and_capped() {
        let now = Millis::from_rfc3339("1994-11-06T08:49:07Z").unwrap();
        let half_a_minute = Some(Duration::from_secs(30));
        assert_eq!(retry_after(" 30 ", now), half_a_minute);
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT", now), half_a_minute);
        assert_eq!(retry_after("Sunday, 06-Nov-94 08:49:37 GMT", now), half_a_minute);
        assert_eq!(retry_after("Sun Nov  6 08:49:37 1994", now), half_a_minute);
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:48:37 GMT", now), Some(Duration::ZERO));
        assert_eq!(retry_after("99999999", now), Some(RETRY_AFTER_MAX));
        assert_eq!(retry_after("soon", now), None);
        assert_eq!(retry_after("-5", now), None);
    }
}
