//! `serve` says what it needs before anything is compiled, and explains why it cannot be.

use crate::checkout::Checkout;

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
}
