//! Every way in which a vendor can answer, and where the task stands then.

#![allow(clippy::unwrap_used, reason = "helpers of tests, outside of test functions")]

use erasure_kit::Subsystem as _;
use erasure_protocol::{
    Attempt, FaultClass, FaultCode, Identifier, IdentifierKind, Millis, Operation, Options, Outcome, Record, Reference,
    RequestId, RequestKey, Resolution, Subject, Task, TenantId,
};
use erasure_subprocessors::{Config, Subprocessors};
use erasure_tests::opendsr::{Act, Mode, Processor};
use serde_json::{Value, json};
use std::sync::Arc;

pub(crate) const NOW: fn() -> Millis = || Millis(1_770_000_000_000);

pub(crate) fn vendor(name: &str, base_url: &str) -> Value {
    json!({
        "name": name,
        "base_url": base_url,
        "identities": [
            { "kind": "email", "identity_type": "email" },
            { "kind": "user_id", "identity_type": "controller_customer_id" },
        ],
        "timeout_ms": 2_000,
    })
}

pub(crate) fn subsystem(vendors: &[Value]) -> Subprocessors {
    let config: Config = serde_json::from_value(json!({ "vendors": vendors })).unwrap();
    Subprocessors::new(config).unwrap().with_clock(NOW)
}

pub(crate) fn person(identifiers: &[(&str, &str)]) -> Subject {
    let pairs = identifiers
        .iter()
        .map(|(kind, value)| (IdentifierKind::new(kind).unwrap(), Identifier::new(*value).unwrap()));
    Subject::given(pairs.collect::<Record>())
}

pub(crate) fn task(number: u64, subject: Subject) -> Task {
    let tenant = TenantId::new("acme").unwrap();
    Task {
        request: RequestKey::of(&tenant, &RequestId::new("DSR-1").unwrap()),
        tenant,
        number,
        subject: Arc::new(subject),
        attempt: Attempt::First,
        accepted_at: Millis(1_769_900_000_000),
        deadline: Millis(1_780_000_000_000),
        options: Options::default(),
        reference: None,
    }
}

fn somebody() -> Task {
    task(
        0,
        person(&[("email", "planted@example.org"), ("user_id", "7"), ("business_unit", "eu")]),
    )
}

pub(crate) async fn look(subsystem: &Subprocessors, task: &Task) -> Outcome {
    let outcomes = subsystem.perform(Operation::Erase, std::slice::from_ref(task)).await.unwrap();
    let [outcome] = <[Outcome; 1]>::try_from(outcomes).unwrap();
    outcome
}

/// The task as it comes back when its next look is due.
pub(crate) fn woken(task: &Task, outcome: &Outcome) -> Task {
    let Outcome::Pending { reference, .. } = outcome else {
        panic!("pending expected, not {outcome:?}")
    };
    Task {
        reference: Some(reference.clone()),
        attempt: Attempt::Later,
        ..task.clone()
    }
}

pub(crate) fn failure(outcome: &Outcome) -> (&'static str, FaultCode, FaultClass) {
    match outcome {
        Outcome::Failed(fault) => ("failed", fault.code, fault.class),
        Outcome::Retry(fault) => ("retry", fault.code, fault.class),
        Outcome::Erased | Outcome::NothingHeld | Outcome::Retained { .. } | Outcome::Pending { .. } => {
            panic!("a fault expected, not {outcome:?}")
        }
    }
}

#[tokio::test]
async fn acceptance_is_pending_and_only_completed_is_erased() {
    let mailer = Processor::start(Mode::ok(1)).await.unwrap();
    let subsystem = subsystem(&[vendor("mailer", &mailer.url())]);
    let task = somebody();
    let first = look(&subsystem, &task).await;
    let second = look(&subsystem, &woken(&task, &first)).await;
    assert!(matches!(second, Outcome::Pending { check_at, .. } if check_at > NOW()));
    assert_eq!(look(&subsystem, &woken(&task, &second)).await, Outcome::Erased);
    assert_eq!((mailer.calls().creates, mailer.calls().polls), (1, 2));
    let body = &mailer.bodies()[0];
    assert_eq!(body["regulation"], "gdpr");
    assert_eq!(body["submitted_time"], "2026-01-31T22:53:20.000Z");
    let told = json!([
        { "identity_type": "email", "identity_value": "planted@example.org", "identity_format": "raw" },
        { "identity_type": "controller_customer_id", "identity_value": "7", "identity_format": "raw" },
    ]);
    assert_eq!(body["subject_identities"], told);
    let Outcome::Pending {
        reference: Reference(text),
        ..
    } = first
    else {
        panic!("pending")
    };
    assert!(!text.contains("planted"), "a reference holds no identifier");
}

#[tokio::test]
async fn version_1_has_its_own_routes_and_no_regulation() {
    let mailer = Processor::start(Mode::ok(0)).await.unwrap();
    let mut old = vendor("mailer", &mailer.url_v1());
    old["version"] = json!("1.0");
    old["processor_domain"] = json!("opendsr.mailer.example");
    let subsystem = subsystem(&[old]);
    let pending = look(&subsystem, &somebody()).await;
    assert_eq!(look(&subsystem, &woken(&somebody(), &pending)).await, Outcome::Erased);
    assert_eq!(mailer.bodies()[0].get("regulation"), None);
}

#[tokio::test]
async fn a_vendor_that_keeps_hashes_is_told_the_hash_of_the_trimmed_lower_case_address() {
    let mailer = Processor::start(Mode::ok(0)).await.unwrap();
    let mut hashed = vendor("mailer", &mailer.url());
    hashed["identities"][0]["identity_format"] = json!("sha256");
    let subsystem = subsystem(&[hashed]);
    let mut two_spellings = person(&[("email", " Planted@Example.org "), ("user_id", "Seven")]);
    two_spellings
        .records
        .extend(person(&[("email", "planted@example.org")]).records);
    look(&subsystem, &task(0, two_spellings)).await;
    // printf planted@example.org | sha256sum
    let hash = "d331542d1ede95f093299d02c1df9aab20b57deb941f69f56d154119531ab822";
    let told = json!([
        { "identity_type": "email", "identity_value": hash, "identity_format": "sha256" },
        { "identity_type": "controller_customer_id", "identity_value": "Seven", "identity_format": "raw" },
    ]);
    assert_eq!(mailer.bodies()[0]["subject_identities"], told);
    assert!(!mailer.bodies()[0].to_string().to_lowercase().contains("planted"));
}

#[tokio::test]
async fn every_refusal_of_a_new_request_has_its_own_reason() {
    use FaultClass::{Permanent, Throttled, Transient};
    let mailer = Processor::start(Mode::default()).await.unwrap();
    let table = [
        (Mode::failing(500), "retry", FaultCode::VendorError, Transient),
        (Mode::failing(401), "failed", FaultCode::VendorRefusedLogin, Permanent),
        (Mode::failing(403), "failed", FaultCode::VendorRefusedLogin, Permanent),
        (Mode::no_such_address(), "failed", FaultCode::VendorNotFound, Permanent),
        (
            Mode::doing(&[Act::Redirect], &[]),
            "failed",
            FaultCode::VendorNotFound,
            Permanent,
        ),
        (Mode::failing(422), "failed", FaultCode::VendorRefused, Permanent),
        (
            Mode::doing(
                &[Act::Status {
                    status: 400,
                    retry_after: None,
                }],
                &[],
            ),
            "failed",
            FaultCode::VendorRefused,
            Permanent,
        ),
        (Mode::malformed(), "retry", FaultCode::VendorUnreadable, Transient),
        (
            Mode::doing(&[Act::Huge], &[]),
            "retry",
            FaultCode::VendorUnreadable,
            Transient,
        ),
        (
            Mode::doing(&[Act::OtherId], &[]),
            "retry",
            FaultCode::VendorUnreadable,
            Transient,
        ),
        (Mode::slow(10_000), "retry", FaultCode::VendorUnreachable, Transient),
        (Mode::throttled("7"), "retry", FaultCode::VendorThrottles, Throttled),
    ];
    for (mode, end, code, class) in table {
        let shown = format!("{mode:?}");
        mailer.set(mode);
        let mut hasty = vendor("mailer", &mailer.url());
        hasty["timeout_ms"] = json!(500);
        let subsystem = subsystem(&[hasty]);
        let outcome = look(&subsystem, &somebody()).await;
        assert_eq!(failure(&outcome), (end, code, class), "{shown}");
        assert!(mailer.ids().is_empty(), "{shown}");
    }
    drop(mailer);
    let gone = subsystem(&[vendor("mailer", "http://127.0.0.1:9/v2")]);
    assert_eq!(
        failure(&look(&gone, &somebody()).await),
        ("retry", FaultCode::VendorUnreachable, Transient)
    );
}

#[tokio::test]
async fn no_error_while_waiting_is_taken_for_done_and_none_loses_what_was_accepted() {
    let mailer = Processor::start(Mode::default()).await.unwrap();
    let errors = [
        Mode::failing(500),
        Mode::throttled("90"),
        Mode::malformed(),
        Mode::never(),
        Mode::slow(10_000),
        Mode::doing(&[], &[Act::OtherId]),
        Mode::doing(&[], &[Act::Huge]),
        Mode::doing(
            &[],
            &[Act::Says {
                status: "finished".into(),
            }],
        ),
    ];
    for (number, mode) in errors.into_iter().enumerate() {
        let shown = format!("{mode:?}");
        let task = Task {
            number: number as u64,
            ..somebody()
        };
        mailer.set(Mode::default());
        let mut hasty = vendor("mailer", &mailer.url());
        hasty["timeout_ms"] = json!(500);
        let accepted = look(&subsystem(&[hasty.clone()]), &task).await;
        mailer.set(mode);
        let troubled = look(&subsystem(&[hasty.clone()]), &woken(&task, &accepted)).await;
        assert!(
            matches!(troubled, Outcome::Pending { check_at, .. } if check_at > NOW()),
            "{shown}: {troubled:?}"
        );
        mailer.set(Mode::default());
        let done = look(&subsystem(&[hasty]), &woken(&task, &troubled)).await;
        assert_eq!(done, Outcome::Erased, "{shown}");
        assert_eq!(mailer.ids().len(), number + 1, "{shown}: submitted once");
    }
}

#[tokio::test]
async fn a_vendor_that_forgot_or_cancelled_needs_attention_and_a_redrive_submits_again() {
    let mailer = Processor::start(Mode::default()).await.unwrap();
    let subsystem = subsystem(&[vendor("mailer", &mailer.url())]);
    let task = somebody();
    let accepted = look(&subsystem, &task).await;
    mailer.set(Mode::forgetful());
    let forgot = look(&subsystem, &woken(&task, &accepted)).await;
    assert_eq!(failure(&forgot), ("failed", FaultCode::VendorForgot, FaultClass::Permanent));
    mailer.set(Mode::doing(
        &[],
        &[Act::Says {
            status: "cancelled".into(),
        }],
    ));
    let cancelled = look(&subsystem, &woken(&task, &accepted)).await;
    assert_eq!(
        failure(&cancelled),
        ("failed", FaultCode::VendorCancelled, FaultClass::Permanent)
    );
    // The redriven task comes without a reference. The vendor still has the cancelled one, so a new id is needed.
    let resubmitted = look(&subsystem, &task).await;
    assert_eq!(mailer.ids().len(), 2);
    mailer.set(Mode::default());
    assert_eq!(look(&subsystem, &woken(&task, &resubmitted)).await, Outcome::Erased);
}

#[tokio::test]
async fn submitting_twice_is_submitting_once() {
    for duplicate_status in [400, 409, 201] {
        let mode = Mode {
            duplicate_status,
            ..Mode::ok(0)
        };
        let mailer = Processor::start(Mode {
            create: vec![Act::KeepAndFail { status: 502 }],
            ..mode.clone()
        })
        .await
        .unwrap();
        let subsystem = subsystem(&[vendor("mailer", &mailer.url())]);
        let lost = look(&subsystem, &somebody()).await;
        assert_eq!(failure(&lost), ("retry", FaultCode::VendorError, FaultClass::Transient));
        mailer.set(mode);
        let mut again = look(&subsystem, &somebody()).await;
        if duplicate_status == 201 {
            again = look(&subsystem, &woken(&somebody(), &again)).await;
        }
        assert_eq!(again, Outcome::Erased, "{duplicate_status}");
        assert_eq!(mailer.ids().len(), 1, "{duplicate_status}");
    }
}

#[tokio::test]
async fn one_vendor_confirmed_stays_confirmed_while_another_is_throttled() {
    let mailer = Processor::start(Mode {
        expected_in_ms: -1_000_000_000_000,
        ..Mode::ok(0)
    })
    .await
    .unwrap();
    let tracker = Processor::start(Mode::throttled("60")).await.unwrap();
    let both = [vendor("mailer", &mailer.url()), vendor("tracker", &tracker.url())];
    let task = somebody();
    let first = look(&subsystem(&both), &task).await;
    assert!(
        matches!(first, Outcome::Pending { check_at, .. } if check_at == Millis(NOW().0 + 60_000)),
        "{first:?}"
    );
    let before = mailer.calls();
    tracker.set(Mode::default());
    let second = look(&subsystem(&both), &woken(&task, &first)).await;
    assert_eq!(look(&subsystem(&both), &woken(&task, &second)).await, Outcome::Erased);
    assert_eq!(mailer.calls(), before, "a confirmed vendor is left alone");
}

#[tokio::test]
async fn another_mapping_is_another_request_and_other_evidence() {
    let mailer = Processor::start(Mode::default()).await.unwrap();
    let old = subsystem(&[vendor("mailer", &mailer.url())]);
    let accepted = look(&old, &somebody()).await;
    let mut more = vendor("mailer", &mailer.url());
    more["identities"][1]["kind"] = json!("business_unit");
    let new = subsystem(&[more]);
    assert_ne!(old.evidence().await.unwrap(), new.evidence().await.unwrap());
    let resubmitted = look(&new, &woken(&somebody(), &accepted)).await;
    assert!(
        matches!(resubmitted, Outcome::Pending { .. }),
        "the old acceptance says nothing about the new mapping"
    );
    assert_eq!(mailer.ids().len(), 2);
}

#[tokio::test]
async fn errors_for_too_long_need_attention() {
    let mailer = Processor::start(Mode::default()).await.unwrap();
    let vendors = [vendor("mailer", &mailer.url())];
    let accepted = look(&subsystem(&vendors), &somebody()).await;
    mailer.set(Mode::failing(503));
    let troubled = look(&subsystem(&vendors), &woken(&somebody(), &accepted)).await;
    let days_later: fn() -> Millis = || Millis(NOW().0 + 3 * 86_400_000);
    let late = look(&subsystem(&vendors).with_clock(days_later), &woken(&somebody(), &troubled)).await;
    assert_eq!(failure(&late), ("failed", FaultCode::VendorError, FaultClass::Transient));
}

#[tokio::test]
async fn who_cannot_be_named_to_a_vendor_is_not_called_erased() {
    let mailer = Processor::start(Mode::default()).await.unwrap();
    let stranger = task(0, person(&[("external_id", "x-1")]));
    let lenient = subsystem(&[vendor("mailer", &mailer.url())]);
    assert_eq!(look(&lenient, &stranger).await, Outcome::NothingHeld);
    let mut strict = vendor("mailer", &mailer.url());
    strict["on_unidentified"] = json!("attention");
    let outcome = look(&subsystem(&[strict]), &stranger).await;
    assert_eq!(
        failure(&outcome),
        ("failed", FaultCode::NoIdentifierForVendor, FaultClass::Permanent)
    );
    let ambiguous = Subject {
        resolution: Resolution::Ambiguous,
        ..person(&[("email", "planted@example.org")])
    };
    assert_eq!(failure(&look(&lenient, &task(0, ambiguous)).await).1, FaultCode::Ambiguous);
    assert_eq!(mailer.calls().creates, 0);
}

#[tokio::test]
async fn vendors_hear_nothing_of_reversible_operations_and_nothing_after_the_deadline() {
    let mailer = Processor::start(Mode::default()).await.unwrap();
    let subsystem = subsystem(&[vendor("mailer", &mailer.url())]);
    for operation in [Operation::Deactivate, Operation::Reactivate] {
        let outcomes = subsystem.perform(operation, &[somebody(), somebody()]).await.unwrap();
        assert_eq!(outcomes, [Outcome::NothingHeld, Outcome::NothingHeld]);
    }
    let late = Task {
        deadline: Millis(NOW().0 - 1),
        ..somebody()
    };
    assert_eq!(
        failure(&look(&subsystem, &late).await),
        ("retry", FaultCode::Expired, FaultClass::Transient)
    );
    assert_eq!(mailer.calls().creates, 0);
}

#[tokio::test]
async fn credentials_are_shown_in_every_form_and_a_renewed_file_needs_no_restart() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    std::fs::write(&file, "old").unwrap();
    let forms = [
        (json!({ "bearer": { "token": "t" } }), "Bearer t"),
        (
            json!({ "basic": { "user": "key", "password": "secret" } }),
            "Basic a2V5OnNlY3JldA==",
        ),
        (json!({ "header": { "name": "Authorization", "value": "bare" } }), "bare"),
        (json!({ "bearer": { "token_file": file } }), "Bearer new"),
    ];
    for (auth, wanted) in forms {
        let mode = Mode {
            authorization: Some(wanted.to_owned()),
            ..Mode::default()
        };
        let mailer = Processor::start(mode).await.unwrap();
        let mut known = vendor("mailer", &mailer.url());
        known["auth"] = auth;
        let subsystem = subsystem(&[known]);
        if wanted == "Bearer new" {
            let refused = look(&subsystem, &somebody()).await;
            assert_eq!(failure(&refused).1, FaultCode::VendorRefusedLogin);
            std::fs::write(&file, "new\n").unwrap();
        }
        assert!(
            matches!(look(&subsystem, &somebody()).await, Outcome::Pending { .. }),
            "{wanted}"
        );
    }
}

#[tokio::test]
async fn a_batch_keeps_its_order_and_leaves_a_closed_vendor_alone() {
    let mailer = Processor::start(Mode::default()).await.unwrap();
    let subsystem = subsystem(&[vendor("mailer", &mailer.url())]);
    let known = |number: u64| task(number, person(&[("user_id", &number.to_string())]));
    let mut tasks: Vec<Task> = (0..200).map(known).collect();
    tasks[100] = task(100, person(&[("external_id", "x")]));
    let outcomes = subsystem.perform(Operation::Erase, &tasks).await.unwrap();
    for (at, outcome) in outcomes.iter().enumerate() {
        assert_eq!(*outcome == Outcome::NothingHeld, at == 100, "{at}");
    }
    assert_eq!(mailer.ids().len(), 199);
    mailer.set(Mode::failing(401));
    let more: Vec<Task> = (200..400).map(known).collect();
    let outcomes = subsystem.perform(Operation::Erase, &more).await.unwrap();
    assert!(
        outcomes
            .iter()
            .all(|outcome| failure(outcome).1 == FaultCode::VendorRefusedLogin)
    );
    assert!(mailer.calls().creates <= 199 + 4, "no more than the calls under way at once");
    let found = subsystem
        .find(
            &TenantId::new("acme").unwrap(),
            &[Arc::new(person(&[("user_id", "7")]))],
            None,
        )
        .await
        .unwrap();
    assert!(found.len() == 1 && found[0].is_empty());
}
