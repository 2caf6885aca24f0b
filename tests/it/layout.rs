//! The rules of the code base that a machine can hold: what lies where, who may know whom, which vendor lives in
//! which crate. Each rule is a pure function over [`Workspace`], tried on the real one here and, in [`broken`], on one
//! that breaks it.

mod broken;
mod licences;
mod rules;
mod workspace;

use workspace::Workspace;

#[track_caller]
fn holds(problems: Vec<String>) {
    assert!(problems.is_empty(), "\n  {}\n", problems.join("\n  "));
}

#[test]
fn the_top_level_is_what_the_design_says() {
    holds(rules::top_level(&Workspace::read()));
}

#[test]
fn a_folder_has_the_name_of_its_crate() {
    holds(rules::names(&Workspace::read()));
}

#[test]
fn crates_know_only_whom_they_may_know() {
    holds(rules::edges(&Workspace::read()));
}

#[test]
fn every_vendor_stays_in_its_home() {
    holds(rules::homes(&Workspace::read()));
}

#[test]
fn backoff_is_named_in_one_module() {
    holds(rules::backoff(&Workspace::read()));
}

#[test]
fn every_crate_takes_the_lints_of_the_workspace() {
    holds(rules::lints(&Workspace::read()));
}

#[test]
fn no_file_names_a_path_of_somebodys_machine() {
    holds(rules::machine_paths(&Workspace::read()));
}

#[test]
fn nothing_is_left_for_later_or_ignored() {
    holds(rules::leftovers(&Workspace::read()));
}

#[test]
fn the_readme_is_short_and_names_the_two_commands() {
    holds(rules::readme(&Workspace::read()));
}

#[test]
fn what_we_build_on_has_a_licence_we_allow_and_comes_from_the_registry() {
    holds(licences::problems(&licences::dependencies(), &licences::Allowed::read()));
}
