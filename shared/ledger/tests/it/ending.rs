use crate::world::*;
use erasure_ledger::*;
use erasure_protocol::*;

async fn with_request(world: World, count: u16) -> (World, Ledger, RequestKey) {
    let world = world.registered().await;
    let ledger = world.ledger.clone();
    let new = whole("acme", "1", count);
    let request = new.request;
    ledger.accept(new).await.unwrap();
    (world, ledger, request)
}

pub(crate) async fn a_request_ends_once_and_never_again(world: World) {
    let (_world, ledger, request) = with_request(world, 3).await;
    let erased = end(request, 3, RequestState::Erased, Done::Erased);
    assert_eq!(ledger.finalise(erased.clone()).await.unwrap(), Finalised::Now);
    assert_eq!(
        ledger.finalise(erased.clone()).await.unwrap(),
        Finalised::Already(RequestState::Erased)
    );
    let nothing = end(request, 3, RequestState::NothingHeld, Done::NothingHeld);
    assert_eq!(
        ledger.finalise(nothing).await.unwrap(),
        Finalised::Already(RequestState::Erased)
    );
    let closed = ledger
        .close_not_erased(request, &act("a", "x"), event("closed"))
        .await
        .unwrap();
    assert_eq!(closed, Closed::Already(RequestState::Erased));
    let header = ledger.header(request).await.unwrap().unwrap();
    assert_eq!(
        (header.state, header.key, header.finished_at),
        (RequestState::Erased, None, Some(Millis(NOW.0 + 500)))
    );
    assert_eq!(ledger.data_key_of(request).await.unwrap(), Some((RequestState::Erased, None)));
    assert_eq!(ledger.slice(request, 0).await.unwrap(), None);
    assert_eq!(ledger.slice_counts(request).await.unwrap(), [3]);
    assert_eq!(ledger.evidence(request).await.unwrap(), erased.evidence);
    let progress = ledger.progress(request).await.unwrap().unwrap();
    assert_eq!((progress.people.erased, progress.entries[0].counts.erased), (3, 3));
    let late = TaskOutcome::Failed {
        tasks: mask(&[0]),
        fault: fault(),
        attempt: 1,
    };
    assert_eq!(
        ledger.report(&message(request, ledger.id(), 1, vec![late])).await.unwrap(),
        Reported::Stale
    );
    assert_eq!(
        ledger.accept(whole("acme", "1", 3)).await.unwrap(),
        Accepted::Same(RequestState::Erased)
    );
    assert!(!ledger.extend_plan(request, 2, &header.plan).await.unwrap());
    assert_eq!(ledger.unsent(10).await.unwrap().len(), 2);
}

pub(crate) async fn missing_evidence_is_no_end(world: World) {
    let (_world, ledger, request) = with_request(world, 3).await;
    let whole_end = end(request, 3, RequestState::Erased, Done::Erased);
    let mut one_short = whole_end.clone();
    one_short.evidence[1].tasks = Mask::first(2);
    let mut one_failed = whole_end.clone();
    one_failed.evidence[1].done = Done::Failed;
    let mut one_entry = whole_end.clone();
    one_entry.evidence.pop();
    let mut kept = whole_end.clone();
    kept.evidence[0].done = Done::Retained;
    let not_held = Final {
        state: RequestState::NothingHeld,
        ..whole_end.clone()
    };
    let not_kept = Final {
        state: RequestState::ErasedWithRetention,
        ..whole_end.clone()
    };
    for wrong in [one_short, one_failed, one_entry, kept, not_held, not_kept] {
        assert_eq!(ledger.finalise(wrong).await.unwrap(), Finalised::NotCovered);
    }
    let wrong = Final {
        state: RequestState::Deactivated,
        ..whole_end.clone()
    };
    assert!(matches!(ledger.finalise(wrong).await, Err(Error::Refused(_))));
    assert!(ledger.evidence(request).await.unwrap().is_empty());
    assert_eq!(ledger.header(request).await.unwrap().unwrap().state, RequestState::Running);

    ledger.accept(part("p", 0, false)).await.unwrap();
    let receiving = end(part("p", 0, false).request, 2, RequestState::Erased, Done::Erased);
    assert_eq!(ledger.finalise(receiving).await.unwrap(), Finalised::NotRunning);
    let unknown = Final {
        request: RequestKey::of(&tenant("none"), &RequestId::new("1").unwrap()),
        ..whole_end
    };
    assert_eq!(ledger.finalise(unknown).await.unwrap(), Finalised::Unknown);
}

pub(crate) async fn a_changed_plan_or_register_is_no_end(world: World) {
    let (_world, ledger, request) = with_request(world, 1).await;
    let erased = end(request, 1, RequestState::Erased, Done::Erased);
    ledger
        .register_subsystem(&registration("segments", 2, Some(1)), NOW)
        .await
        .unwrap();
    assert_eq!(
        ledger.finalise(erased.clone()).await.unwrap(),
        Finalised::PlanChanged,
        "evidence under an old key"
    );
    let plan = ledger
        .header(request)
        .await
        .unwrap()
        .unwrap()
        .plan
        .extended(&[entry("segments", 2)])
        .unwrap();
    assert!(ledger.extend_plan(request, 2, &plan).await.unwrap());
    assert_eq!(
        ledger.finalise(erased.clone()).await.unwrap(),
        Finalised::PlanChanged,
        "evidence for the shorter plan"
    );
    let old_bits = Final {
        plan_version: 3,
        ..erased.clone()
    };
    assert_eq!(
        ledger.finalise(old_bits).await.unwrap(),
        Finalised::NotCovered,
        "bits of the replaced entry do not count"
    );
    let mut complete = Final {
        plan_version: 3,
        ..erased
    };
    complete.evidence[1].entry = 2;
    ledger
        .retire_subsystem(&subsystem("profiles"), &act("a", "profiles"))
        .await
        .unwrap();
    assert_eq!(
        ledger.finalise(complete).await.unwrap(),
        Finalised::Now,
        "a retired subsystem has answered"
    );
}

pub(crate) async fn what_was_kept_is_told_after_the_end(world: World) {
    let (_world, ledger, request) = with_request(world, 2).await;
    let (ground, until) = (Ground("GDPR Art. 17(3)(b)".into()), Millis(NOW.0 + 9));
    let kept = TaskOutcome::Retained {
        tasks: mask(&[1]),
        ground: ground.clone(),
        until,
    };
    let pending = TaskOutcome::Pending {
        tasks: mask(&[0]),
        check_at: NOW,
        references: Sealed(vec![1]),
    };
    ledger
        .report(&message(request, ledger.id(), 1, vec![kept.clone(), pending]))
        .await
        .unwrap();
    let mut ended = end(request, 2, RequestState::ErasedWithRetention, Done::Erased);
    ended.evidence[1].tasks = mask(&[0]);
    ended.evidence.push(EvidenceRow {
        done: Done::Retained,
        tasks: mask(&[1]),
        ..ended.evidence[1]
    });
    assert_eq!(ledger.finalise(ended).await.unwrap(), Finalised::Now);
    let outcomes: Vec<_> = ledger
        .reports(request)
        .await
        .unwrap()
        .into_iter()
        .map(|it| it.outcome)
        .collect();
    assert_eq!(outcomes, [kept], "the vendor's reference is gone");
    let person = |position| ledger.person(request, 0, position);
    assert_eq!(
        person(1).await.unwrap().unwrap()[1].standing,
        Standing::Retained { ground, until }
    );
    assert_eq!(person(0).await.unwrap().unwrap()[1].standing, Standing::Erased);
    let people = ledger.progress(request).await.unwrap().unwrap().people;
    assert_eq!((people.erased, people.retained, people.total()), (1, 1, 2));
}

pub(crate) async fn closing_is_never_erased(world: World) {
    let (_world, ledger, request) = with_request(world, 2).await;
    let failed = TaskOutcome::Failed {
        tasks: mask(&[1]),
        fault: fault(),
        attempt: 1,
    };
    ledger.report(&message(request, ledger.id(), 1, vec![failed])).await.unwrap();
    let target = request.to_string();
    assert_eq!(
        ledger
            .close_not_erased(request, &act("a", &target), event("closed"))
            .await
            .unwrap(),
        Closed::Now
    );
    let again = ledger
        .close_not_erased(request, &act("b", &target), event("closed"))
        .await
        .unwrap();
    assert_eq!(again, Closed::Already(RequestState::ClosedNotErased));
    let late = end(request, 2, RequestState::Erased, Done::Erased);
    assert_eq!(
        ledger.finalise(late).await.unwrap(),
        Finalised::Already(RequestState::ClosedNotErased)
    );
    assert_eq!(
        ledger.data_key_of(request).await.unwrap(),
        Some((RequestState::ClosedNotErased, None))
    );
    assert_eq!(ledger.slice(request, 0).await.unwrap(), None);
    assert_eq!(ledger.reports(request).await.unwrap().len(), 1, "why it was given up stays");
    assert!(
        ledger
            .attention(&AttentionFilter::default(), None, 10)
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(ledger.acts(&target).await.unwrap(), [act("a", &target)]);
}

pub(crate) async fn finished_requests_are_purged_with_all_that_is_theirs(world: World) {
    let (_world, ledger, request) = with_request(world, 1).await;
    let mut open = whole("acme", "2", 1);
    open.hashes = vec![hash(0, 0, 5)];
    ledger.accept(open.clone()).await.unwrap();
    ledger
        .finalise(end(request, 1, RequestState::Erased, Done::Erased))
        .await
        .unwrap();
    let before = PurgeBefore {
        requests_finished: Some(Millis(NOW.0 + 501)),
        limit: 10,
        ..Default::default()
    };
    assert_eq!(ledger.purge(before).await.unwrap().requests, [request]);
    assert_eq!(ledger.header(request).await.unwrap(), None);
    assert!(ledger.evidence(request).await.unwrap().is_empty());
    assert_eq!(ledger.open_requests(None, 10).await.unwrap(), [open.request]);
    assert_eq!(ledger.find(&tenant("acme"), &[[5; 32]]).await.unwrap().len(), 1);
}

#[tokio::test]
async fn after_the_end_no_sealed_byte_and_no_key_is_left_in_the_file() {
    let world = World::sqlite().await.registered().await;
    let new = whole("acme", "1", 2);
    let request = new.request;
    world.ledger.accept(new).await.unwrap();
    let references = Sealed(PLANTED.repeat(300));
    let pending = TaskOutcome::Pending {
        tasks: mask(&[0]),
        check_at: NOW,
        references,
    };
    world
        .ledger
        .report(&message(request, world.ledger.id(), 1, vec![pending]))
        .await
        .unwrap();
    world.ledger.purge(PurgeBefore::default()).await.unwrap();
    assert!(
        holds(&world, PLANTED) && holds(&world, PLANTED_KEY),
        "the search must be able to find it"
    );
    world
        .ledger
        .finalise(end(request, 2, RequestState::Erased, Done::Erased))
        .await
        .unwrap();
    world.ledger.purge(PurgeBefore::default()).await.unwrap();
    assert!(!holds(&world, PLANTED), "sealed bytes");
    assert!(!holds(&world, PLANTED_KEY), "the data key");
}

fn holds(world: &World, needle: &[u8]) -> bool {
    std::fs::read_dir(world.folder.path()).unwrap().any(|file| {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        bytes.windows(needle.len()).any(|window| window == needle)
    })
}
