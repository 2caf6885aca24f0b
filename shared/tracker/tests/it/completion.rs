//! What counts as evidence, and when a request is complete.

use crate::place::Place;
use crate::world::{World, all_erased, entry, mark_of, purge};
use anyhow::Result;
use erasure_protocol::{Header, Mask, Millis, Phase, RequestId, RequestKey, RequestState};
use erasure_tracker::{Claimed, Finished, Init, Mark, Marked, TaskState};
use std::time::Duration;

const DONE: Marked = Marked::Ok { complete: true };
const OPEN: Marked = Marked::Ok { complete: false };

pub(crate) async fn completion_is_told_exactly_once_however_often_marks_are_repeated(place: &Place) -> Result<()> {
    let world = World::at(place).await?;
    let header = world.running(1, &[purge("profiles", 1), purge("segments", 2)]).await?;
    assert_eq!(world.mark(all_erased(&header, 0, 0)).await?, OPEN);
    assert_eq!(world.mark(all_erased(&header, 0, 0)).await?, OPEN);
    assert_eq!(world.mark(all_erased(&header, 1, 0)).await?, DONE);
    assert_eq!(world.mark(all_erased(&header, 1, 0)).await?, DONE);
    let told = world.tracker.next_complete(10).await?;
    assert_eq!(told.iter().map(|it| it.request).collect::<Vec<_>>(), [header.request]);
    world.tracker.settle_complete(&told).await?;
    assert_eq!(world.mark(all_erased(&header, 0, 0)).await?, DONE);
    assert_eq!(world.tracker.next_complete(10).await?, []);
    Ok(())
}

pub(crate) async fn what_is_marked_twice_counts_once(place: &Place) -> Result<()> {
    let world = World::at(place).await?;
    let header = world.running(2, &[purge("profiles", 1)]).await?;
    let one = |position| Mark {
        erased: [position].into_iter().collect(),
        ..mark_of(&header, 0, 0)
    };
    for _ in 0..3 {
        assert_eq!(world.mark(one(0)).await?, OPEN);
    }
    assert_eq!(world.mark(one(1)).await?, DONE);
    Ok(())
}

pub(crate) async fn evidence_under_another_key_or_for_a_replaced_entry_is_refused(place: &Place) -> Result<()> {
    let world = World::at(place).await?;
    let header = world
        .running(1, &[purge("profiles", 1), purge("segments", 2), purge("profiles", 3)])
        .await?;
    let stale = Mark {
        evidence: header.plan.entry(0).unwrap().evidence,
        ..all_erased(&header, 2, 0)
    };
    assert_eq!(world.mark(stale).await?, Marked::Stale);
    assert_eq!(world.mark(all_erased(&header, 0, 0)).await?, Marked::Stale);
    assert_eq!(world.tracker.evidence(header.request).await?.unwrap().bits, []);
    let expected = header.plan.entry(2).unwrap().evidence;
    assert_eq!(world.claim(&header, 0, 0).await?, Claimed::Stale { expected });
    assert!(matches!(world.claim(&header, 2, 0).await?, Claimed::Open { entry: 2, .. }));
    Ok(())
}

pub(crate) async fn evidence_of_several_requests_comes_in_their_order(place: &Place) -> Result<()> {
    let world = World::at(place).await?;
    let small = world.running(1, &[purge("profiles", 1)]).await?;
    let large = world.running(600, &[purge("profiles", 1)]).await?;
    let other = world.running(2, &[purge("profiles", 1), purge("segments", 2)]).await?;
    world.mark(all_erased(&large, 0, 1)).await?;
    world.mark(all_erased(&other, 1, 0)).await?;
    let asked = [
        large.request,
        RequestKey::of(&large.tenant, &RequestId::new("unknown").unwrap()),
        small.request,
        other.request,
    ];
    let all = world.tracker.evidence_of(&asked).await?;
    for (request, found) in asked.iter().zip(&all) {
        assert_eq!(*found, world.tracker.evidence(*request).await?);
    }
    let bits = |at: usize| {
        all[at]
            .as_ref()
            .map(|it| it.bits.iter().map(|it| (it.entry, it.slice)).collect::<Vec<_>>())
    };
    assert_eq!(
        [bits(0), bits(1), bits(2), bits(3)],
        [Some(vec![(0, 1)]), None, Some(vec![]), Some(vec![(1, 0)])]
    );
    assert_eq!(world.tracker.evidence_of(&[]).await?, []);
    Ok(())
}

pub(crate) async fn mask_bits_beyond_the_slice_are_no_evidence(place: &Place) -> Result<()> {
    let world = World::at(place).await?;
    let header = world.running(513, &[purge("profiles", 1)]).await?;
    assert_eq!(
        world
            .mark(Mark {
                erased: [1, 2, 511].into_iter().collect(),
                ..mark_of(&header, 0, 1)
            })
            .await?,
        OPEN
    );
    assert_eq!(world.tracker.evidence(header.request).await?.unwrap().bits, []);
    assert_eq!(world.mark(all_erased(&header, 0, 0)).await?, OPEN);
    assert_eq!(world.mark(all_erased(&header, 0, 1)).await?, DONE);
    let evidence = world.tracker.evidence(header.request).await?.unwrap();
    assert_eq!(evidence.done(0, 1).iter().collect::<Vec<_>>(), [0]);
    assert_eq!(evidence.done(0, 0).count(), 512);
    Ok(())
}

pub(crate) async fn a_slice_of_nobody_and_a_slice_that_is_not_there_complete_nothing(place: &Place) -> Result<()> {
    let world = World::at(place).await?;
    let header = world.running(600, &[purge("profiles", 1)]).await?;
    assert_eq!(
        world
            .mark(Mark {
                count: 0,
                ..all_erased(&header, 0, 0)
            })
            .await?,
        OPEN
    );
    assert_eq!(world.mark(all_erased(&header, 0, 1)).await?, OPEN);
    let beyond = Mark {
        slice: 2,
        ..all_erased(&header, 0, 1)
    };
    assert_eq!(world.mark(beyond).await?, Marked::Unknown);
    assert_eq!(world.tracker.next_complete(10).await?, []);
    Ok(())
}

pub(crate) async fn many_slices_complete_with_the_last_one_only(place: &Place) -> Result<()> {
    let world = World::at(place).await?;
    let header = world
        .running(512 * 10 + 3, &[purge("profiles", 1), purge("segments", 2)])
        .await?;
    let mut marks: Vec<Mark> = (0..11).map(|slice| all_erased(&header, 0, slice)).collect();
    marks.extend((0..11).rev().map(|slice| all_erased(&header, 1, slice)));
    let last = marks.pop().unwrap();
    assert!(world.tracker.mark(&marks).await?.iter().all(|it| *it == OPEN));
    assert_eq!(world.mark(last).await?, DONE);
    let progress = world.tracker.progress(&[header.request]).await?.remove(0).unwrap();
    assert_eq!(progress.people.erased, header.subjects);
    assert_eq!(world.tracker.next_complete(10).await?.len(), 1);
    Ok(())
}

pub(crate) async fn a_longer_plan_reopens_a_complete_request_and_tells_again_when_it_is_full(place: &Place) -> Result<()> {
    for subjects in [1, 600] {
        let world = World::at(place).await?;
        let header = world.running(subjects, &[purge("profiles", 1)]).await?;
        for slice in 0..header.slices {
            world.mark(all_erased(&header, 0, slice)).await?;
        }
        world.tracker.settle_complete(&world.tracker.next_complete(9).await?).await?;
        let plan = header.plan.extended(&[purge("segments", 1), purge("profiles", 2)]).unwrap();
        let longer = Header {
            plan: plan.clone(),
            ..header.clone()
        };
        assert_eq!(world.tracker.extend(header.request, &plan).await?, Init::Extended);
        assert_eq!(world.tracker.extend(header.request, &plan).await?, Init::Refreshed);
        assert_eq!(world.tracker.extend(header.request, &header.plan).await?, Init::Older);
        let people = world.tracker.progress(&[header.request]).await?.remove(0).unwrap().people;
        assert_eq!((people.done(), people.in_progress), (0, subjects));
        assert_eq!(world.tracker.next_complete(9).await?, []);
        for slice in 0..header.slices {
            assert_eq!(world.mark(all_erased(&longer, 1, slice)).await?, OPEN);
        }
        let mut last = OPEN;
        for slice in 0..header.slices {
            last = world.mark(all_erased(&longer, 2, slice)).await?;
        }
        assert_eq!(last, DONE);
        assert_eq!(world.tracker.next_complete(9).await?.len(), 1);
    }
    Ok(())
}

pub(crate) async fn another_plan_of_the_same_length_and_another_size_are_conflicts(place: &Place) -> Result<()> {
    let world = World::at(place).await?;
    let header = world.running(1, &[purge("profiles", 1)]).await?;
    let other = Header {
        plan: erasure_protocol::Plan::new(vec![purge("profiles", 9)]),
        ..header.clone()
    };
    let larger = Header {
        subjects: 2,
        ..header.clone()
    };
    assert_eq!(world.tracker.init(&[other, larger]).await?, [Init::Conflict, Init::Conflict]);
    let read = world.tracker.progress(&[header.request]).await?.remove(0).unwrap();
    assert_eq!(read.header, header);
    Ok(())
}

pub(crate) async fn a_request_in_parts_grows_and_completes_only_when_it_runs(place: &Place) -> Result<()> {
    let world = World::at(place).await?;
    let part = Header {
        state: RequestState::Receiving,
        ..world.header(100, &[purge("profiles", 1)])
    };
    assert_eq!(world.tracker.init(std::slice::from_ref(&part)).await?, [Init::Created]);
    assert_eq!(world.mark(all_erased(&part, 0, 0)).await?, OPEN);
    let whole = Header {
        state: RequestState::Running,
        subjects: 150,
        slices: 2,
        ..part.clone()
    };
    assert_eq!(world.tracker.init(std::slice::from_ref(&whole)).await?, [Init::Refreshed]);
    assert_eq!(world.tracker.init(std::slice::from_ref(&part)).await?, [Init::Older]);
    assert_eq!(world.tracker.next_complete(9).await?, []);
    let second = Mark {
        slice: 1,
        count: 50,
        ..all_erased(&part, 0, 0)
    };
    assert_eq!(world.mark(second).await?, DONE);
    let people = world.tracker.progress(&[part.request]).await?.remove(0).unwrap().people;
    assert_eq!((people.erased, people.total()), (150, 150));
    Ok(())
}

pub(crate) async fn a_final_state_is_never_left(place: &Place) -> Result<()> {
    for subjects in [1, 600] {
        let world = World::at(place).await?;
        let header = world.running(subjects, &[purge("profiles", 1)]).await?;
        for slice in 0..header.slices {
            world.claim(&header, 0, slice).await?;
            world.mark(all_erased(&header, 0, slice)).await?;
        }
        let end = |state| Header {
            state,
            key: None,
            finished_at: Some(Millis(1_790_000_009_000)),
            ..header.clone()
        };
        let erased = end(RequestState::Erased);
        assert_eq!(
            world.tracker.finish(std::slice::from_ref(&header)).await?,
            [Finished::Refused]
        );
        assert_eq!(world.tracker.finish(std::slice::from_ref(&erased)).await?, [Finished::Ok]);
        assert_eq!(
            world.tracker.finish(&[end(RequestState::ClosedNotErased)]).await?,
            [Finished::Ok]
        );
        assert_eq!(
            world.tracker.init(&[header.clone(), erased.clone()]).await?,
            [Init::Final, Init::Final]
        );
        assert_eq!(world.mark(all_erased(&header, 0, 0)).await?, Marked::Final);
        assert_eq!(world.claim(&header, 0, 0).await?, Claimed::Final);
        assert_eq!(world.tracker.extend(header.request, &header.plan).await?, Init::Final);
        let read = world.tracker.progress(&[header.request]).await?.remove(0).unwrap();
        assert_eq!(read.header, erased);
        assert_eq!((read.people.erased, read.entries[0].counts.erased), (subjects, subjects));
        assert_eq!(world.tracker.evidence(header.request).await?, None);
        for key in world
            .keys()
            .await?
            .iter()
            .filter(|key| key.contains(&header.request.as_uuid().simple().to_string()))
        {
            assert!(!key.ends_with(":b"), "the bits are gone");
            let span = world.redis.expires_in(key).await?;
            assert!(span.is_some_and(|it| it > Duration::from_secs(29 * 86_400)), "{span:?}");
        }
    }
    Ok(())
}

pub(crate) async fn no_key_of_an_open_request_ever_expires(place: &Place) -> Result<()> {
    let world = World::at(place).await?;
    let header = world.running(600, &[purge("profiles", 1)]).await?;
    world.claim(&header, 0, 0).await?;
    world.mark(all_erased(&header, 0, 0)).await?;
    for key in world.keys().await? {
        assert_eq!(world.redis.expires_in(&key).await?, None, "{key}");
    }
    Ok(())
}

pub(crate) async fn a_person_is_as_far_as_the_least_finished_task(place: &Place) -> Result<()> {
    let world = World::at(place).await?;
    let header = world
        .running(
            2,
            &[entry(Phase::Hide, "profiles", 1), purge("profiles", 1), purge("mail", 1)],
        )
        .await?;
    let one: Mask = [0].into_iter().collect();
    world.mark(all_erased(&header, 0, 0)).await?;
    let people = world.tracker.progress(&[header.request]).await?.remove(0).unwrap().people;
    assert_eq!((people.done(), people.in_progress), (0, 2), "hiding erases nobody");
    world
        .mark(Mark {
            retained: one,
            ..mark_of(&header, 1, 0)
        })
        .await?;
    world
        .mark(Mark {
            failed: one,
            ..mark_of(&header, 2, 0)
        })
        .await?;
    let tasks = world.tracker.person(header.request, 0, 0).await?.unwrap();
    let states: Vec<_> = tasks.iter().map(|it| it.state).collect();
    assert_eq!(states, [TaskState::Erased, TaskState::Retained, TaskState::NeedsAttention]);
    let people = world.tracker.progress(&[header.request]).await?.remove(0).unwrap().people;
    assert_eq!((people.needs_attention, people.in_progress), (1, 1));
    assert_eq!(world.tracker.unfail(header.request, 2, 0, &one).await?, OPEN);
    world
        .mark(Mark {
            pending: one,
            ..mark_of(&header, 2, 0)
        })
        .await?;
    let people = world.tracker.progress(&[header.request]).await?.remove(0).unwrap().people;
    assert_eq!((people.waiting_for_vendor, people.needs_attention), (1, 0));
    world
        .mark(Mark {
            nothing_held: one,
            ..mark_of(&header, 2, 0)
        })
        .await?;
    let people = world.tracker.progress(&[header.request]).await?.remove(0).unwrap().people;
    assert_eq!((people.retained, people.in_progress), (1, 1));
    Ok(())
}
