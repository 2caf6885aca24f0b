use crate::world::*;
use erasure_ledger::*;
use erasure_protocol::*;
use std::time::{Duration, Instant};

/// What one file of the size that people send takes. The bound is generous: it is there to catch something quadratic.
pub(crate) async fn ten_thousand_subjects_are_accepted_and_finalised(world: World) {
    let world = world.registered().await;
    let ledger = world.ledger.clone();
    let mut new = whole("acme", "big", 512);
    new.slices = (0..20)
        .map(|number| NewSlice {
            number,
            count: 512,
            sealed: Sealed(vec![7; 60_000]),
        })
        .collect();
    let subjects = (0..20_u32).flat_map(|slice| (0..512_u16).map(move |position| (slice, position)));
    new.hashes = subjects
        .flat_map(|(slice, position)| {
            (0..3_u8).map(move |kind| {
                let mut it = hash(slice, position, kind);
                it.hash[..4].copy_from_slice(&slice.to_be_bytes());
                it.hash[4..6].copy_from_slice(&position.to_be_bytes());
                it
            })
        })
        .collect();
    let (request, hashes) = (new.request, new.hashes.iter().map(|it| it.hash).collect::<Vec<_>>());
    let started = Instant::now();
    assert!(matches!(ledger.accept(new).await.unwrap(), Accepted::New { .. }));
    let accepted = started.elapsed();
    assert_eq!(ledger.overlaps(&tenant("acme"), &hashes).await.unwrap().len(), 30_720);
    let all: Vec<_> = (0..2)
        .flat_map(|entry| {
            (0..20).map(move |slice| Dispatch {
                request,
                entry,
                slice,
                expected: 0,
            })
        })
        .collect();
    assert!(ledger.dispatch(&all, NOW).await.unwrap().iter().all(Option::is_some));
    assert!(ledger.undispatched(1, 1).await.unwrap().is_empty());
    let mut ended = end(request, 512, RequestState::Erased, Done::Erased);
    ended.evidence = (0..20)
        .flat_map(|slice| {
            ended
                .evidence
                .clone()
                .into_iter()
                .map(move |row| EvidenceRow { slice, ..row })
        })
        .collect();
    assert_eq!(ledger.finalise(ended).await.unwrap(), Finalised::Now);
    assert_eq!(ledger.progress(request).await.unwrap().unwrap().people.erased, 10_240);
    eprintln!("accepted in {accepted:?}, all in {:?}", started.elapsed());
    assert!(started.elapsed() < Duration::from_secs(60));
}
