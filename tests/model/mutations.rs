//! The model's rows of the mutation table: each rule, broken alone, and what the checker then finds.

use crate::protocol::Protocol;
use crate::rule::Rule;
use crate::scenarios;
use crate::state::State;
use stateright::{Checker, HasDiscoveries, Model};

/// What a broken rule leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    /// A state that must never be.
    Unsafe(&'static str),
    /// A state from which completion cannot be reached.
    Stuck,
    /// Nothing: what breaks is healed by another rule.
    Healed,
}

/// One row: what is broken, where, and what is to be found.
pub(crate) struct Row {
    pub(crate) broken: &'static [Rule],
    pub(crate) scenario: &'static str,
    pub(crate) finding: Finding,
}

pub(crate) const NOT_ERASED: &str = "final only when everybody is erased everywhere";
pub(crate) const WAS_HELD: &str = "nothing held only of whom nobody held";
pub(crate) const NEWCOMER: &str = "nobody new is erased";
pub(crate) const EARLY: &str = "nobody is purged before the grace is over";

const PROCESSES: &str = "processes die, the broker errs";
const PART: &str = "a part of a slice is refused";
const SLICES: &str = "several slices, one not full";
const REDRIVE: &str = "tasks fail and are redriven";
const REDIS: &str = "Redis is wiped and rolled back";
const FAILOVER: &str = "a store fails over, its standby lags";
const STANDBY: &str = "commits wait for a standby";
const REWRITE: &str = "a late writer puts somebody back";
const MAP: &str = "a new data map, a worker left behind";
const SUBSYSTEM: &str = "a new subsystem joins";
const PHASES: &str = "hide, then purge";
const OVERLAP: &str = "two requests on one person";
const HELD: &str = "somebody was there, somebody was not";
const LATE: &str = "somebody new, days later";

const fn row(broken: &'static [Rule], scenario: &'static str, finding: Finding) -> Row {
    Row {
        broken,
        scenario,
        finding,
    }
}

/// The table. Three rules need a second one broken to be seen: what they lose, the look for stalled work finds again.
pub(crate) const TABLE: &[Row] = &[
    row(&[Rule::MarkAfterCommit], PROCESSES, Finding::Unsafe(NOT_ERASED)),
    row(&[Rule::AckAfterRemainder], PROCESSES, Finding::Healed),
    row(&[Rule::AckAfterRemainder, Rule::Redispatch], PROCESSES, Finding::Stuck),
    row(&[Rule::BitsNotCounter], PART, Finding::Unsafe(NOT_ERASED)),
    row(&[Rule::RebuiltHeaders], PROCESSES, Finding::Healed),
    row(&[Rule::RebuiltHeaders, Rule::Redispatch], PROCESSES, Finding::Stuck),
    row(&[Rule::ConfirmEachMessage], PROCESSES, Finding::Healed),
    row(&[Rule::ConfirmEachMessage, Rule::Redispatch], PROCESSES, Finding::Stuck),
    row(&[Rule::AttemptAlwaysWrites], STANDBY, Finding::Unsafe(NOT_ERASED)),
    row(&[Rule::MissingIsNotDone], PROCESSES, Finding::Unsafe(NOT_ERASED)),
    row(&[Rule::CompleteByPlan], PROCESSES, Finding::Unsafe(NOT_ERASED)),
    row(&[Rule::BoundEvidenceKey], MAP, Finding::Unsafe(NOT_ERASED)),
    row(&[Rule::BoundEvidenceKey], FAILOVER, Finding::Unsafe(NOT_ERASED)),
    row(&[Rule::SharedResolution], OVERLAP, Finding::Unsafe(NOT_ERASED)),
    row(&[Rule::OverlapsAfterResolving], OVERLAP, Finding::Unsafe(NOT_ERASED)),
    row(&[Rule::SliceDeadline], LATE, Finding::Unsafe(NEWCOMER)),
    row(&[Rule::Redispatch], PROCESSES, Finding::Stuck),
    row(&[Rule::PlanUnchanged], SUBSYSTEM, Finding::Unsafe(NOT_ERASED)),
    row(&[Rule::ReadBackAgain], REWRITE, Finding::Unsafe(NOT_ERASED)),
    row(&[Rule::GraceFirst], PHASES, Finding::Unsafe(EARLY)),
    row(&[Rule::RedeliveryIsATry], MAP, Finding::Unsafe(WAS_HELD)),
    row(&[Rule::RedeliveryIsATry], REDIS, Finding::Unsafe(WAS_HELD)),
    row(&[Rule::MarksAreTries], STANDBY, Finding::Unsafe(WAS_HELD)),
    row(&[Rule::ReplacedIsTried], FAILOVER, Finding::Unsafe(WAS_HELD)),
    row(&[Rule::AloneWithTheTask], HELD, Finding::Unsafe(WAS_HELD)),
    row(&[Rule::FailedIsTheLedgers], REDRIVE, Finding::Stuck),
    row(&[Rule::OlderPlanIsTold], MAP, Finding::Stuck),
    row(&[Rule::SlicesAreCounted], SLICES, Finding::Stuck),
];

impl Row {
    /// What the checker finds, and after how many states.
    pub(crate) fn find(&self) -> (Finding, usize) {
        let mut scope = scenarios::named(self.scenario);
        scope.broken = self.broken;
        let protocol = Protocol(scope);
        // Several may be found: the one that is meant is waited for.
        let enough = match self.finding {
            Finding::Unsafe(name) => Some(HasDiscoveries::AllOf([name].into())),
            Finding::Healed => Some(HasDiscoveries::Any),
            Finding::Stuck => None,
        };
        if let Some(enough) = enough {
            let checker = protocol.clone().checker().finish_when(enough).spawn_bfs().join();
            let found = checker.discoveries();
            let meant = found.keys().find(|name| Finding::Unsafe(name) == self.finding);
            if let Some(name) = meant.or_else(|| found.keys().next()) {
                return (Finding::Unsafe(name), checker.unique_state_count());
            }
        }
        let walk = protocol.walk(State::is_complete);
        let finding = if walk.stuck > 0 { Finding::Stuck } else { Finding::Healed };
        (finding, walk.states)
    }
}
