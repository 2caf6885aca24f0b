//! Metrics: recorded everywhere, shown as text where somebody asks.

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder};
use std::sync::Arc;

/// The buckets of durations, in seconds.
const SECONDS: [f64; 12] = [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0, 300.0];

/// Renders all metrics in Prometheus' text format.
pub(crate) type Render = Arc<dyn Fn() -> String + Send + Sync>;

/// Starts recording in this process.
///
/// # Errors
/// When it was started before.
pub(crate) fn install() -> anyhow::Result<Render> {
    let builder = PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?;
    let handle = builder.install_recorder()?;
    Ok(Arc::new(move || handle.render()))
}
