//! What one Redis ought to hold: two requests at most, and who waits on its streams. Wiped and rolled back as a whole.

use super::act::At;
use super::request::Known;
use erasure_protocol::{Header, Mask, Plan};
use erasure_tracker::{Claimed, Finished, Init, Mark, Marked};
use std::collections::{BTreeMap, BTreeSet};

/// What the tracker has to answer to an act.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Answer {
    Init(Init),
    Claimed(Claimed),
    Marked(Marked),
    Finished(Finished),
    /// Whom the notices name.
    Named(BTreeSet<At>),
    Nothing,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Projection {
    pub(crate) known: BTreeMap<At, Known>,
    wanted: BTreeSet<At>,
    /// How many notices of completion there are of each.
    pub(crate) told: BTreeMap<At, usize>,
}

impl Projection {
    pub(crate) fn init(&mut self, at: At, header: &Header) -> Answer {
        let Some(known) = self.known.get_mut(&at) else {
            self.known.insert(at, Known::new(header.clone()));
            return Answer::Init(Init::Created);
        };
        let init = known.adopt(&header.plan);
        if init != Init::Final {
            known.header.generation = known.header.generation.max(header.generation);
        }
        self.announce(at);
        Answer::Init(init)
    }

    pub(crate) fn project(&mut self, at: At, header: &Header) -> Answer {
        let answer = self.init(at, header);
        if let Some(known) = self.known.get_mut(&at).filter(|it| !it.is_final) {
            known.header.generation = header.generation;
        }
        answer
    }

    pub(crate) fn extend(&mut self, at: At, plan: &Plan) -> Answer {
        let Some(known) = self.known.get_mut(&at) else {
            self.wanted.insert(at);
            return Answer::Init(Init::Unknown);
        };
        let init = known.adopt(plan);
        self.announce(at);
        Answer::Init(init)
    }

    pub(crate) fn claim(&mut self, at: At, ask: impl FnOnce(&mut Known) -> Option<Claimed>) -> Answer {
        Answer::Claimed(self.or_want(at, ask).unwrap_or(Claimed::Unknown))
    }

    pub(crate) fn mark(&mut self, at: At, mark: &Mark) -> Answer {
        let marked = self.or_want(at, |known| known.mark(mark)).unwrap_or(Marked::Unknown);
        if !matches!(marked, Marked::Ok { .. }) {
            return Answer::Marked(marked);
        }
        self.announce(at);
        let complete = self.known.get(&at).is_some_and(Known::is_complete);
        Answer::Marked(Marked::Ok { complete })
    }

    pub(crate) fn unfail(&mut self, at: At, entry: usize, slice: u32, mask: &Mask) -> Answer {
        let marked = self.or_want(at, |known| known.unfail(entry, slice, mask));
        Answer::Marked(marked.unwrap_or(Marked::Unknown))
    }

    pub(crate) fn finish(&mut self, at: At) -> Answer {
        let known = self.known.get_mut(&at).map(|known| known.is_final = true);
        Answer::Finished(known.map_or(Finished::Unknown, |()| Finished::Ok))
    }

    pub(crate) fn settle_complete(&mut self) -> Answer {
        Answer::Named(std::mem::take(&mut self.told).into_keys().collect())
    }

    pub(crate) fn settle_wanted(&mut self) -> Answer {
        Answer::Named(std::mem::take(&mut self.wanted))
    }

    /// The answer, or nothing and the request on the want stream.
    fn or_want<T>(&mut self, at: At, ask: impl FnOnce(&mut Known) -> Option<T>) -> Option<T> {
        let answer = self.known.get_mut(&at).and_then(ask);
        if answer.is_none() {
            self.wanted.insert(at);
        }
        answer
    }

    fn announce(&mut self, at: At) {
        if self.known.get_mut(&at).is_some_and(|it| !it.is_final && it.announce()) {
            *self.told.entry(at).or_default() += 1;
        }
    }
}
