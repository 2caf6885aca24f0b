//! The double passes the suite of all subsystems, and has the troubles it promises.

#![cfg(feature = "double")]
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use erasure_drill::{Blow, Lost, Weather};
use erasure_kit::double::conformance::{self, Place};
use erasure_kit::double::{MemoryRow, MemoryStore, MemorySubsystem, Trouble};
use erasure_kit::{AnySubsystem, Resolve as _, Subsystem as _};
use erasure_protocol::*;
use std::sync::Arc;
use std::time::Duration;

const NOW: Millis = Millis(1_900_000_000_000);

fn kind(name: &str) -> IdentifierKind {
    IdentifierKind::new(name).unwrap()
}

fn record(pairs: &[(&str, &str)]) -> Record {
    let pair = |(name, value): &(&str, &str)| (kind(name), Identifier::new(*value).unwrap());
    pairs.iter().map(pair).collect()
}

fn tenant() -> TenantId {
    TenantId::new("acme").unwrap()
}

fn store() -> MemoryStore {
    MemoryStore::new("crm", vec![vec![kind("user_id")], vec![kind("email")]])
}

fn row(pairs: &[(&str, &str)]) -> MemoryRow {
    MemoryRow::new(tenant(), record(pairs), Millis(NOW.0 - 1000))
}

fn task(subject: Subject) -> Task {
    Task {
        request: RequestKey::of(&tenant(), &RequestId::new("r").unwrap()),
        tenant: tenant(),
        number: 0,
        subject: Arc::new(subject),
        attempt: Attempt::First,
        accepted_at: NOW,
        deadline: NOW,
        options: Options::default(),
        reference: None,
    }
}

fn asks(pairs: &[(&str, &str)]) -> Task {
    task(Subject::given(record(pairs)))
}

fn subsystem(store: &MemoryStore) -> MemorySubsystem {
    MemorySubsystem::new(store, 1, Weather::default(), || NOW)
}

async fn erase(subsystem: &MemorySubsystem, task: &Task) -> Result<Outcome, Fault> {
    let outcomes = subsystem.perform(Operation::Erase, std::slice::from_ref(task)).await?;
    Ok(outcomes.into_iter().next().unwrap())
}

struct Memory {
    store: MemoryStore,
    knows_people: bool,
    tasks_at_once: usize,
}

fn address_of(person: u32) -> String {
    format!("person{person}@example.invalid")
}

impl Place for Memory {
    fn subsystem(&self) -> AnySubsystem {
        AnySubsystem::new(subsystem(&self.store).in_chunks(self.tasks_at_once))
    }
    fn knows_people(&self) -> bool {
        self.knows_people
    }
    async fn add_under(&self, address: u32, person: u32, created_at: Millis) {
        let record = record(&[("user_id", &person.to_string()), ("email", &address_of(address))]);
        self.store.insert(MemoryRow::new(tenant(), record, created_at));
    }
    async fn rows(&self, person: u32) -> u64 {
        self.store.rows_with(&kind("user_id"), &person.to_string()).len() as u64
    }
    fn record(&self, person: u32) -> Vec<(&'static str, String)> {
        vec![("user_id", person.to_string()), ("email", address_of(person))]
    }
    fn now(&self) -> Millis {
        NOW
    }
}

#[tokio::test]
async fn the_double_is_a_subsystem_like_any_other() {
    for tasks_at_once in [usize::MAX, 100] {
        conformance::all(|| async {
            Memory {
                store: store(),
                knows_people: true,
                tasks_at_once,
            }
        })
        .await;
        conformance::all(|| async {
            Memory {
                store: store().that_only_follows(),
                knows_people: false,
                tasks_at_once,
            }
        })
        .await;
    }
}

#[tokio::test]
async fn a_lost_answer_is_a_fault_and_the_rows_are_gone() {
    let store = store();
    store.insert(row(&[("user_id", "1")]));
    let loses = Weather::new(|call| Blow {
        lost: (call == "store.perform").then_some(Lost::Answer),
        ..Blow::default()
    });
    let subsystem = MemorySubsystem::new(&store, 1, loses, || NOW);
    assert_eq!(
        erase(&subsystem, &asks(&[("user_id", "1")])).await.unwrap_err().blame,
        Blame::Store
    );
    assert_eq!(store.count(), 0);
}

#[tokio::test]
async fn a_failover_brings_rows_and_another_key() {
    let store = store();
    store.insert(row(&[("user_id", "1")]));
    let (copy, subsystem) = (store.snapshot(), subsystem(&store));
    let before = subsystem.evidence().await.unwrap();
    assert_eq!(erase(&subsystem, &asks(&[("user_id", "1")])).await.unwrap(), Outcome::Erased);
    store.fail_over_to(copy);
    assert_eq!(store.count(), 1);
    assert_ne!(subsystem.evidence().await.unwrap(), before);
    let newer_map = MemorySubsystem::new(&store, 2, Weather::default(), || NOW);
    assert_ne!(newer_map.evidence().await.unwrap(), subsystem.evidence().await.unwrap());
}

#[tokio::test]
async fn troubles_last_until_they_are_mended() {
    let store = store();
    store.insert(row(&[("user_id", "1")]));
    let (subsystem, task) = (subsystem(&store), asks(&[("user_id", "1")]));
    store.set_trouble(Some(Trouble::Busy));
    assert_eq!(erase(&subsystem, &task).await.unwrap_err().code, FaultCode::StoreBusy);
    assert!(subsystem.evidence().await.is_ok());
    store.set_trouble(Some(Trouble::Unreachable));
    assert_eq!(subsystem.evidence().await.unwrap_err().code, FaultCode::StoreUnreachable);
    store.set_trouble(None);
    store.guard("1");
    let fault = erase(&subsystem, &task).await.unwrap_err();
    assert_eq!((fault.blame, fault.code), (Blame::Batch, FaultCode::ConstraintHolds));
    store.unguard();
    store.write_back_once("1");
    let Outcome::Retry(fault) = erase(&subsystem, &task).await.unwrap() else {
        panic!("the person is still there");
    };
    assert_eq!(fault.code, FaultCode::ResidueFound);
    assert_eq!(erase(&subsystem, &task).await.unwrap(), Outcome::Erased);
}

#[tokio::test]
async fn what_must_be_kept_is_retained() {
    let store = store();
    let ground = Ground("tax".into());
    store.insert(MemoryRow {
        kept: Some((ground.clone(), Millis(9))),
        ..row(&[("user_id", "1")])
    });
    let done = erase(&subsystem(&store), &asks(&[("user_id", "1")])).await.unwrap();
    assert_eq!(
        done,
        Outcome::Retained {
            ground,
            until: Millis(9)
        }
    );
}

#[tokio::test]
async fn a_vendor_is_asked_again_until_it_is_done_and_does_it_once() {
    let store = store();
    store.insert(row(&[("user_id", "1")]));
    let at =
        |now: i64| MemorySubsystem::new(&store, 1, Weather::default(), move || Millis(now)).as_vendor(Duration::from_millis(500));
    let task = Task {
        deadline: Millis(NOW.0 * 2),
        ..asks(&[("user_id", "1")])
    };
    for _ in 0..2 {
        let waits = erase(&at(NOW.0), &task).await.unwrap();
        assert!(
            matches!(waits, Outcome::Pending { check_at, .. } if check_at == Millis(NOW.0 + 500)),
            "{waits:?}"
        );
        assert_eq!(store.count(), 1);
    }
    assert_eq!(erase(&at(NOW.0 + 500), &task).await.unwrap(), Outcome::Erased);
    assert_eq!(store.count(), 0);
    store.forget_jobs();
    let again = erase(&at(NOW.0 + 500), &task).await.unwrap();
    assert!(matches!(again, Outcome::Pending { .. }), "{again:?}");
}

#[tokio::test]
async fn deactivating_leaves_the_rows_and_can_be_taken_back() {
    let store = store();
    store.insert(row(&[("user_id", "1")]));
    for (operation, active) in [(Operation::Deactivate, false), (Operation::Reactivate, true)] {
        let done = subsystem(&store)
            .perform(operation, &[asks(&[("user_id", "1")])])
            .await
            .unwrap();
        assert_eq!(done, [Outcome::Erased]);
        assert_eq!(store.rows_with(&kind("user_id"), "1")[0].active, active);
    }
}

#[tokio::test]
async fn people_are_found_with_their_aliases_or_not_at_all_when_there_are_several() {
    let store = store();
    store.insert(row(&[("user_id", "1"), ("email", "A@x.example")]));
    store.insert(row(&[("user_id", "1"), ("email", "b@x.example")]));
    store.insert(row(&[("user_id", "2"), ("email", "b@x.example")]));
    let subsystem = subsystem(&store);
    let given = [
        record(&[("email", "a@X.example")]),
        record(&[("email", "b@x.example")]),
        record(&[("user_id", "9")]),
    ];
    let found = subsystem.resolve(&tenant(), &given).await.unwrap();
    let resolutions: Vec<_> = found.iter().map(|it| (it.resolution, it.records.len())).collect();
    assert_eq!(
        resolutions,
        [(Resolution::Found, 3), (Resolution::Ambiguous, 1), (Resolution::Nobody, 1)]
    );
}
