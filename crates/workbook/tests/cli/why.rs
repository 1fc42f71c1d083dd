//! `why`: the known wrong answers that fail as the reader's does, and when their code is shown.

use serde_json::{Value, json};

use crate::checkout::{ADD_SOLVED, Checkout, TWICE_SOLVED};
use crate::tool::names;

/// The test doubles 3, and three mistakes give another number for that.
fn always(number: u32) -> String {
    format!("/// Two times.\npub fn twice(a: i32) -> i32 {{\n    let _ = a;\n    {number}\n}}\n")
}

fn why(checkout: &Checkout) -> Value {
    checkout.workbook(&["why", "twice", "--json"]).expect(0, &[]).json()
}

#[test]
fn an_answer_that_fails_like_a_known_one_gets_its_sentence() {
    let checkout = Checkout::new();
    checkout.solve("twice", &always(3));
    // Its neighbors fail with other numbers.
    let said = checkout.workbook(&["check", "twice"]);
    said.expect(1, &["twice 3 is 6, not 3", "A known wrong answer fails like this: ", "why twice"]);
    let said = checkout.workbook(&["why", "twice"]);
    said.expect(
        0,
        &["toy/twice fails as these wrong answers do", "once", "It is wrong: once.", "why twice --anyway"],
    );
    said.without(&["square", "nil", "a + a", "-pub fn"]);
    let open = checkout.workbook(&["why", "twice", "--anyway"]);
    open.expect(0, &["It is wrong: once.", "-    a + a", "+pub fn twice(a: i32) -> i32 { a }"]);
    open.without(&["--anyway", "square"]);
}

#[test]
fn json_has_what_the_mistake_says_and_its_diff_when_it_may_be_seen() {
    let checkout = Checkout::new();
    checkout.solve("twice", &always(3));
    let once = json!({
        "name": "once",
        "sentence": "It is wrong: once.",
        "caught_by": "doubles",
        "message": "not 3",
        "diff": null,
    });
    assert_eq!(why(&checkout), json!({ "name": "toy/twice", "passed": false, "mistakes": [once] }));
    let open = checkout.workbook(&["why", "twice", "--anyway", "--json"]).expect(0, &[]).json();
    let diff = open["mistakes"][0]["diff"].as_str().expect("a diff");
    assert!(diff.contains("-    a + a\n") && diff.contains("\n+pub fn twice"), "{diff}");
}

#[test]
fn once_it_has_passed_the_code_is_shown() {
    let checkout = Checkout::new();
    checkout.solve("twice", &always(3));
    checkout.workbook(&["check", "twice"]).expect(1, &[]);
    checkout.solve("twice", TWICE_SOLVED);
    checkout.workbook(&["check", "twice"]).expect(0, &[]);
    let said = checkout.workbook(&["why", "twice"]);
    said.expect(0, &["toy/twice passes. Before, it failed as these", "It is wrong: once.", "-    a + a"]);
    // It still has passed when it fails once more.
    checkout.solve("twice", &always(9));
    let said = checkout.workbook(&["why", "twice"]);
    said.expect(0, &["fails as these", "It is wrong: square.", "-    a + a"]).without(&["once", "--anyway"]);
}

#[test]
fn a_hang_is_like_a_known_one_whose_test_was_not_run() {
    let checkout = Checkout::new();
    // `no_sign` is known to fail `negative` with these words, and `first_only` to fail `small_numbers` with others.
    checkout.add_does(
        "if a == i32::MAX { panic!(\"it hung: is the sign lost?\") }
        if b != 1 { panic!(\"not run: the helper of another test hung\") }",
    );
    let json = checkout.workbook(&["why", "add", "--json"]).expect(0, &[]).json();
    assert_eq!(names(&json["mistakes"], "name"), ["no_sign"], "{json}");
}

#[test]
fn a_file_that_has_changed_is_checked_first() {
    let checkout = Checkout::new();
    checkout.solve("twice", &always(3));
    assert_eq!(names(&why(&checkout)["mistakes"], "name"), ["once"], "it has never been checked");
    checkout.solve("twice", &always(0));
    assert_eq!(names(&why(&checkout)["mistakes"], "name"), ["nil"]);
    checkout.solve("twice", TWICE_SOLVED);
    let passes = why(&checkout);
    assert_eq!((&passes["passed"], &passes["mistakes"][0]["name"]), (&json!(true), &json!("nil")));
    // An answer that passes with the first check has no history.
    checkout.solve("add", ADD_SOLVED);
    checkout.workbook(&["why", "add"]).expect(0, &["toy/add passes, and no known wrong answer failed"]);
}

#[test]
fn an_answer_that_fails_like_no_other_gets_the_way_to_a_hint() {
    let checkout = Checkout::new();
    let said = checkout.workbook(&["check", "twice"]);
    said.expect(1, &["hint twice"]).without(&["known wrong", "why"]);
    let said = checkout.workbook(&["why", "twice"]);
    said.expect(0, &["No known wrong answer to toy/twice fails as yours does", "hint twice"]);
    assert_eq!(why(&checkout), json!({ "name": "toy/twice", "passed": false, "mistakes": [] }));
}

#[test]
fn what_cannot_be_checked_has_no_answer() {
    let checkout = Checkout::new();
    checkout.solve("twice", "pub fn twice() {");
    for _ in 0..2 {
        checkout.workbook(&["why", "twice"]).expect(1, &["error", "toy/twice does not compile"]);
        let json = checkout.workbook(&["why", "twice", "--json"]).expect(1, &[]).json();
        assert!(json["error"].as_str().is_some_and(|error| error.contains("could not compile")), "{json}");
    }
    checkout.workbook(&["why", "twicee"]).expect(2, &["Did you mean `twice`?"]);
}
