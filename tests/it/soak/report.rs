//! What a run came to: a table to read and a file to keep.

use super::{
    books::{Entry, Pages},
    nemesis::{Line, Suffered},
};
use anyhow::{Context as _, Result};
use erasure_tests::binary::repository;
use serde::Serialize;
use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::PathBuf,
    time::{Duration, Instant},
};

/// How the two times are meant; stands in the report.
const MEANING: &str = "first: from the end of the fault to the first end of a request that was handed in after it. \
    all: from the end of the fault until everything handed in before it was at its end. Ends of faults: the process started again, \
    the wire mended, the server answering, the alarm cleared, the last process of a rolling restart at work. Both contain the time \
    that a request takes anyway, and what other faults that came meanwhile have cost.";

/// The figures of one run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) seed: u64,
    pub(crate) ticks: u32,
    pub(crate) seconds: u64,
    pub(crate) requests: usize,
    pub(crate) subjects: usize,
    pub(crate) tasks: i64,
    pub(crate) events: usize,
    pub(crate) duplicates_handed_in: usize,
    pub(crate) conflicts_handed_in: usize,
    pub(crate) conflicts_put_aside: i64,
    /// Slices that were sent out more than once.
    pub(crate) sent_again: u64,
    /// Taken, and not at their end.
    pub(crate) lost: Vec<String>,
    /// *Erased* or *nothing held* that was not so; and damage to people whom nobody asked for.
    pub(crate) falsely_erased: Vec<String>,
    /// More than one end, more than one submission to a vendor under other ids, somebody counted twice.
    pub(crate) duplicated_effects: Vec<String>,
    /// Everything else that must not be.
    pub(crate) surprises: Vec<String>,
    /// From being handed in to the end, in milliseconds: half, and ninety-nine of a hundred.
    pub(crate) request_ms: [Option<u128>; 2],
    pub(crate) time_to_heal: &'static str,
    pub(crate) faults: BTreeMap<&'static str, Healing>,
    pub(crate) schedule: Vec<Line>,
}

/// How long the fleet took after faults of one kind, in milliseconds.
#[derive(Debug, Serialize)]
pub(crate) struct Healing {
    pub(crate) count: usize,
    /// How long the fault itself lasted.
    pub(crate) lasted_ms_p50: Option<u128>,
    pub(crate) first_ms_p50: Option<u128>,
    pub(crate) first_ms_p99: Option<u128>,
    pub(crate) all_ms_p50: Option<u128>,
    pub(crate) all_ms_p99: Option<u128>,
}

impl Report {
    /// The table.
    pub(crate) fn table(&self) -> String {
        let mut text = String::new();
        let rows = [
            ("requests", self.requests.to_string()),
            ("subjects", self.subjects.to_string()),
            ("tasks", self.tasks.to_string()),
            ("faults", self.faults.values().map(|it| it.count).sum::<usize>().to_string()),
            ("lost", self.lost.len().to_string()),
            ("falsely erased", self.falsely_erased.len().to_string()),
            ("duplicated effects", self.duplicated_effects.len().to_string()),
            ("surprises", self.surprises.len().to_string()),
            ("duplicates handed in", self.duplicates_handed_in.to_string()),
            (
                "conflicts handed in, put aside",
                format!("{}, {}", self.conflicts_handed_in, self.conflicts_put_aside),
            ),
            ("slices sent again", self.sent_again.to_string()),
            (
                "a request took, p50 and p99",
                format!("{} ms, {} ms", shown(self.request_ms[0]), shown(self.request_ms[1])),
            ),
        ];
        let _ = writeln!(text, "soak: seed {}, {} ticks, {} s", self.seed, self.ticks, self.seconds);
        for (name, value) in rows {
            let _ = writeln!(text, "  {name:<34}{value}");
        }
        let _ = writeln!(
            text,
            "  {:<34}{:>6} lasted  first p50    p99    all p50    p99  (ms)",
            "fault", "count"
        );
        for (kind, it) in &self.faults {
            let _ = writeln!(
                text,
                "  {kind:<34}{:>6} {:>6}  {:>9} {:>6}  {:>9} {:>6}",
                it.count,
                shown(it.lasted_ms_p50),
                shown(it.first_ms_p50),
                shown(it.first_ms_p99),
                shown(it.all_ms_p50),
                shown(it.all_ms_p99)
            );
        }
        let _ = writeln!(text, "  {MEANING}");
        text
    }

    /// Writes it as JSON beside what was built, and says where.
    pub(crate) fn write(&self) -> Result<PathBuf> {
        let path = folder().join(format!("report-{}.json", self.seed));
        std::fs::create_dir_all(folder()).context("making the folder of reports")?;
        std::fs::write(&path, serde_json::to_vec_pretty(self)?).context("writing the report")?;
        Ok(path)
    }
}

fn shown(ms: Option<u128>) -> String {
    ms.map_or_else(|| "-".to_owned(), |ms| ms.to_string())
}

/// Where reports go, and logs of what failed.
pub(crate) fn folder() -> PathBuf {
    repository().join("target/soak")
}

/// The words of the report on times.
pub(crate) fn meaning() -> &'static str {
    MEANING
}

/// How long requests took, sorted.
pub(crate) fn request_ms(pages: &Pages) -> [Option<u128>; 2] {
    let took = pages
        .requests
        .values()
        .filter_map(|it| Some(it.ended?.duration_since(it.handed_in)));
    let sorted = sorted(took.collect());
    [share(&sorted, 50), share(&sorted, 99)]
}

/// The times to heal, by kind of fault.
pub(crate) fn healing(suffered: &[Suffered], pages: &Pages) -> BTreeMap<&'static str, Healing> {
    let mut by_kind: BTreeMap<&'static str, Vec<&Suffered>> = BTreeMap::new();
    for it in suffered {
        by_kind.entry(it.fault.kind()).or_default().push(it);
    }
    let of = |faults: Vec<&Suffered>| {
        let ends: Vec<Instant> = faults.iter().map(|it| it.ended).collect();
        let lasted = sorted(faults.iter().map(|it| it.ended.duration_since(it.began)).collect());
        let first = sorted(ends.iter().filter_map(|end| first(*end, pages)).collect());
        let all = sorted(ends.iter().map(|end| all(*end, pages)).collect());
        Healing {
            count: ends.len(),
            lasted_ms_p50: share(&lasted, 50),
            first_ms_p50: share(&first, 50),
            first_ms_p99: share(&first, 99),
            all_ms_p50: share(&all, 50),
            all_ms_p99: share(&all, 99),
        }
    };
    by_kind.into_iter().map(|(kind, faults)| (kind, of(faults))).collect()
}

fn first(end: Instant, pages: &Pages) -> Option<Duration> {
    let after = pages.requests.values().filter(|it| it.handed_in >= end);
    after.filter_map(|it| it.ended).min().map(|ended| ended.duration_since(end))
}

fn all(end: Instant, pages: &Pages) -> Duration {
    let was_open = |it: &&Entry| it.handed_in < end;
    let ends = pages.requests.values().filter(was_open).filter_map(|it| it.ended);
    ends.max()
        .map_or(Duration::ZERO, |ended| ended.saturating_duration_since(end))
}

fn sorted(mut times: Vec<Duration>) -> Vec<Duration> {
    times.sort_unstable();
    times
}

/// The value below which so many of a hundred lie, in milliseconds.
fn share(sorted: &[Duration], of_hundred: usize) -> Option<u128> {
    let at = (sorted.len() * of_hundred).div_ceil(100).saturating_sub(1);
    sorted.get(at).map(Duration::as_millis)
}
