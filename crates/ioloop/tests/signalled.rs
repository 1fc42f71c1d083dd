//! Signals on the loop. Signals are a whole process's, so each test has one of its own.

mod support;

use support::helper_said;

#[test]
fn a_signal_ends_the_sleep_and_its_handler_runs_in_the_loop() {
    let answer = helper_said(&["signalled", "wakes"]);
    assert_eq!(answer.line("came"), "SIGUSR1", "the loop was asleep when the signal came");
}

#[test]
fn each_kind_is_run_once_and_told_apart() {
    let answer = helper_said(&["signalled", "kinds"]);
    let mut came: Vec<&str> = answer.lines("came").collect();
    came.sort_unstable();
    assert_eq!(came, ["SIGUSR1", "SIGUSR2"], "five of one kind and one of another came");
}

#[test]
fn removed_the_signal_does_what_it_did_before() {
    let answer = helper_said(&["signalled", "removed"]);
    assert_eq!(answer.line("ignored"), "yes", "it was ignored before the loop had it");
}

#[test]
fn a_signal_while_signals_are_handled_is_not_lost() {
    assert_eq!(helper_said(&["signalled", "again"]).line("times"), "1000");
}

#[test]
fn a_signal_stops_a_loop_in_another_thread() {
    assert_eq!(helper_said(&["signalled", "thread"]).line("ended"), "Ok");
}

#[test]
fn a_loop_that_is_closed_gives_signals_and_the_watch_back() {
    let answer = helper_said(&["signalled", "closed"]);
    assert_eq!(answer.line("threads"), "1", "the thread that reports what blocks is still there");
    assert_eq!(answer.lines("given").count(), 1, "another loop cannot have the signal");
}
