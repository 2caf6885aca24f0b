//! A sorted set: members by their score, and by their name where scores are the same.

use super::reply::{Refusal, Reply, bulk, count};
use redis::Value;
use std::collections::BTreeMap;

#[derive(Clone, Debug, Default)]
pub(super) struct Ranking(BTreeMap<Vec<u8>, f64>);

impl Ranking {
    pub(super) fn add(&mut self, score: &[u8], member: &[u8]) -> Reply {
        let score = std::str::from_utf8(score).ok().and_then(|it| it.parse().ok());
        let new = self.0.insert(member.to_vec(), score.ok_or_else(Refusal::not_a_number)?);
        Ok(count(usize::from(new.is_none())))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn score(&self, member: &[u8]) -> Value {
        self.0.get(member).map_or(Value::Nil, |score| text(*score))
    }

    /// Members and scores, from the first rank to the last, both included.
    pub(super) fn range(&self, first: i64, last: i64) -> Value {
        let ranked = self.ranked(first, last);
        Value::Array(
            ranked
                .iter()
                .flat_map(|(score, member)| [bulk(member), text(*score)])
                .collect(),
        )
    }

    pub(super) fn remove_range(&mut self, first: i64, last: i64) -> Value {
        let gone = self.ranked(first, last);
        for (_, member) in &gone {
            self.0.remove(member);
        }
        count(gone.len())
    }

    fn ranked(&self, first: i64, last: i64) -> Vec<(f64, Vec<u8>)> {
        let mut all: Vec<_> = self.0.iter().map(|(member, score)| (*score, member.clone())).collect();
        all.sort_by(|one, other| one.0.total_cmp(&other.0).then_with(|| one.1.cmp(&other.1)));
        let first = usize::try_from(first).unwrap_or_default();
        let end = usize::try_from(last.saturating_add(1)).unwrap_or_default().min(all.len());
        all.get(first..end).map(<[_]>::to_vec).unwrap_or_default()
    }
}

fn text(score: f64) -> Value {
    bulk(score.to_string().as_bytes())
}
