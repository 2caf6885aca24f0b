//! A stream: entries in the order of their ids.

use super::reply::{Refusal, Reply, bulk, count, number};
use erasure_protocol::Millis;
use redis::Value;
use std::collections::BTreeMap;

/// Milliseconds, then a number within them.
type Id = (u64, u64);

#[derive(Clone, Debug, Default)]
pub(super) struct Stream {
    entries: BTreeMap<Id, Vec<Vec<u8>>>,
    /// Never falls, even when the entry is gone.
    last: Id,
}

impl Stream {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// `XADD key [MAXLEN ~ n] * field value …`, without its first two words. Trims exactly, which `~` allows.
    pub(super) fn add(&mut self, now: Millis, words: &[&[u8]]) -> Reply {
        let (max, fields) = match words {
            [b"MAXLEN", b"~", max, b"*", fields @ ..] => (Some(number(max)?), fields),
            [b"*", fields @ ..] => (None, fields),
            _ => return Err(Refusal::syntax()),
        };
        if fields.is_empty() || !fields.len().is_multiple_of(2) {
            return Err(Refusal::arguments("XADD"));
        }
        let now = (u64::try_from(now.0).unwrap_or(0), 0);
        let id = if now > self.last {
            now
        } else {
            (self.last.0, self.last.1 + 1)
        };
        self.last = id;
        self.entries.insert(id, fields.iter().map(|it| it.to_vec()).collect());
        while max.is_some_and(|max| usize::try_from(max).is_ok_and(|max| self.entries.len() > max)) {
            self.entries.pop_first();
        }
        Ok(bulk(text(id).as_bytes()))
    }

    /// `XRANGE key - + COUNT n`, without its first two words.
    pub(super) fn range(&self, words: &[&[u8]]) -> Reply {
        let [b"-", b"+", b"COUNT", max] = words else {
            return Err(Refusal::syntax());
        };
        let max = usize::try_from(number(max)?).unwrap_or(0);
        let entry = |(id, fields): (&Id, &Vec<Vec<u8>>)| {
            let fields = fields.iter().map(|it| bulk(it)).collect();
            Value::Array(vec![bulk(text(*id).as_bytes()), Value::Array(fields)])
        };
        Ok(Value::Array(self.entries.iter().take(max).map(entry).collect()))
    }

    /// `XDEL key id …`, without its first two words.
    pub(super) fn delete(&mut self, words: &[&[u8]]) -> Reply {
        let before = self.entries.len();
        for word in words {
            self.entries.remove(&read(word)?);
        }
        Ok(count(before - self.entries.len()))
    }
}

fn text(id: Id) -> String {
    format!("{}-{}", id.0, id.1)
}

fn read(word: &[u8]) -> Result<Id, Refusal> {
    let refusal = || Refusal("ERR Invalid stream ID specified as stream command argument".to_owned());
    let (ms, seq) = std::str::from_utf8(word)
        .ok()
        .and_then(|it| it.split_once('-'))
        .ok_or_else(refusal)?;
    let part = |it: &str| it.parse().map_err(|_| refusal());
    Ok((part(ms)?, part(seq)?))
}
