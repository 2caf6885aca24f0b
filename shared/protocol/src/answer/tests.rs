use super::*;
use crate::{
    Blame, EntryProgress, EvidenceKey, Fault, FaultClass, FaultCode, Ground, Header, Lane, LedgerId, Mask, Options, Phase, Plan,
    PlanEntry, Sealed, SubsystemName, TaskOutcome,
};
use uuid::Uuid;

const NAMES: [&str; 4] = ["profiles", "segments", "analytics", "subprocessors"];

fn at(text: &str) -> Millis {
    Millis::from_rfc3339(text).unwrap()
}

fn now() -> Millis {
    at("2026-02-03T13:00:00Z")
}

/// A request on `subjects` people in four subsystems of which nothing is known yet.
fn running(subjects: u64) -> Progress {
    let plan = NAMES.map(|name| PlanEntry {
        phase: Phase::Purge,
        subsystem: SubsystemName::new(name).unwrap(),
        evidence: EvidenceKey([1; 16]),
    });
    let (tenant, request_id) = (TenantId::new("acme").unwrap(), RequestId::new("DSR-1").unwrap());
    let open = Counts {
        in_progress: subjects,
        ..Counts::default()
    };
    Progress {
        header: Header {
            ledger: LedgerId(Uuid::nil()),
            request: RequestKey::of(&tenant, &request_id),
            request_id,
            tenant,
            operation: Operation::Erase,
            lane: Lane::for_subjects(subjects),
            options: Options::default(),
            plan: Plan::new(plan.to_vec()),
            subjects,
            slices: 1,
            key: None,
            received_at: at("2026-02-01T08:00:00Z"),
            accepted_at: at("2026-02-01T08:00:01Z"),
            due_at: at("2026-03-03T00:00:00Z"),
            ticket: Some("T-7".into()),
            state: RequestState::Running,
            finished_at: None,
            overdue: false,
            at_risk: false,
            generation: 1,
        },
        entries: vec![
            EntryProgress {
                counts: open,
                note: None
            };
            NAMES.len()
        ],
        people: open,
    }
}

fn erased(count: u64) -> Counts {
    Counts {
        erased: count,
        ..Counts::default()
    }
}

/// One person of whom the first `done` subsystems are done.
fn done_in(done: usize) -> Progress {
    let mut progress = running(1);
    progress.entries[..done].iter_mut().for_each(|entry| entry.counts = erased(1));
    progress
}

fn set(progress: &mut Progress, entry: usize, counts: Counts, note: TaskOutcome) {
    progress.entries[entry] = EntryProgress {
        counts,
        note: Some(note),
    };
}

fn busy() -> TaskOutcome {
    TaskOutcome::Retry {
        tasks: Mask::EMPTY,
        fault: Fault::new(FaultClass::Transient, Blame::Store, FaultCode::StoreBusy, "warehouse"),
        attempt: 1,
        next_try: at("2026-02-03T14:05:00Z"),
    }
}

fn vendor() -> TaskOutcome {
    TaskOutcome::Pending {
        tasks: Mask::EMPTY,
        check_at: at("2026-02-03T14:00:00Z"),
        references: Sealed(Vec::new()),
    }
}

fn stuck(code: FaultCode, source: &str) -> TaskOutcome {
    TaskOutcome::Failed {
        tasks: Mask::EMPTY,
        fault: Fault::new(FaultClass::Permanent, Blame::Store, code, source),
        attempt: 0,
    }
}

fn kept() -> TaskOutcome {
    TaskOutcome::Retained {
        tasks: Mask::EMPTY,
        ground: Ground("Art. 17(3)(b), tax law".into()),
        until: at("2034-12-31T00:00:00Z"),
    }
}

fn counts(state: TaskState) -> Counts {
    let mut progress = running(1);
    progress.entries.truncate(1);
    super::person::narrow(&progress, &[(0, state)]).entries[0].counts
}

fn finished(mut progress: Progress, state: RequestState) -> Progress {
    progress.header.state = state;
    progress.header.finished_at = Some(at("2026-02-04T10:12:00Z"));
    progress.header.key = None;
    progress
}

fn reads(progress: &Progress, view: View<'_>) -> String {
    answer(progress, now(), view).text()
}

#[test]
fn each_situation_of_support_has_its_own_words() {
    let mut retrying = done_in(2);
    set(&mut retrying, 2, counts(TaskState::Retrying), busy());
    retrying.entries[3].counts = erased(1);
    let mut waiting = done_in(3);
    set(&mut waiting, 3, counts(TaskState::WaitingForVendor), vendor());
    let mut missing = done_in(2);
    set(
        &mut missing,
        2,
        counts(TaskState::NeedsAttention),
        stuck(FaultCode::TableMissing, "warehouse.events"),
    );
    missing.people = counts(TaskState::NeedsAttention);
    missing.header.due_at = at("2026-02-09T14:00:00Z");
    let mut retained = finished(done_in(4), RequestState::ErasedWithRetention);
    set(&mut retained, 0, counts(TaskState::Retained), kept());
    let promise = [VendorWait {
        vendor: "mailer",
        accepted_at: at("2026-02-02T08:00:00Z"),
        expected_by: Some(at("2026-02-09T00:00:00Z")),
    }];
    let promised = View {
        vendors: &promise,
        ..View::default()
    };
    let backups = View {
        backups_until: Some(at("2026-03-06T00:00:00Z")),
        ..View::default()
    };
    let plain = View::default();
    let table = [
        (
            running(1),
            plain,
            "Not erased yet. Profiles has not reported yet. Segments has not reported yet. Analytics has not reported yet. Subprocessors has not reported yet. Due 3 March, on track.",
        ),
        (
            retrying,
            plain,
            "Not erased yet. Profiles, segments and subprocessors are done. Analytics retries at 14:05 UTC (warehouse: store is busy, STORE-002; 1 failed so far). Due 3 March, on track.",
        ),
        (
            waiting.clone(),
            promised,
            "Not erased yet. Our systems are done. Mailer accepted on 2 February, expected 9 February. Due 3 March, on track.",
        ),
        (
            waiting,
            plain,
            "Not erased yet. Our systems are done. Subprocessors waits for a vendor's confirmation; we ask again at 14:00 UTC. Due 3 March, on track.",
        ),
        (
            missing,
            plain,
            "Not erased. Profiles and segments are done. Analytics: warehouse.events: table is missing (STORE-012). Operations must act: Restore the table or take it out of the data map, then redrive. Subprocessors has not reported yet. Due 9 February, in 6 days.",
        ),
        (
            done_in(4),
            plain,
            "Not erased yet. All systems are done; the last check is under way. Due 3 March, on track.",
        ),
        (
            finished(done_in(4), RequestState::Erased),
            backups,
            "Erased. Checked on 4 February 10:12 UTC in 4 of 4 systems. Backups age out by 6 March.",
        ),
        (
            retained,
            plain,
            "Erased except what must be kept. Profiles keeps data under Art. 17(3)(b), tax law until 31 December 2034. Checked on 4 February 10:12 UTC in 4 of 4 systems.",
        ),
        (
            finished(running(1), RequestState::NothingHeld),
            plain,
            "Nothing held. We searched 4 systems and found nobody. Nothing was deleted.",
        ),
    ];
    for (progress, view, wanted) in table {
        assert_eq!(reads(&progress, view), wanted);
    }
}

#[test]
fn ten_thousand_people_are_counted_and_the_counts_sum_up() {
    let mut bulk = running(10_000);
    bulk.people = Counts {
        erased: 9_200,
        nothing_held: 40,
        retained: 10,
        needs_attention: 3,
        waiting_for_vendor: 47,
        retrying: 0,
        in_progress: 700,
    };
    bulk.entries[..2].iter_mut().for_each(|entry| entry.counts = erased(10_000));
    bulk.entries[2].counts = Counts {
        erased: 9_300,
        in_progress: 700,
        ..Counts::default()
    };
    let tasks = Counts {
        erased: 9_950,
        waiting_for_vendor: 47,
        needs_attention: 3,
        ..Counts::default()
    };
    set(&mut bulk, 3, tasks, stuck(FaultCode::VendorForgot, "mailer"));
    let said = answer(&bulk, now(), View::default());
    assert_eq!(said.people.total(), said.subjects);
    assert_eq!(
        said.sentences[0],
        "10,000 people: 9,200 erased, 40 nothing held, 10 erased with retention, 700 in progress, 47 waiting for a vendor, 3 need attention. Not finished."
    );
    assert_eq!(said.sentences[1], "Profiles and segments are done.");
    assert_eq!(said.sentences[2], "Analytics is under way for 700 of 10,000.");
    assert_eq!(
        said.sentences[3],
        "Subprocessors for 3 of 10,000: mailer: vendor no longer knows a request it had accepted (VENDOR-012)."
    );
    assert_eq!((said.headline, said.acts), (Headline::NotErased, Actor::Operations));
}

#[test]
fn one_person_of_many_has_an_answer_of_their_own() {
    let mut bulk = running(10_000);
    set(
        &mut bulk,
        3,
        Counts {
            erased: 9_999,
            needs_attention: 1,
            ..Counts::default()
        },
        stuck(FaultCode::VendorForgot, "mailer"),
    );
    bulk.people = Counts {
        in_progress: 9_999,
        needs_attention: 1,
        ..Counts::default()
    };
    let of = |bulk: &Progress, states: [TaskState; 4]| {
        let tasks: Vec<_> = states.into_iter().enumerate().collect();
        reads(
            bulk,
            View {
                person: Some(&tasks),
                ..View::default()
            },
        )
    };
    use TaskState::{Erased, InProgress, NeedsAttention, NothingHeld};
    assert_eq!(
        of(&bulk, [Erased, Erased, InProgress, Erased]),
        "Not erased yet. Profiles, segments and subprocessors are done. Analytics has not reported yet. Due 3 March, on track."
    );
    assert!(of(&bulk, [Erased, Erased, Erased, NeedsAttention]).contains("VENDOR-012"));
    assert!(
        of(&bulk, [Erased; 4]).starts_with("Not erased yet."),
        "the ledger has not said so"
    );
    let bulk = finished(bulk, RequestState::Erased);
    assert!(of(&bulk, [Erased; 4]).starts_with("Erased."));
    assert!(of(&bulk, [NothingHeld; 4]).starts_with("Nothing held."));
    assert!(of(&bulk, [Erased, Erased, NothingHeld, NothingHeld]).starts_with("Erased."));
    assert!(
        of(&bulk, [Erased, Erased, Erased, InProgress]).starts_with("Not erased yet."),
        "missing never reads as done"
    );
}

#[test]
fn only_the_ledger_can_say_erased() {
    let mut progress = done_in(4);
    progress.people = erased(1);
    assert_eq!(answer(&progress, now(), View::default()).headline, Headline::NotErasedYet);
    progress.entries.clear();
    assert!(
        reads(&progress, View::default()).contains("Profiles has not reported yet."),
        "no entries are no evidence"
    );
}

#[test]
fn clocks_are_part_of_the_answer() {
    let mut progress = running(1);
    let due = |progress: &Progress| answer(progress, now(), View::default()).sentences.pop().unwrap();
    progress.header.at_risk = true;
    assert_eq!(due(&progress), "Due 3 March, in 27 days: at risk.");
    progress.header.due_at = at("2026-02-02T00:00:00Z");
    assert_eq!(due(&progress), "Overdue since 2 February.");
    assert!(
        answer(&progress, now(), View::default()).overdue,
        "also before the ledger has noticed"
    );
}

#[test]
fn the_reversible_operations_and_the_ends_without_erasure_say_what_they_are() {
    let mut off = running(1);
    off.header.operation = Operation::Deactivate;
    assert!(reads(&off, View::default()).starts_with("Not deactivated yet."));
    assert_eq!(
        reads(&finished(off.clone(), RequestState::Deactivated), View::default()),
        "Deactivated. Log-in is blocked everywhere; all data is kept."
    );
    off.header.operation = Operation::Reactivate;
    off.people = counts(TaskState::NeedsAttention);
    assert!(reads(&off, View::default()).starts_with("Not reactivated."));
    assert!(
        reads(&finished(off, RequestState::Reactivated), View::default())
            .starts_with("Reactivated. The deactivation was taken back")
    );
    let closed = reads(&finished(done_in(2), RequestState::ClosedNotErased), View::default());
    assert!(
        closed.starts_with("Closed, not erased. An operator gave up on it on 4 February 10:12 UTC."),
        "{closed}"
    );
    assert!(closed.contains("Analytics has not reported yet."), "{closed}");
    let mut arriving = running(2);
    arriving.header.state = RequestState::Receiving;
    assert!(reads(&arriving, View::default()).contains("still arriving"));
}

#[test]
fn who_acts_follows_from_the_fault() {
    let acts = |code| {
        let mut progress = done_in(3);
        set(&mut progress, 3, counts(TaskState::NeedsAttention), stuck(code, "crm"));
        answer(&progress, now(), View::default()).acts
    };
    assert_eq!(acts(FaultCode::Ambiguous), Actor::Support);
    assert_eq!(acts(FaultCode::StoreReadOnly), Actor::Operations);
    assert_eq!(answer(&running(1), now(), View::default()).acts, Actor::Fleet);
    let mut waiting = done_in(3);
    set(&mut waiting, 3, counts(TaskState::WaitingForVendor), vendor());
    let said = answer(&waiting, now(), View::default());
    assert_eq!((said.acts, said.next_at), (Actor::Vendor, Some(at("2026-02-03T14:00:00Z"))));
    assert_eq!(
        answer(&finished(waiting, RequestState::Erased), now(), View::default()).acts,
        Actor::Nobody
    );
}

#[test]
fn as_json_it_has_times_that_machines_read() {
    let json = serde_json::to_value(answer(&running(1), now(), View::default())).unwrap();
    assert_eq!(json["headline"], "not_erased_yet");
    assert_eq!(json["due_at"], "2026-03-03T00:00:00.000Z");
    assert_eq!(json["ticket"], "T-7");
    assert_eq!(json["subsystems"][0]["state"], "pending");
    assert_eq!(json.get("finished_at"), None);
}
