//! Opening connections and channels, each step with a limit in time.

use crate::{Config, Connection, Error, pause::Pauses};
use lapin::tcp::OwnedTLSConfig;
use std::{future::Future, sync::Once, time::Duration};
use tokio_util::sync::CancellationToken;

/// How often an idle session is looked at.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Waits for an answer of the broker, but not for ever.
pub(crate) async fn within<T>(
    limit: Duration,
    doing: impl Into<String>,
    answer: impl Future<Output = lapin::Result<T>>,
) -> Result<T, Error> {
    match tokio::time::timeout(limit, answer).await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(source)) => Err(Error::broker(doing, source)),
        Err(_) => Err(Error::Timeout {
            doing: doing.into(),
            waited: limit,
        }),
    }
}

/// What TLS needs: our one crypto provider, installed once, and the certificates to trust besides the system's.
pub(crate) fn tls(config: &Config) -> Result<OwnedTLSConfig, Error> {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        // An error only says that somebody else in the process installed one before, which is as good.
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    });
    let cert_chain = match &config.ca_file {
        Some(path) => Some(std::fs::read_to_string(path).map_err(|source| Error::File {
            path: path.display().to_string(),
            source,
        })?),
        None => None,
    };
    Ok(OwnedTLSConfig {
        identity: None,
        cert_chain,
    })
}

/// How long a goodbye may take.
pub(crate) fn close_within(config: &Config) -> Duration {
    config.response_timeout().min(Duration::from_secs(2))
}

/// Connects until it works; `None` when told to stop meanwhile.
pub(crate) async fn connect_for_ever(
    config: &Config,
    name: &str,
    pauses: &mut Pauses,
    stop: &CancellationToken,
) -> Option<Connection> {
    loop {
        let attempt = tokio::select! {
            biased;
            () = stop.cancelled() => return None,
            attempt = Connection::open(config, name) => attempt,
        };
        match attempt {
            Ok(connection) => return Some(connection),
            Err(error) => rest(pauses, stop, name, &error).await?,
        }
    }
}

/// Says what went wrong and pauses; `None` when told to stop meanwhile.
pub(crate) async fn rest(pauses: &mut Pauses, stop: &CancellationToken, name: &str, error: &Error) -> Option<()> {
    let pause = pauses.next();
    tracing::warn!(session = name, error = %error.detail(), pause_ms = pause.as_millis(), "broker session ended, connecting again");
    tokio::select! {
        biased;
        () = stop.cancelled() => None,
        () = tokio::time::sleep(pause) => Some(()),
    }
}
