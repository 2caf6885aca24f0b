//! Whom to suspect when workers die: an item goes alone to the solo lane, and in the end a task is parked. Pure, tested as a table.

use erasure_protocol::Lane;

/// So many starts without a finish make an item suspicious: alone it goes, to the solo lane.
const UNFINISHED_STARTS_MAX: u32 = 2;
/// So many deliveries make a message suspicious, whatever the tracker remembers. Two rolling restarts stay below it.
const DELIVERIES_MAX: u64 = 10;
/// After so many deliveries alone in the solo lane, none of them finished, the worker itself is what dies of it.
const SOLO_DELIVERIES_MAX: u64 = 5;

/// What the broker says of a message: whether it came before, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Delivered {
    pub(crate) before: bool,
    pub(crate) times: u64,
}

/// A message that has been delivered too often is taken apart: each item goes alone to the solo lane.
pub(crate) fn is_worn(lane: Lane, delivered: Delivered) -> bool {
    lane != Lane::Solo && delivered.times >= DELIVERIES_MAX
}

/// Whether an item goes alone: its slice was started again and again without a finish, and this message is one of those that were
/// there. One that comes for the first time has killed nobody; the starts are then of others who have parts of the slice in hand,
/// such as people whose vendors are asked again at different times.
pub(crate) fn goes_alone(lane: Lane, starts: u32, delivered: Delivered) -> bool {
    lane != Lane::Solo && starts >= UNFINISHED_STARTS_MAX && delivered.before
}

/// Whether workers die of one task: it came alone again and again, and who has started it lately did not finish.
pub(crate) fn is_deadly(lane: Lane, starts: u32, delivered: Delivered) -> bool {
    lane == Lane::Solo && starts >= UNFINISHED_STARTS_MAX && delivered.times >= SOLO_DELIVERIES_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(times: u64) -> Delivered {
        Delivered {
            before: times > 0,
            times,
        }
    }

    #[test]
    fn parts_of_one_slice_in_several_hands_are_no_deaths() {
        for lane in [Lane::Single, Lane::Bulk] {
            assert!(!goes_alone(lane, 5, times(0)), "it came for the first time");
            assert!(!goes_alone(lane, 1, times(1)), "one death may be bad luck");
            assert!(goes_alone(lane, 2, times(2)));
            // RabbitMQ 4.3 does not count every return.
            let uncounted = Delivered { before: true, times: 0 };
            assert!(goes_alone(lane, 2, uncounted));
        }
        assert!(!goes_alone(Lane::Solo, 9, times(9)), "it is alone already");
    }

    #[test]
    fn a_message_that_comes_too_often_is_taken_apart_whatever_was_started() {
        assert!(!is_worn(Lane::Bulk, times(9)));
        assert!(is_worn(Lane::Bulk, times(10)));
        assert!(!is_worn(Lane::Solo, times(10)));
    }

    #[test]
    fn a_task_is_parked_only_when_it_came_alone_was_started_and_never_finished() {
        assert!(is_deadly(Lane::Solo, 2, times(5)));
        assert!(!is_deadly(Lane::Solo, 1, times(5)), "restarts with nothing begun");
        assert!(!is_deadly(Lane::Solo, 2, times(4)));
        assert!(!is_deadly(Lane::Bulk, 9, times(9)), "in company nobody can be blamed");
    }
}
