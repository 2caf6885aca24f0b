//! What the nemesis does, to whom and when: a pure function of the seed. Time is counted in ticks of the load.

use super::dice::Dice;

/// Where the fleet's processes stand: a name and the role that runs there.
pub(crate) const PLACES: [(&str, &str); 16] = [
    ("intake", "intake"),
    ("reconciler-1", "reconciler"),
    ("reconciler-2", "reconciler"),
    ("api", "api"),
    ("profiles-1", "profiles"),
    ("profiles-2", "profiles"),
    ("segments-1", "segments"),
    ("segments-2", "segments"),
    ("analytics-1", "analytics"),
    ("analytics-2", "analytics"),
    ("subprocessors-1", "subprocessors"),
    ("subprocessors-2", "subprocessors"),
    // Empty until workers are added.
    ("profiles-3", "profiles"),
    ("segments-3", "segments"),
    ("analytics-3", "analytics"),
    // Empty until the subsystem is added.
    ("newsletter-1", "newsletter"),
];
/// So many of [`PLACES`] are manned from the beginning.
pub(crate) const MANNED: u32 = 12;
/// Second workers: those that are taken away for a while.
const SECONDS: [usize; 4] = [5, 7, 9, 11];
/// Third workers: those that come for a while.
const THIRDS: [usize; 3] = [12, 13, 14];
/// The place of the subsystem that is added.
pub(crate) const NEWCOMER: usize = 15;

/// A server that every process talks to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Server {
    RabbitMq,
    Redis,
    Postgres,
}

impl Server {
    pub(crate) const ALL: [Self; 3] = [Self::RabbitMq, Self::Redis, Self::Postgres];

    pub(crate) fn index(self) -> usize {
        match self {
            Self::RabbitMq => 0,
            Self::Redis => 1,
            Self::Postgres => 2,
        }
    }
}

/// One thing that the nemesis does. Places are indexes into [`PLACES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// SIGKILL; started again at the end.
    Kill(usize),
    /// SIGSTOP; SIGCONT at the end.
    Hang(usize),
    /// Every connection of a process to a server closed, and every new one, until the end.
    Cut(usize, Server),
    /// Nothing arrives between a process and a server, with the connections open, until the end.
    Hole(usize, Server),
    /// RabbitMQ blocks publishers until the end.
    MemoryAlarm,
    /// FLUSHALL.
    Flush,
    /// Redis killed at the end and started with its files as they were at the beginning.
    Rollback,
    /// SIGKILL of a server; started again at the end.
    ServerKill(Server),
    /// A worker asked to end; another one started in its place at the end.
    ScaleDown(usize),
    /// A further worker, asked to end at the end.
    ScaleUp(usize),
    /// A new revision of the data map, and every process restarted in turn.
    NewRevision,
    /// A subsystem added to the data map, and every process restarted in turn.
    NewSubsystem,
}

impl Fault {
    /// The kind, for the report.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::Kill(_) => "process killed",
            Self::Hang(_) => "process hung",
            Self::Cut(..) => "connection cut",
            Self::Hole(..) => "connection black-holed",
            Self::MemoryAlarm => "RabbitMQ memory alarm",
            Self::Flush => "Redis flushed",
            Self::Rollback => "Redis rolled back",
            Self::ServerKill(Server::RabbitMq) => "RabbitMQ killed",
            Self::ServerKill(Server::Redis) => "Redis killed",
            Self::ServerKill(Server::Postgres) => "PostgreSQL killed",
            Self::ScaleDown(_) => "worker taken away",
            Self::ScaleUp(_) => "worker added",
            Self::NewRevision => "rolling restart, new data map",
            Self::NewSubsystem => "rolling restart, new subsystem",
        }
    }
}

/// A fault with its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Planned {
    pub(crate) fault: Fault,
    /// The tick at which it begins.
    pub(crate) from: u32,
    /// The tick at which it ends.
    pub(crate) until: u32,
}

/// How close together faults begin, in ticks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    pub(crate) least: u32,
    pub(crate) most: u32,
}

/// No fault begins so shortly after the load has begun, or before it ends.
const QUIET_TICKS: u32 = 20;
/// Between one new revision of the data map and the next.
const REVISION_TICKS_MIN: u32 = 720;
const KINDS: u32 = 14;

/// The whole schedule. Every kind comes once before any comes twice.
pub(crate) fn schedule(seed: u64, ticks: u32, pace: Pace) -> Vec<Planned> {
    let mut dice = Dice::new(seed);
    let mut planned = Vec::new();
    let mut round = Vec::new();
    let mut is_new_subsystem_there = false;
    let mut last_revision: Option<u32> = None;
    let mut from = QUIET_TICKS;
    while from + QUIET_TICKS < ticks {
        if round.is_empty() {
            round = (0..KINDS).collect();
            dice.shuffle(&mut round);
        }
        let kind = round.pop().expect("just filled");
        let (mut fault, length) = throw(kind, &mut dice);
        if fault == Fault::NewSubsystem {
            if is_new_subsystem_there {
                fault = Fault::NewRevision;
            }
            is_new_subsystem_there = true;
        }
        if fault == Fault::NewRevision {
            // Every revision makes all evidence anew; without time between them nothing could ever end.
            if last_revision.is_some_and(|last| from < last + REVISION_TICKS_MIN) {
                fault = Fault::Kill(dice.between(0, MANNED - 1) as usize);
            } else {
                last_revision = Some(from);
            }
        }
        let until = from + length;
        planned.push(Planned { fault, from, until });
        from += dice.between(pace.least, pace.most);
    }
    planned
}

/// A fault of this kind, and how many ticks it lasts.
fn throw(kind: u32, dice: &mut Dice) -> (Fault, u32) {
    let place = |dice: &mut Dice| dice.between(0, MANNED - 1) as usize;
    match kind {
        0 => (Fault::Kill(place(dice)), dice.between(0, 12)),
        1 => (Fault::Hang(place(dice)), dice.between(8, 60)),
        2 => (Fault::Cut(place(dice), dice.one_of(&Server::ALL)), dice.between(1, 20)),
        3 => (Fault::Hole(place(dice), dice.one_of(&Server::ALL)), dice.between(8, 48)),
        4 => (Fault::MemoryAlarm, dice.between(8, 40)),
        5 => (Fault::Flush, 0),
        6 => (Fault::Rollback, dice.between(4, 40)),
        7 => (Fault::ServerKill(Server::RabbitMq), dice.between(2, 20)),
        8 => (Fault::ServerKill(Server::Redis), dice.between(2, 20)),
        9 => (Fault::ServerKill(Server::Postgres), dice.between(2, 20)),
        10 => (Fault::ScaleDown(dice.one_of(&SECONDS)), dice.between(20, 60)),
        11 => (Fault::ScaleUp(dice.one_of(&THIRDS)), dice.between(20, 80)),
        12 => (Fault::NewRevision, 0),
        _ => (Fault::NewSubsystem, 0),
    }
}
