//! The repository's own conventions, checked: what has to be named in two places is, and files look alike.
//!
//! Each module has one check, and beside it the small broken repositories that show what it finds.

use repository::Repository;

mod equivalents;
mod exercises;
mod experiments;
mod layers;
mod manifests;
mod mistakes;
mod modules;
mod repository;
mod sources;
mod text;

#[track_caller]
fn none(check: fn(&Repository) -> Vec<String>) {
    let faults = check(&Repository::ours());
    let lines: String = faults.iter().map(|fault| format!("  {fault}\n")).collect();
    assert!(faults.is_empty(), "{} to put right:\n{lines}", faults.len());
}

#[test]
fn every_experiment_has_an_entry_and_a_recipe() {
    none(experiments::faults);
}

#[test]
fn every_exercise_is_complete() {
    none(exercises::faults);
}

#[test]
fn every_mistake_is_an_edit_of_its_reference_and_names_its_test() {
    none(mistakes::faults);
}

#[test]
fn every_mutant_that_is_listed_changes_lines_of_its_reference() {
    none(equivalents::faults);
}

#[test]
fn no_modules_import_each_other_in_circles() {
    none(layers::faults);
}

#[test]
fn sources_open_with_their_contract_and_stay_short() {
    none(sources::faults);
}

#[test]
fn merges_are_finished_and_code_blocks_closed() {
    none(text::faults);
}

#[test]
fn every_dependency_has_one_version() {
    none(manifests::faults);
}
