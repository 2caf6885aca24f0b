//! How everything that goes wrong is answered: problem details (RFC 9457), by field and code, never with a value.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use erasure_protocol::{CommandCode, CommandError, RequestId};
use serde::Serialize;

/// The media type of RFC 9457.
const MEDIA_TYPE: &str = "application/problem+json";

/// An answer other than what was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Problem {
    /// The kind of problem: the last part of the URI that names it.
    #[serde(rename = "type", serialize_with = "uri")]
    kind: &'static str,
    /// The kind in words.
    title: &'static str,
    #[serde(serialize_with = "number")]
    status: StatusCode,
    /// This occurrence in words, with what to do.
    detail: &'static str,
    /// What is wrong, by field.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
    /// How many more things are wrong than are listed.
    #[serde(skip_serializing_if = "is_zero")]
    more: usize,
    /// The id to send again, where sending again is the thing to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<RequestId>,
    #[serde(skip)]
    retry_after_s: Option<u32>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct FieldError {
    field: String,
    code: &'static str,
    message: &'static str,
    advice: &'static str,
}

impl Problem {
    fn new(status: StatusCode, kind: &'static str, title: &'static str, detail: &'static str) -> Self {
        Self {
            kind,
            title,
            status,
            detail,
            errors: Vec::new(),
            more: 0,
            request_id: None,
            retry_after_s: None,
        }
    }

    /// No token, or not one of ours.
    pub(crate) fn unauthorized() -> Self {
        let detail = "Send `Authorization: Bearer …` with a token of the configuration's [http].";
        Self::new(StatusCode::UNAUTHORIZED, "unauthorized", "No valid token", detail)
    }

    /// The token is good, but not for this tenant.
    pub(crate) fn forbidden() -> Self {
        let detail = "This token may not act for this tenant; the configuration's [http.tokens] says for which it may.";
        Self::new(StatusCode::FORBIDDEN, "forbidden", "Not permitted", detail)
    }

    /// Something in the request is wrong.
    pub(crate) fn invalid(field: &str, code: &'static str, message: &'static str, advice: &'static str) -> Self {
        let field = field.to_owned();
        Self {
            errors: vec![FieldError {
                field,
                code,
                message,
                advice,
            }],
            ..Self::refused(StatusCode::UNPROCESSABLE_ENTITY)
        }
    }

    /// One field is wrong, by the code of the commands.
    pub(crate) fn field(field: &str, code: CommandCode) -> Self {
        Self::invalid(field, code.as_str(), code.meaning(), code.advice())
    }

    /// The tenant is not declared.
    pub(crate) fn unknown_tenant() -> Self {
        Self::invalid(
            "tenant",
            "COMMAND-030",
            "the tenant is not declared, or its name is not unique",
            "Give the account number or the exact account name of a tenant that is declared as [tenant.…].",
        )
    }

    /// The body is larger than the limit.
    pub(crate) fn too_large() -> Self {
        let code = CommandCode::TooLarge;
        Self {
            status: StatusCode::PAYLOAD_TOO_LARGE,
            ..Self::field("", code)
        }
    }

    /// The body did not arrive whole.
    pub(crate) fn body_cut_off() -> Self {
        let detail = "The body did not arrive whole; send the request again.";
        Self::new(StatusCode::BAD_REQUEST, "body", "The body could not be read", detail)
    }

    /// The content type is another one.
    pub(crate) fn not_json() -> Self {
        let detail = "Send the body as JSON, with `Content-Type: application/json`.";
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "content-type",
            "The content type is not read here",
            detail,
        )
    }

    /// The same request id at several tenants.
    pub(crate) fn which_tenant() -> Self {
        let detail = "Several tenants have a request of this id; add ?tenant= with the account number or the exact name.";
        Self::new(StatusCode::CONFLICT, "which-tenant", "Which tenant?", detail)
    }

    /// The ledger does not know the request.
    pub(crate) fn no_such_request() -> Self {
        let detail = "The ledger knows no request of this id. One that was accepted a moment ago is here as soon as intake has taken \
             it, usually within a second; one that was refused meanwhile is listed by `erasure attention list`.";
        Self {
            retry_after_s: Some(1),
            ..Self::new(StatusCode::NOT_FOUND, "no-such-request", "No such request", detail)
        }
    }

    /// No such route.
    pub(crate) fn no_such_route() -> Self {
        let detail = "There is nothing here; /openapi.json lists what there is.";
        Self::new(StatusCode::NOT_FOUND, "no-such-route", "Nothing here", detail)
    }

    /// The route is there, but not for this method.
    pub(crate) fn method_not_allowed() -> Self {
        let detail = "This route takes other methods; /openapi.json lists them.";
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method-not-allowed",
            "Not this method",
            detail,
        )
    }

    /// The broker did not take the command for certain. Sending it again under the same id is safe.
    pub(crate) fn not_taken(request_id: RequestId, detail: &'static str) -> Self {
        Self {
            request_id: Some(request_id),
            ..Self::unavailable(detail, 5)
        }
    }

    /// Something that is needed cannot be reached.
    pub(crate) fn unavailable(detail: &'static str, retry_after_s: u32) -> Self {
        Self {
            retry_after_s: Some(retry_after_s),
            ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Not now", detail)
        }
    }

    /// Something that only an operator can put right.
    pub(crate) fn broken(detail: &'static str) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "broken", "An operator must act", detail)
    }

    fn refused(status: StatusCode) -> Self {
        let detail = "Nothing was done. Correct what `errors` lists and send it again.";
        Self::new(status, "invalid", "The request is not valid", detail)
    }
}

impl From<CommandError> for Problem {
    fn from(error: CommandError) -> Self {
        let code = error.code();
        let status = if code == CommandCode::TooLarge {
            StatusCode::PAYLOAD_TOO_LARGE
        } else if code == CommandCode::NotJson || code == CommandCode::NotUtf8 {
            StatusCode::BAD_REQUEST
        } else {
            StatusCode::UNPROCESSABLE_ENTITY
        };
        let errors = error.problems.into_iter().map(|problem| FieldError {
            field: problem.field,
            code: problem.code.as_str(),
            message: problem.code.meaning(),
            advice: problem.code.advice(),
        });
        Self {
            errors: errors.collect(),
            more: error.more,
            ..Self::refused(status)
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self).expect("texts and numbers always become JSON");
        let mut response = (self.status, [(header::CONTENT_TYPE, MEDIA_TYPE)], body).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

fn uri<S: serde::Serializer>(kind: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("urn:erasure:problem:{kind}"))
}

fn number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

fn is_zero(count: &usize) -> bool {
    *count == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use erasure_protocol::Command;

    #[test]
    fn a_refused_command_is_answered_by_field_and_code_without_a_value() {
        let body = br#"{"version":1,"request_id":"r","tenant":"1","operation":"planted","subjects":[{"email":""}]}"#;
        let problem = Problem::from(Command::parse(body).unwrap_err());
        let json = serde_json::to_value(&problem).unwrap();
        assert_eq!(json["status"], 422);
        assert_eq!(json["type"], "urn:erasure:problem:invalid");
        let fields: Vec<_> = json["errors"]
            .as_array()
            .unwrap()
            .iter()
            .map(|error| error["field"].as_str().unwrap())
            .collect();
        assert_eq!(fields, ["operation", "subjects[0].email"]);
        assert!(json["errors"][0]["advice"].as_str().is_some_and(|advice| !advice.is_empty()));
        assert!(!json.to_string().contains("planted"));
    }

    #[test]
    fn the_status_tells_malformed_from_wrong() {
        let status = |body: &[u8]| Problem::from(Command::parse(body).unwrap_err()).status.as_u16();
        assert_eq!(status(b"{"), 400);
        assert_eq!(status(b"\xff"), 400);
        assert_eq!(status(b"[]"), 422);
        assert_eq!(status(&vec![b' '; erasure_protocol::COMMAND_BYTES_MAX + 1]), 413);
    }

    #[test]
    fn headers_say_when_to_come_again_and_how_to_log_in() {
        let response = Problem::unavailable("later", 5).into_response();
        assert_eq!(response.headers()[header::RETRY_AFTER], "5");
        assert_eq!(response.headers()[header::CONTENT_TYPE], MEDIA_TYPE);
        let response = Problem::unauthorized().into_response();
        assert_eq!(response.headers()[header::WWW_AUTHENTICATE], "Bearer");
    }
}
