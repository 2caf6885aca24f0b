use crate::world::*;
use erasure_ledger::*;
use erasure_protocol::*;

pub(crate) async fn a_repeated_request_is_the_same_and_other_content_a_conflict(world: World) {
    let world = world.registered().await;
    let ledger = world.ledger.clone();
    let before = ledger.seq().await.unwrap();
    assert_eq!(
        ledger.accept(whole("acme", "1", 3)).await.unwrap(),
        Accepted::New { seq: before + 1 }
    );
    assert_eq!(
        ledger.accept(whole("acme", "1", 3)).await.unwrap(),
        Accepted::Same(RequestState::Running)
    );
    let mut other = whole("acme", "1", 3);
    other.fingerprint = vec![2; 32];
    assert_eq!(ledger.accept(other).await.unwrap(), Accepted::Conflict);
    assert_eq!(ledger.seq().await.unwrap(), before + 1);
    assert_eq!(ledger.unsent(10).await.unwrap().len(), 1);
    let key = whole("acme", "1", 3).request;
    let header = ledger.header(key).await.unwrap().unwrap();
    assert_eq!(
        (header.subjects, header.slices, header.state, header.generation),
        (3, 1, RequestState::Running, 1)
    );
    assert_eq!(header.ledger, ledger.id());
    assert_eq!(header.plan.entries(), [entry("profiles", 1), entry("segments", 1)]);
    assert_eq!(
        ledger.data_key_of(key).await.unwrap(),
        Some((RequestState::Running, Some(wrapped(PLANTED_KEY))))
    );
    assert_eq!(ledger.bump_generation(key).await.unwrap().unwrap().generation, 2);
    assert!(ledger.slice(key, 0).await.unwrap().is_some() && ledger.slice(key, 1).await.unwrap().is_none());
}

pub(crate) async fn two_tenants_may_use_one_request_id(world: World) {
    let world = world.registered().await;
    let ledger = world.ledger.clone();
    for of in ["acme", "other"] {
        assert!(matches!(
            ledger.accept(whole(of, "1", 1)).await.unwrap(),
            Accepted::New { .. }
        ));
    }
    let found = ledger.find_by_request_id(&RequestId::new("1").unwrap()).await.unwrap();
    assert_eq!(found.iter().map(|(of, _)| of.as_str()).collect::<Vec<_>>(), ["acme", "other"]);
    assert_ne!(found[0].1, found[1].1);
}

pub(crate) async fn parts_may_come_in_any_order_and_twice(world: World) {
    let world = world.registered().await;
    let ledger = world.ledger.clone();
    let key = part("p", 0, false).request;
    for (number, last) in [(2, true), (0, false)] {
        assert!(matches!(
            ledger.accept(part("p", number, last)).await.unwrap(),
            Accepted::Incomplete { .. }
        ));
        assert_eq!(
            ledger.accept(part("p", number, last)).await.unwrap(),
            Accepted::Same(RequestState::Receiving)
        );
    }
    assert!(ledger.undispatched(10, 10).await.unwrap().is_empty() && ledger.unsent(10).await.unwrap().is_empty());
    assert_eq!(
        ledger.accept(part("p", 3, false)).await.unwrap(),
        Accepted::Conflict,
        "beyond the last one"
    );
    assert_eq!(
        ledger.accept(part("p", 1, true)).await.unwrap(),
        Accepted::Conflict,
        "a second last one"
    );
    assert!(matches!(
        ledger.accept(part("p", 1, false)).await.unwrap(),
        Accepted::New { .. }
    ));
    assert_eq!(
        ledger.accept(part("p", 1, false)).await.unwrap(),
        Accepted::Same(RequestState::Running)
    );
    assert_eq!(ledger.undispatched(10, 10).await.unwrap(), [key]);
    assert_eq!(ledger.unsent(10).await.unwrap().len(), 1);
    let header = ledger.header(key).await.unwrap().unwrap();
    assert_eq!((header.subjects, header.slices), (6, 3));
    assert_eq!(
        ledger
            .slices(key, 1..3)
            .await
            .unwrap()
            .iter()
            .map(|it| it.number)
            .collect::<Vec<_>>(),
        [1, 2]
    );
}

pub(crate) async fn a_later_part_must_be_sealed_under_the_first_key(world: World) {
    let world = world.registered().await;
    let ledger = world.ledger.clone();
    ledger.accept(part("p", 0, false)).await.unwrap();
    let mut second = part("p", 1, true);
    second.key = wrapped(b"another");
    assert_eq!(ledger.accept(second).await.unwrap(), Accepted::OtherKey(wrapped(PLANTED_KEY)));
}

pub(crate) async fn a_plan_must_agree_with_the_register(world: World) {
    let world = world.registered().await;
    let ledger = world.ledger.clone();
    let planned = |plan: Vec<PlanEntry>| NewPart {
        plan,
        ..whole("acme", "1", 1)
    };
    let outdated = planned(vec![entry("profiles", 9), entry("segments", 1)]);
    assert_eq!(
        ledger.accept(outdated).await.unwrap(),
        Accepted::Outdated(subsystem("profiles"))
    );
    let missing = planned(vec![entry("profiles", 1)]);
    assert_eq!(
        ledger.accept(missing).await.unwrap(),
        Accepted::MissingSubsystem(subsystem("segments"))
    );
    let unknown = planned(vec![entry("profiles", 1), entry("segments", 1), entry("analytics", 1)]);
    assert_eq!(
        ledger.accept(unknown).await.unwrap(),
        Accepted::UnknownSubsystem(subsystem("analytics"))
    );
    assert!(ledger.open_requests(None, 10).await.unwrap().is_empty());
    assert!(
        ledger
            .retire_subsystem(&subsystem("segments"), &act("a", "segments"))
            .await
            .unwrap()
    );
    assert!(
        !ledger
            .retire_subsystem(&subsystem("segments"), &act("b", "segments"))
            .await
            .unwrap()
    );
    assert!(matches!(
        ledger.accept(planned(vec![entry("profiles", 1)])).await.unwrap(),
        Accepted::New { .. }
    ));
    assert_eq!(ledger.acts("segments").await.unwrap(), [act("a", "segments")]);
}

pub(crate) async fn several_are_taken_in_one_transaction(world: World) {
    let world = world.registered().await;
    let ledger = world.ledger.clone();
    let mut conflicting = whole("acme", "2", 1);
    conflicting.fingerprint = vec![9; 32];
    let parts = vec![
        whole("acme", "2", 1),
        whole("acme", "1", 1),
        conflicting,
        whole("acme", "1", 1),
    ];
    let answers = ledger.accept_all(parts).await.unwrap();
    let new = Accepted::New {
        seq: ledger.seq().await.unwrap(),
    };
    assert_eq!(
        answers,
        [new.clone(), new, Accepted::Conflict, Accepted::Same(RequestState::Running)]
    );
    let wrong = NewPart {
        slices: vec![],
        ..whole("acme", "3", 1)
    };
    assert!(matches!(ledger.accept(wrong).await, Err(Error::Refused(_))));
}

pub(crate) async fn open_requests_on_the_same_person_are_found(world: World) {
    let world = world.registered().await;
    let ledger = world.ledger.clone();
    let mut new = whole("acme", "1", 2);
    new.hashes = vec![hash(0, 0, 7), hash(0, 1, 8), hash(0, 1, 9)];
    ledger.accept(new.clone()).await.unwrap();
    let found = ledger.overlaps(&tenant("acme"), &[[8; 32], [1; 32]]).await.unwrap();
    assert_eq!(
        found,
        [Overlap {
            hash: [8; 32],
            request: new.request,
            slice: 0,
            position: 1
        }]
    );
    assert!(ledger.overlaps(&tenant("other"), &[[8; 32]]).await.unwrap().is_empty());
    let people = ledger.find(&tenant("acme"), &[[8; 32], [9; 32]]).await.unwrap();
    assert_eq!(people.len(), 1);
    assert_eq!(
        (people[0].slice, people[0].position, people[0].state),
        (0, 1, RequestState::Running)
    );
    assert_eq!(
        ledger.key_references(&KeyId("2026-10-aa".into())).await.unwrap(),
        KeyReferences { data_keys: 1, hashes: 3 }
    );
    let ended = end(new.request, 2, RequestState::Erased, Done::Erased);
    assert_eq!(ledger.finalise(ended).await.unwrap(), Finalised::Now);
    assert!(ledger.overlaps(&tenant("acme"), &[[8; 32]]).await.unwrap().is_empty());
    assert_eq!(
        ledger.find(&tenant("acme"), &[[8; 32]]).await.unwrap()[0].state,
        RequestState::Erased
    );
    assert_eq!(ledger.key_references(&KeyId("2026-10-aa".into())).await.unwrap().data_keys, 0);
}

pub(crate) async fn ambiguous_subjects_need_attention_from_the_start(world: World) {
    let world = world.registered().await;
    let ledger = world.ledger.clone();
    let ambiguous = Fault::new(FaultClass::Permanent, Blame::Subject, FaultCode::Ambiguous, "profiles");
    let mut new = whole("acme", "1", 1);
    new.failed_now = vec![FailedNow {
        slice: 0,
        tasks: mask(&[0]),
        fault: ambiguous.clone(),
    }];
    ledger.accept(new.clone()).await.unwrap();
    assert!(
        ledger.undispatched(10, 10).await.unwrap().is_empty(),
        "there is nothing to dispatch"
    );
    let listed = ledger.attention(&AttentionFilter::default(), None, 10).await.unwrap();
    assert_eq!(
        listed.iter().map(|it| (it.entry, it.fault.clone())).collect::<Vec<_>>(),
        [(0, ambiguous.clone()), (1, ambiguous)]
    );
    assert_eq!(ledger.progress(new.request).await.unwrap().unwrap().people.needs_attention, 1);
    // A longer plan does not try what nobody decided on.
    ledger
        .register_subsystem(&registration("profiles", 2, Some(1)), NOW)
        .await
        .unwrap();
    let plan = Plan::new(new.plan).extended(&[entry("profiles", 2)]).unwrap();
    assert!(ledger.extend_plan(new.request, 2, &plan).await.unwrap());
    let listed = ledger.attention(&AttentionFilter::default(), None, 10).await.unwrap();
    assert_eq!(listed.iter().map(|it| it.entry).collect::<Vec<_>>(), [1, 2]);
}

pub(crate) async fn of_many_at_once_one_is_new(world: World) {
    let world = world.registered().await;
    let all = (0..12).map(|at| world.ledger.accept(part("p", at % 3, at % 3 == 2)));
    let answers = futures_util::future::try_join_all(all).await.unwrap();
    let count = |which: fn(&Accepted) -> bool| answers.iter().filter(|it| which(it)).count();
    assert_eq!(count(|it| matches!(it, Accepted::New { .. })), 1);
    assert_eq!(count(|it| matches!(it, Accepted::Incomplete { .. })), 2);
    assert_eq!(count(|it| matches!(it, Accepted::Same(_))), 9);
    let request = part("p", 0, false).request;
    let take = (0..6).map(|_| {
        world.ledger.try_dispatch(
            Dispatch {
                request,
                entry: 0,
                slice: 0,
                expected: 0,
            },
            NOW,
        )
    });
    let taken = futures_util::future::try_join_all(take).await.unwrap();
    assert_eq!(taken.iter().flatten().count(), 1);
}
