//! Signals on the loop. Signal handlers belong to the whole process, so each test has its own process.

mod support;

#[path = "scenarios/signalled.rs"]
mod scenarios;

use support::said_on_each;

testing::helper!(|args| support::answer(args, |args| match args {
    ["signalled", what] => scenarios::run(what),
    _ => support::unknown(args),
}));

#[test]
fn a_signal_ends_the_sleep_and_its_handler_runs_in_the_loop() {
    said_on_each(&["signalled", "wakes"], |answer| {
        assert_eq!(answer.line("came"), "SIGUSR1", "the loop was asleep when the signal came");
    });
}

#[test]
fn each_kind_of_signal_runs_its_handler_once() {
    said_on_each(&["signalled", "kinds"], |answer| {
        let mut came: Vec<&str> = answer.lines("came").collect();
        came.sort_unstable();
        assert_eq!(came, ["SIGUSR1", "SIGUSR2"], "five of one kind and one of another came");
    });
}

#[test]
fn removing_a_handler_restores_the_old_action() {
    said_on_each(&["signalled", "removed"], |answer| {
        assert_eq!(answer.line("ignored"), "yes", "it was ignored before the loop handled it");
    });
}

#[test]
fn a_handler_removed_before_it_ran_does_not_run() {
    said_on_each(&["signalled", "late"], |answer| {
        assert_eq!(
            answer.line("ran"),
            "0 times",
            "two signals came and woke the loop, and their handler was queued. Then the handler was removed before it \
             ran: what it uses may be gone"
        );
        assert_eq!(
            answer.line("removing-itself"),
            "1 time",
            "two signals came, and the handler removed itself at the first one: the second one has no handler any more"
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
fn a_closed_loop_releases_its_signals_and_its_watchdog() {
    said_on_each(&["signalled", "closed"], |answer| {
        assert_eq!(answer.line("threads"), "1", "the thread of the watchdog still runs");
        assert_eq!(answer.lines("given").count(), 1, "another loop cannot register for the signal");
    });
}

/// A value that is dropped while a loop is being closed can still call it. A signal that the loop took then would have
/// no owner.
#[test]
fn a_closing_loop_takes_neither_a_signal_nor_a_watchdog() {
    said_on_each(&["signalled", "too-late"], |answer| {
        assert_eq!(
            answer.lines("added").collect::<Vec<_>>(),
            ["EBADF", "EBADF"],
            "while it was closed, and afterwards"
        );
        assert_eq!(answer.line("watched"), "EBADF");
        assert_eq!(answer.line("given"), "back", "another loop can have both");
    });
}

/// Each of the two restores what it found, so the one that leaves first would take the signal from the other.
#[test]
fn sigalrm_is_for_a_watchdog_or_for_a_signal_handler() {
    said_on_each(&["signalled", "alarm"], |answer| {
        let then: Vec<&str> = answer.lines("then").collect();
        let busy = |said: &str| said.contains("EBUSY") && said.contains("SIGALRM");
        assert_eq!((then[0], then[6], then.len()), ("Ok", "Ok", 7), "{then:?}");
        assert!(then[1..6].iter().all(|said| busy(said)), "while the other one has it: {then:?}");
    });
}

#[test]
fn a_loop_whose_thread_blocks_sigalrm_is_watched() {
    said_on_each(&["signalled", "deaf"], |answer| {
        assert_eq!(
            answer.line("reported"),
            "true",
            "a callback blocked until it was reported, for at most 4 s"
        );
        assert_eq!(answer.line("blocked"), "true", "the mask is as before");
    });
}
