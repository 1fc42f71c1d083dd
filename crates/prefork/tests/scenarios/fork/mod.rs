//! `fork WHAT`: fork this process, and print what parent and child see.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use nix::libc;
use nix::unistd::{getpid, write};
use prefork::{Child, Error, fork as code_under_test};

use super::support::helper::children::{self, die_with};

mod at_fork;
mod endings;
mod guards;
mod holding;
mod output;
mod refused;
mod signals;
mod table;
mod threads;

/// Run the scenario of that name, and return the helper's exit code.
pub fn run(what: &[&str]) -> i32 {
    match what {
        ["output"] => output::output(),
        ["random"] => output::random(),
        ["many-random"] => output::many_random(),
        ["random-in-two-containers"] => return output::random_in_two_containers(),
        ["random-forbidden"] => return output::random_forbidden(),
        ["codes"] => endings::codes(),
        ["panic", how] => endings::panic(how),
        ["at-exit"] => endings::at_exit(),
        ["grandchild"] => endings::grandchild(),
        ["dispositions"] => signals::dispositions(),
        ["signal-during-fork", kind] => signals::during_fork(kind),
        ["reaped-by-a-handler"] => signals::reaped_by_a_handler(),
        ["sigchld-ignored", how] => signals::sigchld_ignored(how),
        ["threads", count] => threads::alive(count),
        ["thread-with-a-name"] => threads::with_a_name(),
        ["joined"] => threads::joined(),
        ["main-ended"] => threads::main_ended(),
        ["guard"] => guards::one(),
        ["guards"] => guards::four(),
        ["guards-of-the-same-name"] => guards::of_the_same_name(),
        ["guard-copied"] => guards::copied(),
        ["guard-dropped-by-a-panic"] => guards::dropped_by_a_panic(),
        ["guard-of-another-thread"] => guards::of_another_thread(),
        ["guard-whose-name-panics"] => guards::whose_name_panics(),
        ["closure"] => holding::closure(),
        ["no-proc"] => return refused::no_proc(),
        ["limit"] => return refused::limit(),
        ["no-descriptor"] => refused::no_descriptor(),
        ["descriptors-run-out"] => refused::descriptors_run_out(),
        ["no-pidfd", when] => return refused::no_pidfd(when),
        ["table"] => table::run(),
        ["held"] => holding::held(),
        ["interrupted"] => holding::interrupted(),
        ["dropped"] => holding::dropped(),
        ["reused"] => return holding::reused(),
        ["no-waitid"] => return holding::no_waitid(),
        ["reaped-without-pidfd-send-signal"] => return holding::reaped_without_pidfd_send_signal(),
        _ => return 2,
    }
    println!("left {}", children::left());
    0
}

/// Call the code under test. A child that returns from it prints that, and exits.
#[track_caller]
fn fork(work: impl FnOnce() -> i32) -> prefork::Result<Child> {
    let parent = getpid();
    let returned = catch_unwind(AssertUnwindSafe(|| {
        code_under_test::fork(|| {
            die_with(parent);
            work()
        })
    }));
    if getpid() != parent {
        say(if returned.is_ok() { "escaped by a return" } else { "escaped by a panic" });
        // SAFETY: it ends the process at once, so nothing of it is used afterwards.
        unsafe { libc::_exit(99) }
    }
    returned.unwrap_or_else(|panic| resume_unwind(panic))
}

/// Fork and wait. Returns the child's status in words, or the error.
#[track_caller]
fn fork_and_wait(work: impl FnOnce() -> i32) -> String {
    words(fork(work).and_then(|mut child| child.wait()))
}

/// The answer in words, `exited with 3` for example, or the error.
fn words(answer: prefork::Result<impl ToString>) -> String {
    answer.map_or_else(error, |answer| answer.to_string())
}

/// An error in words: `Err EAGAIN fork on …`.
fn error(error: Error) -> String {
    format!("Err {:?} {error}", error.errno)
}

/// Write a line to standard output without any buffer.
fn say(line: &str) {
    let _ = write(std::io::stdout(), format!("{line}\n").as_bytes());
}
