//! `serve` says what it needs before anything is compiled, and explains why it cannot be.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use serde_json::Value;

use crate::checkout::{Checkout, TWICE_SOLVED};

#[test]
fn root_has_to_say_so_before_anything_is_compiled() {
    let checkout = Checkout::new();
    let said = checkout.workbook(&["serve", "--no-open"]);
    match nix::unistd::geteuid().is_root() {
        true => said.expect(1, &["--as-root", "ordinary user"]).without(&["cannot be built here"]),
        false => said.expect(1, &["cannot be built here"]).without(&["--as-root"]),
    };
}

#[test]
fn a_server_that_cannot_be_built_is_explained() {
    // Its packages are those of the tests, and none of them is the server.
    let checkout = Checkout::new();
    let said = checkout.workbook(&["serve", "--no-open", "--as-root"]);
    said.expect(1, &["cannot be built here", "`mdbook serve book`"]);
}

#[test]
fn the_server_writes_where_cargo_builds_and_hears_of_the_tools_verdicts() {
    let checkout = Checkout::new();
    let cargo = checkout.home().join("cargo");
    fs::write(&cargo, "#!/bin/sh\nprintf '%s\\n' \"$@\"\n").expect("a program");
    fs::set_permissions(&cargo, Permissions::from_mode(0o755)).expect("a program");
    let mut command = checkout.command(&["serve", "--no-open", "--as-root"]);
    command.env("CARGO", &cargo);
    let target = checkout.target();
    // The checkout may be one that cannot be written, and the target folder is elsewhere.
    let [into, verdicts] =
        ["book", "workbook/verdicts.json"].map(|name| target.join(name).display().to_string());
    let options = [format!("--into\n{into}\n"), format!("--verdicts\n{verdicts}\n")];
    checkout.run(command).expect(0, &options.each_ref().map(String::as_str));
    checkout.solve("twice", TWICE_SOLVED);
    checkout.workbook(&["check", "twice"]).expect(0, &["1 of 1 tests pass"]);
    assert!(
        fs::exists(&verdicts).is_ok_and(|is| is),
        "a check writes its verdict into another file than {verdicts}"
    );
}

#[test]
fn a_list_says_whether_a_check_has_judged_the_file_as_it_is() {
    let checkout = Checkout::new();
    let state = || {
        let list = checkout.workbook(&["list", "--json"]).json();
        (list["exercises"][1]["done"].clone(), list["exercises"][1]["passes"].clone())
    };
    checkout.solve("twice", "pub fn twice(a: i32) -> i32 { a }");
    assert_eq!(state(), (false.into(), Value::Null), "no check has judged it");
    checkout.workbook(&["check", "twice"]).expect(1, &["not 3"]);
    assert_eq!(state(), (false.into(), false.into()));
    checkout.solve("twice", TWICE_SOLVED);
    assert_eq!(state(), (false.into(), Value::Null), "it was saved since");
    checkout.workbook(&["check", "twice"]).expect(0, &["1 of 1 tests pass"]);
    assert_eq!(state(), (true.into(), true.into()));
}

#[test]
fn its_options_are_checked() {
    let checkout = Checkout::new();
    for wrong in ["--port=none", "--port=70000", "--host=0.0.0.0", "--bind=::"] {
        checkout.workbook(&["serve", wrong]).expect(2, &["error:"]);
    }
}

#[test]
fn json_lines_are_for_one_experiment_at_a_time() {
    let checkout = Checkout::new();
    let said = checkout.workbook(&["run", "--json-lines", "fd-vanishes", "disputed"]);
    said.expect(2, &["one experiment at a time"]).without(&["compiling"]);
    checkout.workbook(&["run", "--json-lines", "--all"]).expect(2, &["error:"]);
    // A second drawing would replace the first.
    let said = checkout.workbook(&["run", "--draw", "figure.svg", "fd-vanishes", "disputed"]);
    said.expect(2, &["--draw is for one experiment at a time"]).without(&["What was seen"]);
}
