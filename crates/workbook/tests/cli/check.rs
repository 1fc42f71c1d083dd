//! `check`: what passes, what fails, and how that is said.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, SystemTime};

use crate::checkout::{ADD_SOLVED, Checkout, TWICE_SOLVED};
use crate::tool::names;

fn done(checkout: &Checkout) -> Vec<bool> {
    let list = checkout.workbook(&["list", "--json"]).json();
    list["exercises"].as_array().expect("a list").iter().map(|e| e["done"] == true).collect()
}

#[test]
fn a_right_answer_passes_and_is_done_until_something_changes() {
    let checkout = Checkout::new();
    assert_eq!(done(&checkout), [false, false]);
    checkout.solve("add", ADD_SOLVED);
    // The ignored test counts neither way, and one that panics as it should passes.
    checkout.workbook(&["check", "add"]).expect(0, &["✓ toy/add", "4 of 4 tests pass", "solution add"]);
    assert_eq!(done(&checkout), [true, false]);
    let tests = checkout.read("crates/toy/tests/add.rs");
    checkout.write("crates/toy/tests/add.rs", &(tests.clone() + "\n// one more thought\n"));
    assert_eq!(done(&checkout), [false, false], "the tests changed");
    checkout.write("crates/toy/tests/add.rs", &tests);
    checkout.solve("add", &(ADD_SOLVED.to_owned() + "// another answer\n"));
    assert_eq!(done(&checkout), [false, false], "the answer changed");
    checkout.solve("add", ADD_SOLVED);
    assert_eq!(done(&checkout), [true, false], "all is as it was when it passed");
}

#[test]
fn the_first_failing_test_comes_whole_and_the_rest_as_a_count() {
    let checkout = Checkout::new();
    let said = checkout.workbook(&["check", "toy/add"]);
    said.expect(1, &["✗ toy/add", "0 of 4 tests pass", "small_numbers", "not yet implemented: add 1 and 2"]);
    said.expect(1, &["crates/toy/exercises/add.rs:5:5", "3 more fail.", "hint add"]);
    said.without(&["negative", "too_large", "not_here", "RUST_BACKTRACE", "src/.."]);

    checkout.solve(
        "add",
        "pub fn add(a: i32, b: i32) -> i32 {\n    a.checked_add(b).expect(\"overflow\").abs()\n}\n",
    );
    let said = checkout.workbook(&["check", "add"]);
    // Its name begins as another's does, and the other one passes.
    said.expect(1, &["3 of 4 tests pass", "negative", "-1 and -2 make -3, not 3: is the sign lost?"]);
    said.expect(1, &["crates/toy/tests/add.rs:"]).without(&["more fail"]);

    checkout.solve("add", "pub fn add(a: i32, b: i32) -> i32 {\n    let _ = b;\n    a\n}\n");
    checkout
        .workbook(&["check", "add"])
        .expect(1, &["0 of 4 tests pass", "1 and 2 make 3, not 1", "3 more fail"]);
}

#[test]
fn json_has_every_test_in_the_order_of_the_source() {
    let checkout = Checkout::new();
    checkout.solve("add", "pub fn add(a: i32, b: i32) -> i32 {\n    a.saturating_add(b)\n}\n");
    let said = checkout.workbook(&["check", "add", "--json"]);
    let json = said.expect(1, &[]).json();
    let [add] = &json.as_array().expect("an array")[..] else { panic!("{json}") };
    assert_eq!((&add["name"], &add["passed"]), (&"toy/add".into(), &false.into()));
    assert!(add["seconds"].as_f64().is_some_and(|seconds| seconds > 0.0), "{json}");
    assert_eq!(
        names(&add["tests"], "name"),
        ["small_numbers", "negative", "negative_and_positive", "too_large"]
    );
    let [.., good, bad] = &add["tests"].as_array().expect("an array")[..] else { panic!("{json}") };
    assert!(good["passed"] == true && good["message"].is_null(), "{json}");
    assert!(
        bad["passed"] == false && bad["message"].as_str().is_some_and(|m| m.contains("did not panic")),
        "{json}"
    );
}

#[test]
fn without_a_name_every_exercise_has_its_line() {
    let checkout = Checkout::new();
    checkout.solve("twice", TWICE_SOLVED);
    let said = checkout.workbook(&["check"]);
    said.expect(1, &["✗ toy/add", "not begun", "✓ toy/twice", "done"]).without(&["not yet implemented"]);
    checkout.solve("add", "pub fn add(a: i32) -> i32 {");
    checkout
        .workbook(&["check", "add", "twice"])
        .expect(1, &["✗ toy/add", "does not compile", "✓ toy/twice"]);
    checkout.solve("add", ADD_SOLVED);
    let json = checkout.workbook(&["check", "--json"]).expect(0, &[]).json();
    assert_eq!(names(&json, "name"), ["toy/add", "toy/twice"]);
}

#[test]
fn a_compile_error_is_shown_as_rustc_wrote_it() {
    let checkout = Checkout::new();
    checkout.solve("add", "pub fn add(a: i32, b: i32) -> i32 {\n    \"three\"\n}\n");
    let said = checkout.workbook(&["check", "add"]);
    said.expect(
        1,
        &["error[E0308]: mismatched types", "exercises/add.rs:2:5", "expected `i32`, found `&str`"],
    );
    said.expect(1, &["✗ toy/add does not compile"]).without(&["tests pass"]);
    let json = checkout.workbook(&["check", "add", "--json"]).expect(1, &[]).json();
    assert!(json[0]["error"].as_str().is_some_and(|error| error.contains("E0308")), "{json}");
    assert!(json[0]["passed"] == false && json[0]["tests"] == serde_json::json!([]), "{json}");
}

#[test]
fn windows_line_ends_and_warnings_do_no_harm() {
    let checkout = Checkout::new();
    for name in ["exercises/add.rs", "starters/add.rs"] {
        let path = format!("crates/toy/{name}");
        checkout.write(&path, &checkout.read(&path).replace('\n', "\r\n"));
    }
    checkout.workbook(&["check", "add", "twice"]).expect(1, &["not begun"]).without(&["does not compile"]);
    checkout.solve("add", &format!("{ADD_SOLVED}fn unused() {{}}\n").replace('\n', "\r\n"));
    checkout.workbook(&["check", "add"]).expect(0, &["4 of 4 tests pass"]);
    let kept = checkout.read("crates/toy/exercises/add.rs");
    assert!(kept.contains("unused() {}\r\n"), "check changed the reader's file");
}

#[test]
fn what_is_saved_during_a_check_is_not_taken_for_what_was_checked() {
    let checkout = Checkout::new();
    checkout.add_does(
        "std::fs::write(sign(\"begun\"), \"\").unwrap();
        while !sign(\"go\").exists() { std::thread::yield_now(); }",
    );
    let running = checkout.start(checkout.command(&["check", "add"]));
    checkout.await_file("begun");
    checkout.solve("add", "this is not Rust");
    fs::write(checkout.home().join("go"), "").expect("a sign");
    running.end().expect(0, &["4 of 4 tests pass"]);
    assert_eq!(done(&checkout), [false, false], "another file passed");
}

#[test]
fn a_bad_name_is_refused_with_a_suggestion() {
    let checkout = Checkout::new();
    checkout.workbook(&["check", "ad"]).expect(2, &["no exercise is called `ad`", "Did you mean `add`?"]);
    checkout.workbook(&["check", "add", "zzz"]).expect(2, &["no exercise is called `zzz`", "list"]);
    checkout.workbook(&["check", "fd-vanishes"]).expect(2, &["It is an experiment", "fd-vanishes"]);
    checkout.workbook(&["check", "add", "--patience", "0"]).expect(2, &["--patience"]);
    checkout.workbook(&["check", "add", "--patience", "soon"]).expect(2, &["--patience"]);
    let for_ever = u64::MAX.to_string();
    checkout.workbook(&["check", "add", "--patience", &for_ever]).expect(1, &["not yet implemented"]);
    // A second crate with a module of that name.
    checkout.write("crates/other/starters/add.rs", "");
    checkout
        .workbook(&["check", "add"])
        .expect(2, &["`add` is in more than one crate", "other/add", "toy/add"]);
}

/// A copy from before a change, an editor's, or what some systems write beside each file.
#[test]
fn a_file_of_the_readers_own_beside_the_exercises_is_none() {
    let checkout = Checkout::new();
    let ours = checkout.workbook(&["list", "--json"]).json();
    for name in ["add (copy)", "add-before", "._add"] {
        checkout.write(&format!("crates/toy/exercises/{name}.rs"), "not even Rust");
    }
    assert_eq!(checkout.workbook(&["list", "--json"]).json(), ours);
    checkout.solve("add", ADD_SOLVED);
    checkout.solve("twice", TWICE_SOLVED);
    let json = checkout.workbook(&["check", "--json"]).expect(0, &[]).json();
    assert_eq!(names(&json, "name"), ["toy/add", "toy/twice"]);
    checkout.workbook(&["status"]).expect(0, &["2 of 2 exercises done"]);
    checkout.workbook(&["check", "add-before"]).expect(2, &["no exercise is called `add-before`"]);
}

/// Check `twice` with a cargo that notes each of its calls. How many were there?
fn calls_of_cargo(checkout: &Checkout, code: i32, words: &[&str]) -> usize {
    let notes = checkout.home().join("calls");
    fs::write(&notes, "").expect("a file");
    let script = format!("#!/bin/sh\necho >> \"{}\"\nexec cargo \"$@\"\n", notes.display());
    let cargo = checkout.home().join("noting-cargo");
    fs::write(&cargo, script).expect("a script");
    fs::set_permissions(&cargo, fs::Permissions::from_mode(0o755)).expect("it may be run");
    let mut command = checkout.command(&["check", "twice"]);
    command.env("CARGO", &cargo);
    checkout.run(command).expect(code, words);
    fs::read_to_string(&notes).expect("the notes").lines().count()
}

#[test]
fn cargo_is_asked_when_something_else_than_the_readers_file_has_changed() {
    let checkout = Checkout::new();
    let answer = |number: u32| format!("pub fn twice(a: i32) -> i32 {{\n    let _ = a;\n    {number}\n}}\n");
    assert_eq!(calls_of_cargo(&checkout, 1, &["not yet implemented"]), 1);
    // From now on it is known how to call rustc.
    checkout.solve("twice", &answer(5));
    assert_eq!(calls_of_cargo(&checkout, 1, &["twice 3 is 6, not 5"]), 0);
    checkout.solve("twice", TWICE_SOLVED);
    assert_eq!(calls_of_cargo(&checkout, 0, &["1 of 1 tests pass"]), 0);
    // An error is cargo's to tell.
    checkout.solve("twice", "pub fn twice(a: i32) -> i32 { \"a\" }");
    let words = ["error[E0308]: mismatched types", "could not compile `toy`", "toy/twice does not compile"];
    assert_eq!(calls_of_cargo(&checkout, 1, &words), 1);
    for file in ["crates/toy/src/add.rs", "crates/toy/Cargo.toml", "Cargo.toml", "crates/toy/tests/twice.rs"]
    {
        let comment = if file.ends_with("toml") { "# changed\n" } else { "// changed\n" };
        checkout.write(file, &format!("{}{comment}", checkout.read(file)));
        checkout.solve("twice", &format!("{TWICE_SOLVED}// {file}\n"));
        assert_eq!(calls_of_cargo(&checkout, 0, &["1 of 1 tests pass"]), 1, "{file} has changed");
    }
    checkout
        .write("crates/toy/tests/twice.rs", &checkout.read("crates/toy/tests/twice.rs").replace('6', "7"));
    assert_eq!(calls_of_cargo(&checkout, 1, &["twice 3 is 7, not 6"]), 1);
}

#[test]
fn cargo_is_asked_when_the_target_folder_is_gone() {
    let checkout = Checkout::new();
    checkout.workbook(&["check", "twice"]).expect(1, &[]);
    for entry in fs::read_dir(checkout.target()).expect("the target folder").flatten() {
        if entry.file_name() != "workbook" && entry.path().is_dir() {
            fs::remove_dir_all(entry.path()).expect("it was there");
        }
    }
    checkout.solve("twice", TWICE_SOLVED);
    checkout.workbook(&["check", "twice"]).expect(0, &["1 of 1 tests pass"]).without(&["error"]);
}

/// Readers look at the tests while they write, and close them afterward.
#[test]
fn a_file_that_is_open_in_an_editor_changes_no_verdict() {
    let checkout = Checkout::new();
    checkout.solve("twice", TWICE_SOLVED);
    checkout.workbook(&["check", "twice"]).expect(0, &[]);
    let beside = ["crates/toy/tests/.twice.rs.swp", "crates/toy/src/#lib.rs#", "crates/toy/src/lib.rs~"];
    beside.iter().for_each(|name| checkout.write(name, "what an editor keeps"));
    std::os::unix::fs::symlink("reader@machine.1234", checkout.path("crates/toy/tests/.#add.rs"))
        .expect("a link");
    assert_eq!(done(&checkout), [false, true], "an editor has opened the tests");
    checkout.solve("add", ADD_SOLVED);
    checkout.workbook(&["check", "add"]).expect(0, &[]);
    beside.iter().for_each(|name| fs::remove_file(checkout.path(name)).expect("it was there"));
    assert_eq!(done(&checkout), [true, true], "the editor was closed");
}

/// As `mv` and `cp -p` leave it, or a clock that was put back: cargo takes the last program for one of this file.
#[test]
fn a_file_that_is_older_than_the_last_program_is_compiled_as_it_is() {
    let checkout = Checkout::new();
    let old = |answer: &str| {
        checkout.solve("twice", answer);
        let file = fs::File::options().write(true).open(checkout.path("crates/toy/exercises/twice.rs"));
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
        file.and_then(|file| file.set_modified(time)).expect("the owner may set its time");
    };
    checkout.solve("twice", TWICE_SOLVED);
    checkout.workbook(&["check", "twice"]).expect(0, &["1 of 1 tests pass"]);
    old("pub fn twice(a: i32) -> i32 { \"a\" }");
    checkout
        .workbook(&["check", "twice"])
        .expect(1, &["error[E0308]: mismatched types", "toy/twice does not compile"])
        .without(&["tests pass"]);
    assert_eq!(done(&checkout), [false, false], "what does not compile has passed");
    // In another environment the tool does not know how cargo calls rustc.
    let wrong = TWICE_SOLVED.replace("a + a", "a * a");
    for (log, answer, code, words) in
        [("off", &*wrong, 1, "twice 3 is 6, not 9"), ("warn", TWICE_SOLVED, 0, "1 of 1 tests pass")]
    {
        old(answer);
        let mut command = checkout.command(&["check", "twice"]);
        command.env("RUST_LOG", log);
        checkout.run(command).expect(code, &[words]);
    }
}
