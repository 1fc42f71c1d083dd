//! Tests of the exercise `process/capture`. Each looks at what the program had, what the caller got, and what is left.
//!
//! The helper calls `capture`: it has one thread, and only the descriptors that a test wants. The program that it runs
//! is the test program once more, in the role that the test names.

mod support;

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

use nix::libc::SIGRTMIN;
use nix::sys::resource::{Resource, getrlimit};
use nix::unistd::{SysconfVar, mkdtemp, sysconf};
use support::Answer;

testing::helper!(support::helper::answer);

/// Lets the helper run this program in a role, with that many bytes of input.
#[track_caller]
fn run(input: &str, role: &[&str], hung: &str) -> Answer {
    capture("", input, "self", role, hung)
}

/// Lets the helper call `capture`. `caller` says what the helper is like, for example `0 1` if it has these numbers closed:
/// see `support/helper/caller.rs`.
#[track_caller]
fn capture(caller: &str, input: &str, program: &str, args: &[&str], hung: &str) -> Answer {
    let answer = support::ask(&[&["capture", caller, input, program], args].concat(), hung);
    assert!(
        answer.lines("escaped").next().is_none(),
        "the child returned from `capture`, so two processes run the caller's code now. If `execv` fails, the child \
         must call `_exit`:\n{}",
        answer.0
    );
    answer
}

/// Lets the helper call `capture` on a kernel where calls fail, like `read:1..9=EIO`: see `support/helper/kernel.rs`.
#[track_caller]
fn on(kernel: &str, input: &str, role: &[&str], hung: &str) -> Option<Answer> {
    support::traced(kernel, &[&["capture", "", input, "self"], role].concat(), hung)
}

#[track_caller]
fn returned(answer: &Answer, status: &str) {
    let seen = &answer.0;
    assert_eq!(answer.line("result"), "Ok", "`capture` failed:\n{seen}");
    assert_eq!(answer.line("status"), status, "`capture` returned the wrong status:\n{seen}");
}

/// Checks that the captured output is this line, and nothing else.
#[track_caller]
fn said(answer: &Answer, line: &str, meaning: &str) {
    let lines: Vec<&str> = answer.lines("said").collect();
    assert_eq!(lines, [line], "{meaning}:\n{}", answer.0);
}

const HUNG: &str = "Does the caller still have the write end of the output open? While any process has it open, a read \
                    of the output never reaches end of file";

#[test]
fn the_program_reads_its_input_to_the_end() {
    testing::needs!(descriptors(256));
    for (input, words) in [("0", "0 bytes and end of file"), ("5000", "5000 bytes and end of file")] {
        let answer = run(input, &["read"], HUNG);
        said(
            &answer,
            words,
            "the program should read its whole input and then end of file, which comes when each copy of the pipe's write \
             end is closed, in the caller and in the program",
        );
        returned(&answer, "exited with 0");
    }
}

#[test]
fn the_whole_output_is_returned() {
    testing::needs!(descriptors(256));
    let hung = "Does it wait for the program before it reads? A program that prints more than a pipe holds waits until \
                something reads, so read to the end first";
    let answer = run("0", &["print", "300000"], hung);
    assert_eq!(
        answer.line("bytes"),
        "300000 in order",
        "the program printed 300000 bytes. One `read` returns what is in the pipe at that moment, so read until a read \
         returns 0"
    );
    returned(&answer, "exited with 0");
    // The first byte is 0, and the last one a newline.
    let answer = run("0", &["print", "262"], hung);
    assert_eq!(
        answer.line("bytes"),
        "262 in order",
        "the program printed 262 bytes, of which the last is a newline. The caller gets every byte as it is: only a shell's \
         `$(…)` drops newlines at the end"
    );
}

/// A little more than 16 MiB, in bytes.
const LARGE: &str = "17000300";

#[test]
fn no_length_is_the_maximum() {
    testing::needs!(descriptors(256));
    let answer = run(
        "0",
        &["print", LARGE],
        "The program printed 17 MB: read until a read returns 0, and only then wait",
    );
    assert_eq!(
        answer.line("bytes"),
        format!("{LARGE} in order"),
        "the program printed {LARGE} bytes, and the caller did not get all of them. Read until a read returns 0, however \
         many bytes there are already"
    );
    let answer = run(
        LARGE,
        &["read"],
        "The program was given 17 MB of input: write all of it, then close the write end",
    );
    said(
        &answer,
        &format!("{LARGE} bytes and end of file"),
        "the input was large, and the program did not get all of it. Write until everything is written",
    );
}

#[test]
fn the_output_ends_when_the_program_exits() {
    testing::needs!(descriptors(256));
    let answer = run("10", &["exit", "0"], HUNG);
    returned(&answer, "exited with 0");
    assert_eq!(answer.line("bytes"), "0 in order", "the program printed nothing");
}

#[test]
fn the_program_has_the_pipes_at_0_and_1_only() {
    testing::needs!(descriptors(256));
    for input in ["10", "0"] {
        let answer = run(input, &["pipes"], HUNG);
        said(
            &answer,
            "pipes 0r 1w",
            &format!(
                "the input has {input} bytes, and the program should have the read end of one pipe at 0 and the write end of \
                 the other at 1, and no other end of a pipe. dup2 puts an end at its number, even if the input is empty; the \
                 child has to close the originals, and the two ends that belong to the caller"
            ),
        );
    }
}

#[test]
fn arguments_and_environment_arrive() {
    testing::needs!(descriptors(256));
    let answer = run("0", &["arguments", "two words", ""], HUNG);
    let own = std::env::current_exe().expect("a program that runs has a path").display().to_string();
    let lines: Vec<&str> = answer.lines("said").collect();
    assert_eq!(
        lines,
        [&format!("name {own}"), r#"arguments ["two words", ""]"#, "variable it is here"],
        "argv should be the program's path and then the arguments, and the environment the caller's"
    );
    returned(&answer, "exited with 0");
}

#[test]
fn any_number_of_arguments_arrives() {
    testing::needs!(descriptors(256));
    let room = sysconf(SysconfVar::ARG_MAX).ok().flatten().unwrap_or_default();
    if room < 400_000 {
        testing::skip!("arguments and environment may have only {room} bytes here (ulimit -s)");
    }
    let long = "x".repeat(100_000);
    let arguments: Vec<&str> = ["count"].into_iter().chain([""; 5000]).chain([long.as_str()]).collect();
    let answer = run("0", &arguments, HUNG);
    said(
        &answer,
        "5001 arguments, 100000 bytes",
        "5000 empty arguments and a long one were passed. An array of a fixed length is too short for some callers: \
         collect the pointers in a `Vec`, before the fork",
    );
}

#[test]
fn the_program_is_a_path() {
    testing::needs!(descriptors(256));
    let answer = capture("", "0", "sh", &["-c", "exit 3"], HUNG);
    assert_eq!(
        answer.line("status"),
        "exited with 127",
        "`program` was `sh`, and no such file is in the working directory: execvp searches the folders of PATH, and \
         `program` is a path. Call `execv`"
    );
}

#[test]
fn standard_error_is_the_callers() {
    testing::needs!(descriptors(256));
    let answer = capture("errors", "0", "self", &["complain"], HUNG);
    assert_eq!(
        answer.line("errors"),
        r#""words""#,
        "the program wrote “words” to its standard error, which is its caller's. Only 0 and 1 are replaced"
    );
    assert_eq!(answer.line("bytes"), "0 in order", "the program wrote to standard error, not to its output");
    let answer = capture("errors", "0", "/proc/self/no-such-program", &[], HUNG);
    assert_eq!(
        answer.line("errors"),
        r#""""#,
        "no program ran, and something was written to standard error. The caller sees the status 127; the child must not \
         print, because another thread may have held the lock of the stream at the fork"
    );
}

#[test]
fn the_exit_code_is_returned() {
    testing::needs!(descriptors(256));
    for code in ["0", "1", "7", "255"] {
        let answer = run("0", &["exit", code], HUNG);
        assert_eq!(
            answer.line("status"),
            format!("exited with {code}"),
            "the program exited with {code}. The number that waitpid(2) writes holds more than the exit code: WaitStatus \
             of nix, or the macro WEXITSTATUS, takes it apart"
        );
    }
}

#[test]
fn the_signal_that_killed_the_program_is_returned() {
    testing::needs!(descriptors(256));
    for (number, name) in [("9", "SIGKILL"), ("15", "SIGTERM")] {
        let answer = run("0", &["die", number], HUNG);
        assert_eq!(
            answer.line("status"),
            format!("killed by {name}"),
            "{name} killed the program, so it has no exit code: WaitStatus::Signaled says which signal it was"
        );
    }
    if getrlimit(Resource::RLIMIT_SIGPENDING).is_ok_and(|(soft, _)| soft == 0) {
        testing::skip!("this process may have no real-time signal pending (ulimit -i)");
    }
    let number = SIGRTMIN().to_string();
    let answer = run("0", &["die", &number], HUNG);
    let result = answer.line("result");
    assert!(
        result.starts_with("Err EINVAL"),
        "the real-time signal {number} killed the program, and `capture` returned `{result}`. `Signal` of nix has no \
         real-time signals, so waitpid of nix fails with EINVAL: invent no signal, and return the errno"
    );
    assert_eq!(
        answer.line("children"),
        "none",
        "a real-time signal killed the program, which was not waited for"
    );
}

#[test]
fn the_output_of_a_killed_program_is_returned() {
    testing::needs!(descriptors(256));
    let answer = run("10", &["print-and-die", "15"], HUNG);
    assert_eq!(answer.line("status"), "killed by SIGTERM");
    said(
        &answer,
        "last words",
        "SIGTERM killed the program after it had printed a line. The caller gets the whole output, however the program ended: \
         what it printed before often says why",
    );
}

#[test]
fn a_core_dump_changes_no_signal() {
    testing::needs!(descriptors(256), temporary);
    let folder = testing::machine::temporary_folder().expect("there is one");
    let folder = mkdtemp(&folder.join("capture-XXXXXX")).expect("a file could be written there");
    let path = folder.display().to_string();
    let dumped = testing::ask(&["dumps", &path]).line("dumped") == "true";
    let answer = run("0", &["dump", &path], HUNG);
    std::fs::remove_dir_all(&folder).expect("nothing else uses it");
    if !dumped {
        testing::skip!("this machine writes no core file into {path}");
    }
    let result = (answer.line("result"), answer.lines("status").next());
    assert_eq!(
        result,
        ("Ok", Some("killed by SIGABRT")),
        "SIGABRT killed the program, which dumped core. The third field of WaitStatus::Signaled says so, and makes no \
         difference here"
    );
}

#[test]
fn a_stop_is_no_exit() {
    testing::needs!(descriptors(256));
    let answer = run("0", &["stop"], HUNG);
    assert_eq!(
        (answer.line("status"), answer.line("children")),
        ("exited with 7", "none"),
        "a signal stopped the program, which continued later and exited with 7. A stopped program has not ended: \
         without WUNTRACED, waitpid returns only when it ends"
    );
}

#[test]
fn a_program_that_cannot_be_started_exits_with_127() {
    testing::needs!(descriptors(256));
    for program in ["/proc/self/no-such-program", "/dev/null"] {
        let answer = capture("", "10", program, &[], HUNG);
        returned(&answer, "exited with 127");
        assert_eq!(answer.line("bytes"), "0 in order", "no program ran, so nothing was printed");
        assert!(
            answer.lines("handlers").next().is_none(),
            "the child ran the caller's exit handlers: `exit` runs them and flushes buffers, and the child has copies \
             of both. Call `_exit`"
        );
    }
}

#[test]
fn a_file_that_is_no_program_is_not_run_by_a_shell() {
    testing::needs!(descriptors(256), temporary);
    let folder = testing::machine::temporary_folder().expect("there is one");
    let folder = mkdtemp(&folder.join("capture-XXXXXX")).expect("a file could be written there");
    let file = folder.join("commands");
    std::fs::write(&file, "exit 3\n").expect("a file can be written there");
    std::fs::set_permissions(&file, Permissions::from_mode(0o755)).expect("it is our file");
    let answer = capture("", "10", &file.display().to_string(), &[], HUNG);
    std::fs::remove_dir_all(&folder).expect("nothing else uses it");
    assert_eq!(
        answer.line("status"),
        "exited with 127",
        "`program` is a text file without a `#!` line. execve fails with ENOEXEC, so the program cannot be started. execvp and \
         shells then let /bin/sh run the file: call `execv`, and `_exit(127)` after each error"
    );
}

#[test]
fn an_input_that_is_not_read_is_no_error() {
    testing::needs!(descriptors(256));
    let answer = run("200000", &["exit", "3"], "The program exited without reading its input");
    assert_eq!(
        answer.line("result"),
        "Ok",
        "the program exited without reading its input, so the write fails with EPIPE. The program may do that: still collect its \
         output and its status"
    );
    returned(&answer, "exited with 3");
}

#[test]
fn interrupted_calls_are_made_again() {
    testing::needs!(descriptors(256));
    let answer = run("10", &["interrupt"], HUNG);
    assert_eq!(
        answer.line("result"),
        "Ok",
        "one signal interrupted a read of the output, and another signal interrupted waitpid. A call that fails with \
         EINTR has to be made again"
    );
    said(&answer, "10 bytes and end of file", "a signal interrupted the read of the output (EINTR): read on");
    returned(&answer, "exited with 7");
}

#[test]
fn any_number_of_interruptions_is_no_error() {
    testing::needs!(descriptors(256));
    let kernel = "read:1..200=EINTR,write:1..200=EINTR,wait4:1..200=EINTR,waitid:1..200=EINTR";
    let Some(answer) = on(kernel, "10", &["read"], HUNG) else { return };
    assert_eq!(
        answer.line("result"),
        "Ok",
        "signals interrupted 200 reads, 200 writes and 200 waits, none of which did anything. However often \
         a signal interrupts a call, make it again"
    );
    said(&answer, "10 bytes and end of file", "signals interrupted 200 calls of the caller");
    returned(&answer, "exited with 0");
}

#[test]
fn an_interrupted_write_is_continued() {
    testing::needs!(descriptors(256));
    let answer = run("200000", &["read-late"], HUNG);
    returned(&answer, "exited with 0");
    said(
        &answer,
        "200000 bytes and end of file",
        "a signal interrupted a write of the input, so the write returned before all bytes were in the pipe. Write the \
         rest, as `write_all` does",
    );
}

#[test]
fn without_descriptors_capture_fails_and_leaves_nothing() {
    testing::needs!(descriptors(256));
    // If 0, 1 and 2 are open, these limits leave room for one to three of the four ends. In the other cases there is room
    // for a pipe, and not for moving each of its ends above 2.
    for limit in ["limit 4", "limit 5", "limit 6", "0 limit 4", "0 1 2 limit 4", "0 1 2 limit 5"] {
        let answer = capture(limit, "10", "self", &["read"], HUNG);
        let result = answer.line("result");
        // EINVAL: the end should move to a number that the limit forbids.
        let moves = !limit.starts_with("limit") && result.starts_with("Err EINVAL");
        assert!(
            result.starts_with("Err EMFILE") || moves,
            "the process may not open as many descriptors as two pipes need, and `capture` returned `{result}` instead of \
             EMFILE"
        );
        assert_eq!(answer.line("children"), "none", "`capture` failed and left a child");
        assert_eq!(
            answer.line("table"),
            "same",
            "with this caller ({limit}), `pipe` or `F_DUPFD` failed, and `capture` left descriptors open. An error has to \
             close the ends that exist already, as dropping an OwnedFd does"
        );
    }
}

#[test]
fn a_failed_fork_leaves_everything_as_it_was() {
    testing::needs!(descriptors(256));
    for errno in ["EAGAIN", "ENOMEM"] {
        let kernel = ["fork", "vfork", "clone", "clone3"].map(|call| format!("{call}={errno}")).join(",");
        let Some(answer) = on(&kernel, "10", &["read"], HUNG) else { return };
        let result = answer.line("result");
        assert!(
            result.starts_with(&format!("Err {errno}")),
            "the kernel refused to fork with {errno}, and `capture` returned `{result}`. Return the errno of fork"
        );
        assert_eq!(answer.line("table"), "same", "fork failed, and `capture` left an end of a pipe open");
        assert_eq!(
            answer.line("mask"),
            "SIGUSR2",
            "fork failed, and `capture` left its caller with other blocked signals than before. `Blocked` restores them \
             when it is dropped, on every way out"
        );
    }
}

#[test]
fn without_its_streams_no_program_runs() {
    testing::needs!(descriptors(256));
    for (which, calls) in [("first", "1..1"), ("second", "2..2")] {
        let kernel = format!("child:dup2:{calls}=EBADF,dup3:{calls}=EBADF");
        let Some(answer) = on(&kernel, "10", &["exit", "7"], HUNG) else { return };
        assert_eq!(
            (answer.line("result"), answer.lines("status").next()),
            ("Ok", Some("exited with 127")),
            "in the child, the {which} dup2 failed, so the program could not have its pipes at 0 and 1. With the caller's \
             streams it must not run: call `execv` only if both calls succeeded, and otherwise `_exit(127)`"
        );
    }
}

#[test]
fn a_failed_read_leaves_no_child() {
    testing::needs!(descriptors(256));
    let hung = "A read of the output failed, and the program waits until its output is read. Close the read end before you \
                wait for the program: then its writes fail, and it can end";
    for (reads, which, role) in [
        ("1..", "each read", &["linger"][..]),
        ("1..", "each read", &["print", "300000"]),
        ("2..", "the second read", &["print", "300000"]),
    ] {
        let Some(answer) = on(&format!("read:{reads}=EIO,readv:{reads}=EIO"), "10", role, hung) else {
            return;
        };
        let result = answer.line("result");
        assert!(
            result.starts_with("Err EIO"),
            "{which} of the output failed with EIO, and `capture` returned `{result}`. Return the error of the read, even if \
             some output came before"
        );
        let children = answer.line("children");
        assert_eq!(
            children, "none",
            "a read failed, and `capture` returned before it had waited for the program. Keep the error, wait, and then \
             return the error"
        );
        assert_eq!(answer.line("table"), "same", "a read failed, and `capture` left a descriptor open");
    }
}

#[test]
fn other_children_are_left_to_the_caller() {
    testing::needs!(descriptors(256));
    let answer = capture("parent", "0", "self", &["exit", "7"], HUNG);
    assert_eq!(
        answer.line("other"),
        "Ok(true)",
        "the caller has another child, which has exited, and `capture` waited for that one. Wait for the pid that fork \
         returned"
    );
    returned(&answer, "exited with 7");
}

#[test]
fn without_a_status_capture_fails_with_echild() {
    testing::needs!(descriptors(256));
    let hung = "If waitpid fails with an errno other than EINTR, it fails again each time";
    let answer = capture("ignores SIGCHLD", "10", "self", &["read"], hung);
    let result = answer.line("result");
    assert!(
        result.starts_with("Err ECHILD"),
        "the caller ignores SIGCHLD, so the kernel throws the status away and waitpid fails with ECHILD; and `capture` \
         returned `{result}`. Invent no status: return the errno"
    );
    assert_eq!(answer.line("table"), "same", "waitpid failed, and `capture` left a descriptor open");
}

#[test]
fn no_child_remains() {
    testing::needs!(descriptors(256));
    for role in [&["linger"][..], &["exit", "7"]] {
        let answer = run("0", role, HUNG);
        let children = answer.line("children");
        assert_eq!(
            children, "none",
            "`capture` left a child, and returned no pid, so its caller cannot wait for it. Wait for that child, however \
             long it takes"
        );
        returned(&answer, "exited with 7");
    }
    let answer = capture("", "10", "/proc/self/no-such-program", &[], HUNG);
    assert_eq!(
        answer.line("children"),
        "none",
        "the child that could not start a program was not waited for"
    );
}

#[test]
fn the_callers_descriptors_do_not_change() {
    testing::needs!(descriptors(256));
    for closed in ["", "0 1 2"] {
        let answer = capture(closed, "10", "self", &["read"], HUNG);
        assert_eq!(
            answer.line("table"),
            "same",
            "`capture` left a descriptor open, or closed one of its caller's"
        );
    }
}

#[test]
fn it_makes_no_difference_which_of_0_1_and_2_are_closed() {
    testing::needs!(descriptors(256));
    for closed in ["0", "1", "0 1", "0 2", "1 2", "0 1 2"] {
        let answer = capture(closed, "10", "self", &["read"], HUNG);
        let meaning = format!(
            "with {closed} closed in the caller, `pipe` returns those numbers, so an end of a pipe may be where dup2 has \
             to put another one. First move the ends above 2"
        );
        assert_eq!(
            answer.lines("said").collect::<Vec<_>>(),
            ["10 bytes and end of file"],
            "{meaning}:\n{}",
            answer.0
        );
        returned(&answer, "exited with 0");
    }
}

#[test]
fn a_signal_before_exec_runs_no_handler() {
    testing::needs!(descriptors(256));
    let answer = capture("signal", "0", "self", &["exit", "7"], HUNG);
    assert!(
        answer.lines("handled").next().is_none(),
        "SIGTERM came between fork and exec, and the child ran its caller's handler, so the program will never know of the \
         signal. Block all signals before the fork, and unblock them in the child when no signal has a handler: \
         `crate::signals::Blocked`"
    );
    // The child of posix_spawn gets no signal here, and the C library lets no handler run in it.
    let signaled = answer.lines("signaled").next().is_some();
    returned(&answer, if signaled { "killed by SIGTERM" } else { "exited with 7" });
}

#[test]
fn the_program_has_its_callers_mask_and_the_caller_keeps_it() {
    testing::needs!(descriptors(256));
    let answer = run("0", &["mask"], HUNG);
    said(
        &answer,
        "blocked SIGUSR2",
        "the caller blocks SIGUSR2 and no other signal, and the program should too. What `Blocked` blocks is unblocked when \
         it is dropped",
    );
    // The caller is asleep in a read of the output, and then in a write of an input that is longer than a pipe.
    for input in ["0", "200000"] {
        said(
            &run(input, &["callers-mask"], HUNG),
            "blocked SIGUSR2",
            "while the program runs, its caller has other signals blocked than before, so for example Ctrl-C does not end \
             it. Drop `Blocked` in the caller right after the fork",
        );
    }
    let failed = capture("", "0", "/proc/self/no-such-program", &[], HUNG);
    for answer in [answer, failed, capture("limit 5", "0", "self", &["mask"], HUNG)] {
        assert_eq!(
            answer.line("mask"),
            "SIGUSR2",
            "after `capture`, the caller blocks other signals than before"
        );
    }
}

#[test]
fn ignored_signals_stay_ignored() {
    testing::needs!(descriptors(256));
    said(
        &run("0", &["ignored"], HUNG),
        "ignored SIGPIPE",
        "the caller ignores SIGPIPE and no other signal, and exec keeps that. `remove_handlers` changes no ignored signal",
    );
    said(
        &capture("ignores more", "0", "self", &["ignored"], HUNG),
        "ignored SIGINT SIGQUIT SIGPIPE SIGRTMIN",
        "the caller ignores more signals, as one does that a shell has started in the background, and exec keeps that. The \
         child must not reset an ignored signal",
    );
}

#[test]
fn the_child_does_not_allocate() {
    testing::needs!(descriptors(256));
    let started = run("10", &["read"], HUNG);
    let failed = capture("", "10", "/proc/self/no-such-program", &[], HUNG);
    for (answer, when) in [(started, "between fork and exec"), (failed, "after `execv` had failed")] {
        assert_eq!(
            answer.line("allocated"),
            "no",
            "the child used the memory allocator {when}. If another thread of the caller held the allocator's lock at the \
             fork, the child would wait forever. Build argv before the fork, and call `libc::execv`: `nix::unistd::execv` \
             allocates. If it fails, only call `_exit`"
        );
    }
}
