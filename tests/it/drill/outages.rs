//! Servers that are killed, started again or wiped while a thousand people are being erased. Nobody helps by hand.

use super::{
    crowd::Crowd,
    hold::Hold,
    watcher::Watcher,
    wipe::wipe,
    workers::{apart, is_empty, publish},
};
use crate::asked::{line, quick, until_status};
use anyhow::{Context as _, Result, ensure};
use erasure_tests::{
    opendsr::{Mode, Processor},
    private::{Kind, PrivateServer},
    role::Role,
    servers::Servers,
    world::World,
};
use serde_json::Value;
use std::time::{Duration, Instant};

/// How long the fleet may take to the end after a server is back: shorter than the look for stalled work would need.
const HEALED: Duration = Duration::from_secs(20);

/// A request of a thousand and twenty of one, done everywhere but in the segments, where the work is held up.
pub(super) struct InTheMiddle {
    pub(super) world: World,
    crowd: Crowd,
    watcher: Watcher,
    hold: Hold,
    fleet: Role,
}

impl InTheMiddle {
    pub(super) async fn of(world: World) -> Result<Self> {
        let company = world.company();
        let crowd = Crowd::of(company, 1_000, 20).await?;
        let watcher = Watcher::start(world.amqp(), company, &crowd).await?;
        let fleet = world.run_all().await?;
        let hold = Hold::writes(company, "marketing", "memberships").await?;
        publish(world.amqp(), &crowd).await?;
        is_empty(company, "crm", &crowd).await?;
        is_empty(company, "warehouse", &crowd).await?;
        hold.holds_up(2).await?;
        ensure!(watcher.ended() == 0, "nobody is erased yet");
        Ok(Self {
            world,
            crowd,
            watcher,
            hold,
            fleet,
        })
    }

    /// Sees it end well, and says how long that took.
    pub(super) async fn ends_well(self, what: &str) -> Result<()> {
        self.ends_well_within(HEALED, what).await.map(drop)
    }

    /// The same with a deadline of one's own. Hands back what the fleet said.
    pub(super) async fn ends_well_within(mut self, deadline: Duration, what: &str) -> Result<String> {
        let began = Instant::now();
        self.hold.release().await?;
        let ended = self.watcher.all_erased(&self.crowd, deadline).await;
        ended.with_context(|| format!("the fleet said:\n{}", self.fleet.log().unwrap_or_default()))?;
        eprintln!("{what}: healed after {} ms", began.elapsed().as_millis());
        ensure!(self.fleet.runs(), "the fleet has ended");
        self.crowd.is_gone_and_nobody_else(self.world.company()).await?;
        self.fleet.log()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flushed_redis_heals_within_seconds() -> Result<()> {
    let redis = PrivateServer::start(Kind::Redis)?;
    let middle = InTheMiddle::of(apart().redis(redis.url()).build().await?).await?;
    let mut connection = redis::Client::open(redis.url())?.get_multiplexed_async_connection().await?;
    let _: () = redis::cmd("FLUSHALL").query_async(&mut connection).await?;
    middle.ends_well("Redis flushed").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_killed_and_started_again_heals_within_seconds() -> Result<()> {
    let redis = PrivateServer::start(Kind::Redis)?;
    let middle = InTheMiddle::of(apart().redis(redis.url()).build().await?).await?;
    redis.kill9()?;
    redis.start_again()?;
    middle.ends_well("Redis killed").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rabbitmq_killed_and_started_again_heals_within_seconds() -> Result<()> {
    let rabbitmq = PrivateServer::start(Kind::RabbitMq)?;
    let middle = InTheMiddle::of(apart().amqp(rabbitmq.url()).build().await?).await?;
    for lane in ["single", "bulk"] {
        rabbitmq.remembers(&format!("er.work.segments.{lane}.v1")).await?;
    }
    rabbitmq.kill9()?;
    rabbitmq.start_again()?;
    middle.ends_well("RabbitMQ killed").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgresql_killed_under_ledger_and_stores_heals_within_seconds() -> Result<()> {
    let postgres = PrivateServer::start(Kind::Postgres)?;
    let builder = apart().postgres(postgres.url()).set("retry.rungs", vec![500, 2_000, 5_000]);
    let InTheMiddle {
        world,
        crowd,
        watcher,
        hold,
        mut fleet,
    } = InTheMiddle::of(builder.build().await?).await?;
    postgres.kill9()?;
    drop(hold);
    postgres.start_again()?;
    let began = Instant::now();
    watcher.all_erased(&crowd, HEALED).await?;
    eprintln!("PostgreSQL killed: healed after {} ms", began.elapsed().as_millis());
    ensure!(fleet.runs(), "the fleet has ended");
    crowd.is_gone_and_nobody_else(world.company()).await
}

/// Who waits is shown again from the ledger, and a slice that is not full must not be taken for a full one there.
#[tokio::test(flavor = "multi_thread")]
async fn a_wipe_while_a_vendor_is_waited_for_in_two_slices_heals() -> Result<()> {
    let vendor = Processor::start(Mode::never()).await?;
    let world = quick().people(2_600).vendor("mailer", &vendor.url()).build().await?;
    let crowd = Crowd::of(world.company(), 600, 0).await?;
    let watcher = Watcher::start(world.amqp(), world.company(), &crowd).await?;
    let _fleet = world.run_all().await?;
    publish(world.amqp(), &crowd).await?;
    let all_wait = |status: &Value| line(status, "subprocessors")["counts"]["waiting_for_vendor"] == 600;
    until_status(&world, "bulk", "all wait for the vendor", all_wait).await?;
    wipe(&world, &Servers::of_this_run()?.redis).await?;
    until_status(&world, "bulk", "all wait for the vendor again", all_wait).await?;
    vendor.set(Mode::ok(0));
    watcher.all_erased(&crowd, HEALED).await?;
    crowd.is_gone_and_nobody_else(world.company()).await
}
