//! What a vendor's answer to one call about many people means for each of them. Pure, like [`crate::reply`].
//!
//! Nobody is accepted, and nobody is done, because others are: each needs an item of their own.

use crate::code::{Code, ErrorBody, coded};
use crate::reference::Batch;
use crate::reply::{Body, Created, Polled, Raw, expected, otherwise, permanent, refused, status, transient};
use erasure_protocol::{Blame, Fault, FaultCode, Millis};
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::collections::BTreeMap;
use uuid::Uuid;

/// What a vendor said to several new requests.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum CreatedMany {
    /// Something of each, in the order in which they were asked.
    Each {
        /// What they are called together.
        batch: Option<Batch>,
        /// One for each.
        said: Vec<Created>,
    },
    /// It took none of them, perhaps because of one of them, or because they are too many: ask in smaller calls.
    Split,
    /// It took none of them, and would take none alone.
    Fault(Fault),
}

/// What a vendor said of requests that were submitted together.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum PolledMany {
    /// Of those it spoke of. Whoever is missing has to be asked for alone.
    Each(BTreeMap<Uuid, Polled>),
    /// It does not know them together: each has to be asked for alone.
    Unknown,
    /// It did not say.
    Fault(Fault),
}

#[derive(Deserialize)]
struct CreatedBody {
    batch_id: Option<String>,
    #[serde(default)]
    responses: Vec<Body>,
    #[serde(default)]
    errors: Vec<Refusal>,
    /// Makes it an object: a list would be read by position.
    #[serde(flatten)]
    _rest: BTreeMap<String, IgnoredAny>,
}

#[derive(Deserialize)]
struct Refusal {
    subject_request_id: Option<Uuid>,
    error: Option<ErrorBody>,
    #[serde(flatten)]
    _rest: BTreeMap<String, IgnoredAny>,
}

/// Reads the answer to `POST …/batch` about these ids.
pub(crate) fn created_many(vendor: &str, ids: &[Uuid], raw: &Raw, now: Millis) -> CreatedMany {
    match raw.status {
        200..=202 => match serde_json::from_slice::<CreatedBody>(&raw.body) {
            Ok(body) => CreatedMany::Each {
                said: ids.iter().map(|id| created_one(vendor, *id, &body)).collect(),
                batch: body.batch_id.and_then(Batch::read),
            },
            Err(_) => CreatedMany::Fault(unreadable(vendor)),
        },
        400 => match coded(&raw.body) {
            Some(Code::Call) => CreatedMany::Fault(refused(vendor)),
            Some(Code::Internal) => CreatedMany::Fault(transient(vendor, FaultCode::VendorError)),
            Some(Code::Exists | Code::NotFound | Code::Busy | Code::Group | Code::Request) | None => CreatedMany::Split,
        },
        409 | 413 => CreatedMany::Split,
        404 | 405 | 410 => CreatedMany::Fault(permanent(vendor, FaultCode::VendorNotFound, Blame::Store)),
        _ => CreatedMany::Fault(otherwise(vendor, raw, now)),
    }
}

/// Who is spoken of twice, or both accepted and refused, or not at all, is not accepted.
fn created_one(vendor: &str, id: Uuid, body: &CreatedBody) -> Created {
    let mut accepted = body.responses.iter().filter(|it| it.subject_request_id == Some(id));
    let mut refusals = body.errors.iter().filter(|it| it.subject_request_id == Some(id));
    match (accepted.next(), accepted.next(), refusals.next(), refusals.next()) {
        (Some(it), None, None, None) => Created::Accepted {
            expected_by: expected(it),
        },
        (None, None, Some(it), None) => {
            let code = it.error.as_ref().and_then(ErrorBody::code);
            code.map_or(Created::PerhapsKnown, |code| code.created(vendor))
        }
        _ => Created::Fault(unreadable(vendor)),
    }
}

/// Reads the answer to `GET …/batch/{batch_id}`: a list with the status of each request of the batch.
pub(crate) fn polled_many(vendor: &str, raw: &Raw, now: Millis) -> PolledMany {
    match raw.status {
        200 => match serde_json::from_slice::<Vec<Body>>(&raw.body) {
            Ok(items) => PolledMany::Each(each(vendor, &items)),
            Err(_) => PolledMany::Fault(unreadable(vendor)),
        },
        400 if coded(&raw.body) == Some(Code::Internal) => PolledMany::Fault(transient(vendor, FaultCode::VendorError)),
        400 | 404 | 410 => PolledMany::Unknown,
        _ => PolledMany::Fault(otherwise(vendor, raw, now)),
    }
}

fn each(vendor: &str, items: &[Body]) -> BTreeMap<Uuid, Polled> {
    let mut said = BTreeMap::new();
    for item in items {
        let Some(id) = item.subject_request_id else { continue };
        let twice = said.insert(id, status(vendor, item)).is_some();
        if twice {
            said.insert(id, Polled::Fault(unreadable(vendor)));
        }
    }
    said
}

fn unreadable(vendor: &str) -> Fault {
    transient(vendor, FaultCode::VendorUnreadable)
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDS: [Uuid; 3] = [Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3)];
    const NOW: Millis = Millis(1_000);

    fn raw(status: u16, body: &str) -> Raw {
        let id = |body: String, at: usize| body.replace(&format!("ID{}", at + 1), &IDS[at].to_string());
        Raw {
            status,
            retry_after: None,
            body: (0..3).fold(body.to_owned(), id).into_bytes(),
        }
    }

    fn said(body: &str) -> Vec<Created> {
        match created_many("mailer", &IDS, &raw(201, body), NOW) {
            CreatedMany::Each { said, .. } => said,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_is_accepted_by_an_item_of_their_own_alone() {
        let body = r#"{"batch_id":"b-1","encoded_request":"cGxhbnRlZA==",
            "responses":[{"subject_request_id":"ID3","expected_completion_time":"1970-01-01T00:00:09Z"}],
            "errors":[{"subject_request_id":"ID1","error":{"code":400,"af_gdpr_code":"e213"}}]}"#;
        let accepted = Created::Accepted {
            expected_by: Some(Millis(9_000)),
        };
        let missing = Created::Fault(unreadable("mailer"));
        assert_eq!(said(body), [Created::PerhapsKnown, missing.clone(), accepted]);
        let contradicts = r#"{"responses":[{"subject_request_id":"ID1"},{"subject_request_id":"ID2"},{"subject_request_id":"ID2"}],
            "errors":[{"subject_request_id":"ID1"}]}"#;
        assert_eq!(said(contradicts), [missing.clone(), missing.clone(), missing.clone()]);
        assert_eq!(said("{}"), [missing.clone(), missing.clone(), missing]);
        let refusals = r#"{"errors":[{"subject_request_id":"ID1","error":{"af_gdpr_code":"e215"}},
            {"subject_request_id":"ID2","error":{"af_gdpr_code":"e325"}},{"subject_request_id":"ID3","error":{"af_gdpr_code":"e999"}}]}"#;
        let later = Created::Fault(transient("mailer", FaultCode::VendorRefused));
        assert_eq!(
            said(refusals),
            [later, Created::Fault(refused("mailer")), Created::PerhapsKnown]
        );
    }

    #[test]
    fn a_refusal_of_all_is_pursued_in_smaller_calls_unless_it_is_of_the_call_as_such() {
        let of = |status, body: &str| created_many("mailer", &IDS, &raw(status, body), NOW);
        for body in [
            "",
            r#"{"af_gdpr_code":"e414"}"#,
            r#"{"af_gdpr_code":"e415"}"#,
            r#"{"af_gdpr_code":"e325"}"#,
        ] {
            assert_eq!(of(400, body), CreatedMany::Split, "{body}");
        }
        let refusal = CreatedMany::Fault(refused("mailer"));
        assert_eq!(of(400, r#"{"af_gdpr_code":"e411"}"#), refusal);
        assert!(
            matches!(of(400, r#"{"af_gdpr_code":"e511"}"#), CreatedMany::Fault(fault) if fault.code == FaultCode::VendorError)
        );
        assert!(matches!(of(429, ""), CreatedMany::Fault(fault) if fault.code == FaultCode::VendorThrottles));
        for body in [
            "",
            "[]",
            "null",
            r#"["b-1",[],[]]"#,
            r#"{"responses":[["ID1","completed",null]]}"#,
        ] {
            assert_eq!(of(201, body), CreatedMany::Fault(unreadable("mailer")), "{body}");
        }
    }

    #[test]
    fn only_the_word_completed_in_a_persons_own_item_is_done() {
        let of = |status, body: &str| polled_many("mailer", &raw(status, body), NOW);
        let body = r#"[{"subject_request_id":"ID1","request_status":"completed"},{"subject_request_id":"ID2","request_status":"in-progress"},
            {"request_status":"completed"}]"#;
        let PolledMany::Each(each) = of(200, body) else {
            panic!("a list")
        };
        assert_eq!(each.get(&IDS[0]), Some(&Polled::Completed));
        assert_eq!(each.get(&IDS[1]), Some(&Polled::Working { expected_by: None }));
        assert_eq!(each.get(&IDS[2]), None);
        let twice = r#"[{"subject_request_id":"ID1","request_status":"completed"},{"subject_request_id":"ID1","request_status":"pending"}]"#;
        assert!(matches!(of(200, twice), PolledMany::Each(each) if matches!(each.get(&IDS[0]), Some(Polled::Fault(_)))));
        let unclear = PolledMany::Fault(unreadable("mailer"));
        for body in [
            "",
            "{}",
            r#"{"subject_request_id":"ID1","request_status":"completed"}"#,
            r#"[["ID1","completed",null]]"#,
            r#"[{"subject_request_id":"ID1","request_status":"pending","request_status":"completed"}]"#,
        ] {
            assert_eq!(of(200, body), unclear, "{body}");
        }
        assert_eq!(of(400, r#"{"af_gdpr_code":"e214"}"#), PolledMany::Unknown);
        assert_eq!(of(404, ""), PolledMany::Unknown);
        assert!(matches!(of(201, body), PolledMany::Fault(_)), "no answer to a question");
    }
}
