//! From a database's error to a fault: code, class and blame. Never the database's message, which may hold data.

use crate::engine::Error;
use erasure_protocol::{Blame, Fault, FaultClass, FaultCode};

/// The fault that this error is, about `source` (`store` or `store.table`, as configured).
pub(crate) fn fault(error: &Error, source: &str) -> Fault {
    of(code(error), source)
}

/// The fault of this code, with the class and blame that go with it.
pub(crate) fn of(code: FaultCode, source: &str) -> Fault {
    let (class, blame) = match code {
        FaultCode::StoreUnreachable | FaultCode::StoreTimeout => (FaultClass::Transient, Blame::Store),
        // Somebody else holds a lock, or was chosen to go first: it says nothing of the store.
        FaultCode::StoreBusy | FaultCode::Expired => (FaultClass::Transient, Blame::Batch),
        FaultCode::ConstraintHolds | FaultCode::DataNotFit => (FaultClass::Permanent, Blame::Batch),
        FaultCode::ResidueFound => (FaultClass::Transient, Blame::Subject),
        FaultCode::RowCapExceeded | FaultCode::Ambiguous => (FaultClass::Permanent, Blame::Subject),
        // The rest is about the store as a whole; codes of other parts of the fleet do not arise here.
        FaultCode::StoreRefusedLogin
        | FaultCode::StoreForbids
        | FaultCode::TableMissing
        | FaultCode::ColumnMissing
        | FaultCode::StoreReadOnly
        | FaultCode::StoreInternal
        | FaultCode::VendorUnreachable
        | FaultCode::VendorError
        | FaultCode::VendorThrottles
        | FaultCode::VendorRefusedLogin
        | FaultCode::VendorRefused
        | FaultCode::VendorForgot
        | FaultCode::VendorNotFound
        | FaultCode::VendorUnreadable
        | FaultCode::VendorCancelled
        | FaultCode::VendorOverdue
        | FaultCode::NoIdentifierForVendor
        | FaultCode::NotResolvable
        | FaultCode::Panicked
        | FaultCode::NotRead
        | FaultCode::KeyUnknown
        | FaultCode::DeliveryLimit
        | FaultCode::WorkerDies => (FaultClass::Permanent, Blame::Store),
    };
    Fault::new(class, blame, code, source)
}

fn code(error: &Error) -> FaultCode {
    let error = match error {
        Error::NoAnswer => return FaultCode::StoreTimeout,
        Error::Sql(error) => &**error,
    };
    match error {
        sqlx::Error::Database(error) => {
            let code = error.code().unwrap_or_default();
            if error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>().is_some() {
                of_postgres(&code)
            } else {
                of_sqlite(code.parse().unwrap_or(1), error.message())
            }
        }
        // A connection that breaks off in the middle of an answer is told as an answer that breaks the protocol.
        sqlx::Error::Io(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::BeginFailed => FaultCode::StoreUnreachable,
        // All connections are in use, or none can be made: the pool does not say which.
        sqlx::Error::PoolTimedOut => FaultCode::StoreUnreachable,
        sqlx::Error::Encode(_) | sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. } => FaultCode::DataNotFit,
        _ => FaultCode::StoreInternal,
    }
}

/// SQLSTATE: PostgreSQL documentation, appendix A.
fn of_postgres(state: &str) -> FaultCode {
    match state {
        "42P01" | "3F000" => FaultCode::TableMissing,
        "42703" => FaultCode::ColumnMissing,
        "25006" => FaultCode::StoreReadOnly,
        "42501" => FaultCode::StoreForbids,
        "28000" | "28P01" | "3D000" => FaultCode::StoreRefusedLogin,
        "42804" | "42883" => FaultCode::DataNotFit,
        "40001" | "40P01" | "55P03" => FaultCode::StoreBusy,
        "57014" | "25P03" | "25P04" => FaultCode::StoreTimeout,
        "57P01" | "57P02" | "57P03" | "53300" => FaultCode::StoreUnreachable,
        _ => match state.get(..2) {
            Some("08") => FaultCode::StoreUnreachable,
            Some("22") => FaultCode::DataNotFit,
            // A rule of the database's own, written as a trigger or a view's check, speaks of the rows before it, as a constraint.
            Some("23" | "27" | "44" | "P0") => FaultCode::ConstraintHolds,
            Some("40" | "53") => FaultCode::StoreBusy,
            Some(_) | None => FaultCode::StoreInternal,
        },
    }
}

/// Result codes: sqlite.org/rescode.html. What is missing has no code of its own, only a text of SQLite's that begins so.
fn of_sqlite(code: i32, message: &str) -> FaultCode {
    match code & 0xff {
        1 if message.starts_with("no such table") => FaultCode::TableMissing,
        1 if message.starts_with("no such column") || message.contains("has no column named") => FaultCode::ColumnMissing,
        3 | 23 => FaultCode::StoreForbids,
        5 | 6 => FaultCode::StoreBusy,
        8 => FaultCode::StoreReadOnly,
        10 | 14 => FaultCode::StoreUnreachable,
        19 => FaultCode::ConstraintHolds,
        18 | 20 => FaultCode::DataNotFit,
        _ => FaultCode::StoreInternal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_table_blames_the_store_and_a_constraint_the_batch() {
        let missing = of(of_postgres("42P01"), "crm.people");
        assert_eq!((missing.class, missing.blame), (FaultClass::Permanent, Blame::Store));
        assert_eq!(of_sqlite(1, "no such table: main.people"), FaultCode::TableMissing);
        assert_eq!(of(of_sqlite(787, ""), "crm").blame, Blame::Batch);
        assert_eq!(of(of_postgres("23503"), "crm").code, FaultCode::ConstraintHolds);
        assert_eq!(of(of_postgres("P0001"), "crm").blame, Blame::Batch, "raised by a trigger");
    }

    #[test]
    fn waiting_helps_against_locks_and_lost_connections() {
        for code in ["40001", "40P01", "55P03", "57014", "08006", "57P01"] {
            assert_eq!(of(of_postgres(code), "crm").class, FaultClass::Transient, "{code}");
        }
        assert_eq!(of(of_sqlite(517, ""), "crm").class, FaultClass::Transient);
        let broken_off = Error::from(sqlx::Error::Protocol("unexpected end".to_owned()));
        assert_eq!(fault(&broken_off, "crm").code, FaultCode::StoreUnreachable);
    }
}
