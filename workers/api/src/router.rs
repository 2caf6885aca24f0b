//! The routes, and what happens around every call.

use crate::app::App;
use crate::problem::Problem;
use crate::requests;
use crate::token::bearer;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::StreamExt as _;
use serde_json::json;
use std::sync::Arc;
use std::time::Instant;

/// The document that describes the routes.
pub(crate) const OPENAPI: &str = include_str!("openapi.json");

/// So much of a body that is too large is read before the connection is closed on it.
const HEARD_OUT_BYTES_MAX: usize = 64 * 1024 * 1024;

/// All routes.
pub(crate) fn router(app: Arc<App>) -> Router {
    let body_limit = DefaultBodyLimit::max(app.api.config.body_bytes_max);
    let v1 = Router::new()
        .route("/v1/requests", post(requests::submit))
        .route("/v1/requests/{id}", get(requests::show))
        .route("/v1/find", post(requests::find))
        .route_layer(from_fn_with_state(Arc::clone(&app), heard_out))
        .route_layer(from_fn_with_state(Arc::clone(&app), permitted))
        .route_layer(from_fn_with_state(Arc::clone(&app), known));
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/openapi.json", get(openapi))
        .merge(v1)
        .fallback(async || Problem::no_such_route())
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .layer(body_limit)
        .layer(from_fn_with_state(Arc::clone(&app), in_time))
        .layer(from_fn(observed))
        .with_state(app)
}

/// The process lives.
async fn healthz() -> &'static str {
    "alive\n"
}

/// Whether the process does what it is there for, and what it waits for.
async fn readyz(State(app): State<Arc<App>>) -> (StatusCode, Json<serde_json::Value>) {
    let mut waits = app.api.health.waits();
    if !app.api.publisher.is_connected() {
        waits.push((
            "api".to_owned(),
            "RabbitMQ is not connected, so no command is taken".to_owned(),
        ));
    }
    let ready = waits.is_empty();
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let waits: Vec<_> = waits
        .into_iter()
        .map(|(part, reason)| json!({"part": part, "reason": reason}))
        .collect();
    (status, Json(json!({"ready": ready, "waiting": waits})))
}

async fn metrics(State(app): State<Arc<App>>) -> Response {
    let text = (app.api.metrics)();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

async fn openapi() -> Response {
    ([(header::CONTENT_TYPE, "application/json")], OPENAPI).into_response()
}

/// Lets in who has a token.
async fn known(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Result<Response, Problem> {
    let header = request.headers().get(header::AUTHORIZATION);
    let token = header.and_then(|value| value.to_str().ok()).and_then(bearer);
    let caller = token.and_then(|token| app.tokens.caller(token));
    request.extensions_mut().insert(caller.ok_or_else(Problem::unauthorized)?);
    Ok(next.run(request).await)
}

/// Lets in no more calls than can be answered.
async fn permitted(State(app): State<Arc<App>>, request: Request, next: Next) -> Result<Response, Problem> {
    let busy = |_| {
        Problem::unavailable(
            "As many calls as http.requests_at_once_max allows are being answered; come again.",
            1,
        )
    };
    let _permit = app.permits.try_acquire().map_err(busy)?;
    Ok(next.run(request).await)
}

/// Reads what is too large to its end, and drops it, before it is refused: whoever is still writing could not read the answer.
async fn heard_out(State(app): State<Arc<App>>, request: Request, next: Next) -> Result<Response, Problem> {
    let announced = request
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse().ok());
    if announced.is_none_or(|length: usize| length <= app.api.config.body_bytes_max) {
        return Ok(next.run(request).await);
    }
    let mut body = request.into_body().into_data_stream();
    let mut heard = 0;
    while let Some(Ok(chunk)) = body.next().await {
        heard += chunk.len();
        if heard > HEARD_OUT_BYTES_MAX {
            break;
        }
    }
    Err(Problem::too_large())
}

/// Ends a call that takes too long, be it that its body does not come or that a server behind does not answer.
async fn in_time(State(app): State<Arc<App>>, request: Request, next: Next) -> Result<Response, Problem> {
    let limit = app.api.config.request_timeout();
    let late = |_| Problem::unavailable("The call took longer than http.request_timeout_s; send the same again.", 5);
    tokio::time::timeout(limit, next.run(request)).await.map_err(late)
}

/// Counts and times calls by route. Neither path nor query nor body is written down.
async fn observed(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let path = request.extensions().get::<MatchedPath>().cloned();
    let method = request.method().clone();
    let response = next.run(request).await;
    let route = path.as_ref().map_or("unknown", MatchedPath::as_str).to_owned();
    let status = response.status().as_u16();
    tracing::debug!(%method, route, status, took_ms = started.elapsed().as_millis(), "answered a call");
    metrics::counter!("erasure_http_requests_total", "route" => route.clone(), "status" => status.to_string()).increment(1);
    metrics::histogram!("erasure_http_request_seconds", "route" => route).record(started.elapsed());
    response
}
