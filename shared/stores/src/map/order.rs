//! In which order a section's rules are carried out.

use super::{Map, Reach, Rule, Section};
use erasure_protocol::SubsystemName;

impl Map {
    /// The rules of a subsystem in the order to carry them out, see [`Section::order`]; `None` for a subsystem without a section.
    #[must_use]
    pub fn order(&self, subsystem: &SubsystemName) -> Option<Vec<&Rule>> {
        self.sections.get(subsystem).map(Section::order)
    }
}

impl Section {
    /// The rules in the order to carry them out: children before the parents they are reached through, shared rows after
    /// everything that owns them, otherwise as written.
    ///
    /// The keys of parents are read before the first change, in any case: see [`Section::parents`].
    #[must_use]
    pub fn order(&self) -> Vec<&Rule> {
        let mut waiting: Vec<&Rule> = self.rules.iter().collect();
        // Rows that several people share go last.
        waiting.sort_by_key(|it| it.when_last.is_some());
        let mut order = Vec::with_capacity(waiting.len());
        while !waiting.is_empty() {
            // A map with a circle is refused when read; here it ends in the order as written rather than never.
            let next = waiting
                .iter()
                .position(|it| !waiting.iter().any(|other| precedes(other, it)))
                .unwrap_or(0);
            order.push(waiting.remove(next));
        }
        order
    }

    /// The rules that others are reached through, parents of parents first: whose keys have to be read before the first change.
    #[must_use]
    pub fn parents(&self) -> Vec<&Rule> {
        let mut order = self.order();
        order.reverse();
        order.retain(|it| self.rules.iter().any(|other| reached_through(other, it)));
        order
    }

    /// The rule of this name.
    #[must_use]
    pub fn rule(&self, name: &str) -> Option<&Rule> {
        self.rules.iter().find(|it| it.name.as_str() == name)
    }

    /// Rules that wait for each other in a circle; empty in every map that was read.
    pub(super) fn circle(&self) -> Vec<&Rule> {
        let mut waiting: Vec<&Rule> = self.rules.iter().collect();
        while let Some(next) = waiting.iter().position(|it| !waiting.iter().any(|other| precedes(other, it))) {
            waiting.remove(next);
        }
        waiting
    }
}

/// Whether `first` has to be carried out before `then`.
fn precedes(first: &Rule, then: &Rule) -> bool {
    let owns = then
        .when_last
        .as_ref()
        .is_some_and(|it| it.table == first.table && first.name != then.name);
    owns || reached_through(first, then)
}

fn reached_through(child: &Rule, parent: &Rule) -> bool {
    match &child.reach {
        Reach::Through(through) => through.rule == parent.name,
        Reach::Match(_) => false,
    }
}
