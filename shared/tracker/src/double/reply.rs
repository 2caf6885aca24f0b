//! What a command answers, and how it is refused.

use redis::Value;

/// The server's words of a refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal(pub(crate) String);

pub(super) type Reply = Result<Value, Refusal>;

impl Refusal {
    pub(super) fn wrong_type() -> Self {
        Self("WRONGTYPE Operation against a key holding the wrong kind of value".to_owned())
    }

    pub(super) fn unknown(verb: &str) -> Self {
        Self(format!("ERR unknown command '{verb}'"))
    }

    pub(super) fn arguments(verb: &str) -> Self {
        Self(format!("ERR wrong number of arguments for '{verb}'"))
    }

    pub(super) fn not_a_number() -> Self {
        Self("ERR value is not an integer or out of range".to_owned())
    }

    pub(super) fn syntax() -> Self {
        Self("ERR syntax error".to_owned())
    }
}

pub(super) fn count(n: usize) -> Value {
    Value::Int(i64::try_from(n).unwrap_or(i64::MAX))
}

pub(super) fn bulk(bytes: &[u8]) -> Value {
    Value::BulkString(bytes.to_vec())
}

pub(super) fn bulk_or_nil(bytes: Option<&Vec<u8>>) -> Value {
    bytes.map_or(Value::Nil, |it| bulk(it))
}

pub(super) fn number(bytes: &[u8]) -> Result<i64, Refusal> {
    let text = std::str::from_utf8(bytes).ok();
    text.and_then(|it| it.parse().ok()).ok_or_else(Refusal::not_a_number)
}
