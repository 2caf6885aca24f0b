//! Whatever happens, in whatever order: a confirmed message is in a queue, or out of it and unsettled, or on its way to another one, or
//! was acknowledged, or was lost on command. Random acts on the double, against a count of copies by id.

use crate::place::Place;
use crate::world::{RUNG, World, message, single, subsystem, to_single};
use erasure_broker::{
    Argument, Config, Consumer, ConsumerOptions, DeadQueue, Delivery, Outgoing, Publisher, Route, Settled, Source,
    double::{Contents, Disk, MemoryBroker},
};
use erasure_drill::{Blow, Lost, Weather};
use erasure_protocol::Lane;
use proptest::prelude::*;
use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};
use tokio::time::timeout;

#[derive(Clone, Copy, Debug)]
enum Act {
    Publish(To, usize),
    Take,
    Settle(How, usize),
    Pause,
    Resume,
    Pass(u64),
    Cut,
    Restart,
    Wipe,
    Lose(To, usize),
    Duplicate(To, usize),
    Reorder(To, u64),
}

#[derive(Clone, Copy, Debug)]
enum To {
    Work,
    Rung,
    Dead,
}

#[derive(Clone, Copy, Debug)]
enum How {
    Ack,
    Reject,
    Drop,
}

fn act() -> impl Strategy<Value = Act> {
    let to = || prop_oneof![4 => Just(To::Work), 2 => Just(To::Rung), 1 => Just(To::Dead)];
    let how = prop_oneof![3 => Just(How::Ack), 3 => Just(How::Reject), 1 => Just(How::Drop)];
    prop_oneof![
        6 => (to(), 1..5_usize).prop_map(|(to, count)| Act::Publish(to, count)),
        6 => Just(Act::Take),
        8 => (how, 0..8_usize).prop_map(|(how, at)| Act::Settle(how, at)),
        1 => Just(Act::Pause),
        2 => Just(Act::Resume),
        3 => (0..1_000_u64).prop_map(Act::Pass),
        1 => Just(Act::Cut),
        1 => Just(Act::Restart),
        1 => Just(Act::Wipe),
        1 => (to(), 1..3_usize).prop_map(|(to, count)| Act::Lose(to, count)),
        1 => (to(), 1..3_usize).prop_map(|(to, count)| Act::Duplicate(to, count)),
        1 => (to(), any::<u64>()).prop_map(|(to, seed)| Act::Reorder(to, seed)),
    ]
}

/// How many copies of each message there must be: at least, and at most.
#[derive(Default)]
struct Copies(BTreeMap<String, (usize, usize)>);

impl Copies {
    fn change(&mut self, id: &str, change: impl FnOnce(&mut (usize, usize))) {
        change(self.0.entry(id.to_owned()).or_default());
    }

    fn more(&mut self, id: &str) {
        self.change(id, |(least, most)| (*least, *most) = (*least + 1, *most + 1));
    }

    fn perhaps_more(&mut self, id: &str) {
        self.change(id, |(_, most)| *most += 1);
    }

    fn fewer(&mut self, id: &str) {
        self.change(id, |(least, most)| {
            (*least, *most) = (least.saturating_sub(1), most.saturating_sub(1))
        });
    }

    fn perhaps_fewer(&mut self, id: &str) {
        self.change(id, |(least, _)| *least = least.saturating_sub(1));
    }

    fn check(&self, broker: &MemoryBroker) {
        let mut found: BTreeMap<String, usize> = BTreeMap::new();
        for contents in broker.contents().into_values() {
            for id in [contents.ready, contents.unsettled, contents.leaving].concat() {
                *found.entry(id).or_default() += 1;
            }
        }
        for (id, (least, most)) in &self.0 {
            let copies = found.remove(id).unwrap_or(0);
            assert!((*least..=*most).contains(&copies), "{id}: {copies}, not {least} to {most}");
        }
        assert_eq!(found, BTreeMap::new(), "nobody has published these");
    }
}

struct Play {
    world: World,
    broker: MemoryBroker,
    publisher: Publisher,
    consumer: Consumer,
    held: Vec<Delivery>,
    copies: Copies,
    sent: usize,
    sky: Sky,
}

#[derive(Clone, Copy, Debug)]
enum Sky {
    /// Every call arrives at once, so the count is exact.
    Calm,
    /// Calls take their time, and some are lost; by this seed.
    Stormy(u64),
}

impl Sky {
    fn weather(self) -> Weather {
        let Self::Stormy(seed) = self else { return Weather::default() };
        let state = AtomicU64::new(seed);
        let next = move || {
            let n = state.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
            (n ^ (n >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 33
        };
        Weather::new(move |_| Blow {
            before: Duration::from_millis(next() % 10),
            after: Duration::from_millis(next() % 10),
            lost: match next() % 20 {
                0 => Some(Lost::Question),
                1 => Some(Lost::Answer),
                _ => None,
            },
        })
    }
}

impl Play {
    async fn begin(sky: Sky) -> Self {
        let weather = sky.weather();
        let broker = MemoryBroker::new();
        let world = World::new(Place::Double(broker.clone())).await;
        world.redeclare(&single(), &[("x-delivery-limit", Argument::Number(2))]).await;
        let config = Config {
            double: Some(broker.process("play", weather)),
            confirm_timeout_ms: 500,
            ..world.config.clone()
        };
        let options = ConsumerOptions {
            prefetch: 4,
            batch_max: 2,
            ..ConsumerOptions::default()
        };
        Self {
            publisher: Publisher::start(&config, "play", world.stop.child_token()),
            consumer: Consumer::start(&config, single(), options, world.stop.child_token()),
            world,
            broker,
            held: Vec::new(),
            copies: Copies::default(),
            sent: 0,
            sky,
        }
    }

    async fn act(&mut self, act: Act) {
        match act {
            Act::Publish(to, count) => self.publish(to, count).await,
            Act::Take => {
                if let Ok(Some(batch)) = timeout(Duration::from_millis(20), self.consumer.next_batch()).await {
                    self.held.extend(batch);
                }
            }
            Act::Settle(how, at) => self.settle(how, at).await,
            Act::Pause => self.consumer.pause(),
            Act::Resume => self.consumer.resume(),
            Act::Pass(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
            Act::Cut => drop(self.broker.cut("play")),
            Act::Restart => self.broker.restart(Disk::Kept),
            Act::Wipe => {
                self.broker.restart(Disk::Lost);
                self.copies = Copies::default();
            }
            Act::Lose(to, count) => {
                for id in self.broker.lose(&self.queue(to), count) {
                    self.copies.fewer(&id);
                }
            }
            Act::Duplicate(to, count) => {
                for id in self.broker.duplicate(&self.queue(to), count) {
                    self.copies.more(&id);
                }
            }
            Act::Reorder(to, seed) => self.broker.reorder(&self.queue(to), seed),
        }
        self.copies.check(&self.broker);
    }

    /// What is left can all be had: from the lane, after the rungs, until nothing comes any more.
    async fn end(mut self) {
        self.held.clear();
        self.consumer.resume();
        let patience = Duration::from_secs(300);
        while let Ok(Some(batch)) = timeout(patience, self.consumer.next_batch()).await {
            for delivery in batch {
                self.held.push(delivery);
                self.settle(How::Ack, 0).await;
            }
            self.copies.check(&self.broker);
        }
        let contents = self.broker.contents();
        for queue in [To::Work, To::Rung].map(|of| self.queue(of)) {
            assert_eq!(contents[&queue], Contents::default(), "{queue}");
        }
        self.stop().await;
    }

    /// Told to stop, the consumer hands out what it has already, and ends. What is not settled stays in its queue.
    async fn stop(mut self) {
        self.publish(To::Work, 5).await;
        self.world.stop.cancel();
        let patience = Duration::from_secs(150);
        let drained = timeout(patience, async {
            while let Some(batch) = self.consumer.next_batch().await {
                self.held.extend(batch);
                self.settle(How::Ack, 0).await;
            }
        });
        drained.await.expect("the end of the deliveries");
        self.held.clear();
        timeout(patience, self.consumer.closed())
            .await
            .expect("the end of the session");
        self.copies.check(&self.broker);
        let contents = self.broker.contents();
        assert!(contents.values().all(|it| it.unsettled.is_empty()), "{contents:?}");
        self.world.end().await;
    }

    async fn publish(&mut self, to: To, count: usize) {
        let messages: Vec<Outgoing> = (self.sent..self.sent + count)
            .map(|n| message(route(to), format!("m{n}"), "{}"))
            .collect();
        self.sent += count;
        let results = self.publisher.publish(messages.clone()).await;
        for (message, result) in messages.iter().zip(results) {
            match result {
                Ok(()) => self.copies.more(&message.message_id),
                Err(_) => self.copies.perhaps_more(&message.message_id),
            }
        }
    }

    /// An ack that was lost on the way is as good as told, and changes nothing.
    async fn settle(&mut self, how: How, at: usize) {
        if self.held.is_empty() {
            return;
        }
        let delivery = self.held.remove(at % self.held.len());
        let id = delivery.meta.message_id.clone().unwrap();
        let settled = match how {
            How::Ack => delivery.ack().await,
            How::Reject => {
                let _ = delivery.reject().await;
                return;
            }
            How::Drop => return drop(delivery),
        };
        match (settled, self.sky) {
            (Settled::Done, Sky::Calm) => self.copies.fewer(&id),
            (Settled::Stale, Sky::Calm) => {}
            (Settled::Done | Settled::Stale, Sky::Stormy(_)) => self.copies.perhaps_fewer(&id),
        }
    }

    fn queue(&self, of: To) -> String {
        let source = match of {
            To::Work => single(),
            To::Rung => Source::Wait { rung: RUNG },
            To::Dead => Source::Dead {
                queue: DeadQueue::Subsystem(subsystem()),
            },
        };
        self.world.topology.names().source(&source)
    }
}

fn route(to: To) -> Route {
    match to {
        To::Work => to_single(),
        To::Rung => Route::Wait {
            rung: RUNG,
            subsystem: subsystem(),
            lane: Lane::Single,
        },
        To::Dead => Route::Dead {
            queue: DeadQueue::Subsystem(subsystem()),
        },
    }
}

/// Every case in a runtime of its own, with a paused clock.
fn play(sky: Sky, acts: Vec<Act>) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let mut play = Play::begin(sky).await;
        for act in acts {
            play.act(act).await;
        }
        play.end().await;
    });
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_message_is_lost_or_invented_in_calm_weather(acts in prop::collection::vec(act(), 1..60)) {
        play(Sky::Calm, acts);
    }

    #[test]
    fn no_message_is_lost_or_invented_in_a_storm(seed in any::<u64>(), acts in prop::collection::vec(act(), 1..60)) {
        play(Sky::Stormy(seed), acts);
    }
}
