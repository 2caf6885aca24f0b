//! The scenarios: together they cover every actor and every fault, each as much as can be looked at exhaustively.

use crate::scope::{Faults, Scope, Standby};

const NO_FAULTS: Faults = Faults {
    crash: 0,
    hang: 0,
    lose: 0,
    duplicate: 0,
    bury: 0,
    wipe: 0,
    rollback: 0,
    failover: 0,
    restart: 0,
    retry: 0,
    refuse: 0,
    rewrite: 0,
    newcomer: 0,
};

/// One request on one person in one subsystem with two workers; nothing goes wrong.
const PLAIN: Scope = Scope {
    name: "plain",
    requests: 1,
    overlap: false,
    slices: &[1],
    strangers: 0,
    subsystems: 1,
    grows: false,
    remaps: false,
    hides: false,
    workers: &[0, 0],
    standby: Standby::None,
    knows_created: false,
    faults: NO_FAULTS,
    faults_max: 3,
    broken: &[],
};

/// Every scenario. `is_long`: with more faults together, for as long as it takes.
///
/// A Redis that goes back to an older copy *and* a first dispatch that the broker has twice are never together here: see
/// [`known_limit`].
pub(crate) fn all(is_long: bool) -> Vec<Scope> {
    let mut all = [of_processes(), of_redis(), of_stores(), of_plans(), of_people()].concat();
    if is_long {
        all.iter_mut().for_each(|scope| scope.faults_max += 1);
    }
    all
}

/// The scenario of this name.
pub(crate) fn named(name: &str) -> Scope {
    let all = all(false).into_iter().chain([known_limit()]);
    all.into_iter()
        .find(|scope| scope.name == name)
        .expect("a scenario of this name")
}

/// What the protocol does not promise: *erased* can turn into *nothing held* when Redis goes back to before the first attempt and
/// the broker still has a second copy of the message that nobody has tried.
pub(crate) fn known_limit() -> Scope {
    Scope {
        name: "known limit: Redis rolled back, a message twice",
        faults: Faults {
            duplicate: 1,
            rollback: 1,
            ..NO_FAULTS
        },
        faults_max: 2,
        ..PLAIN
    }
}

fn of_processes() -> Vec<Scope> {
    vec![
        Scope {
            name: "processes die, the broker errs",
            slices: &[2],
            subsystems: 2,
            workers: &[0, 0, 1],
            faults: Faults {
                crash: 2,
                lose: 1,
                duplicate: 1,
                retry: 1,
                ..NO_FAULTS
            },
            faults_max: 2,
            ..PLAIN
        },
        Scope {
            name: "a part of a slice is refused",
            slices: &[2],
            faults: Faults {
                crash: 1,
                duplicate: 1,
                retry: 2,
                ..NO_FAULTS
            },
            faults_max: 3,
            ..PLAIN
        },
        Scope {
            name: "several slices, one not full",
            slices: &[2, 1],
            workers: &[0],
            faults: Faults {
                crash: 1,
                wipe: 1,
                retry: 1,
                refuse: 1,
                ..NO_FAULTS
            },
            faults_max: 2,
            ..PLAIN
        },
        Scope {
            name: "tasks fail and are redriven",
            slices: &[2],
            faults: Faults {
                crash: 1,
                lose: 1,
                bury: 1,
                refuse: 2,
                ..NO_FAULTS
            },
            faults_max: 3,
            ..PLAIN
        },
    ]
}

fn of_redis() -> Vec<Scope> {
    vec![Scope {
        name: "Redis is wiped and rolled back",
        slices: &[2],
        faults: Faults {
            crash: 1,
            wipe: 2,
            rollback: 1,
            lose: 1,
            retry: 1,
            ..NO_FAULTS
        },
        faults_max: 3,
        ..PLAIN
    }]
}

fn of_stores() -> Vec<Scope> {
    vec![
        Scope {
            name: "a store fails over, its standby lags",
            standby: Standby::Async,
            faults: Faults {
                crash: 1,
                hang: 1,
                lose: 1,
                wipe: 1,
                failover: 2,
                ..NO_FAULTS
            },
            faults_max: 2,
            ..PLAIN
        },
        Scope {
            name: "commits wait for a standby",
            slices: &[2],
            standby: Standby::Sync,
            faults: Faults {
                crash: 2,
                duplicate: 1,
                restart: 2,
                ..NO_FAULTS
            },
            faults_max: 3,
            ..PLAIN
        },
        Scope {
            name: "a late writer puts somebody back",
            faults: Faults {
                crash: 1,
                wipe: 1,
                rollback: 1,
                rewrite: 2,
                ..NO_FAULTS
            },
            faults_max: 3,
            ..PLAIN
        },
    ]
}

fn of_plans() -> Vec<Scope> {
    vec![
        Scope {
            name: "a new data map, a worker left behind",
            remaps: true,
            faults: Faults {
                crash: 1,
                rollback: 1,
                ..NO_FAULTS
            },
            faults_max: 2,
            ..PLAIN
        },
        Scope {
            name: "a new subsystem joins",
            grows: true,
            workers: &[0, 1],
            faults: Faults {
                crash: 1,
                wipe: 1,
                lose: 1,
                ..NO_FAULTS
            },
            faults_max: 2,
            ..PLAIN
        },
        Scope {
            name: "hide, then purge",
            slices: &[1, 1],
            hides: true,
            workers: &[0],
            faults: Faults {
                crash: 1,
                wipe: 1,
                lose: 1,
                ..NO_FAULTS
            },
            faults_max: 2,
            ..PLAIN
        },
    ]
}

fn of_people() -> Vec<Scope> {
    vec![
        Scope {
            name: "two requests on one person",
            requests: 2,
            overlap: true,
            subsystems: 2,
            workers: &[0, 1],
            faults: Faults { crash: 1, ..NO_FAULTS },
            faults_max: 1,
            ..PLAIN
        },
        Scope {
            name: "somebody was there, somebody was not",
            slices: &[2],
            strangers: 0b10,
            faults: Faults {
                crash: 2,
                hang: 1,
                duplicate: 1,
                wipe: 1,
                ..NO_FAULTS
            },
            faults_max: 3,
            ..PLAIN
        },
        Scope {
            name: "somebody new, days later",
            faults: Faults {
                hang: 1,
                wipe: 1,
                newcomer: 1,
                ..NO_FAULTS
            },
            faults_max: 3,
            ..PLAIN
        },
        Scope {
            name: "somebody new, younger than the request",
            knows_created: true,
            faults: Faults {
                crash: 1,
                duplicate: 1,
                wipe: 1,
                newcomer: 1,
                ..NO_FAULTS
            },
            faults_max: 2,
            ..PLAIN
        },
    ]
}
