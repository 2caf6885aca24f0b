//! For the fuzzer in `tests/fuzz` alone: what a vendor's answer means, without a vendor.

use crate::reference::Followed;
use crate::reply::{self, Created, Polled, Raw};
use crate::wait;
use erasure_protocol::{Fault, Millis, Reference};
use std::time::Duration;
use uuid::Uuid;

/// Which call was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// `POST`.
    Create,
    /// `GET`.
    Poll,
}

/// What the answer means.
#[derive(Debug, PartialEq, Eq)]
pub enum Said {
    /// It took the request, or works on it.
    Working(Option<Millis>),
    /// Done.
    Completed,
    /// Called off.
    Cancelled,
    /// The id must be asked for.
    PerhapsKnown,
    /// The id is not known.
    Unknown,
    /// It did not say, or refused.
    Fault(Fault),
}

/// Reads an answer about `id`.
#[must_use]
pub fn said(call: Call, vendor: &str, id: Uuid, (status, retry_after): (u16, Option<String>), body: &[u8], now: Millis) -> Said {
    let raw = Raw {
        status,
        retry_after,
        body: body.to_vec(),
    };
    match call {
        Call::Create => match reply::created(vendor, id, &raw, now) {
            Created::Accepted { expected_by } => Said::Working(expected_by),
            Created::PerhapsKnown => Said::PerhapsKnown,
            Created::Fault(fault) => Said::Fault(fault),
        },
        Call::Poll => match reply::polled(vendor, id, &raw, now) {
            Polled::Completed => Said::Completed,
            Polled::Cancelled => Said::Cancelled,
            Polled::Working { expected_by } => Said::Working(expected_by),
            Polled::Unknown => Said::Unknown,
            Polled::Fault(fault) => Said::Fault(fault),
        },
    }
}

/// When to ask again after work was accepted, and after so many errors.
#[must_use]
pub fn next_looks(now: Millis, poll_every: Duration, expected_by: Option<Millis>, errors: u32) -> [Millis; 2] {
    [
        wait::next_poll(now, poll_every, expected_by),
        wait::after_errors(now, poll_every, errors),
    ]
}

/// A reference, read and written again.
#[must_use]
pub fn reference_again(text: &str) -> String {
    Followed::read(Some(&Reference(text.to_owned()))).write().0
}
