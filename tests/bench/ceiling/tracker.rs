//! As many tracker script calls as the fleet makes, pipelined by 512, by four subsystems at the same time, on the fleet's own scripts: of each request INIT and FINAL, of
//! each of its slices and subsystems CLAIM and MARK.

use anyhow::{Result, ensure};
use erasure_protocol::{
    EvidenceKey, Header, KeyId, Lane, LedgerId, Mask, Millis, Operation, Options, Phase, Plan, PlanEntry, RequestId, RequestKey,
    RequestState, SLICE_SUBJECTS_MAX, Sealed, SubsystemName, TenantId, WrappedKey,
};
use erasure_tests::servers::Servers;
use erasure_tracker::{Claim, Claimed, Config, Finished, Init, Mark, Marked, Tracker};
use futures_util::future::try_join_all;
use tokio::time::Instant;

use crate::{
    estate::TENANT,
    fleet::{Load, PART},
    redis_memory,
};

/// How many calls go into one pipeline.
const PIPELINE: usize = 512;

/// What the keys begin with.
const PREFIX: &str = "bench.ceiling";

/// The plan's subsystems.
const SUBSYSTEMS: [&str; 4] = ["analytics", "mailing", "profiles", "segments"];

/// What the calls took.
pub(crate) struct Calls {
    /// Seconds for all of them.
    pub(crate) seconds: f64,
    /// What Redis held when every task was marked and no request was final, in bytes.
    pub(crate) open_bytes: f64,
}

/// Makes them.
pub(crate) async fn run(servers: &Servers, subjects: u32, load: Load) -> Result<Calls> {
    let ledger = LedgerId(uuid::Uuid::new_v4());
    let config = Config {
        url: servers.redis.clone(),
        key_prefix: PREFIX.to_owned(),
        ..Config::default()
    };
    // One connection for each subsystem, as the workers have: Redis waits for its disk once for all who have written meanwhile.
    let mut trackers = Vec::new();
    for _ in SUBSYSTEMS {
        trackers.push(Tracker::connect(&config, ledger).await?);
    }
    let tracker = &trackers[0];
    let headers = match load {
        Load::Singles => (0..subjects).map(|n| header(ledger, n, 1)).collect::<Result<Vec<_>>>()?,
        Load::Bulk => vec![header(ledger, 0, subjects)?],
    };
    let names = SUBSYSTEMS
        .iter()
        .map(|name| SubsystemName::new(*name))
        .collect::<Result<Vec<_>, _>>()?;
    let mut seconds = 0.0;

    let begun = Instant::now();
    for chunk in headers.chunks(PIPELINE) {
        let done = tracker.init(chunk).await?;
        ensure!(
            done.iter().all(|it| *it == Init::Created),
            "a request was not new to the tracker"
        );
    }
    let slices: Vec<(&Header, u32)> = headers
        .iter()
        .flat_map(|it| (0..it.slices).map(move |slice| (it, slice)))
        .collect();
    let subsystems = trackers.iter().zip(&names).enumerate();
    try_join_all(subsystems.map(|(entry, (tracker, name))| work(tracker, &slices, entry, name))).await?;
    seconds += begun.elapsed().as_secs_f64();
    let open_bytes = redis_memory(&servers.redis, PREFIX).await?;

    let ended: Vec<Header> = headers.iter().map(ended).collect();
    let begun = Instant::now();
    for chunk in ended.chunks(PIPELINE) {
        let done = tracker.finish(chunk).await?;
        ensure!(done.iter().all(|it| *it == Finished::Ok), "a request could not be finished");
    }
    seconds += begun.elapsed().as_secs_f64();
    let requests: Vec<RequestKey> = headers.iter().map(|it| it.request).collect();
    tracker.forget(&requests).await?;
    Ok(Calls { seconds, open_bytes })
}

/// One subsystem's calls.
async fn work(tracker: &Tracker, slices: &[(&Header, u32)], entry: usize, name: &SubsystemName) -> Result<()> {
    for chunk in slices.chunks(PIPELINE) {
        let claims: Vec<Claim> = chunk.iter().map(|(header, slice)| claim(header, *slice, name)).collect();
        let open = tracker.claim(&claims).await?;
        ensure!(
            open.iter().all(|it| matches!(it, Claimed::Open { .. })),
            "a slice was not open: {open:?}"
        );
        let marks: Vec<Mark> = chunk.iter().map(|(header, slice)| mark(header, *slice, entry)).collect();
        let marked = tracker.mark(&marks).await?;
        ensure!(marked.iter().all(|it| matches!(it, Marked::Ok { .. })), "a mark was refused");
    }
    Ok(())
}

fn header(ledger: LedgerId, n: u32, subjects: u32) -> Result<Header> {
    let tenant = TenantId::new(TENANT)?;
    let request_id = RequestId::new(format!("W-{n:07}"))?;
    let entries = SUBSYSTEMS.iter().zip(1..).map(|(name, key)| {
        Ok(PlanEntry {
            phase: Phase::Purge,
            subsystem: SubsystemName::new(*name)?,
            evidence: EvidenceKey([key; 16]),
        })
    });
    let now = Millis(jiff::Timestamp::now().as_millisecond());
    Ok(Header {
        ledger,
        request: RequestKey::of(&tenant, &request_id),
        request_id,
        tenant,
        operation: Operation::Erase,
        options: Options::default(),
        lane: Lane::for_subjects(u64::from(subjects)),
        plan: Plan::new(entries.collect::<Result<_>>()?),
        subjects: u64::from(subjects),
        slices: subjects.div_ceil(PART),
        key: Some(WrappedKey {
            key: KeyId("2026-11-a1b2c3".to_owned()),
            wrapped: Sealed(uuid::Uuid::new_v4().as_bytes().repeat(4)[..60].to_vec()),
        }),
        received_at: now,
        accepted_at: now,
        due_at: Millis(now.0 + 30 * 86_400_000),
        ticket: None,
        state: RequestState::Running,
        finished_at: None,
        overdue: false,
        at_risk: false,
        generation: 1,
    })
}

fn claim(header: &Header, slice: u32, subsystem: &SubsystemName) -> Claim {
    let entry = header.plan.entries().iter().find(|it| it.subsystem == *subsystem);
    Claim {
        request: header.request,
        slice,
        phase: Phase::Purge,
        subsystem: subsystem.clone(),
        evidence: entry.map_or(EvidenceKey([0; 16]), |it| it.evidence),
    }
}

fn mark(header: &Header, slice: u32, entry: usize) -> Mark {
    let whole = u64::try_from(SLICE_SUBJECTS_MAX).unwrap_or(u64::MAX);
    let count = u16::try_from((header.subjects - u64::from(slice) * whole).min(whole)).unwrap_or(u16::MAX);
    Mark {
        request: header.request,
        slice,
        entry,
        evidence: header.plan.entry(entry).map_or(EvidenceKey([0; 16]), |it| it.evidence),
        count,
        erased: Mask::first(usize::from(count)),
        nothing_held: Mask::EMPTY,
        retained: Mask::EMPTY,
        failed: Mask::EMPTY,
        pending: Mask::EMPTY,
        retrying: Mask::EMPTY,
        due: None,
        note: None,
    }
}

fn ended(header: &Header) -> Header {
    Header {
        state: RequestState::Erased,
        finished_at: Some(header.accepted_at),
        key: None,
        ..header.clone()
    }
}
