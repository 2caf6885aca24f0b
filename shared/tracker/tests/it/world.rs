//! What the tests share: a tracker with a key prefix of its own, and headers to project.

use anyhow::{Context, Result};
use erasure_protocol::{
    EvidenceKey, Header, KeyId, Lane, LedgerId, Mask, Millis, Operation, Options, Phase, Plan, PlanEntry, RequestId, RequestKey,
    RequestState, Sealed, SubsystemName, TenantId, WrappedKey,
};
use erasure_tracker::{Claim, Claimed, Config, Init, Mark, Marked, Tracker};
use uuid::Uuid;

pub(crate) struct World {
    pub(crate) config: Config,
    pub(crate) ledger: LedgerId,
    pub(crate) tracker: Tracker,
    /// A connection beside the tracker's, to look and to break things.
    pub(crate) raw: redis::aio::MultiplexedConnection,
}

pub(crate) fn redis_url() -> Result<String> {
    std::env::var("ERASURE_TEST_REDIS").context("ERASURE_TEST_REDIS is not set; run ./tests/run")
}

impl World {
    pub(crate) async fn new() -> Result<Self> {
        let url = redis_url()?;
        let key_prefix = format!("t{:08x}", Uuid::new_v4().as_u128() >> 96);
        let config = Config {
            url: url.clone(),
            key_prefix,
            partitions: 4,
            ..Config::default()
        };
        let ledger = LedgerId(Uuid::new_v4());
        let tracker = Tracker::connect(&config, ledger).await?;
        let raw = redis::Client::open(url)?.get_multiplexed_async_connection().await?;
        Ok(Self {
            config,
            ledger,
            tracker,
            raw,
        })
    }

    pub(crate) async fn keys(&mut self) -> Result<Vec<String>> {
        let pattern = format!("{}:*", self.config.key_prefix);
        Ok(redis::cmd("KEYS").arg(pattern).query_async(&mut self.raw).await?)
    }

    /// How many entries the outbox holds.
    pub(crate) async fn told(&mut self) -> Result<u64> {
        let mut told = 0;
        for key in self.keys().await?.into_iter().filter(|key| key.ends_with(":out")) {
            told += redis::cmd("XLEN").arg(&key).query_async::<u64>(&mut self.raw).await?;
        }
        Ok(told)
    }

    pub(crate) async fn wipe(&mut self) -> Result<()> {
        for key in self.keys().await? {
            redis::cmd("DEL").arg(key).exec_async(&mut self.raw).await?;
        }
        Ok(())
    }

    pub(crate) fn header(&self, subjects: u64, plan: &[PlanEntry]) -> Header {
        let tenant = TenantId::new("acme").unwrap();
        let request_id = RequestId::new(Uuid::new_v4().to_string()).unwrap();
        Header {
            ledger: self.ledger,
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
