//! Does to the world what the scenario says, when it says so; and mends everything at the end.

use std::sync::Arc;
use std::time::Duration;

use erasure_kit::double::{Snapshot, Trouble as StoreTrouble};

use crate::operator::Operator;
use crate::process::Process;
use crate::scenario::{PROCESSES, Trouble};
use crate::world::{World, user_id};

/// Who has the processes in hand.
pub(crate) struct Nemesis {
    world: Arc<World>,
    operator: Operator,
    processes: [Option<Process>; PROCESSES.len()],
    store_copies: [Option<Snapshot>; 3],
    redis_copy: Option<erasure_tracker::double::Snapshot>,
    /// What ends by itself: when, and what to do then.
    later: Vec<(i64, Later)>,
}

#[derive(Clone, Copy)]
enum Later {
    Start(usize),
    Mend(usize),
}

impl Nemesis {
    pub(crate) fn new(world: &Arc<World>, operator: Operator) -> Self {
        let processes = [0, 1, 2, 3].map(|which| world.runs(which).then(|| Process::start(world, which)));
        Self {
            world: Arc::clone(world),
            operator,
            processes,
            store_copies: [None, None, None],
            redis_copy: None,
            later: Vec::new(),
        }
    }

    /// Goes through the scenario until it is calm.
    pub(crate) async fn rage(&mut self) {
        let world = Arc::clone(&self.world);
        for (at, trouble) in world.scenario.blows.clone() {
            self.wait_until(at).await;
            world.trace.act(world.sky.at(), format!("{trouble:?}"));
            self.strike(trouble).await;
        }
        self.wait_until(world.scenario.calm_at).await;
        self.mend().await;
    }

    async fn wait_until(&mut self, at: i64) {
        while let Some((place, due)) = self.next_of_later().filter(|(_, due)| *due <= at) {
            self.sleep_until(due).await;
            let (_, later) = self.later.remove(place);
            self.come_back(later);
        }
        self.sleep_until(at).await;
    }

    fn next_of_later(&self) -> Option<(usize, i64)> {
        let all = self.later.iter().enumerate().map(|(place, (due, _))| (place, *due));
        all.min_by_key(|(_, due)| *due)
    }

    async fn sleep_until(&self, at: i64) {
        let wait = u64::try_from(at - self.world.sky.at()).unwrap_or(0);
        tokio::time::sleep(Duration::from_millis(wait)).await;
    }

    fn come_back(&mut self, later: Later) {
        match later {
            Later::Start(which) => {
                if self.world.runs(which) && self.processes[which].is_none() {
                    self.processes[which] = Some(Process::start(&self.world, which));
                }
            }
            Later::Mend(store) => self.world.stores[store].set_trouble(None),
        }
    }

    fn in_a_while(&mut self, wait: i64, later: Later) {
        self.later.push((self.world.sky.at() + wait, later));
    }

    async fn strike(&mut self, trouble: Trouble) {
        let world = Arc::clone(&self.world);
        match trouble {
            Trouble::Crash { process, back_after } => {
                if let Some(running) = self.processes[process].take() {
                    running.kill(&world).await;
                    self.in_a_while(back_after, Later::Start(process));
                }
            }
            Trouble::Restart { process } => {
                if let Some(running) = self.processes[process].take() {
                    running.end(&world).await;
                    self.in_a_while(0, Later::Start(process));
                }
            }
            Trouble::Hold { process, for_ms } => world.sky.hold(PROCESSES[process], for_ms),
            Trouble::BrokerRestarts => world.broker.restart(),
            Trouble::BrokerLoses => world.broker.lose_one(&world.chance),
            Trouble::BrokerDuplicates => world.broker.duplicate_one(&world.chance),
            Trouble::BrokerReorders => world.broker.reorder(&world.chance),
            Trouble::BrokerIsWiped => world.broker.wipe(),
            Trouble::RedisIsWiped => world.redis.wipe(),
            Trouble::RedisIsCopied => self.redis_copy = Some(world.redis.snapshot()),
            Trouble::RedisGoesBack => {
                if let Some(copy) = &self.redis_copy {
                    world.redis.restore(copy);
                    world.oracle.redis_went_back();
                }
            }
            Trouble::StoreIsCopied { store } => self.store_copies[store] = Some(world.stores[store].snapshot()),
            Trouble::StoreFailsOver { store } => {
                if let Some(copy) = self.store_copies[store].clone() {
                    world.oracle.fails_over(store, || world.stores[store].fail_over_to(copy));
                }
            }
            Trouble::StoreIsUnreachable { store, for_ms } => {
                world.stores[store].set_trouble(Some(StoreTrouble::Unreachable));
                self.in_a_while(for_ms, Later::Mend(store));
            }
            Trouble::StoreIsBusy { store, for_ms } => {
                world.stores[store].set_trouble(Some(StoreTrouble::Busy));
                self.in_a_while(for_ms, Later::Mend(store));
            }
            Trouble::ConstraintOn { person, store } => world.stores[store].guard(&user_id(person)),
            Trouble::WritesBack { person, store } => world.stores[store].write_back_once(&user_id(person)),
            Trouble::ComesAgain { person } => world.come_again(person),
            Trouble::AWeekPasses { person } => world.come_undated(person),
            Trouble::NewMap => {
                world.settings().revision += 1;
                self.roll().await;
            }
            Trouble::NewStore => {
                world.settings().stores = world.stores.len();
                self.roll().await;
            }
            Trouble::Redrive => self.operator.redrive(),
            Trouble::VendorForgets => world.stores[2].forget_jobs(),
        }
    }

    /// A rolling restart: one process after the other takes over the new settings, some by being killed.
    async fn roll(&mut self) {
        let world = Arc::clone(&self.world);
        let steps = self.world.chance.between(0, 400);
        for which in 0..PROCESSES.len() {
            let which = (which + usize::try_from(steps).unwrap_or(0)) % PROCESSES.len();
            if let Some(running) = self.processes[which].take() {
                running.kill(&world).await;
                let wait = i64::try_from(steps).unwrap_or(0) * i64::try_from(which + 1).unwrap_or(0);
                self.in_a_while(wait, Later::Start(which));
            }
        }
    }

    /// Everything is well again, and stays so.
    async fn mend(&mut self) {
        let world = Arc::clone(&self.world);
        world.trace.act(world.sky.at(), "calm".to_owned());
        world.sky.calm();
        for store in &world.stores {
            store.set_trouble(None);
            store.unguard();
        }
        self.later.clear();
        (0..PROCESSES.len()).for_each(|which| self.come_back(Later::Start(which)));
    }

    /// The end of the run.
    pub(crate) async fn stop(self) {
        for process in self.processes.into_iter().flatten() {
            process.kill(&self.world).await;
        }
    }
}
