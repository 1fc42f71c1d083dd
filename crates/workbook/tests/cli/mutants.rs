//! `mutants`: what it counts, what it lists, and what it leaves alone.
//!
//! The program that makes mutants is the checkout's own, so a checkout in miniature has one that knows its few sources. What
//! the real one makes is tested in its crate.

use nix::sys::signal::Signal;
use serde_json::json;

use crate::checkout::Checkout;

/// A checkout whose maker makes these mutants of `twice`: each `a + a` replaced.
fn with(instead: &[&str]) -> Checkout {
    let checkout = Checkout::new();
    let source = checkout.read("crates/toy/src/twice.rs");
    let start = source.find("a + a").expect("it is there");
    let edits: Vec<_> = instead
        .iter()
        .map(|text| json!({ "function": "twice", "start": start, "end": start + 5, "text": text }))
        .collect();
    let none = json!({ "source": "", "arms": [] });
    checkout.maker(&json!(edits), [&none, &none]);
    checkout
}

#[test]
fn they_are_counted_and_those_that_are_alive_are_listed() {
    let checkout = with(&["a - a", "a <> a", "a + 1 * a", "a * 2", "loop { std::thread::park() }"]);
    checkout.solve("twice", "not even Rust");
    let files = checkout.files();
    let said = checkout.workbook(&["mutants", "twice", "--json"]).expect(1, &[]).json();
    let alive = ["`twice`: `a + a` → `a + 1 * a`", "`twice`: `a + a` → `a * 2`"];
    let wanted = json!([{
        "exercise": "toy/twice", "made": 5, "does_not_compile": 1, "caught": 2, "equivalent": 0, "alive": alive,
        "caught_although_listed": [], "skipped": 0, "faults": [],
    }]);
    assert_eq!(said, wanted);
    assert!(files == checkout.files(), "it changed a file of the reader's");
    checkout
        .workbook(&["mutants"])
        .expect(1, &["exercise", "all", "alive toy/twice, `twice`: `a + a` → `a * 2`"]);
}

#[test]
fn those_that_are_right_too_are_listed_with_a_reason() {
    let checkout = with(&["a - a", "a * 2"]);
    let list = |lines: &str| {
        checkout.write("crates/toy/equivalent/twice.md", &format!("# Right answers too\n\n{lines}\n"));
        checkout.workbook(&["mutants", "twice"])
    };
    let line = "- `twice`: `a + a` → `a * 2`";
    list(&format!("{line}: it is the same.")).expect(0, &[]).without(&["alive toy", "fault"]);
    list(line).expect(1, &["has no reason", "alive toy/twice"]);
    let other = format!("{line}: it is the same.\n- `twice`: `a` → `b`: gone.");
    list(&other).expect(1, &["no mutant is `twice`: `a` → `b`"]);
    let caught = format!("{line}: it is the same.\n- `twice`: `a + a` → `a - a`: no.");
    list(&caught).expect(0, &["listed as equivalent, but caught", "(by doubles)"]);
}

#[test]
fn a_listed_mutant_may_be_caught_where_the_same_statement_stands_once_more() {
    let checkout = with(&[]);
    let source = checkout.read("crates/toy/src/twice.rs");
    let source =
        source.replace("a + a", "let mut sum = 0;\n    sum += a;\n    sum = a;\n    sum += a;\n    sum");
    checkout.write("crates/toy/src/twice.rs", &source);
    let deleted = source.match_indices("sum += a;").map(|(start, statement)| {
        json!({ "function": "twice", "start": start, "end": start + statement.len(), "text": "" })
    });
    let none = json!({ "source": "", "arms": [] });
    checkout.maker(&json!(deleted.collect::<Vec<_>>()), [&none, &none]);
    let line =
        "- `twice`: `sum += a;` → `(nothing)`: the first of these lines: the next statement forgets it.";
    checkout.write("crates/toy/equivalent/twice.md", &format!("# Right answers too\n\n{line}\n"));
    checkout.workbook(&["mutants", "twice"]).expect(0, &["toy/twice"]).without(&[
        "but caught",
        "fault",
        "alive toy",
    ]);
}

#[test]
fn ctrl_c_ends_them() {
    let checkout = with(&["{ std::process::Command::new(\"sleep\").arg(\"8000\").status().unwrap(); 0 }"]);
    for args in [&["mutants", "twice"][..], &["mutants"]] {
        let running = checkout.start(checkout.command(args));
        checkout.await_process("sleep 8000");
        running.signal(Signal::SIGINT);
        running.end().expect(130, &["stopped"]);
    }
}
