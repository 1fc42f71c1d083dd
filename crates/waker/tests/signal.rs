//! Tests of the exercise `waker/signal`. Each looks at the waker, the set and the handlers after signals came.
//!
//! A signal handler belongs to a whole process, so each test starts the helper, which sends signals to itself, or gets
//! them from a child or a tracer, and prints what it saw.

mod support;

#[path = "scenarios/signal/mod.rs"]
mod scenarios;

use support::{Answer, ask, traced};
#[allow(unused_imports, reason = "the module under test imports them from the root")]
use waker::{Error, Result};

testing::helper!(scenarios::answer);

/// The module under test once more, with atomics that loom can see.
#[cfg_attr(not(feature = "mine-signal"), path = "../src/signal.rs")]
#[cfg_attr(feature = "mine-signal", path = "../exercises/signal.rs")]
#[allow(dead_code, reason = "the models use a part of it")]
mod modelled;

#[path = "support/statics.rs"]
#[allow(dead_code, unused_imports, reason = "an answer uses a part of them")]
mod sync;

#[track_caller]
fn signal(what: &str) -> Answer {
    ask(&["signal", what])
}

#[track_caller]
fn inherited(what: &str) -> Answer {
    ask(&["inherited", what])
}

#[track_caller]
fn owner(what: &str) -> Answer {
    ask(&["owner", what])
}

#[test]
fn every_signal_makes_the_waker_ready() {
    let answer = signal("kinds");
    let seen: Vec<&str> = answer.lines("sent").collect();
    assert_eq!(seen.len(), 6, "the helper should send signals six times:\n{}", answer.0);
    for sent in seen {
        assert!(
            sent.ends_with("ready"),
            "sent {sent}: a signal came, and the waker is not readable. Install the handler without SA_RESETHAND, so \
             that it stays installed, and let the handler write again for a signal that `take` has returned"
        );
    }
}

#[test]
fn take_returns_each_kind_separately() {
    let answer = signal("kinds");
    assert_eq!(answer.line("took at first:"), "none", "before any signal came, `take` returned one");
    let sent = answer.lines("sent").map(|line| line.split(':').next().unwrap_or_default());
    for (sent, took) in sent.zip(answer.lines("took").skip(1)) {
        assert_eq!(
            took, sent,
            "{sent} was sent, and `take` returned {took}. Use a bit per signal; otherwise the loop cannot tell a \
             request to reload from a request to exit"
        );
    }
}

#[test]
fn take_clears_the_set() {
    let answer = signal("kinds");
    for then in answer.lines("then") {
        assert_eq!(
            then, "none silent",
            "after `consume` and `take`, a second `take` and a poll found {then}. `take` should clear the bits that it \
             returns"
        );
    }
}

#[test]
fn a_signal_wakes_an_eventfd() {
    let answer = signal("eventfd");
    assert_eq!(
        answer.line("after"),
        "ready",
        "a signal came, and the eventfd is not readable. A write to an eventfd must have eight bytes; fewer fail \
         with EINVAL"
    );
    assert_eq!(answer.line("took"), "SIGUSR1");
}

#[test]
fn a_signal_in_another_thread_ends_the_sleep() {
    let answer = signal("other-thread");
    assert_eq!(
        answer.line("took"),
        "SIGUSR1",
        "the signal was handled in another thread, and `take` did not return it"
    );
}

#[test]
fn a_full_pipe_loses_no_signal() {
    let answer = signal("full");
    assert_eq!(
        answer.line("after"),
        "ready",
        "the pipe was full before the signals, and is not readable after them"
    );
    assert_eq!(
        answer.line("took"),
        "SIGUSR1 SIGTERM",
        "the pipe was full when SIGUSR1 and SIGTERM came, so the handler could write no byte. Keep the set of \
         signals in an atomic, not in the pipe"
    );
}

#[test]
fn a_flood_of_one_signal_hides_no_other() {
    let answer = signal("many");
    assert_eq!(
        answer.line("took"),
        "SIGUSR1 SIGUSR2",
        "{} SIGUSR1 came without a `take`, and then one SIGUSR2. If each signal is a byte in a pipe, signals that come \
         while the pipe is full are lost",
        answer.line("flood")
    );
    assert_eq!(answer.line("then"), "none silent", "after `consume` and `take`, a signal or a byte is left");
}

#[test]
fn the_handler_preserves_errno() {
    let answer = signal("errno");
    let failed = "the handler's write failed, and the interrupted code reads that errno as its own";
    for (pipe, meaning) in
        [("room", "even a call that succeeds may change errno"), ("full", failed), ("closed", failed)]
    {
        for (before, errno) in ["4242", "0"].iter().zip(answer.lines(pipe)) {
            assert_eq!(
                errno, "kept",
                "with a pipe in the state “{pipe}”, errno was {before} before a signal and {errno} after it: {meaning}. \
                 Save errno at the start of the handler and restore it at the end, whatever it is and however `write` ended"
            );
        }
        assert_eq!(answer.lines(pipe).count(), 2, "the helper should send signals twice:\n{}", answer.0);
    }
}

#[test]
fn the_handler_allocates_nothing() {
    let answer = signal("allocations");
    let allocations = answer.line("allocations");
    assert_eq!(
        allocations, "0",
        "200 signals made {allocations} calls of the allocator. If the interrupted code holds the allocator's lock, a \
         handler that allocates waits for it forever. See signal-safety(7)"
    );
}

#[test]
fn a_signal_during_take_is_not_lost() {
    let Some(answer) = traced("signal-at-every-step", &["signal", "stepped"]) else { return };
    assert!(
        !answer.0.contains("waits futex"),
        "a signal came in the middle of `take`, and the handler waits forever for a lock that the interrupted code \
         holds. In a handler, use atomics instead of locks"
    );
    let lost: Vec<&str> = answer.lines("lost").collect();
    assert!(
        lost.is_empty(),
        "a signal came in the middle of `take`, and neither this `take` nor the next one returned it ({} rounds out \
         of {}, {}). Does `take` read the set in one step and clear it in another? A signal between the two is lost",
        lost.len(),
        answer.line("rounds"),
        lost[0]
    );
    let asleep: Vec<&str> = answer.lines("asleep").collect();
    assert!(
        asleep.is_empty(),
        "a signal came in the middle of `take`, and the waker is not readable ({} rounds out of {}, {})",
        asleep.len(),
        answer.line("rounds"),
        asleep[0]
    );
}

#[test]
fn the_signal_is_in_the_set_before_the_wake() {
    let answer = signal("order");
    assert_ne!(
        answer.line("seen"),
        "0",
        "when the byte came into the pipe, the signal was not in the set yet. A loop in another thread would wake \
         up, find an empty set and sleep again, and the signal would wait for the next wake. Set the bit before you \
         write the byte"
    );
}

#[test]
fn a_storm_of_signals_loses_none() {
    let answer = ask(&["storm"]);
    if let Some(when) = answer.lines("lost").next() {
        panic!("{when}, a signal was sent, and poll did not return within five seconds:\n{}", answer.0);
    }
    for seen in answer.lines("storm") {
        assert_eq!(
            seen, "SIGUSR1 SIGUSR2 SIGTERM",
            "1500 signals of three kinds were sent, and `take` only returned {seen}"
        );
    }
    let quiet: Vec<&str> = answer.lines("quiet").collect();
    assert_eq!(quiet.len(), 10, "the helper should run ten rounds:\n{}", answer.0);
    for line in quiet {
        let (sent, took) = line.split_once(' ').expect("the line has two words or more");
        assert_eq!(took, sent, "after a storm, one {sent} was sent, and `take` returned {took}");
    }
}

#[test]
fn interrupted_calls_are_restarted() {
    let answer = owner("restored");
    assert_eq!(
        answer.line("restarts"),
        "true",
        "the handler is installed without SA_RESTART, so a blocking call in any thread may fail with EINTR. The \
         poller does not need EINTR, because the byte wakes it"
    );
}

#[test]
fn drop_restores_the_previous_handlers() {
    let answer = owner("restored");
    if let Some(changed) = answer.lines("changed").next() {
        panic!(
            "after the owner was dropped, the action of a signal is not the previous one: {changed}. sigaction \
             returns the previous action (handler, mask and flags); pass it back unchanged"
        );
    }
    assert_eq!(answer.lines("as-before").count(), 3);
    assert_eq!(
        answer.line("meanwhile"),
        "0",
        "while the signal had an owner, the previous handler was called, too"
    );
    assert_eq!(
        answer.line("afterwards"),
        "1 silent",
        "after the owner was dropped, one signal came. The previous handler should be called once, and the waker \
         should not become readable"
    );
}

#[test]
fn drop_during_a_panic_restores_the_previous_handlers() {
    let answer = owner("unwound");
    let disposition = answer.line("disposition");
    assert_eq!(
        disposition, "default",
        "a panic dropped the owner, and the action of its signal is not the previous one, but {disposition}. The \
         descriptor is closed now, and the handler would write to the next file that gets its number. `drop` should do \
         the same when `thread::panicking` is true"
    );
}

#[test]
fn drop_closes_the_descriptor() {
    let answer = owner("restored");
    assert_eq!(answer.line("descriptors"), "0", "the owner was dropped, and its descriptor is still open");
}

#[test]
fn a_signal_during_drop_is_not_swallowed() {
    let Some(answer) = traced("signal-at-every-step", &["owner", "stepped"]) else { return };
    let swallowed: Vec<&str> = answer.lines("swallowed").collect();
    assert!(
        swallowed.is_empty(),
        "a signal came in the middle of `drop`. Its bytes did not come, and the previous handler was not called ({} \
         rounds out of {}, {}). Restore the previous handler before you release the signal: otherwise your handler still \
         runs between the two, and finds no descriptor",
        swallowed.len(),
        answer.line("rounds"),
        swallowed[0]
    );
}

#[test]
fn a_signal_is_released_only_when_no_handler_runs() {
    let answer = inherited("busy");
    assert_ne!(
        answer.line("while-a-handler-runs"),
        "Ok",
        "the owner is dropped in a thread, and its handler still runs in another one. Meanwhile a `new` for the signal \
         succeeded. When the handler sets its bit now, it sets it for the next owner, whose waker has no bytes for it, so no \
         later signal writes any. `drop` should first wait, and then release the signal"
    );
    assert_eq!(answer.line("afterwards"), "Ok(())", "the owner was dropped, and the signal was not released");
}

#[test]
fn a_signal_during_new_is_not_swallowed() {
    let Some(answer) = traced("signal-at-every-step", &["owner", "new-stepped"]) else { return };
    let swallowed: Vec<&str> = answer.lines("swallowed").collect();
    assert!(
        swallowed.is_empty(),
        "a signal came in the middle of `new`. The previous handler was not called, and yours did not add the signal and \
         wake ({} rounds out of {}, {}). Put the descriptor where the handler finds it, and clear the signal's bit, before \
         you install the handler",
        swallowed.len(),
        answer.line("rounds"),
        swallowed[0]
    );
}

#[test]
fn drop_waits_for_a_running_handler() {
    let Some(answer) = traced("handler-held", &["owner", "dropped"]) else { return };
    assert_eq!(
        answer.line("drop"),
        "waits",
        "a handler in another thread had looked up the descriptor and not written yet, and `drop` did not wait for it. \
         The number is closed now, and the next file that gets it also gets the handler's eight bytes. Count the running \
         handlers in an atomic, and let `drop` wait until none is running"
    );
}

/// Lets loom run a model of an owner and a handler, in every order of their steps.
#[track_caller]
fn modelled(what: &str, advice: &str) {
    let answer = ask(&["model", what]);
    if answer.lines("unseen").next().is_some() {
        // Such statics may be right. Only an answer decides this, and never the machine, so the reader must see it.
        testing::skip!(
            "the statics are not atomics of `super::sync`, so loom cannot see them: import `super::sync::atomic`, and \
             `super::sync::thread::yield_now`"
        );
    }
    let wrong = answer.lines("wrong").next();
    assert!(wrong.is_none(), "in one order of the steps, {}. {advice}", wrong.unwrap_or_default());
    assert!(answer.lines("seen").next().is_some(), "the model did not end:\n{}", answer.0);
}

#[test]
fn no_order_of_the_steps_lets_a_handler_write_to_another_file() {
    modelled(
        "drop",
        "The handler counts itself and then loads the descriptor; `drop` changes the slot and then loads the count. With \
         an ordering weaker than SeqCst, both loads may return the old value",
    );
}

#[test]
fn drop_waits_for_each_of_two_handlers() {
    modelled(
        "drop-two",
        "Two threads were in the handler, and one of them left it. Count the running handlers: a flag is clear once any of \
         them has left",
    );
}

#[test]
fn no_order_of_the_steps_leaves_the_next_owner_asleep() {
    modelled(
        "next-owner",
        "A handler that had looked up the previous owner's descriptor set the bit after the next owner had cleared it. The \
         bit is set now, without bytes, so no later signal writes any. Release the signal only when no handler is running",
    );
    modelled(
        "later-owner",
        "A handler that had looked up the previous owner's descriptor set the bit after `drop` had cleared it, so the next owner \
         does not begin with an empty set. Clear the bits in `new`, or when no handler is running",
    );
}

#[test]
fn take_sees_what_a_thread_did_before_its_signal() {
    modelled(
        "publish",
        "The handler should publish (Release) what its thread did before, and `take` should acquire it: AcqRel for both",
    );
}

#[test]
fn take_sees_what_a_thread_did_before_a_signal_whose_write_failed() {
    modelled(
        "publish-unwritten",
        "The second set publishes as the first one does: AcqRel where the handler adds the signal, and where `take` takes it",
    );
}

#[test]
fn no_order_of_the_steps_takes_a_signal_twice_after_a_failed_write() {
    modelled(
        "unwritten-once",
        "Another thread may call `take` before the handler knows that its write failed. Add the signal to the second set only \
         if you have removed it from the first",
    );
}

#[test]
fn a_write_comes_after_the_drain_before_take() {
    modelled(
        "drained",
        "The loop drains, and then it takes. A handler that finds the bit clear must come after that drain, which would \
         remove its bytes: `take` should release, and the handler acquire. AcqRel for both",
    );
}

#[test]
fn the_handler_writes_the_number_1() {
    let answer = signal("bytes");
    assert_eq!(
        answer.line("wrote"),
        "[1]",
        "one signal came, and the eight bytes in the pipe are not the number 1 in native byte order"
    );
}

#[test]
fn the_duplicate_is_close_on_exec() {
    let answer = owner("restored");
    assert_eq!(
        answer.line("inheritable"),
        "0",
        "`new` made a descriptor that is not close-on-exec, so every program that is started inherits it, and can wake \
         the poller. `cloexec::open::duplicate` sets the flag; dup(2) clears it"
    );
}

#[test]
fn a_signal_has_one_owner() {
    let answer = owner("owners");
    let second = answer.line("second");
    assert!(
        second.starts_with("EBUSY") && second.contains("SIGUSR1"),
        "SIGUSR1 has an owner, and a second `new` returned `{second}` instead of EBUSY with the signal's name. If a \
         second owner takes a signal over, the signal never wakes the first owner again"
    );
    assert_eq!(
        answer.line("woken"),
        "ready silent",
        "a second `new` failed, and a signal came. The first owner's waker should be readable, and the second one \
         should not"
    );
    assert_eq!(answer.line("took"), "SIGUSR1", "a second `new` failed, and the first owner lost the signal");
    assert_eq!(
        answer.line("kept"),
        "SIGUSR1",
        "SIGUSR1 came, then a second `new` for it failed, and `take` of its owner did not return the signal. `new` should \
         clear a signal's bit only once it owns the signal"
    );
    released(&answer);
}

#[track_caller]
fn released(answer: &Answer) {
    let next = answer.line("released");
    assert_eq!(
        next, "Ok",
        "the owner of SIGUSR1 was dropped, and the next `new` for SIGUSR1 returned `{next}`. `drop` should release the \
         signal, so that it can get another owner"
    );
}

#[test]
fn two_owners_keep_their_signals_apart() {
    let answer = owner("two");
    for (when, happened, advice) in [
        (
            "after-new",
            "and then another owner was made",
            "`new` should clear only the bits of its own signals",
        ),
        (
            "own",
            "and so did a signal of another owner",
            "`take` should return only the signals of its own owner",
        ),
        (
            "after-take",
            "and then another owner called `take`",
            "`take` should clear only the bits of its own signals",
        ),
        (
            "after-drop",
            "and then another owner was dropped",
            "`drop` should leave the signals of other owners alone",
        ),
    ] {
        let (sent, took) =
            answer.line(when).split_once(' ').expect("the signal sent, and what `take` returned");
        assert_eq!(
            took, sent,
            "{sent} came, {happened}, and `take` of its own owner returned {took}: {advice}"
        );
    }
    for (whose, states) in [("first", "ready silent"), ("second", "silent ready")] {
        assert_eq!(
            answer.line(&format!("{whose}-came")),
            states,
            "a signal of the {whose} of two owners came. Only this owner's waker should be readable: keep a descriptor \
             for each signal"
        );
    }
}

#[test]
fn a_failed_new_restores_every_handler() {
    for answer in [owner("owners"), owner("refused")] {
        assert_eq!(
            answer.line("disposition"),
            "default",
            "`new` failed for one of two signals, and the other signal still has the new handler. Restore the \
             previous one"
        );
    }
    let answer = owner("refused");
    let result = answer.line("result");
    assert!(
        result.starts_with("EINVAL") && result.contains("SIGKILL"),
        "SIGKILL cannot have a handler, and `new` returned `{result}` instead of EINVAL with the signal's name"
    );
    let then = answer.line("then");
    assert_eq!(then, "Ok", "`new` failed because of SIGKILL, and now SIGUSR1 cannot get an owner: {then}");
}

#[test]
fn a_failed_new_releases_every_signal() {
    let answer = owner("owners");
    for signal in ["SIGUSR2", "SIGTERM"] {
        let claimed = answer.line(&format!("claimed {signal}"));
        assert_eq!(
            claimed, "Ok",
            "`new` failed for three signals, because the last one had an owner, and now {signal}, the first or second, cannot \
             get an owner: {claimed}. Release the signals that you have claimed by then"
        );
    }
    let again = owner("refused");
    let again = again.line("again");
    assert!(
        again.starts_with("EINVAL") && again.contains("SIGKILL"),
        "`new` failed because of SIGKILL, and the next `new` for SIGKILL returned `{again}` instead of EINVAL. If \
         sigaction fails, release the signal that it failed for, too"
    );
}

#[test]
fn the_next_owner_starts_with_an_empty_set() {
    let answer = owner("owners");
    released(&answer);
    assert_eq!(
        answer.line("stale"),
        "none",
        "`take` of a new owner returned a signal that came for the previous one. Clear the signal's bit in `new`, \
         because the new owner's pipe has no byte for it"
    );
    assert_eq!(
        answer.line("later"),
        "silent ready",
        "a signal came after it got a new owner. The first owner's waker should not be readable, and the second \
         one's should"
    );
    assert_eq!(answer.line("took-later"), "SIGUSR1");
}

#[test]
fn a_blocked_signal_is_unblocked() {
    let answer = inherited("blocked");
    assert_eq!(
        answer.line("sent"),
        "SIGUSR1 ready",
        "the thread blocked SIGUSR1 before `new`, as in a process that inherited its mask, and then SIGUSR1 was sent. It \
         is pending now, and the loop is never woken for it. Unblock the signals in `new`, after their handlers are installed"
    );
    assert_eq!(
        answer.line("pending"),
        "SIGTERM ready",
        "SIGTERM was pending before `new`, and neither `take` nor the waker reported it"
    );
    assert_eq!(answer.line("mask"), "SIGUSR2", "`new` should unblock its own signals, and no other");
}

#[test]
fn the_mask_is_restored() {
    let answer = inherited("blocked");
    let all = "SIGUSR1 SIGUSR2 SIGTERM";
    assert_eq!(
        answer.line("dropped"),
        all,
        "the thread blocked {all}, and the owner of two of them was dropped. The mask should be as it was before `new`. \
         pthread_sigmask gives the previous mask back"
    );
    assert_eq!(
        answer.line("refused"),
        format!("true {all}"),
        "`new` failed, and the thread's mask is not as before"
    );
    let answer = inherited("refused");
    for errno in ["EINVAL", "EINVAL", "EBUSY", "EBUSY"].iter().zip(answer.lines("refused")) {
        assert_eq!(
            errno.1,
            format!("Err({}) SIGUSR1 SIGSEGV SIGUSR2 SIGTERM", errno.0),
            "`new` failed, and the result or the thread's mask is not what it should be: all of these signals were blocked \
             before, the one that was refused too. Unblock signals only once all of them have handlers"
        );
    }
    let answer = inherited("other-thread");
    for thread in ["there", "here"] {
        assert_eq!(
            answer.line(thread),
            "none",
            "the owner was made in a thread that blocked its signal, and dropped in another one. A mask belongs to a \
             thread: `drop` should block the signal only in the thread in which `new` unblocked it"
        );
    }
}

#[test]
fn drop_changes_no_other_signal_in_the_mask() {
    let answer = inherited("masks");
    let (first, second) = (answer.line("first"), answer.line("second"));
    assert_eq!(
        first, "SIGUSR1 SIGTERM",
        "two owners unblocked SIGUSR1 and SIGUSR2, other code blocked SIGTERM and unblocked SIGIO, and the owner of SIGUSR1 was \
         dropped. Now these signals are blocked. Block only the signals that this owner's `new` has unblocked: the mask that \
         it saw then is out of date, and if SIGUSR2 is blocked again, its owner gets it no more"
    );
    assert_eq!(
        second, "SIGUSR1 SIGUSR2 SIGTERM",
        "the owner of SIGUSR2, which was blocked before `new`, and of SIGCHLD, which was not, was dropped. Now these signals \
         are blocked"
    );
}

#[test]
fn the_mask_of_a_later_thread_does_not_change() {
    let answer = inherited("later-thread");
    let mask = answer.line("later");
    if mask == "unlike the ended one" {
        testing::skip!("the C library puts no new thread where an ended one was");
    }
    assert_eq!(
        mask, "none",
        "the owner was made in a thread that blocked its signal and ended, and was dropped in a later thread, which blocked \
         nothing. pthread_self(3) returns the same in both: it is an address, which a later thread gets again. Compare the \
         thread's `std::thread::ThreadId`"
    );
}

#[test]
fn without_a_descriptor_new_is_an_error() {
    let answer = inherited("refused");
    assert_eq!(
        answer.line("none"),
        "Err(EMFILE) SIGUSR1 SIGSEGV SIGUSR2 SIGTERM",
        "the process had no descriptor for the duplicate, and `new` did not return EMFILE, or it changed the mask"
    );
    assert_eq!(
        answer.line("disposition"),
        "default",
        "`new` failed with EMFILE, and its handler is installed"
    );
    assert_eq!(
        answer.line("afterwards"),
        "Ok(())",
        "`new` failed with EMFILE, and the next `new` failed, too, although a descriptor was free"
    );
}

#[test]
fn drop_blocks_before_it_restores() {
    let Some(answer) = traced("as-it-is", &["inherited", "blocked-drop"]) else { return };
    let calls: Vec<&str> = answer.lines("call").collect();
    let first = |name: &str| calls.iter().position(|call| call.starts_with(name));
    assert!(
        first("rt_sigprocmask")
            .is_some_and(|blocked| first("rt_sigaction").is_some_and(|restored| blocked < restored)),
        "the thread blocked SIGTERM before `new`. `drop` should block it again, and only then restore the default action, \
         or a SIGTERM between the two kills the process. The calls of `drop`: {calls:?}"
    );
}

#[test]
fn an_ignored_signal_is_handled() {
    let answer = inherited("ignored");
    assert_eq!(
        answer.line("sent"),
        "SIGCHLD ready",
        "SIGCHLD was ignored before `new`, and then it was sent"
    );
    assert_eq!(
        answer.line("children"),
        "kept",
        "the handler of SIGCHLD is installed with SA_NOCLDSTOP or SA_NOCLDWAIT. With the first, no signal comes for a child that is \
         stopped; with the second, an exited child cannot be waited for, and the loop, which SIGCHLD has woken, gets no status"
    );
    assert_eq!(
        answer.line("dropped"),
        "ignored",
        "SIGCHLD was ignored before `new`, and is not after `drop`"
    );
}

#[test]
fn signals_of_faults_are_refused() {
    let answer = inherited("faults");
    assert_eq!(
        answer.lines("result").count(),
        12,
        "the helper should ask for six signals twice:\n{}",
        answer.0
    );
    for result in answer.lines("result") {
        let (signal, result) = result.split_once(' ').expect("a signal and a result");
        assert!(
            result.starts_with("EINVAL") && result.contains(signal),
            "`new` for {signal} returned `{result}` instead of EINVAL with the signal's name. The kernel sends {signal} for \
             what the thread itself does. After your handler, a faulting instruction is executed again, and faults again, \
             forever"
        );
    }
    for left in answer.lines("left") {
        assert_eq!(left, "default default", "`new` was refused, and changed the action of a signal");
    }
}

#[test]
fn a_fork_during_a_handler_hangs_no_drop() {
    let answer = inherited("fork");
    assert_eq!(
        answer.line("child"),
        "exited with 0",
        "a thread was in the handler while another one forked. The child dropped its copy of the owner, and made and \
         dropped an owner of its own. Does `drop` wait for handlers of the parent? The child inherits their number, and \
         not their threads, so the number never becomes 0. Note which process the number belongs to"
    );
}

#[test]
fn a_failed_write_does_not_silence_the_next_signal() {
    let answer = signal("unwritten");
    let next: Vec<&str> = answer.lines("next").collect();
    assert_eq!(
        next, ["ready"; 2],
        "SIGUSR1 and SIGUSR2 came while the pipe had no reader, and the handler's writes failed (EPIPE). Then the pipe had a \
         reader, both came again, and the pipe is not readable each time. A bit that is set says that bytes are there: after \
         a failed write, keep the signal in a second set, which `take` returns too, so that the next one writes"
    );
    assert_eq!(
        answer.line("took"),
        "SIGUSR1 SIGUSR2",
        "the writes of SIGUSR1 and SIGUSR2 failed, both came again, and then their owner called `take`. It should return the \
         signals of both sets, each once"
    );
    assert_eq!(
        answer.line("then"),
        "none",
        "`take` returned a signal whose write had failed, and so did the next `take`: clear it in both sets"
    );
    assert_eq!(
        answer.lines("other").collect::<Vec<_>>(),
        ["none"; 2],
        "the write of SIGUSR1 failed, and another owner took SIGUSR1"
    );
    assert_eq!(
        answer.line("kept"),
        "SIGUSR1",
        "the write of SIGUSR1 failed, another owner called `take`, and then its own owner did. `take` should clear only its \
         own signals in both sets"
    );
    assert_eq!(
        answer.line("stale"),
        "none",
        "the write of SIGUSR2 failed, its owner was dropped, and the next owner took the signal. Clear both sets in `new`"
    );
}

#[test]
fn a_closed_read_end_does_not_end_the_process() {
    let answer = signal("gone");
    assert_eq!(
        answer.line("took"),
        "SIGUSR1",
        "the pipe's read end was closed, a signal came, and `take` did not return it"
    );
}
