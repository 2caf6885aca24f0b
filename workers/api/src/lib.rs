//! The HTTP role: takes commands, seals them and hands them to RabbitMQ; says how far requests and people are; shows health and
//! metrics. It erases nothing and writes nothing but messages.
//!
//! A command is accepted (202) only after the broker has confirmed it. What a caller did wrong is answered by field and code
//! (RFC 9457), never with a value.

mod app;
mod config;
mod problem;
mod requests;
mod router;
pub mod status;
mod token;

#[cfg(test)]
mod tests;

pub use config::{HttpConfig, NamedToken};
pub use status::Status;

use axum::Router;
use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use erasure_broker::Publisher;
use erasure_kit::{AnyResolve, Health};
use erasure_privacy::KeyRing;
use erasure_protocol::TenantId;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long the head of a request may take, an idle connection included.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);

/// The part of the process that `/readyz` names.
const PART: &str = "http";

/// Everything that the HTTP role needs, given to it.
#[derive(Clone)]
pub struct Api {
    /// Where answers come from.
    pub status: Status,
    /// Takes sealed commands to intake.
    pub publisher: Publisher,
    /// Seals commands and hashes identifiers.
    pub keys: Arc<KeyRing>,
    /// Knows the kinds of identifiers. Without it commands are judged by intake alone, and nobody is found by identifier.
    pub resolve: Option<AnyResolve>,
    /// The declared tenants.
    pub tenants: TenantNames,
    /// What this process waits for.
    pub health: Health,
    /// Gives the metrics in Prometheus' text format.
    pub metrics: Metrics,
    /// Where it listens, and whom it lets in.
    pub config: HttpConfig,
}

/// Gives the metrics in Prometheus' text format.
pub type Metrics = Arc<dyn Fn() -> String + Send + Sync>;

type FindTenant = dyn Fn(&str) -> Option<TenantId> + Send + Sync;

/// The declared tenants, as far as the HTTP role must know them.
#[derive(Clone)]
pub struct TenantNames {
    find: Arc<FindTenant>,
    only: Option<TenantId>,
}

/// Why the role could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting is wrong.
    #[error("{0}")]
    Config(String),
    /// Nobody could call it.
    #[error(
        "the HTTP role needs a token, or anybody could ask for erasures: write one with `openssl rand -hex 32` into a file and name \
         the file as http.token_file"
    )]
    NoToken,
    /// It would be heard from outside in the clear.
    #[error(
        "http.listen is {listen}, which others can reach: set http.tls_cert_file and http.tls_key_file, or listen on 127.0.0.1"
    )]
    TlsRequired {
        /// The address in the configuration.
        listen: String,
    },
    /// A file cannot be read.
    #[error("{what}: cannot read {}", path.display())]
    File {
        /// Which setting names it.
        what: String,
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {listen}")]
    Listen {
        /// The address in the configuration.
        listen: String,
        /// Why.
        source: io::Error,
    },
}

impl TenantNames {
    /// `find` gives the tenant of an account number or an exact account name; `only` is the tenant, where just one is declared.
    pub fn new(find: impl Fn(&str) -> Option<TenantId> + Send + Sync + 'static, only: Option<TenantId>) -> Self {
        Self {
            find: Arc::new(find),
            only,
        }
    }

    pub(crate) fn find(&self, named: &str) -> Option<TenantId> {
        (self.find)(named)
    }

    pub(crate) fn only(&self) -> Option<&TenantId> {
        self.only.as_ref()
    }
}

impl std::fmt::Debug for TenantNames {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("TenantNames")
    }
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Api").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Api {
    /// The routes, to be served by [`serve`].
    ///
    /// # Errors
    /// When the configuration is wrong, or there is no token.
    pub fn router(self) -> Result<Router, Error> {
        self.config.check()?;
        Ok(router::router(app::App::new(self)?))
    }
}

/// The answering, once listening has begun.
pub type Serving = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Listens as configured, and answers with `router` until `stop`; then lets calls under way come to their end. Listening has
/// begun when this returns; the future it returns does the answering. No token is needed for that: the routes ask for theirs.
///
/// # Errors
/// When the configuration is wrong, a file cannot be read, or the address cannot be listened on.
pub async fn serve(config: &HttpConfig, router: Router, health: Health, stop: CancellationToken) -> Result<Serving, Error> {
    let tls = match config.tls()? {
        Some(files) => Some(tls(files).await?),
        None => None,
    };
    let failed = |source| Error::Listen {
        listen: config.listen.clone(),
        source,
    };
    let listener = TcpListener::bind(config.address()?).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let handle = Handle::new();
    let watch = watch(handle.clone(), health, config.clone(), stop);
    let service = router.into_make_service();
    match tls {
        None => {
            let mut server = axum_server::from_tcp(listener).map_err(failed)?.handle(handle);
            keep_tidy(server.http_builder());
            Ok(Box::pin(until(server.serve(service), watch)))
        }
        Some(tls) => {
            let mut server = axum_server::from_tcp_rustls(listener, tls).map_err(failed)?.handle(handle);
            keep_tidy(server.http_builder());
            Ok(Box::pin(until(server.serve(service), watch)))
        }
    }
}

/// Ends connections on which no whole request head comes, or whose other end is gone: each holds a descriptor.
fn keep_tidy(builder: &mut Builder<TokioExecutor>) {
    let mut http1 = builder.http1();
    http1.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    let mut http2 = builder.http2();
    http2.timer(TokioTimer::new()).keep_alive_interval(HEAD_TIMEOUT);
}

/// Serves, beside a future that never ends by itself.
async fn until(server: impl Future<Output = io::Result<()>>, watch: impl Future<Output = Infallible>) {
    tokio::select! {
        served = server => if let Err(error) = served {
            tracing::error!(%error, "HTTP is no longer served");
        },
        never = watch => match never {},
    }
}

/// Says that it listens, and ends the server once `stop` comes.
async fn watch(handle: Handle<SocketAddr>, health: Health, config: HttpConfig, stop: CancellationToken) -> Infallible {
    if let Some(address) = handle.listening().await {
        tracing::info!(%address, "listening for HTTP");
        health.ready(PART);
        stop.cancelled().await;
        health.waiting(PART, "stopping");
        handle.graceful_shutdown(Some(config.drain()));
    }
    std::future::pending().await
}

async fn tls((cert, key): (PathBuf, PathBuf)) -> Result<RustlsConfig, Error> {
    // An error says that the process has one already, which is the same.
    let _installed_before = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let tls = RustlsConfig::from_pem_file(&cert, &key).await;
    tls.map_err(|source| Error::File {
        what: format!("http.tls_cert_file or http.tls_key_file ({})", key.display()),
        path: cert,
        source,
    })
}
