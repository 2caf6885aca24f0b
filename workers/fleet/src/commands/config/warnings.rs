//! Settings that contradict each other, or are likely not meant.

use crate::assemble::Fleet;
use crate::config::Config;
use erasure_protocol::SubsystemName;
use std::collections::BTreeSet;

/// So many hours in a day.
const DAY_HOURS: u64 = 24;
/// The shortest time limit of any regulation, in hours.
const SHORTEST_LIMIT_HOURS: u64 = 28 * DAY_HOURS;

/// What somebody should look at, in sentences.
pub(super) fn of(fleet: &Fleet) -> Vec<String> {
    let stores: BTreeSet<&str> = fleet.map.sections.values().map(|section| section.store.as_str()).collect();
    let all = [
        unused_stores(&fleet.config, &stores),
        unused_subsystems(&fleet.config, &fleet.subsystem_names()),
        unknown_tenants(&fleet.config),
        given_twice(&fleet.config),
        contradictions(&fleet.config),
    ];
    all.into_iter().flatten().collect()
}

fn unused_stores(config: &Config, used: &BTreeSet<&str>) -> Vec<String> {
    let unused = config.store.keys().filter(|name| !used.contains(name.as_str()));
    unused
        .map(|name| format!("[store.{name}] is used by no subsystem of the data map: nothing is erased there"))
        .collect()
}

fn unused_subsystems(config: &Config, known: &BTreeSet<SubsystemName>) -> Vec<String> {
    let unused = config.subsystem.keys().filter(|name| !known.contains(name));
    unused
        .map(|name| format!("[subsystem.{name}] is no subsystem of the data map: it does nothing"))
        .collect()
}

fn unknown_tenants(config: &Config) -> Vec<String> {
    let mut found = Vec::new();
    for (name, producer) in &config.producer {
        if producer.tenants.is_empty() {
            found.push(format!("[producer.{name}] names no tenant: all that it sends is refused"));
        }
        let unknown = producer.tenants.iter().filter(|tenant| !config.tenant.contains_key(tenant));
        found.extend(unknown.map(|tenant| format!("[producer.{name}] names tenant {tenant}, which is not declared")));
    }
    for (name, token) in &config.http.tokens {
        let unknown = token.tenants.iter().filter(|tenant| !config.tenant.contains_key(tenant));
        found.extend(unknown.map(|tenant| format!("[http.tokens.{name}] names tenant {tenant}, which is not declared")));
    }
    found
}

/// A secret as a value and as a file: only one of them counts, and the other may be an old one.
fn given_twice(config: &Config) -> Vec<String> {
    let broker = (!config.broker.url.is_empty() && config.broker.url_file.is_some()).then(|| "broker".to_owned());
    let stores = config
        .store
        .iter()
        .filter(|(_, store)| !store.url.is_empty() && store.url_file.is_some());
    let stores = stores.map(|(name, _)| format!("store.{name}"));
    broker
        .into_iter()
        .chain(stores)
        .map(|part| format!("{part}.url and {part}.url_file are both given: the file counts"))
        .collect()
}

fn contradictions(config: &Config) -> Vec<String> {
    let (tracker, reconciler) = (&config.tracker, &config.reconciler);
    let longest_wait_ms = config.retry.rungs.last().map_or(0, |rung| rung.0);
    let rules = [
        (
            u64::from(tracker.final_ttl_days) > reconciler.keep_finished_days,
            "tracker.final_ttl_days is longer than reconciler.keep_finished_days: the ledger forgets first",
        ),
        (
            reconciler.at_risk_hours >= SHORTEST_LIMIT_HOURS,
            "reconciler.at_risk_hours is as long as the time limit itself: every request is at risk from the start",
        ),
        (
            longest_wait_ms > DAY_HOURS * 3_600_000,
            "retry.rungs waits longer than a day: a store that is back would not be asked for as long",
        ),
        (
            config.worker.hold_s * 1_000 >= tracker.lease_ms,
            "worker.hold_s is as long as tracker.lease_ms: work is held beyond its lease",
        ),
        (
            reconciler.stalled_after_ms < u64::from(config.broker.heartbeat_s) * 1_000,
            "reconciler.stalled_after_ms is shorter than broker.heartbeat_s: work may be sent again while its worker is well",
        ),
        (
            config.http.token.is_none() && config.http.token_file.is_none() && config.http.tokens.is_empty(),
            "[http] has no token: the role api cannot start",
        ),
        (
            config.subprocessors.vendors.is_empty(),
            "[subprocessors] names no vendor: nobody outside this company is told",
        ),
    ];
    rules
        .into_iter()
        .filter(|(holds, _)| *holds)
        .map(|(_, sentence)| sentence.to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str =
        "[broker]\nurl = \"amqp://u:p@h/v\"\n[tracker]\n[ledger]\n[keys]\nfile = \"k\"\n[map]\nfile = \"m\"\n[tenant.acme]\n";

    fn config(more: &str) -> Config {
        toml::from_str(&format!("{BASE}{more}")).unwrap()
    }

    #[test]
    fn the_defaults_do_not_contradict_each_other() {
        let found = contradictions(&config("[http]\ntoken = \"t\"\n"));
        assert_eq!(
            found,
            ["[subprocessors] names no vendor: nobody outside this company is told"]
        );
    }

    #[test]
    fn what_names_nothing_is_told() {
        let config = config("[producer.crm]\ntenants = [\"globex\"]\n[producer.idle]\n[store.old]\nurl = \"sqlite:a\"\n");
        let found = [unknown_tenants(&config), unused_stores(&config, &BTreeSet::new())]
            .concat()
            .join("\n");
        for part in ["tenant globex", "[producer.idle]", "[store.old]"] {
            assert!(found.contains(part), "{found}");
        }
    }

    #[test]
    fn a_secret_given_twice_is_told() {
        let found = given_twice(&config("[store.crm]\nurl = \"sqlite:a\"\nurl_file = \"b\"\n"));
        assert_eq!(
            found,
            ["store.crm.url and store.crm.url_file are both given: the file counts"]
        );
    }
}
