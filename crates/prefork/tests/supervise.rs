//! Exercise `prefork/supervise`: what becomes of some children, and of their supervisor.
//!
//! A test process has threads, so the supervisor is the helper program, or a child of its own. Whatever happens
//! is printed there: the events, as `tell` hears of them, and what is left in the end.

mod support;

use support::{Answer, Helper};

#[track_caller]
fn ask(what: &[&str]) -> Answer {
    let answer = support::ask(&[&["run", "supervise"], what].concat());
    alone(&answer);
    answer
}

#[track_caller]
fn alone(answer: &Answer) {
    assert!(
        answer.lines("escaped").next().is_none() && !answer.0.contains("\nescaped\n"),
        "a child came back out of `supervise`: now two processes run the caller's code:\n{}",
        answer.0
    );
}

/// The events, without the process: `restarted 0 10`.
fn events(answer: &Answer) -> Vec<String> {
    let short = |line: &str| {
        let mut words: Vec<&str> = line.split(' ').collect();
        if !["stopping", "gave-up"].contains(&words[0]) {
            words.remove(2);
        }
        words.join(" ")
    };
    answer.lines("event").map(short).collect()
}

/// What happened to one task: `started`, `exited with 2`, `restarted`, `killed by SIGKILL`; and in between, what
/// is about all of them: `stopping SIGTERM`.
fn story(answer: &Answer, task: usize) -> Vec<String> {
    let task = task.to_string();
    let part = |line: String| match *line.split(' ').collect::<Vec<_>>() {
        ["exited", of, ref status @ ..] => (of == task).then(|| status.join(" ")),
        ["started" | "restarted" | "killed", of, ..] => {
            (of == task).then(|| line.split(' ').next().unwrap_or_default().into())
        }
        _ => Some(line),
    };
    events(answer).into_iter().filter_map(part).collect()
}

/// The processes that a task had, one after the other.
fn processes(answer: &Answer, task: usize) -> Vec<&str> {
    let born = |line: &str| ["started", "restarted"].iter().any(|word| line.starts_with(word));
    let words = |line| str::split(line, ' ').collect::<Vec<_>>();
    let lines = answer.lines("event").filter(|line| born(line)).map(words);
    lines.filter(|words| words[1] == task.to_string()).map(|words| words[2]).collect()
}

#[track_caller]
fn ended(answer: &Answer, how: &str, meaning: &str) {
    let result = answer.line("result");
    assert_eq!(result, how, "supervise came back with `{result}`: {meaning}\n{}", answer.0);
    nothing_is_left(answer);
}

#[track_caller]
fn nothing_is_left(answer: &Answer) {
    let (children, table, mask) = (answer.line("children"), answer.line("table"), answer.line("mask"));
    assert_eq!(
        children, "none",
        "there are children when supervise has come back ({children}): nobody looks after those that run, and \
         those that ended stay zombies"
    );
    assert_eq!(
        table, "same",
        "supervise left a descriptor behind, or closed one. Descriptors {table}: each child has one, and so \
         have the signals"
    );
    assert_eq!(
        mask, "same",
        "the caller's signals were blocked before, in hexadecimal, and are now: {mask}. What supervise blocks, it \
         gives back as it was"
    );
}

const NOT_AGAIN: &str = "a child that ended with 0 has done what it was there for, and is not restarted";

#[test]
fn each_child_has_its_task() {
    let answer = ask(&["exits", "100", "0", "0", "0"]);
    ended(&answer, "done", "all children ended with 0");
    for task in 0..3 {
        let said = answer.lines("child").find(|line| line.starts_with(&format!("{task} ")));
        let said = said.unwrap_or_else(|| panic!("no child was called with {task}:\n{}", answer.0));
        assert!(
            said.contains(&format!("task Some({task})")),
            "in the child that was called with {task}, `task` says otherwise: {said}"
        );
    }
    let starts: Vec<_> = events(&answer).into_iter().filter(|event| event.starts_with("started")).collect();
    assert_eq!(
        starts,
        ["started 0", "started 1", "started 2"],
        "tasks are started in their order, once each"
    );
}

#[test]
fn zero_children_is_one_a_core() {
    let answer = ask(&["cores"]);
    let all: Vec<_> = answer.lines("cores").zip(answer.lines("started")).collect();
    for (cores, started) in all {
        assert_eq!(cores, started, "this process may use {cores} cores, and had {started} children");
    }
}

#[test]
fn who_fails_is_restarted_with_the_same_task() {
    let answer = ask(&["exits", "100", "2 0", "3 0", "4 0"]);
    ended(&answer, "done", "each child ended with 0 in the end");
    for (task, code) in [(0, 2), (1, 3), (2, 4)] {
        let seen = story(&answer, task);
        assert_eq!(
            seen,
            ["started".into(), format!("exited with {code}"), "restarted".into(), "exited with 0".into()],
            "a child that ends with {code} has failed, and its task {task} has yet to be done: {seen:?}"
        );
        let processes = processes(&answer, task);
        assert!(
            processes.len() == 2 && processes[0] != processes[1],
            "task {task} was to have two processes, and had {processes:?}"
        );
        let lives: Vec<_> =
            answer.lines("child").filter(|line| line.starts_with(&format!("{task} "))).collect();
        assert!(
            lives.len() == 2 && lives.iter().all(|life| life.contains(&format!("task Some({task})"))),
            "a child that takes over has its predecessor's task, here {task}: {lives:?}"
        );
    }
}

#[test]
fn who_is_killed_is_restarted() {
    let answer = ask(&["exits", "100", "SIGKILL SIGTERM 0"]);
    ended(&answer, "done", "it ended with 0 in the end");
    let seen = story(&answer, 0);
    let wanted =
        ["started", "killed by SIGKILL", "restarted", "killed by SIGTERM", "restarted", "exited with 0"];
    assert_eq!(seen, wanted, "a child that was killed by a signal has not done what it was there for");
}

#[test]
fn who_ends_well_is_not_restarted() {
    let answer = ask(&["exits", "100", "0 7", "3 0 7"]);
    assert_eq!(story(&answer, 0), ["started", "exited with 0"], "{NOT_AGAIN}");
    assert_eq!(story(&answer, 1), ["started", "exited with 3", "restarted", "exited with 0"], "{NOT_AGAIN}");
    ended(&answer, "done", "all ended with 0 in the end");
}

#[test]
fn as_many_restarts_as_there_may_be_are_no_error() {
    let answer = ask(&["exits", "4", "1 2 0", "3 SIGKILL 0"]);
    ended(&answer, "done", "there may be 4 restarts, and there were 4");
    let answer = ask(&["exits", "0", "0", "0"]);
    ended(&answer, "done", "there may be none, and none was needed");
}

#[test]
fn restarts_are_counted_for_all_children_together() {
    let answer = ask(&["exits", "3", "1 2 0", "3 4 0"]);
    ended(
        &answer,
        "too many restarts: 3",
        "two children failed twice each, which is once more than the 3 restarts that all of them have together",
    );
    let restarts = events(&answer).iter().filter(|event| event.starts_with("restarted")).count();
    assert!(restarts <= 3, "there may be 3 restarts, and there were {restarts}");
    let answer = ask(&["exits", "1", "SIGKILL SIGKILL 0"]);
    ended(&answer, "too many restarts: 1", "a child was killed twice, and whoever is killed has failed too");
}

#[test]
fn one_failure_too_many_is_an_error_and_the_survivors_end_first() {
    let answer = ask(&["gives-up", "2"]);
    nothing_is_left(&answer);
    ended(&answer, "too many restarts: 2", "there may be 2 restarts, and a child failed three times");
    let failed = ["started", "exited with 3", "restarted", "exited with 3", "restarted", "exited with 3"];
    let told = ["gave-up 2", "stopping SIGTERM"];
    assert_eq!(story(&answer, 0), [&failed[..], &told[..]].concat(), "task 0 fails, until it is too much");
    for task in [1, 2] {
        assert_eq!(
            story(&answer, task),
            ["started", "gave-up 2", "stopping SIGTERM", "exited with 0"],
            "the survivors are told to end, and waited for, within the grace period"
        );
    }
}

#[test]
fn a_survivor_that_does_not_end_is_killed_after_the_grace_period() {
    for (grace, signal) in [("50", None), ("3600000", Some("SIGINT"))] {
        let answer = ask(&[&["gives-up-on", grace][..], signal.as_slice()].concat());
        assert_eq!(
            story(&answer, 1),
            ["started", "gave-up 0", "stopping SIGTERM", "killed", "killed by SIGKILL"],
            "a child failed once too often, and its sibling was told to end and does not. The grace period of {grace} \
             ms is over some time, and before that when a signal comes: {signal:?}"
        );
        ended(
            &answer,
            "too many restarts: 0",
            "that the children fail is why it ended, whatever signal came in the grace period",
        );
    }
}

#[test]
fn a_signal_is_passed_on() {
    for signal in ["SIGTERM", "SIGINT"] {
        let answer = ask(&["told", signal, "3600000", "ends", "ends", "ends"]);
        let told: Vec<_> = answer.lines("told").collect();
        assert!(
            told.len() == 3 && told.iter().all(|line| line.ends_with(signal)),
            "the supervisor was sent {signal}, and of its three children these were: {told:?}"
        );
        ended(&answer, &format!("stopped {signal}"), "the signal came, and all children have ended since");
        for task in 0..3 {
            assert_eq!(
                story(&answer, task),
                ["started".into(), format!("stopping {signal}"), "exited with 0".into()]
            );
        }
    }
}

#[test]
fn nobody_is_restarted_while_stopping() {
    let answer = ask(&["told", "SIGTERM", "3600000", "fails", "dies", "ends"]);
    let restarted: Vec<_> =
        events(&answer).into_iter().filter(|event| event.starts_with("restarted")).collect();
    assert!(
        restarted.is_empty(),
        "{restarted:?}: the children were told to end, and whoever ends then is not restarted, however it ends"
    );
    ended(&answer, "stopped SIGTERM", "that some of them failed when they were told to end is no error");
    let answer = ask(&["told-while-waiting"]);
    assert_eq!(
        story(&answer, 0),
        ["started", "exited with 3", "stopping SIGTERM"],
        "the signal came in the pause before a restart: then there is no restart"
    );
    ended(&answer, "stopped SIGTERM", "there was nobody to wait for");
}

#[test]
fn who_ends_together_with_the_signal_has_not_failed() {
    let answer = ask(&["told-together"]);
    ended(
        &answer,
        "stopped SIGTERM",
        "when the supervisor looked, a child had ended and SIGTERM had come. Ctrl-C in a terminal is for parent and \
         children at one time: who has ended of it did not fail",
    );
}

#[test]
fn who_is_looked_at_later_than_the_signals_has_not_failed_either() {
    let answer = ask(&["told-in-between"]);
    ended(
        &answer,
        "stopped SIGTERM",
        "one of two children had ended and was seen, then both processes that were left were sent SIGTERM, and then the \
         other child was looked at. The signal was there by then: before an end is judged, look once more",
    );
    assert_eq!(story(&answer, 1), ["started", "stopping SIGTERM", "killed by SIGTERM"]);
}

#[test]
fn who_dies_of_ctrl_c_has_not_failed() {
    let answer = ask(&["ctrl-c"]);
    let ended: Vec<_> = answer.lines("ended").collect();
    assert!(
        ended.len() == 20 && ended.iter().all(|how| *how == "Ok(Stopped(SIGINT))"),
        "a whole process group was sent SIGINT, twenty times, and the children in it died of it. Their supervisor \
         had the signal before it could wait for any of them, and was to be stopped by it: {ended:?}"
    );
}

#[test]
fn who_takes_too_long_is_killed_after_the_grace_period() {
    for doing in ["ignores", "is-stopped"] {
        let answer = ask(&["told", "SIGTERM", "50", doing]);
        assert_eq!(
            story(&answer, 0),
            ["started", "stopping SIGTERM", "killed", "killed by SIGKILL"],
            "a child that did not end within the 50 ms of its grace period is killed with SIGKILL"
        );
        ended(
            &answer,
            "stopped SIGTERM",
            "the signal came, and the child has ended since, one way or another",
        );
    }
    let answer = ask(&["told", "SIGTERM", "50", "ignores", "ignores", "ignores"]);
    for task in 0..3 {
        let seen = story(&answer, task);
        assert!(
            seen.ends_with(&["killed".into(), "killed by SIGKILL".into()]),
            "of three children none had ended within the 50 ms, and each was to be killed. Of task {task}: {seen:?}"
        );
    }
}

#[test]
fn nobody_is_killed_within_the_grace_period() {
    // The second child goes on until the supervisor has seen the first one's end.
    let answer = ask(&["told", "SIGTERM", "3600000", "ends", "ends-late"]);
    assert_eq!(
        story(&answer, 1),
        ["started", "stopping SIGTERM", "exited with 0"],
        "a child that is told to end has an hour to finish what it is doing"
    );
    ended(&answer, "stopped SIGTERM", "the signal came, and all children have ended since");
}

#[test]
fn a_second_signal_ends_the_grace_period() {
    for second in ["SIGTERM", "SIGINT"] {
        let answer = ask(&["told-twice", second]);
        assert_eq!(
            story(&answer, 0),
            ["started", "stopping SIGTERM", "killed", "killed by SIGKILL"],
            "whoever sends a signal a second time, here {second}, does not want to wait for the hour to pass"
        );
        ended(&answer, "stopped SIGTERM", "two signals came, and it was the first that stopped it");
    }
}

#[test]
fn children_are_signalled_through_their_descriptors() {
    let helper = Helper::new(&["run", "supervise", "by-number"]).answer();
    let Some(answer) = helper.unwrap_or_else(|words| panic!("{words}")) else { return };
    alone(&answer);
    for task in [0, 1] {
        assert_eq!(
            story(&answer, task),
            ["started", "stopping SIGTERM", "exited with 0"],
            "kill(2) is refused in this supervisor, and the child of task {task} was not told to end. kill takes a \
             number, and a number that was waited for can be another process's by then: Child::signal goes by the \
             child's descriptor"
        );
    }
    ended(&answer, "stopped SIGTERM", "the signal came");
}

#[test]
fn who_fails_at_once_is_restarted_after_growing_pauses() {
    let answer = ask(&["pauses", "10", "40"]);
    let told: Vec<_> = answer.lines("event").filter(|line| line.starts_with("restarted")).collect();
    let told: Vec<_> = told.iter().filter_map(|line| line.rsplit(' ').next()).collect();
    assert_eq!(
        told,
        ["10", "20", "40", "40", "40"],
        "a child failed at once, five times. The first pause was to be 10 ms, each other one twice as long as the \
         last, and none longer than 40; they were {told:?}. Without a pause it would be restarted as fast as it fails"
    );
    for (told, waited) in told.iter().zip(answer.lines("waited")) {
        let (told, waited): (u64, u64) = (told.parse().unwrap_or(u64::MAX), waited.parse().unwrap_or(0));
        assert!(waited >= told * 1000, "a pause of {told} ms was over after {waited} µs");
    }
    ended(&answer, "done", "the sixth child ended with 0");
    let answer = ask(&["pauses", "40", "10"]);
    let told: Vec<_> = events(&answer).into_iter().filter(|event| event.starts_with("restarted")).collect();
    assert_eq!(
        told, ["restarted 0 10"; 5],
        "no pause is longer than the longest, 10 ms, and the first was to be 40"
    );
}

#[test]
fn whose_pause_is_over_first_is_restarted_first() {
    let mut seen = Vec::new();
    for _ in 0..3 {
        let answer = ask(&["two-pauses"]);
        ended(&answer, "done", "both children ended with 0 in the end");
        seen = events(&answer);
        let place = |wanted: &str| seen.iter().position(|event| event == wanted);
        // On a machine that is busy with something else, both may be due by the time that one is looked at.
        if place("restarted 1 1").is_some() && place("restarted 1 1") < place("restarted 0 512") {
            return;
        }
    }
    panic!(
        "three times, a child was to be restarted in 512 ms, then another one failed, and was to be in 1 ms. It had to \
         wait for the first: the sleep ends when whoever is due first is due. The events were {seen:?}"
    );
}

#[test]
fn the_pause_is_over_once_a_child_has_lived() {
    for _ in 0..10 {
        let answer = ask(&["pause-over"]);
        ended(&answer, "done", "the fifth child ended with 0");
        let between: Vec<u64> = answer.lines("between").filter_map(|line| line.parse().ok()).collect();
        if [0, 1, 3].iter().any(|life| between[*life] >= 300) {
            // The machine was busy with something else, and a child that failed at once was old by then.
            continue;
        }
        let told: Vec<_> =
            events(&answer).into_iter().filter(|event| event.starts_with("restarted")).collect();
        assert_eq!(
            told,
            ["restarted 0 20", "restarted 0 40", "restarted 0 0", "restarted 0 20"],
            "pauses in milliseconds. Two children failed at once; the third lived longer than `young` and then \
             failed: it is restarted at once. The fourth failed at once again, and that is where the pauses begin, \
             not where they were"
        );
        return;
    }
    eprintln!("skipped: this machine is too busy to tell at once from later");
}

#[test]
fn the_longest_times_are_no_overflow() {
    let answer = ask(&["forever"]);
    ended(
        &answer,
        "stopped SIGTERM",
        "a grace period and a pause as long as can be written are no reason to panic",
    );
    assert_eq!(story(&answer, 0), ["started", "exited with 3", "stopping SIGTERM"], "the pause was to last");
}

#[test]
fn an_interrupted_wait_goes_on() {
    let answer = ask(&["interrupted"]);
    ended(
        &answer,
        "done",
        "a signal that is handled meanwhile interrupts the wait with EINTR, which is no error",
    );
    assert_eq!(story(&answer, 0), ["started", "exited with 0"]);
    assert_eq!(answer.line("handled"), "20", "signals that are not the supervisor's do what they always do");
}

#[test]
fn somebody_elses_children_are_left_to_them() {
    let answer = ask(&["neighbours"]);
    assert_eq!(story(&answer, 0), ["started", "exited with 3", "restarted", "exited with 0"]);
    let seen: Vec<_> = answer.lines("neighbour").collect();
    assert!(
        seen.len() == 2 && seen[0].contains(", 5)") && seen[1].contains(", 6)"),
        "two other children of this process ended, with 5 and with 6. Whoever started them waits for them, and \
         hears: {seen:?}. waitpid(-1) takes whoever comes"
    );
}

#[test]
fn children_do_not_outlive_a_supervisor_that_is_killed() {
    let answer = ask(&["killed"]);
    let ended: Vec<_> = answer.lines("ended").collect();
    assert_eq!(
        ended, ["SIGKILL"; 3],
        "the supervisor was killed with SIGKILL, about which it could do nothing, and its three children were to be \
         killed with it. They were ended by {ended:?}; SIGALRM is the test's own, five seconds later. prctl(2) has \
         something that a child can ask for beforehand"
    );
}

#[test]
fn a_child_whose_parent_is_gone_already_does_nothing() {
    let answer = ask(&["born-late"]);
    assert_eq!(
        answer.line("worked"),
        "no",
        "the supervisor was killed before its child came to ask for a signal at that moment, so the signal never \
         comes: a child that has asked looks whether its parent is still the one that it had"
    );
}

#[test]
fn children_do_not_outlive_a_panic() {
    let answer = ask(&["panic"]);
    let result = answer.line("result");
    assert_eq!(result, "panic: as it was asked to", "a panic of `tell` goes on in whoever called supervise");
    nothing_is_left(&answer);
}

#[test]
fn children_do_not_outlive_an_error() {
    let answer = ask(&["no-number"]);
    let result = answer.line("result");
    assert!(
        result.starts_with("EMFILE: "),
        "no descriptor was left for a child, and supervise says `{result}`"
    );
    nothing_is_left(&answer);
}

#[test]
fn supervising_in_a_child_is_an_error() {
    let answer = ask(&["inside"]);
    let inside = answer.line("inside");
    assert!(
        inside.starts_with("EBUSY: "),
        "a supervisor's child called supervise, and that came to: {inside}. Each of some children would have that \
         many children"
    );
    ended(&answer, "done", "the child ended with 0");
}

#[test]
fn children_have_no_blocked_signals() {
    let answer = ask(&["born-with"]);
    assert_eq!(answer.lines("blocked").count(), 4, "three children and one restart:\n{}", answer.0);
    for line in answer.lines("blocked") {
        let [task, life, mask] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        assert_eq!(
            mask.trim_start_matches('0'),
            "",
            "a child (task {task}, its life number {life}) is born with signals blocked, in hexadecimal {mask}: \
             what its parent blocks, for itself, the child would never be sent"
        );
    }
}

#[test]
fn children_have_none_of_their_parents_descriptors() {
    let answer = ask(&["born-with"]);
    assert_eq!(answer.lines("extra").count(), 4, "three children and one restart:\n{}", answer.0);
    for line in answer.lines("extra") {
        let (child, extra) = line.split_at(3);
        assert!(
            extra.trim().is_empty(),
            "a child (task and life {child}) has what the supervisor made for itself: {}. Its siblings' pidfds and \
             its parent's signalfd are copied by fork, and close-on-exec does not help who never calls exec",
            extra.trim()
        );
    }
    ended(&answer, "done", "all ended with 0 in the end");
}

#[test]
fn what_a_supervisor_makes_is_close_on_exec() {
    let answer = ask(&["born-with"]);
    let made: Vec<&str> = answer.lines("made").collect();
    assert!(made.len() >= 4, "three pidfds and a signalfd: {made:?}");
    let unmarked: Vec<_> = made.iter().filter(|entry| !entry.starts_with("marked")).collect();
    assert!(
        unmarked.is_empty(),
        "a program that the supervisor starts would have these: {unmarked:?}. They are not close-on-exec"
    );
}

#[test]
fn waiting_costs_nothing() {
    let answer = ask(&["idle"]);
    let cpu: u64 = answer.line("cpu").parse().unwrap_or(u64::MAX);
    assert!(
        cpu < 20_000,
        "a child lived for 400 ms, and nothing happened. The supervisor computed for {} ms of them: it looks again \
         and again, instead of sleeping until there is something to see",
        cpu / 1000
    );
    ended(&answer, "done", "the child ended with 0");
}
