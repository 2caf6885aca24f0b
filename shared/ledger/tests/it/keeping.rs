use crate::world::*;
use erasure_ledger::*;
use erasure_protocol::*;
use std::time::Duration;

async fn with_request(world: World, count: u16) -> (World, Ledger, RequestKey) {
    let world = world.registered().await;
    let ledger = world.ledger.clone();
    let new = whole("acme", "1", count);
    let request = new.request;
    ledger.accept(new).await.unwrap();
    (world, ledger, request)
}

pub(crate) async fn dispatch_is_compare_and_set(world: World) {
    let (_world, ledger, request) = with_request(world, 2).await;
    let of = |entry, expected| Dispatch {
        request,
        entry,
        slice: 0,
        expected,
    };
    assert_eq!(ledger.undispatched(10, 10).await.unwrap(), [request]);
    assert_eq!(ledger.dispatch(&[of(0, 0), of(0, 0)], NOW).await.unwrap(), [Some(1), None]);
    assert_eq!(ledger.undispatched(10, 10).await.unwrap(), [request], "one entry is missing");
    assert_eq!(ledger.try_dispatch(of(1, 0), NOW).await.unwrap(), Some(1));
    assert!(ledger.undispatched(10, 10).await.unwrap().is_empty());
    assert_eq!(ledger.try_dispatch(of(1, 0), NOW).await.unwrap(), None);
    assert_eq!(ledger.try_dispatch(of(1, 1), Millis(NOW.0 + 5)).await.unwrap(), Some(2));
    assert_eq!(ledger.try_dispatch(of(7, 0), NOW).await.unwrap(), None, "no such entry");
    let counts = ledger.dispatch_counts(request).await.unwrap();
    assert_eq!(
        counts.iter().map(|it| (it.entry, it.count)).collect::<Vec<_>>(),
        [(0, 1), (1, 2)]
    );
    assert_eq!(ledger.stalled(Millis(NOW.0 + 6), None, 10).await.unwrap(), [request]);
    assert!(ledger.stalled(Millis(NOW.0 + 5), None, 10).await.unwrap().is_empty());
    assert!(ledger.stalled(Millis(NOW.0 + 6), Some(request), 10).await.unwrap().is_empty());
    ledger
        .close_not_erased(request, &act("a", "x"), event("closed"))
        .await
        .unwrap();
    assert_eq!(
        ledger.try_dispatch(of(1, 2), NOW).await.unwrap(),
        None,
        "a closed request is not dispatched"
    );
}

pub(crate) async fn a_report_replaces_earlier_ones_and_not_later_ones(world: World) {
    let (_world, ledger, request) = with_request(world, 4).await;
    let retry = |positions: &[usize]| TaskOutcome::Retry {
        tasks: mask(positions),
        fault: fault(),
        attempt: 1,
        next_try: NOW,
    };
    let failed = |positions: &[usize]| TaskOutcome::Failed {
        tasks: mask(positions),
        fault: fault(),
        attempt: 3,
    };
    let say = |at, outcomes| message(request, ledger.id(), at, outcomes);
    assert_eq!(
        ledger.report(&say(10, vec![retry(&[0, 1, 2])])).await.unwrap(),
        Reported::Recorded
    );
    assert_eq!(ledger.report(&say(20, vec![failed(&[1])])).await.unwrap(), Reported::Recorded);
    // The first one once more, and one that is older than the second.
    ledger
        .report_all(&[say(10, vec![retry(&[0, 1, 2])]), say(15, vec![retry(&[1])])])
        .await
        .unwrap();
    let outcomes: Vec<_> = ledger
        .reports(request)
        .await
        .unwrap()
        .into_iter()
        .map(|it| it.outcome)
        .collect();
    assert_eq!(outcomes, [retry(&[0, 2]), failed(&[1])]);
    let progress = ledger.progress(request).await.unwrap().unwrap();
    let counts = progress.entries[1].counts;
    assert_eq!(
        (counts.retrying, counts.needs_attention, counts.in_progress, counts.total()),
        (2, 1, 1, 4)
    );
    assert_eq!(progress.people.total(), 4);
    assert_eq!(progress.entries[1].note, Some(failed(&[])));
    ledger.clear_reports(request, 1, 0, &mask(&[0, 1])).await.unwrap();
    assert_eq!(ledger.reports(request).await.unwrap()[0].outcome, retry(&[2]));

    let mut stale = say(30, vec![failed(&[0])]);
    stale.evidence = evidence_key(9);
    assert_eq!(ledger.report(&stale).await.unwrap(), Reported::Stale);
    let unknown = RequestKey::of(&tenant("acme"), &RequestId::new("none").unwrap());
    assert_eq!(
        ledger.report(&message(unknown, ledger.id(), 1, vec![])).await.unwrap(),
        Reported::Unknown
    );
}

pub(crate) async fn a_due_check_is_taken_once(world: World) {
    let (_world, ledger, request) = with_request(world, 2).await;
    let references = Sealed(PLANTED.to_vec());
    let pending = TaskOutcome::Pending {
        tasks: mask(&[1]),
        check_at: Millis(NOW.0 + 100),
        references: references.clone(),
    };
    ledger.report(&message(request, ledger.id(), 1, vec![pending])).await.unwrap();
    let take = |now, next| ledger.take_due_pending(Millis(NOW.0 + now), Millis(NOW.0 + next), 10);
    assert!(take(99, 200).await.unwrap().is_empty());
    let due = DuePending {
        request,
        slice: 0,
        entry: 1,
        tasks: mask(&[1]),
        references,
    };
    assert_eq!(take(100, 200).await.unwrap(), std::slice::from_ref(&due));
    assert!(take(150, 300).await.unwrap().is_empty());
    assert_eq!(take(200, 300).await.unwrap(), [due]);
    let person = ledger.person(request, 0, 1).await.unwrap().unwrap();
    assert_eq!(person[0].standing, Standing::InProgress);
    assert!(matches!(person[1].standing, Standing::Pending { .. }));
    assert_eq!(ledger.person(request, 0, 2).await.unwrap(), None);
}

pub(crate) async fn failed_tasks_are_listed_and_taken_once(world: World) {
    let (_world, ledger, request) = with_request(world, 4).await;
    let busy = Fault::new(FaultClass::Transient, Blame::Store, FaultCode::StoreBusy, "main").after(Duration::from_secs(2));
    let failed = |positions: &[usize], fault: Fault| TaskOutcome::Failed {
        tasks: mask(positions),
        fault,
        attempt: 3,
    };
    let outcomes = vec![failed(&[0], fault()), failed(&[1, 2], busy.clone())];
    ledger.report(&message(request, ledger.id(), 1, outcomes)).await.unwrap();
    let all = ledger.attention(&AttentionFilter::default(), None, 10).await.unwrap();
    assert_eq!(all.iter().map(|it| it.fault.clone()).collect::<Vec<_>>(), [fault(), busy]);
    let page = ledger
        .attention(&AttentionFilter::default(), Some(all[0].key), 10)
        .await
        .unwrap();
    assert_eq!(page, all[1..]);
    let filters = [
        (
            AttentionFilter {
                code: Some(FaultCode::StoreBusy),
                ..Default::default()
            },
            1,
        ),
        (
            AttentionFilter {
                subsystem: Some(subsystem("segments")),
                request: Some(request),
                ..Default::default()
            },
            2,
        ),
        (
            AttentionFilter {
                subsystem: Some(subsystem("profiles")),
                ..Default::default()
            },
            0,
        ),
        (
            AttentionFilter {
                tenant: Some(tenant("other")),
                ..Default::default()
            },
            0,
        ),
    ];
    for (filter, count) in filters {
        assert_eq!(ledger.attention(&filter, None, 10).await.unwrap().len(), count, "{filter:?}");
    }
    let redrive = act("r", "t");
    let take = |code| ledger.take_failed(request, 1, 0, code, &redrive);
    assert_eq!(take(Some(FaultCode::StoreBusy)).await.unwrap(), mask(&[1, 2]));
    assert_eq!(take(Some(FaultCode::StoreBusy)).await.unwrap(), Mask::EMPTY);
    assert_eq!(take(None).await.unwrap(), mask(&[0]));
    assert_eq!(ledger.acts("t").await.unwrap().len(), 1);
    assert!(!ledger.record_act(&act("r", "t")).await.unwrap());
}

pub(crate) async fn a_process_with_a_superseded_key_is_outdated(world: World) {
    let world = world.registered().await;
    let ledger = world.ledger.clone();
    let name = subsystem("profiles");
    let register = async |key| {
        let new = registration("profiles", key, Some(1));
        ledger.register_subsystem(&new, Millis(NOW.0 + i64::from(key))).await
    };
    assert_eq!(register(1).await.unwrap(), Registered::Current);
    assert_eq!(
        register(2).await.unwrap(),
        Registered::NewCurrent {
            replaced: Some(evidence_key(1))
        }
    );
    assert_eq!(
        register(1).await.unwrap(),
        Registered::Outdated {
            current: evidence_key(2)
        }
    );
    assert_eq!(register(2).await.unwrap(), Registered::Current);
    assert_eq!(ledger.subsystems().await.unwrap()[0].evidence, evidence_key(2));
    let history = ledger.evidence_history(&name).await.unwrap();
    assert_eq!(
        history.iter().map(|it| it.evidence).collect::<Vec<_>>(),
        [evidence_key(1), evidence_key(2)]
    );
    ledger.retire_subsystem(&name, &act("a", "profiles")).await.unwrap();
    assert_eq!(register(2).await.unwrap(), Registered::Current, "a retired one comes back");
    assert!(!ledger.subsystems().await.unwrap()[0].retired);
}

pub(crate) async fn what_was_read_from_a_store_earlier_replaces_nothing(world: World) {
    let world = world.registered().await;
    let (name, ledger) = (subsystem("profiles"), world.ledger.clone());
    // Both saw key 1 registered and asked the store; it failed over in between.
    let earlier = registration("profiles", 2, Some(1));
    let later = Registration {
        map: earlier.map,
        ..registration("profiles", 3, Some(1))
    };
    assert!(matches!(
        ledger.register_subsystem(&later, NOW).await.unwrap(),
        Registered::NewCurrent { .. }
    ));
    let overtaken = Registered::Overtaken {
        current: evidence_key(3),
    };
    assert_eq!(ledger.register_subsystem(&earlier, NOW).await.unwrap(), overtaken);
    let newcomer = Registration {
        replacing: None,
        ..earlier
    };
    assert_eq!(ledger.register_subsystem(&newcomer, NOW).await.unwrap(), overtaken);
    assert_eq!(ledger.register_subsystem(&later, NOW).await.unwrap(), Registered::Current);
    assert_eq!(
        ledger.evidence_history(&name).await.unwrap().len(),
        2,
        "what was refused was never current"
    );
}

pub(crate) async fn an_old_map_on_a_new_store_is_outdated(world: World) {
    let world = world.registered().await;
    let ledger = world.ledger.clone();
    let register = async |key: u8, map: u8, replacing: u8| {
        let new = Registration {
            map: [map; 16],
            ..registration("profiles", key, Some(replacing))
        };
        ledger.register_subsystem(&new, NOW).await.unwrap()
    };
    assert!(matches!(register(2, 2, 1).await, Registered::NewCurrent { .. }), "a new map");
    let outdated = Registered::Outdated {
        current: evidence_key(2),
    };
    assert_eq!(register(3, 1, 2).await, outdated, "the old one, after the store failed over");
    assert!(
        matches!(register(4, 2, 2).await, Registered::NewCurrent { .. }),
        "the new one"
    );
}

pub(crate) async fn a_plan_is_extended_once_and_only_to_something_longer(world: World) {
    let (_world, ledger, request) = with_request(world, 1).await;
    assert!(ledger.requests_to_extend(None, 10).await.unwrap().is_empty());
    ledger
        .register_subsystem(&registration("segments", 2, Some(1)), NOW)
        .await
        .unwrap();
    assert_eq!(ledger.requests_to_extend(None, 10).await.unwrap(), [request]);
    let plan = ledger.header(request).await.unwrap().unwrap().plan;
    let longer = plan.extended(&[entry("segments", 2)]).unwrap();
    assert!(ledger.extend_plan(request, 2, &longer).await.unwrap());
    assert!(!ledger.extend_plan(request, 2, &longer).await.unwrap());
    assert_eq!(ledger.header(request).await.unwrap().unwrap().plan, longer);
    assert!(ledger.requests_to_extend(None, 10).await.unwrap().is_empty());
    let other = Plan::new(vec![entry("profiles", 3)]);
    assert!(matches!(ledger.extend_plan(request, 3, &other).await, Err(Error::Refused(_))));
    ledger
        .register_subsystem(&registration("analytics", 1, None), NOW)
        .await
        .unwrap();
    assert_eq!(
        ledger.requests_to_extend(None, 10).await.unwrap(),
        [request],
        "one is missing"
    );
}

pub(crate) async fn due_dates_are_marked_once_with_an_event(world: World) {
    let (_world, ledger, request) = with_request(world, 1).await;
    let due = NOW.0 + 1_000_000;
    let made = |header: &Header| event(&format!("{}/due/{}", header.request, header.overdue));
    let window = Duration::from_millis(100);
    assert!(
        ledger
            .mark_at_risk(Millis(due - 200), window, 10, made)
            .await
            .unwrap()
            .is_empty()
    );
    let marked = ledger.mark_at_risk(Millis(due - 50), window, 10, made).await.unwrap();
    assert!(marked.len() == 1 && marked[0].at_risk && !marked[0].overdue);
    assert!(
        ledger
            .mark_at_risk(Millis(due - 50), window, 10, made)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(ledger.mark_overdue(Millis(due), 10, made).await.unwrap().is_empty());
    assert!(ledger.mark_overdue(Millis(due + 1), 10, made).await.unwrap()[0].overdue);
    assert!(ledger.mark_overdue(Millis(due + 1), 10, made).await.unwrap().is_empty());
    assert_eq!(ledger.unsent(10).await.unwrap().len(), 3);
    assert_eq!(ledger.open_requests(None, 10).await.unwrap(), [request]);
}

pub(crate) async fn events_are_sent_in_order_and_purged_later(world: World) {
    let world = world.registered().await;
    let ledger = world.ledger.clone();
    for id in ["b", "a", "c"] {
        ledger.accept(whole("acme", id, 1)).await.unwrap();
    }
    let ids: Vec<_> = ledger.unsent(10).await.unwrap().into_iter().map(|it| it.id).collect();
    assert_eq!(ids, ["acme/b/accepted", "acme/a/accepted", "acme/c/accepted"]);
    ledger.mark_sent(&ids[..2], NOW).await.unwrap();
    assert_eq!(ledger.unsent(10).await.unwrap(), [event("acme/c/accepted")]);
    let before = PurgeBefore {
        events_sent: Some(Millis(NOW.0 + 1)),
        ..Default::default()
    };
    assert_eq!(ledger.purge(before).await.unwrap().events, 2);
    assert_eq!(ledger.unsent(10).await.unwrap().len(), 1);
}

pub(crate) async fn parked_messages_end_once(world: World) {
    let ledger = world.ledger.clone();
    let new = |id: &str| NewParked {
        id: id.into(),
        tenant: Some(tenant("acme")),
        queue: "er.ingest.v1".into(),
        code: "INTAKE-001".into(),
        field: Some("subjects.0.email".into()),
        sealed: Sealed(PLANTED.to_vec()),
        at: NOW,
        expires_at: Millis(NOW.0 + 100),
    };
    for id in ["1", "1", "2"] {
        ledger.park(&new(id)).await.unwrap();
    }
    let all = ParkedFilter::default();
    assert_eq!(ledger.parked(&all, None, 10).await.unwrap().len(), 2);
    assert_eq!(ledger.parked(&all, Some("1"), 10).await.unwrap()[0].id, "2");
    let other = ParkedFilter {
        code: Some("INTAKE-002".into()),
        ..Default::default()
    };
    assert!(ledger.parked(&other, None, 10).await.unwrap().is_empty());
    assert!(
        ledger
            .set_parked_state("1", ParkedState::Discarded, &act("d", "1"))
            .await
            .unwrap()
    );
    assert!(
        !ledger
            .set_parked_state("1", ParkedState::Redriven, &act("e", "1"))
            .await
            .unwrap()
    );
    let ended = ledger.parked_one("1").await.unwrap().unwrap();
    assert_eq!((ended.state, ended.sealed), (ParkedState::Discarded, None));
    let before = PurgeBefore {
        parked_expire: Some(Millis(NOW.0 + 101)),
        ..Default::default()
    };
    assert_eq!(ledger.purge(before).await.unwrap().parked, 2);
}
