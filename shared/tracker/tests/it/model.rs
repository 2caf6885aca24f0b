//! Random acts against a plain model: after each of them the counts sum to n and never show more than the evidence.

use crate::world::{World, entry, mark_of, purge};
use anyhow::Result;
use erasure_protocol::{Counts, Header, Mask, Phase, PlanEntry};
use erasure_tracker::{Mark, Marked};
use std::collections::{BTreeMap, BTreeSet};

/// A small generator with a seed, so that a failure can be repeated (xorshift64*).
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % n
    }

    fn mask(&mut self, share: u64) -> Mask {
        (0..512).filter(|_| self.below(100) < share).collect()
    }
}

/// Task (entry, number) → the letters that are set.
#[derive(Default)]
struct Model {
    letters: BTreeMap<(usize, u64), BTreeSet<char>>,
}

impl Model {
    fn state(&self, entry: usize, number: u64) -> char {
        let set = self.letters.get(&(entry, number));
        ['r', 'e', 'n', 'f', 'p', 'w']
            .into_iter()
            .find(|it| set.is_some_and(|set| set.contains(it)))
            .unwrap_or('o')
    }

    fn mark(&mut self, header: &Header, mark: &Mark) {
        let given = [
            ('e', mark.erased),
            ('n', mark.nothing_held),
            ('r', mark.retained),
            ('f', mark.failed),
            ('p', mark.pending),
            ('w', mark.retrying),
        ];
        for at in 0..usize::from(mark.count) {
            let number = u64::from(mark.slice) * 512 + at as u64;
            assert!(number < header.subjects);
            let now: Vec<char> = given
                .iter()
                .filter(|(_, mask)| mask.has(at))
                .map(|(letter, _)| *letter)
                .collect();
            let set = self.letters.entry((mark.entry, number)).or_default();
            if !now.is_empty() {
                set.remove(&'p');
                set.remove(&'w');
            }
            set.extend(now);
            if ['e', 'n', 'r'].iter().any(|it| set.contains(it)) {
                set.retain(|it| "enr".contains(*it));
            }
        }
    }

    fn unfail(&mut self, entry: usize, slice: u32, mask: &Mask) {
        for at in mask.iter() {
            if let Some(set) = self.letters.get_mut(&(entry, u64::from(slice) * 512 + at as u64)) {
                set.remove(&'f');
            }
        }
    }

    fn tasks(&self, header: &Header, entry: usize) -> Counts {
        (0..header.subjects).fold(Counts::default(), |sum, number| add(sum, self.state(entry, number)))
    }

    fn people(&self, header: &Header) -> Counts {
        let live: Vec<(usize, Phase)> = header.plan.live().map(|(at, entry)| (at, entry.phase)).collect();
        let last = live.iter().map(|(_, phase)| *phase).max().unwrap();
        (0..header.subjects).fold(Counts::default(), |sum, number| {
            let all: Vec<char> = live.iter().map(|(at, _)| self.state(*at, number)).collect();
            let end: Vec<char> = live
                .iter()
                .filter(|(_, phase)| *phase == last)
                .map(|(at, _)| self.state(*at, number))
                .collect();
            let worst = ['f', 'p', 'w', 'o'].into_iter().find(|it| all.contains(it));
            let done = if end.contains(&'r') {
                'r'
            } else if end.iter().all(|it| *it == 'n') {
                'n'
            } else {
                'e'
            };
            add(sum, worst.unwrap_or(done))
        })
    }

    fn complete(&self, header: &Header) -> bool {
        header
            .plan
            .live()
            .all(|(at, _)| self.tasks(header, at).done() == header.subjects)
    }
}

fn add(mut sum: Counts, state: char) -> Counts {
    let field = match state {
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

/// One random request from its beginning until it is complete.
async fn play(world: &World, seed: u64) -> Result<()> {
    let mut dice = Dice(seed | 1);
    let subjects = [1, 2, 33, 512, 513, 1_100][dice.below(6) as usize];
    let plan = [entry(Phase::Hide, "profiles", 1), purge("profiles", 1), purge("mail", 2)];
    let mut header = world.running(subjects, &plan[dice.below(2) as usize..]).await?;
    let mut model = Model::default();
    let mut told = 0;
    let mut told_at = BTreeSet::new();
    for step in 0..60 {
        let live: Vec<usize> = header.plan.live().map(|(at, _)| at).collect();
        let at = live[dice.below(live.len() as u64) as usize];
        let slice = dice.below(u64::from(header.slices)) as u32;
        let context = format!("seed {seed}, step {step}, {subjects} subjects");
        match dice.below(12) {
            0 => {
                let mask = dice.mask(50);
                world.tracker.unfail(header.request, at, slice, &mask).await?;
                model.unfail(at, slice, &mask);
            }
            1 if header.plan.version() < 6 => {
                let wanted: Vec<PlanEntry> = vec![purge("mail", dice.below(9) as u8 + 10)];
                if let Some(plan) = header.plan.extended(&wanted) {
                    header.plan = plan;
                    world.tracker.extend(header.request, &header.plan).await?;
                }
            }
            _ => {
                let share = if step > 40 { 100 } else { 40 };
                let mark = Mark {
                    erased: dice.mask(share),
                    nothing_held: dice.mask(20),
                    retained: dice.mask(10),
                    failed: dice.mask(10),
                    pending: dice.mask(20),
                    retrying: dice.mask(20),
                    ..mark_of(&header, at, slice)
                };
                model.mark(&header, &mark);
                let complete = model.complete(&header);
                assert_eq!(world.mark(mark).await?, Marked::Ok { complete }, "{context}");
                if complete && told_at.insert(header.plan.version()) {
                    told += 1;
                }
            }
        }
        let progress = world.tracker.progress(&[header.request]).await?.remove(0).unwrap();
        assert_eq!(progress.header, header, "{context}");
        assert_eq!(progress.people, model.people(&header), "{context}");
        assert_eq!(progress.people.total(), subjects);
        for at in live {
            assert_eq!(progress.entries[at].counts, model.tasks(&header, at), "{context}, entry {at}");
        }
    }
    assert_eq!(
        world.told().await?,
        told,
        "seed {seed}: once for each plan version that was full"
    );
    let notices = world.tracker.next_complete(10_000).await?;
    world.tracker.settle_complete(&notices).await?;
    assert_eq!(
        notices.len(),
        usize::from(told > 0),
        "a request is named once, whatever it was told"
    );
    Ok(())
}

#[tokio::test]
async fn random_acts_agree_with_the_model_at_every_step() -> Result<()> {
    let world = World::new().await?;
    for seed in 1..=40_u64 {
        play(&world, seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)).await?;
    }
    Ok(())
}
