//! Tests that cannot ask this machine: `check` and `verify` say which, and why, and count them as nothing else.

use serde_json::{Value, json};

use crate::checkout::{ADD_SOLVED, Checkout, TWICE_SOLVED};

/// Tests of `twice`: one that prints the line of the crate `testing` and returns, and one that asks.
const TESTS: &str = "\
use std::io::Write;

#[test]
fn doubles() {
    let seen = toy::twice::twice(3);
    assert!(seen == 6, \"twice 3 is 6, not {seen}\");
}

#[test]
fn large() {
    let name = std::thread::current().name().unwrap_or_default().to_owned();
    writeln!(std::io::stdout(), \"skipped: {name}: no large numbers here\").unwrap();
}
";

/// The same without the test that asks.
fn only_large() -> String {
    TESTS.replace("\n#[test]\nfn doubles", "\n#[allow(dead_code)]\nfn doubles")
}

fn with_tests(tests: &str) -> Checkout {
    let checkout = Checkout::new();
    checkout.write("crates/toy/tests/twice.rs", tests);
    checkout
}

/// Their names, which passed, and why they were skipped.
fn tests_of(json: &Value) -> Vec<Value> {
    let tests = json[0]["tests"].as_array().expect("tests").iter();
    tests.map(|test| json!([test["name"], test["passed"], test["message"], test["skipped"]])).collect()
}

#[test]
fn a_skipped_test_is_no_passed_one() {
    let checkout = with_tests(TESTS);
    checkout.solve("twice", TWICE_SOLVED);
    let said = checkout.workbook(&["check", "twice"]);
    said.expect(0, &["✓ toy/twice", "1 of 2 tests pass, 1 skipped", "no large numbers here\n    large\n"]);
    checkout.workbook(&["check", "add", "twice"]).expect(1, &["✓ toy/twice", "done, 1 skipped"]);
    let json = checkout.workbook(&["check", "twice", "--json"]).expect(0, &[]).json();
    let wanted =
        [json!(["doubles", true, null, null]), json!(["large", false, null, "no large numbers here"])];
    assert_eq!((&json[0]["passed"], &tests_of(&json)[..]), (&json!(true), &wanted[..]), "{json}");
}

#[test]
fn a_test_that_fails_beside_a_skipped_one_fails() {
    let checkout = with_tests(TESTS);
    let said = checkout.workbook(&["check", "twice"]);
    said.expect(1, &["✗ toy/twice", "0 of 2 tests pass, 1 skipped", "not yet implemented"]);
    said.without(&["One more fails"]);
}

#[test]
fn an_exercise_whose_tests_are_all_skipped_has_no_verdict() {
    let checkout = with_tests(&only_large());
    checkout.solve("twice", TWICE_SOLVED);
    let said = checkout.workbook(&["check", "twice"]);
    said.expect(1, &["– toy/twice  0 of 1 tests pass, 1 skipped", "Nothing is known of your code"]);
    said.without(&["✓", "✗", "hint", "solution"]);
    checkout.workbook(&["check", "twice", "add"]).expect(1, &["– toy/twice", "not judged"]);
    checkout.workbook(&["solution", "twice"]).expect(1, &["not known to pass"]);
    let said = checkout.workbook(&["why", "twice"]);
    said.expect(1, &["Nothing is known of your code"]).without(&["fails as yours does"]);
    let json = checkout.workbook(&["why", "twice", "--json"]).expect(1, &[]).json();
    assert!(json["error"].as_str().is_some_and(|why| why.contains("no test could ask")), "{json}");
}

#[test]
fn what_cannot_be_asked_here_is_not_what_comes_next() {
    let checkout = with_tests(&only_large());
    let file = "experiments/01-sums/fd-vanishes.rs";
    let skips =
        checkout.read(file).replace("answer(\"agrees\", \"null\", 0)", "answer(\"skipped\", \"null\", 3)");
    checkout.write(file, &skips);
    checkout.workbook(&[]).expect(0, &["Welcome", "fd-vanishes skipped"]);
    let said = checkout.workbook(&[]);
    said.expect(0, &["0 of 3 experiments run", "Next", "check add"]).without(&["Welcome"]);
    checkout.solve("add", ADD_SOLVED);
    checkout.workbook(&["check", "add"]).expect(0, &[]);
    checkout.workbook(&["run", "--all", "--json"]).expect(1, &[]);
    checkout.workbook(&[]).expect(0, &["Next", "check twice"]);
    checkout.workbook(&["check", "twice"]).expect(1, &["1 skipped"]);
    let said = checkout.workbook(&[]);
    said.expect(0, &["1 of 3 experiments run, 1 of 2 exercises done"]);
    said.expect(0, &["All of it is done, except for what this machine cannot be asked."]);
    // It may be another time: with another machine, kernel or answer.
    checkout.solve("twice", TWICE_SOLVED);
    checkout.workbook(&[]).expect(0, &["Next", "check twice"]);
    // What was asked once still counts.
    checkout.write(
        file,
        &skips.replace(
            "code: i32) {",
            "code: i32) { let code = std::env::var(\"CODE\").map_or(code, |code| code.parse().unwrap());",
        ),
    );
    for code in ["0", "3"] {
        let mut command = checkout.command(&["run", "fd-vanishes"]);
        command.env("CODE", code);
        checkout.run(command).expect(0, &[]);
        checkout.workbook(&["status"]).expect(0, &["2 of 3 experiments run"]);
    }
}

#[test]
fn verify_says_which_wrong_answers_it_could_not_judge() {
    let checkout = with_tests(TESTS);
    checkout.mistake("twice", "overflow", "large", "too large", "pub fn twice(a: i32) -> i32 { a + a }");
    let json = checkout.workbook(&["verify", "--json"]).expect(0, &[]).json();
    assert_eq!(json["mistakes"], json!({ "caught": 6, "missed": 0, "skipped": 1 }));
    assert_eq!(json["references"], json!({ "passed": 2, "failed": 0, "skipped": 0 }));
    let skipped = json!([
        "toy/twice: 1 of 2 tests were skipped: large (no large numbers here)",
        "toy/twice: the mistake overflow was not judged, because large was skipped: no large numbers here",
    ]);
    assert_eq!((&json["skipped"], &json["faults"]), (&skipped, &json!([])));
    let said = checkout.workbook(&["verify", "twice"]);
    said.expect(0, &["mistakes: 3 caught, 0 missed, 1 not judged", "the mistake overflow was not judged"]);
    said.expect(0, &["The exercises are proved, except for what this machine cannot be asked."]);
}

#[test]
fn verify_without_a_test_that_asks_proves_nothing() {
    let checkout = with_tests(&only_large());
    let json = checkout.workbook(&["verify", "twice", "--json"]).expect(1, &[]).json();
    assert_eq!(json["references"], json!({ "passed": 0, "failed": 0, "skipped": 1 }));
    assert_eq!(json["starters"], json!({ "failing": 0, "passing": 0, "skipped": 1 }));
    // Its mistakes name a test that there is not any more.
    assert_eq!(json["mistakes"], json!({ "caught": 0, "missed": 3, "skipped": 0 }));
}

/// As the programs of the crate `testing` do it without /proc, before their `main`.
#[test]
fn a_program_can_skip_all_of_its_tests() {
    let all = "
extern \"C\" fn skip_all() {
    if !std::env::args().any(|arg| arg == \"--list\") {
        println!(\"skipped: *: there is no /proc\");
        std::process::exit(0);
    }
}
#[used]
#[unsafe(link_section = \".init_array\")]
static BEFORE_MAIN: extern \"C\" fn() = skip_all;
";
    let checkout = with_tests(&(TESTS.to_owned() + all));
    checkout
        .workbook(&["check", "twice"])
        .expect(1, &["0 of 2 tests pass, 2 skipped", "there is no /proc\n"]);
    let json = checkout.workbook(&["check", "twice", "--json"]).expect(1, &[]).json();
    let wanted = ["doubles", "large"].map(|name| json!([name, false, null, "there is no /proc"]));
    assert_eq!(tests_of(&json), wanted);
}

#[test]
fn a_skipped_test_that_runs_alone_is_skipped_too() {
    let checkout =
        with_tests(&TESTS.replace("let seen", "std::process::exit(0); #[allow(unreachable_code)] let seen"));
    checkout.solve("twice", TWICE_SOLVED);
    let json = checkout.workbook(&["check", "twice", "--json"]).expect(1, &[]).json();
    assert_eq!(tests_of(&json)[1], json!(["large", false, null, "no large numbers here"]), "{json}");
    checkout.solve("add", ADD_SOLVED);
    checkout.workbook(&["check", "add"]).expect(0, &["4 of 4 tests pass"]).without(&["skipped"]);
}
