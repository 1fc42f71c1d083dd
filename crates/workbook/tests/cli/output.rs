//! Standard output that is full, slow, nonblocking, closed or narrow.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::pty::{Winsize, openpty};

use crate::checkout::Checkout;

fn full() -> File {
    OpenOptions::new().write(true).open("/dev/full").expect("there is /dev/full")
}

/// How it ended, and what it said on standard error.
fn ended(command: &mut Command) -> (Option<i32>, String) {
    let output = command.stderr(Stdio::piped()).spawn().and_then(std::process::Child::wait_with_output);
    let output = output.expect("the tool starts");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn a_full_disk_is_an_error_and_no_panic() {
    let checkout = Checkout::new();
    for args in [
        &["list"][..],
        &["list", "--json"],
        &["status"],
        &["check", "add"],
        &["check", "--json"],
        &["why", "add"],
        &["hint", "add"],
        &["solution", "add", "--anyway"],
        &["reset", "add"],
        &["run", "--all"],
        &["doctor"],
        &["verify", "twice", "--json"],
        &["--help"],
        &["--version"],
    ] {
        let (code, said) = ended(checkout.command(args).stdout(full()));
        let wanted = "cannot write to standard output: No space left on device";
        assert!(code == Some(1) && said.contains(wanted), "{args:?}: {code:?} {said}");
        assert!(!said.contains("panicked"), "{args:?}: {said}");
    }
}

#[test]
fn an_experiment_whose_report_is_lost_is_an_error_and_was_not_run() {
    let checkout = Checkout::new();
    checkout.experiment("01-sums", "unprinted", "std::process::exit(4)");
    for args in [&["run", "unprinted"][..], &["run", "unprinted", "--json-lines"]] {
        checkout.workbook(args).expect(1, &["the report of unprinted is lost"]);
    }
    let listed = checkout.workbook(&["list", "--json"]).json();
    let unknown = |one: &serde_json::Value| one["agrees"].is_null();
    assert!(listed["experiments"].as_array().is_some_and(|all| all.iter().all(unknown)), "{listed}");
}

#[test]
fn where_standard_error_is_full_too_the_status_says_it() {
    let checkout = Checkout::new();
    for (args, code) in [(&["list"][..], 1), (&["check", "nothing-like-it"], 2), (&["nonsense"], 2)] {
        let status = checkout.command(args).stdout(full()).stderr(full()).status().expect("the tool starts");
        assert_eq!(status.code(), Some(code), "{args:?}");
    }
}

/// As `hint add | head -1`: the reader of the pipe leaves after the first line.
#[test]
fn a_hint_of_which_only_one_line_was_read_is_remembered() {
    let checkout = Checkout::new();
    for step in 1..=3 {
        let script = "\"$0\" hint add | head -1";
        let said = checkout.run(checkout.program("/bin/sh", &["-c", script, crate::tool::tool()]));
        said.expect(0, &[&format!("hint {step} of 3")]);
    }
}

#[test]
fn a_full_pipe_that_does_not_block_is_waited_for() {
    let checkout = Checkout::new();
    let whole = checkout.workbook(&["list", "--json"]).stdout;
    let (mut reader, writer) = std::io::pipe().expect("a pipe");
    fcntl(&writer, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).expect("it can be nonblocking");
    // As full as can be, so that not one byte is taken at first.
    let filled = (1..).take_while(|_| nix::unistd::write(&writer, b"x").is_ok()).count();
    let mut child = checkout.command(&["list", "--json"]).stdout(writer).spawn().expect("the tool starts");
    // It sleeps in poll, and not in a loop that never ends.
    let deadline = Instant::now() + Duration::from_secs(60);
    let state = || std::fs::read_to_string(format!("/proc/{}/wchan", child.id())).unwrap_or_default();
    while !state().contains("poll") && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(5));
    }
    let mut text = Vec::new();
    reader.read_to_end(&mut text).expect("text");
    assert_eq!(child.wait().expect("it is our child").code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&text[filled..]), whole);
}

#[test]
fn a_closed_output_loses_the_words_and_nothing_else() {
    let checkout = Checkout::new();
    let closed = checkout
        .program("/bin/sh", &["-c", "exec \"$0\" \"$@\" >&- 2>&-", crate::tool::tool(), "hint", "add"]);
    checkout.run(closed).expect(0, &[]);
    checkout.workbook(&["hint", "add"]).expect(0, &["hint 2 of 3"]);
}

#[test]
fn a_narrow_or_dumb_terminal_gets_the_same_words() {
    let checkout = Checkout::new();
    let narrow = Winsize { ws_row: 20, ws_col: 60, ws_xpixel: 0, ws_ypixel: 0 };
    for (term, lang) in [("xterm", "C.UTF-8"), ("dumb", "C"), ("", "")] {
        let pty = openpty(Some(&narrow), None).expect("a terminal");
        let mut command = checkout.command(&["check", "add"]);
        command.env("TERM", term).env("LANG", lang).env("LC_ALL", lang);
        let terminal = || Stdio::from(pty.slave.try_clone().expect("a descriptor"));
        command.stdin(terminal()).stdout(terminal()).stderr(terminal());
        let mut child = command.spawn().expect("the tool starts");
        drop((command, pty.slave));
        let mut text = Vec::new();
        // EIO: no process has the terminal open any more.
        let _ = File::from(pty.master).read_to_end(&mut text);
        assert_eq!(child.wait().expect("it is our child").code(), Some(1));
        let text = String::from_utf8(text).expect("text");
        assert!(
            text.contains("0 of 4 tests pass") && text.contains("not yet implemented"),
            "{term}: {text:?}"
        );
        if term == "dumb" {
            assert!(!text.contains('\u{1b}'), "a dumb terminal got a control sequence: {text:?}");
        }
    }
}
