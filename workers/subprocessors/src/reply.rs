//! What a vendor's answer means. Pure: from status, headers and body to a word.

use crate::code::{Code, coded};
use crate::wait::{RETRY_AFTER_DEFAULT, retry_after};
use erasure_protocol::{Blame, Fault, FaultClass, FaultCode, Millis};
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::BTreeMap;
use uuid::Uuid;

/// An answer as it came off the wire.
#[derive(Debug)]
pub(crate) struct Raw {
    /// The HTTP status.
    pub(crate) status: u16,
    /// The `Retry-After` header.
    pub(crate) retry_after: Option<String>,
    /// The body, at most as long as the client allows.
    pub(crate) body: Vec<u8>,
}

/// What a vendor said to a new request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Created {
    /// It took the request. That is all: nothing is erased yet.
    Accepted {
        /// By when it wants to be done.
        expected_by: Option<Millis>,
    },
    /// It refused, perhaps because it has this id already: only asking for the id can tell.
    PerhapsKnown,
    /// It did not take the request.
    Fault(Fault),
}

/// What a vendor said of a request that it had accepted.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Polled {
    /// Done.
    Completed,
    /// Called off, by whomever.
    Cancelled,
    /// Not done yet. Every word we do not know means this, so that none can ever be taken for "done".
    Working {
        /// By when it wants to be done.
        expected_by: Option<Millis>,
    },
    /// It does not know the id.
    Unknown,
    /// It did not say.
    Fault(Fault),
}

/// The fields that we read, of either answer. `encoded_request`, the echo of what was sent, is personal data and not among them.
#[derive(Deserialize)]
pub(crate) struct Body {
    pub(crate) subject_request_id: Option<Uuid>,
    request_status: Option<String>,
    expected_completion_time: Option<String>,
    /// Makes it an object: a list would be read by position, and could say `completed` without ever naming a status.
    #[serde(flatten)]
    _rest: BTreeMap<String, IgnoredAny>,
}

/// Reads the answer to `POST`.
pub(crate) fn created(vendor: &str, id: Uuid, raw: &Raw, now: Millis) -> Created {
    match raw.status {
        200..=202 => match read(vendor, id, raw) {
            Ok(body) => Created::Accepted {
                expected_by: expected(&body),
            },
            Err(fault) => Created::Fault(fault),
        },
        400 => coded(&raw.body).map_or(Created::PerhapsKnown, |code| code.created(vendor)),
        409 => Created::PerhapsKnown,
        404 | 405 | 410 => Created::Fault(permanent(vendor, FaultCode::VendorNotFound, Blame::Store)),
        _ => Created::Fault(otherwise(vendor, raw, now)),
    }
}

/// Reads the answer to `GET`.
pub(crate) fn polled(vendor: &str, id: Uuid, raw: &Raw, now: Millis) -> Polled {
    match raw.status {
        200 => match read(vendor, id, raw) {
            Ok(body) => status(vendor, &body),
            Err(fault) => Polled::Fault(fault),
        },
        404 | 410 => Polled::Unknown,
        400 if coded(&raw.body) == Some(Code::NotFound) => Polled::Unknown,
        400 if coded(&raw.body) == Some(Code::Internal) => Polled::Fault(transient(vendor, FaultCode::VendorError)),
        _ => Polled::Fault(otherwise(vendor, raw, now)),
    }
}

/// The vendor refuses the request as such.
pub(crate) fn refused(vendor: &str) -> Fault {
    permanent(vendor, FaultCode::VendorRefused, Blame::Subject)
}

/// A fault that somebody has to act upon.
pub(crate) fn permanent(vendor: &str, code: FaultCode, blame: Blame) -> Fault {
    Fault::new(FaultClass::Permanent, blame, code, vendor)
}

/// A fault that may pass.
pub(crate) fn transient(vendor: &str, code: FaultCode) -> Fault {
    Fault::new(FaultClass::Transient, Blame::Store, code, vendor)
}

/// An answer must be about the id we asked for: an answer about another one, or about none, proves nothing.
fn read(vendor: &str, id: Uuid, raw: &Raw) -> Result<Body, Fault> {
    let unreadable = || transient(vendor, FaultCode::VendorUnreadable);
    let body: Body = serde_json::from_slice(&raw.body).map_err(|_| unreadable())?;
    if body.subject_request_id == Some(id) {
        Ok(body)
    } else {
        Err(unreadable())
    }
}

pub(crate) fn expected(body: &Body) -> Option<Millis> {
    body.expected_completion_time.as_deref().and_then(Millis::from_rfc3339)
}

pub(crate) fn status(vendor: &str, body: &Body) -> Polled {
    match body.request_status.as_deref() {
        Some("completed") => Polled::Completed,
        Some("cancelled" | "canceled") => Polled::Cancelled,
        Some(_) => Polled::Working {
            expected_by: expected(body),
        },
        None => Polled::Fault(transient(vendor, FaultCode::VendorUnreadable)),
    }
}

/// The statuses that mean the same to either call.
pub(crate) fn otherwise(vendor: &str, raw: &Raw, now: Millis) -> Fault {
    match raw.status {
        401 | 403 => permanent(vendor, FaultCode::VendorRefusedLogin, Blame::Store),
        429 => {
            let told = raw.retry_after.as_deref().and_then(|text| retry_after(text, now));
            Fault::new(FaultClass::Throttled, Blame::Store, FaultCode::VendorThrottles, vendor)
                .after(told.unwrap_or(RETRY_AFTER_DEFAULT))
        }
        408 => transient(vendor, FaultCode::VendorUnreachable),
        425 | 500..=599 => transient(vendor, FaultCode::VendorError),
        300..=399 => permanent(vendor, FaultCode::VendorNotFound, Blame::Store),
        400..=499 => refused(vendor),
        _ => transient(vendor, FaultCode::VendorUnreadable),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const ID: Uuid = Uuid::from_u128(7);
    const NOW: Millis = Millis(1_000);

    fn raw(status: u16, body: &str) -> Raw {
        let body = body.replace("ID", &ID.to_string()).into_bytes();
        Raw {
            status,
            retry_after: None,
            body,
        }
    }

    fn says(status: &str) -> Polled {
        let body = format!(r#"{{"subject_request_id":"ID","request_status":"{status}"}}"#);
        polled("mailer", ID, &raw(200, &body), NOW)
    }

    #[test]
    fn only_the_word_completed_about_our_own_id_is_done() {
        assert_eq!(says("completed"), Polled::Completed);
        for word in ["pending", "in_progress", "in-progress", "Completed", "done", ""] {
            assert_eq!(says(word), Polled::Working { expected_by: None }, "{word}");
        }
        assert_eq!(says("cancelled"), Polled::Cancelled);
        assert_eq!(says("canceled"), Polled::Cancelled);
        let unreadable = Polled::Fault(transient("mailer", FaultCode::VendorUnreadable));
        for body in [
            "",
            "<html>",
            "[]",
            "completed",
            r#"{"request_status":"completed"}"#,
            r#"{"subject_request_id":"00000000-0000-0000-0000-000000000008","request_status":"completed"}"#,
            r#"{"subject_request_id":"ID"}"#,
            r#"["ID","completed",null]"#,
            r#"{"subject_request_id":"ID","request_status":"pending","request_status":"completed"}"#,
        ] {
            assert_eq!(polled("mailer", ID, &raw(200, body), NOW), unreadable, "{body}");
        }
        for status in [201, 202, 204] {
            let answer = raw(status, r#"{"subject_request_id":"ID","request_status":"completed"}"#);
            assert_ne!(polled("mailer", ID, &answer, NOW), Polled::Completed, "{status}");
        }
    }

    #[test]
    fn every_status_has_a_meaning_when_a_request_is_made() {
        let body =
            r#"{"subject_request_id":"ID","expected_completion_time":"1970-01-01T00:00:09Z","encoded_request":"cGxhbnRlZA=="}"#;
        let accepted = Created::Accepted {
            expected_by: Some(Millis(9_000)),
        };
        for status in [200, 201, 202] {
            assert_eq!(created("mailer", ID, &raw(status, body), NOW), accepted);
        }
        let table = [
            (201, FaultCode::VendorUnreadable, FaultClass::Transient),
            (204, FaultCode::VendorUnreadable, FaultClass::Transient),
            (302, FaultCode::VendorNotFound, FaultClass::Permanent),
            (401, FaultCode::VendorRefusedLogin, FaultClass::Permanent),
            (403, FaultCode::VendorRefusedLogin, FaultClass::Permanent),
            (404, FaultCode::VendorNotFound, FaultClass::Permanent),
            (408, FaultCode::VendorUnreachable, FaultClass::Transient),
            (422, FaultCode::VendorRefused, FaultClass::Permanent),
            (429, FaultCode::VendorThrottles, FaultClass::Throttled),
            (500, FaultCode::VendorError, FaultClass::Transient),
            (503, FaultCode::VendorError, FaultClass::Transient),
        ];
        for (status, code, class) in table {
            let Created::Fault(fault) = created("mailer", ID, &raw(status, r#"{"status":1}"#), NOW) else {
                panic!("{status} is a fault")
            };
            assert_eq!((fault.code, fault.class), (code, class), "{status}");
        }
        assert_eq!(created("mailer", ID, &raw(400, ""), NOW), Created::PerhapsKnown);
        assert_eq!(created("mailer", ID, &raw(409, ""), NOW), Created::PerhapsKnown);
    }

    #[test]
    fn a_vendor_that_forgot_is_told_from_one_that_fails() {
        assert_eq!(polled("mailer", ID, &raw(404, ""), NOW), Polled::Unknown);
        let failing = Polled::Fault(transient("mailer", FaultCode::VendorError));
        assert_eq!(polled("mailer", ID, &raw(502, ""), NOW), failing);
    }

    #[test]
    fn a_throttle_carries_the_wait() {
        let wait = |header: Option<&str>| {
            let retry_after = header.map(str::to_owned);
            otherwise(
                "mailer",
                &Raw {
                    retry_after,
                    ..raw(429, "")
                },
                NOW,
            )
            .retry_after_ms
        };
        assert_eq!(wait(Some("7")), Some(7_000));
        assert_eq!(wait(Some("Thu, 01 Jan 1970 00:00:05 GMT")), Some(4_000));
        let default_ms = u64::try_from(RETRY_AFTER_DEFAULT.as_millis()).unwrap();
        assert_eq!(wait(None), Some(default_ms));
        assert_eq!(wait(Some("a while")), Some(default_ms));
        assert_eq!(
            Duration::from_millis(wait(Some("999999999")).unwrap()),
            crate::wait::RETRY_AFTER_MAX
        );
    }
}
