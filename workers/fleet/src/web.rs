//! What every process answers over HTTP: whether it lives, what it waits for, its metrics; and, mounted later, the API.

use anyhow::Context as _;
use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use erasure_api::HttpConfig;
use erasure_kit::Health;
use std::sync::{Arc, OnceLock};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::metrics::Render;

/// The server of this process.
pub(crate) struct Web {
    late: Arc<OnceLock<Router>>,
    serving: Option<JoinHandle<()>>,
}

#[derive(Clone)]
struct Shown {
    health: Health,
    render: Render,
    late: Arc<OnceLock<Router>>,
}

impl Web {
    /// Starts answering. Where only health is served, a port that is taken is no reason not to work.
    ///
    /// # Errors
    /// When the API is wanted and cannot listen as configured.
    pub(crate) async fn start(
        config: &HttpConfig,
        api_wanted: bool,
        health: Health,
        render: Render,
        stop: CancellationToken,
    ) -> anyhow::Result<Self> {
        let late = Arc::new(OnceLock::new());
        let shown = Shown {
            health: health.clone(),
            render,
            late: Arc::clone(&late),
        };
        let router = Router::new()
            .route("/healthz", get(|| async { "alive\n" }))
            .route("/readyz", get(ready))
            .route("/metrics", get(metrics))
            .fallback(mounted)
            .with_state(shown);
        let serving = match erasure_api::serve(config, router, health, stop).await {
            Ok(serving) => Some(tokio::spawn(serving)),
            Err(error) if api_wanted => return Err(error).context("[http]"),
            Err(error) => {
                tracing::warn!(%error, "health and metrics are not served; set ERASURE__HTTP__LISTEN for this process");
                None
            }
        };
        Ok(Self { late, serving })
    }

    /// Answers every other path with this from now on.
    pub(crate) fn mount(&self, router: Router) {
        let _mounted_before = self.late.set(router);
    }

    /// Waits for the end of the answers under way, after the stop.
    pub(crate) async fn ended(self) {
        if let Some(serving) = self.serving {
            let _ended = serving.await;
        }
    }
}

async fn ready(State(shown): State<Shown>) -> Response {
    let waits = shown.health.waits();
    let code = if waits.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let waits: Vec<_> = waits
        .iter()
        .map(|(part, reason)| serde_json::json!({ "part": part, "reason": reason }))
        .collect();
    (
        code,
        axum::Json(serde_json::json!({ "ready": waits.is_empty(), "waiting": waits })),
    )
        .into_response()
}

async fn metrics(State(shown): State<Shown>) -> Response {
    for (part, ready) in shown.health.parts() {
        ::metrics::gauge!("erasure_part_ready", "part" => part).set(f64::from(u8::from(ready)));
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], (shown.render)()).into_response()
}

async fn mounted(State(shown): State<Shown>, request: Request) -> Response {
    match shown.late.get() {
        Some(router) => match router.clone().oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        },
        None => (
            StatusCode::SERVICE_UNAVAILABLE,
            "this process serves no API, or is still starting; see /readyz\n",
        )
            .into_response(),
    }
}
