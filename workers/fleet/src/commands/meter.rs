//! Progress: a bar on a terminal, plain lines elsewhere. Always on stderr.

use crate::output::{Output, thousands};
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

/// Two plain lines are at least this long apart.
const LINE_EVERY: Duration = Duration::from_secs(1);

/// Shows how far something is.
pub(crate) struct Meter {
    shape: Shape,
    out: Output,
}

enum Shape {
    Bar(ProgressBar),
    Lines { last: String, at: Option<Instant> },
}

impl Meter {
    /// Begins to show.
    pub(crate) fn new(out: Output) -> Self {
        let shape = if std::io::stderr().is_terminal() {
            Shape::Bar(ProgressBar::no_length())
        } else {
            Shape::Lines {
                last: String::new(),
                at: None,
            }
        };
        Self { shape, out }
    }

    /// So much of so much; without a total, only so much.
    pub(crate) fn show(&mut self, done: u64, total: Option<u64>, message: &str) {
        match &mut self.shape {
            Shape::Bar(bar) => {
                let template = if total.is_some() {
                    "{bar:30} {human_pos}/{human_len} {msg}"
                } else {
                    "{spinner} {human_pos} {msg}"
                };
                if let Ok(style) = ProgressStyle::with_template(template) {
                    bar.set_style(style);
                }
                total.into_iter().for_each(|total| bar.set_length(total));
                bar.set_message(message.to_owned());
                bar.set_position(done);
            }
            Shape::Lines { last, at } => {
                let line = line(done, total, message);
                if line != *last && at.is_none_or(|at| at.elapsed() >= LINE_EVERY) {
                    self.out.say(&line);
                    (*last, *at) = (line, Some(Instant::now()));
                }
            }
        }
    }

    /// Takes the bar away; lines stay.
    pub(crate) fn end(self) {
        if let Shape::Bar(bar) = self.shape {
            bar.finish_and_clear();
        }
    }
}

fn line(done: u64, total: Option<u64>, message: &str) -> String {
    let of = total.map_or_else(String::new, |total| format!(" of {}", thousands(total)));
    format!("{}{of} {message}", thousands(done))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_the_total_where_there_is_one() {
        assert_eq!(line(1_000, Some(10_000), "people done"), "1,000 of 10,000 people done");
        assert_eq!(line(5, None, "lines"), "5 lines");
    }
}
