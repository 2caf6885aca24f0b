//! A real tracker that goes through the same acts, and what must be true of it after each.

use super::act::{Act, At};
use super::projection::Answer;
use super::reference::{LEDGER, REQUESTS, Reference, State};
use super::request::Known;
use crate::place::{Copy, Place};
use crate::world::World;
use anyhow::{Context, Result};
use erasure_protocol::{Done, EvidenceKey, Header, Mask, Millis, RequestState};
use erasure_tracker::{Claim, Claimed, Marked, Notice};
use proptest_state_machine::StateMachineTest;
use std::cell::RefCell;
use std::rc::Rc;
use tokio::runtime::Runtime;

thread_local! {
    /// Where the games of this thread are played: the state machine's functions are handed nothing.
    static STAGE: RefCell<Option<Rc<Stage>>> = const { RefCell::new(None) };
}

/// The runtime and the Redis of all games of one test.
pub(crate) struct Stage {
    runtime: Runtime,
    place: Place,
}

/// Clears the stage, which ends the servers that were started for it.
pub(crate) struct StageGuard;

impl Drop for StageGuard {
    fn drop(&mut self) {
        STAGE.take();
    }
}

impl Stage {
    pub(crate) fn set(place: impl FnOnce(&Runtime) -> Result<Place>) -> Result<StageGuard> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let place = place(&runtime)?;
        STAGE.set(Some(Rc::new(Self { runtime, place })));
        Ok(StageGuard)
    }
}

pub(crate) struct Tracked {
    stage: Rc<Stage>,
    world: World,
    copies: Vec<Copy>,
}

impl StateMachineTest for Tracked {
    type SystemUnderTest = Self;
    type Reference = Reference;

    fn init_test(_: &State) -> Self {
        let stage = STAGE
            .with_borrow(Clone::clone)
            .expect("the stage is set before a game begins");
        let world = stage.runtime.block_on(World::of_ledger(&stage.place, LEDGER)).unwrap();
        Self {
            stage,
            world,
            copies: Vec::new(),
        }
    }

    fn apply(mut it: Self, state: &State, act: Act) -> Self {
        let stage = Rc::clone(&it.stage);
        let answer = stage.runtime.block_on(it.act(state, &act)).unwrap();
        assert_eq!(answer, state.answer, "the answer to {act:?}");
        if let (Act::Mark(at, _), Answer::Marked(Marked::Ok { complete: true })) = (&act, &answer) {
            assert_complete(state, *at);
        }
        it
    }

    fn check_invariants(it: &Self, state: &State) {
        it.stage.runtime.block_on(it.look(state)).unwrap();
    }

    fn teardown(it: Self, _: State) {
        let prefix = &it.world.config.key_prefix;
        it.stage.runtime.block_on(it.world.redis.wipe(prefix)).unwrap();
    }
}

/// Who is called complete has every cell of every live entry done, under the evidence key that counts.
fn assert_complete(state: &State, at: At) {
    let header = &state.redis.known[&at].header;
    for (entry, _) in header.plan.live() {
        for slice in 0..header.slices {
            let done = state.truly_done(at, &header.plan, entry, slice);
            let whole = Mask::first(super::request::size(header, slice));
            assert_eq!(done, whole, "complete without entry {entry}, slice {slice}");
        }
    }
}

impl Tracked {
    async fn act(&mut self, state: &State, act: &Act) -> Result<Answer> {
        let (tracker, redis, prefix) = (&self.world.tracker, &self.world.redis, &self.world.config.key_prefix);
        match act {
            Act::Grow(..) => {}
            Act::Init { at, entries, generation } => {
                let init = tracker.init(&[state.header(*at, *entries, *generation)]).await?;
                return Ok(Answer::Init(init[0]));
            }
            Act::Project { at, entries, generation } => {
                let init = tracker.project(&[state.header(*at, *entries, *generation)]).await?;
                return Ok(Answer::Init(init[0]));
            }
            Act::Extend { at, entries } => {
                let plan = state.header(*at, *entries, 1).plan;
                return Ok(Answer::Init(tracker.extend(state.headers[*at].request, &plan).await?));
            }
            Act::Claim {
                at,
                entry,
                slice,
                evidence,
            } => {
                return self.claim(&state.headers[*at], *entry, *slice, *evidence).await;
            }
            Act::Mark(_, mark) => return Ok(Answer::Marked(tracker.mark(&[(**mark).clone()]).await?[0])),
            Act::Unfail { at, entry, slice, mask } => {
                let request = state.headers[*at].request;
                return Ok(Answer::Marked(tracker.unfail(request, *entry, *slice, mask).await?));
            }
            Act::Finish(at) => {
                let end = finished(&state.headers[*at]);
                return Ok(Answer::Finished(tracker.finish(&[end]).await?[0]));
            }
            Act::Forget(at) => tracker.forget(&[state.headers[*at].request]).await?,
            Act::Copy => self.copies.push(redis.copy(prefix).await?),
            Act::RollBack(copy) => redis.restore(prefix, &self.copies[*copy]).await?,
            Act::Wipe => redis.wipe(prefix).await?,
            Act::SettleComplete => {
                let notices = tracker.next_complete(10_000).await?;
                tracker.settle_complete(&notices).await?;
                return Ok(named(state, &notices));
            }
            Act::SettleWanted => {
                let notices = tracker.next_wanted(10_000).await?;
                tracker.settle_wanted(&notices).await?;
                return Ok(named(state, &notices));
            }
        }
        Ok(Answer::Nothing)
    }

    async fn claim(&self, header: &Header, entry: usize, slice: u32, evidence: EvidenceKey) -> Result<Answer> {
        let wanted = header
            .plan
            .entry(entry)
            .context("a claim is made for an entry of the ledger's plan")?;
        let claim = Claim {
            request: header.request,
            slice,
            phase: wanted.phase,
            subsystem: wanted.subsystem.clone(),
            evidence,
        };
        let mut claimed = self.world.tracker.claim(&[claim]).await?.remove(0);
        if let Claimed::Open { now, .. } = &mut claimed {
            *now = Millis(0);
        }
        Ok(Answer::Claimed(claimed))
    }

    async fn look(&self, state: &State) -> Result<()> {
        for at in 0..REQUESTS {
            let known = state.redis.known.get(&at);
            self.look_at_progress(state, at, known).await?;
            self.look_at_evidence(state, at, known).await?;
            self.look_at_what_is_outstanding(state, at, known).await?;
        }
        let told: usize = state.redis.told.values().sum();
        assert_eq!(self.world.told().await?, told, "notices of completion");
        Ok(())
    }

    /// The unknown stays unknown; the counts are those of the cells, and always sum to all.
    async fn look_at_progress(&self, state: &State, at: At, known: Option<&Known>) -> Result<()> {
        let progress = self.world.tracker.progress(&[state.headers[at].request]).await?.remove(0);
        let (Some(progress), Some(known)) = (&progress, known) else {
            assert_eq!((progress.is_some(), known.is_some()), (false, false), "whether it is known");
            return Ok(());
        };
        let header = if known.is_final {
            finished(&known.header)
        } else {
            known.header.clone()
        };
        assert_eq!(progress.header, header);
        assert_eq!(progress.people, known.people());
        assert_eq!(progress.people.total(), header.subjects);
        for (entry, shown) in progress.entries.iter().enumerate() {
            assert_eq!(shown.counts, known.tasks(entry), "entry {entry}");
        }
        Ok(())
    }

    /// Evidence is what was marked, and never more than what was done.
    async fn look_at_evidence(&self, state: &State, at: At, known: Option<&Known>) -> Result<()> {
        let evidence = self.world.tracker.evidence(state.headers[at].request).await?;
        let (Some(evidence), Some(known)) = (&evidence, known.filter(|it| !it.is_final)) else {
            assert_eq!(evidence, None);
            return Ok(());
        };
        for (entry, _) in known.header.plan.entries().iter().enumerate() {
            for slice in 0..known.header.slices {
                let invented = evidence
                    .done(entry, slice)
                    .without(&state.truly_done(at, &known.header.plan, entry, slice));
                assert!(
                    invented.is_empty(),
                    "entry {entry}, slice {slice}: nobody has done {invented:?}"
                );
                for done in Done::ALL {
                    let shown = evidence
                        .bits
                        .iter()
                        .find(|it| (it.entry, it.slice, it.done) == (entry, slice, done));
                    let shown = shown.map(|it| it.mask).unwrap_or_default();
                    assert_eq!(
                        shown,
                        known.evidence(entry, slice, done),
                        "{done:?} of entry {entry}, slice {slice}"
                    );
                }
            }
        }
        Ok(())
    }

    /// What is not done and not parked is looked for.
    async fn look_at_what_is_outstanding(&self, state: &State, at: At, known: Option<&Known>) -> Result<()> {
        let outstanding = self.world.tracker.outstanding(state.headers[at].request).await?;
        let (Some(outstanding), Some(known)) = (&outstanding, known.filter(|it| !it.is_final)) else {
            assert_eq!(outstanding, None);
            return Ok(());
        };
        for (entry, _) in known.header.plan.live() {
            for slice in 0..known.header.slices {
                let shown = outstanding.slices.iter().find(|it| (it.entry, it.slice) == (entry, slice));
                let whole = Mask::first(super::request::size(&known.header, slice));
                let missing = shown.map(|it| it.missing.and(&whole)).unwrap_or_default();
                assert_eq!(
                    missing,
                    known.missing(entry, slice),
                    "outstanding of entry {entry}, slice {slice}"
                );
            }
        }
        Ok(())
    }
}

fn finished(header: &Header) -> Header {
    Header {
        state: RequestState::Erased,
        finished_at: Some(Millis(1_790_000_009_000)),
        key: None,
        ..header.clone()
    }
}

fn named(state: &State, notices: &[Notice]) -> Answer {
    let place = |notice: &Notice| state.headers.iter().position(|it| it.request == notice.request);
    Answer::Named(notices.iter().filter_map(place).collect())
}
