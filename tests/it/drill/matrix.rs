//! Every crash point of the protocol, and at each the process itself, RabbitMQ, Redis or PostgreSQL killed at that very moment and
//! started again: whoever was asked for is erased everywhere, nobody else is, and nobody was told so too early.
//!
//! One test for each victim. A run is one request of 2,000 people over four subsystems, in processes of their own for the role that
//! comes to the point and for all others. The judge knows nothing of the fleet: it looks into the stores (`watcher`, `crowd`).

mod case;
mod estate;
mod figures;

use anyhow::Result;
use case::{CASES, Case};
use erasure_tests::private::Kind;
use estate::Estate;
use figures::Figures;

/// Who is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Victim {
    /// The process that has come to the point.
    Process,
    /// A server of the fleet.
    Server(Kind),
}

impl Victim {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Server(Kind::RabbitMq) => "rabbitmq",
            Self::Server(Kind::RabbitMq4) => "rabbitmq 4",
            Self::Server(Kind::Redis) => "redis",
            Self::Server(Kind::Postgres) => "postgres",
        }
    }
}

/// After so many failed runs the rest would tell nothing new.
const FAILURES_MAX: usize = 3;

/// With this variable set to parts of names of points, only those are run.
const ONLY: &str = "ERASURE_TEST_POINTS";

async fn all_points(victim: Victim) -> Result<()> {
    let only = std::env::var(ONLY).ok();
    let wanted = |case: &&Case| {
        let name = case.point.as_str();
        only.as_ref()
            .is_none_or(|only| only.split(',').any(|part| name.contains(part)))
    };
    let mut estate = Estate::found(victim).await?;
    let mut figures = Figures::of(victim);
    for case in CASES.iter().filter(wanted) {
        figures.add(case, estate.run(case).await);
        if figures.failed() >= FAILURES_MAX {
            break;
        }
    }
    figures.write()?;
    // A panic, so that the world is kept, with its logs.
    assert!(figures.failed() == 0, "{}", figures.failures());
    estate.ends_well().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_process_itself_killed_at_every_point() -> Result<()> {
    all_points(Victim::Process).await
}

#[tokio::test(flavor = "multi_thread")]
async fn rabbitmq_killed_at_every_point() -> Result<()> {
    all_points(Victim::Server(Kind::RabbitMq)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_killed_at_every_point() -> Result<()> {
    all_points(Victim::Server(Kind::Redis)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn postgresql_killed_at_every_point() -> Result<()> {
    all_points(Victim::Server(Kind::Postgres)).await
}
