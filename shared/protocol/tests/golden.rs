//! One file for each message of the wire: read, and written again to the same bytes. A change here is a change of the contract.
//!
//! `ERASURE_GOLDEN=write cargo test -p erasure-protocol --test golden` writes the events anew.

use erasure_protocol::{
    Act, Command, Counts, Envelope, Event, EventData, EventKind, FaultCode, LedgerId, Millis, Operation, OutcomeMessage,
    RequestId, RequestKey, SealedEnvelope, TenantId, WorkMessage,
};
use std::path::PathBuf;

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn golden(name: &str) -> Vec<u8> {
    let text = std::fs::read(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    text.strip_suffix(b"\n").map(<[u8]>::to_vec).unwrap_or(text)
}

fn same(name: &str, written: &[u8]) {
    assert_eq!(
        String::from_utf8_lossy(written),
        String::from_utf8_lossy(&golden(name)),
        "{name}"
    );
}

#[test]
fn commands_are_written_as_they_were_read() {
    for name in ["command.json", "command-part.json", "command-minimal.json"] {
        same(name, &Command::parse(&golden(name)).unwrap().to_json());
    }
}

#[test]
fn a_command_reads_the_same_plain_structured_and_binary() {
    let plain = Command::parse(&golden("command.json")).unwrap();
    let structured = Envelope::read(Some("application/cloudevents+json"), &[], &golden("command-structured.json")).unwrap();
    let headers: std::collections::BTreeMap<String, String> =
        serde_json::from_slice(&golden("command-binary-headers.json")).unwrap();
    let headers: Vec<_> = headers.into_iter().collect();
    let binary = Envelope::read(Some("application/json"), &headers, &golden("command.json")).unwrap();
    assert_eq!(structured, binary);
    assert_eq!(structured.command, plain);
}

#[test]
fn messages_between_roles_are_written_as_they_were_read() {
    let sealed = SealedEnvelope::parse(&golden("sealed.json")).unwrap();
    same("sealed.json", &sealed.to_json());
    let work: WorkMessage = serde_json::from_slice(&golden("work.json")).unwrap();
    same("work.json", &serde_json::to_vec(&work).unwrap());
    let outcome: OutcomeMessage = serde_json::from_slice(&golden("outcome.json")).unwrap();
    same("outcome.json", &serde_json::to_vec(&outcome).unwrap());
    for name in ["act-redrive.json", "act-discard.json", "act-retire-subsystem.json"] {
        same(name, &Act::parse(&golden(name)).unwrap().to_json());
    }
}

fn event(kind: EventKind) -> Event {
    let tenant = TenantId::new("acme").expect("an id");
    let request_id = RequestId::new("DSR-2026:0001").expect("an id");
    let request = RequestKey::of(&tenant, &request_id);
    let data = EventData {
        version: 1,
        request_id: Some(request_id),
        tenant: Some(tenant),
        operation: Some(Operation::Erase),
        state: kind,
        subjects: Some(2),
        counts: Some(Counts {
            erased: 2,
            ..Counts::default()
        }),
        ticket: Some("HELP-7".to_owned()),
        received_at: Some(Millis(1_790_000_000_000)),
        due_at: Some(Millis(1_792_592_000_000)),
        finished_at: Some(Millis(1_790_000_060_000)),
        reason: None,
        parked: None,
    };
    let data = if kind == EventKind::NeedsAttention {
        data.because(FaultCode::TableMissing)
    } else {
        data
    };
    Event::new(LedgerId(*request.as_uuid()), request, 4, Millis(1_790_000_060_000), data)
}

#[test]
fn every_event_is_written_as_its_file_and_read_back() {
    for kind in EventKind::ALL {
        let (name, event) = (format!("event-{kind}.json"), event(*kind));
        if std::env::var("ERASURE_GOLDEN").is_ok_and(|it| it == "write") {
            std::fs::write(path(&name), [&event.to_json()[..], b"\n"].concat()).unwrap();
        }
        same(&name, &event.to_json());
        assert_eq!(Event::parse(&golden(&name)), Some(event));
    }
}

#[test]
fn readers_of_events_ignore_fields_of_later_releases() {
    let text = String::from_utf8(golden("event-erased.json")).unwrap();
    let later = text.replace("\"data\":{", "\"traceparent\":\"x\",\"data\":{\"later\":[1],");
    assert_eq!(Event::parse(later.as_bytes()), Some(event(EventKind::Erased)));
}
