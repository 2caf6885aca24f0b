//! Every rule, broken once: a rule that cannot fail holds nothing.

use std::collections::BTreeSet;

use super::{
    licences::{self, Allowed, Dependency},
    rules,
    workspace::{Crate, Needed, Workspace},
};

#[track_caller]
fn says(problems: &[String], wanted: &str) {
    assert!(
        problems.iter().any(|problem| problem.contains(wanted)),
        "nobody says {wanted:?}: {problems:?}"
    );
}

fn real() -> Workspace {
    Workspace::read()
}

fn with_file(path: &str, text: &str) -> Workspace {
    let mut workspace = real();
    workspace.files.insert(path.to_owned(), Some(text.to_owned()));
    workspace
}

fn with_dependency(name: &str, dependency: &str) -> Workspace {
    let mut workspace = real();
    let one = workspace
        .crates
        .iter_mut()
        .find(|one| one.name == name)
        .expect("the crate is there");
    one.dependencies.push(Needed {
        name: dependency.to_owned(),
        by_tests_only: false,
    });
    workspace
}

#[test]
fn a_stray_file_or_a_missing_one_at_the_top_is_seen() {
    says(&rules::top_level(&with_file("notes.md", "")), "notes.md has no place");
    let mut workspace = real();
    workspace.files.remove("LICENSE");
    says(&rules::top_level(&workspace), "LICENSE is missing");
}

#[test]
fn a_crate_of_another_name_or_in_another_place_is_seen() {
    let mut workspace = real();
    workspace.crates.push(Crate {
        name: "erasure-helper".into(),
        folder: "shared/util".into(),
        dependencies: Vec::new(),
    });
    says(&rules::names(&workspace), "shared/util holds erasure-helper");
    workspace.crates.retain(|one| one.name != "erasure-kit");
    says(&rules::names(&workspace), "shared/kit should hold erasure-kit");
}

#[test]
fn a_forbidden_edge_is_seen() {
    says(
        &rules::edges(&with_dependency("erasure-broker", "erasure-tracker")),
        "erasure-broker may not know erasure-tracker",
    );
    says(
        &rules::edges(&with_dependency("erasure-intake", "erasure-stores")),
        "erasure-intake may not know erasure-stores",
    );
    says(
        &rules::edges(&with_dependency("erasure-protocol", "erasure-privacy")),
        "erasure-protocol may not know",
    );
    says(
        &rules::edges(&with_dependency("erasure-api", "erasure-profiles")),
        "erasure-api may not know erasure-profiles",
    );
}

#[test]
fn a_vendor_away_from_home_is_seen() {
    says(
        &rules::homes(&with_dependency("erasure-kit", "lapin")),
        "erasure-kit names lapin",
    );
    says(
        &rules::homes(&with_dependency("erasure-ledger", "sha2")),
        "erasure-ledger names sha2",
    );
    says(
        &rules::homes(&with_dependency("erasure-stores", "anyhow")),
        "erasure-stores names anyhow",
    );
}

#[test]
fn a_second_use_of_backoff_is_seen_and_so_is_none() {
    let text = format!("use {}ExponentialBackoff;", concat!("backoff", "::"));
    says(
        &rules::backoff(&with_file("shared/kit/src/other.rs", &text)),
        "shared/kit/src/other.rs",
    );
    let mut workspace = real();
    workspace.files.remove("shared/protocol/src/retry.rs");
    says(&rules::backoff(&workspace), "alone");
}

#[test]
fn a_crate_with_its_own_lints_is_seen() {
    says(
        &rules::lints(&with_file("shared/kit/Cargo.toml", "[package]\nname = \"erasure-kit\"\n")),
        "shared/kit/Cargo.toml lacks",
    );
}

#[test]
fn a_path_of_one_machine_is_seen_and_relative_ones_are_not() {
    let path = format!("see {}work/notes.md", '/');
    says(
        &rules::machine_paths(&with_file("deploy/notes.md", &path)),
        "deploy/notes.md:1",
    );
    let path = format!("\n`{}home/ann/x`", '/');
    says(
        &rules::machine_paths(&with_file("deploy/notes.md", &path)),
        "deploy/notes.md:2",
    );
    let fine = "./work/x https://example.com/home/ann er.work/{} $dir/work/a";
    assert_eq!(
        rules::machine_paths(&with_file("deploy/notes.md", fine)),
        rules::machine_paths(&real())
    );
}

#[test]
fn something_left_for_later_is_seen() {
    for leftover in [
        concat!("// TO", "DO: later"),
        concat!("// FIX", "ME"),
        concat!("#[ig", "nore]"),
        concat!("#[ig", "nore = \"slow\"]"),
    ] {
        says(
            &rules::leftovers(&with_file("shared/kit/src/x.rs", leftover)),
            "shared/kit/src/x.rs:1",
        );
    }
}

#[test]
fn a_long_readme_or_one_without_the_commands_is_seen() {
    says(&rules::readme(&with_file("README.md", &"line\n".repeat(250))), "250 lines");
    says(&rules::readme(&with_file("README.md", "run ./tests/run")), "./deploy/try");
    says(&rules::readme(&with_file("README.md", "run ./deploy/try")), "./tests/run");
}

fn allowed() -> Allowed {
    Allowed(
        ["MIT", "Apache-2.0", "ISC", "Apache-2.0 WITH LLVM-exception"]
            .map(str::to_owned)
            .into(),
    )
}

fn dependency(licence: &str) -> Dependency {
    Dependency {
        name: "thing".into(),
        licence: Some(licence.into()),
        source: Some("registry+https://github.com/rust-lang/crates.io-index".into()),
    }
}

#[test]
fn a_licence_we_do_not_allow_is_seen() {
    for licence in [
        "GPL-3.0",
        "MIT AND GPL-3.0",
        "ISC AND (GPL-3.0 OR LGPL-2.1)",
        "GPL-3.0 WITH LLVM-exception",
        "",
        "MIT GPL-3.0",
    ] {
        says(&licences::problems(&[dependency(licence)], &allowed()), "does not allow");
    }
    says(
        &licences::problems(
            &[Dependency {
                licence: None,
                ..dependency("")
            }],
            &allowed(),
        ),
        "states no licence",
    );
    says(
        &licences::problems(&[dependency("MIT")], &Allowed(BTreeSet::new())),
        "does not allow",
    );
}

#[test]
fn a_choice_of_licences_needs_one_that_we_allow() {
    for licence in [
        "MIT",
        "GPL-3.0 OR MIT",
        "MIT/GPL-3.0",
        "(MIT OR GPL-3.0) AND ISC",
        "Apache-2.0 WITH LLVM-exception OR GPL-3.0",
    ] {
        assert_eq!(
            licences::problems(&[dependency(licence)], &allowed()),
            Vec::<String>::new(),
            "{licence}"
        );
    }
}

#[test]
fn a_package_from_elsewhere_is_seen() {
    let elsewhere = Dependency {
        source: Some("git+https://example.com/thing".into()),
        ..dependency("MIT")
    };
    says(&licences::problems(&[elsewhere], &allowed()), "not from the registry");
}
