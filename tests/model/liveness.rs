//! Whether completion can be reached from every state, without any further fault. A checker that follows single paths cannot say
//! that of a graph with cycles, so the graph is collected, and walked backwards from the states that are complete.

use crate::action::Action;
use crate::protocol::Protocol;
use crate::scope::Scope;
use crate::state::State;
use stateright::Model;
use std::collections::hash_map::{DefaultHasher, Entry};
use std::collections::{HashMap, VecDeque};
use std::hash::{Hash, Hasher};

/// What a walk over all states of a scenario has found.
pub(crate) struct Walk {
    pub(crate) states: usize,
    pub(crate) complete: usize,
    /// States from which nothing leads to completion but luck.
    pub(crate) stuck: usize,
    /// The shortest way into one of them.
    pub(crate) example: Option<Vec<Action>>,
}

/// Every state by number, in the order in which it was first met; how it was met; and who leads to it without a fault.
#[derive(Default)]
struct Graph {
    numbers: HashMap<u64, u32>,
    parents: Vec<(u32, Option<Action>)>,
    /// From, to.
    edges: Vec<(u32, u32)>,
    complete: Vec<u32>,
}

impl Protocol {
    /// Looks at every state, and from which of them one that is complete can be reached.
    pub(crate) fn walk(&self, is_complete: fn(&State, &Scope) -> bool) -> Walk {
        let graph = self.graph(is_complete);
        let lives = graph.can_complete();
        Walk {
            states: graph.parents.len(),
            complete: graph.complete.len(),
            stuck: lives.iter().filter(|lives| !**lives).count(),
            example: lives.iter().position(|lives| !lives).map(|at| graph.way_to(at)),
        }
    }

    fn graph(&self, is_complete: fn(&State, &Scope) -> bool) -> Graph {
        let mut graph = Graph::default();
        let mut open = VecDeque::new();
        for state in self.init_states() {
            graph.number(&state, 0, None);
            open.push_back(state);
        }
        let mut actions = Vec::new();
        let mut from = 0;
        while let Some(state) = open.pop_front() {
            if is_complete(&state, &self.0) {
                graph.complete.push(from);
            }
            self.actions(&state, &mut actions);
            for action in actions.drain(..) {
                let Some(next) = self.next_state(&state, action) else {
                    continue;
                };
                let (to, is_new) = graph.number(&next, from, Some(action));
                if !action.is_fault() {
                    graph.edges.push((from, to));
                }
                if is_new {
                    open.push_back(next);
                }
            }
            from += 1;
        }
        graph
    }
}

impl Graph {
    /// The number of a state, and whether it is met for the first time. States are told apart by a hash of 64 bits.
    fn number(&mut self, state: &State, parent: u32, action: Option<Action>) -> (u32, bool) {
        let mut hasher = DefaultHasher::new();
        state.hash(&mut hasher);
        let next = u32::try_from(self.parents.len()).expect("fewer states than memory holds");
        match self.numbers.entry(hasher.finish()) {
            Entry::Occupied(known) => (*known.get(), false),
            Entry::Vacant(new) => {
                new.insert(next);
                self.parents.push((parent, action));
                (next, true)
            }
        }
    }

    /// For each state whether one that is complete can be reached.
    fn can_complete(&self) -> Vec<bool> {
        let mut first = vec![0_usize; self.parents.len() + 1];
        self.edges.iter().for_each(|(_, to)| first[*to as usize + 1] += 1);
        (1..first.len()).for_each(|at| first[at] += first[at - 1]);
        let mut sources = vec![0_u32; self.edges.len()];
        let mut next = first.clone();
        for (from, to) in &self.edges {
            sources[next[*to as usize]] = *from;
            next[*to as usize] += 1;
        }
        let mut lives = vec![false; self.parents.len()];
        let mut open = self.complete.clone();
        open.iter().for_each(|at| lives[*at as usize] = true);
        while let Some(at) = open.pop() {
            for from in &sources[first[at as usize]..first[at as usize + 1]] {
                if !std::mem::replace(&mut lives[*from as usize], true) {
                    open.push(*from);
                }
            }
        }
        lives
    }

    fn way_to(&self, at: usize) -> Vec<Action> {
        let mut way = Vec::new();
        let (mut parent, mut action) = self.parents[at];
        while let Some(step) = action {
            way.push(step);
            (parent, action) = self.parents[parent as usize];
        }
        way.reverse();
        way
    }
}
