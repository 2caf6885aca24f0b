//! The rules. Each returns what is wrong, in words; nothing when all is well.

use std::collections::BTreeSet;

use super::workspace::{Crate, Needed, Workspace};

/// What lies at the top, dot-files aside.
const TOP_LEVEL: [&str; 9] = [
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "deploy",
    "shared",
    "tests",
    "workers",
];

/// The package that may know everybody, because nobody runs it.
const TESTS: &str = "erasure-tests";

const PROTOCOL: &str = "erasure-protocol";
const PRIVACY: &str = "erasure-privacy";
const BROKER: &str = "erasure-broker";
const TRACKER: &str = "erasure-tracker";
const LEDGER: &str = "erasure-ledger";
const STORES: &str = "erasure-stores";
const KIT: &str = "erasure-kit";
const DRILL: &str = "erasure-drill";
const INTAKE: &str = "erasure-intake";
const PROFILES: &str = "erasure-profiles";
const SEGMENTS: &str = "erasure-segments";
const ANALYTICS: &str = "erasure-analytics";
const SUBPROCESSORS: &str = "erasure-subprocessors";
const RECONCILER: &str = "erasure-reconciler";
const API: &str = "erasure-api";
const FLEET: &str = "erasure";

/// Folder, package, and whom it may know. Arrows point to the protocol, which points nowhere; broker, tracker, ledger
/// and stores do not know each other; intake, reconciler and api know neither stores nor a subsystem. The drill points nowhere.
const CRATES: [(&str, &str, &[&str]); 16] = [
    ("shared/protocol", PROTOCOL, &[]),
    ("shared/drill", DRILL, &[]),
    ("shared/privacy", PRIVACY, &[PROTOCOL]),
    ("shared/broker", BROKER, &[PROTOCOL, DRILL]),
    ("shared/tracker", TRACKER, &[PROTOCOL, DRILL]),
    ("shared/ledger", LEDGER, &[PROTOCOL, DRILL]),
    ("shared/stores", STORES, &[PRIVACY, PROTOCOL, DRILL]),
    ("shared/kit", KIT, &[BROKER, TRACKER, PRIVACY, PROTOCOL, DRILL]),
    (
        "workers/intake",
        INTAKE,
        &[KIT, BROKER, TRACKER, LEDGER, PRIVACY, PROTOCOL, DRILL],
    ),
    ("workers/profiles", PROFILES, &[KIT, STORES, PROTOCOL]),
    ("workers/segments", SEGMENTS, &[KIT, STORES, PROTOCOL]),
    ("workers/analytics", ANALYTICS, &[KIT, STORES, PROTOCOL]),
    // Its vendors' allowances are held by all processes together.
    ("workers/subprocessors", SUBPROCESSORS, &[KIT, TRACKER, PROTOCOL]),
    (
        "workers/reconciler",
        RECONCILER,
        &[BROKER, TRACKER, LEDGER, KIT, PRIVACY, PROTOCOL, DRILL],
    ),
    ("workers/api", API, &[KIT, BROKER, TRACKER, LEDGER, PRIVACY, PROTOCOL]),
    (
        "workers/fleet",
        FLEET,
        &[
            PROTOCOL,
            DRILL,
            PRIVACY,
            BROKER,
            TRACKER,
            LEDGER,
            STORES,
            KIT,
            INTAKE,
            PROFILES,
            SEGMENTS,
            ANALYTICS,
            SUBPROCESSORS,
            RECONCILER,
            API,
        ],
    ),
];

/// Packages from outside that only their homes may name.
const HOMES: [(&str, &[&str]); 22] = [
    ("lapin", &[BROKER]),
    ("redis", &[TRACKER]),
    // The tracker's double runs the tracker's scripts.
    ("mlua", &[TRACKER]),
    ("sqlx", &[LEDGER, STORES]),
    // The ledger's double: the same statements, executed on the caller's thread.
    ("rusqlite", &[LEDGER]),
    ("reqwest", &[SUBPROCESSORS, STORES]),
    ("axum", &[API, FLEET]),
    ("axum-server", &[API, FLEET]),
    ("clap", &[FLEET]),
    ("clap_complete", &[FLEET]),
    ("anyhow", &[FLEET]),
    ("backoff", &[PROTOCOL]),
    // Cryptography has one home; TLS (rustls) is chosen where connections are made.
    ("aws-lc-rs", &[PRIVACY]),
    ("ring", &[]),
    ("aes-gcm", &[]),
    ("blake3", &[]),
    ("hkdf", &[]),
    ("hmac", &[]),
    ("md5", &[]),
    ("sha1", &[]),
    ("sha2", &[]),
    ("openssl", &[]),
];

/// Packages that a crate's own tests may use anywhere.
const FOR_TESTS: [&str; 1] = ["anyhow"];

/// The one module that computes delays with an unmaintained package; see `.cargo/deny.toml`.
const BACKOFF_MODULE: &str = "shared/protocol/src/retry.rs";

/// A newcomer reads all of it, or none.
const README_LINES_MAX: usize = 250;

pub(super) fn top_level(workspace: &Workspace) -> Vec<String> {
    let found: BTreeSet<&str> = workspace
        .files
        .keys()
        .filter_map(|path| path.split('/').next())
        .filter(|name| !name.starts_with('.'))
        .collect();
    let wanted = BTreeSet::from(TOP_LEVEL);
    let extra = found
        .difference(&wanted)
        .map(|name| format!("{name} has no place at the top level"));
    let missing = wanted
        .difference(&found)
        .map(|name| format!("{name} is missing at the top level"));
    extra.chain(missing).collect()
}

pub(super) fn names(workspace: &Workspace) -> Vec<String> {
    let expected = CRATES
        .iter()
        .map(|&(folder, name, _)| (folder, name))
        .chain([("tests", TESTS)]);
    let wanted: BTreeSet<(&str, &str)> = expected.collect();
    let found: BTreeSet<(&str, &str)> = workspace
        .crates
        .iter()
        .map(|one| (one.folder.as_str(), one.name.as_str()))
        .collect();
    let extra = found
        .difference(&wanted)
        .map(|(folder, name)| format!("{folder} holds {name}: not in the design"));
    let missing = wanted
        .difference(&found)
        .map(|(folder, name)| format!("{folder} should hold {name}"));
    extra.chain(missing).collect()
}

pub(super) fn edges(workspace: &Workspace) -> Vec<String> {
    each_dependency(workspace)
        .map(|(from, needed)| (from.name.as_str(), needed.name.as_str()))
        .filter(|(_, to)| is_ours(to))
        .filter(|(from, to)| !CRATES.iter().any(|(_, name, known)| name == from && known.contains(to)))
        .map(|(from, to)| format!("{from} may not know {to}"))
        .collect()
}

pub(super) fn homes(workspace: &Workspace) -> Vec<String> {
    each_dependency(workspace)
        .filter(|(_, needed)| !(needed.by_tests_only && FOR_TESTS.contains(&needed.name.as_str())))
        .filter_map(|(from, needed)| {
            HOMES
                .iter()
                .find(|(vendor, _)| *vendor == needed.name)
                .map(|home| (from, home))
        })
        .filter(|(from, (_, homes))| !homes.contains(&from.name.as_str()))
        .map(|(from, (vendor, homes))| format!("{} names {vendor}, whose home is {homes:?}", from.name))
        .collect()
}

pub(super) fn backoff(workspace: &Workspace) -> Vec<String> {
    let uses = concat!("backoff", "::");
    let found: Vec<&str> = workspace
        .texts(".rs")
        .filter(|(_, text)| names_path(text, uses))
        .map(|(path, _)| path)
        .collect();
    if found == [BACKOFF_MODULE] {
        Vec::new()
    } else {
        vec![format!("backoff belongs in {BACKOFF_MODULE} alone; it is named in {found:?}")]
    }
}

pub(super) fn lints(workspace: &Workspace) -> Vec<String> {
    let manifests = workspace.texts("/Cargo.toml");
    manifests
        .filter(|(_, text)| !takes_lints(text))
        .map(|(path, _)| format!("{path} lacks `[lints] workspace = true`"))
        .collect()
}

pub(super) fn machine_paths(workspace: &Workspace) -> Vec<String> {
    let roots = ["home", "root", "work", "Users", "tmp/tgt"].map(|name| format!("/{name}/"));
    let lines = workspace
        .texts("")
        .flat_map(|(path, text)| text.lines().enumerate().map(move |(at, line)| (path, at + 1, line)));
    lines
        .filter(|(_, _, line)| roots.iter().any(|root| has_path(line, root)))
        .map(|(path, at, _)| format!("{path}:{at} names a path of one machine"))
        .collect()
}

pub(super) fn leftovers(workspace: &Workspace) -> Vec<String> {
    let words = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("#[ig", "nore")];
    let lines = workspace
        .texts(".rs")
        .flat_map(|(path, text)| text.lines().enumerate().map(move |(at, line)| (path, at + 1, line)));
    lines
        .filter_map(|(path, at, line)| {
            words
                .iter()
                .find(|word| line.contains(**word))
                .map(|word| format!("{path}:{at} has {word}"))
        })
        .collect()
}

pub(super) fn readme(workspace: &Workspace) -> Vec<String> {
    let Some(Some(text)) = workspace.files.get("README.md") else {
        return vec!["there is no README.md".to_owned()];
    };
    let lines = text.lines().count();
    let length =
        (lines >= README_LINES_MAX).then(|| format!("README.md has {lines} lines; fewer than {README_LINES_MAX} are wanted"));
    let commands = ["./deploy/try", "./tests/run"]
        .into_iter()
        .filter(|command| !text.contains(command));
    length
        .into_iter()
        .chain(commands.map(|command| format!("README.md does not name {command}")))
        .collect()
}

fn each_dependency(workspace: &Workspace) -> impl Iterator<Item = (&Crate, &Needed)> {
    let held = workspace.crates.iter().filter(|one| one.name != TESTS);
    held.flat_map(|one| one.dependencies.iter().map(move |needed| (one, needed)))
}

fn is_ours(package: &str) -> bool {
    package == FLEET || package.starts_with("erasure-")
}

fn takes_lints(manifest: &str) -> bool {
    let parsed: Option<toml::Table> = manifest.parse().ok();
    parsed.and_then(|table| table.get("lints")?.get("workspace")?.as_bool()) == Some(true)
}

/// Is `needle` there as the beginning of a Rust path, not as the end of a longer name?
fn names_path(text: &str, needle: &str) -> bool {
    text.match_indices(needle)
        .any(|(at, _)| !text[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_' || before == ':'))
}

/// Is there an absolute path below `root`? A relative path or a URL has something before its slash.
fn has_path(line: &str, root: &str) -> bool {
    line.match_indices(root).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + root.len()..].chars().next();
        !before.is_some_and(|c| c.is_alphanumeric() || "._-})]>*".contains(c))
            && after.is_some_and(|c| c.is_alphanumeric() || c == '.')
    })
}
