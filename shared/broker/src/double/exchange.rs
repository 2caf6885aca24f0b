//! An exchange: its type, its bindings, and where goes what none of them wants.

use crate::ExchangeKind;
use std::collections::BTreeSet;

#[derive(Debug)]
pub(super) struct Exchange {
    pub(super) kind: ExchangeKind,
    pub(super) alternate: Option<String>,
    /// Queue and routing key.
    bindings: BTreeSet<(String, String)>,
}

impl Exchange {
    pub(super) fn new(kind: ExchangeKind, alternate: Option<String>) -> Self {
        Self {
            kind,
            alternate,
            bindings: BTreeSet::new(),
        }
    }

    pub(super) fn bind(&mut self, queue: &str, key: &str) {
        self.bindings.insert((queue.to_owned(), key.to_owned()));
    }

    /// The queues that want a message with this routing key.
    pub(super) fn wanted_by(&self, key: &str) -> BTreeSet<String> {
        let wants = |pattern: &str| match self.kind {
            ExchangeKind::Direct => pattern == key,
            ExchangeKind::Fanout => true,
            ExchangeKind::Topic => {
                let (pattern, key): (Vec<&str>, Vec<&str>) = (pattern.split('.').collect(), key.split('.').collect());
                matches(&pattern, &key)
            }
        };
        let bindings = self.bindings.iter().filter(|(_, pattern)| wants(pattern));
        bindings.map(|(queue, _)| queue.clone()).collect()
    }
}

/// `*` is one word, `#` any number of them.
fn matches(pattern: &[&str], key: &[&str]) -> bool {
    match (pattern, key) {
        ([], []) => true,
        (["#", rest @ ..], _) => matches(rest, key) || (!key.is_empty() && matches(pattern, &key[1..])),
        (["*", rest @ ..], [_, key @ ..]) => matches(rest, key),
        ([word, rest @ ..], [this, key @ ..]) => word == this && matches(rest, key),
        ([], _) | (_, []) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_matched_word_by_word() {
        let mut exchange = Exchange::new(ExchangeKind::Topic, None);
        for key in ["request", "request.*", "#.erased", "#"] {
            exchange.bind(key, key);
        }
        let wanted = |key: &str| exchange.wanted_by(key).into_iter().collect::<Vec<_>>();
        assert_eq!(wanted("request"), ["#", "request"]);
        assert_eq!(wanted("request.bulk"), ["#", "request.*"]);
        assert_eq!(wanted("erasure.request.erased"), ["#", "#.erased"]);
        assert_eq!(wanted("request.a.b"), ["#"]);
    }
}
