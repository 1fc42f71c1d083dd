//! What is missing or cannot be written: the tool says so, and loses nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::checkout::{ADD_SOLVED, Checkout, ReadOnly, TWICE_SOLVED};
use crate::tool::{named, tool, unprivileged};

#[test]
fn a_deleted_exercise_is_missed_and_comes_back() {
    let checkout = Checkout::new();
    let starter = checkout.read("crates/toy/exercises/add.rs");
    fs::remove_file(checkout.path("crates/toy/exercises/add.rs")).expect("it was there");
    let said = checkout.workbook(&["check", "add"]);
    said.expect(1, &["crates/toy/exercises/add.rs is missing", "reset add"]).without(&["compile"]);
    let json = checkout.workbook(&["check", "add", "--json"]).expect(1, &[]).json();
    assert!(
        json[0]["passed"] == false && json[0]["error"].as_str().is_some_and(|e| e.contains("missing")),
        "{json}"
    );
    checkout.workbook(&["check"]).expect(1, &["toy/add", "is missing", "toy/twice", "not begun"]);
    checkout.workbook(&["list"]).expect(0, &["toy/add"]);
    checkout.workbook(&["reset", "add"]).expect(0, &["exercises/add.rs was missing; it is there again"]);
    assert_eq!(checkout.read("crates/toy/exercises/add.rs"), starter);
    assert_eq!(named(&checkout.path("crates/toy/exercises"), "add"), ["add.rs"], "there was nothing to keep");
}

#[test]
fn a_missing_part_of_an_exercise_is_named() {
    let checkout = Checkout::new();
    fs::remove_file(checkout.path("crates/toy/hints/add.md")).expect("it was there");
    checkout.workbook(&["hint", "add"]).expect(1, &["cannot read", "crates/toy/hints/add.md"]);
    fs::remove_file(checkout.path("crates/toy/src/add.rs")).expect("it was there");
    checkout.workbook(&["solution", "add", "--anyway"]).expect(1, &["no add.rs is below", "crates/toy/src"]);
    fs::remove_file(checkout.path("crates/toy/starters/add.rs")).expect("it was there");
    checkout.solve("add", "mine");
    checkout.workbook(&["reset", "add"]).expect(1, &["cannot read", "crates/toy/starters/add.rs"]);
    assert_eq!(checkout.read("crates/toy/exercises/add.rs"), "mine");
    fs::remove_file(checkout.path("crates/toy/tests/add.rs")).expect("it was there");
    checkout.workbook(&["check", "add"]).expect(1, &["toy", "add"]).without(&["does not compile"]);
}

#[test]
fn a_read_only_checkout_works_with_a_target_folder_elsewhere() {
    let checkout = Checkout::new();
    checkout.solve("add", ADD_SOLVED);
    // Cargo writes its lock file once.
    checkout.workbook(&["check", "add"]).expect(0, &[]);
    checkout.solve("twice", TWICE_SOLVED);
    let files = checkout.files();
    let read_only = ReadOnly::make(&checkout.root());
    let workbook = |args: &[&str]| checkout.run(unprivileged(checkout.command(args)));
    workbook(&["check", "twice"]).expect(0, &["1 of 1 tests pass"]);
    workbook(&["list"]).expect(0, &["toy/add"]);
    workbook(&["verify", "twice"]).expect(0, &["3 caught, 0 missed"]);
    workbook(&["reset", "add"]).expect(1, &["cannot keep yours as crates/toy/exercises/add.rs.1.kept"]);
    // Where the target folder is inside, nothing can be built; what to do is said.
    let mut command = unprivileged(checkout.command(&["check", "twice"]));
    command.env_remove("CARGO_TARGET_DIR");
    let said = checkout.run(command);
    said.expect(1, &["cargo cannot build", "denied", "set CARGO_TARGET_DIR"]).without(&["does not compile"]);
    let mut command = unprivileged(checkout.command(&["verify"]));
    command.env_remove("CARGO_TARGET_DIR");
    checkout.run(command).expect(1, &["cannot make the folder"]);
    drop(read_only);
    assert!(files == checkout.files(), "a file changed");
}

#[test]
fn where_nothing_can_be_remembered_the_rest_works() {
    let checkout = Checkout::new();
    checkout.solve("add", ADD_SOLVED);
    let memory = checkout.target().join("workbook");
    fs::create_dir_all(&memory).expect("a folder");
    let _read_only = ReadOnly::make(&memory);
    let workbook = |args: &[&str]| checkout.run(unprivileged(checkout.command(args)));
    // Else `solution` would say of what has just passed that it is not known to pass, and nothing would say why.
    let said = workbook(&["check", "add"]);
    said.expect(
        0,
        &["4 of 4 tests pass", "the verdict is not remembered: cannot write", "Permission denied"],
    );
    workbook(&["run", "fd-vanishes"]).expect(0, &["What was seen", "the verdict is not remembered"]);
    let said = workbook(&["run", "--all"]);
    assert_eq!(said.stderr.matches("not remembered").count(), 1, "it is said once: {said:#?}");
    for _ in 0..2 {
        workbook(&["hint", "add"]).expect(0, &["hint 1 of 3", "the next call will begin again"]);
    }
    workbook(&["solution", "add"]).expect(1, &["not known to pass"]);
}

#[test]
fn a_memory_that_makes_no_sense_is_an_empty_one() {
    let checkout = Checkout::new();
    let memory = checkout.target().join("workbook");
    fs::create_dir_all(&memory).expect("a folder");
    for name in ["verdicts.json", "hints.json"] {
        fs::write(memory.join(name), "{ \"toy/add\": ").expect("a file");
    }
    checkout.workbook(&["list"]).expect(0, &["toy/add"]);
    checkout.workbook(&["hint", "add"]).expect(0, &["hint 1 of 3"]);
    checkout.workbook(&["hint", "add"]).expect(0, &["hint 2 of 3"]);
}

#[test]
fn without_cargo_it_says_so() {
    let checkout = Checkout::new();
    let mut command = checkout.command(&["check", "add"]);
    command.env("PATH", checkout.home()).env("CARGO", checkout.home().join("no-cargo"));
    checkout.run(command).expect(1, &["cannot run cargo; is Rust installed?", "no-cargo"]);
}

#[test]
fn cargo_is_not_called_missing_where_a_limit_keeps_it_from_running() {
    let checkout = Checkout::new();
    let script = "ulimit -n 6; exec \"$0\" check add";
    let said = checkout.run(checkout.program("/bin/sh", &["-c", script, tool()]));
    said.expect(1, &["cannot run cargo", "Too many open files"]).without(&["is Rust installed?"]);
}

#[test]
fn a_broken_manifest_is_not_called_the_readers_fault() {
    let checkout = Checkout::new();
    checkout.write("crates/toy/Cargo.toml", "[package");
    checkout
        .workbook(&["check", "add"])
        .expect(1, &["cargo cannot build", "Cargo.toml"])
        .without(&["✗", "CARGO_TARGET_DIR"]);
}

/// As a version manager's stand-in for what it has not installed, and a file that may not be run.
#[test]
fn a_program_that_does_not_run_is_not_there() {
    let checkout = Checkout::new();
    let folder = checkout.home().join("bin");
    fs::create_dir(&folder).expect("a folder");
    for (name, mode) in [("python3", 0o755), ("just", 0o644)] {
        let file = folder.join(name);
        fs::write(&file, "#!/bin/sh\necho no such version >&2\nexit 127\n").expect("a program");
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).expect("its mode");
    }
    let workbook = |args: &[&str]| {
        let mut command = checkout.command(args);
        command.env("PATH", &folder);
        checkout.run(command)
    };
    let findings = workbook(&["doctor", "--json"]).json();
    for name in ["python3", "just", "strace"] {
        let one = findings.as_array().and_then(|all| all.iter().find(|one| one["name"] == name));
        let one = one.unwrap_or_else(|| panic!("no {name} in {findings}"));
        assert!(one["good"] == false && one["found"] == "not found", "{one}");
    }
    workbook(&["hint", "add"]).expect(0, &["cargo workbook hint add"]).without(&["just hint"]);
}
