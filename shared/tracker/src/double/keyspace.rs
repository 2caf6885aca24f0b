//! The keys of a Redis in memory, and the few commands on them that the scripts and the tracker use.

use super::ranking::Ranking;
use super::reply::{Refusal, Reply, bulk, bulk_or_nil, count, number};
use super::stream::Stream;
use erasure_protocol::Millis;
use redis::Value;
use std::collections::BTreeMap;

type Hash = BTreeMap<Vec<u8>, Vec<u8>>;

/// In the order of their names, so that nothing depends on a hash function.
#[derive(Clone, Debug, Default)]
pub(super) struct Keyspace(BTreeMap<Vec<u8>, Kept>);

#[derive(Clone, Debug)]
struct Kept {
    value: Data,
    expires_at: Option<Millis>,
}

#[derive(Clone, Debug)]
enum Data {
    Hash(Hash),
    Stream(Stream),
    Ranking(Ranking),
}

impl Keyspace {
    /// Carries out one command. `now` is the time that it sees.
    pub(super) fn run(&mut self, now: Millis, words: &[&[u8]]) -> Reply {
        let verb = words.first().map(|it| String::from_utf8_lossy(it)).unwrap_or_default();
        match (&*verb, &words[1.min(words.len())..]) {
            ("TIME", []) => Ok(time(now)),
            ("INFO", [section]) => info(section),
            ("DEL" | "UNLINK", keys @ [_, ..]) => Ok(self.delete(now, keys)),
            ("PEXPIRE", [key, span]) => self.expire(now, key, number(span)?),
            ("HSET", [key, pairs @ ..]) if pairs.len() >= 2 && pairs.len().is_multiple_of(2) => self.hash_set(now, key, pairs),
            ("HSETNX", [key, field, value]) => self.hash_set_new(now, key, field, value),
            ("HGET", [key, field]) => Ok(bulk_or_nil(self.hash(now, key)?.and_then(|it| it.get(*field)))),
            ("HMGET", [key, fields @ ..]) if !fields.is_empty() => self.hash_get_many(now, key, fields),
            ("HGETALL", [key]) => self.hash_get_all(now, key),
            ("HINCRBY", [key, field, by]) => self.hash_increase(now, key, field, number(by)?),
            ("HDEL", [key, fields @ ..]) if !fields.is_empty() => self.hash_delete(now, key, fields),
            ("XADD", [key, rest @ ..]) => self.stream_mut(now, key)?.add(now, rest),
            ("XRANGE", [key, rest @ ..]) => self
                .stream(now, key)?
                .map_or(Ok(Value::Array(Vec::new())), |it| it.range(rest)),
            ("ZADD", [key, score, member]) => self.ranking_mut(now, key)?.add(score, member),
            ("ZCARD", [key]) => Ok(count(self.ranking(now, key)?.map_or(0, |it| it.len()))),
            ("ZSCORE", [key, member]) => Ok(self.ranking(now, key)?.map_or(Value::Nil, |it| it.score(member))),
            ("ZRANGE", [key, first, last, b"WITHSCORES"]) => {
                let (first, last) = (number(first)?, number(last)?);
                let ranking = self.ranking(now, key)?;
                Ok(ranking.map_or(Value::Array(Vec::new()), |it| it.range(first, last)))
            }
            ("ZREMRANGEBYRANK", [key, first, last]) => {
                let (first, last) = (number(first)?, number(last)?);
                Ok(self
                    .ranking(now, key)?
                    .map_or(Value::Int(0), |it| it.remove_range(first, last)))
            }
            ("XDEL", [key, ids @ ..]) if !ids.is_empty() => self.stream_delete(now, key, ids),
            _ if KNOWN.contains(&&*verb) => Err(Refusal::arguments(&verb)),
            _ => Err(Refusal::unknown(&verb)),
        }
    }

    pub(super) fn names(&mut self, now: Millis) -> Vec<String> {
        self.0.retain(|_, kept| kept.expires_at.is_none_or(|at| at > now));
        self.0.keys().map(|it| String::from_utf8_lossy(it).into_owned()).collect()
    }

    pub(super) fn lose(&mut self, key: &[u8]) {
        self.0.remove(key);
    }

    pub(super) fn expires_at(&mut self, now: Millis, key: &[u8]) -> Option<Millis> {
        self.get(now, key)?.expires_at
    }

    pub(super) fn stream_length(&mut self, now: Millis, key: &[u8]) -> usize {
        self.stream(now, key).ok().flatten().map_or(0, |it| it.len())
    }

    /// What a key holds, unless it has expired, which ends it.
    fn get(&mut self, now: Millis, key: &[u8]) -> Option<&mut Kept> {
        if self.0.get(key)?.expires_at.is_some_and(|at| at <= now) {
            self.0.remove(key);
        }
        self.0.get_mut(key)
    }

    fn delete(&mut self, now: Millis, keys: &[&[u8]]) -> Value {
        let gone = keys
            .iter()
            .filter(|key| self.get(now, key).is_some() && self.0.remove(**key).is_some());
        count(gone.count())
    }

    fn expire(&mut self, now: Millis, key: &[u8], span: i64) -> Reply {
        let Some(kept) = self.get(now, key) else {
            return Ok(Value::Int(0));
        };
        kept.expires_at = Some(Millis(now.0.saturating_add(span)));
        Ok(Value::Int(1))
    }

    fn hash(&mut self, now: Millis, key: &[u8]) -> Result<Option<&mut Hash>, Refusal> {
        match self.get(now, key).map(|it| &mut it.value) {
            None => Ok(None),
            Some(Data::Hash(hash)) => Ok(Some(hash)),
            Some(Data::Stream(_) | Data::Ranking(_)) => Err(Refusal::wrong_type()),
        }
    }

    fn hash_mut(&mut self, now: Millis, key: &[u8]) -> Result<&mut Hash, Refusal> {
        match self.get_or_create(now, key, || Data::Hash(Hash::new())) {
            Data::Hash(hash) => Ok(hash),
            Data::Stream(_) | Data::Ranking(_) => Err(Refusal::wrong_type()),
        }
    }

    fn stream(&mut self, now: Millis, key: &[u8]) -> Result<Option<&mut Stream>, Refusal> {
        match self.get(now, key).map(|it| &mut it.value) {
            None => Ok(None),
            Some(Data::Stream(stream)) => Ok(Some(stream)),
            Some(Data::Hash(_) | Data::Ranking(_)) => Err(Refusal::wrong_type()),
        }
    }

    fn stream_mut(&mut self, now: Millis, key: &[u8]) -> Result<&mut Stream, Refusal> {
        match self.get_or_create(now, key, || Data::Stream(Stream::default())) {
            Data::Stream(stream) => Ok(stream),
            Data::Hash(_) | Data::Ranking(_) => Err(Refusal::wrong_type()),
        }
    }

    fn ranking(&mut self, now: Millis, key: &[u8]) -> Result<Option<&mut Ranking>, Refusal> {
        match self.get(now, key).map(|it| &mut it.value) {
            None => Ok(None),
            Some(Data::Ranking(ranking)) => Ok(Some(ranking)),
            Some(Data::Hash(_) | Data::Stream(_)) => Err(Refusal::wrong_type()),
        }
    }

    fn ranking_mut(&mut self, now: Millis, key: &[u8]) -> Result<&mut Ranking, Refusal> {
        match self.get_or_create(now, key, || Data::Ranking(Ranking::default())) {
            Data::Ranking(ranking) => Ok(ranking),
            Data::Hash(_) | Data::Stream(_) => Err(Refusal::wrong_type()),
        }
    }

    fn get_or_create(&mut self, now: Millis, key: &[u8], new: impl FnOnce() -> Data) -> &mut Data {
        self.get(now, key);
        let fresh = || Kept {
            value: new(),
            expires_at: None,
        };
        &mut self.0.entry(key.to_vec()).or_insert_with(fresh).value
    }

    fn hash_set(&mut self, now: Millis, key: &[u8], pairs: &[&[u8]]) -> Reply {
        let hash = self.hash_mut(now, key)?;
        let new = pairs
            .chunks_exact(2)
            .filter(|pair| hash.insert(pair[0].to_vec(), pair[1].to_vec()).is_none());
        Ok(count(new.count()))
    }

    fn hash_set_new(&mut self, now: Millis, key: &[u8], field: &[u8], value: &[u8]) -> Reply {
        let hash = self.hash_mut(now, key)?;
        if hash.contains_key(field) {
            return Ok(Value::Int(0));
        }
        hash.insert(field.to_vec(), value.to_vec());
        Ok(Value::Int(1))
    }

    fn hash_get_many(&mut self, now: Millis, key: &[u8], fields: &[&[u8]]) -> Reply {
        let hash = self.hash(now, key)?;
        let value = |field: &&[u8]| bulk_or_nil(hash.as_ref().and_then(|it| it.get(*field)));
        Ok(Value::Array(fields.iter().map(value).collect()))
    }

    fn hash_get_all(&mut self, now: Millis, key: &[u8]) -> Reply {
        let pairs = self
            .hash(now, key)?
            .map(|hash| hash.iter().flat_map(|(field, value)| [bulk(field), bulk(value)]).collect());
        Ok(Value::Array(pairs.unwrap_or_default()))
    }

    fn hash_increase(&mut self, now: Millis, key: &[u8], field: &[u8], by: i64) -> Reply {
        let hash = self.hash_mut(now, key)?;
        let have = hash.get(field).map_or(Ok(0), |it| number(it))?;
        let sum = have.checked_add(by).ok_or_else(Refusal::not_a_number)?;
        hash.insert(field.to_vec(), sum.to_string().into_bytes());
        Ok(Value::Int(sum))
    }

    /// A hash without fields is no key any more.
    fn hash_delete(&mut self, now: Millis, key: &[u8], fields: &[&[u8]]) -> Reply {
        let Some(hash) = self.hash(now, key)? else {
            return Ok(Value::Int(0));
        };
        let gone = fields.iter().filter(|field| hash.remove(**field).is_some()).count();
        if hash.is_empty() {
            self.0.remove(key);
        }
        Ok(count(gone))
    }

    /// A stream without entries still is a key.
    fn stream_delete(&mut self, now: Millis, key: &[u8], ids: &[&[u8]]) -> Reply {
        self.stream(now, key)?.map_or(Ok(Value::Int(0)), |it| it.delete(ids))
    }
}

const KNOWN: [&str; 20] = [
    "TIME",
    "INFO",
    "DEL",
    "UNLINK",
    "PEXPIRE",
    "HSET",
    "HSETNX",
    "HGET",
    "HMGET",
    "HGETALL",
    "HINCRBY",
    "HDEL",
    "XADD",
    "XRANGE",
    "XDEL",
    "ZADD",
    "ZCARD",
    "ZSCORE",
    "ZRANGE",
    "ZREMRANGEBYRANK",
];

fn time(now: Millis) -> Value {
    let (seconds, micros) = (now.0.div_euclid(1000), now.0.rem_euclid(1000) * 1000);
    Value::Array(vec![
        bulk(seconds.to_string().as_bytes()),
        bulk(micros.to_string().as_bytes()),
    ])
}

/// As a server that keeps everything answers.
fn info(section: &[u8]) -> Reply {
    match section {
        b"memory" => Ok(bulk(b"# Memory\r\nmaxmemory_policy:noeviction\r\n")),
        b"persistence" => Ok(bulk(b"# Persistence\r\naof_enabled:1\r\n")),
        _ => Err(Refusal::syntax()),
    }
}
