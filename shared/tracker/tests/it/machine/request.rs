//! What a tracker ought to know of one request: cells, each with what was said of it.

use erasure_protocol::{Counts, Done, Header, Mask, Phase, Plan};
use erasure_tracker::{Claimed, Init, Mark, Marked};
use std::collections::BTreeMap;

/// A slice of one entry of the plan.
type Place = (usize, u32);

#[derive(Clone, Debug)]
pub(crate) struct Known {
    /// As it was projected: the plan and the generation are this tracker's own.
    pub(crate) header: Header,
    pub(crate) is_final: bool,
    cells: BTreeMap<Place, Cells>,
    starts: BTreeMap<Place, u32>,
    announced: u32,
}

/// What was said of each cell of a slice.
#[derive(Clone, Debug, Default)]
struct Cells {
    erased: Mask,
    nothing_held: Mask,
    retained: Mask,
    failed: Mask,
    pending: Mask,
    retrying: Mask,
}

impl Cells {
    fn done(&self) -> Mask {
        self.erased.or(&self.nothing_held).or(&self.retained)
    }

    fn letter(&self, at: usize) -> char {
        let all = [
            (self.retained, 'r'),
            (self.erased, 'e'),
            (self.nothing_held, 'n'),
            (self.failed, 'f'),
            (self.pending, 'p'),
            (self.retrying, 'w'),
        ];
        all.iter().find(|(mask, _)| mask.has(at)).map_or('o', |(_, letter)| *letter)
    }
}

/// How many cells a slice has.
pub(crate) fn size(header: &Header, slice: u32) -> usize {
    let before = u64::from(slice) * 512;
    usize::try_from(header.subjects.saturating_sub(before).min(512)).unwrap_or(512)
}

impl Known {
    pub(crate) fn new(header: Header) -> Self {
        Self {
            header,
            is_final: false,
            cells: BTreeMap::new(),
            starts: BTreeMap::new(),
            announced: 0,
        }
    }

    /// Takes over a plan, unless it is an older one.
    pub(crate) fn adopt(&mut self, plan: &Plan) -> Init {
        if self.is_final {
            return Init::Final;
        }
        match plan.version().cmp(&self.header.plan.version()) {
            std::cmp::Ordering::Less => Init::Older,
            std::cmp::Ordering::Equal => Init::Refreshed,
            std::cmp::Ordering::Greater => {
                self.header.plan = plan.clone();
                Init::Extended
            }
        }
    }

    /// What a claim hears; `None` when the tracker has to be told more first.
    pub(crate) fn claim(
        &mut self,
        wanted: &Header,
        entry: usize,
        slice: u32,
        key: erasure_protocol::EvidenceKey,
    ) -> Option<Claimed> {
        if self.is_final {
            return Some(Claimed::Final);
        }
        let wanted = wanted.plan.entry(entry)?;
        let (entry, live) = self.header.plan.find(wanted.phase, &wanted.subsystem)?;
        if live.evidence != key {
            return Some(Claimed::Stale { expected: live.evidence });
        }
        let cells = self.cells.get(&(entry, slice)).cloned().unwrap_or_default();
        let starts = self.starts.get(&(entry, slice)).copied().unwrap_or(0);
        let replaces = self.header.plan.entries()[..entry]
            .iter()
            .any(|it| it.subsystem == wanted.subsystem);
        let was_there = replaces || !cells.done().or(&cells.pending).or(&cells.retrying).is_empty();
        // Where every task has ended, nobody works.
        if cells.done().or(&cells.failed).count() < size(&self.header, slice) {
            self.starts.insert((entry, slice), starts + 1);
        }
        Some(Claimed::Open {
            entry,
            done: cells.done(),
            failed: cells.failed,
            key: self.header.key.clone()?,
            starts: starts.max(u32::from(was_there)),
            generation: self.header.generation,
            now: erasure_protocol::Millis(0),
        })
    }

    /// What a mark hears, but for completion; `None` when the tracker has to be told more first.
    pub(crate) fn mark(&mut self, mark: &Mark) -> Option<Marked> {
        if self.is_final {
            return Some(Marked::Final);
        }
        let entry = self.header.plan.entry(mark.entry)?;
        if mark.slice >= self.header.slices {
            return None;
        }
        if !self.header.plan.is_live(mark.entry) || entry.evidence != mark.evidence {
            return Some(Marked::Stale);
        }
        let whole = Mask::first(size(&self.header, mark.slice));
        let said = [
            mark.erased,
            mark.nothing_held,
            mark.retained,
            mark.failed,
            mark.pending,
            mark.retrying,
        ]
        .map(|it| it.and(&whole));
        let touched = said.iter().fold(Mask::EMPTY, |sum, it| sum.or(it));
        let starts = self.starts.get(&(mark.entry, mark.slice)).copied().unwrap_or(0);
        let is_alone = starts < 2 && self.header.generation < 2;
        let cells = self.cells.entry((mark.entry, mark.slice)).or_default();
        let doubtful = said[1].without(&cells.nothing_held);
        let doubtful = if is_alone {
            doubtful.and(&cells.pending.or(&cells.retrying))
        } else {
            doubtful
        };
        let said = [
            said[0].or(&doubtful),
            said[1].without(&doubtful),
            said[2],
            said[3],
            said[4],
            said[5],
        ];
        cells.erased = cells.erased.or(&said[0]);
        cells.nothing_held = cells.nothing_held.or(&said[1]);
        cells.retained = cells.retained.or(&said[2]);
        let done = cells.done();
        cells.failed = cells.failed.or(&said[3]).without(&done);
        cells.pending = cells.pending.without(&touched).or(&said[4]).without(&done);
        cells.retrying = cells.retrying.without(&touched).or(&said[5]).without(&done);
        self.starts.remove(&(mark.entry, mark.slice));
        Some(Marked::Ok { complete: false })
    }

    pub(crate) fn unfail(&mut self, entry: usize, slice: u32, mask: &Mask) -> Option<Marked> {
        if self.is_final {
            return Some(Marked::Final);
        }
        if entry >= self.header.plan.entries().len() || slice >= self.header.slices {
            return None;
        }
        if !self.header.plan.is_live(entry) {
            return Some(Marked::Stale);
        }
        if let Some(cells) = self.cells.get_mut(&(entry, slice)) {
            cells.failed = cells.failed.without(mask);
        }
        Some(Marked::Ok { complete: false })
    }

    /// Whether every cell of every live entry is done.
    pub(crate) fn is_complete(&self) -> bool {
        let mut live = self.header.plan.live().map(|(entry, _)| entry);
        live.all(|entry| (0..self.header.slices).all(|slice| self.done(entry, slice).count() == size(&self.header, slice)))
    }

    /// Whether this plan's completion is news.
    pub(crate) fn announce(&mut self) -> bool {
        let news = self.is_complete() && self.announced < self.header.plan.version();
        if news {
            self.announced = self.header.plan.version();
        }
        news
    }

    pub(crate) fn done(&self, entry: usize, slice: u32) -> Mask {
        self.cells.get(&(entry, slice)).map(Cells::done).unwrap_or_default()
    }

    pub(crate) fn evidence(&self, entry: usize, slice: u32, done: Done) -> Mask {
        let cells = self.cells.get(&(entry, slice)).cloned().unwrap_or_default();
        match done {
            Done::Erased => cells.erased,
            Done::NothingHeld => cells.nothing_held,
            Done::Retained => cells.retained,
            Done::Failed => cells.failed,
        }
    }

    /// What is neither done nor parked.
    pub(crate) fn missing(&self, entry: usize, slice: u32) -> Mask {
        let failed = self.evidence(entry, slice, Done::Failed);
        Mask::first(size(&self.header, slice))
            .without(&self.done(entry, slice))
            .without(&failed)
    }

    pub(crate) fn tasks(&self, entry: usize) -> Counts {
        self.positions()
            .fold(Counts::default(), |sum, (slice, at)| add(sum, self.letter(entry, slice, at)))
    }

    /// Everybody is as far as the least finished of their tasks; how they are done is said by the last phase.
    pub(crate) fn people(&self) -> Counts {
        let live: Vec<(usize, Phase)> = self.header.plan.live().map(|(entry, it)| (entry, it.phase)).collect();
        let last = live.iter().map(|(_, phase)| *phase).max();
        self.positions().fold(Counts::default(), |sum, (slice, at)| {
            let letters = |all: bool| {
                let counted = live.iter().filter(move |(_, phase)| all || Some(*phase) == last);
                counted
                    .map(|(entry, _)| self.letter(*entry, slice, at))
                    .collect::<Vec<char>>()
            };
            let (all, end) = (letters(true), letters(false));
            let worst = ['f', 'p', 'w', 'o'].into_iter().find(|it| all.contains(it));
            let done = match () {
                () if end.contains(&'r') => 'r',
                () if end.iter().all(|it| *it == 'n') => 'n',
                () => 'e',
            };
            add(sum, worst.unwrap_or(done))
        })
    }

    fn letter(&self, entry: usize, slice: u32, at: usize) -> char {
        self.cells.get(&(entry, slice)).map_or('o', |it| it.letter(at))
    }

    fn positions(&self) -> impl Iterator<Item = (u32, usize)> + '_ {
        (0..self.header.slices).flat_map(|slice| (0..size(&self.header, slice)).map(move |at| (slice, at)))
    }
}

fn add(mut sum: Counts, letter: char) -> Counts {
    let field = match letter {
        'e' => &mut sum.erased,
        'n' => &mut sum.nothing_held,
        'r' => &mut sum.retained,
        'f' => &mut sum.needs_attention,
        'p' => &mut sum.waiting_for_vendor,
        'w' => &mut sum.retrying,
        _ => &mut sum.in_progress,
    };
    *field += 1;
    sum
}
