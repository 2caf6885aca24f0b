//! Why something did not work, in words that can be shown to anybody.

use crate::codes::codes;
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a fault means for the next attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum FaultClass {
    /// May pass by itself: try again, with growing delay, up to the ceiling of attempts.
    Transient,
    /// We were asked to slow down: try again when told; this is no attempt.
    Throttled,
    /// Will not pass by itself: somebody must act.
    Permanent,
    /// The subject brings the work down: alone in the solo lane, then parked.
    Poison,
}

/// Whom a fault blames, which decides who has to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Blame {
    /// The store, or the vendor: everybody waits, and a batch is never cut in halves to find a culprit.
    Store,
    /// Something in this batch: cut it in halves until the culprit stands alone.
    Batch,
    /// This one subject.
    Subject,
}

codes! {
    /// The stable codes of everything that can go wrong with a task. The meaning follows the name of the thing: "table is missing".
    FaultCode {
        StoreUnreachable = "STORE-001", "store cannot be reached", "Nothing to do if it is back soon; the fleet keeps trying. Else check address and network.";
        StoreBusy = "STORE-002", "store is busy", "Nothing to do; the fleet keeps trying. If it lasts, lower the share of the store that the fleet may use.";
        StoreTimeout = "STORE-003", "store did not answer in time", "Nothing to do if it passes; else look for locks and missing indexes on the matched columns.";
        StoreRefusedLogin = "STORE-010", "store refuses the login", "Correct the login or the password of this store, then redrive.";
        StoreForbids = "STORE-011", "login may not change this table", "Grant the erasing login select, update and delete on the table, then redrive.";
        TableMissing = "STORE-012", "table is missing", "Restore the table or take it out of the data map, then redrive.";
        ColumnMissing = "STORE-013", "column is missing", "Restore the column or correct the data map, then redrive.";
        StoreReadOnly = "STORE-014", "store is read-only", "Point the fleet at the primary, or give it a login that may write, then redrive.";
        ConstraintHolds = "STORE-020", "a constraint forbids the change", "Where another table refers to the row, add it to the data map before this one; where a trigger forbids it, lift that for this row; then redrive.";
        RowCapExceeded = "STORE-021", "more rows match than the cap allows", "Look at the rule in the data map; raise rows_per_subject_max only if the number is right, then redrive.";
        DataNotFit = "STORE-022", "a value does not fit the column", "Correct the strategy of the column in the data map, then redrive.";
        ResidueFound = "STORE-030", "the read-back still finds the person", "Something writes the person back: find the writer, then redrive.";
        StoreInternal = "STORE-099", "store reported an error of its own", "See the store's own log around the time of the attempt, then redrive.";
        VendorUnreachable = "VENDOR-001", "vendor cannot be reached", "Nothing to do if it is back soon; the fleet keeps trying.";
        VendorError = "VENDOR-002", "vendor reports an error of its own", "Nothing to do if it passes; else ask the vendor, with the time of the attempt.";
        VendorThrottles = "VENDOR-003", "vendor asks to slow down", "Nothing to do; the fleet waits as long as the vendor asks.";
        VendorRefusedLogin = "VENDOR-010", "vendor refuses the credentials", "Renew the credentials of this vendor, then redrive.";
        VendorRefused = "VENDOR-011", "vendor refuses the request", "Compare the vendor's settings with its documentation, then redrive.";
        VendorForgot = "VENDOR-012", "vendor no longer knows a request it had accepted", "Ask the vendor what became of it, then redrive to submit it again.";
        VendorNotFound = "VENDOR-013", "vendor does not know the address", "Correct the base URL of this vendor, then redrive.";
        VendorUnreadable = "VENDOR-014", "vendor's answer cannot be understood", "Nothing to do if it passes; else ask the vendor, with the time of the attempt.";
        VendorCancelled = "VENDOR-015", "vendor cancelled the request", "Ask the vendor why, then redrive to submit it again.";
        VendorOverdue = "VENDOR-016", "vendor has not finished by the time it promised", "Remind the vendor; the fleet keeps asking.";
        NoIdentifierForVendor = "VENDOR-020", "none of the person's identifiers is one that the vendor accepts", "Add a mapping for the vendor, or submit a request that carries such an identifier.";
        Ambiguous = "SUBJECT-001", "the identifiers fit several people", "Submit a new request with a system id; then discard this one with a reason.";
        NotResolvable = "SUBJECT-002", "the identifiers do not form a complete way to find a person", "Submit a new request with a complete set of identifiers.";
        Panicked = "WORK-001", "the worker failed on this subject", "This is a defect: report it with the code and the time. Redrive after the next release.";
        NotRead = "WORK-002", "the message cannot be read", "This is a defect, or a foreign message: look at it with attention show, then discard it.";
        Expired = "WORK-003", "the slice passed its deadline", "Nothing to do; the fleet sends it again.";
        KeyUnknown = "WORK-004", "the key that opens the request is not in the key ring", "Give this worker the complete key ring; the lane waits for it.";
        DeliveryLimit = "WORK-005", "the broker gave up delivering the message", "Look for workers that die while they hold it, then redrive.";
        WorkerDies = "WORK-006", "workers die when they work on this subject", "This is a defect: report it with the code and the time. Redrive after the next release.";
    }
}

/// Why a task or a batch did not come to its end. Holds nothing of a person.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Fault {
    /// What it means for the next attempt.
    pub class: FaultClass,
    /// Whom it blames.
    pub blame: Blame,
    /// The stable code.
    #[cfg_attr(feature = "schema", schemars(with = "String"))]
    pub code: FaultCode,
    /// Which store, table, column or vendor: names out of the configuration, dot-separated, never data.
    pub source: FaultSource,
    /// For [`FaultClass::Throttled`]: how long to wait, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

/// The names of the configuration that a fault is about, for example `warehouse.events`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct FaultSource(pub String);

impl Fault {
    /// A fault about `source`, a name out of the configuration.
    #[must_use]
    pub fn new(class: FaultClass, blame: Blame, code: FaultCode, source: impl Into<String>) -> Self {
        Self {
            class,
            blame,
            code,
            source: FaultSource(source.into()),
            retry_after_ms: None,
        }
    }

    /// The same fault with the wait that the other side asked for.
    #[must_use]
    pub fn after(mut self, wait: std::time::Duration) -> Self {
        self.retry_after_ms = Some(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX));
        self
    }
}

impl std::error::Error for Fault {}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.source.0, self.code.meaning(), self.code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_and_everyone_has_advice() {
        let mut codes: Vec<_> = FaultCode::ALL.iter().map(|code| code.as_str()).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), FaultCode::ALL.len());
        assert!(FaultCode::ALL.iter().all(|code| code.advice().ends_with('.')));
    }

    #[test]
    fn a_fault_reads_as_a_sentence() {
        let fault = Fault::new(
            FaultClass::Permanent,
            Blame::Store,
            FaultCode::TableMissing,
            "warehouse.events",
        );
        assert_eq!(fault.to_string(), "warehouse.events: table is missing (STORE-012)");
    }
}
