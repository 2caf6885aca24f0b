//! What survives a wipe, a stranger and repetition: behaviour that every place must show.

use crate::place::Place;
use crate::world::{World, all_erased, claim_of, mark_of, purge};
use anyhow::{Context, Result};
use erasure_protocol::{
    Blame, Fault, FaultClass, FaultCode, Header, LedgerId, Mask, Millis, Progress, RequestState, TaskOutcome,
};
use erasure_tracker::{Claimed, Error, Finished, Init, Mark, Marked};
use std::time::Duration;
use uuid::Uuid;

pub(crate) async fn after_a_wipe_everything_is_unknown_and_wanted_until_it_is_projected_again(place: &Place) -> Result<()> {
    for subjects in [1, 600] {
        let world = World::at(place).await?;
        let header = world.running(subjects, &[purge("profiles", 1)]).await?;
        world.mark(all_erased(&header, 0, 0)).await?;
        world.wipe().await?;
        assert_eq!(world.tracker.progress(&[header.request]).await?, [None]);
        assert_eq!(world.tracker.evidence(header.request).await?, None);
        assert_eq!(world.claim(&header, 0, 0).await?, Claimed::Unknown);
        assert_eq!(world.mark(all_erased(&header, 0, 0)).await?, Marked::Unknown);
        assert_eq!(world.tracker.extend(header.request, &header.plan).await?, Init::Unknown);
        let end = Header {
            state: RequestState::Erased,
            ..header.clone()
        };
        assert_eq!(world.tracker.finish(&[end]).await?, [Finished::Unknown]);
        let wanted = world.tracker.next_wanted(10).await?;
        assert_eq!(
            wanted.iter().map(|it| it.request).collect::<Vec<_>>(),
            [header.request],
            "named once"
        );
        assert_eq!(world.tracker.next_complete(10).await?, []);
        let again = Header {
            generation: 2,
            ..header.clone()
        };
        assert_eq!(world.tracker.project(&[again]).await?, [Init::Created]);
        world.tracker.settle_wanted(&wanted).await?;
        assert_eq!(world.tracker.next_wanted(10).await?, []);
        let Claimed::Open { generation, done, .. } = world.claim(&header, 0, 0).await? else {
            anyhow::bail!("not open")
        };
        assert_eq!((generation, done), (2, Mask::EMPTY));
    }
    Ok(())
}

pub(crate) async fn a_generation_grows_by_init_and_is_set_by_project(place: &Place) -> Result<()> {
    let world = World::at(place).await?;
    let header = world.running(1, &[purge("profiles", 1)]).await?;
    let of = |generation| Header {
        generation,
        ..header.clone()
    };
    let read = async || -> Result<u32> {
        let progress = world.tracker.progress(&[header.request]).await?.remove(0);
        Ok(progress.context("unknown")?.header.generation)
    };
    world.tracker.init(&[of(3)]).await?;
    world.tracker.init(&[of(2)]).await?;
    assert_eq!(read().await?, 3);
    world.tracker.project(&[of(2)]).await?;
    assert_eq!(read().await?, 2);
    Ok(())
}

pub(crate) async fn a_lease_a_start_and_a_due_date_are_reported_and_a_mark_ends_the_lease(place: &Place) -> Result<()> {
    for subjects in [2, 600] {
        let world = World::at(place).await?;
        let header = world.running(subjects, &[purge("profiles", 1)]).await?;
        for before in [0, 1] {
            let Claimed::Open { starts, now, key, .. } = world.claim(&header, 0, 0).await? else {
                anyhow::bail!("not open")
            };
            assert_eq!(starts, before);
            assert_eq!(Some(key), header.key);
            let read = world.tracker.outstanding(header.request).await?.unwrap();
            assert!(read.now >= now);
            assert_eq!(read.slices[0].leased_until.since(now), Duration::from_secs(60));
        }
        let (done, retry): (Mask, Mask) = ([0].into_iter().collect(), [1].into_iter().collect());
        let fault = Fault::new(FaultClass::Transient, Blame::Store, FaultCode::StoreBusy, "warehouse.events");
        let note = TaskOutcome::Retry {
            tasks: Mask::EMPTY,
            fault,
            attempt: 1,
            next_try: Millis(5_000),
        };
        let due = Some(Millis(5_000));
        world
            .mark(Mark {
                erased: done,
                retrying: retry,
                due,
                note: Some(note.clone()),
                ..mark_of(&header, 0, 0)
            })
            .await?;
        let read = world.tracker.outstanding(header.request).await?.unwrap();
        let first = read.slices[0];
        assert_eq!((first.leased_until, first.due), (Millis(0), Millis(5_000)));
        assert_eq!(first.missing, Mask::first(subjects.min(512) as usize).without(&done));
        let progress = world.tracker.progress(&[header.request]).await?.remove(0).unwrap();
        assert_eq!(
            (progress.entries[0].note.as_ref(), progress.entries[0].counts.retrying),
            (Some(&note), 1)
        );
        let Claimed::Open { starts, done: seen, .. } = world.claim(&header, 0, 0).await? else {
            anyhow::bail!("not open")
        };
        assert_eq!((starts, seen), (1, done), "the marks say that somebody was here");
        for slice in 0..header.slices {
            world.mark(all_erased(&header, 0, slice)).await?;
        }
        assert_eq!(world.tracker.outstanding(header.request).await?.unwrap().slices, []);
        let progress = world.tracker.progress(&[header.request]).await?.remove(0).unwrap();
        assert_eq!(progress.entries[0].note, None);
    }
    Ok(())
}

/// What the tracker takes a mark of "nothing held" for, after these claims, and with this said before.
async fn taken(place: &Place, generation: u32, claims: usize, retrying: bool) -> Result<(bool, bool)> {
    let world = World::at(place).await?;
    let header = Header {
        generation,
        ..world.header(1, &[purge("profiles", 1)])
    };
    world.tracker.init(std::slice::from_ref(&header)).await?;
    let one = Mask::first(1);
    if retrying {
        world
            .mark(Mark {
                retrying: one,
                ..mark_of(&header, 0, 0)
            })
            .await?;
    }
    for _ in 0..claims {
        world.claim(&header, 0, 0).await?;
    }
    let none = Mark {
        nothing_held: one,
        ..mark_of(&header, 0, 0)
    };
    // An answer that was lost is asked for again.
    for _ in 0..2 {
        world.mark(none.clone()).await?;
    }
    let counts = world
        .tracker
        .progress(&[header.request])
        .await?
        .remove(0)
        .context("unknown")?
        .entries[0]
        .counts;
    Ok((counts.erased == 1, counts.nothing_held == 1))
}

pub(crate) async fn nothing_held_is_only_taken_from_somebody_who_was_alone_with_the_task(place: &Place) -> Result<()> {
    let (erased, nothing_held) = ((true, false), (false, true));
    assert_eq!(taken(place, 1, 1, false).await?, nothing_held);
    assert_eq!(taken(place, 1, 2, false).await?, erased, "somebody else has started too");
    assert_eq!(taken(place, 1, 1, true).await?, erased, "it is being tried again");
    assert_eq!(taken(place, 2, 1, false).await?, erased, "nobody knows any more who was here");
    Ok(())
}

pub(crate) async fn who_works_in_the_place_of_a_replaced_entry_is_not_the_first(place: &Place) -> Result<()> {
    let world = World::at(place).await?;
    let header = world
        .running(1, &[purge("profiles", 1), purge("mail", 1), purge("profiles", 2)])
        .await?;
    let starts = async |entry: usize| match world.claim(&header, entry, 0).await? {
        Claimed::Open { starts, .. } => Ok(starts),
        other => Err(anyhow::anyhow!("not open: {other:?}")),
    };
    assert_eq!((starts(1).await?, starts(2).await?), (0, 1));
    Ok(())
}

pub(crate) async fn another_ledger_neither_writes_nor_reads(place: &Place) -> Result<()> {
    let world = World::at(place).await?;
    let header = world.running(1, &[purge("profiles", 1)]).await?;
    let stranger = Header {
        ledger: LedgerId(Uuid::new_v4()),
        ..header.clone()
    };
    assert_eq!(world.tracker.init(&[stranger]).await?, [Init::Foreign]);
    let other = world.of(LedgerId(Uuid::new_v4())).await?;
    assert_eq!(other.progress(&[header.request]).await?, [None]);
    assert_eq!(other.claim(&[claim_of(&header, 0, 0)]).await?, [Claimed::Unknown]);
    let mut twin = *world.ledger.0.as_bytes();
    twin[15] ^= 1;
    let twin = LedgerId(Uuid::from_bytes(twin));
    let refused = world.of(twin).await;
    assert!(matches!(refused, Err(Error::ForeignLedger)));
    let meta = world.keys().await?.into_iter().filter(|key| key.ends_with(":meta"));
    for key in meta {
        world.redis.delete(&key).await?;
    }
    let twin = world.of(twin).await?;
    assert_eq!(twin.claim(&[claim_of(&header, 0, 0)]).await?, [Claimed::Foreign]);
    assert_eq!(twin.mark(&[all_erased(&header, 0, 0)]).await?, [Marked::Unknown]);
    assert_eq!(twin.progress(&[header.request]).await?, [None]);
    Ok(())
}

pub(crate) async fn a_forgotten_request_is_unknown(place: &Place) -> Result<()> {
    let world = World::at(place).await?;
    let header = world.running(600, &[purge("profiles", 1)]).await?;
    world.mark(all_erased(&header, 0, 0)).await?;
    world.tracker.forget(&[header.request]).await?;
    assert_eq!(world.tracker.progress(&[header.request]).await?, [None]);
    Ok(())
}

pub(crate) async fn the_high_water_mark_never_falls(place: &Place) -> Result<()> {
    let world = World::at(place).await?;
    assert_eq!(world.tracker.high_water().await?, 0);
    assert_eq!(world.tracker.raise_high_water(7).await?, 7);
    assert_eq!(world.tracker.raise_high_water(3).await?, 7);
    world.tracker.meta_set("version", "1").await?;
    assert_eq!(world.tracker.meta_get("version").await?.as_deref(), Some("1"));
    assert_eq!(world.tracker.meta_get("none").await?, None);
    Ok(())
}

pub(crate) async fn many_requests_travel_together_and_each_is_answered_in_its_place(place: &Place) -> Result<()> {
    let world = World::at(place).await?;
    let tracker = &world.tracker;
    let headers: Vec<_> = (0..40).map(|_| world.header(600, &[purge("profiles", 1)])).collect();
    assert!(tracker.init(&headers).await?.iter().all(|it| *it == Init::Created));
    let marks: Vec<_> = headers
        .iter()
        .flat_map(|it| [all_erased(it, 0, 0), all_erased(it, 0, 1)])
        .collect();
    let answers = tracker.mark(&marks).await?;
    let complete: Vec<_> = answers.into_iter().map(|it| it == Marked::Ok { complete: true }).collect();
    assert_eq!(complete, [false, true].repeat(40));
    let told = tracker.next_complete(1000).await?;
    assert_eq!(told.len(), 40);
    tracker.settle_complete(&told).await?;
    assert_eq!(tracker.next_complete(1000).await?, []);
    let requests: Vec<_> = headers.iter().map(|it| it.request).collect();
    let read = tracker.progress(&requests).await?;
    let same = |(it, header): (&Option<Progress>, &Header)| it.as_ref().is_some_and(|it| it.header == *header);
    assert!(read.iter().zip(&headers).all(same));
    Ok(())
}

pub(crate) async fn an_older_copy_shows_what_was_marked_by_then_and_takes_in_the_rest_again(place: &Place) -> Result<()> {
    for subjects in [1, 600] {
        let world = World::at(place).await?;
        let header = world.running(subjects, &[purge("profiles", 1), purge("segments", 1)]).await?;
        world.mark(all_erased(&header, 0, 0)).await?;
        let copy = world.redis.copy(&world.config.key_prefix).await?;
        for slice in 0..header.slices {
            world.mark(all_erased(&header, 0, slice)).await?;
            world.mark(all_erased(&header, 1, slice)).await?;
        }
        assert_eq!(world.tracker.next_complete(9).await?.len(), 1);
        world.redis.restore(&world.config.key_prefix, &copy).await?;
        assert_eq!(world.tracker.next_complete(9).await?, []);
        let evidence = world.tracker.evidence(header.request).await?.unwrap();
        let first = Mask::first(subjects.min(512) as usize);
        assert_eq!((evidence.done(0, 0), evidence.done(1, 0)), (first, Mask::EMPTY));
        let mut last = Marked::Unknown;
        for slice in 0..header.slices {
            world.mark(all_erased(&header, 0, slice)).await?;
            last = world.mark(all_erased(&header, 1, slice)).await?;
        }
        assert_eq!(last, Marked::Ok { complete: true });
        assert_eq!(world.tracker.next_complete(9).await?.len(), 1);
    }
    Ok(())
}
