//! What the scripts answer, as our own types.

use crate::header::{self, Fields};
use crate::{Claimed, Error, Finished, Init, Marked};
use erasure_protocol::{EvidenceKey, Mask, Millis};
use redis::Value;

fn unreadable() -> Error {
    Error::Unreadable {
        what: "a script's answer",
    }
}

/// A script's answer: a letter, then what belongs to it.
fn letter_and_rest(value: Value) -> Result<(u8, Vec<Value>), Error> {
    let mut parts: Vec<Value> = redis::from_redis_value(value).map_err(|_| unreadable())?;
    if parts.is_empty() {
        return Err(unreadable());
    }
    let letter: Vec<u8> = redis::from_redis_value(parts.remove(0)).map_err(|_| unreadable())?;
    Ok((*letter.first().ok_or_else(unreadable)?, parts))
}

/// The answers of a script, one for each request.
pub(crate) fn list(value: Value) -> Result<Vec<Value>, Error> {
    redis::from_redis_value(value).map_err(|_| unreadable())
}

/// The answer for one request, or what went wrong with it: `!` and what Redis said.
pub(crate) fn or_refused(doing: &'static str, value: Value) -> Result<Value, Error> {
    match &value {
        Value::Array(parts) if parts.first() == Some(&Value::BulkString(b"!".to_vec())) => {
            let text = parts.get(1).cloned().map(redis::from_redis_value::<String>);
            let text = text.and_then(Result::ok).unwrap_or_default();
            Err(Error::refused(doing, text))
        }
        _ => Ok(value),
    }
}

pub(crate) fn claimed(value: Value) -> Result<Claimed, Error> {
    match letter_and_rest(value)? {
        (b'O', rest) => open(Value::Array(rest)),
        (b'F', _) => Ok(Claimed::Final),
        (b'U', _) => Ok(Claimed::Unknown),
        (b'X', _) => Ok(Claimed::Foreign),
        (b'S', rest) => {
            let keys: Vec<Vec<u8>> = redis::from_redis_value(Value::Array(rest)).map_err(|_| unreadable())?;
            let key = keys.first().and_then(|it| it.as_slice().try_into().ok());
            Ok(Claimed::Stale {
                expected: EvidenceKey(key.ok_or_else(unreadable)?),
            })
        }
        _ => Err(unreadable()),
    }
}

fn open(rest: Value) -> Result<Claimed, Error> {
    type Open = (usize, Vec<u8>, Vec<u8>, Vec<u8>, Vec<u8>, u32, u32, i64);
    let (entry, done, failed, key_id, key, starts, generation, now): Open =
        redis::from_redis_value(rest).map_err(|_| unreadable())?;
    Ok(Claimed::Open {
        entry,
        done: Mask::from_bytes(&done),
        failed: Mask::from_bytes(&failed),
        key: header::wrapped_key(&key_id, &key).ok_or_else(unreadable)?,
        starts,
        generation,
        now: Millis(now),
    })
}

pub(crate) fn marked(value: Value) -> Result<Marked, Error> {
    match letter_and_rest(value)? {
        (b'O', rest) => Ok(Marked::Ok {
            complete: rest.first() == Some(&Value::Int(1)),
        }),
        (b'S', _) => Ok(Marked::Stale),
        (b'U', _) => Ok(Marked::Unknown),
        (b'F', _) => Ok(Marked::Final),
        _ => Err(unreadable()),
    }
}

/// With the number of slices whose people must be counted anew.
pub(crate) fn init(value: Value) -> Result<(Init, u32), Error> {
    let (letter, rest) = letter_and_rest(value)?;
    let done = match letter {
        b'C' => Init::Created,
        b'E' => Init::Extended,
        b'R' => Init::Refreshed,
        b'L' => Init::Older,
        b'Z' => Init::Conflict,
        b'F' => Init::Final,
        b'X' => Init::Foreign,
        b'U' => Init::Unknown,
        _ => return Err(unreadable()),
    };
    let slices = rest.into_iter().next().map_or(Ok(0), redis::from_redis_value);
    Ok((done, slices.map_err(|_| unreadable())?))
}

pub(crate) fn finished(value: Value) -> Result<Finished, Error> {
    match letter_and_rest(value)?.0 {
        b'O' => Ok(Finished::Ok),
        b'U' => Ok(Finished::Unknown),
        b'X' => Ok(Finished::Refused),
        _ => Err(unreadable()),
    }
}

pub(crate) fn fields(value: Value) -> Result<Fields, Error> {
    redis::from_redis_value(value).map_err(|_| Error::Unreadable { what: "a hash" })
}

pub(crate) fn optional_text(value: Value) -> Result<Option<String>, Error> {
    redis::from_redis_value(value).map_err(|_| Error::Unreadable { what: "a text" })
}

pub(crate) fn time(value: Value) -> Result<Millis, Error> {
    let (seconds, micros): (i64, i64) = redis::from_redis_value(value).map_err(|_| Error::Unreadable { what: "the time" })?;
    Ok(Millis(seconds.saturating_mul(1000).saturating_add(micros / 1000)))
}
