//! Many requests at once: as if they had come one by one, and nobody in the way of anybody.

use crate::world::*;
use erasure_ledger::*;
use erasure_protocol::*;
use futures_util::future::try_join_all;

fn key(id: &str) -> RequestKey {
    whole("acme", id, 1).request
}

fn with_fingerprint(byte: u8, part: NewPart) -> NewPart {
    NewPart {
        fingerprint: vec![byte; 32],
        ..part
    }
}

/// Under an evidence key that is not today's.
fn outdated(part: NewPart) -> NewPart {
    NewPart {
        plan: vec![entry("profiles", 9), entry("segments", 1)],
        ..part
    }
}

fn ambiguous(part: NewPart, tasks: &[usize]) -> NewPart {
    let failed = FailedNow {
        slice: part.slices[0].number,
        tasks: mask(tasks),
        fault: Fault::new(FaultClass::Permanent, Blame::Subject, FaultCode::Ambiguous, "profiles"),
    };
    NewPart {
        failed_now: vec![failed],
        ..part
    }
}

fn wanted(id: &str, entry: usize, expected: u32) -> Dispatch {
    Dispatch {
        request: key(id),
        entry,
        slice: 0,
        expected,
    }
}

pub(crate) async fn a_mixed_batch_is_answered_in_order(world: World) {
    let world = world.registered().await;
    let ledger = world.ledger.clone();
    for id in ["there", "other"] {
        ledger.accept(whole("acme", id, 1)).await.unwrap();
    }
    let before = ledger.seq().await.unwrap();
    let mut unknown = whole("acme", "unknown", 1);
    unknown.plan.push(entry("analytics", 1));
    let mut missing = whole("acme", "missing", 1);
    missing.plan.pop();
    let parts = vec![
        part("parts", 1, false),
        whole("acme", "there", 1),
        whole("acme", "new", 1),
        with_fingerprint(9, whole("acme", "other", 1)),
        outdated(whole("acme", "outdated", 1)),
        unknown,
        whole("acme", "new", 1),
        part("parts", 0, true),
        missing,
        outdated(whole("acme", "there", 1)),
        part("parts", 0, false),
        with_fingerprint(9, whole("acme", "new", 1)),
        whole("other", "new", 1),
    ];
    let answers = ledger.accept_all(parts).await.unwrap();
    let seq = before + 1;
    assert_eq!(ledger.seq().await.unwrap(), seq, "one transaction counts once");
    let running = || Accepted::Same(RequestState::Running);
    assert_eq!(
        answers,
        [
            Accepted::Incomplete { seq },
            running(),
            Accepted::New { seq },
            Accepted::Conflict,
            Accepted::Outdated(subsystem("profiles")),
            Accepted::UnknownSubsystem(subsystem("analytics")),
            running(),
            Accepted::Conflict,
            Accepted::MissingSubsystem(subsystem("segments")),
            running(),
            Accepted::Incomplete { seq },
            Accepted::Conflict,
            Accepted::New { seq },
        ]
    );
    let events: Vec<String> = ledger.unsent(10).await.unwrap().into_iter().map(|it| it.id).collect();
    assert_eq!(events.len(), 4, "{events:?}");
    assert_eq!(ledger.open_requests(None, 10).await.unwrap().len(), 5);
    assert!(ledger.accept_all(vec![]).await.unwrap().is_empty());
}

pub(crate) async fn what_is_refused_does_not_begin_a_request(world: World) {
    let world = world.registered().await;
    let ledger = world.ledger.clone();
    let same = || whole("acme", "1", 1);
    let answers = ledger
        .accept_all(vec![outdated(same()), same(), outdated(same())])
        .await
        .unwrap();
    let seq = ledger.seq().await.unwrap();
    assert_eq!(
        answers,
        [
            Accepted::Outdated(subsystem("profiles")),
            Accepted::New { seq },
            Accepted::Same(RequestState::Running)
        ]
    );
    let header = ledger.header(key("1")).await.unwrap().unwrap();
    assert_eq!(header.plan.entries(), [entry("profiles", 1), entry("segments", 1)]);

    let wrong = NewPart {
        slices: vec![],
        ..whole("acme", "3", 1)
    };
    let together = ledger.accept_all(vec![whole("acme", "2", 1), wrong]).await;
    assert!(matches!(together, Err(Error::Refused(_))));
    assert_eq!(ledger.header(key("2")).await.unwrap(), None, "nothing of them was taken");
}

pub(crate) async fn requests_of_a_batch_are_stored_as_if_they_came_alone(world: World) {
    let world = world.registered().await;
    let ledger = world.ledger.clone();
    let parts = |prefix: &str| {
        let mut hashed = whole("acme", &format!("{prefix}hashed"), 3);
        hashed.hashes = vec![hash(0, 0, 7), hash(0, 2, 8), hash(0, 2, 8)];
        hashed.ticket = None;
        let mut large = whole("acme", &format!("{prefix}large"), 2);
        large.slices.push(NewSlice {
            number: 1,
            count: 512,
            sealed: Sealed(vec![4; 9]),
        });
        large.events.push(event(&format!("{prefix}second")));
        vec![
            hashed,
            ambiguous(whole("acme", &format!("{prefix}some"), 2), &[1]),
            large,
            ambiguous(whole("acme", &format!("{prefix}all"), 2), &[0, 1]),
            part(&format!("{prefix}parts"), 1, true),
        ]
    };
    let (alone, together) = (parts("a-"), parts("b-"));
    for it in alone.clone() {
        ledger.accept(it).await.unwrap();
    }
    ledger.accept_all(together.clone()).await.unwrap();
    let undispatched = ledger.undispatched(20, 20).await.unwrap();
    for (one, other) in alone.iter().zip(&together) {
        let (one, other) = (one.request, other.request);
        let seen = async |request| {
            let header = ledger.header(request).await.unwrap().unwrap();
            let reports = ledger.reports(request).await.unwrap();
            let slices = ledger.slices(request, 0..9).await.unwrap();
            (
                (
                    header.state,
                    header.subjects,
                    header.slices,
                    header.plan,
                    header.key,
                    header.ticket,
                ),
                (reports, slices, undispatched.contains(&request)),
            )
        };
        assert_eq!(seen(one).await, seen(other).await);
    }
    let overlaps = ledger.overlaps(&tenant("acme"), &[[7; 32], [8; 32]]).await.unwrap();
    assert_eq!(overlaps.len(), 4);
    assert!(!undispatched.contains(&together[3].request), "there is nothing to dispatch");
    assert!(undispatched.contains(&together[1].request));
    assert!(!undispatched.contains(&together[4].request), "it is not complete");
    let listed = ledger.attention(&AttentionFilter::default(), None, 20).await.unwrap();
    assert_eq!(listed.len(), 8);
}

pub(crate) async fn a_part_after_an_ambiguous_one_is_dispatched(world: World) {
    let world = world.registered().await;
    let ledger = world.ledger.clone();
    ledger.accept(ambiguous(part("p", 0, false), &[0, 1])).await.unwrap();
    ledger.accept(part("p", 1, true)).await.unwrap();
    assert_eq!(ledger.undispatched(10, 10).await.unwrap(), [key("p")]);
}

pub(crate) async fn small_requests_are_sent_before_large_ones(world: World) {
    let world = world.registered().await;
    let ledger = world.ledger.clone();
    for (id, slices) in [("l1", 2), ("s1", 1), ("l2", 2), ("s2", 1)] {
        let mut new = whole("acme", id, 3);
        let first = new.slices[0].clone();
        new.slices
            .extend((1..slices).map(|number| NewSlice { number, ..first.clone() }));
        new.accepted_at = Millis(NOW.0 + i64::from(id.ends_with('2')));
        ledger.accept(new).await.unwrap();
    }
    let all = ["s1", "s2", "l1", "l2"].map(key);
    assert_eq!(ledger.undispatched(9, 9).await.unwrap(), all);
    assert_eq!(ledger.undispatched(1, 1).await.unwrap(), ["s1", "l1"].map(key));
    assert_eq!(ledger.undispatched(0, 1).await.unwrap(), ["l1"].map(key));
    let slices = |slice| {
        [0, 1].map(|entry| Dispatch {
            slice,
            ..wanted("l1", entry, 0)
        })
    };
    ledger.dispatch(&slices(0), NOW).await.unwrap();
    assert_eq!(
        ledger.undispatched(0, 1).await.unwrap(),
        ["l1"].map(key),
        "a slice is missing"
    );
    ledger.dispatch(&slices(1), NOW).await.unwrap();
    assert_eq!(ledger.undispatched(0, 1).await.unwrap(), ["l2"].map(key));
    ledger
        .close_not_erased(key("l2"), &act("a", "x"), event("closed"))
        .await
        .unwrap();
    assert_eq!(ledger.undispatched(9, 9).await.unwrap(), ["s1", "s2"].map(key));
}

pub(crate) async fn many_dispatches_are_compared_each(world: World) {
    let world = world.registered().await;
    let ledger = world.ledger.clone();
    let parts = ["a", "b", "c", "d"].map(|id| whole("acme", id, 1));
    ledger.accept_all(parts.into()).await.unwrap();
    ledger.accept(part("p", 0, false)).await.unwrap();
    ledger
        .close_not_erased(key("c"), &act("a", "x"), event("closed"))
        .await
        .unwrap();
    assert_eq!(ledger.try_dispatch(wanted("b", 0, 0), NOW).await.unwrap(), Some(1));
    let later = Millis(NOW.0 + 7);
    let all = [
        wanted("b", 0, 0),
        wanted("b", 0, 1),
        wanted("a", 1, 0),
        wanted("c", 0, 0),
        wanted("none", 0, 0),
        wanted("a", 0, 0),
        wanted("a", 0, 1),
        wanted("a", 0, 1),
        wanted("d", 0, 3),
        wanted("p", 0, 0),
        wanted("d", 5, 0),
        Dispatch {
            slice: 1,
            ..wanted("d", 0, 0)
        },
    ];
    assert_eq!(
        ledger.dispatch(&all, later).await.unwrap(),
        [
            None,
            Some(2),
            Some(1),
            None,
            None,
            Some(1),
            Some(2),
            None,
            None,
            None,
            None,
            None
        ]
    );
    let mut open = ledger.undispatched(10, 10).await.unwrap();
    open.sort_unstable();
    let mut expected = [key("b"), key("d")];
    expected.sort_unstable();
    assert_eq!(open, expected, "one entry of b and all of d are missing");
    let stalled = ledger.stalled(later, None, 10).await.unwrap();
    assert_eq!(stalled, [key("d")], "nothing was counted there");
    assert!(ledger.dispatch(&[], NOW).await.unwrap().is_empty());

    // An entry that was replaced is not dispatched, neither first nor again.
    ledger
        .register_subsystem(&registration("segments", 2, Some(1)), NOW)
        .await
        .unwrap();
    for id in ["a", "d"] {
        let plan = ledger.header(key(id)).await.unwrap().unwrap().plan;
        let longer = plan.extended(&[entry("segments", 2)]).unwrap();
        assert!(ledger.extend_plan(key(id), 2, &longer).await.unwrap());
    }
    let all = [wanted("a", 1, 1), wanted("a", 2, 0), wanted("d", 1, 0), wanted("d", 2, 0)];
    assert_eq!(ledger.dispatch(&all, later).await.unwrap(), [None, Some(1), None, Some(1)]);
}

pub(crate) async fn one_end_that_cannot_be_leaves_the_others(world: World) {
    let world = world.registered().await;
    let ledger = world.ledger.clone();
    let ids = ["good", "short", "no-end", "planned", "late", "again"];
    ledger.accept_all(ids.map(|id| whole("acme", id, 2)).into()).await.unwrap();
    ledger.accept(part("receiving", 0, false)).await.unwrap();
    let all: Vec<_> = ids.into_iter().flat_map(|id| [wanted(id, 0, 0), wanted(id, 1, 0)]).collect();
    ledger.dispatch(&all, NOW).await.unwrap();
    let erased = |id: &str| end(key(id), 2, RequestState::Erased, Done::Erased);
    let mut short = erased("short");
    short.evidence.pop();
    let ends = vec![
        short,
        erased("good"),
        Final {
            state: RequestState::Deactivated,
            ..erased("no-end")
        },
        erased("none"),
        erased("receiving"),
        Final {
            plan_version: 3,
            ..erased("planned")
        },
        Final {
            plan_version: 1,
            ..erased("again")
        },
        erased("again"),
        end(key("again"), 2, RequestState::NothingHeld, Done::NothingHeld),
        Final {
            at: Millis(NOW.0 + 900),
            ..end(key("late"), 2, RequestState::NothingHeld, Done::NothingHeld)
        },
    ];
    let answers = ledger.finalise_all(ends.clone()).await.unwrap();
    assert_eq!(
        answers,
        [
            Finalised::NotCovered,
            Finalised::Now,
            Finalised::NoEnd,
            Finalised::Unknown,
            Finalised::NotRunning,
            Finalised::PlanChanged,
            Finalised::PlanChanged,
            Finalised::Now,
            Finalised::Already(RequestState::Erased),
            Finalised::Now,
        ]
    );
    for (id, state, at) in [
        ("good", RequestState::Erased, 500),
        ("again", RequestState::Erased, 500),
        ("late", RequestState::NothingHeld, 900),
    ] {
        let header = ledger.header(key(id)).await.unwrap().unwrap();
        assert_eq!((header.state, header.key), (state, None));
        assert_eq!(header.finished_at, Some(Millis(NOW.0 + at)));
        assert_eq!(ledger.slice(key(id), 0).await.unwrap(), None);
        assert!(ledger.dispatch_counts(key(id)).await.unwrap().is_empty());
        let done = ledger.evidence(key(id)).await.unwrap();
        assert_eq!(done.len(), 2);
        assert!(done.iter().all(|it| it.tasks == Mask::first(2)));
    }
    for id in ["short", "no-end", "planned"] {
        let header = ledger.header(key(id)).await.unwrap().unwrap();
        assert_eq!((header.state, header.key.is_some()), (RequestState::Running, true));
        assert!(ledger.slice(key(id), 0).await.unwrap().is_some());
        assert_eq!(ledger.dispatch_counts(key(id)).await.unwrap().len(), 2);
        assert!(ledger.evidence(key(id)).await.unwrap().is_empty());
    }
    let finals = ledger.unsent(50).await.unwrap().into_iter();
    assert_eq!(finals.filter(|it| it.id.ends_with("/final")).count(), 3);
    let again = ledger.finalise_all(ends[..2].to_vec()).await.unwrap();
    assert_eq!(again, [Finalised::NotCovered, Finalised::Already(RequestState::Erased)]);
    assert!(ledger.finalise_all(vec![]).await.unwrap().is_empty());
}

pub(crate) async fn what_is_read_of_many_is_what_is_read_of_each(world: World) {
    let world = world.registered().await;
    let ledger = world.ledger.clone();
    let mut large = whole("acme", "large", 2);
    large.slices.push(NewSlice {
        number: 1,
        count: 5,
        sealed: Sealed(vec![4; 9]),
    });
    let parts = vec![
        large,
        ambiguous(whole("acme", "ambiguous", 2), &[0, 1]),
        whole("acme", "plain", 1),
        whole("acme", "ended", 1),
    ];
    ledger.accept_all(parts).await.unwrap();
    ledger
        .dispatch(&[wanted("large", 0, 0), wanted("plain", 1, 0)], NOW)
        .await
        .unwrap();
    ledger
        .finalise(end(key("ended"), 1, RequestState::Erased, Done::Erased))
        .await
        .unwrap();
    // More than fit one statement, nearly all of them unknown.
    let ids = ["large", "ambiguous", "plain", "ended"].map(key);
    let mut all: Vec<RequestKey> = (0..1_500).map(|at| key(&format!("none-{at}"))).collect();
    all.splice(700..700, ids);
    let counts = ledger.dispatch_counts_of(&all).await.unwrap();
    let reports = ledger.reports_of(&all).await.unwrap();
    let subjects = ledger.slice_counts_of(&all).await.unwrap();
    let places: Vec<_> = all.iter().flat_map(|request| [(*request, 0), (*request, 1)]).collect();
    let slices = ledger.slices_of(&places).await.unwrap();
    for request in ids {
        let of = ledger.dispatch_counts(request).await.unwrap();
        assert_eq!(counts.get(&request).cloned().unwrap_or_default(), of);
        let of = ledger.reports(request).await.unwrap();
        assert_eq!(reports.get(&request).cloned().unwrap_or_default(), of);
        let of = ledger.slice_counts(request).await.unwrap();
        assert_eq!(subjects.get(&request), Some(&of));
        for number in 0..2 {
            assert_eq!(
                slices.get(&(request, number)).cloned(),
                ledger.slice(request, number).await.unwrap()
            );
        }
    }
    assert_eq!([counts.len(), reports.len(), subjects.len(), slices.len()], [2, 1, 4, 4]);
    assert_eq!(
        ledger
            .headers(&all)
            .await
            .unwrap()
            .iter()
            .map(|it| it.request)
            .collect::<Vec<_>>(),
        ids
    );
    assert!(ledger.slices_of(&[]).await.unwrap().is_empty() && ledger.reports_of(&[]).await.unwrap().is_empty());
}

/// Each batch names the requests in another order and is a task of its own, and each time all of them are under way at once.
pub(crate) async fn batches_crosswise_do_not_wait_for_each_other(world: World) {
    let world = world.registered().await;
    let ledger = world.ledger.clone();
    for round in 0..6 {
        let mut ids: Vec<String> = (0..40).map(|at| format!("{round}-{at}")).collect();
        let some = ids.iter().step_by(5).map(|id| whole("acme", id, 1)).collect::<Vec<_>>();
        let of = |ids: &[String]| ids.iter().map(|id| whole("acme", id, 1)).collect::<Vec<_>>();
        let forward = of(&ids);
        ids.reverse();
        let (backward, middle) = (of(&ids), of(&ids[10..30]));
        let batches = [forward, backward, some, middle];
        let accept = |ledger: Ledger, batch| tokio::spawn(async move { ledger.accept_all(batch).await.unwrap() });
        let answers = try_join_all(batches.map(|batch| accept(ledger.clone(), batch)))
            .await
            .unwrap();
        let all: Vec<_> = answers.into_iter().flatten().collect();
        let count = |which: fn(&Accepted) -> bool| all.iter().filter(|it| which(it)).count();
        assert_eq!(count(|it| matches!(it, Accepted::New { .. })), 40);
        assert_eq!(count(|it| matches!(it, Accepted::Same(_))), 40 + 8 + 20);

        let keys: Vec<RequestKey> = ids.iter().map(|id| key(id)).collect();
        let first = |request: &RequestKey, entry| Dispatch {
            request: *request,
            entry,
            slice: 0,
            expected: 0,
        };
        let forward: Vec<_> = keys.iter().flat_map(|it| [first(it, 0), first(it, 1)]).collect();
        let backward: Vec<_> = forward.iter().rev().copied().collect();
        let batches = [forward, backward.clone(), backward[20..50].to_vec()];
        let dispatch = |ledger: Ledger, batch: Vec<_>| tokio::spawn(async move { ledger.dispatch(&batch, NOW).await.unwrap() });
        let counts = try_join_all(batches.map(|batch| dispatch(ledger.clone(), batch)))
            .await
            .unwrap();
        assert_eq!(counts.iter().flatten().flatten().count(), 80, "each once");

        let ends: Vec<_> = keys
            .iter()
            .map(|it| end(*it, 1, RequestState::Erased, Done::Erased))
            .collect();
        let reverse: Vec<_> = ends.iter().rev().cloned().collect();
        let late = dispatch(ledger.clone(), backward);
        let finalise = |ledger: Ledger, ends| tokio::spawn(async move { ledger.finalise_all(ends).await.unwrap() });
        let answers = [ends, reverse].map(|ends| finalise(ledger.clone(), ends));
        let answers = try_join_all(answers).await.unwrap().concat();
        assert_eq!(answers.iter().filter(|it| **it == Finalised::Now).count(), 40);
        assert!(late.await.unwrap().iter().all(Option::is_none));
    }
}

/// More than one statement takes.
pub(crate) async fn a_thousand_requests_go_through_in_batches(world: World) {
    let world = world.registered().await;
    let ledger = world.ledger.clone();
    let parts: Vec<_> = (0..1_200).map(|at| whole("acme", &at.to_string(), 1)).collect();
    let keys: Vec<RequestKey> = parts.iter().map(|it| it.request).collect();
    let answers = ledger.accept_all(parts).await.unwrap();
    assert!(answers.iter().all(|it| matches!(it, Accepted::New { seq: 1 })));
    let all: Vec<_> = keys
        .iter()
        .flat_map(|request| {
            (0..2).map(|entry| Dispatch {
                request: *request,
                entry,
                slice: 0,
                expected: 0,
            })
        })
        .collect();
    assert_eq!(ledger.dispatch(&all, NOW).await.unwrap(), vec![Some(1); 2_400]);
    assert!(ledger.undispatched(1, 1).await.unwrap().is_empty());
    let ends = keys.iter().map(|it| end(*it, 1, RequestState::Erased, Done::Erased));
    assert_eq!(
        ledger.finalise_all(ends.collect()).await.unwrap(),
        vec![Finalised::Now; 1_200]
    );
    assert!(ledger.open_requests(None, 1).await.unwrap().is_empty());
    let ids: Vec<String> = ledger.unsent(9_999).await.unwrap().into_iter().map(|it| it.id).collect();
    assert_eq!(ids.len(), 2_400);
    ledger.mark_sent(&ids, NOW).await.unwrap();
    assert!(ledger.unsent(1).await.unwrap().is_empty());
}
