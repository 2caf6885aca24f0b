//! The tables, as numbered migrations that only ever grow at the end.
//!
//! `{blob}`, `{identity}` and `{without_rowid}` stand for what the two databases call differently. Times are milliseconds since
//! 1970, flags 0 or 1, keys of requests 16 bytes. A migration must leave what the version before it reads and writes in place: one
//! version back runs on the newer schema.

/// One step.
pub(crate) struct Migration {
    /// For both databases.
    pub(crate) both: &'static [&'static str],
    /// Only for SQLite, afterwards.
    pub(crate) sqlite: &'static [&'static str],
}

/// The migration with number n is at n - 1.
pub(crate) const MIGRATIONS: &[Migration] = &[
    Migration {
        both: FIRST,
        sqlite: FIRST_SQLITE,
    },
    Migration {
        both: &["ALTER TABLE subsystem_evidence ADD COLUMN map {blob}"],
        sqlite: &[],
    },
];

/// The newest version that this software writes for.
pub(crate) fn newest() -> u32 {
    u32::try_from(MIGRATIONS.len()).unwrap_or(u32::MAX)
}

/// The tables whose rows belong to one request, by the column `request`, as long as there is the request. What is undispatched is not
/// one of them: it goes when the request ends.
pub(crate) const OF_A_REQUEST: &[&str] = &["request_part", "slice", "subject_hash", "report", "dispatch", "evidence"];

/// The tables in which a running fleet inserts, updates and deletes.
pub(crate) const WORKING_TABLES: &[&str] = &[
    "subsystem",
    "subsystem_evidence",
    "request",
    "request_part",
    "plan_entry",
    "slice",
    "subject_hash",
    "report",
    "dispatch",
    "undispatched",
    "evidence",
    "outbox",
    "parked",
];

// Without foreign keys: whoever writes what belongs to a request holds the request in the same transaction, and what takes a request
// away takes the tables in `OF_A_REQUEST` as well. A foreign key would look the request up once more for each row.
const FIRST: &[&str] = &[
    "CREATE TABLE ledger_meta (one BIGINT PRIMARY KEY CHECK (one = 1), ledger TEXT NOT NULL, seq BIGINT NOT NULL)",
    "CREATE TABLE subsystem (name TEXT PRIMARY KEY, kind TEXT NOT NULL, evidence {blob} NOT NULL, retired BIGINT NOT NULL)",
    "CREATE TABLE subsystem_evidence (name TEXT NOT NULL, evidence {blob} NOT NULL, since BIGINT NOT NULL, \
     PRIMARY KEY (name, evidence))",
    "CREATE TABLE request (id {blob} PRIMARY KEY, tenant TEXT NOT NULL, request_id TEXT NOT NULL, operation TEXT NOT NULL, \
     options TEXT NOT NULL, source TEXT NOT NULL, origin TEXT NOT NULL, ticket TEXT, regulation TEXT NOT NULL, \
     received_at BIGINT NOT NULL, accepted_at BIGINT NOT NULL, due_at BIGINT NOT NULL, lane TEXT NOT NULL, state TEXT NOT NULL, \
     plan {blob} NOT NULL, plan_version BIGINT NOT NULL, slices BIGINT NOT NULL, subjects BIGINT NOT NULL, data_key_id TEXT, data_key {blob}, \
     generation BIGINT NOT NULL DEFAULT 1, overdue BIGINT NOT NULL DEFAULT 0, \
     at_risk BIGINT NOT NULL DEFAULT 0, finished_at BIGINT, verified_at BIGINT, \
     software TEXT, confirmations TEXT, UNIQUE (request_id, tenant))",
    "CREATE INDEX request_open ON request (id) WHERE finished_at IS NULL",
    "CREATE INDEX request_open_by_plan ON request (plan, id) WHERE finished_at IS NULL",
    "CREATE INDEX request_due ON request (due_at) WHERE finished_at IS NULL AND overdue = 0",
    "CREATE INDEX request_finished ON request (finished_at) WHERE finished_at IS NOT NULL",
    "CREATE TABLE request_part (request {blob} NOT NULL, number BIGINT NOT NULL, \
     last BIGINT NOT NULL, fingerprint {blob} NOT NULL, PRIMARY KEY (request, number))",
    // A plan is known by an id made of what it says, and is never changed: requests share it, and one that is extended gets another.
    "CREATE TABLE plan_entry (plan {blob} NOT NULL, position BIGINT NOT NULL, phase TEXT NOT NULL, subsystem TEXT NOT NULL, \
     evidence {blob} NOT NULL, live BIGINT NOT NULL, PRIMARY KEY (plan, position))",
    "CREATE TABLE slice (request {blob} NOT NULL, number BIGINT NOT NULL, \
     count BIGINT NOT NULL, sealed {blob}, PRIMARY KEY (request, number))",
    "CREATE TABLE subject_hash (hash {blob} NOT NULL, request {blob} NOT NULL, slice BIGINT NOT NULL, position BIGINT NOT NULL, \
     key_id TEXT NOT NULL, PRIMARY KEY (hash, request, slice, position)){without_rowid}",
    "CREATE INDEX subject_hash_by_request ON subject_hash (request)",
    "CREATE TABLE report (request {blob} NOT NULL, entry BIGINT NOT NULL, \
     slice BIGINT NOT NULL, ordinal BIGINT NOT NULL, kind TEXT NOT NULL, tasks {blob} NOT NULL, code TEXT, source TEXT, \
     class TEXT, blame TEXT, retry_after_ms BIGINT, attempt BIGINT NOT NULL, due_at BIGINT, ground TEXT, sealed {blob}, \
     at BIGINT NOT NULL, PRIMARY KEY (request, entry, slice, ordinal))",
    "CREATE INDEX report_pending ON report (due_at) WHERE kind = 'pending'",
    "CREATE INDEX report_failed ON report (request, entry, slice, ordinal) WHERE kind = 'failed'",
    // Which entries a slice was sent to, and how often, all in one row: most slices are sent to all of them at once. See `Sent`.
    "CREATE TABLE dispatch (request {blob} NOT NULL, slice BIGINT NOT NULL, sent {blob} NOT NULL, last_at BIGINT, \
     PRIMARY KEY (request, slice)){without_rowid}",
    // Running requests with something that was never sent. A table of its own, because the row of a request has many indexes, all
    // of which are written again when a column of any of them changes. Large are those of more than one slice.
    "CREATE TABLE undispatched (large BIGINT NOT NULL, accepted_at BIGINT NOT NULL, request {blob} NOT NULL, \
     PRIMARY KEY (large, accepted_at, request)){without_rowid}",
    "CREATE TABLE evidence (request {blob} NOT NULL, entry BIGINT NOT NULL, \
     slice BIGINT NOT NULL, letter TEXT NOT NULL, tasks {blob} NOT NULL, verified_at BIGINT NOT NULL, \
     PRIMARY KEY (request, entry, slice, letter))",
    "CREATE TABLE outbox (position {identity}, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, routing_key TEXT NOT NULL, \
     body {blob} NOT NULL, created_at BIGINT NOT NULL, sent_at BIGINT)",
    "CREATE INDEX outbox_unsent ON outbox (position) WHERE sent_at IS NULL",
    "CREATE TABLE parked (id TEXT PRIMARY KEY, tenant TEXT, queue TEXT NOT NULL, code TEXT NOT NULL, field TEXT, sealed {blob}, \
     at BIGINT NOT NULL, expires_at BIGINT NOT NULL, state TEXT NOT NULL)",
    "CREATE INDEX parked_expiry ON parked (expires_at)",
    "CREATE TABLE act (id TEXT PRIMARY KEY, at BIGINT NOT NULL, actor TEXT NOT NULL, role TEXT NOT NULL, kind TEXT NOT NULL, \
     target TEXT NOT NULL, reason TEXT NOT NULL, payload TEXT NOT NULL, result TEXT NOT NULL)",
    "CREATE INDEX act_by_target ON act (target, at)",
];

// On PostgreSQL the grants say the same: the run roles may only insert and read.
const FIRST_SQLITE: &[&str] = &[
    "CREATE TRIGGER act_is_not_changed BEFORE UPDATE ON act BEGIN SELECT RAISE(ABORT, 'acts are never changed'); END",
    "CREATE TRIGGER act_is_not_deleted BEFORE DELETE ON act BEGIN SELECT RAISE(ABORT, 'acts are never deleted'); END",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_with_rows_of_a_request_is_emptied_with_it() {
        let tables = MIGRATIONS.iter().flat_map(|it| it.both).filter(|text| {
            let columns = text.replace('(', ", ");
            text.starts_with("CREATE TABLE") && columns.contains(", request {blob}")
        });
        let names = tables.filter_map(|text| text.split(' ').nth(2));
        let names: Vec<_> = names.filter(|name| *name != "undispatched").collect();
        assert_eq!(names, OF_A_REQUEST, "in the order of the schema");
    }
}
