//! The good lines of a file, as parts of one request.

use super::line::{self, Shape, Subject};
use super::lines::Lines;
use super::{Error, Format, LineCode, PRESERVE_COLUMN, Report, Vocabulary};
use erasure_protocol::{Command, CommandPart, Identifier, Record, SLICE_SUBJECTS_MAX};
use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::io::BufRead;

/// Up to how many lines are remembered to find duplicates, 8 bytes each. Later duplicates are sent, which does no harm.
const REMEMBERED_MAX: usize = 4_000_000;

/// An iterator over the parts of a file: commands of 512 subjects each, the final one with `last`.
///
/// No part at all comes out of a file without a good line. Ask for [`Self::report`] when it has ended.
pub struct Parts<R> {
    lines: Lines<R>,
    shape: Shape,
    vocabulary: Vocabulary,
    template: Command,
    report: Report,
    next_number: u32,
    /// One good line ahead, so that the final part is known to be the final one.
    ahead: Option<Record>,
    preserve: Option<bool>,
    seen: HashSet<u64>,
    hasher: RandomState,
    failed: bool,
}

impl<R> std::fmt::Debug for Parts<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Parts({} good lines, {} bad)", self.report.good, self.report.bad_count)
    }
}

impl<R: BufRead> Parts<R> {
    /// Reads the header. `template` is the command without subjects and part; each part is a copy of it.
    ///
    /// # Errors
    /// When the file is empty, the header is wrong, or reading fails.
    pub fn open(reader: R, format: Format, vocabulary: Vocabulary, template: Command) -> Result<Self, Error> {
        let mut lines = Lines::new(reader);
        let shape = match format {
            Format::Ndjson => Shape::Ndjson,
            Format::Csv => match lines.next()? {
                None => return Err(Error::Empty { ways: vocabulary.ways() }),
                Some((_, Ok(text))) => line::header(&text, &vocabulary)?,
                Some((_, Err(code))) => {
                    return Err(Error::Header {
                        why: code.meaning().to_owned(),
                        ways: vocabulary.ways(),
                    });
                }
            },
        };
        Ok(Self {
            lines,
            shape,
            vocabulary,
            template,
            report: Report::default(),
            next_number: 0,
            ahead: None,
            preserve: None,
            seen: HashSet::new(),
            hasher: RandomState::new(),
            failed: false,
        })
    }

    /// What became of the lines so far.
    #[must_use]
    pub fn report(&self) -> &Report {
        &self.report
    }

    fn part(&mut self) -> Result<Option<Command>, Error> {
        let first = match self.ahead.take() {
            Some(record) => Some(record),
            None => self.good()?,
        };
        let Some(first) = first else { return Ok(None) };
        let mut subjects = vec![first];
        while subjects.len() < SLICE_SUBJECTS_MAX {
            let Some(record) = self.good()? else { break };
            subjects.push(record);
        }
        self.ahead = self.good()?;
        let part = CommandPart {
            number: self.next_number,
            last: self.ahead.is_none(),
        };
        self.next_number += 1;
        let mut command = Command {
            subjects,
            part: Some(part),
            ..self.template.clone()
        };
        command.options.preserve_empty_account |= self.preserve.unwrap_or(false);
        Ok(Some(command))
    }

    /// The next good line; bad ones on the way are reported.
    fn good(&mut self) -> Result<Option<Record>, Error> {
        while let Some((number, text)) = self.lines.next()? {
            let judged = match text {
                Ok(text) if text.trim().is_empty() => continue,
                Ok(text) => line::read(&text, &self.shape, &self.vocabulary),
                Err(code) => Err((code, String::new())),
            };
            match judged.and_then(|subject| self.taken(subject)) {
                Ok(record) => {
                    self.report.good += 1;
                    return Ok(Some(record));
                }
                Err((code, field)) => self.report.add(number, code, field),
            }
        }
        Ok(None)
    }

    fn taken(&mut self, subject: Subject) -> Result<Record, (LineCode, String)> {
        let preserve = subject.preserve.unwrap_or(false);
        if self.preserve.is_some_and(|before| before != preserve) {
            return Err((LineCode::OptionDiffers, PRESERVE_COLUMN.to_owned()));
        }
        let pairs: Vec<_> = subject
            .record
            .iter()
            .map(|(kind, value)| (kind.as_str(), Identifier::expose(value)))
            .collect();
        let hash = self.hasher.hash_one(&pairs);
        if self.seen.contains(&hash) {
            return Err((LineCode::Duplicate, String::new()));
        }
        if self.seen.len() < REMEMBERED_MAX {
            self.seen.insert(hash);
        }
        self.preserve = Some(preserve);
        Ok(subject.record)
    }
}

impl<R: BufRead> Iterator for Parts<R> {
    type Item = Result<Command, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        let part = self.part();
        self.failed = part.is_err();
        part.transpose()
    }
}
