//! Commands in, answers out.

use crate::app::App;
use crate::problem::Problem;
use crate::status::{self, Known, about_identifiers};
use crate::token::Caller;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use erasure_broker::{Outgoing, PublishError, Route};
use erasure_kit::Resolve as _;
use erasure_protocol::{
    Answer, Command, CommandCode, JSON_CONTENT_TYPE, Lane, Record, RequestId, RequestKey, SEALED_CONTENT_TYPE, TenantId,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::Arc;
use uuid::Uuid;

/// Names a request whose command has no id of its own.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

type Body = Result<Bytes, BytesRejection>;

/// What is answered to a command that was taken.
#[derive(Serialize)]
struct Taken<'a> {
    request_id: &'a RequestId,
    tenant: &'a TenantId,
    request: RequestKey,
    status: &'a str,
}

/// An answer, and the same as one paragraph.
#[derive(Serialize)]
struct Told {
    text: String,
    #[serde(flatten)]
    answer: Answer,
}

#[derive(Serialize)]
struct People {
    tenant: TenantId,
    requests: Vec<Told>,
    more: usize,
}

/// Which tenant's request is meant.
#[derive(Deserialize)]
pub(crate) struct Whose {
    tenant: Option<String>,
}

/// `POST /v1/requests`
pub(crate) async fn submit(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let body = json_body(&headers, body)?;
    let given = given_id(&headers)?;
    let made_up = RequestId::new(Uuid::now_v7().to_string()).expect("a UUID has only hexadecimal digits and hyphens");
    let command = Command::parse_or(&body, given.unwrap_or_else(|| made_up.clone()))?;
    if command.part.is_some() && command.request_id == made_up {
        // A part without its request's id would be a request of its own that never ends.
        return Err(Problem::field("request_id", CommandCode::Missing));
    }
    let tenant = app.tenant(&caller, &command.tenant)?;
    if let Some(resolve) = &app.api.resolve {
        command.check_kinds(&resolve.kinds(), &resolve.alternatives())?;
    }
    publish(&app, &tenant, &command).await?;
    tracing::info!(request_id = %command.request_id, %tenant, caller = caller.name, subjects = command.subjects.len(), "took a command");
    metrics::counter!("erasure_http_commands_total").increment(1);
    let status = format!("/v1/requests/{}?tenant={tenant}", command.request_id);
    let taken = Taken {
        request_id: &command.request_id,
        tenant: &tenant,
        request: RequestKey::of(&tenant, &command.request_id),
        status: &status,
    };
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, &status)], Json(taken)).into_response())
}

/// `GET /v1/requests/{id}`
pub(crate) async fn show(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    Path(id): Path<String>,
    whose: Result<Query<Whose>, QueryRejection>,
) -> Result<Response, Problem> {
    let id = RequestId::new(id).map_err(|_| Problem::field("id", CommandCode::BadId))?;
    let Query(whose) = whose.map_err(|_| Problem::field("tenant", CommandCode::BadTenant))?;
    let tenant = match &whose.tenant {
        Some(named) => Some(app.tenant(&caller, named)?),
        None => app.api.tenants.only().filter(|only| caller.permits(only)).cloned(),
    };
    let tenant = match tenant {
        Some(tenant) => tenant,
        None => owner(&app, &caller, &id).await?,
    };
    match app.api.status.by_request_id(&id, Some(&tenant), app.now()).await? {
        Known::Answer(answer) => Ok(Json(Told::new(*answer)).into_response()),
        Known::Several(_) => Err(Problem::which_tenant()),
        Known::Nothing => Err(Problem::no_such_request()),
    }
}

/// `POST /v1/find`
pub(crate) async fn find(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Arc<Caller>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (named, given) = wanted(&json_body(&headers, body)?)?;
    let tenant = app.tenant(&caller, &named)?;
    let Some(resolve) = &app.api.resolve else {
        return Err(Problem::broken(
            "This process has no data map, so nobody can be found by identifier.",
        ));
    };
    let (status, keys) = (&app.api.status, &app.api.keys);
    let found = status.by_identifiers(keys, resolve, &tenant, &given, app.now()).await?;
    let people = People {
        tenant,
        requests: found.answers.into_iter().map(Told::new).collect(),
        more: found.more,
    };
    Ok(Json(people).into_response())
}

impl Told {
    fn new(answer: Answer) -> Self {
        Self {
            text: answer.text(),
            answer,
        }
    }
}

/// Seals the command and hands it to the broker. Nothing is added to it: the same call made again is the same content.
async fn publish(app: &App, tenant: &TenantId, command: &Command) -> Result<(), Problem> {
    let id = command.request_id.clone();
    let key = RequestKey::of(tenant, &id);
    let (message_id, lane) = match command.part {
        Some(part) => (format!("{key}.{}", part.number), Lane::Bulk),
        None => (key.to_string(), Lane::for_subjects(command.subjects.len() as u64)),
    };
    let body = app.api.keys.seal_command(&command.to_json()).map_err(|error| {
        tracing::error!(%error, "a command could not be sealed");
        Problem::broken("The command could not be sealed; the log says why. Nothing was done.")
    })?;
    let message = Outgoing {
        to: Route::Request { lane },
        message_id,
        content_type: SEALED_CONTENT_TYPE.to_owned(),
        body,
        headers: Vec::new(),
    };
    app.api.publisher.publish_all(vec![message]).await.map_err(|error| {
        tracing::warn!(request_id = %id, %tenant, %error, "the broker did not take a command");
        Problem::not_taken(id, not_taken(&error))
    })
}

fn not_taken(error: &PublishError) -> &'static str {
    match error {
        PublishError::Rejected => "The broker takes no more at the moment. Send the same again later, with this request_id.",
        PublishError::Unknown => {
            "The broker did not confirm in time, so the command may or may not have been taken. Send the same again with this \
             request_id: it is carried out once."
        }
        PublishError::Stopped => "This process is being stopped. Send the same again, with this request_id.",
        PublishError::Unroutable { .. } | PublishError::Refused { .. } | PublishError::Invalid(_) => {
            "The broker does not take commands; `erasure topology verify` says what is wrong. Send the same again, with this \
             request_id."
        }
    }
}

/// Whose request it is, among the tenants that the caller may act for.
async fn owner(app: &App, caller: &Caller, id: &RequestId) -> Result<TenantId, Problem> {
    let found = app
        .api
        .status
        .ledger
        .find_by_request_id(id)
        .await
        .map_err(status::Error::from)?;
    let mut permitted = found
        .into_iter()
        .map(|(tenant, _)| tenant)
        .filter(|tenant| caller.permits(tenant));
    let first = permitted.next().ok_or_else(Problem::no_such_request)?;
    permitted.next().map_or(Ok(first), |_| Err(Problem::which_tenant()))
}

fn json_body(headers: &HeaderMap, body: Body) -> Result<Bytes, Problem> {
    let content_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media = content_type.and_then(|text| text.split(';').next()).unwrap_or_default();
    if !media.trim().eq_ignore_ascii_case(JSON_CONTENT_TYPE) {
        return Err(Problem::not_json());
    }
    body.map_err(|rejection| {
        if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
            Problem::too_large()
        } else {
            Problem::body_cut_off()
        }
    })
}

/// The request id in the header, bare or in quotes.
fn given_id(headers: &HeaderMap) -> Result<Option<RequestId>, Problem> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else {
        return Ok(None);
    };
    let bad = || Problem::field("Idempotency-Key", CommandCode::BadId);
    let text = value.to_str().map_err(|_| bad())?.trim();
    let quoted = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    RequestId::new(quoted.unwrap_or(text)).map(Some).map_err(|_| bad())
}

/// The tenant and the identifiers that are asked for, read by the rules for one subject of a command.
fn wanted(body: &[u8]) -> Result<(String, Record), Problem> {
    let body: Value = serde_json::from_slice(body).map_err(|_| Problem::field("", CommandCode::NotJson))?;
    let Value::Object(fields) = body else {
        return Err(Problem::field("", CommandCode::WrongType));
    };
    if fields.keys().any(|name| name != "tenant" && name != "identifiers") {
        return Err(Problem::field("", CommandCode::UnknownField));
    }
    let Some(identifiers) = fields.get("identifiers") else {
        return Err(Problem::field("identifiers", CommandCode::Missing));
    };
    let mut command = json!({"version": 1, "request_id": "find", "operation": "erase", "subjects": [identifiers]});
    if let (Some(tenant), Some(command)) = (fields.get("tenant"), command.as_object_mut()) {
        command.insert("tenant".to_owned(), tenant.clone());
    }
    let command = Command::parse(command.to_string().as_bytes()).map_err(about_identifiers)?;
    let given = command.subjects.into_iter().next();
    let given = given.ok_or_else(|| Problem::field("identifiers", CommandCode::NoIdentifiers))?;
    Ok((command.tenant, given))
}

impl From<status::Error> for Problem {
    fn from(error: status::Error) -> Self {
        match error {
            status::Error::Identifiers(error) => error.into(),
            status::Error::Ledger(error) => {
                tracing::warn!(%error, "the ledger did not answer");
                if error.is_retryable() {
                    Self::unavailable("The ledger cannot be reached; ask again.", 2)
                } else {
                    Self::broken("The ledger does not answer; the log says why.")
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(body: &str) -> String {
        let problem = wanted(body.as_bytes()).unwrap_err();
        serde_json::to_value(problem).unwrap()["errors"][0].to_string()
    }

    #[test]
    fn a_person_is_asked_for_by_the_rules_of_commands() {
        let (tenant, given) = wanted(br#"{"tenant": "Acme", "identifiers": {"user_id": 7}}"#).unwrap();
        assert_eq!((tenant.as_str(), given.len()), ("Acme", 1));
        assert!(problem(r#"{"identifiers": {"user_id": 7}}"#).contains(r#""field":"tenant""#));
        assert!(problem(r#"{"tenant": "Acme"}"#).contains(r#""field":"identifiers""#));
        assert!(problem(r#"{"tenant": "Acme", "identifiers": {}}"#).contains(r#""field":"identifiers""#));
        assert!(problem(r#"{"tenant": "Acme", "identifiers": {"email": ""}}"#).contains(r#""field":"identifiers.email""#));
        assert!(problem(r#"{"tenant": "Acme", "identifiers": 7, "x": 1}"#).contains("COMMAND-006"));
        assert!(problem("[").contains("COMMAND-003"));
    }

    #[test]
    fn an_idempotency_key_may_stand_in_quotes() {
        let id = |text: &str| {
            let headers = HeaderMap::from_iter([(header::HeaderName::from_static(IDEMPOTENCY_KEY), text.parse().unwrap())]);
            given_id(&headers).map(|id| id.map(String::from))
        };
        assert_eq!(id("\"r-1\""), Ok(Some("r-1".to_owned())));
        assert_eq!(id("r-1"), Ok(Some("r-1".to_owned())));
        assert!(id("planted@example.org").is_err());
        assert_eq!(given_id(&HeaderMap::new()), Ok(None));
    }
}
