//! A vendor that speaks `OpenDSR` 1.0, 2.0 and `AppsFlyer`'s dialect on this machine, and misbehaves on command.
//!
//! Over HTTP, beside `OpenDSR` itself: `PUT /_mode` with a [`Mode`] as JSON changes its behaviour, `GET /_calls` counts, and
//! `GET /_requests` lists what it knows by `subject_request_id`. Identities stay in its memory and are never printed or listed.

mod appsflyer;
mod mode;
mod traffic;

pub use mode::{Act, Mode};
pub use traffic::Traffic;

use anyhow::Context as _;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use uuid::Uuid;

/// How often it was called since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calls {
    /// `POST`s.
    pub creates: u64,
    /// `GET`s of a request, or of several.
    pub polls: u64,
    /// The people that all of them were about, where the dialect has calls about many.
    pub people: u64,
}

/// A running vendor. It ends when dropped.
#[derive(Debug)]
pub struct Processor {
    address: SocketAddr,
    shared: Shared,
    task: JoinHandle<()>,
}

impl Processor {
    /// Starts one on a free port of this machine.
    ///
    /// # Errors
    /// When no port can be opened.
    pub async fn start(mode: Mode) -> anyhow::Result<Self> {
        Self::start_on(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), mode).await
    }

    /// Starts one on this address.
    ///
    /// # Errors
    /// When the port cannot be opened.
    pub async fn start_on(address: SocketAddr, mode: Mode) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("opening {address}"))?;
        let address = listener.local_addr().context("reading the address that was opened")?;
        let shared = Shared::default();
        shared.lock().set(mode);
        let app = router(shared.clone());
        let task = tokio::spawn(async move {
            // It ends with its owner; there is nobody left to tell.
            let _ = axum::serve(listener, app).await;
        });
        Ok(Self { address, shared, task })
    }

    /// The base URL of version 2.0.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/v2", self.address)
    }

    /// The base URL of version 1.0.
    #[must_use]
    pub fn url_v1(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// The base URL of the dialect with many people per call.
    #[must_use]
    pub fn url_appsflyer(&self) -> String {
        format!("http://{}/af", self.address)
    }

    /// When it was called.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        self.shared.lock().traffic.clone()
    }

    /// Behaves differently from now on.
    pub fn set(&self, mode: Mode) {
        self.shared.lock().set(mode);
    }

    /// How often it was called.
    #[must_use]
    pub fn calls(&self) -> Calls {
        self.shared.lock().calls
    }

    /// The ids that it knows, in their own order.
    #[must_use]
    pub fn ids(&self) -> Vec<Uuid> {
        self.shared.lock().requests.keys().copied().collect()
    }

    /// The bodies of the requests that it knows, in the order of their ids: for assertions in this process.
    #[must_use]
    pub fn bodies(&self) -> Vec<Value> {
        self.shared
            .lock()
            .requests
            .values()
            .map(|request| request.body.clone())
            .collect()
    }
}

impl Drop for Processor {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Runs one on this address until the process ends; says on standard output where.
///
/// # Errors
/// When the port cannot be opened or the server ends.
pub async fn serve(address: SocketAddr) -> anyhow::Result<()> {
    let mut processor = Processor::start_on(address, Mode::default()).await?;
    use std::io::Write as _;
    writeln!(std::io::stdout(), "{}", processor.url()).context("saying where the vendor listens")?;
    (&mut processor.task).await.context("serving")
}

#[derive(Clone, Debug, Default)]
struct Shared(Arc<Mutex<Desk>>);

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Desk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Default)]
struct Desk {
    mode: Mode,
    /// Calls since the mode was set: which act is next.
    acted: Calls,
    calls: Calls,
    traffic: Traffic,
    requests: BTreeMap<Uuid, Request>,
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Desk({} requests)", self.requests.len())
    }
}

struct Request {
    body: Value,
    batch: Option<String>,
    polls: u32,
    status: &'static str,
}

impl Request {
    /// Somebody asks how far it is.
    fn asked(&mut self, polls_before_done: u32) -> &'static str {
        self.polls = self.polls.saturating_add(1);
        self.status = if self.polls > polls_before_done {
            "completed"
        } else {
            "in_progress"
        };
        self.status
    }
}

impl Desk {
    fn set(&mut self, mode: Mode) {
        self.mode = mode;
        self.acted = Calls::default();
    }

    fn next_create(&mut self) -> Act {
        self.calls.creates += 1;
        self.acted.creates += 1;
        Act::at(&self.mode.create, self.acted.creates)
    }

    fn next_poll(&mut self) -> Act {
        self.calls.polls += 1;
        self.acted.polls += 1;
        Act::at(&self.mode.poll, self.acted.polls)
    }

    fn admits(&self, headers: &HeaderMap) -> bool {
        let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        self.mode.authorization.is_none() || shown == self.mode.authorization.as_deref()
    }

    fn create(&mut self, body: Value) -> Response {
        let id = body["subject_request_id"].as_str().and_then(|id| id.parse::<Uuid>().ok());
        let complete = body["subject_request_type"] == "erasure"
            && body["submitted_time"].is_string()
            && body["subject_identities"].as_array().is_some_and(|them| !them.is_empty());
        let (Some(id), true) = (id, complete) else {
            return error(400);
        };
        if self.requests.contains_key(&id) && self.mode.duplicate_status >= 400 {
            return error(self.mode.duplicate_status);
        }
        self.keep(id, body, None);
        let now = jiff::Timestamp::now();
        let answer = json!({
            "controller_id": "controller",
            "expected_completion_time": self.expected(),
            "received_time": now.to_string(),
            "encoded_request": "bm90IGtlcHQ=",
            "subject_request_id": id,
        });
        (StatusCode::CREATED, headers(), Json(answer)).into_response()
    }

    fn keep(&mut self, id: Uuid, body: Value, batch: Option<&str>) {
        self.requests.entry(id).or_insert(Request {
            body,
            batch: batch.map(str::to_owned),
            polls: 0,
            status: "pending",
        });
    }

    fn poll(&mut self, id: Uuid, said: Option<&str>) -> Response {
        let before = self.mode.polls_before_done;
        let Some(request) = self.requests.get_mut(&id) else {
            return error(404);
        };
        let asked = request.asked(before);
        let status = said.unwrap_or(asked).to_owned();
        let answer = json!({
            "controller_id": "controller",
            "expected_completion_time": self.expected(),
            "subject_request_id": id,
            "request_status": status,
        });
        (StatusCode::OK, headers(), Json(answer)).into_response()
    }

    fn expected(&self) -> String {
        let at = jiff::Timestamp::now()
            .as_millisecond()
            .saturating_add(self.mode.expected_in_ms);
        jiff::Timestamp::from_millisecond(at).map_or_else(|_| String::new(), |at| at.to_string())
    }
}

fn router(shared: Shared) -> Router {
    Router::new()
        .route("/v2/requests", post(create))
        .route("/v1/opengdpr_requests", post(create))
        .route("/v2/requests/{id}", get(poll))
        .route("/v1/opengdpr_requests/{id}", get(poll))
        .merge(appsflyer::routes())
        .layer(from_fn_with_state(shared.clone(), hear))
        .route("/_mode", put(set_mode))
        .route("/_calls", get(async |State(shared): State<Shared>| Json(shared.lock().calls)))
        .route("/_requests", get(list))
        .with_state(shared)
}

/// Counts every call, and answers 429 where it is one too many.
async fn hear(State(shared): State<Shared>, call: axum::extract::Request, next: Next) -> Response {
    let too_many = {
        let mut desk = shared.lock();
        let allowed = desk.mode.calls_allowed;
        let allowed = allowed.map(|(calls, window_ms)| (calls, Duration::from_millis(window_ms)));
        desk.traffic.hear(std::time::Instant::now(), allowed)
    };
    if too_many { error(429) } else { next.run(call).await }
}

async fn create(State(shared): State<Shared>, sent: HeaderMap, body: Bytes) -> Response {
    let act = shared.lock().next_create();
    if !shared.lock().admits(&sent) {
        return error(401);
    }
    let Ok(body) = serde_json::from_slice::<Value>(&body) else {
        return error(400);
    };
    match act {
        Act::Serve | Act::Says { .. } => shared.lock().create(body),
        Act::KeepAndFail { status } => {
            let _ = shared.lock().create(body);
            error(status)
        }
        Act::Echo { status } => echo(status, &body),
        Act::Slow { ms } => {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            shared.lock().create(body)
        }
        Act::Status { .. } | Act::Malformed | Act::Huge | Act::OtherId | Act::Redirect => misbehave(&act, 201),
    }
}

async fn poll(State(shared): State<Shared>, Path(id): Path<Uuid>, sent: HeaderMap) -> Response {
    let act = shared.lock().next_poll();
    if !shared.lock().admits(&sent) {
        return error(401);
    }
    match act {
        Act::Serve => shared.lock().poll(id, None),
        Act::Says { status } => shared.lock().poll(id, Some(&status)),
        Act::Slow { ms } => {
            tokio::time::sleep(Duration::from_millis(ms)).await;
            shared.lock().poll(id, None)
        }
        Act::KeepAndFail { status } | Act::Echo { status } => error(status),
        Act::Status { .. } | Act::Malformed | Act::Huge | Act::OtherId | Act::Redirect => misbehave(&act, 200),
    }
}

async fn set_mode(State(shared): State<Shared>, Json(mode): Json<Mode>) -> StatusCode {
    shared.lock().set(mode);
    StatusCode::NO_CONTENT
}

async fn list(State(shared): State<Shared>) -> Json<Value> {
    let desk = shared.lock();
    let known = desk
        .requests
        .iter()
        .map(|(id, request)| json!({ "subject_request_id": id, "request_status": request.status, "polls": request.polls }));
    Json(known.collect())
}

fn misbehave(act: &Act, success: u16) -> Response {
    let success = StatusCode::from_u16(success).unwrap_or(StatusCode::OK);
    match act {
        Act::Status {
            status,
            retry_after: Some(wait),
        } => ([(header::RETRY_AFTER, wait.clone())], error(*status)).into_response(),
        Act::Status {
            status,
            retry_after: None,
        }
        | Act::KeepAndFail { status }
        | Act::Echo { status } => error(*status),
        Act::Malformed => (success, headers(), r#"{"subject_request_id": "#).into_response(),
        Act::Huge => (success, headers(), "[".repeat(2 << 20)).into_response(),
        Act::OtherId => {
            let answer = json!({ "subject_request_id": Uuid::nil(), "request_status": "completed" });
            (success, headers(), Json(answer)).into_response()
        }
        Act::Redirect => (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, "/v2/requests")]).into_response(),
        Act::Serve | Act::Says { .. } | Act::Slow { .. } => success.into_response(),
    }
}

fn headers() -> [(&'static str, &'static str); 2] {
    [
        ("x-opendsr-processor-domain", "opendsr.mailer.example"),
        ("x-opengdpr-processor-domain", "opendsr.mailer.example"),
    ]
}

fn echo(status: u16, sent: &Value) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let said = sent["subject_identities"].to_string();
    (
        status,
        [("x-error", said.clone())],
        Json(json!({ "error": { "message": said } })),
    )
        .into_response()
}

fn error(status: u16) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, Json(json!({ "error": { "code": status.as_u16() } }))).into_response()
}
