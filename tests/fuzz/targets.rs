//! Fuzzing: what is read from outside of the fleet, with everything that must hold whatever it is.
//!
//! A target is one function from bytes to a panic or none. The same functions run under libFuzzer (`./tests/fuzz/run`), over the
//! seeds and past crashes in every run of the tests, and over inputs that a small mutator makes of the seeds.

mod commands;
mod configuration;
mod files;
mod mutate;
mod tracker;
mod vendors;

pub use mutate::Mutator;

use anyhow::{Context as _, Result};
use std::path::PathBuf;

/// The longest input, in bytes: long enough for a whole data map.
pub const INPUT_BYTES_MAX: usize = 16 * 1024;

/// What is fuzzed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Commands: JSON, CloudEvents, sealed ones.
    Commands,
    /// Files of subjects: CSV and NDJSON.
    Files,
    /// The configuration with its environment, and the data map.
    Configuration,
    /// What the roles tell each other, and what Redis holds and answers.
    Tracker,
    /// What vendors answer.
    Vendors,
}

impl Target {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Commands, Self::Files, Self::Configuration, Self::Tracker, Self::Vendors];

    /// Its name: that of its file here and of its folder in `seeds` and `crashes`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Commands => "commands",
            Self::Files => "files",
            Self::Configuration => "configuration",
            Self::Tracker => "tracker",
            Self::Vendors => "vendors",
        }
    }

    /// Reads the name; `None` when it is none of ours.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.as_str() == name)
    }

    /// Holds the input to everything that must be true of it.
    ///
    /// # Panics
    /// When something is not: that is a finding.
    pub fn judge(self, data: &[u8]) {
        match self {
            Self::Commands => commands::judge(data),
            Self::Files => files::judge(data),
            Self::Configuration => configuration::judge(data),
            Self::Tracker => tracker::judge(data),
            Self::Vendors => vendors::judge(data),
        }
    }

    /// The seeds and the past crashes, with the names of their files.
    ///
    /// # Errors
    /// When they cannot be read, or there are none.
    pub fn inputs(self) -> Result<Vec<(PathBuf, Vec<u8>)>> {
        let here = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz");
        let mut inputs = Vec::new();
        for folder in ["seeds", "crashes"].map(|kind| here.join(kind).join(self.as_str())) {
            let Ok(entries) = std::fs::read_dir(&folder) else { continue };
            for entry in entries {
                let path = entry?.path();
                let data = std::fs::read(&path).with_context(|| path.display().to_string())?;
                inputs.push((path, data));
            }
        }
        inputs.sort();
        anyhow::ensure!(!inputs.is_empty(), "{} has no seeds in {}", self.as_str(), here.display());
        Ok(inputs)
    }
}

/// An input as a letter: lines `name: value`, an empty line, the body. What has no empty line is all body.
struct Letter<'a> {
    head: Vec<(&'a str, &'a str)>,
    body: &'a [u8],
}

impl<'a> Letter<'a> {
    fn open(data: &'a [u8]) -> Self {
        let parted = data
            .windows(2)
            .position(|pair| pair == b"\n\n")
            .and_then(|at| Some((std::str::from_utf8(&data[..at]).ok()?, &data[at + 2..])));
        let Some((head, body)) = parted else {
            return Self {
                head: Vec::new(),
                body: data,
            };
        };
        Self {
            head: head.lines().filter_map(|line| line.split_once(": ")).collect(),
            body,
        }
    }

    fn get(&self, name: &str) -> Option<&'a str> {
        self.head.iter().find(|(it, _)| *it == name).map(|(_, value)| *value)
    }
}
