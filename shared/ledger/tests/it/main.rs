//! One suite, passed by both databases and by the double in memory. PostgreSQL comes from `ERASURE_TEST_POSTGRES`; every test has a schema of its own.

#![allow(
    clippy::unwrap_used,
    reason = "tests; the exemption of the settings covers only test functions themselves"
)]

mod accepting;
mod batches;
#[cfg(feature = "double")]
mod doubling;
mod ending;
mod keeping;
mod opening;
mod volume;
mod world;

/// Each sentence is run on SQLite, on PostgreSQL and, unless it is about opening, on the double.
macro_rules! on_all {
    ($($module:ident :: $name:ident;)*) => {
        on_both! { $($module::$name;)* }
        #[cfg(feature = "double")]
        mod double {
            $(#[tokio::test] async fn $name() { crate::$module::$name(crate::world::World::double().await).await })*
        }
    };
}

macro_rules! on_both {
    ($($module:ident :: $name:ident;)*) => {
        mod sqlite {
            $(#[tokio::test] async fn $name() { crate::$module::$name(crate::world::World::sqlite().await).await })*
        }
        mod postgres {
            $(#[tokio::test] async fn $name() { crate::$module::$name(crate::world::World::postgres().await).await })*
        }
    };
}

on_all! {
    accepting::a_repeated_request_is_the_same_and_other_content_a_conflict;
    accepting::two_tenants_may_use_one_request_id;
    accepting::parts_may_come_in_any_order_and_twice;
    accepting::a_later_part_must_be_sealed_under_the_first_key;
    accepting::a_plan_must_agree_with_the_register;
    accepting::of_many_at_once_one_is_new;
    accepting::several_are_taken_in_one_transaction;
    accepting::open_requests_on_the_same_person_are_found;
    accepting::ambiguous_subjects_need_attention_from_the_start;
    keeping::dispatch_is_compare_and_set;
    keeping::a_report_replaces_earlier_ones_and_not_later_ones;
    keeping::a_due_check_is_taken_once;
    keeping::failed_tasks_are_listed_and_taken_once;
    keeping::a_process_with_a_superseded_key_is_outdated;
    keeping::what_was_read_from_a_store_earlier_replaces_nothing;
    keeping::an_old_map_on_a_new_store_is_outdated;
    keeping::a_plan_is_extended_once_and_only_to_something_longer;
    keeping::due_dates_are_marked_once_with_an_event;
    keeping::events_are_sent_in_order_and_purged_later;
    keeping::parked_messages_end_once;
    ending::a_request_ends_once_and_never_again;
    ending::missing_evidence_is_no_end;
    ending::a_changed_plan_or_register_is_no_end;
    ending::what_was_kept_is_told_after_the_end;
    ending::closing_is_never_erased;
    ending::finished_requests_are_purged_with_all_that_is_theirs;
    batches::a_mixed_batch_is_answered_in_order;
    batches::what_is_refused_does_not_begin_a_request;
    batches::requests_of_a_batch_are_stored_as_if_they_came_alone;
    batches::a_part_after_an_ambiguous_one_is_dispatched;
    batches::small_requests_are_sent_before_large_ones;
    batches::many_dispatches_are_compared_each;
    batches::one_end_that_cannot_be_leaves_the_others;
    batches::what_is_read_of_many_is_what_is_read_of_each;
    batches::batches_crosswise_do_not_wait_for_each_other;
    batches::a_thousand_requests_go_through_in_batches;
    volume::ten_thousand_subjects_are_accepted_and_finalised;
}

mod opened {
    on_both! {
        opening::migrating_twice_changes_nothing;
        opening::one_newer_schema_is_accepted_and_two_are_not;
        opening::a_reader_does_not_write;
    }
}
