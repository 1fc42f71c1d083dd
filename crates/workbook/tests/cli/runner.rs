//! `check` on code that hangs, forks, prints or dies as no answer should: it ends, it is said how, and
//! nothing is left. That nothing is left is asserted after every call: see `tool`.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::checkout::Checkout;

/// Check `add`, which does this, with the tool's own patience: what is stopped for another reason than silence
/// is stopped long before.
fn check(checkout: &Checkout, body: &str) -> Value {
    check_for(checkout, "10", body)
}

/// The same for a program that hangs. It has this long to reach the place where it hangs, on a busy machine too.
fn check_a_hang(checkout: &Checkout, body: &str) -> Value {
    check_for(checkout, "2", body)
}

fn check_for(checkout: &Checkout, patience: &str, body: &str) -> Value {
    checkout.add_does(body);
    let json = checkout.workbook(&["check", "add", "--patience", patience, "--json"]).json();
    json[0].clone()
}

/// What a test said, or None where it passed.
#[track_caller]
fn message(json: &Value, test: &str) -> Option<String> {
    let found = json["tests"].as_array().expect("tests").iter().find(|one| one["name"] == test);
    let found = found.unwrap_or_else(|| panic!("no test {test} in {json}"));
    assert_eq!(found["passed"] == true, found["message"].is_null(), "{json}");
    found["message"].as_str().map(str::to_owned)
}

#[track_caller]
fn assert_says(json: &Value, test: &str, words: &[&str]) {
    let said = message(json, test).unwrap_or_else(|| panic!("{test} passed: {json}"));
    for word in words {
        assert!(said.contains(word), "no «{word}» in what {test} said: {said}");
    }
}

#[test]
fn a_loop_without_end_is_stopped_and_named() {
    let checkout = Checkout::new();
    let json = check_a_hang(&checkout, "while b == -2 { std::hint::spin_loop() }");
    assert_says(&json, "negative", &["nothing happened for 2 s", "thread negative: runs, in no system call"]);
    assert_eq!(message(&json, "small_numbers"), None, "the others have their verdict");
    assert_eq!(message(&json, "too_large"), None);
    assert_eq!(json["passed"], false);
}

#[test]
fn what_failed_beside_a_hang_says_its_own_words() {
    let checkout = Checkout::new();
    let body = "while b == -2 { std::thread::park() } if b == 2 { panic!(\"its own words\") }";
    let json = check_a_hang(&checkout, body);
    assert_says(&json, "small_numbers", &["its own words"]);
    assert_says(&json, "negative", &["it did not finish: nothing happened for 2 s"]);
    assert_eq!(message(&json, "too_large"), None);
    let said = checkout.workbook(&["check", "add", "--patience", "2"]);
    said.expect(
        1,
        &["2 of 4 tests pass", "small_numbers\n    its own words\n    crates/toy/exercises/add.rs:"],
    );
    said.expect(1, &["One more fails.", "Of these, negative did not finish."]);
}

#[test]
fn a_panic_in_a_library_is_shown_at_a_path_that_there_is_or_by_the_librarys_name() {
    let checkout = Checkout::new();
    checkout.solve("twice", "pub fn twice(a: i32) -> i32 {\n    toy_below::fails(a)\n}\n");
    let below = "[package]\nname = \"toy_below\"\nversion = \"0.1.0\"\nedition = \"2024\"\n";
    checkout.write("crates/toy_below/Cargo.toml", below);
    let toy = checkout.read("crates/toy/Cargo.toml");
    checkout.write(
        "crates/toy/Cargo.toml",
        &(toy + "\n[dependencies]\ntoy_below = { path = \"../toy_below\" }\n"),
    );
    fs::remove_file(checkout.path("Cargo.lock")).expect("it was there");
    let fails = |body: &str| {
        checkout.write(
            "crates/toy_below/src/lib.rs",
            &format!("pub fn fails(a: i32) -> i32 {{\n    {body}\n}}\n"),
        );
        checkout.workbook(&["check", "twice"])
    };
    fails("panic!(\"below: {a}\")").expect(1, &["below: 3\n    crates/toy_below/src/lib.rs:2:5\n"]);
    // The standard library was compiled elsewhere.
    let said = fails(
        "let mut all = vec![3, 1, 2]; all.splice(..1, (0..3).map(|_| a)); all.sort_by(|_, _| std::cmp::Ordering::Less); String::from_utf8(vec![0; a as usize]).unwrap().split_off(9).len() as i32",
    );
    said.expect(1, &["twice"]).without(&["/rustc/"]);
}

#[test]
fn every_process_of_a_hang_is_shown_with_the_call_it_sleeps_in() {
    let checkout = Checkout::new();
    checkout.add_does("if b == -2 { shell(\"sleep 1000; :\", true).wait().unwrap(); }");
    let said = checkout.workbook(&["check", "add", "--patience", "2"]);
    said.expect(1, &["3 of 4 tests pass", "negative", "nothing happened for 2 s"]);
    // The test waits for the shell, the shell for sleep, and sleep sleeps, although in another session.
    said.expect(
        1,
        &[
            "thread negative: sleeps in wait",
            "(sh), thread sh: sleeps in wait",
            "(sleep), thread sleep: sleeps in",
        ],
    );
}

#[test]
fn a_test_that_never_got_its_turn_is_not_said_to_hang() {
    let checkout = Checkout::new();
    checkout.write("crates/toy/tests/add.rs", &{
        let hang = |n: usize| format!("#[test]\nfn a_hang_{n}() {{ toy::add::add({n}, -2); }}\n");
        "#[test]\nfn waits_its_turn() { toy::add::add(1, 1); }\n".to_owned()
            + &(0..1 + threads()).map(hang).collect::<String>()
    });
    let json = check_a_hang(&checkout, "while b == -2 { std::thread::park() }");
    assert_eq!(json["tests"][0]["name"], "a_hang_0", "what hangs comes first: {json}");
    assert_says(&json, "a_hang_0", &["nothing happened for 2 s", "thread a_hang_0: sleeps in futex"]);
    assert_says(&json, "waits_its_turn", &["it did not get its turn"]);
}

/// How many tests run at once in a check.
fn threads() -> usize {
    std::thread::available_parallelism().map_or(2, |cores| 2 * cores.get())
}

/// The kernel keeps 15 bytes of a thread's name.
#[test]
fn tests_whose_names_begin_alike_are_told_apart_when_some_hang() {
    let checkout = Checkout::new();
    let threads = threads();
    let hang = |n: usize| format!("#[test]\nfn begins_like_the_others_{n}() {{ toy::add::add({n}, -2); }}\n");
    let numbers = 10..10 + threads + 2;
    checkout.write("crates/toy/tests/add.rs", &numbers.clone().map(hang).collect::<String>());
    let json = check_a_hang(&checkout, "while b == -2 { std::thread::park() }");
    for (place, number) in numbers.enumerate() {
        let words = if place < threads { "nothing happened for 2 s" } else { "it did not get its turn" };
        assert_says(&json, &format!("begins_like_the_others_{number}"), &[words]);
    }
}

#[test]
fn what_was_not_run_after_a_hang_is_counted_and_comes_last() {
    let checkout = Checkout::new();
    checkout.add_does(
        "if b == -2 { panic!(\"the helper hung, and its threads slept\") }
        panic!(\"not run: the helper of another test hung\");",
    );
    let said = checkout.workbook(&["check", "add"]);
    said.expect(1, &["negative\n", "its threads slept", "3 more were not run, because a test hung."]);
    said.without(&["more fail", "not run: "]);
    let json = checkout.workbook(&["check", "add", "--json"]).json();
    assert_eq!(json[0]["tests"][0]["name"], "negative", "what hung comes first: {json}");
}

#[test]
fn a_fork_without_end_is_stopped() {
    let checkout = Checkout::new();
    // Bounded, so that a tool that fails here does not take the machine down.
    let bomb = "i=0; while [ $i -lt 300 ]; do sleep 1000 & i=$((i+1)); done; wait";
    for escape in [false, true] {
        let json = check(&checkout, &format!("if b == -2 {{ shell({bomb:?}, {escape}).wait().unwrap(); }}"));
        assert_says(&json, "negative", &["processes, so it was stopped: does it fork without end?"]);
    }
}

#[test]
fn a_child_that_escapes_and_keeps_the_pipe_does_not_keep_the_tool() {
    let checkout = Checkout::new();
    checkout.add_does("if b == -2 { shell(\"sleep 1000; :\", true); }");
    let start = Instant::now();
    checkout.workbook(&["check", "add"]).expect(0, &["4 of 4 tests pass"]);
    assert!(start.elapsed() < Duration::from_secs(10), "it waited for the escaped child's silence");
}

#[test]
fn words_between_the_words_of_the_tests_change_no_verdict() {
    let checkout = Checkout::new();
    // They go on after the test that started them, and after the last one.
    let talk = "for _ in 0..4 { shell(\"while :; do echo y; done\", true); }";
    checkout.add_does(&format!("if b == -2 {{ {talk} }}"));
    checkout.workbook(&["check", "add"]).expect(0, &["4 of 4 tests pass"]);
    checkout.add_does(&format!("{talk} if b == -2 {{ return a }}"));
    checkout.workbook(&["check", "add"]).expect(1, &["3 of 4 tests pass", "negative", "is the sign lost?"]);
}

#[test]
fn output_without_end_is_stopped() {
    let checkout = Checkout::new();
    let json = check(&checkout, "if b == -2 { shell(\"exec yes\", false).wait().unwrap(); }");
    assert_says(&json, "negative", &["it printed 1", "MiB, so it was stopped: does it print without end?"]);
    let length = json.to_string().len();
    assert!(length < 100_000, "{length} bytes of JSON repeat what was printed");
}

#[test]
fn memory_without_end_is_refused() {
    let checkout = Checkout::new();
    // It is not used here, so that a tool that fails takes nothing from the machine.
    let json = check(&checkout, "if b == -2 { std::hint::black_box(Vec::<u8>::with_capacity(5 << 30)); }");
    assert_says(&json, "negative", &["memory allocation of 5368709120 bytes failed"]);
    assert_eq!(message(&json, "small_numbers"), None);
}

#[test]
fn one_test_that_aborts_is_named_and_the_others_keep_their_verdicts() {
    let checkout = Checkout::new();
    checkout.add_does(
        "struct Bad; impl Drop for Bad { fn drop(&mut self) { panic!(\"dropped twice\") } }
        if b == -2 { let _bad = Bad; panic!(\"the first word\") }",
    );
    let said = checkout.workbook(&["check", "add"]);
    said.expect(1, &["3 of 4 tests pass", "negative", "ended in the middle of it (killed by SIGABRT)"]);
    said.expect(1, &["the first word", "dropped twice"]).without(&["small_numbers"]);
}

#[test]
fn a_stack_that_overflows_is_said_of_the_test_by_its_name() {
    let checkout = Checkout::new();
    let deep = "fn deep(n: u64) -> u64 { if n == 0 { 0 } else { std::hint::black_box(deep(n - 1)) + 1 } }";
    let json = check(&checkout, &format!("{deep} if b == -2 {{ assert!(deep(u64::MAX) > 0); }}"));
    assert_says(&json, "negative", &["killed by SIGABRT", "thread 'negative' (", "has overflowed its stack"]);
    assert_eq!(message(&json, "small_numbers"), None);
}

#[test]
fn a_test_that_exits_has_not_passed() {
    let checkout = Checkout::new();
    let json = check(&checkout, "if b == -2 { std::process::exit(0) }");
    assert_says(&json, "negative", &["the test program ended in the middle of it (exit status: 0)"]);
    assert_eq!(message(&json, "small_numbers"), None);
    let json = check(&checkout, "std::process::exit(0)");
    assert!(json["tests"].as_array().expect("tests").iter().all(|test| test["passed"] == false), "{json}");
}

#[test]
fn a_program_that_dies_after_its_last_test_has_not_passed() {
    let checkout = Checkout::new();
    let json = check(
        &checkout,
        "extern \"C\" fn die() { std::process::abort() }
        if b == -2 { unsafe { atexit(die) }; }",
    );
    assert_eq!(message(&json, "negative"), None);
    assert_says(&json, "(the test program)", &["every test passed", "killed by SIGABRT"]);
    assert_eq!(json["passed"], false);
}

#[test]
fn what_the_reader_set_for_cargo_test_changes_nothing() {
    let checkout = Checkout::new();
    let mut command = checkout.command(&["check", "add"]);
    command.envs([("RUST_TEST_NOCAPTURE", "1"), ("RUST_TEST_THREADS", "1"), ("RUST_BACKTRACE", "full")]);
    // A child's words must not come between a test and its result either.
    checkout.add_does("if b == 1 { shell(\"echo no line end | tr -d '\\\\n'\", false).wait().unwrap(); } else { panic!(\"its own words\") }");
    checkout
        .run(command)
        .expect(1, &["small_numbers", "its own words", "2 of 4 tests pass", "One more fails"]);
}

/// Which one it was is seen when each runs by itself, and what never began is not said to have been stopped.
#[test]
fn a_test_that_prints_without_end_is_told_from_those_that_had_no_turn() {
    let checkout = Checkout::new();
    // It begins first and stands last, so that the first test of the source is one that had no turn.
    checkout.write("crates/toy/tests/add.rs", &{
        let other =
            |n: usize| format!("#[test]\nfn quiet_{n}() {{ assert_eq!(toy::add::add({n}, 1), {n} + 1); }}\n");
        let others: String = (0..2 * threads()).rev().map(other).collect();
        others + "#[test]\nfn loud() { toy::add::add(1, -2); }\n"
    });
    let body = "if b == -2 { shell(\"exec yes\", false).wait().unwrap(); }
        if b == 1 && !std::env::args().any(|arg| arg == \"--exact\") { loop { std::thread::park() } }";
    let json = check_for(&checkout, "30", body);
    assert_says(&json, "loud", &["it did not finish: it printed 1", "does it print without end?"]);
    for test in json["tests"].as_array().expect("tests").iter().filter(|test| test["name"] != "loud") {
        assert_eq!(test["passed"], true, "{test}");
    }
}

#[test]
fn of_a_test_that_prints_in_a_loop_a_screen_is_shown() {
    let checkout = Checkout::new();
    checkout.add_does(
        "if b == -2 {
            for number in 1..=200_000 { println!(\"\\u{1b}[31mpoll {number}\"); }
            panic!(\"its own words\");
        }",
    );
    let said = checkout.workbook(&["check", "add"]);
    said.expect(
        1,
        &[
            "3 of 4 tests pass",
            "negative",
            "    poll 1\n",
            "are left out",
            "    poll 200000\n    its own words\n",
        ],
    );
    assert!(said.stdout.lines().count() < 200, "{} lines are no screen", said.stdout.lines().count());
    // One whose program dies runs by itself, and what it prints is not held back then.
    checkout.add_does("if b == -2 { print!(\"{}\", \"poll \".repeat(1 << 20)); std::process::abort() }");
    let said = checkout.workbook(&["check", "add"]);
    said.expect(1, &["3 of 4 tests pass", "killed by SIGABRT", "poll poll"]);
    assert!(said.stdout.len() < 100_000, "{} bytes are no screen", said.stdout.len());
}

#[test]
fn tests_that_hang_by_themselves_do_not_take_minutes() {
    let checkout = Checkout::new();
    checkout.write("crates/toy/tests/add.rs", &{
        let hang = |n: usize| format!("#[test]\nfn hangs_{n:02}() {{ toy::add::add({n}, -2); }}\n");
        (0..20).map(hang).collect::<String>() + "#[test]\nfn aborts() { toy::add::add(1, 1); }\n"
    });
    let start = Instant::now();
    let json = check_a_hang(&checkout, "if b == 1 { std::process::abort() } loop { std::thread::park() }");
    assert_says(&json, "aborts", &["ended in the middle of it (killed by SIGABRT)"]);
    assert_says(&json, "hangs_00", &["nothing happened for 2 s"]);
    assert_says(&json, "hangs_19", &["not run: "]);
    assert!(start.elapsed() < Duration::from_secs(25), "each of twenty was given its two seconds");
}
