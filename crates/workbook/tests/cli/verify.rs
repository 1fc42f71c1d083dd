//! `verify`: what it proves, what it finds, and what it leaves alone.

use std::fs;

use serde_json::{Value, json};

use crate::checkout::{ADD_SOLVED, Checkout, TWICE_SOLVED};

fn proof(references: [u32; 2], starters: [u32; 2], mistakes: [u32; 2]) -> Value {
    json!({
        "references": { "passed": references[0], "failed": references[1], "skipped": 0 },
        "starters": { "failing": starters[0], "passing": starters[1], "skipped": 0 },
        "mistakes": { "caught": mistakes[0], "missed": mistakes[1], "skipped": 0 },
        "alternatives": { "passed": 0, "refused": 0, "skipped": 0 },
        "faults": [],
        "by_chance": [],
        "skipped": [],
    })
}

/// The same proof without its faults, and the faults.
fn faults(mut json: Value) -> (Value, Vec<String>) {
    let faults = json["faults"].take();
    json["faults"] = json!([]);
    let faults =
        faults.as_array().expect("faults").iter().map(|fault| fault.as_str().expect("text").to_owned());
    (json, faults.collect())
}

#[test]
fn it_proves_the_same_when_the_reader_has_solved_half_and_leaves_their_files_alone() {
    let checkout = Checkout::new();
    let whole = proof([2, 0], [2, 0], [6, 0]);
    assert_eq!(checkout.workbook(&["verify", "--json"]).expect(0, &[]).json(), whole);
    checkout.solve("add", ADD_SOLVED);
    checkout.solve("twice", "not even Rust");
    // An editor's lock, as Emacs makes one beside a file that is not saved yet.
    let lock = checkout.path("crates/toy/exercises/.#twice.rs");
    std::os::unix::fs::symlink("reader@machine.1234", lock).expect("a link");
    let files = checkout.files();
    assert_eq!(checkout.workbook(&["verify", "--json"]).expect(0, &[]).json(), whole);
    assert!(files == checkout.files(), "verify changed a file of the reader's");
    let said = checkout.workbook(&["verify", "add"]);
    said.expect(
        0,
        &[
            "references: 1 pass, 0 fail",
            "starters: 1 fail as they should, 0 pass",
            "The exercises are proved.",
        ],
    );
    said.expect(0, &["mistakes: 3 caught, 0 missed"]);
    checkout.workbook(&["verify", "ad"]).expect(2, &["Did you mean `add`?"]);
}

#[test]
fn a_mistake_that_is_not_caught_as_it_says_is_missed() {
    let checkout = Checkout::new();
    let right = TWICE_SOLVED;
    let wrong = "pub fn twice(a: i32) -> i32 { a }";
    checkout.mistake("twice", "b_right", "doubles", "not 3", right);
    checkout.mistake("twice", "c_other_words", "doubles", "not 4", wrong);
    checkout.mistake("twice", "d_no_such_test", "doubles_well", "not 3", wrong);
    checkout.mistake("twice", "e_not_rust", "doubles", "not 3", "pub fn twice(a: i32) -> i32 { \"a\" }");
    let file = "crates/toy/mistakes/twice.md";
    let edit = "- Caught by: `doubles`\n- Message: `not 3`\n\n```diff\n a * a\n-}\n```\n";
    let more = format!("### f_no_fields\n\nIt is wrong.\n\n### g_no_place\n\nIt is wrong.\n\n{edit}");
    checkout.write(file, &(checkout.read(file) + &more));
    let (json, faults) = faults(checkout.workbook(&["verify", "twice", "--json"]).expect(1, &[]).json());
    assert_eq!(json, proof([1, 0], [1, 0], [3, 6]));
    let wanted = [
        "b_right passes doubles, which should catch it",
        "c_other_words is caught by doubles, but not with «not 4»: twice 3 is 6, not 3",
        "d_no_such_test names the test doubles_well, which there is not",
        "e_not_rust does not compile:\nerror[E0308]",
        "f_no_fields: it has no fence ```diff",
        "g_no_place does not fit the reference: hunk 1: it matches nowhere: no line is «a * a»",
    ];
    assert_eq!(faults.len(), wanted.len(), "{faults:#?}");
    for (fault, wanted) in faults.iter().zip(wanted) {
        assert!(fault.starts_with(&format!("toy/twice: the mistake {wanted}")), "{fault}");
    }
}

#[test]
fn a_mistake_passes_what_it_is_said_to_pass() {
    let checkout = Checkout::new();
    let file = "crates/toy/mistakes/add.md";
    let mut text = checkout.read(file);
    for (name, passes) in [
        ("first_only", "`too_large`, `negative`"),
        ("no_sign", "`small_numbers`, `too_large`"),
        ("too_small", "`small_numbers`, `nowhere`"),
    ] {
        let at = text.find(&format!("### {name}\n")).expect("its section");
        let fence = at + text[at..].find("\n```diff").expect("its diff");
        text.insert_str(fence, &format!("- Passes: {passes}\n"));
    }
    checkout.write(file, &text);
    let (json, faults) = faults(checkout.workbook(&["verify", "add", "--json"]).expect(1, &[]).json());
    assert_eq!(json, proof([1, 0], [1, 0], [1, 2]));
    let wanted = [
        "first_only fails too_large, which it is said to pass: ",
        "too_small names the test nowhere, which there is not",
    ];
    assert_eq!(faults.len(), wanted.len(), "{faults:#?}");
    for (fault, wanted) in faults.iter().zip(wanted) {
        assert!(fault.starts_with(&format!("toy/add: the mistake {wanted}")), "{fault}");
    }
}

#[test]
fn a_mistake_that_is_caught_by_chance_is_named() {
    let checkout = Checkout::new();
    let seen = checkout.path("seen");
    // It is right at every third call: of a process each, with one call.
    let chance = format!(
        "use std::io::Write;\npub fn twice(a: i32) -> i32 {{\n    let mut file = std::fs::File::options().create(true)\
         .append(true).open({seen:?}).unwrap();\n    file.write_all(b\".\").unwrap();\n    \
         if file.metadata().unwrap().len() % 3 == 1 {{ a + a }} else {{ a }}\n}}"
    );
    checkout.mistake("twice", "b_chance", "doubles", "not 3", &chance);
    let said = checkout.workbook(&["verify", "twice"]);
    said.expect(0, &["mistakes: 4 caught, 0 missed", "The exercises are proved."]);
    let by_chance = "by chance: toy/twice: the mistake b_chance was missed, and caught when its test ran again. At first it passes \
                     doubles";
    said.expect(0, &[by_chance]);
    let said = checkout.workbook(&["verify", "twice", "--times", "3", "--json"]).expect(1, &[]).json();
    let (said, faults) = faults(said);
    assert_eq!(said["mistakes"], json!({ "caught": 3, "missed": 1, "skipped": 0 }));
    let [fault] = &faults[..] else { panic!("{faults:#?}") };
    assert!(fault.ends_with("b_chance passes doubles, which should catch it (run 2 of 3)"), "{fault}");
    checkout.workbook(&["verify", "--times", "0"]).expect(2, &["--times"]);
}

/// The source has other arms than the mistakes, to show which of the two was judged.
#[test]
fn what_is_caught_in_one_program_is_not_compiled_by_itself() {
    let checkout = Checkout::new();
    checkout.mistake("twice", "o_right", "doubles", "not 3", TWICE_SOLVED);
    let arms = ["a", "a + a", "no such name", "a"];
    let source = |arms: &[(usize, &str)], reference: &str| {
        let mut text = "pub fn twice(a: i32) -> i32 { match answer() {\n".to_owned();
        let mut places = Vec::new();
        for (answer, body) in arms {
            text += &format!("{answer} => ");
            let start = text.len();
            text += &format!("{{ {body} }}");
            places.push(json!({ "answer": answer, "start": start, "end": text.len() }));
            text += "\n";
        }
        text += &format!("_ => {reference} }} }}\n");
        text +=
            "fn answer() -> u32 { std::env::var(\"WORKBOOK_ANSWER\").map_or(0, |n| n.parse().unwrap()) }\n";
        json!({ "source": text, "arms": places })
    };
    let all: Vec<_> = (1..).zip(arms).collect();
    let fewer: Vec<_> = all.iter().copied().filter(|(answer, _)| *answer != 3).collect();
    checkout.maker(&json!([]), [&source(&all, "a + a"), &source(&fewer, "a + a")]);
    // `once` and `o_right` are caught there, which only `once` would be by itself; `square` passes there and is caught by
    // itself; and so is `nil`, which rustc refused.
    let said = checkout.workbook(&["verify", "twice", "--json"]).expect(0, &[]).json();
    assert_eq!(said, proof([1, 0], [1, 0], [4, 0]));
    let said = checkout.workbook(&["verify", "twice", "--times", "3", "--json"]).expect(0, &[]).json();
    assert_eq!(said, proof([1, 0], [1, 0], [4, 0]));
    // Not if the test fails there with the reference; and not if rustc refuses something else than an arm.
    let not_rust = json!({ "source": "pub fn twice(", "arms": source(&all, "a")["arms"] });
    for fewer in [&source(&fewer, "a"), &not_rust] {
        checkout.maker(&json!([]), [&source(&all, "a"), fewer]);
        let (said, faults) = faults(checkout.workbook(&["verify", "twice", "--json"]).expect(1, &[]).json());
        assert_eq!(said, proof([1, 0], [1, 0], [3, 1]));
        assert!(faults[0].contains("o_right passes doubles"), "{faults:#?}");
    }
}

#[test]
fn a_right_answer_of_another_construction_must_pass() {
    let checkout = Checkout::new();
    let alternative = |number, body: &str| {
        let text = format!("//! Shifts.\n\npub fn twice(a: i32) -> i32 {{ {body} }}\n");
        checkout.write(&format!("crates/toy/alternatives/twice-{number}.rs"), &text);
    };
    alternative(1, "a << 1");
    alternative(2, "let b = a; a + a");
    checkout.workbook(&["verify", "twice"]).expect(
        1,
        &["alternatives: 2 of 2 pass", "toy/twice: the alternative twice-2.rs compiles with warnings"],
    );
    alternative(2, "a << 2");
    alternative(3, "a << \"\"");
    let said = checkout.workbook(&["verify", "twice", "--json"]).expect(1, &[]).json();
    assert_eq!(said["alternatives"], json!({ "passed": 1, "refused": 2, "skipped": 0 }));
    let (_, faults) = faults(said);
    let wanted = [
        "toy/twice: the alternative twice-2.rs is refused by doubles: twice 3 is 6, not 12",
        "toy/twice: the alternative twice-3.rs does not compile:\nerror",
    ];
    assert_eq!(faults.len(), wanted.len(), "{faults:#?}");
    faults.iter().zip(wanted).for_each(|(fault, wanted)| assert!(fault.starts_with(wanted), "{fault}"));
}

#[test]
fn faults_of_references_and_starters_are_found() {
    let checkout = Checkout::new();
    checkout.write(
        "crates/toy/src/add.rs",
        "pub fn add(a: i32, b: i32) -> i32 { (a + b).abs() }\nfn unused() {}\n",
    );
    checkout.write("crates/toy/starters/add.rs", &format!("{ADD_SOLVED}fn unused() {{}}\n"));
    checkout.hints("add", 2);
    fs::remove_file(checkout.path("crates/toy/mistakes/add.md")).expect("it was there");
    let wrong = |body: &str| format!("pub fn add(a: i32, b: i32) -> i32 {body}");
    checkout.mistake("add", "first_only", "small_numbers", "not 1", &wrong("{ let _ = b; a }"));
    checkout.mistake("add", "too_small", "too_large", "did not panic", &wrong("{ a.saturating_add(b) }"));
    fs::remove_file(checkout.path("book/src/01-sums/exercise-add.md")).expect("it was there");
    fs::remove_file(checkout.path("crates/toy/starters/twice.rs")).expect("it was there");
    let said = checkout.workbook(&["verify", "--json"]);
    let (json, faults) = faults(said.expect(1, &[]).json());
    assert_eq!(json, proof([0, 1], [0, 1], [2, 0]));
    for wanted in [
        "toy/add: no page of the book includes its hints",
        "toy/add: 2 hints, where three are meant",
        "toy/add: 2 mistakes, where three are the least",
        "toy/add: the reference fails negative: -1 and -2 make -3, not 3",
        "toy/add: the reference compiles with warnings:\nwarning: function `unused` is never used",
        "toy/add: the starter passes, although it is not written yet",
        "toy/add: the starter compiles with warnings:",
        "toy/twice: no starter: ",
    ] {
        assert!(faults.iter().any(|fault| fault.starts_with(wanted)), "no «{wanted}» in {faults:#?}");
    }
    assert_eq!(faults.len(), 8, "{faults:#?}");
}

#[test]
fn a_reference_or_starter_that_does_not_compile_is_a_fault() {
    let checkout = Checkout::new();
    checkout.write("crates/toy/src/twice.rs", "pub fn twice() {");
    checkout.write("crates/toy/starters/twice.rs", "pub fn twice() {");
    fs::remove_file(checkout.path("crates/toy/mistakes/twice.md")).expect("it was there");
    let said = checkout.workbook(&["verify", "twice", "--json"]);
    let (json, faults) = faults(said.expect(1, &[]).json());
    assert_eq!(json, proof([0, 1], [0, 0], [0, 0]));
    assert!(faults.iter().any(|fault| fault.contains("the reference does not compile")), "{faults:#?}");
    assert!(faults.iter().any(|fault| fault.contains("the starter does not compile")), "{faults:#?}");
    fs::remove_file(checkout.path("crates/toy/tests/twice.rs")).expect("it was there");
    checkout.workbook(&["verify", "twice"]).expect(1, &["fault toy/twice: no tests"]);
}

#[test]
fn two_at_once_do_not_disturb_each_other() {
    let checkout = Checkout::new();
    let folder = checkout.target().join("workbook/verify/1");
    fs::create_dir_all(&folder).expect("a folder");
    let lock = fs::File::create(folder.join("lock")).expect("a file");
    lock.lock().expect("no other process has it");
    checkout.workbook(&["verify", "twice"]).expect(1, &["another verify works in"]);
    let words = ["toy/add was not proved (exit status: 1): another verify works in"];
    checkout.workbook(&["verify"]).expect(1, &words).without(&["error: error"]);
}

/// As another branch may have it.
#[test]
fn a_folder_can_take_the_place_of_a_file_between_two_proofs() {
    let checkout = Checkout::new();
    let notes = checkout.path("crates/toy/notes");
    checkout.write("crates/toy/notes", "a file");
    checkout.workbook(&["verify", "twice"]).expect(0, &["are proved"]);
    fs::remove_file(&notes).expect("it was there");
    checkout.write("crates/toy/notes/more", "a file in a folder");
    checkout.workbook(&["verify", "twice"]).expect(0, &["are proved"]);
    fs::remove_dir_all(&notes).expect("it was there");
    checkout.write("crates/toy/notes", "a file again");
    checkout.workbook(&["verify", "twice"]).expect(0, &["are proved"]);
}

#[test]
fn latency_measures_the_reference_and_leaves_the_readers_files_alone() {
    let checkout = Checkout::new();
    checkout.solve("twice", "not even Rust");
    let files = checkout.files();
    let said = checkout.workbook(&["latency", "twice", "--rounds", "1"]);
    said.expect(0, &["exercise", "front end", "code generation", "link", "tests", "toy/twice", " s "]);
    said.expect(0, &["median ", "slowest ", "(toy/twice)"]).without(&["toy/add"]);
    assert!(files == checkout.files(), "latency changed a file of the reader's");
    checkout.write("crates/toy/src/twice.rs", &TWICE_SOLVED.replace("a + a", "a + a + 1"));
    checkout.write("crates/toy/mistakes/twice.md", "");
    checkout.workbook(&["latency", "twice"]).expect(1, &["toy/twice has no mistake"]);
    checkout.mistake("twice", "once", "doubles", "not 3", "pub fn twice(a: i32) -> i32 { a }");
    checkout.workbook(&["latency", "twice"]).expect(1, &["toy/twice: the reference fails doubles"]);
}

/// As when cargo builds the tool anew while it works.
#[test]
fn the_workers_are_this_program_although_its_file_is_gone() {
    let checkout = Checkout::new();
    let script = "cp \"$0\" tool && exec 3<tool && rm tool && exec /proc/self/fd/3 verify --json";
    let said = checkout.run(checkout.program("/bin/sh", &["-c", script, crate::tool::tool()]));
    assert_eq!(said.expect(0, &[]).json(), proof([2, 0], [2, 0], [6, 0]));
}

/// As `just fuzz` leaves it below a crate: gigabytes.
#[test]
fn what_cargo_has_built_below_a_crate_is_not_copied() {
    let checkout = Checkout::new();
    for name in ["target/CACHEDIR.TAG", "target/debug/a-gigabyte", "corpus"] {
        checkout.write(&format!("crates/toy/fuzz/{name}"), "");
    }
    checkout.workbook(&["verify", "twice"]).expect(0, &["are proved"]);
    let copied = checkout.target().join("workbook/verify/1/checkout/crates/toy/fuzz");
    assert_eq!(crate::tool::named(&copied, ""), ["corpus"]);
}
