//! What is printed: a table, JSON, and a chart.

use std::{collections::BTreeMap, fmt::Write as _, io::Write as _, path::Path};

use anyhow::{Context, Result};
use serde::Serialize;

/// What was measured of one workload. What it does not have is null.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Figures {
    /// How many subjects one run had.
    pub(crate) subjects: u32,
    /// How many runs the medians are of.
    pub(crate) runs: usize,
    /// Subjects in a second.
    pub(crate) fleet_per_s: Option<f64>,
    /// The parts one after another, with the ledger in PostgreSQL.
    pub(crate) ceiling_per_s: Option<f64>,
    /// The first over the second.
    pub(crate) fleet_over_ceiling: Option<f64>,
    /// Plain Celery, one task after another.
    pub(crate) celery_per_s: Option<f64>,
    /// The fleet over it.
    pub(crate) fleet_over_celery: Option<f64>,
    /// Celery with hand-written batches.
    pub(crate) celery_batched_per_s: Option<f64>,
    /// The fleet over it.
    pub(crate) fleet_over_celery_batched: Option<f64>,
    /// The parts with the ledger in SQLite.
    pub(crate) ceiling_sqlite_per_s: Option<f64>,
    /// The fleet's own process at its largest, in MiB.
    pub(crate) rss_mib: Option<f64>,
    /// Every process at its largest, in MiB.
    pub(crate) memory_mib: BTreeMap<String, f64>,
    /// What Redis holds of an open request for each of its subjects.
    pub(crate) redis_bytes_per_subject: Option<f64>,
    /// What the ledger's tables and indexes hold for each subject at the end.
    pub(crate) ledger_bytes_per_subject: Option<f64>,
    /// Microseconds of each part of the ceiling for one subject.
    pub(crate) parts_us: BTreeMap<String, f64>,
    /// Microseconds of processor time of each process for one subject, in the fleet's run.
    pub(crate) cpu_us: BTreeMap<String, f64>,
    /// Each run's rate, in their order.
    pub(crate) fleet_runs_per_s: Vec<f64>,
    /// What only this workload has.
    pub(crate) more: BTreeMap<String, f64>,
}

/// The figures by workload.
pub(crate) type Report = BTreeMap<String, Figures>;

/// The one in the middle, or between the two in the middle.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() % 2 {
        _ if values.is_empty() => None,
        0 => Some(f64::midpoint(values[middle - 1], values[middle])),
        _ => Some(values[middle]),
    }
}

/// Prints JSON to standard output.
pub(crate) fn print_json(report: &Report) -> Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, report).context("writing JSON")?;
    writeln!(out).context("writing JSON")
}

/// A table for people.
pub(crate) fn table(report: &Report) -> String {
    let mut text = String::new();
    for (name, it) in report {
        // Writing into a String cannot fail.
        let _ = writeln!(text, "{name}: {} subjects, median of {} runs", it.subjects, it.runs);
        let mut line = |what: &str, value: String| {
            let _ = writeln!(text, "  {what:<42}{value:>16}");
        };
        let known = [
            ("the fleet", it.fleet_per_s, "/s", 0),
            ("ceiling, ledger in PostgreSQL", it.ceiling_per_s, "/s", 0),
            ("ceiling, ledger in SQLite", it.ceiling_sqlite_per_s, "/s", 0),
            ("fleet / ceiling", it.fleet_over_ceiling, "", 2),
            ("Celery", it.celery_per_s, "/s", 0),
            ("fleet / Celery", it.fleet_over_celery, "", 2),
            ("Celery by hand in batches", it.celery_batched_per_s, "/s", 0),
            ("fleet / Celery in batches", it.fleet_over_celery_batched, "", 2),
            ("Redis, bytes a subject", it.redis_bytes_per_subject, "", 1),
            ("ledger, bytes a subject", it.ledger_bytes_per_subject, "", 1),
        ];
        for (what, value, unit, digits) in known {
            if let Some(value) = value {
                line(what, format!("{value:.digits$}{unit}"));
            }
        }
        for (process, mib) in &it.memory_mib {
            line(&format!("memory of {process}"), format!("{mib:.0} MiB"));
        }
        for (part, us) in &it.parts_us {
            line(&format!("ceiling, {part}"), format!("{us:.0} us a subject"));
        }
        for (process, us) in &it.cpu_us {
            line(&format!("processor, {process}"), format!("{us:.0} us a subject"));
        }
        for (what, value) in &it.more {
            line(what, format!("{value:.2}"));
        }
    }
    text
}

/// A bar for each rate of each workload, on a logarithmic scale.
pub(crate) fn write_chart(report: &Report, path: &Path) -> Result<()> {
    let mut bars = Vec::new();
    for (name, it) in report {
        let all = [
            ("ceiling", it.ceiling_per_s, "#9aa5b1"),
            ("the fleet", it.fleet_per_s, "#2f6f9f"),
            ("Celery, batches", it.celery_batched_per_s, "#c9a66b"),
            ("Celery", it.celery_per_s, "#b5714f"),
        ];
        bars.extend(
            all.into_iter()
                .filter_map(|(who, value, colour)| Some((name, who, value?, colour))),
        );
    }
    let (row, left, width) = (26, 170, 560.0);
    let most = bars.iter().map(|it| it.2).fold(10.0, f64::max).log10();
    let height = 40 + row * bars.len();
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"860\" height=\"{height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"860\" height=\"{height}\" fill=\"#ffffff\"/>\n\
         <text x=\"10\" y=\"22\">Subjects in a second, logarithmic</text>\n"
    );
    for (at, (name, who, value, colour)) in bars.iter().enumerate() {
        let top = 34 + row * at;
        let length = (value.max(1.0).log10() / most * width).max(1.0);
        // Writing into a String cannot fail.
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{name} {who}</text>\
             <rect x=\"{left}\" y=\"{top}\" width=\"{length:.0}\" height=\"18\" fill=\"{colour}\"/>\
             <text x=\"{:.0}\" y=\"{}\">{value:.0}</text>",
            left - 8,
            top + 14,
            f64::from(left) + length + 6.0,
            top + 14,
        );
    }
    svg.push_str("</svg>\n");
    std::fs::write(path, svg).with_context(|| format!("writing {}", path.display()))
}
