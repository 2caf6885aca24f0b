//! Licences and sources of everything that is compiled in, for machines without cargo-deny. It reads the same list,
//! `.cargo/deny.toml`.

use std::collections::BTreeSet;

use super::workspace::{array, cargo_metadata, root, text};

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// A package from outside.
pub(super) struct Dependency {
    pub(super) name: String,
    /// An SPDX expression; older packages write `/` for `OR`.
    pub(super) licence: Option<String>,
    /// Where cargo has it from; none for our own.
    pub(super) source: Option<String>,
}

/// The licences that may enter the build.
pub(super) struct Allowed(pub(super) BTreeSet<String>);

impl Allowed {
    pub(super) fn read() -> Self {
        let file = std::fs::read_to_string(root().join(".cargo/deny.toml")).expect(".cargo/deny.toml can be read");
        let table: toml::Table = file.parse().expect(".cargo/deny.toml is TOML");
        let list = table["licenses"]["allow"].as_array().expect("licenses.allow is a list");
        Self(list.iter().filter_map(|id| id.as_str()).map(str::to_owned).collect())
    }
}

/// What is compiled in on this platform: the rest has not been fetched here.
pub(super) fn dependencies() -> Vec<Dependency> {
    let platform = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let metadata = cargo_metadata(&["--filter-platform", &platform]);
    let packages = array(&metadata["packages"]);
    let read = packages.iter().map(|package| Dependency {
        name: text(&package["name"]),
        licence: package["license"].as_str().map(str::to_owned),
        source: package["source"].as_str().map(str::to_owned),
    });
    read.collect()
}

pub(super) fn problems(dependencies: &[Dependency], allowed: &Allowed) -> Vec<String> {
    let outside = dependencies
        .iter()
        .filter_map(|one| one.source.as_ref().map(|source| (one, source)));
    outside
        .flat_map(|(one, source)| [licence_problem(one, allowed), source_problem(one, source)])
        .flatten()
        .collect()
}

fn licence_problem(one: &Dependency, allowed: &Allowed) -> Option<String> {
    match &one.licence {
        None => Some(format!("{} states no licence", one.name)),
        Some(licence) => (!permits(licence, allowed))
            .then(|| format!("{} is under {licence}, which .cargo/deny.toml does not allow", one.name)),
    }
}

fn source_problem(one: &Dependency, source: &str) -> Option<String> {
    (source != CRATES_IO).then(|| format!("{} comes from {source}, not from the registry", one.name))
}

/// Evaluates an SPDX expression: `OR` needs one side, `AND` both, and `AND` binds tighter.
fn permits(expression: &str, allowed: &Allowed) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    let permitted = any_of(&mut rest, allowed);
    permitted && rest.is_empty()
}

fn any_of(rest: &mut &[&str], allowed: &Allowed) -> bool {
    let mut permitted = all_of(rest, allowed);
    while take(rest, "OR") {
        permitted |= all_of(rest, allowed);
    }
    permitted
}

fn all_of(rest: &mut &[&str], allowed: &Allowed) -> bool {
    let mut permitted = one(rest, allowed);
    while take(rest, "AND") {
        permitted &= one(rest, allowed);
    }
    permitted
}

fn one(rest: &mut &[&str], allowed: &Allowed) -> bool {
    if take(rest, "(") {
        let permitted = any_of(rest, allowed);
        return take(rest, ")") && permitted;
    }
    let Some((id, others)) = rest.split_first() else {
        return false;
    };
    *rest = others;
    if !take(rest, "WITH") {
        return allowed.0.contains(*id);
    }
    let Some((exception, others)) = rest.split_first() else {
        return false;
    };
    *rest = others;
    allowed.0.contains(&format!("{id} WITH {exception}"))
}

fn take(rest: &mut &[&str], word: &str) -> bool {
    match rest.split_first() {
        Some((first, others)) if *first == word => {
            *rest = others;
            true
        }
        _ => false,
    }
}
