//! What INFO says of persistence and eviction. Managed services offer no CONFIG, so it is never asked.

use std::fmt;

/// Something about this Redis that an operator should know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Warning {
    /// Neither the append-only file nor snapshots are on: a restart loses the projection. The ledger rebuilds it, which
    /// costs work but no truth.
    NotPersistent,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotPersistent => f.write_str(
                "Redis keeps nothing on disk; after a restart the tracker is rebuilt from the ledger (set appendonly yes)",
            ),
        }
    }
}

/// The value of a field in the text of INFO.
pub(crate) fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .map(str::trim)
}

/// The eviction policy, when it is anything but `noeviction`. A server that does not say counts as evicting.
pub(crate) fn evicting_policy(memory: &str) -> Option<String> {
    let policy = field(memory, "maxmemory_policy").unwrap_or("unknown");
    (policy != "noeviction").then(|| policy.to_owned())
}

/// Whether INFO shows the append-only file, or a snapshot in use.
///
/// INFO does not show whether `save` points are configured; a finished or running snapshot, or changes counted since one,
/// with a size of copy-on-write or a save counter, is the only trace (`rdb_saves`, from Redis 7).
pub(crate) fn is_persistent(persistence: &str) -> bool {
    let number = |name| field(persistence, name).and_then(|it| it.parse::<i64>().ok()).unwrap_or(0);
    number("aof_enabled") == 1 || number("rdb_saves") > 0 || number("rdb_bgsave_in_progress") == 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_noeviction_is_accepted() {
        assert_eq!(
            evicting_policy("# Memory\r\nmaxmemory:0\r\nmaxmemory_policy:noeviction\r\n"),
            None
        );
        assert_eq!(
            evicting_policy("maxmemory_policy:allkeys-lru\r\n").as_deref(),
            Some("allkeys-lru")
        );
        assert_eq!(evicting_policy("").as_deref(), Some("unknown"));
    }

    #[test]
    fn persistence_is_read_from_info() {
        assert!(is_persistent("# Persistence\r\naof_enabled:1\r\n"));
        assert!(is_persistent("aof_enabled:0\r\nrdb_saves:3\r\n"));
        assert!(!is_persistent("aof_enabled:0\r\nrdb_saves:0\r\n"));
        assert!(!is_persistent(""));
    }
}
