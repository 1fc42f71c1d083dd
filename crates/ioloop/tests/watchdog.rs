//! Exercise `ioloop/blocking`: what a watch must catch, and what it must leave alone. There is no loop here: the thread
//! that is watched arms and disarms by itself. A process has one watch, so each test has a process of its own.

mod support;

use support::{Answer, zygote};

#[track_caller]
fn watched(what: &str) -> Answer {
    zygote::ask(&["watchdog", what])
}

#[test]
fn what_blocks_is_reported_while_it_does_with_its_stack() {
    let answer = watched("caught");
    assert_eq!(
        answer.line("reported"),
        "yes",
        "code blocked for seconds, with a threshold of ten milliseconds, and nobody said so meanwhile"
    );
    assert_eq!(
        answer.line("here"),
        "no",
        "the report was made in the thread that blocks, in the middle of whatever it does. A handler may do next to \
         nothing: another thread is to report"
    );
    let stack: Vec<&str> = answer.lines("frame").collect();
    assert!(
        stack.iter().any(|frame| frame.contains("watched")),
        "the function that blocks, `watched`, is not in the stack that was reported. Whose stack is it? {stack:#?}"
    );
    assert_eq!(answer.line("threshold"), "10ms", "the report says for how long it was, at least");
}

#[test]
fn only_what_runs_between_arm_and_disarm_is_reported() {
    let answer = watched("unarmed");
    assert_eq!(
        answer.line("first"),
        "watched",
        "code blocked before the watch was armed, then after it was disarmed, and then, armed, `watched` did. This is \
         who was reported first. A loop that sleeps has disarmed it"
    );
}

#[test]
fn armed_once_it_goes_off_once() {
    let answer = watched("once");
    assert_eq!(
        answer.line("second"),
        "meanwhile",
        "it was armed, and went off. Then code blocked without its being armed again; then, armed, `meanwhile` did. This \
         is who was reported second: does your timer have an interval?"
    );
}

#[test]
fn no_threshold_is_a_threshold() {
    let answer = watched("zero");
    assert_eq!(
        answer.line("reported"),
        "yes",
        "the threshold was zero, code blocked for seconds, and nobody said so. See timer_settime(2): what does a \
         time of zero do to a timer?"
    );
    let answer = watched("endless");
    assert_eq!(
        answer.line("ended"),
        "well",
        "the threshold was the longest time there is, and that was a panic"
    );
}

#[test]
fn the_thread_that_made_it_is_watched_and_no_other() {
    let answer = watched("thread");
    assert_eq!(
        answer.line("caught"),
        "watched",
        "a thread made a watch, armed it and blocked, and the main thread waited for it. This is who was in the stack. \
         A signal that is sent to the process is handled in any of its threads, and mostly in the first"
    );
}

#[test]
fn what_was_interrupted_goes_on() {
    let answer = watched("interrupted");
    assert_eq!(
        answer.line("read"),
        "Ok(1)",
        "code slept in read(2), was reported, and this is what its call came back with. With SA_RESTART it is begun \
         again, and whoever is watched notices nothing"
    );
}

#[test]
fn the_handler_allocates_nothing() {
    let answer = watched("allocations");
    assert_eq!(answer.line("reported"), "yes");
    assert_eq!(
        answer.line("allocations"),
        "0",
        "so often the handler has asked for memory. If the code that it interrupted was asking, too, it waits for ever \
         for a lock that this code holds. See signal-safety(7)"
    );
}

#[test]
fn errno_is_as_it_was() {
    let errno = watched("errno");
    assert_eq!(
        errno.line("errno"),
        "E2BIG",
        "code that blocked was about to read errno, E2BIG, and this is what it read after the handler, in which a \
         write failed. Save it first, put it back last"
    );
}

#[test]
fn a_report_that_takes_long_holds_nobody_up() {
    let answer = watched("slow");
    assert_eq!(
        answer.line("held-up"),
        "no",
        "while a report was made, code blocked again, and its handler waited until the report was over: then so did \
         the code. What does your handler share with the thread that reports?"
    );
    assert_eq!(
        answer.line("second"),
        "meanwhile",
        "while a report was made, `meanwhile` blocked, and went on to block. This is who was reported when that report \
         was over: once the stack was read, there is room for the next"
    );
}

#[test]
fn a_process_has_one_watch_at_a_time() {
    let answer = watched("twice");
    assert_eq!(
        answer.line("second"),
        "EBUSY",
        "there is one handler, and it has one watch to tell of what it found"
    );
    assert_eq!(
        answer.line("first"),
        "yes",
        "a second watch was refused, and the first one hears nothing any more"
    );
    assert_eq!(
        answer.line("second-hears"),
        "0",
        "a second watch was refused, and hears of what the first one found"
    );
    assert_eq!(answer.line("third"), "hears", "the first watch was dropped, and then another one was made");
}

#[test]
fn however_often_it_goes_off_each_stack_is_one_that_there_was() {
    let answer = watched("storm");
    assert_eq!(
        answer.line("reports"),
        "enough",
        "an alarm went off again and again, for seconds, and hardly anybody heard of it"
    );
    if let Some(mixed) = answer.lines("mixed").next() {
        panic!(
            "`left_side` calls itself, and so does `right_side`; neither calls the other. A stack was reported with \
             `{mixed}`. It was noted while the last one was being read"
        );
    }
}

#[test]
fn dropped_everything_is_as_it_was() {
    let answer = watched("restored");
    assert_eq!(answer.line("late"), "0", "an armed watch was dropped, and its alarm went off afterwards");
    assert_eq!(answer.line("descriptors"), "0", "a watch was dropped, and left descriptors open");
    assert_eq!(
        answer.line("signal"),
        "as before",
        "a watch was dropped, and this is what handles SIGALRM now. sigaction gives what was there before, and takes \
         it back as it is"
    );
    assert_eq!(
        answer.line("previous"),
        "1",
        "a watch was dropped, SIGALRM came, and what handled it before did not"
    );
}

#[test]
fn an_alarm_at_the_last_moment_is_nobody_elses() {
    assert_eq!(
        watched("at-the-last-moment").line("late"),
        "0",
        "a watch was dropped some hundred times, about when its alarm went off, and so many alarms had another handler: \
         by default they end the process. Disarm the timer before you give the signal back"
    );
}

#[test]
fn no_program_that_is_started_has_its_descriptors() {
    assert_eq!(
        watched("unmarked").line("unmarked"),
        "0",
        "so many descriptors of a watch stay open in a program that this process starts. See O_CLOEXEC in open(2), \
         and EFD_CLOEXEC in eventfd(2)"
    );
}

#[test]
fn dropped_nobody_is_reporting_any_more() {
    assert_eq!(
        watched("joined").line("over"),
        "yes",
        "a watch was dropped while a report was made, and that went on afterwards: what it works on may be gone"
    );
}

#[test]
fn what_was_caught_is_reported_before_the_watch_is_gone() {
    assert_eq!(
        watched("last").line("second"),
        "meanwhile",
        "`meanwhile` was caught while another report was made, and then the watch was dropped. This is who was reported \
         second: it is over when there is nothing left to be said"
    );
}

#[test]
fn a_report_that_panics_is_not_the_next_watchs() {
    assert_eq!(
        watched("panicked").line("next"),
        "watched",
        "a report panicked, and `meanwhile` was noted when nobody was there to read it. Then there was another watch, \
         `watched` blocked, and this is who was reported"
    );
}

#[test]
fn a_watch_that_cannot_be_had_leaves_nothing_behind() {
    for what in ["no-timer", "no-thread"] {
        let answer = watched(what);
        assert_eq!(answer.line("first"), "EAGAIN", "{what}: the kernel refuses it, and that is to be said");
        assert_eq!(answer.line("descriptors"), "0", "{what}: it was refused, and left descriptors open");
        assert_eq!(
            answer.line("signal"),
            "as before",
            "{what}: it was refused, and this is what handles SIGALRM now"
        );
        assert_eq!(answer.line("then"), "Ok", "{what}: it was refused, and nobody can have one any more");
    }
}
