//! What vendors answer: only `completed` about our own id under 200 is done, a fault names the vendor and nothing that it wrote,
//! and no answer makes us wait longer than the settings allow.

use super::Letter;
use erasure_protocol::{FaultClass, Millis};
use erasure_subprocessors::fuzz::{Call, Said, next_looks, reference_again, said};
use serde_json::Value;
use std::time::Duration;
use uuid::Uuid;

const ID: Uuid = Uuid::from_u128(7);
const VENDOR: &str = "mailer";
const NOW: Millis = Millis(1_790_000_000_000);
const HOUR: Duration = Duration::from_secs(3600);

pub(super) fn judge(data: &[u8]) {
    let letter = Letter::open(data);
    if letter.get("kind") == Some("reference") {
        return reference(letter.body);
    }
    let call = if letter.get("call") == Some("create") {
        Call::Create
    } else {
        Call::Poll
    };
    let status = letter.get("status").and_then(|it| it.parse().ok()).unwrap_or(200);
    let retry_after = letter.get("retry-after").map(str::to_owned);
    let meant = said(call, VENDOR, ID, (status, retry_after), letter.body, NOW);
    let done = call == Call::Poll && status == 200 && says(letter.body, "completed");
    assert!(done || meant != Said::Completed, "only `completed` about our own id is done");
    match meant {
        Said::Working(expected_by) => looks(expected_by),
        Said::Fault(fault) => {
            assert_eq!(fault.source.0, VENDOR, "a fault names the vendor alone");
            let wait_max_ms = 6 * HOUR.as_millis();
            assert!(fault.retry_after_ms.is_none_or(|ms| u128::from(ms) <= wait_max_ms));
            assert_eq!(fault.retry_after_ms.is_some(), fault.class == FaultClass::Throttled);
        }
        Said::Completed | Said::Cancelled | Said::PerhapsKnown | Said::Unknown => {}
    }
}

/// Whether the body says this of our id, read independently and with the first word as strict as the last.
fn says(body: &[u8], word: &str) -> bool {
    // A letter of another alphabet in a field that is not read changes nothing.
    let Ok(Value::Object(fields)) = serde_json::from_str(&String::from_utf8_lossy(body)) else {
        return false;
    };
    let id = fields.get("subject_request_id").and_then(Value::as_str);
    id.and_then(|id| id.parse::<Uuid>().ok()) == Some(ID)
        && fields.get("request_status").and_then(Value::as_str) == Some(word)
        && fields
            .get("expected_completion_time")
            .is_none_or(|time| time.is_string() || time.is_null())
}

fn looks(expected_by: Option<Millis>) {
    for poll_every in [Duration::from_millis(1), Duration::from_secs(7), HOUR] {
        let latest = NOW.plus(poll_every + poll_every / 1_000 + Duration::from_millis(1));
        for look in next_looks(NOW, poll_every, expected_by, 40) {
            assert!((NOW..=latest).contains(&look), "{look:?} is not within {poll_every:?}");
        }
    }
}

fn reference(body: &[u8]) {
    let Ok(text) = std::str::from_utf8(body) else { return };
    let written = reference_again(text);
    assert_eq!(reference_again(&written), written, "a reference is read as it was written");
}
