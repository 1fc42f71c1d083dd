//! A blocked loop is caught with its stack. A process has one watch, so each test has a process of its own.

mod support;

use ioloop::poller::Kind;
use support::helper_said;

#[test]
fn what_blocks_is_named_while_it_blocks() {
    let answer = helper_said(&["blocked", "caught"]);
    let stack: Vec<&str> = answer.lines("frame").collect();
    assert!(
        stack.iter().any(|frame| frame.contains("the_one_that_blocks")),
        "the callback that blocks is not in the stack that was reported: {stack:#?}"
    );
    assert_eq!(answer.line("reported"), "while it blocks");
}

#[test]
fn what_blocks_while_a_panic_unwinds_is_reported_without_its_stack() {
    let answer = helper_said(&["blocked", "unwinding"]);
    assert_eq!(
        answer.line("reported"),
        "yes",
        "a callback panicked, and something that was dropped on the way blocks"
    );
    assert_eq!(
        answer.lines("frame").collect::<Vec<_>>(),
        ["ioloop::stack::a_panic_unwinds"],
        "the stack was walked in a signal's handler while a panic unwound it. A signal that comes in the middle of one \
         of the unwinder's steps finds a stack that cannot be walked, and the process is ended by SIGSEGV"
    );
    assert_eq!(answer.line("then"), "caught", "the panic that was interrupted goes on");
}

#[test]
fn a_sleeping_loop_is_not_reported() {
    // A machine that is busy may not let a loop run for as long as the threshold; but not each time.
    let reports = |poller: Kind| {
        helper_said(&["on", &poller.to_string(), "blocked", "asleep"]).line("reports").to_owned()
    };
    for poller in Kind::ALL {
        assert!(
            (0..3).any(|_| reports(poller) == "0"),
            "{poller}: a loop that sleeps is not blocked, and was reported"
        );
    }
}

#[test]
fn who_called_a_loop_that_panics_is_not_reported() {
    let reports = || {
        let answer = helper_said(&["blocked", "thrown"]);
        assert_eq!(answer.line("thrown"), "true", "the panic was to get out");
        answer.line("reports").to_owned()
    };
    // As above.
    assert!(
        (0..3).any(|_| reports() == "0"),
        "a loop ended with a panic, and what ran afterwards was reported"
    );
}

#[test]
fn it_can_be_set_and_taken_back_from_inside() {
    let answer = helper_said(&["blocked", "inside"]);
    assert_eq!(answer.line("set"), "1 report", "the callback that has set it blocks since then");
    assert_eq!(answer.line("taken-back"), "0 reports");
    assert_eq!(answer.line("signal"), "as before");
}

#[test]
fn a_second_watch_is_refused() {
    assert_eq!(helper_said(&["blocked", "twice"]).line("second"), "EBUSY");
}
