//! A vendor that takes many people per call, and says of each how it stands.

#![allow(clippy::unwrap_used, reason = "helpers of tests, outside of test functions")]

use crate::subprocessors::{NOW, failure, look, person, subsystem, task, vendor, woken};
use erasure_kit::Subsystem as _;
use erasure_protocol::{FaultClass, FaultCode, Operation, Outcome, Task};
use erasure_subprocessors::Subprocessors;
use erasure_tests::opendsr::{Act, Mode, Processor};
use serde_json::{Value, json};

fn dialect(mailer: &Processor, people_per_call: usize) -> Value {
    let mut vendor = vendor("mailer", &mailer.url_appsflyer());
    vendor["version"] = json!("appsflyer");
    vendor["property_id"] = json!("id-of-an-invented-app");
    vendor["people_per_call"] = json!(people_per_call);
    vendor["identities"] = json!([{ "kind": "user_id", "identity_type": "customer_user_id" }]);
    vendor
}

fn user(number: u64) -> String {
    format!("invented-{number:04}")
}

fn people(count: u64) -> Vec<Task> {
    (0..count)
        .map(|number| task(number, person(&[("user_id", &user(number))])))
        .collect()
}

async fn all(subsystem: &Subprocessors, tasks: &[Task]) -> Vec<Outcome> {
    subsystem.perform(Operation::Erase, tasks).await.unwrap()
}

fn awake(tasks: &[Task], outcomes: &[Outcome]) -> Vec<Task> {
    tasks
        .iter()
        .zip(outcomes)
        .map(|(task, outcome)| woken(task, outcome))
        .collect()
}

#[tokio::test]
async fn people_are_told_of_and_asked_after_together_and_each_is_erased_by_a_word_of_their_own() {
    let mailer = Processor::start(Mode::ok(1)).await.unwrap();
    let subsystem = subsystem(&[dialect(&mailer, 50)]);
    let tasks = people(120);
    let first = all(&subsystem, &tasks).await;
    assert!(first.iter().all(|it| matches!(it, Outcome::Pending { .. })), "{first:?}");
    assert_eq!((mailer.calls().creates, mailer.calls().polls), (3, 0));
    assert_eq!((mailer.calls().people, mailer.ids().len()), (120, 120));
    let tasks = awake(&tasks, &first);
    let second = all(&subsystem, &tasks).await;
    assert!(second.iter().all(|it| matches!(it, Outcome::Pending { .. })), "{second:?}");
    let third = all(&subsystem, &awake(&tasks, &second)).await;
    assert_eq!(third, vec![Outcome::Erased; 120]);
    assert_eq!((mailer.calls().creates, mailer.calls().polls), (3, 6));
    let body = &mailer.bodies()[0];
    assert_eq!(body["property_id"], "id-of-an-invented-app");
    assert_eq!((body.get("regulation"), body.get("api_version")), (None, None));
}

#[tokio::test]
async fn each_of_one_call_stands_where_the_vendor_said_and_nobody_where_it_said_nothing() {
    let mailer = Processor::start(Mode {
        refuses: vec![(user(1), "e325".into()), (user(2), "e215".into()), (user(3), "e999".into())],
        leaves_out: vec![user(4)],
        ..Mode::ok(0)
    })
    .await
    .unwrap();
    let subsystem = subsystem(&[dialect(&mailer, 50)]);
    let tasks = people(6);
    let outcomes = all(&subsystem, &tasks).await;
    assert!(matches!(outcomes[0], Outcome::Pending { .. }));
    assert_eq!(
        failure(&outcomes[1]),
        ("failed", FaultCode::VendorRefused, FaultClass::Permanent)
    );
    assert_eq!(
        failure(&outcomes[2]),
        ("retry", FaultCode::VendorRefused, FaultClass::Transient)
    );
    assert_eq!(
        failure(&outcomes[3]),
        ("failed", FaultCode::VendorRefused, FaultClass::Permanent)
    );
    assert_eq!(
        failure(&outcomes[4]),
        ("retry", FaultCode::VendorUnreadable, FaultClass::Transient)
    );
    // The vendor took the one of whom it said nothing. It is told again, knows the id, and is asked.
    mailer.set(Mode::ok(0));
    assert_eq!(look(&subsystem, &tasks[4]).await, Outcome::Erased);
    assert_eq!(look(&subsystem, &woken(&tasks[0], &outcomes[0])).await, Outcome::Erased);
}

#[tokio::test]
async fn who_is_left_out_of_an_answer_about_many_is_asked_for_alone_and_not_called_erased_before() {
    let mailer = Processor::start(Mode::ok(0)).await.unwrap();
    let subsystem = subsystem(&[dialect(&mailer, 50)]);
    let tasks = people(5);
    let tasks = awake(&tasks, &all(&subsystem, &tasks).await);
    mailer.set(Mode {
        leaves_out: vec![user(2)],
        ..Mode::ok(0)
    });
    let done = all(&subsystem, &tasks).await;
    assert_eq!(done, vec![Outcome::Erased; 5]);
    assert_eq!(mailer.calls().polls, 2, "one for all, one for who was left out");
    for unclear in [
        Act::Malformed,
        Act::OtherId,
        Act::Status {
            status: 500,
            retry_after: None,
        },
    ] {
        mailer.set(Mode::doing(&[], &[unclear]));
        let outcomes = all(&subsystem, &tasks).await;
        assert!(
            outcomes
                .iter()
                .all(|it| matches!(it, Outcome::Pending { check_at, .. } if *check_at > NOW()))
        );
    }
}

#[tokio::test]
async fn a_call_about_too_many_is_cut_until_the_vendor_takes_it() {
    let mailer = Processor::start(Mode {
        people_per_call: 10,
        ..Mode::ok(0)
    })
    .await
    .unwrap();
    let subsystem = subsystem(&[dialect(&mailer, 40)]);
    let tasks = people(40);
    let outcomes = all(&subsystem, &tasks).await;
    assert!(
        outcomes.iter().all(|it| matches!(it, Outcome::Pending { .. })),
        "{outcomes:?}"
    );
    assert_eq!(mailer.ids().len(), 40);
    assert_eq!(mailer.calls().creates, 7, "one of 40, two of 20, four of 10");
    assert_eq!(all(&subsystem, &awake(&tasks, &outcomes)).await, vec![Outcome::Erased; 40]);
}

#[tokio::test]
async fn submitting_many_twice_is_submitting_each_once() {
    let mailer = Processor::start(Mode::doing(&[Act::KeepAndFail { status: 502 }, Act::Serve], &[]))
        .await
        .unwrap();
    let subsystem = subsystem(&[dialect(&mailer, 50)]);
    let tasks = people(7);
    let lost = all(&subsystem, &tasks).await;
    assert!(
        lost.iter()
            .all(|it| failure(it) == ("retry", FaultCode::VendorError, FaultClass::Transient))
    );
    assert_eq!(
        all(&subsystem, &tasks).await,
        vec![Outcome::Erased; 7],
        "it knows them all, and was asked"
    );
    assert_eq!(mailer.ids().len(), 7);
    // The same task twice in one batch is no reason to refuse the others.
    let other = vec![
        task(8, person(&[("user_id", "invented-8")])),
        tasks[6].clone(),
        tasks[6].clone(),
    ];
    let outcomes = all(&subsystem, &other).await;
    assert!(matches!(outcomes[0], Outcome::Pending { .. }), "{outcomes:?}");
    assert_eq!(outcomes[1..], [Outcome::Erased, Outcome::Erased]);
}

#[tokio::test]
async fn a_refusal_of_the_call_as_such_costs_one_call_and_a_person_too_late_costs_nobody_else_anything() {
    let mailer = Processor::start(Mode::failing(401)).await.unwrap();
    let subsystem = subsystem(&[dialect(&mailer, 50)]);
    let mut tasks = people(20);
    let refused = all(&subsystem, &tasks).await;
    assert!(refused.iter().all(|it| failure(it).1 == FaultCode::VendorRefusedLogin));
    assert_eq!(mailer.calls().creates, 1);
    mailer.set(Mode::ok(0));
    tasks[3].deadline = NOW();
    tasks[3].deadline.0 -= 1;
    let outcomes = all(&subsystem, &tasks).await;
    for (at, outcome) in outcomes.iter().enumerate() {
        match at {
            3 => assert_eq!(failure(outcome).1, FaultCode::Expired),
            _ => assert!(matches!(outcome, Outcome::Pending { .. }), "{at}: {outcome:?}"),
        }
    }
}
