//! What the runs of one victim came to: a line for each, and a summary as a file, from which `tests/README.md` takes its figures.

use super::{Victim, case::Case};
use anyhow::{Context, Result};
use serde_json::json;
use std::time::Duration;

/// People of a run, and in how many subsystems.
pub(super) const PEOPLE: u32 = 2_000;
const SUBSYSTEMS: u32 = 4;

pub(super) struct Figures {
    victim: Victim,
    healed: Vec<Duration>,
    failures: Vec<String>,
}

impl Figures {
    pub(super) fn of(victim: Victim) -> Self {
        Self {
            victim,
            healed: Vec::new(),
            failures: Vec::new(),
        }
    }

    /// Takes in a run: how long it took from the victim's return to the event *erased*.
    pub(super) fn add(&mut self, case: &Case, run: Result<Duration>) {
        let (point, victim) = (case.point.as_str(), self.victim.name());
        match run {
            Ok(healed) => {
                eprintln!("{point:28} {victim:10} healed after {:5} ms", healed.as_millis());
                self.healed.push(healed);
            }
            Err(error) => {
                eprintln!("{point:28} {victim:10} FAILED: {error:#}");
                self.failures.push(format!("{point}, {victim} killed: {error:#}"));
            }
        }
    }

    pub(super) fn failed(&self) -> usize {
        self.failures.len()
    }

    pub(super) fn failures(&self) -> String {
        self.failures.join("\n\n")
    }

    /// Prints the summary, and writes it into `figures` beside the binaries.
    pub(super) fn write(&mut self) -> Result<()> {
        self.healed.sort();
        let runs = u32::try_from(self.healed.len() + self.failures.len())?;
        let summary = json!({
            "victim": self.victim.name(),
            "runs": runs,
            "kills": runs,
            "tasks": runs * PEOPLE * SUBSYSTEMS,
            "failed_runs": self.failures.len(),
            "healed_ms_p50": self.at(50),
            "healed_ms_p99": self.at(99),
            "healed_ms_max": self.at(100),
        });
        eprintln!("{summary}");
        let this_test = std::env::current_exe().context("asking which test runs")?;
        let built = this_test.ancestors().nth(2).context("a test lies in target/debug/deps")?;
        let folder = built.join("figures");
        std::fs::create_dir_all(&folder).context("making the folder of figures")?;
        let file = folder.join(format!("matrix-{}.json", self.victim.name()));
        std::fs::write(&file, summary.to_string()).with_context(|| file.display().to_string())
    }

    fn at(&self, percent: usize) -> u64 {
        let last = self.healed.len().saturating_sub(1);
        let healed = self.healed.get(last * percent / 100).copied().unwrap_or_default();
        u64::try_from(healed.as_millis()).unwrap_or(u64::MAX)
    }
}
