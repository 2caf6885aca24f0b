//! Every behaviour at every place. What a place cannot have is said in [`crate::robustness`]: a script cache to lose, an encoding
//! of small hashes, eviction, TLS and a lost connection belong to servers alone.

use crate::cluster::Cluster;
use crate::place::Place;
use anyhow::{Context, Result};

macro_rules! behaviours {
    ($($module:ident: $($name:ident,)*;)*) => {
        #[cfg(feature = "double")]
        mod on_the_double {
            $($(
                #[tokio::test]
                async fn $name() -> anyhow::Result<()> {
                    crate::$module::$name(&crate::place::Place::Memory).await
                }
            )*)*
        }

        mod on_a_server {
            $($(
                #[tokio::test]
                async fn $name() -> anyhow::Result<()> {
                    crate::$module::$name(&crate::place::Place::Server).await
                }
            )*)*
        }

        /// One test for all, because a cluster is slow to start.
        #[tokio::test]
        async fn on_a_cluster_too_every_behaviour_holds() -> Result<()> {
            let place = Place::Cluster(Cluster::start().await?);
            $($(
                crate::$module::$name(&place).await.context(stringify!($name))?;
            )*)*
            Ok(())
        }
    };
}

behaviours! {
    allowance:
        what_nobody_knows_of_is_allowed_only_after_everything_of_before_is_over,
        a_place_is_free_a_window_after_the_end_of_its_call_and_not_before,
        a_place_that_nobody_gives_back_is_free_when_its_call_must_be_over,
        a_place_that_was_not_used_is_free_at_once,
        fewer_calls_hold_at_once_and_more_calls_only_after_all_of_before_are_over,
        a_vendor_s_silence_is_kept_by_everybody,
        an_older_copy_of_the_places_is_known_and_not_believed,
    ;
    completion:
        completion_is_told_exactly_once_however_often_marks_are_repeated,
        what_is_marked_twice_counts_once,
        evidence_under_another_key_or_for_a_replaced_entry_is_refused,
        evidence_of_several_requests_comes_in_their_order,
        mask_bits_beyond_the_slice_are_no_evidence,
        a_slice_of_nobody_and_a_slice_that_is_not_there_complete_nothing,
        many_slices_complete_with_the_last_one_only,
        a_longer_plan_reopens_a_complete_request_and_tells_again_when_it_is_full,
        another_plan_of_the_same_length_and_another_size_are_conflicts,
        a_request_in_parts_grows_and_completes_only_when_it_runs,
        a_final_state_is_never_left,
        no_key_of_an_open_request_ever_expires,
        a_person_is_as_far_as_the_least_finished_task,
    ;
    recovery:
        after_a_wipe_everything_is_unknown_and_wanted_until_it_is_projected_again,
        a_generation_grows_by_init_and_is_set_by_project,
        a_lease_a_start_and_a_due_date_are_reported_and_a_mark_ends_the_lease,
        nothing_held_is_only_taken_from_somebody_who_was_alone_with_the_task,
        who_works_in_the_place_of_a_replaced_entry_is_not_the_first,
        another_ledger_neither_writes_nor_reads,
        a_forgotten_request_is_unknown,
        the_high_water_mark_never_falls,
        many_requests_travel_together_and_each_is_answered_in_its_place,
        an_older_copy_shows_what_was_marked_by_then_and_takes_in_the_rest_again,
    ;
}
