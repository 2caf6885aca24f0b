//! What one scenario covers: how many of whom there are, and which faults may strike how often.

use crate::rule::Rule;
use crate::state::Mask;

/// The bounds of one scenario. Inside them every interleaving is looked at.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    pub(crate) name: &'static str,
    /// How many requests: one or two.
    pub(crate) requests: u8,
    /// Whether the second request asks for the same people as the first, and both come through intake.
    pub(crate) overlap: bool,
    /// How many subjects each slice of a request has.
    pub(crate) slices: &'static [u8],
    /// People that no store holds.
    pub(crate) strangers: Mask,
    /// How many subsystems are registered from the start.
    pub(crate) subsystems: u8,
    /// Whether the new configuration has one subsystem more.
    pub(crate) grows: bool,
    /// Whether the new configuration has a data map that covers more.
    pub(crate) remaps: bool,
    /// Whether the plan hides first and purges after a grace.
    pub(crate) hides: bool,
    /// The subsystem of each worker.
    pub(crate) workers: &'static [u8],
    /// What stands behind each store.
    pub(crate) standby: Standby,
    /// Whether the map knows when a row was created, so that younger ones are spared.
    pub(crate) knows_created: bool,
    /// How often each fault may strike.
    pub(crate) faults: Faults,
    /// How many faults may strike together.
    pub(crate) faults_max: u8,
    /// The rules that are broken.
    pub(crate) broken: &'static [Rule],
}

/// What stands behind a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standby {
    /// Nothing: the store does not fail over.
    None,
    /// A standby that lags: a failover loses the last commits.
    Async,
    /// A standby that every commit waits for.
    Sync,
}

/// How often each fault may still strike.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Faults {
    /// A worker or the reconciler dies.
    pub(crate) crash: u8,
    /// A worker hangs: its delivery goes to somebody else as well.
    pub(crate) hang: u8,
    /// The broker loses a message.
    pub(crate) lose: u8,
    /// The broker has a message twice.
    pub(crate) duplicate: u8,
    /// The broker gives up on a message.
    pub(crate) bury: u8,
    /// Redis loses everything.
    pub(crate) wipe: u8,
    /// Redis goes back to an older copy of itself.
    pub(crate) rollback: u8,
    /// A store fails over to its standby.
    pub(crate) failover: u8,
    /// A store's primary is restarted while a commit waits for the standby.
    pub(crate) restart: u8,
    /// A store refuses for the moment, with or without having committed something.
    pub(crate) retry: u8,
    /// A store refuses for good.
    pub(crate) refuse: u8,
    /// A late writer puts somebody back.
    pub(crate) rewrite: u8,
    /// Somebody new comes to be known by the identifiers of somebody erased.
    pub(crate) newcomer: u8,
}

impl Scope {
    /// Whether the rule is broken in this scenario.
    pub(crate) fn breaks(&self, rule: Rule) -> bool {
        self.broken.contains(&rule)
    }

    /// How many slices a request has.
    pub(crate) fn slice_count(&self) -> usize {
        self.slices.len()
    }

    /// How many subjects a request has.
    pub(crate) fn subjects(&self) -> u8 {
        self.slices.iter().sum()
    }

    /// The positions of a slice.
    pub(crate) fn whole(&self, slice: usize) -> Mask {
        first(self.slices[slice])
    }

    /// All subjects of a request, numbered through its slices.
    pub(crate) fn everyone(&self) -> Mask {
        first(self.subjects())
    }

    /// Positions of a slice as subjects of the request.
    pub(crate) fn subjects_of(&self, slice: usize, positions: Mask) -> Mask {
        positions << self.slices[..slice].iter().sum::<u8>()
    }

    /// Subjects of a request as people in the stores.
    pub(crate) fn people_of(&self, request: usize, subjects: Mask) -> Mask {
        if self.overlap || request == 0 {
            subjects
        } else {
            subjects << self.subjects()
        }
    }

    /// Everybody whom the stores may hold.
    pub(crate) fn population(&self) -> Mask {
        (0..usize::from(self.requests)).fold(0, |all, request| all | self.people_of(request, self.everyone()))
    }

    /// Whether the new configuration differs, so that roles are restarted with it.
    pub(crate) fn changes(&self) -> bool {
        self.grows || self.remaps
    }

    /// How many subsystems there are in the newest configuration.
    pub(crate) fn subsystems_max(&self) -> u8 {
        self.subsystems + u8::from(self.grows)
    }
}

/// The first so many positions.
pub(crate) fn first(count: u8) -> Mask {
    ((1_u16 << count) - 1) as Mask
}
