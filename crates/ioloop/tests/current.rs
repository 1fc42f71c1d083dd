//! The current loop of a thread and the instance of the process. A process has one instance, so each test has its own
//! process.

mod support;

#[path = "scenarios/current.rs"]
mod scenarios;

use support::helper_said;

testing::helper!(|args| testing::exit_code(match args {
    ["current", what] => scenarios::run(what),
    _ => support::unknown(args),
}));

#[track_caller]
fn says(what: &str, wanted: &str) {
    assert_eq!(helper_said(&["current", what]).0.trim(), wanted);
}

#[test]
fn the_first_loop_of_a_thread_becomes_current_and_the_second_does_not() {
    says("first", "first: current; second: no; another thread's: current there");
}

#[test]
fn a_loop_that_is_not_current_is_current_while_it_runs() {
    says("running", "before: no; inside: yes; after: no; with another one: that is back");
}

#[test]
fn it_is_restored_when_the_loop_ends_with_a_panic() {
    says("panic", "after: the first; started again: yes");
}

#[test]
fn forcing_a_second_current_loop_is_an_error_that_changes_nothing() {
    says("forced", "EEXIST; current: the first");
}

#[test]
fn a_dropped_loop_is_no_longer_current() {
    says("dropped", "current: none; cleared: none");
}

#[test]
fn a_closed_loop_is_no_longer_current_once_it_has_returned() {
    says(
        "closed",
        "current: none; the next loop: current; required: Ok; in a run that closes the loop: yes; after it: none; \
         installed: EBADF; instance of a thread that closed it: none",
    );
}

#[test]
fn a_process_has_one_instance_current_in_its_own_thread() {
    says(
        "instance",
        "before: none; installed; twice: EEXIST; in its thread: current, and without it none; elsewhere: a handle, not \
         current",
    );
}

/// A handle, for example in a waker in another thread, does not keep the loop alive, so it does not keep the instance
/// set.
#[test]
fn another_instance_can_follow_the_first() {
    says("after", "dropped: none, then Ok, the second; closed: none, then Ok, the second");
}

#[test]
fn configuring_chooses_the_poller_and_an_argument_overrides_it() {
    says(
        "configured",
        "epoll; configured: poll; argument: select; unknown: no poller is called kqueue: there are epoll, poll and \
         select",
    );
}

#[test]
fn a_process_with_a_loop_does_not_fork() {
    let said = helper_said(&["current", "fork"]).0;
    assert!(
        said.contains("EBUSY") && said.contains("an event loop") && said.contains("current.rs:"),
        "{said}"
    );
}
