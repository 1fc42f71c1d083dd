//! Which loop is meant when none is named. The process's loop is a process's, so each test has one of its own.

mod support;

use support::helper_said;

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
fn a_loop_that_is_dropped_is_current_no_more() {
    says("dropped", "current: none; cleared: none");
}

#[test]
fn the_instance_is_the_processs_and_found_where_it_lives() {
    says(
        "instance",
        "before: none; installed; twice: EEXIST; in its thread: current, and without it none; elsewhere: a handle, not \
         current",
    );
}

/// A handle keeps no loop alive: whoever has one, a waker in another thread say, does not keep the place taken either.
#[test]
fn after_the_instance_there_may_be_another() {
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
