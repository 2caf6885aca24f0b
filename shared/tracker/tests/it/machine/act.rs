//! What can happen to a tracker.

use super::reference::{REQUESTS, State};
use crate::world::{entry, mark_of, purge};
use erasure_protocol::{EvidenceKey, Header, Mask, Phase, PlanEntry};
use erasure_tracker::Mark;
use proptest::prelude::*;
use proptest::sample::select;

/// One of the requests of a game.
pub(crate) type At = usize;

#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// The ledger's plan grows; the tracker is not told.
    Grow(At, PlanEntry),
    /// A header is projected, with as much of the plan as somebody knows who may be behind.
    Init { at: At, entries: usize, generation: u32 },
    /// The same by the ledger's word, which sets the generation.
    Project { at: At, entries: usize, generation: u32 },
    /// The tracker is told of a plan, perhaps of an old one.
    Extend { at: At, entries: usize },
    /// A worker asks, under the key of its map.
    Claim {
        at: At,
        entry: usize,
        slice: u32,
        evidence: EvidenceKey,
    },
    /// A worker has done something and says so: for the first time, again, or too late.
    Mark(At, Box<Mark>),
    /// Parked tasks are redriven.
    Unfail { at: At, entry: usize, slice: u32, mask: Mask },
    /// The ledger has come to its end with a request.
    Finish(At),
    /// A request is dropped.
    Forget(At),
    /// Redis is copied.
    Copy,
    /// Redis goes back to an older copy.
    RollBack(usize),
    /// Redis loses everything.
    Wipe,
    /// The reconciler takes in what is complete.
    SettleComplete,
    /// The reconciler takes in what is wanted.
    SettleWanted,
}

/// Any act that makes sense now.
pub(crate) fn any_act(state: &State) -> BoxedStrategy<Act> {
    let of_one = (0..REQUESTS).prop_flat_map({
        let headers = state.headers.clone();
        move |at| of_request(at, &headers[at])
    });
    let copies = state.copies.len();
    let sent = state.sent.clone();
    let repeat = if sent.is_empty() {
        Just(Act::SettleWanted).boxed()
    } else {
        select(sent).prop_map(|(at, mark)| Act::Mark(at, mark)).boxed()
    };
    prop_oneof![
        40 => of_one,
        4 => repeat,
        2 => Just(Act::Copy),
        2 => (0..copies.max(1)).prop_map(move |at| if copies > 0 { Act::RollBack(at) } else { Act::Copy }),
        1 => Just(Act::Wipe),
        1 => Just(Act::SettleComplete),
        1 => Just(Act::SettleWanted),
    ]
    .boxed()
}

fn of_request(at: At, header: &Header) -> BoxedStrategy<Act> {
    let (entries, slices) = (header.plan.entries().len(), header.slices);
    // Each sometimes one too far: what the tracker is not told of yet.
    let (entry, slice) = (some(entries), (0..slices * 4 + 1).prop_map(|it| it / 4));
    let known = prop_oneof![3 => Just(entries), 1 => 1..=entries];
    let generation = 1..5_u32;
    prop_oneof![
        1 => wanted().prop_map(move |it| Act::Grow(at, it)),
        2 => (known.clone(), generation.clone()).prop_map(move |(entries, generation)| Act::Init { at, entries, generation }),
        2 => (known.clone(), generation).prop_map(move |(entries, generation)| Act::Project { at, entries, generation }),
        2 => known.prop_map(move |entries| Act::Extend { at, entries }),
        3 => claim(at, header),
        14 => mark(header).prop_map(move |it| Act::Mark(at, Box::new(it))),
        2 => (entry, slice, mask()).prop_map(move |(entry, slice, mask)| Act::Unfail { at, entry, slice, mask }),
        1 => prop_oneof![Just(Act::Finish(at)), Just(Act::Forget(at))],
    ]
    .boxed()
}

fn some(entries: usize) -> impl Strategy<Value = usize> + Clone {
    (0..entries * 5 + 1).prop_map(|it| it / 5)
}

fn wanted() -> impl Strategy<Value = PlanEntry> {
    let hide = (1..4_u8).prop_map(|evidence| entry(Phase::Hide, "profiles", evidence));
    let rest = (select(vec!["profiles", "mail"]), 1..4_u8).prop_map(|(subsystem, evidence)| purge(subsystem, evidence));
    prop_oneof![hide, rest]
}

/// Mostly the key that the plan asks for.
fn evidence(header: &Header, entry: usize) -> impl Strategy<Value = EvidenceKey> + use<> {
    let own = header.plan.entry(entry).map_or(EvidenceKey([0; 16]), |it| it.evidence);
    prop_oneof![9 => Just(own), 1 => (1..5_u8).prop_map(|it| EvidenceKey([it; 16]))]
}

fn claim(at: At, header: &Header) -> impl Strategy<Value = Act> + use<> {
    let (header, slices) = (header.clone(), header.slices);
    let entries = header.plan.entries().len();
    (0..entries, 0..slices).prop_flat_map(move |(entry, slice)| {
        evidence(&header, entry).prop_map(move |evidence| Act::Claim {
            at,
            entry,
            slice,
            evidence,
        })
    })
}

fn mark(header: &Header) -> impl Strategy<Value = Mark> + use<> {
    let header = header.clone();
    let slices = header.slices;
    (some(header.plan.entries().len()), 0..slices * 8 + 1).prop_flat_map(move |(entry, slice)| {
        let blank = Mark {
            entry,
            slice: slice / 8,
            ..mark_of(&header, 0, (slice / 8).min(slices - 1))
        };
        (evidence(&header, entry), mask(), masks()).prop_map(move |(evidence, erased, rest)| Mark {
            evidence,
            erased,
            nothing_held: rest[0],
            retained: rest[1],
            failed: rest[2],
            pending: rest[3],
            retrying: rest[4],
            ..blank.clone()
        })
    })
}

fn masks() -> impl Strategy<Value = [Mask; 5]> {
    let one = || prop_oneof![3 => Just(Mask::EMPTY), 1 => mask()];
    [one(), one(), one(), one(), one()]
}

/// All of a slice often, so that games come to an end; and more than a slice has.
fn mask() -> impl Strategy<Value = Mask> {
    prop_oneof![
        3 => Just(Mask::first(512)),
        2 => (0..40_usize, 0..40_usize).prop_map(|(from, to)| (from..to).collect()),
        1 => (0..512_usize).prop_map(|it| [it].into_iter().collect()),
        1 => any::<u64>().prop_map(|bits| (0..512).filter(|at| bits >> (at % 61) & 1 == 1).collect()),
    ]
}
