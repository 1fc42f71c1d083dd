//! Exercise `ioloop/watchdog`: what a watchdog must catch, and what it must leave alone. Without a loop, the watched
//! thread itself arms and disarms the watchdog. A process has one watchdog, so each test has its own process.

mod support;

#[path = "support/zygote.rs"]
mod zygote;

#[path = "scenarios/watchdog/mod.rs"]
mod scenarios;

use support::Answer;

testing::helper!(answer);

fn answer(args: &[&str]) -> i32 {
    testing::exit_code(match args {
        ["watchdog", what] => scenarios::run(what),
        ["traced", "held", rest @ ..] => {
            return testing::tracer::start(|| answer(rest), scenarios::notified::hold);
        }
        ["zygote"] => return zygote::serve(answer),
        _ => support::unknown(args),
    })
}

#[track_caller]
fn watched(what: &str) -> Answer {
    zygote::ask(&["watchdog", what])
}

#[test]
fn blocking_code_is_reported_with_its_stack_while_it_blocks() {
    let answer = watched("caught");
    assert_eq!(
        answer.line("reported"),
        "yes",
        "code blocked for seconds, with a threshold of 10 ms, and no report was made meanwhile. `Stack::note` notes nothing \
         before `Stack::prepare`: does `new` call it?"
    );
    assert_eq!(
        answer.line("here"),
        "no",
        "the report was made in the thread that blocks, in the middle of its work. A handler may do next to nothing: \
         another thread must report"
    );
    let stack: Vec<&str> = answer.lines("frame").collect();
    assert!(
        stack.iter().any(|frame| frame.contains("watched")),
        "the function that blocks, `watched`, is not in the stack that was reported. Whose stack is it? {stack:#?}"
    );
    let place = |function: &str| stack.iter().position(|frame| frame.contains(function));
    // An optimizing compiler may inline one of the two.
    if let (Some(spin), Some(watched)) = (place("::spin"), place("::watched")) {
        assert!(
            spin < watched,
            "`watched` calls `spin`, so `spin` comes first: the names of a stack are the innermost first, as `names` returns them. \
             {stack:#?}"
        );
    }
    assert_eq!(
        answer.line("threshold"),
        "10ms",
        "the report names the threshold: the code blocked for at least that long"
    );
}

#[test]
fn only_code_between_arm_and_disarm_is_reported() {
    let answer = watched("unarmed");
    assert_eq!(
        answer.line("first"),
        "watched",
        "code blocked before the watchdog was armed, then after it was disarmed; then the watchdog was armed and \
         `watched` blocked. This function was reported first. A loop disarms its watchdog before it sleeps"
    );
}

#[test]
fn armed_once_it_fires_once() {
    let answer = watched("once");
    assert_eq!(
        answer.line("second"),
        "meanwhile",
        "the watchdog was armed once, and fired. Then code blocked while it was not armed; then it was armed again and \
         `meanwhile` blocked. This function was reported second: does your timer have an interval?"
    );
}

#[test]
fn zero_and_the_longest_threshold_can_be_armed() {
    let answer = watched("zero");
    assert_eq!(
        answer.line("reported"),
        "yes",
        "the threshold was zero, code blocked for seconds, and no report was made. See timer_settime(2): what does a \
         time of zero do to a timer?"
    );
    assert_eq!(
        answer.line("threshold"),
        "0ns",
        "the report names the threshold that `new` got, and not the time for which the timer was set"
    );
    let answer = watched("endless");
    assert_eq!(
        answer.line("ended"),
        "well",
        "the threshold was `Duration::MAX`, and arming the watchdog panicked"
    );
}

#[test]
fn its_timer_runs_for_the_threshold_on_a_clock_that_cannot_be_set() {
    let answer = watched("timer");
    if let Some(why) = answer.lines("unasked").next() {
        testing::skip!("{why}");
    }
    let timers: Vec<_> = answer.lines("timer").filter_map(|timer| timer.split_once(' ')).collect();
    assert_eq!(
        timers.len(),
        2,
        "two watchdogs, one after the other, have a timer of SIGALRM each:\n{}",
        answer.0
    );
    for (clock, time) in timers {
        // CLOCK_MONOTONIC, CLOCK_BOOTTIME, and its clock that wakes a suspended machine.
        assert!(
            ["1", "7", "9"].contains(&clock),
            "the timer runs on clock {clock} (see linux/time.h). CLOCK_REALTIME can be set, and a clock of processor time stands \
             still while code sleeps: use CLOCK_MONOTONIC"
        );
        assert_eq!(
            time, "as long",
            "thresholds of an hour and of 30 years: right after `arm`, the kernel has another time left for the timer"
        );
    }
}

#[test]
fn only_the_thread_that_made_it_is_watched() {
    let answer = watched("thread");
    assert_eq!(
        answer.line("caught"),
        "watched",
        "a thread made a watchdog, armed it and blocked, while the main thread waited for that thread. This function \
         was in the stack. The kernel delivers a signal that is sent to the process to any of its threads, mostly the \
         first"
    );
}

#[test]
fn an_interrupted_call_is_restarted() {
    let answer = watched("interrupted");
    assert_eq!(
        answer.line("read"),
        "Ok(1)",
        "code slept in read(2), was reported, and this is what read(2) returned. With SA_RESTART the kernel restarts \
         the call, so the watched code notices nothing"
    );
}

#[test]
fn the_handler_allocates_nothing() {
    let answer = watched("allocations");
    assert_eq!(answer.line("reported"), "yes");
    assert_eq!(
        answer.line("allocations"),
        "0",
        "the handler allocated this many times. If the code that it interrupted was allocating too, the handler waits \
         forever for a lock that this code holds. See signal-safety(7)"
    );
}

#[test]
fn the_handler_preserves_errno() {
    let errno = watched("errno");
    assert_eq!(
        errno.line("errno"),
        "E2BIG",
        "code that blocked was about to read errno, E2BIG, and read this instead, because a write failed in the \
         handler. Save errno first, and restore it last"
    );
}

#[test]
fn a_slow_report_does_not_hold_up_the_watched_thread() {
    let answer = watched("slow");
    assert_eq!(
        answer.line("held-up"),
        "no",
        "while a report was being made, code blocked again, and the handler waited until the report was finished: so \
         the code waited too. What does your handler share with the thread that reports?"
    );
    assert_eq!(
        answer.line("second"),
        "meanwhile",
        "while a report was being made, `meanwhile` blocked, and kept blocking. This function was reported next: as \
         soon as the reporter has read a stack, there must be room for another one"
    );
}

#[test]
fn a_process_has_one_watchdog_at_a_time() {
    let answer = watched("twice");
    assert_eq!(
        answer.line("second"),
        "EBUSY",
        "a process has one handler for SIGALRM, and the handler has one watchdog to notify"
    );
    assert_eq!(
        answer.line("first"),
        "yes",
        "a second watchdog was refused, and the first one stopped getting reports"
    );
    assert_eq!(
        answer.line("second-hears"),
        "0",
        "a second watchdog was refused, and got the reports of the first one"
    );
    assert_eq!(
        answer.line("third"),
        "hears",
        "the first watchdog was dropped, and then another one was made: it must get reports"
    );
}

#[test]
fn alarms_in_quick_succession_do_not_mix_stacks() {
    let answer = watched("storm");
    assert_eq!(
        answer.line("reports"),
        "enough",
        "the alarm fired again and again, for seconds, and fewer than 20 reports were made"
    );
    if let Some(mixed) = answer.lines("mixed").next() {
        panic!(
            "`left_side` calls itself, and so does `right_side`; neither calls the other. One stack that was reported \
             has `{mixed}`: the handler wrote a new stack while the reporter was reading the last one"
        );
    }
}

#[test]
fn dropping_it_restores_handler_and_descriptors() {
    let answer = watched("restored");
    assert_eq!(answer.line("late"), "0", "an armed watchdog was dropped, and its alarm fired afterwards");
    assert_eq!(answer.line("descriptors"), "0", "a watchdog was dropped, and left descriptors open");
    assert_eq!(
        answer.line("signal"),
        "as before",
        "a watchdog was dropped, and this is what handles SIGALRM now. sigaction(2) returns the old action, and takes \
         it back unchanged"
    );
    assert_eq!(
        answer.line("previous"),
        "1",
        "a watchdog was dropped, SIGALRM came, and the handler that was there before was not called"
    );
}

#[test]
fn an_alarm_during_the_drop_does_not_reach_the_old_handler() {
    assert_eq!(
        watched("at-the-last-moment").line("late"),
        "0",
        "a watchdog was dropped a hundred times, about when its alarm fired, and this many alarms reached the handler \
         that was there before: by default SIGALRM kills the process. Disarm the timer before you restore the handler"
    );
}

#[test]
fn its_descriptors_are_close_on_exec() {
    assert_eq!(
        watched("unmarked").line("unmarked"),
        "0",
        "this many descriptors of a watchdog stay open in a program that this process starts. See O_CLOEXEC in \
         open(2), and EFD_CLOEXEC in eventfd(2)"
    );
}

#[test]
fn it_works_without_standard_input_and_output() {
    let answer = watched("without-standard-files");
    for what in ["without-input", "without-output"] {
        assert_eq!(
            answer.line(what),
            "yes",
            "{what}: the process had closed descriptor 0 or 1, which the watchdog got then, and no report was made: 0 \
             and 1 are valid descriptors, so use a negative number for 'none'"
        );
    }
}

#[test]
fn a_signal_handler_in_its_thread_does_not_end_the_reports() {
    let answer = watched("interrupted-reporter");
    assert!(
        answer.lines("sleeps").all(|sleeps| sleeps == "yes"),
        "nothing has blocked, and for seconds a thread of the watchdog was never asleep: it keeps a processor busy. \
         A read(2) of an eventfd that does not have EFD_NONBLOCK sleeps until the handler writes"
    );
    assert_eq!(
        answer.line("reported"),
        "yes",
        "the program's handler of SIGUSR1 ran in the watchdog's thread, and since then no report has been made. A \
         handler without \
         SA_RESTART makes read(2) fail with EINTR: read again"
    );
}

#[test]
fn a_reporter_that_runs_during_the_drop_ends() {
    let Some(answer) = testing::traced("held", &["watchdog", "notified"]) else { return };
    assert_eq!(
        answer.line("dropped"),
        "well",
        "the reporter ran as soon as the drop notified it, before the drop went on"
    );
}

#[test]
fn dropping_it_waits_for_the_running_report() {
    let answer = watched("joined");
    assert_eq!(
        answer.line("over"),
        "yes",
        "a watchdog was dropped while a report was being made, and the report went on after the drop: what the report \
         uses may be gone by then"
    );
    assert_eq!(
        answer.line("second"),
        "EBUSY",
        "while the drop of a watchdog waited for a report, another thread made a second watchdog. Both use one place for \
         stacks, so the first thread could report the second one's: until the drop returns, `new` must fail"
    );
}

#[test]
fn a_noted_stack_is_reported_before_the_drop_returns() {
    assert_eq!(
        watched("last").line("second"),
        "meanwhile",
        "`meanwhile` was caught while another report was being made, and then the watchdog was dropped. This function \
         was reported second: the reporter may stop when no stack is left to report"
    );
}

#[test]
fn a_stack_left_by_a_panicking_report_is_discarded() {
    assert_eq!(
        watched("panicked").line("next"),
        "watched",
        "a report panicked, and the stack of `meanwhile` was noted when no thread was left to read it. Then another \
         watchdog was made, `watched` blocked, and this function was reported"
    );
}

#[test]
fn what_a_report_throws_does_not_end_the_drop() {
    let answer = watched("thrown");
    assert_eq!(
        answer.line("dropped"),
        "well",
        "a report panicked with a value that panics when it is dropped, and dropping the watchdog panicked. `join` \
         returns what the thread threw: do not drop it"
    );
    assert_eq!(
        answer.line("descriptors"),
        "0",
        "what a report threw ended the drop: descriptors are left open"
    );
    assert_eq!(
        answer.line("signal"),
        "as before",
        "what a report threw ended the drop before SIGALRM was restored"
    );
    assert_eq!(
        answer.line("then"),
        "Ok",
        "what a report threw ended the drop, and since then no watchdog can be made"
    );
}

#[test]
fn a_blocked_sigalrm_is_unblocked_until_the_drop() {
    let answer = watched("blocked");
    assert_eq!(answer.line("before"), "SIGUSR1 SIGALRM");
    assert_eq!(
        answer.line("reported"),
        "yes",
        "the thread blocked SIGALRM before the watchdog was made, as it does if the program that started this one \
         blocked it. No report came. Unblock it in this thread: see pthread_sigmask(3)"
    );
    assert_eq!(
        answer.line("busy"),
        "Some(EBUSY) SIGUSR1 SIGALRM",
        "another thread blocked these two signals, and its `new` was refused, because there was a watchdog. This is the error, \
         and what that thread blocks now: after an error nothing has changed"
    );
    assert_eq!(
        answer.line("dropped"),
        "SIGUSR1 SIGALRM",
        "a thread blocked these two signals, made a watchdog and dropped it. Now it blocks these"
    );
    assert_eq!(
        (answer.line("refused"), answer.line("then")),
        ("true", "SIGUSR1 SIGALRM"),
        "the thread blocked these two signals, and a second watchdog was refused. Now it blocks these"
    );
}

/// Linux 6.13 and newer do not deliver the pending signal of a timer that was disarmed. There, this fails only for a drop that
/// restores the handler and unblocks SIGALRM before it disarms; on older kernels also for one that never unblocks it.
#[test]
fn an_alarm_that_is_pending_at_the_drop_does_not_reach_the_old_handler() {
    assert_eq!(
        watched("pending").line("late"),
        "0",
        "the thread blocked SIGALRM after the watchdog was made, and an alarm was pending when it was dropped. This many \
         alarms reached the handler that was there before: disarm, and unblock SIGALRM, before you restore that handler"
    );
}

#[test]
fn a_sigalrm_from_elsewhere_is_no_report_and_reaches_the_old_handler() {
    for what in ["foreign", "foreign-full"] {
        let answer = watched(what);
        assert_eq!(
            answer.line("reports"),
            "0",
            "{what}: SIGALRM came four times, from raise(3), kill(2) and another timer, and the code did not block. Which \
             of them is yours? See sigaction(2), SI_TIMER and si_value"
        );
        assert_eq!(
            (answer.line("previous"), answer.line("got")),
            ("4", "14"),
            "{what}: the program had a handler for SIGALRM before the watchdog. It must run for the four alarms that are not \
             the watchdog's, and a handler of SA_SIGINFO with the siginfo and the context that yours got"
        );
    }
    let answer = watched("without-a-handler");
    assert_eq!(
        answer.line("previous"),
        "0",
        "a handler was there before the first watchdog, which was dropped. Then SIGALRM got its default action, another \
         watchdog was made, and SIGALRM came from another sender: that old handler ran. Each `new` stores both kinds of \
         handler, or null"
    );
    assert_eq!(
        (answer.line("reported"), answer.line("still")),
        ("never", "yes"),
        "SIGALRM had its default action before the watchdog, and came from another sender: it must cause no report, \
         and must not kill the process"
    );
}

#[test]
fn a_refused_watchdog_leaves_nothing_behind() {
    for what in ["no-timer", "no-thread"] {
        let answer = watched(what);
        if let Some(why) = answer.lines("refused").next() {
            testing::skip!("{what}: {why}");
        }
        assert_eq!(
            answer.line("first"),
            "EAGAIN",
            "{what}: the kernel refuses it, and `new` must return that error"
        );
        assert_eq!(
            answer.line("descriptors"),
            "0",
            "{what}: the watchdog was refused, and left descriptors open"
        );
        assert_eq!(
            answer.line("signal"),
            "as before",
            "{what}: the watchdog was refused, and this is what handles SIGALRM now"
        );
        assert_eq!(
            answer.line("then"),
            "Ok",
            "{what}: the watchdog was refused, and since then no other one can be made"
        );
    }
}
