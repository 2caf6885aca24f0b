//! What the tests share: a tracker with a key prefix of its own, and headers to project.

use crate::place::{Place, Redis};
use anyhow::Result;
use erasure_protocol::{
    EvidenceKey, Header, KeyId, Lane, LedgerId, Mask, Millis, Operation, Options, Phase, Plan, PlanEntry, RequestId, RequestKey,
    RequestState, Sealed, SubsystemName, TenantId, WrappedKey,
};
use erasure_tracker::{Claim, Claimed, Config, Error, Init, Mark, Marked, Tracker};
use uuid::Uuid;

pub(crate) struct World {
    pub(crate) config: Config,
    pub(crate) ledger: LedgerId,
    pub(crate) tracker: Tracker,
    /// The Redis beside the tracker, to look and to break things.
    pub(crate) redis: Redis,
}

impl World {
    /// A world on the server of the test run.
    pub(crate) async fn new() -> Result<Self> {
        Self::at(&Place::Server).await
    }

    pub(crate) async fn at(place: &Place) -> Result<Self> {
        Self::of_ledger(place, LedgerId(Uuid::new_v4())).await
    }

    /// A world in which time passes, on the double too.
    pub(crate) async fn with_a_running_clock(place: &Place) -> Result<Self> {
        let (config, redis) = place.open().await?;
        let redis = redis.with_a_running_clock();
        let ledger = LedgerId(Uuid::new_v4());
        let tracker = redis.tracker(&config, ledger).await?;
        Ok(Self {
            config,
            ledger,
            tracker,
            redis,
        })
    }

    pub(crate) async fn of_ledger(place: &Place, ledger: LedgerId) -> Result<Self> {
        let (config, redis) = place.open().await?;
        let tracker = redis.tracker(&config, ledger).await?;
        Ok(Self {
            config,
            ledger,
            tracker,
            redis,
        })
    }

    /// Another ledger's tracker, on the same keys.
    pub(crate) async fn of(&self, ledger: LedgerId) -> Result<Tracker, Error> {
        self.redis.tracker(&self.config, ledger).await
    }

    pub(crate) async fn keys(&self) -> Result<Vec<String>> {
        self.redis.keys(&self.config.key_prefix).await
    }

    /// How many entries the outbox holds.
    pub(crate) async fn told(&self) -> Result<usize> {
        let mut told = 0;
        for key in self.keys().await?.into_iter().filter(|key| key.ends_with(":out")) {
            told += self.redis.stream_length(&key).await?;
        }
        Ok(told)
    }

    pub(crate) async fn wipe(&self) -> Result<()> {
        self.redis.wipe(&self.config.key_prefix).await
    }

    pub(crate) fn header(&self, subjects: u64, plan: &[PlanEntry]) -> Header {
        blank_header(self.ledger, Uuid::new_v4(), subjects, plan)
    }

    /// Projects a request on this many subjects.
    pub(crate) async fn running(&self, subjects: u64, plan: &[PlanEntry]) -> Result<Header> {
        let header = self.header(subjects, plan);
        assert_eq!(self.tracker.init(std::slice::from_ref(&header)).await?, [Init::Created]);
        Ok(header)
    }

    pub(crate) async fn mark(&self, mark: Mark) -> Result<Marked> {
        Ok(self.tracker.mark(&[mark]).await?.remove(0))
    }

    pub(crate) async fn claim(&self, header: &Header, entry: usize, slice: u32) -> Result<Claimed> {
        Ok(self.tracker.claim(&[claim_of(header, entry, slice)]).await?.remove(0))
    }
}

/// A header that runs and says nothing else.
pub(crate) fn blank_header(ledger: LedgerId, id: Uuid, subjects: u64, plan: &[PlanEntry]) -> Header {
    let tenant = TenantId::new("acme").unwrap();
    let request_id = RequestId::new(id.to_string()).unwrap();
    Header {
        ledger,
        request: RequestKey::of(&tenant, &request_id),
        request_id,
        tenant,
        operation: Operation::Erase,
        options: Options::default(),
        lane: Lane::for_subjects(subjects),
        plan: Plan::new(plan.to_vec()),
        subjects,
        slices: u32::try_from(subjects.div_ceil(512)).unwrap(),
        key: Some(WrappedKey {
            key: KeyId("2026-11-a1b2c3".to_owned()),
            wrapped: Sealed(vec![0xa5; 60]),
        }),
        received_at: Millis(1_790_000_000_000),
        accepted_at: Millis(1_790_000_000_900),
        due_at: Millis(1_792_592_000_000),
        ticket: None,
        state: RequestState::Running,
        finished_at: None,
        overdue: false,
        at_risk: false,
        generation: 1,
    }
}

pub(crate) fn entry(phase: Phase, subsystem: &str, evidence: u8) -> PlanEntry {
    PlanEntry {
        phase,
        subsystem: SubsystemName::new(subsystem).unwrap(),
        evidence: EvidenceKey([evidence; 16]),
    }
}

pub(crate) fn purge(subsystem: &str, evidence: u8) -> PlanEntry {
    entry(Phase::Purge, subsystem, evidence)
}

pub(crate) fn claim_of(header: &Header, entry: usize, slice: u32) -> Claim {
    let entry = header.plan.entry(entry).unwrap();
    Claim {
        request: header.request,
        slice,
        phase: entry.phase,
        subsystem: entry.subsystem.clone(),
        evidence: entry.evidence,
    }
}

/// A mark that says nothing yet.
pub(crate) fn mark_of(header: &Header, entry: usize, slice: u32) -> Mark {
    let rest = header.subjects - u64::from(slice) * 512;
    Mark {
        request: header.request,
        slice,
        entry,
        evidence: header.plan.entry(entry).unwrap().evidence,
        count: u16::try_from(rest.min(512)).unwrap(),
        erased: Mask::EMPTY,
        nothing_held: Mask::EMPTY,
        retained: Mask::EMPTY,
        failed: Mask::EMPTY,
        pending: Mask::EMPTY,
        retrying: Mask::EMPTY,
        due: None,
        note: None,
    }
}

/// A mark that says all of the slice is erased.
pub(crate) fn all_erased(header: &Header, entry: usize, slice: u32) -> Mark {
    Mark {
        erased: Mask::first(512),
        ..mark_of(header, entry, slice)
    }
}
