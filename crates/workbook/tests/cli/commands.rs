//! `status`, `list`, `hint`, `solution`, `reset`, `doctor` and `--help`.

use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

use nix::sys::signal::Signal;
use serde_json::json;

use crate::checkout::{ADD_SOLVED, Checkout, TWICE_SOLVED};
use crate::tool::{named, names};

#[test]
fn every_command_explains_itself() {
    let checkout = Checkout::new();
    let commands = [
        "status", "serve", "list", "run", "check", "watch", "why", "hint", "solution", "reset", "verify",
        "doctor", "soak",
    ];
    let whole = checkout.workbook(&["--help"]);
    for command in commands {
        whole.expect(0, &[&format!("\n  {command} ")]);
        checkout.workbook(&[command, "--help"]).expect(0, &[&format!("Usage: workbook {command}"), "--help"]);
    }
    for command in ["list", "run", "check", "why", "verify", "doctor"] {
        checkout.workbook(&[command, "--help"]).expect(0, &["--json"]);
    }
    checkout.workbook(&["check", "--help"]).expect(0, &["--patience <SECONDS>", "[default: 10]"]);
    checkout.workbook(&["--version"]).expect(0, &["workbook "]);
    checkout.workbook(&["chek"]).expect(2, &["chek", "check"]);
    checkout.workbook(&["hint"]).expect(2, &["<NAME>"]);
}

#[test]
fn a_new_reader_is_welcomed_and_a_known_one_sees_what_comes_next() {
    let checkout = Checkout::new();
    let said = checkout.workbook(&[]);
    said.expect(0, &["Welcome", "their tests fail", "What was seen: fd-vanishes agrees", "What to do next"]);
    said.expect(0, &["book/src/01-sums/index.md", "disputed", "crates/toy/exercises/add.rs", "check add"]);
    // From the second time on: where they are.
    let said = checkout.workbook(&["status"]);
    said.without(&["Welcome"])
        .expect(0, &["1 Sums", "2 Doubles", "1 of 3 experiments run, 0 of 2 exercises done"]);
    said.expect(0, &["Next", "Add  book/src/01-sums/exercise-add.md", "check add"]);
    checkout.solve("add", ADD_SOLVED);
    checkout.workbook(&["check", "add"]).expect(0, &[]);
    checkout
        .workbook(&[])
        .expect(0, &["1 of 2 exercises done", "Disputed", "disputed"])
        .without(&["check add"]);
    checkout.workbook(&["run", "disputed", "--json"]).expect(1, &[]);
    checkout.workbook(&[]).expect(0, &["2 of 3 experiments run", "check twice"]);
}

#[test]
fn a_kernel_that_disagrees_with_the_first_question_is_in_the_status() {
    let checkout = Checkout::new();
    let file = "experiments/01-sums/fd-vanishes.rs";
    let agrees = checkout.read(file);
    let disagrees = agrees.replace("answer(\"agrees\", \"null\", 0)", "answer(\"disagrees\", \"null\", 1)");
    assert_ne!(agrees, disagrees);
    checkout.write(file, &disagrees);
    checkout.workbook(&[]).expect(1, &["Welcome", "fd-vanishes disagrees", "What to do next"]);
    checkout.workbook(&[]).expect(0, &["1 of 3 experiments run"]);
}

#[test]
fn a_reader_with_a_changed_exercise_is_not_welcomed_again() {
    let checkout = Checkout::new();
    checkout.solve("twice", "pub fn twice() {}");
    checkout
        .workbook(&[])
        .without(&["Welcome", "What was seen"])
        .expect(0, &["0 of 2 exercises done", "Next"]);
}

#[test]
fn the_list_is_in_the_books_order() {
    let checkout = Checkout::new();
    let said = checkout.workbook(&["list"]);
    said.expect(
        0,
        &["1 Sums", "fd-vanishes", "Is fd-vanishes so?", "toy/add", "2 Doubles", "disputed", "toy/twice"],
    );
    let json = checkout.workbook(&["list", "--json"]).expect(0, &[]).json();
    assert_eq!(
        json["exercises"],
        json!([
            { "name": "toy/add", "crate": "toy", "chapter": 1, "done": false, "passes": null,
              "page": "book/src/01-sums/exercise-add.md", "title": "Add", "feature": "mine-add" },
            { "name": "toy/twice", "crate": "toy", "chapter": 2, "done": false, "passes": null,
              "page": "book/src/02-doubles/exercise-twice.md", "title": "Twice", "feature": "mine-twice" },
        ])
    );
    let question = |name: &str| format!("A preamble. Is {name} so?");
    assert_eq!(
        json["experiments"],
        json!([
            { "name": "fd-vanishes", "chapter": 1, "question": question("fd-vanishes"),
              "page": "book/src/01-sums/fd-vanishes.md", "agrees": null },
            { "name": "disputed", "chapter": 2, "question": question("disputed"),
              "page": "book/src/02-doubles/disputed.md", "agrees": null },
            { "name": "not-here", "chapter": 2, "question": question("not-here"),
              "page": null, "agrees": null },
        ])
    );
    assert_eq!(json.as_object().map(serde_json::Map::len), Some(2));
    let mut from_below = checkout.command(&["list", "--json"]);
    from_below.current_dir(checkout.path("crates/toy/src"));
    assert_eq!(checkout.run(from_below).json(), json, "it is the same from a folder below");
}

#[test]
fn a_closed_pipe_ends_the_tool_quietly() {
    let checkout = Checkout::new();
    for args in [&["list"][..], &["list", "--json"], &["doctor"], &["--help"]] {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        drop(reader);
        let mut child =
            checkout.command(args).stdout(writer).stderr(Stdio::piped()).spawn().expect("it starts");
        let stderr = std::io::read_to_string(child.stderr.take().expect("a pipe")).expect("text");
        let status = child.wait().expect("it is our child");
        assert_eq!((stderr.as_str(), status.signal()), ("", Some(Signal::SIGPIPE as i32)), "{args:?}");
    }
}

#[test]
fn hints_go_one_step_further_at_each_call() {
    let checkout = Checkout::new();
    let hint = |args: &[&str], step: u32| {
        let said = checkout.workbook(&[&["hint"], args].concat());
        said.expect(0, &[&format!("toy/add, hint {step} of 3"), &format!("Step {step} for add.")]);
        said.without(&["ANCHOR"]);
        for other in (1..=3).filter(|other| *other != step) {
            said.without(&[&format!("Step {other} for")]);
        }
        said
    };
    hint(&["add"], 1).expect(0, &["One step further", "hint add"]);
    hint(&["toy/add"], 2);
    checkout.workbook(&["hint", "twice"]).expect(0, &["toy/twice, hint 1 of 3"]);
    hint(&["add"], 3).expect(0, &["That was the last", "solution add --anyway"]);
    hint(&["add"], 3).expect(0, &["That was the last"]);
    hint(&["add", "--again"], 1);
    hint(&["add"], 2);
    checkout.workbook(&["hint", "dad"]).expect(2, &["no exercise is called `dad`"]);
}

#[test]
fn the_solution_is_shown_after_a_pass_or_with_anyway() {
    let checkout = Checkout::new();
    checkout
        .workbook(&["solution", "twice"])
        .expect(1, &["not known to pass", "--anyway"])
        .without(&["pub fn"]);
    let said = checkout.workbook(&["solution", "twice", "--anyway"]);
    said.expect(0, &["crates/toy/src/twice.rs", "pub fn twice", "a + a"]).without(&["ANCHOR"]);
    checkout.workbook(&["check", "twice"]).expect(1, &[]);
    checkout.workbook(&["solution", "twice"]).expect(1, &["not known to pass"]);
    checkout.solve("twice", TWICE_SOLVED);
    checkout.workbook(&["solution", "twice"]).expect(1, &["not known to pass"]);
    checkout.workbook(&["check", "twice"]).expect(0, &[]);
    let files = ["exercises", "src"].map(|folder| format!("crates/toy/{folder}/twice.rs"));
    let [yours, ours] = &files;
    let beside = format!("git diff --no-index {yours} {ours}\n");
    checkout.workbook(&["solution", "twice"]).expect(0, &["a + a", &beside]);
    // The command is one for the folder in which the reader is.
    let mut from_below = checkout.command(&["solution", "twice"]);
    from_below.current_dir(checkout.path("crates/toy"));
    let beside = format!("git diff --no-index ../../{yours} ../../{ours}\n");
    checkout.run(from_below).expect(0, &[&beside]);
    checkout.workbook(&["solution", "twicee"]).expect(2, &["Did you mean `twice`?"]);
}

#[test]
fn reset_keeps_what_the_reader_wrote() {
    let checkout = Checkout::new();
    let starter = checkout.read("crates/toy/starters/add.rs");
    checkout.workbook(&["reset", "add"]).expect(0, &["nothing to put back"]);
    for (number, text) in [(1, "my first attempt"), (2, "my second attempt")] {
        checkout.solve("add", text);
        let kept = format!("crates/toy/exercises/add.rs.{number}.kept");
        checkout.workbook(&["reset", "add"]).expect(0, &["as it was handed out", &format!("is in {kept}")]);
        assert_eq!(checkout.read("crates/toy/exercises/add.rs"), starter);
        assert_eq!(checkout.read(&kept), text);
    }
    assert_eq!(checkout.read("crates/toy/exercises/add.rs.1.kept"), "my first attempt");
    // Nothing is written through a link to nowhere either, as an editor's lock is one.
    let third = checkout.path("crates/toy/exercises/add.rs.3.kept");
    std::os::unix::fs::symlink("nowhere", &third).expect("a link");
    checkout.solve("add", "my third attempt");
    checkout.workbook(&["reset", "add"]).expect(0, &["add.rs.4.kept"]);
    let all = ["add.rs", "add.rs.1.kept", "add.rs.2.kept", "add.rs.3.kept", "add.rs.4.kept", "twice.rs"];
    assert_eq!(named(&checkout.path("crates/toy/exercises"), ""), all);
    checkout.workbook(&["reset", "nothing-like-it"]).expect(2, &["no exercise is called"]);
}

/// As on a full disk, or after Ctrl-C: the file system takes no byte of the starter.
#[test]
fn a_reset_that_is_cut_short_leaves_the_exercise_as_it_is() {
    let checkout = Checkout::new();
    checkout.solve("add", "my only attempt");
    let script = "trap '' XFSZ; ulimit -f 0; exec \"$0\" reset add";
    let said = checkout.run(checkout.program("/bin/sh", &["-c", script, crate::tool::tool()]));
    said.expect(1, &["yours is kept as crates/toy/exercises/add.rs.1.kept", "cannot write"]);
    assert_eq!(checkout.read("crates/toy/exercises/add.rs"), "my only attempt");
    assert_eq!(checkout.read("crates/toy/exercises/add.rs.1.kept"), "my only attempt");
    // And so does one that is killed there.
    let script = script.replace("trap '' XFSZ; ", "");
    checkout.run(checkout.program("/bin/sh", &["-c", &script, crate::tool::tool()]));
    assert_eq!(checkout.read("crates/toy/exercises/add.rs"), "my only attempt");
    checkout.workbook(&["reset", "add"]).expect(0, &["is in crates/toy/exercises/add.rs.3.kept"]);
    assert_eq!(checkout.read("crates/toy/exercises/add.rs"), checkout.read("crates/toy/starters/add.rs"));
}

#[test]
fn the_doctor_names_what_it_looked_at() {
    let checkout = Checkout::new();
    let said = checkout.workbook(&["doctor", "--json"]);
    let json = said.json();
    let names = names(&json, "name");
    assert!(names.iter().any(|name| name == "Linux") && names.iter().any(|name| name == "strace"), "{json}");
    let lacks =
        json.as_array().expect("an array").iter().any(|one| one["required"] == true && one["good"] == false);
    said.expect(i32::from(lacks), &[]);
    checkout.workbook(&["doctor"]).expect(i32::from(lacks), &["Linux", "required"]);
    // Experiments raise their soft limit, and no process can raise its hard one.
    for (limit, good) in [("-Sn", true), ("-n", false)] {
        let script = format!("ulimit {limit} 100; exec \"$0\" doctor --json");
        let said = checkout.run(checkout.program("/bin/sh", &["-c", &script, crate::tool::tool()]));
        let findings = said.json();
        let limits =
            findings.as_array().and_then(|all| all.iter().find(|one| one["name"] == "descriptor limit"));
        assert_eq!(limits.expect("it is looked at")["good"], good, "ulimit {limit}: {findings}");
    }
}
