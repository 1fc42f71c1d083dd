//! How long the verdict of an experiment counts: until something changes that its program was built from.

use std::fs;

use serde_json::{Value, json};

use crate::checkout::Checkout;

/// What `list` says of an experiment.
fn agrees(checkout: &Checkout, name: &str) -> Value {
    let list = checkout.workbook(&["list", "--json"]).json();
    let found = list["experiments"].as_array().and_then(|all| all.iter().find(|one| one["name"] == name));
    found.unwrap_or_else(|| panic!("no {name} in {list}"))["agrees"].clone()
}

/// The experiments use the crate `below`, which uses `deeper`, and in its tests `beside`.
fn with_crates() -> Checkout {
    let checkout = Checkout::new();
    let package = |name: &str, uses: &str| {
        let head = format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n");
        checkout.write(&format!("crates/{name}/Cargo.toml"), &(head + uses));
        checkout.write(&format!("crates/{name}/src/lib.rs"), "");
    };
    let uses = |table: &str, path: &str| {
        let name = path.rsplit('/').next().unwrap_or(path);
        format!("\n[{table}]\n{name} = {{ path = \"{path}\" }}\n")
    };
    package("deeper", "");
    package("beside", "");
    package("below", &(uses("dependencies", "../deeper") + &uses("dev-dependencies", "../beside")));
    let manifest = checkout.read("experiments/Cargo.toml");
    checkout.write("experiments/Cargo.toml", &(manifest + &uses("dependencies", "../crates/below")));
    fs::remove_file(checkout.path("Cargo.lock")).expect("it was there");
    checkout
}

#[test]
fn a_change_of_a_crate_that_the_experiments_are_linked_with_ends_it() {
    let checkout = with_crates();
    // Cargo writes its lock file once.
    checkout.workbook(&["run", "not-here"]).expect(0, &[]);
    checkout.workbook(&["run", "fd-vanishes"]).expect(0, &[]);
    assert_eq!(agrees(&checkout, "fd-vanishes"), json!(true));
    for (file, still) in [
        ("crates/beside/src/lib.rs", json!(true)),
        ("experiments/02-doubles/disputed.rs", json!(true)),
        ("experiments/01-sums/fd-vanishes.rs", json!(null)),
        ("experiments/src/lib.rs", json!(null)),
        ("crates/below/src/lib.rs", json!(null)),
        ("crates/deeper/src/lib.rs", json!(null)),
        ("crates/deeper/Cargo.toml", json!(null)),
        ("Cargo.lock", json!(null)),
    ] {
        let before = checkout.read(file);
        checkout.write(file, &format!("{before}\n"));
        assert_eq!(agrees(&checkout, "fd-vanishes"), still, "{file} has changed");
        checkout.write(file, &before);
        assert_eq!(agrees(&checkout, "fd-vanishes"), json!(true), "{file} is as it was");
    }
}

#[test]
fn what_is_saved_during_a_run_is_not_taken_for_what_ran() {
    let checkout = Checkout::new();
    let wait = "let sign = |name: &str| {
        std::path::Path::new(&std::env::var_os(\"WORKBOOK_TEST_MARK\").unwrap()).join(name)
    };
    std::fs::write(sign(\"begun\"), \"\").unwrap();
    while !sign(\"go\").exists() { std::thread::yield_now(); }
    answer(\"agrees\", \"null\", 0)";
    checkout.experiment("01-sums", "slow", wait);
    for args in [&["run", "slow"][..], &["run", "slow", "--json"]] {
        let running = checkout.start(checkout.command(args));
        checkout.await_file("begun");
        let source = checkout.read("experiments/01-sums/slow.rs");
        checkout.write("experiments/01-sums/slow.rs", "fn main() {}");
        let go = checkout.home().join("go");
        fs::write(&go, "").expect("a sign");
        running.end().expect(0, &["agrees"]);
        assert_eq!(agrees(&checkout, "slow"), json!(null), "another program agreed");
        checkout.write("experiments/01-sums/slow.rs", &source);
        [go, checkout.home().join("begun")]
            .iter()
            .for_each(|sign| fs::remove_file(sign).expect("it is there"));
    }
}
