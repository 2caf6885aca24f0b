//! Where log lines go: stderr, always; data alone goes to stdout.

use crate::config::{LogConfig, LogFormat};
use tracing_subscriber::EnvFilter;

/// Starts the log. `RUST_LOG` wins over the configuration.
///
/// # Errors
/// When the filter cannot be read.
pub(crate) fn start(config: &LogConfig) -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_default_env().or_else(|_| EnvFilter::try_new(&config.filter))?;
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = match config.format {
        LogFormat::Text => lines.with_target(false).with_ansi(false).try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    started.map_err(|error| anyhow::anyhow!("the log was started before: {error}"))
}
