//! What only the double can do: lose calls, be left by a process in the middle, and keep a clock of somebody's own.

use crate::world::*;
use erasure_drill::{Blow, Lost, Weather};
use erasure_ledger::*;
use erasure_protocol::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::time::Duration;

fn memory() -> MemoryLedger {
    MemoryLedger::new(LedgerId(uuid::Uuid::from_u128(7)))
}

fn calm(memory: &MemoryLedger) -> Ledger {
    Ledger::on_double(memory, Weather::default(), || NOW)
}

/// Loses the nth call of this name.
fn loses(call: &'static str, nth: usize, lost: Lost) -> Weather {
    let seen = AtomicUsize::new(0);
    Weather::new(move |name| Blow {
        lost: (name == call && seen.fetch_add(1, Ordering::SeqCst) == nth).then_some(lost),
        ..Blow::default()
    })
}

#[tokio::test]
async fn a_commit_with_a_lost_answer_has_happened_and_one_with_a_lost_question_has_not() {
    for (lost, is_written) in [(Lost::Answer, true), (Lost::Question, false)] {
        let memory = memory();
        let ledger = Ledger::on_double(&memory, loses("ledger.commit", 0, lost), || NOW);
        let error = ledger.record_act(&act("a", "x")).await.unwrap_err();
        assert!(error.is_retryable(), "{error}");
        assert_eq!(!ledger.acts("x").await.unwrap().is_empty(), is_written);
        let again = ledger.record_act(&act("a", "x")).await.unwrap();
        assert_eq!(again, !is_written, "repeating is safe");
    }
}

#[tokio::test]
async fn a_statement_that_is_lost_takes_its_transaction_along() {
    for call in ["ledger.begin", "ledger.statement"] {
        for lost in [Lost::Question, Lost::Answer] {
            let memory = memory();
            let ledger = Ledger::on_double(&memory, loses(call, 0, lost), || NOW);
            assert!(ledger.record_act(&act("a", "x")).await.unwrap_err().is_retryable());
            assert!(calm(&memory).acts("x").await.unwrap().is_empty());
            assert!(
                calm(&memory).record_act(&act("b", "x")).await.unwrap(),
                "the next one may write"
            );
        }
    }
}

/// The process dies at every moment of a transaction, one after the other.
#[tokio::test(start_paused = true)]
async fn a_writer_that_is_dropped_anywhere_leaves_all_or_nothing() {
    let slow = Weather::new(|_| Blow {
        before: Duration::from_millis(10),
        after: Duration::from_millis(10),
        lost: None,
    });
    let mut seen = [false; 2];
    for moment in 0..8 {
        let memory = memory();
        let ledger = Ledger::on_double(&memory, slow.clone(), || NOW);
        let limit = Duration::from_millis(5 + 10 * moment);
        let done = tokio::time::timeout(limit, ledger.record_act(&act("a", "x"))).await;
        let written = !calm(&memory).acts("x").await.unwrap().is_empty();
        seen[usize::from(written)] = true;
        assert!(done.is_err() || written);
        assert!(
            calm(&memory).record_act(&act("b", "x")).await.unwrap(),
            "the next one may write"
        );
    }
    assert_eq!(seen, [true, true]);
}

#[tokio::test(start_paused = true)]
async fn a_reader_sees_what_is_committed_while_another_writes() {
    let memory = memory();
    let slow = Weather::new(|call| Blow {
        before: Duration::from_millis(if call == "ledger.commit" { 50 } else { 0 }),
        ..Blow::default()
    });
    let (writer, reader) = (Ledger::on_double(&memory, slow, || NOW), calm(&memory));
    let write = tokio::spawn(async move { writer.record_act(&act("a", "x")).await });
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(reader.acts("x").await.unwrap().is_empty());
    let waits = tokio::spawn({
        let reader = reader.clone();
        async move { reader.record_act(&act("b", "x")).await }
    });
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(!waits.is_finished(), "one writer at a time");
    assert!(write.await.unwrap().unwrap() && waits.await.unwrap().unwrap());
    assert_eq!(reader.acts("x").await.unwrap().len(), 2);
}

#[tokio::test]
async fn its_time_is_the_callers() {
    let time = Arc::new(AtomicI64::new(5));
    let clock = Arc::clone(&time);
    let ledger = Ledger::on_double(&memory(), Weather::default(), move || Millis(clock.load(Ordering::SeqCst)));
    assert_eq!(ledger.now().await.unwrap(), Millis(5));
    time.store(6, Ordering::SeqCst);
    assert_eq!(ledger.now().await.unwrap(), Millis(6));
}

#[tokio::test]
async fn each_new_one_is_empty_and_they_are_cheap() {
    let started = std::time::Instant::now();
    for _ in 0..100 {
        let memory = memory();
        assert!(calm(&memory).record_act(&act("a", "x")).await.unwrap());
    }
    eprintln!("a new ledger with its first act takes {:?}", started.elapsed() / 100);
}
