//! Output fails like everything else: a report that cannot be printed is an error with a status, and never a panic.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::process::Command;
use std::thread;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, poll};
use support::{program, run};

mod support;

#[test]
fn a_terminal_without_colors_changes_nothing() {
    let variables = [("TERM", "dumb"), ("LANG", "C"), ("LC_ALL", "C"), ("NO_COLOR", "1"), ("COLUMNS", "60")];
    let run = run(Command::new(program("fd-vanishes")).envs(variables));
    assert_eq!((run.status, run.stderr.as_str()), (Some(0), ""));
    assert!(!run.stdout.contains('\x1b'), "no colors: {}", run.stdout);
}

#[test]
fn a_report_that_cannot_be_printed_has_a_status_of_its_own() {
    for format in ["--plain", "--json", "--json-lines", "--strace"] {
        let mut command = Command::new("sh");
        let run = run(command
            .args(["-c", "exec \"$0\" \"$1\" >/dev/full"])
            .arg(program("fd-vanishes"))
            .arg(format));
        if format == "--strace" && run.stderr.contains("strace:") {
            eprintln!("skipped: {format}: {}", run.stderr);
            continue;
        }
        assert_eq!(run.status, Some(4), "{format}: neither a verdict nor skipped: {}", run.stderr);
        let said = "fd-vanishes: the report cannot be printed: No space left on device";
        assert!(run.stderr.starts_with(said) && run.stderr.lines().count() == 1, "{:?}", run.stderr);
    }
}

#[test]
fn nobody_has_to_read_the_report() {
    for closed in [
        "exec \"$0\" --plain >&-",
        "exec \"$0\" --plain <&- >&- 2>&-",
        "\"$0\" --plain | true",
        "\"$0\" --strace | true",
    ] {
        let run = run(Command::new("sh").args(["-c", closed]).arg(program("fd-vanishes")));
        assert_eq!((run.status, run.stdout + &run.stderr), (Some(0), String::new()), "{closed}");
    }
}

#[test]
fn a_nonblocking_output_gets_the_whole_report() {
    let (mut reader, writer) = io::pipe().expect("a pipe");
    // Smaller than the report, so that a write fails with EAGAIN until this test reads.
    fcntl(&writer, FcntlArg::F_SETPIPE_SZ(4096)).expect("a small pipe");
    fcntl(writer.as_fd(), FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).expect("a nonblocking pipe");
    let theirs = writer.try_clone().expect("a second descriptor");
    // A statement of its own, because the command keeps its copy of the write end.
    let started = Command::new(program("level-edge-oneshot")).arg("--json").stdout(theirs).spawn();
    let mut child = started.expect("it starts");
    while poll(&mut [PollFd::new(writer.as_fd(), PollFlags::POLLOUT)], 0_u8) == Ok(1) {
        assert_eq!(child.try_wait().expect("it is a child"), None, "it exits before the pipe is full");
        thread::yield_now();
    }
    drop(writer);
    let mut text = String::new();
    reader.read_to_string(&mut text).expect("a report in UTF-8");
    assert!(child.wait().expect("it is a child").code().is_some_and(|code| code != 1));
    let report: serde_json::Value = serde_json::from_str(&text).expect("one whole report");
    assert_ne!(report["verdict"], "disagrees", "{text}");
}
