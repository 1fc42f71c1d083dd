//! Exercise `waker/signal`: what the kernel must show.
//!
//! Signals are for a whole process, so each test has one of its own: the helper sends itself signals, or is
//! sent them, and says what it saw.

mod support;

use support::{Answer, ask, traced};

#[track_caller]
fn signal(what: &str) -> Answer {
    ask(&["signal", what])
}

#[track_caller]
fn owner(what: &str) -> Answer {
    ask(&["owner", what])
}

#[test]
fn a_signal_makes_the_waker_ready_every_time() {
    let answer = signal("told-apart");
    let seen: Vec<&str> = answer.lines("sent").collect();
    assert_eq!(seen.len(), 6, "signals were sent six times:\n{}", answer.0);
    for sent in seen {
        assert!(
            sent.ends_with("ready"),
            "sent {sent}: a signal came, and the waker is not ready. A handler that is to work more than once is \
             installed without SA_RESETHAND, and a kind that was taken writes its bytes anew"
        );
    }
}

#[test]
fn signals_are_told_apart() {
    let answer = signal("told-apart");
    assert_eq!(answer.line("took at first:"), "none", "before any signal came, one was taken");
    let sent = answer.lines("sent").map(|line| line.split(':').next().unwrap_or_default());
    for (sent, took) in sent.zip(answer.lines("took").skip(1)) {
        assert_eq!(
            took, sent,
            "{sent} was sent, and taken was {took}. Each kind is a bit of its own, or nobody knows whether to reload \
             or to end"
        );
    }
}

#[test]
fn what_was_taken_is_gone() {
    let answer = signal("told-apart");
    for then in answer.lines("then") {
        assert_eq!(then, "none silent", "everything was taken and consumed, and then there was {then}");
    }
}

#[test]
fn it_wakes_an_eventfd_too() {
    let answer = signal("eventfd");
    assert_eq!(
        answer.line("after"),
        "ready",
        "a signal came, and the eventfd is not ready: it takes eight bytes at a time, and refuses fewer with EINVAL"
    );
    assert_eq!(answer.line("took"), "SIGUSR1");
}

#[test]
fn a_signal_in_another_thread_ends_the_sleep() {
    let answer = signal("other-thread");
    assert_eq!(
        answer.line("took"),
        "SIGUSR1",
        "another thread had the signal, and the poller was not told which"
    );
}

#[test]
fn a_full_pipe_loses_nothing() {
    let answer = signal("full");
    assert_eq!(answer.line("after"), "ready", "the pipe was full, and is not ready any more");
    assert_eq!(
        answer.line("took"),
        "SIGUSR1 SIGTERM",
        "the pipe was full when SIGUSR1 and SIGTERM came, and not a byte more went into it: which signals came has to \
         be kept beside the pipe"
    );
}

#[test]
fn a_hundred_thousand_of_one_kind_hide_no_other() {
    let answer = signal("many");
    assert_eq!(
        answer.line("took"),
        "SIGUSR1 SIGUSR2",
        "100,000 SIGUSR1 came, nobody looked, and then one SIGUSR2. Where each signal is a byte in a pipe, those that \
         come when it is full are lost"
    );
    assert_eq!(
        answer.line("then"),
        "none silent",
        "everything was taken and consumed, and something is left"
    );
}

#[test]
fn errno_is_as_it_was() {
    let answer = signal("errno");
    for (pipe, meaning) in [
        ("room", "a call that succeeds may change errno all the same"),
        (
            "full",
            "the handler's write failed, and its errno is what the interrupted code will read as its own",
        ),
    ] {
        let errno = answer.line(pipe);
        assert_eq!(
            errno, "kept",
            "with a pipe that had {pipe}, errno was {errno} after a signal: {meaning}. Save it first, put it back last"
        );
    }
}

#[test]
fn the_handler_allocates_nothing() {
    let answer = signal("allocations");
    let allocations = answer.line("allocations");
    assert_eq!(
        allocations, "0",
        "200 signals made {allocations} calls of the allocator. If the code that was interrupted holds the allocator's \
         lock, a handler that allocates waits for it for ever. See signal-safety(7)"
    );
}

#[test]
fn no_moment_is_a_bad_one() {
    let Some(answer) = traced("signal-at-every-step", &["signal", "stepped"]) else { return };
    assert!(
        !answer.0.contains("waits futex"),
        "a signal came in the middle of `take`, and the handler waits for a lock that the code it interrupted holds: \
         it will wait for ever. In a handler, a lock is a deadlock; an atomic is not"
    );
    let lost: Vec<&str> = answer.lines("lost").collect();
    assert!(
        lost.is_empty(),
        "a signal came in the middle of `take`, and neither this nor the next `take` has it ({} times of {}, {}): the \
         set is read in one step and cleared in another, and what comes between them is gone",
        lost.len(),
        answer.line("rounds"),
        lost[0]
    );
    let asleep: Vec<&str> = answer.lines("asleep").collect();
    assert!(
        asleep.is_empty(),
        "a signal came in the middle of `take`, and the waker was not made ready ({} times of {}, {})",
        asleep.len(),
        answer.line("rounds"),
        asleep[0]
    );
}

#[test]
fn whoever_is_woken_finds_the_signal() {
    let answer = signal("order");
    assert_ne!(
        answer.line("seen"),
        "0",
        "at the moment when the byte was in the pipe, the signal was not in the set yet: a loop in another thread that \
         is woken by the byte finds nothing, sleeps again, and the signal waits for the next wake. Set first, wake last"
    );
}

#[test]
fn a_storm_of_signals_ends_in_quiet() {
    let answer = ask(&["storm"]);
    if let Some(when) = answer.lines("lost").next() {
        panic!("{when}, signals came and the poller slept on for five seconds:\n{}", answer.0);
    }
    for seen in answer.lines("storm") {
        assert_eq!(
            seen, "SIGUSR1 SIGUSR2 SIGTERM",
            "10,000 signals of three kinds came, and only these were seen: {seen}"
        );
    }
    let quiet: Vec<&str> = answer.lines("quiet").collect();
    assert_eq!(quiet.len(), 10, "ten storms were to end in quiet:\n{}", answer.0);
    for line in quiet {
        let (sent, took) = line.split_once(' ').expect("what was sent, and what was taken");
        assert_eq!(took, sent, "the storm was over, and one {sent} was sent; taken was {took}");
    }
}

#[test]
fn an_interrupted_call_is_started_again() {
    let answer = owner("restored");
    assert_eq!(
        answer.line("restarts"),
        "true",
        "the handler has no SA_RESTART: whatever another part of the program is blocked in, in whatever thread the \
         signal lands, fails with EINTR. The poller does not need that, since it is woken by its byte"
    );
}

#[test]
fn the_previous_handlers_are_back() {
    let answer = owner("restored");
    if let Some(changed) = answer.lines("changed").next() {
        panic!(
            "after the owner was dropped, something else handles {changed}. sigaction gives what was there before \
             (handler, mask and flags), and takes it back as it is"
        );
    }
    assert_eq!(answer.lines("as-before").count(), 3);
    assert_eq!(
        answer.line("meanwhile"),
        "0",
        "while the signal had an owner, the previous handler was called as well"
    );
    assert_eq!(
        answer.line("afterwards"),
        "1 silent",
        "after the owner was dropped, one signal came: the previous handler was to be called, once, and the waker to \
         stay silent"
    );
}

#[test]
fn dropping_it_leaves_no_descriptor() {
    let answer = owner("restored");
    assert_eq!(
        answer.line("descriptors"),
        "0",
        "the owner was dropped, and a descriptor of it is still open"
    );
}

#[test]
fn a_signal_has_one_owner() {
    let answer = owner("owners");
    let second = answer.line("second");
    assert!(
        second.starts_with("EBUSY") && second.contains("SIGUSR1"),
        "SIGUSR1 has an owner, and a second one was told `{second}`, where EBUSY and the signal's name were to be \
         said. Taken over without a word, it would never wake the first owner again"
    );
    assert_eq!(
        answer.line("woken"),
        "ready silent",
        "a second owner was refused, and a signal came: the first one's waker was to be ready, and the other silent"
    );
    assert_eq!(
        answer.line("took"),
        "SIGUSR1",
        "a second owner was refused, and the first one lost the signal"
    );
}

#[test]
fn a_refused_owner_gives_everything_back() {
    for answer in [owner("owners"), owner("refused")] {
        assert_eq!(
            answer.line("disposition"),
            "default",
            "one of two signals could not be had, and the other one keeps the handler that it was given for it"
        );
    }
    let answer = owner("refused");
    let result = answer.line("result");
    assert!(
        result.starts_with("EINVAL") && result.contains("SIGKILL"),
        "nobody can handle SIGKILL, and `new` answers `{result}`, where EINVAL and the signal's name were to be said"
    );
    let then = answer.line("then");
    assert_eq!(
        then, "Ok",
        "SIGUSR1 was given back when SIGKILL was refused, and cannot be owned again: {then}"
    );
}

#[test]
fn the_next_owner_starts_with_nothing() {
    let answer = owner("owners");
    assert_eq!(
        answer.line("stale"),
        "none",
        "a new owner took what came for the previous one: that was never its business, and it has no byte for it"
    );
    assert_eq!(
        answer.line("later"),
        "silent ready",
        "a signal changed owners, and came: the first one's waker was to stay silent, and the second one's to be ready"
    );
    assert_eq!(answer.line("took-later"), "SIGUSR1");
}

#[test]
fn a_waker_that_is_gone_ends_nobody() {
    let answer = signal("gone");
    assert_eq!(
        answer.line("took"),
        "SIGUSR1",
        "the pipe's end to read from was closed, a signal came, and it was not noted"
    );
}
