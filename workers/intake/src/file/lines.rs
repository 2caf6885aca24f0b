//! Lines of a file, each with its number, never more than one in memory.

use super::{Error, LINE_BYTES_MAX, LineCode};
use std::io::BufRead;

/// A line's number, from 1, and its text or what is wrong with it.
pub(super) type Numbered = (u64, Result<String, LineCode>);

/// Reads lines that end in LF or CRLF. A byte order mark at the head is dropped.
pub(super) struct Lines<R> {
    reader: R,
    number: u64,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, number: 0 }
    }

    /// The next line with its number, or what is wrong with it; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Numbered>, Error> {
        let failed = |source| Error::Io {
            line: self.number,
            source,
        };
        let mut line = Vec::new();
        let (mut started, mut too_long) = (false, false);
        loop {
            let bytes = self.reader.fill_buf().map_err(failed)?;
            if bytes.is_empty() {
                break;
            }
            started = true;
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let chunk = &bytes[..end.unwrap_or(bytes.len())];
            too_long |= line.len() + chunk.len() > LINE_BYTES_MAX;
            if !too_long {
                line.extend_from_slice(chunk);
            }
            let used = end.map_or(bytes.len(), |at| at + 1);
            self.reader.consume(used);
            if end.is_some() {
                break;
            }
        }
        if !started {
            return Ok(None);
        }
        self.number += 1;
        let text = if too_long { Err(LineCode::TooLong) } else { self.text(line) };
        Ok(Some((self.number, text)))
    }

    fn text(&self, mut line: Vec<u8>) -> Result<String, LineCode> {
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        if self.number == 1 && line.starts_with(b"\xef\xbb\xbf") {
            line.drain(..3);
        }
        String::from_utf8(line).map_err(|_| LineCode::NotUtf8)
    }
}
