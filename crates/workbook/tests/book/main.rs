//! What the book promises its reader, checked on the pages and on what mdBook makes of them.
//!
//! Each module has one check, and beside it the small broken books that show what it finds.

use std::path::Path;
use std::sync::LazyLock;

use checkout::{Checkout, Fault};
use render::Rendered;

mod checkout;
mod conformance;
mod coverage;
mod evidence;
mod figures;
mod includes;
mod links;
mod network;
mod pages;
mod prose;
mod render;
mod scratch;

static OURS: LazyLock<Checkout> = LazyLock::new(|| Checkout::of(Path::new("../..")));
static BUILT: LazyLock<Rendered> = LazyLock::new(|| Rendered::of(&OURS));

/// Shows everything that is wrong at once.
#[track_caller]
fn none(faults: &[Fault]) {
    assert!(!OURS.pages.is_empty(), "book/src has no page");
    let lines: String = faults.iter().map(|fault| format!("  {fault}\n")).collect();
    assert!(faults.is_empty(), "{} to put right:\n{lines}", faults.len());
}

/// The same for a check of what mdBook made of the pages.
#[track_caller]
fn none_built(check: fn(&Checkout, &Rendered) -> Vec<Fault>) {
    assert!(!BUILT.files.is_empty(), "the book does not build: {}", BUILT.log.join("\n"));
    none(&check(&OURS, &BUILT));
}

#[test]
fn the_book_builds_without_a_word() {
    none(&render::faults(&OURS, &BUILT));
}

#[test]
fn every_include_names_what_there_is() {
    none(&includes::faults(&OURS));
}

#[test]
fn every_link_leads_somewhere() {
    none_built(links::faults);
}

#[test]
fn every_picture_has_words() {
    none_built(figures::faults);
}

#[test]
fn every_experiment_and_exercise_is_on_a_page() {
    none(&coverage::faults(&OURS));
}

#[test]
fn nothing_is_fetched_from_the_network() {
    none_built(network::faults);
}

#[test]
fn tables_of_what_others_do_have_verdicts_and_tests() {
    none(&conformance::faults(&OURS));
}

#[test]
fn evidence_shows_what_it_says() {
    none_built(evidence::faults);
}

#[test]
fn pages_are_named_short_and_use_every_figure() {
    none(&pages::faults(&OURS));
}

#[test]
fn prose_has_no_weasel_words() {
    none(&prose::faults(&OURS));
}
