//! What happened in a run: every call of every double, in order. Its hash says whether two runs were the same.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use erasure_drill::Lost;

/// So many of the last lines are shown of a run that failed.
const LINES_SHOWN: usize = 3_000;

/// The trace of one run. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Trace(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    hash: DefaultHasher,
    calls: u64,
    lines: VecDeque<Line>,
}

enum Line {
    Call(i64, &'static str, &'static str, Option<Lost>),
    Act(i64, String),
}

impl Trace {
    /// A call, at this moment of the run in milliseconds.
    pub(crate) fn call(&self, at: i64, process: &'static str, call: &'static str, lost: Option<Lost>) {
        let mut state = self.state();
        (at, process, call, lost.map(|it| it == Lost::Answer)).hash(&mut state.hash);
        state.calls += 1;
        state.keep(Line::Call(at, process, call, lost));
    }

    /// What somebody outside of the fleet did.
    pub(crate) fn act(&self, at: i64, what: String) {
        let mut state = self.state();
        (at, &what).hash(&mut state.hash);
        state.keep(Line::Act(at, what));
    }

    pub(crate) fn hash(&self) -> u64 {
        self.state().hash.finish()
    }

    pub(crate) fn calls(&self) -> u64 {
        self.state().calls
    }

    /// The end of the trace, as text.
    pub(crate) fn shown(&self) -> String {
        let mut text = String::new();
        for line in &self.state().lines {
            let _written = match line {
                Line::Call(at, process, call, None) => writeln!(text, "{at:>7} {process:<9} {call}"),
                Line::Call(at, process, call, Some(lost)) => writeln!(text, "{at:>7} {process:<9} {call}: lost the {lost:?}"),
                Line::Act(at, what) => writeln!(text, "{at:>7} ========= {what}"),
            };
        }
        text
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn keep(&mut self, line: Line) {
        if self.lines.len() == LINES_SHOWN {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }
}
