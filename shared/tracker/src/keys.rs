//! The names of all keys. One request's keys, its partition's want stream and its outbox share one hash tag, so that one
//! script may touch them all in a Redis Cluster.

use erasure_protocol::{LedgerId, RequestKey, SubsystemName};

/// Makes keys: `<prefix>:<first 8 digits of the ledger id>:{<partition>}:…`. Another ledger simply has no such keys.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    stem: String,
    partitions: u16,
}

impl Keys {
    pub(crate) fn new(prefix: &str, ledger: LedgerId, partitions: u16) -> Self {
        let id = ledger.0.simple().to_string();
        let short = id.get(..8).unwrap_or(&id);
        Self {
            stem: format!("{prefix}:{short}"),
            partitions: partitions.max(1),
        }
    }

    /// The partition of a request: FNV-1a of its key.
    pub(crate) fn partition(&self, request: RequestKey) -> u16 {
        let bytes = request.as_uuid().into_bytes();
        let hash = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
        });
        u16::try_from(hash % u64::from(self.partitions)).unwrap_or(0)
    }

    pub(crate) fn partitions(&self) -> std::ops::Range<u16> {
        0..self.partitions
    }

    /// The header of a request, a hash.
    pub(crate) fn header(&self, request: RequestKey) -> String {
        format!("{}:{{{}}}:{}", self.stem, self.partition(request), request.as_uuid().simple())
    }

    /// The evidence of a request of several slices, a hash.
    pub(crate) fn bits(&self, request: RequestKey) -> String {
        format!("{}:b", self.header(request))
    }

    /// Requests that somebody met and the tracker did not know, a stream.
    pub(crate) fn want(&self, partition: u16) -> String {
        format!("{}:{{{partition}}}:want", self.stem)
    }

    /// Requests that became complete, a stream.
    pub(crate) fn outbox(&self, partition: u16) -> String {
        format!("{}:{{{partition}}}:out", self.stem)
    }

    /// What concerns the whole ledger, a hash.
    pub(crate) fn meta(&self) -> String {
        format!("{}:meta", self.stem)
    }

    /// What a vendor allows: its places, a sorted set, and the state of all of them, a hash. They belong to no request, and have a
    /// hash tag of their own.
    pub(crate) fn allowance(&self, subsystem: &SubsystemName, vendor: &str) -> Vec<String> {
        let stem = format!("{}:{{vendor.{subsystem}.{vendor}}}", self.stem);
        vec![format!("{stem}:places"), format!("{stem}:state")]
    }

    /// The plans of a partition's requests by their id, a hash.
    pub(crate) fn plans(&self, partition: u16) -> String {
        format!("{}:{{{partition}}}:plans", self.stem)
    }

    /// Raised by every script, a hash.
    fn sequence(&self, partition: u16) -> String {
        format!("{}:{{{partition}}}:seq", self.stem)
    }

    /// The keys of a partition that a script on its requests may touch, in the order the scripts expect.
    pub(crate) fn of_partition(&self, partition: u16) -> [String; 4] {
        [
            self.want(partition),
            self.outbox(partition),
            self.plans(partition),
            self.sequence(partition),
        ]
    }

    /// The keys of one request, in the order the scripts expect.
    pub(crate) fn of(&self, request: RequestKey) -> [String; 2] {
        let header = self.header(request);
        let bits = format!("{header}:b");
        [header, bits]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn all_keys_of_a_request_share_a_hash_tag() {
        let keys = Keys::new("er", LedgerId(Uuid::from_u128(7 << 100)), 16);
        let request = RequestKey::from_uuid(Uuid::from_u128(99));
        let tag = |key: &str| key.split(['{', '}']).nth(1).map(str::to_owned);
        let all = [&keys.of(request)[..], &keys.of_partition(keys.partition(request))].concat();
        let tags: Vec<_> = all.iter().map(|key| tag(key)).collect();
        assert!(
            tags.iter().all(|it| *it == Some(keys.partition(request).to_string())),
            "{tags:?}"
        );
    }

    #[test]
    fn requests_spread_over_the_partitions() {
        let keys = Keys::new("er", LedgerId(Uuid::nil()), 16);
        let used: std::collections::BTreeSet<_> = (0..500u128)
            .map(|n| keys.partition(RequestKey::from_uuid(Uuid::from_u128(n << 40))))
            .collect();
        assert_eq!(used.len(), 16);
    }
}
