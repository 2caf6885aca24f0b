//! The dialect with many people per call, and codes of its own.

use super::mode::Act;
use super::{Desk, Shared, echo, headers, misbehave};
use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use std::time::Duration;
use uuid::Uuid;

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/af/opendsr_requests", post(create))
        .route("/af/opendsr_requests/{id}", get(poll))
        .route("/af/opendsr_requests/batch", post(create_many))
        .route("/af/opendsr_requests/batch/{batch}", get(poll_many))
}

impl Desk {
    /// Takes one request, or says which code speaks against it.
    fn take(&mut self, body: Value, batch: Option<&str>) -> Result<Value, &'static str> {
        let id = body["subject_request_id"].as_str().and_then(|id| id.parse::<Uuid>().ok());
        let id = id.ok_or("e313")?;
        let values = body["subject_identities"].as_array().ok_or("e323")?;
        let values: Vec<&str> = values.iter().filter_map(|it| it["identity_value"].as_str()).collect();
        let refused = self.mode.refuses.iter().find(|(value, _)| values.contains(&value.as_str()));
        if let Some((_, code)) = refused {
            // A code lives as long as the program: there are few.
            return Err(code.clone().leak());
        }
        if self.requests.contains_key(&id) {
            return Err("e213");
        }
        self.keep(id, body, batch);
        Ok(
            json!({ "subject_request_id": id, "expected_completion_time": self.expected(), "received_time": jiff::Timestamp::now().to_string() }),
        )
    }

    fn take_many(&mut self, body: &Value) -> Response {
        let Some(requests) = body["requests"].as_array() else {
            return refused("e326");
        };
        self.calls.people += requests.len() as u64;
        if requests.len() > self.mode.people_per_call {
            return refused("e414");
        }
        if !body["meta"]["property_id"].is_string() {
            return refused("e317");
        }
        let mut ids: Vec<_> = requests.iter().map(|it| it["subject_request_id"].to_string()).collect();
        ids.sort_unstable();
        ids.dedup();
        if ids.len() < requests.len() {
            return refused("e415");
        }
        let batch = Uuid::new_v4().to_string();
        let (mut responses, mut errors) = (Vec::new(), Vec::new());
        for request in requests {
            let id = request["subject_request_id"].clone();
            let left_out = self.leaves_out(request);
            match self.take(request.clone(), Some(&batch)) {
                _ if left_out => {}
                Ok(response) => responses.push(response),
                Err(code) => errors.push(json!({ "subject_request_id": id, "error": { "code": 400, "af_gdpr_code": code } })),
            }
        }
        let answer = json!({ "batch_id": batch, "encoded_request": "bm90IGtlcHQ=", "responses": responses, "errors": errors });
        (StatusCode::CREATED, headers(), Json(answer)).into_response()
    }

    fn leaves_out(&self, body: &Value) -> bool {
        let text = body["subject_identities"].to_string();
        self.mode.leaves_out.iter().any(|value| text.contains(value))
    }

    fn poll_batch(&mut self, batch: &str, said: Option<&str>) -> Response {
        let before = self.mode.polls_before_done;
        let expected = self.expected();
        let leaves_out = self.mode.leaves_out.clone();
        let mut statuses = Vec::new();
        for (id, request) in self.requests.iter_mut().filter(|(_, it)| it.batch.as_deref() == Some(batch)) {
            let text = request.body["subject_identities"].to_string();
            if leaves_out.iter().any(|value| text.contains(value)) {
                continue;
            }
            let status = said.unwrap_or_else(|| request.asked(before)).to_owned();
            statuses.push(json!({ "subject_request_id": id, "request_status": status, "expected_completion_time": expected }));
        }
        self.calls.people += statuses.len() as u64;
        if statuses.is_empty() {
            return refused("e214");
        }
        (StatusCode::OK, headers(), Json(Value::from(statuses))).into_response()
    }
}

async fn create(State(shared): State<Shared>, sent: HeaderMap, body: Bytes) -> Response {
    answer_create(&shared, &sent, &body, |desk, body| {
        desk.calls.people += 1;
        match desk.take(body, None) {
            Ok(answer) => (StatusCode::CREATED, headers(), Json(answer)).into_response(),
            Err(code) => refused_one(code),
        }
    })
    .await
}

async fn create_many(State(shared): State<Shared>, sent: HeaderMap, body: Bytes) -> Response {
    answer_create(&shared, &sent, &body, |desk, body| desk.take_many(&body)).await
}

async fn answer_create(shared: &Shared, sent: &HeaderMap, body: &[u8], serve: impl Fn(&mut Desk, Value) -> Response) -> Response {
    let act = shared.lock().next_create();
    if !shared.lock().admits(sent) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let Ok(body) = serde_json::from_slice::<Value>(body) else {
        return refused("e326");
    };
    match act {
        Act::Serve | Act::Says { .. } => serve(&mut shared.lock(), body),
        Act::KeepAndFail { status } => {
            let _ = serve(&mut shared.lock(), body);
            super::error(status)
        }
        Act::Echo { status } => echo(status, &body),
        Act::Slow { ms } => {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            serve(&mut shared.lock(), body)
        }
        Act::Status { .. } | Act::Malformed | Act::Huge | Act::OtherId | Act::Redirect => misbehave(&act, 201),
    }
}

async fn poll(State(shared): State<Shared>, Path(id): Path<Uuid>, sent: HeaderMap) -> Response {
    let known = shared.lock().requests.contains_key(&id);
    answer_poll(
        &shared,
        &sent,
        |desk, said| if known { desk.poll(id, said) } else { refused_one("e214") },
    )
    .await
}

async fn poll_many(State(shared): State<Shared>, Path(batch): Path<String>, sent: HeaderMap) -> Response {
    answer_poll(&shared, &sent, |desk, said| desk.poll_batch(&batch, said)).await
}

async fn answer_poll(shared: &Shared, sent: &HeaderMap, serve: impl Fn(&mut Desk, Option<&str>) -> Response) -> Response {
    let act = shared.lock().next_poll();
    if !shared.lock().admits(sent) {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    match act {
        Act::Serve => serve(&mut shared.lock(), None),
        Act::Says { status } => serve(&mut shared.lock(), Some(&status)),
        Act::Slow { ms } => {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            serve(&mut shared.lock(), None)
        }
        Act::KeepAndFail { status } | Act::Echo { status } => super::error(status),
        Act::Status { .. } | Act::Malformed | Act::Huge | Act::OtherId | Act::Redirect => misbehave(&act, 200),
    }
}

/// The error of a call about many.
fn refused(code: &str) -> Response {
    (StatusCode::BAD_REQUEST, Json(json!({ "code": 400, "af_gdpr_code": code }))).into_response()
}

/// The error of a call about one.
fn refused_one(code: &str) -> Response {
    let error = json!({ "error": { "code": 400, "af_gdpr_code": code } });
    (StatusCode::BAD_REQUEST, Json(error)).into_response()
}
