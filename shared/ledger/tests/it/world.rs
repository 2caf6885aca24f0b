//! A ledger of its own for each test, and short ways to say what is in it.

use erasure_ledger::{Event, SubjectHash, *};
use erasure_protocol::*;
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection};

pub(crate) const NOW: Millis = Millis(1_760_000_000_000);
pub(crate) const PLANTED: &[u8] = b"planted-sealed-bytes-7f3a91";
pub(crate) const PLANTED_KEY: &[u8] = b"planted-data-key-55e0b2";

pub(crate) struct World {
    pub(crate) config: Config,
    pub(crate) ledger: Ledger,
    pub(crate) folder: tempfile::TempDir,
    #[cfg(feature = "double")]
    pub(crate) memory: Option<MemoryLedger>,
}

pub(crate) fn postgres_url() -> String {
    std::env::var("ERASURE_TEST_POSTGRES").expect("ERASURE_TEST_POSTGRES is not set: run ./tests/run")
}

impl World {
    pub(crate) async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = Config::at(format!("sqlite:{}", folder.path().join("ledger.db").display()));
        Self::at(config, folder).await
    }

    pub(crate) async fn postgres() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let name: String = uuid::Uuid::new_v4().simple().to_string();
        let config = Config {
            schema: format!("ledger_{name}"),
            pool_max: 3,
            ..Config::at(postgres_url())
        };
        Self::at(config, folder).await
    }

    async fn at(config: Config, folder: tempfile::TempDir) -> Self {
        migrate(&config).await.unwrap();
        let ledger = Ledger::open(&config, Access::Write).await.unwrap();
        Self {
            config,
            ledger,
            folder,
            #[cfg(feature = "double")]
            memory: None,
        }
    }

    /// The ledger in memory. Its configuration names nothing.
    #[cfg(feature = "double")]
    pub(crate) async fn double() -> Self {
        let memory = MemoryLedger::new(LedgerId(uuid::Uuid::new_v4()));
        Self {
            config: Config::default(),
            ledger: Ledger::on_double(&memory, erasure_drill::Weather::default(), || NOW),
            folder: tempfile::tempdir().unwrap(),
            memory: Some(memory),
        }
    }

    /// A ledger with two subsystems registered.
    pub(crate) async fn registered(self) -> Self {
        for name in ["profiles", "segments"] {
            let done = self
                .ledger
                .register_subsystem(&registration(name, 1, None), NOW)
                .await
                .unwrap();
            assert_eq!(done, Registered::NewCurrent { replaced: None });
        }
        self
    }

    /// Runs a statement behind the ledger's back.
    pub(crate) async fn meddle(&self, text: &str) {
        #[cfg(feature = "double")]
        if let Some(memory) = &self.memory {
            return memory.meddle(text);
        }
        let text = AssertSqlSafe(text.to_owned());
        if let Some(path) = self.config.url.strip_prefix("sqlite:") {
            let mut connection = SqliteConnection::connect(&format!("sqlite:{path}")).await.unwrap();
            sqlx::raw_sql(text).execute(&mut connection).await.unwrap();
        } else {
            let mut connection = PgConnection::connect(&self.config.url).await.unwrap();
            sqlx::raw_sql(AssertSqlSafe(format!("SET search_path TO {}", self.config.schema)))
                .execute(&mut connection)
                .await
                .unwrap();
            sqlx::raw_sql(text).execute(&mut connection).await.unwrap();
        }
    }
}

pub(crate) fn subsystem(name: &str) -> SubsystemName {
    SubsystemName::new(name).unwrap()
}

/// A key whose map changes with it.
pub(crate) fn registration(name: &str, key: u8, replacing: Option<u8>) -> Registration {
    Registration {
        name: subsystem(name),
        kind: name.to_owned(),
        evidence: evidence_key(key),
        map: [key; 16],
        replacing: replacing.map(evidence_key),
    }
}

pub(crate) fn evidence_key(byte: u8) -> EvidenceKey {
    EvidenceKey([byte; 16])
}

pub(crate) fn tenant(name: &str) -> TenantId {
    TenantId::new(name).unwrap()
}

pub(crate) fn entry(name: &str, evidence: u8) -> PlanEntry {
    PlanEntry {
        phase: Phase::Purge,
        subsystem: subsystem(name),
        evidence: evidence_key(evidence),
    }
}

pub(crate) fn wrapped(bytes: &[u8]) -> WrappedKey {
    WrappedKey {
        key: KeyId("2026-10-aa".into()),
        wrapped: Sealed(bytes.to_vec()),
    }
}

pub(crate) fn hash(slice: u32, position: u16, byte: u8) -> SubjectHash {
    SubjectHash {
        slice,
        position,
        key_id: KeyId("2026-10-aa".into()),
        hash: [byte; 32],
    }
}

/// A whole request with one slice of `count` subjects.
pub(crate) fn whole(of: &str, id: &str, count: u16) -> NewPart {
    let (tenant, request_id) = (tenant(of), RequestId::new(id).unwrap());
    NewPart {
        request: RequestKey::of(&tenant, &request_id),
        tenant,
        request_id,
        operation: Operation::Erase,
        options: Options::default(),
        source: "test".into(),
        origin: "data_subject".into(),
        ticket: Some("T-1".into()),
        received_at: NOW,
        regulation: "gdpr".into(),
        due_at: Millis(NOW.0 + 1_000_000),
        accepted_at: NOW,
        lane: Lane::for_subjects(u64::from(count)),
        fingerprint: vec![1; 32],
        part: None,
        slices: vec![NewSlice {
            number: 0,
            count,
            sealed: Sealed(PLANTED.repeat(200)),
        }],
        hashes: vec![],
        key: wrapped(PLANTED_KEY),
        plan: vec![entry("profiles", 1), entry("segments", 1)],
        failed_now: vec![],
        events: vec![event(&format!("{of}/{id}/accepted"))],
    }
}

/// One part of a request, with two subjects.
pub(crate) fn part(id: &str, number: u32, last: bool) -> NewPart {
    let mut new = whole("acme", id, 2);
    new.part = Some(Part { number, last });
    new.slices[0].number = number;
    new.fingerprint = vec![u8::try_from(number).unwrap(); 32];
    new
}

pub(crate) fn event(id: &str) -> Event {
    Event {
        id: id.into(),
        kind: "erasure.request.test".into(),
        routing_key: "request.test".into(),
        body: b"{}".to_vec(),
    }
}

pub(crate) fn act(id: &str, target: &str) -> NewAct {
    NewAct {
        id: id.into(),
        at: NOW,
        actor: "ops".into(),
        role: "operator".into(),
        kind: "test".into(),
        target: target.into(),
        reason: "R-1".into(),
        payload: "{}".into(),
        result: "done".into(),
    }
}

pub(crate) fn fault() -> Fault {
    Fault::new(FaultClass::Permanent, Blame::Store, FaultCode::TableMissing, "main.events")
}

pub(crate) fn mask(positions: &[usize]) -> Mask {
    positions.iter().copied().collect()
}

pub(crate) fn message(request: RequestKey, ledger: LedgerId, at: i64, outcomes: Vec<TaskOutcome>) -> OutcomeMessage {
    OutcomeMessage {
        version: WIRE_VERSION,
        ledger,
        request,
        slice: 0,
        subsystem: subsystem("segments"),
        phase: Phase::Purge,
        evidence: evidence_key(1),
        at: Millis(NOW.0 + at),
        outcomes,
    }
}

/// An end with this one outcome for every task of both entries.
pub(crate) fn end(request: RequestKey, count: usize, state: RequestState, done: Done) -> Final {
    let row = |entry| EvidenceRow {
        entry,
        slice: 0,
        done,
        tasks: Mask::first(count),
        verified_at: NOW,
    };
    Final {
        request,
        plan_version: 2,
        state,
        at: Millis(NOW.0 + 500),
        evidence: vec![row(0), row(1)],
        verified_at: NOW,
        software: "0.1.0".into(),
        confirmations: "{}".into(),
        event: event(&format!("{request}/final")),
    }
}
