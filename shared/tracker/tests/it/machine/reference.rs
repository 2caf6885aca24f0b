//! The world of a game: the ledger's headers, what workers have truly done, and what Redis and its copies ought to hold.

use super::act::{Act, At, any_act};
use super::projection::{Answer, Projection};
use super::request::size;
use crate::world::{blank_header, purge};
use erasure_protocol::{EvidenceKey, Header, LedgerId, Mask, Phase, Plan, SubsystemName};
use erasure_tracker::Mark;
use proptest::prelude::*;
use proptest::sample::select;
use proptest_state_machine::ReferenceStateMachine;
use std::collections::BTreeMap;
use uuid::Uuid;

pub(crate) const REQUESTS: At = 2;
pub(crate) const LEDGER: LedgerId = LedgerId(Uuid::from_u128(0x0190_a1b2_c3d4_7000_8000_0123_4567_89ab));
/// Enough to replace each entry, and few enough for games to come to an end.
const PLAN_ENTRIES_MAX: u32 = 5;

/// Who did something with a slice, under which map.
type Deed = (At, Phase, SubsystemName, EvidenceKey, u32);

#[derive(Clone, Debug)]
pub(crate) struct State {
    /// As the ledger has them; their plans only grow.
    pub(crate) headers: Vec<Header>,
    /// What was ever done, whatever Redis knows of it.
    deeds: BTreeMap<Deed, Mask>,
    /// All marks ever sent, to be sent again.
    pub(crate) sent: Vec<(At, Box<Mark>)>,
    pub(crate) redis: Projection,
    pub(crate) copies: Vec<Projection>,
    /// What the tracker has to answer to the last act.
    pub(crate) answer: Answer,
}

impl State {
    /// What was truly done of a slice for an entry under the entry's own evidence key.
    pub(crate) fn truly_done(&self, at: At, plan: &Plan, entry: usize, slice: u32) -> Mask {
        let deed = plan
            .entry(entry)
            .map(|it| (at, it.phase, it.subsystem.clone(), it.evidence, slice));
        deed.and_then(|it| self.deeds.get(&it)).copied().unwrap_or_default()
    }

    /// The ledger's header with the first entries of its plan.
    pub(crate) fn header(&self, at: At, entries: usize, generation: u32) -> Header {
        let whole = self.headers[at].plan.entries();
        Header {
            plan: Plan::new(whole[..entries.min(whole.len())].to_vec()),
            generation,
            ..self.headers[at].clone()
        }
    }

    fn grow(&mut self, at: At, entry: &erasure_protocol::PlanEntry) {
        let plan = &mut self.headers[at].plan;
        if plan.version() < PLAN_ENTRIES_MAX {
            *plan = plan.extended(std::slice::from_ref(entry)).unwrap_or_else(|| plan.clone());
        }
    }

    fn mark(&mut self, at: At, mark: &Mark) -> Answer {
        let header = &self.headers[at];
        if let Some(entry) = header.plan.entry(mark.entry) {
            let done = mark.erased.or(&mark.nothing_held).or(&mark.retained);
            let deed = (at, entry.phase, entry.subsystem.clone(), mark.evidence, mark.slice);
            let before = self.deeds.entry(deed).or_default();
            *before = before.or(&done.and(&Mask::first(size(header, mark.slice))));
        }
        self.sent.push((at, Box::new(mark.clone())));
        self.redis.mark(at, mark)
    }

    fn act(&mut self, act: &Act) -> Answer {
        match act {
            Act::Grow(at, entry) => self.grow(*at, entry),
            Act::Init { at, entries, generation } => return self.redis.init(*at, &self.header(*at, *entries, *generation)),
            Act::Project { at, entries, generation } => return self.redis.project(*at, &self.header(*at, *entries, *generation)),
            Act::Extend { at, entries } => return self.redis.extend(*at, &self.header(*at, *entries, 1).plan),
            Act::Claim {
                at,
                entry,
                slice,
                evidence,
            } => {
                let wanted = &self.headers[*at];
                return self.redis.claim(*at, |known| known.claim(wanted, *entry, *slice, *evidence));
            }
            Act::Mark(at, mark) => return self.mark(*at, mark),
            Act::Unfail { at, entry, slice, mask } => return self.redis.unfail(*at, *entry, *slice, mask),
            Act::Finish(at) => return self.redis.finish(*at),
            Act::Forget(at) => drop(self.redis.known.remove(at)),
            Act::Copy => self.copies.push(self.redis.clone()),
            Act::RollBack(copy) => self.redis = self.copies[*copy].clone(),
            Act::Wipe => self.redis = Projection::default(),
            Act::SettleComplete => return self.redis.settle_complete(),
            Act::SettleWanted => return self.redis.settle_wanted(),
        }
        Answer::Nothing
    }
}

pub(crate) struct Reference;

impl ReferenceStateMachine for Reference {
    type State = State;
    type Transition = Act;

    fn init_state() -> BoxedStrategy<State> {
        let size = || select(vec![1_u64, 2, 9, 33, 513, 1_030]);
        let plan = || select(vec![vec![purge("profiles", 1)], vec![purge("profiles", 1), purge("mail", 2)]]);
        let requests = ((size(), plan()), (size(), plan()));
        let state = requests.prop_map(|(one, other)| State {
            headers: [one, other]
                .into_iter()
                .zip(1..)
                .map(|((subjects, plan), id)| blank_header(LEDGER, Uuid::from_u128(id), subjects, &plan))
                .collect(),
            deeds: BTreeMap::new(),
            sent: Vec::new(),
            redis: Projection::default(),
            copies: Vec::new(),
            answer: Answer::Nothing,
        });
        state.boxed()
    }

    fn transitions(state: &State) -> BoxedStrategy<Act> {
        any_act(state)
    }

    fn preconditions(state: &State, act: &Act) -> bool {
        match act {
            Act::RollBack(copy) => *copy < state.copies.len(),
            Act::Claim { at, entry, .. } => *entry < state.headers[*at].plan.entries().len(),
            _ => true,
        }
    }

    fn apply(mut state: State, act: &Act) -> State {
        state.answer = state.act(act);
        state
    }
}
