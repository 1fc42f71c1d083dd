//! Signals on the loop. Signals are a whole process's, so each test has one of its own.

mod support;

use support::said_on_each;

#[test]
fn a_signal_ends_the_sleep_and_its_handler_runs_in_the_loop() {
    said_on_each(&["signalled", "wakes"], |answer| {
        assert_eq!(answer.line("came"), "SIGUSR1", "the loop was asleep when the signal came");
    });
}

#[test]
fn each_kind_is_run_once_and_told_apart() {
    said_on_each(&["signalled", "kinds"], |answer| {
        let mut came: Vec<&str> = answer.lines("came").collect();
        came.sort_unstable();
        assert_eq!(came, ["SIGUSR1", "SIGUSR2"], "five of one kind and one of another came");
    });
}

#[test]
fn removed_the_signal_does_what_it_did_before() {
    said_on_each(&["signalled", "removed"], |answer| {
        assert_eq!(answer.line("ignored"), "yes", "it was ignored before the loop had it");
    });
}

#[test]
fn removed_before_its_turn_a_handler_does_not_run() {
    said_on_each(&["signalled", "late"], |answer| {
        assert_eq!(
            answer.line("ran"),
            "0 times",
            "two signals came and had woken the loop, and their handler was queued. Then it was removed, before its \
             turn: what it works on may be gone"
        );
        assert_eq!(
            answer.line("removing-itself"),
            "1 time",
            "two signals came, and the handler of the first has removed itself: the second is nobody's any more"
        );
    });
}

#[test]
fn a_signal_while_signals_are_handled_is_not_lost() {
    said_on_each(&["signalled", "again"], |answer| assert_eq!(answer.line("times"), "1000"));
}

#[test]
fn a_signal_stops_a_loop_in_another_thread() {
    said_on_each(&["signalled", "thread"], |answer| assert_eq!(answer.line("ended"), "Ok"));
}

#[test]
fn a_loop_that_is_closed_gives_signals_and_the_watch_back() {
    said_on_each(&["signalled", "closed"], |answer| {
        assert_eq!(answer.line("threads"), "1", "the thread that reports what blocks is still there");
        assert_eq!(answer.lines("given").count(), 1, "another loop cannot have the signal");
    });
}

/// What is dropped while a loop is closed may still call it. A signal that it took then would be nobody's.
#[test]
fn a_loop_that_is_closed_takes_no_signal_and_no_watch() {
    said_on_each(&["signalled", "too-late"], |answer| {
        assert_eq!(
            answer.lines("added").collect::<Vec<_>>(),
            ["EBADF", "EBADF"],
            "while it was closed, and afterwards"
        );
        assert_eq!(answer.line("watched"), "EBADF");
        assert_eq!(answer.line("given"), "back", "somebody else can have both");
    });
}
