//! Exercise `prefork/supervise`: restarting, stopping, and leaving nothing behind.
//!
//! A test process has threads, so the supervisor runs in the helper process, or in a child of it. The helper prints
//! each event that `on_event` gets, and at the end what is left.

mod support;

#[path = "scenarios/supervise/mod.rs"]
mod scenarios;

use nix::libc;
use support::{Answer, Helper};

testing::helper!(|args| match args {
    ["watched", whom, rest @ ..] => scenarios::watched(whom, rest),
    _ => support::helper::answer(args, scenarios::run),
});

#[track_caller]
fn ask(what: &[&str]) -> Answer {
    let answer = support::ask(&[&["run"], what].concat());
    alone(&answer);
    answer
}

#[track_caller]
fn alone(answer: &Answer) {
    assert!(
        answer.lines("escaped").next().is_none() && !answer.0.contains("\nescaped\n"),
        "a child returned from `supervise`, so two processes run the caller's code now. Does the child exit with the \
         result of `work`?\n{}",
        answer.0
    );
}

/// The events without the process id: `restarted 0 10`.
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

/// The events of one task: `started`, `exited with 2`, `restarted`, `killed by SIGKILL`; and in between those that
/// concern all tasks: `stopping SIGTERM`.
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

/// The process ids that a task had, in order.
fn processes(answer: &Answer, task: usize) -> Vec<&str> {
    let forked = |line: &str| ["started", "restarted"].iter().any(|word| line.starts_with(word));
    let words = |line| str::split(line, ' ').collect::<Vec<_>>();
    let lines = answer.lines("event").filter(|line| forked(line)).map(words);
    lines.filter(|words| words[1] == task.to_string()).map(|words| words[2]).collect()
}

#[track_caller]
fn returned(answer: &Answer, wanted: &str, meaning: &str) {
    let result = answer.line("result");
    assert_eq!(result, wanted, "supervise returned `{result}`: {meaning}\n{}", answer.0);
    nothing_is_left(answer);
}

#[track_caller]
fn nothing_is_left(answer: &Answer) {
    let (children, table, mask) = (answer.line("children"), answer.line("table"), answer.line("mask"));
    assert_eq!(
        children, "none",
        "supervise returned, and the caller still has children ({children}): those that run have no supervisor from now \
         on, and those that have exited stay zombies. Is each child reaped before supervise returns?"
    );
    assert_eq!(
        table, "same",
        "supervise leaked a descriptor, or closed one of the caller's. Descriptors {table}. Are all pidfds and the \
         signalfd closed?"
    );
    assert_eq!(
        mask, "same",
        "the caller's mask of blocked signals, in hexadecimal, {mask}. supervise must restore the mask that it found"
    );
    let task = answer.line("task");
    assert_eq!(
        task, "None",
        "supervise returned, and `task()` is {task} in its caller, which is no child. The next call of supervise would \
         be EBUSY: store the task in the child"
    );
}

const NOT_AGAIN: &str = "a child that exited with 0 has finished its task, so it must not be restarted";

#[test]
fn each_child_gets_its_task_number() {
    testing::needs!(pidfd);
    let answer = ask(&["exits", "100", "0", "0", "0"]);
    returned(&answer, "done", "all children exited with 0");
    for task in 0..3 {
        let said = answer.lines("child").find(|line| line.starts_with(&format!("{task} ")));
        let said = said.unwrap_or_else(|| panic!("`work` was never called with task {task}:\n{}", answer.0));
        assert!(
            said.contains(&format!("task Some({task})")),
            "in the child of task {task}, the function `task` returns something else: {said}"
        );
    }
    let starts: Vec<_> = events(&answer).into_iter().filter(|event| event.starts_with("started")).collect();
    assert_eq!(
        starts,
        ["started 0", "started 1", "started 2"],
        "the tasks must be started in order, once each"
    );
}

#[test]
fn zero_children_means_one_for_each_core() {
    testing::needs!(pidfd);
    let answer = ask(&["cores"]);
    let all: Vec<_> = answer.lines("cores").zip(answer.lines("started")).collect();
    for (cores, started) in all {
        assert_eq!(
            cores, started,
            "this process may use {cores} cores, but supervise forked {started} children"
        );
    }
}

#[test]
fn a_failed_child_is_restarted_with_the_same_task() {
    testing::needs!(pidfd);
    // A child that panics exits with 101.
    let answer = ask(&["exits", "100", "2 0", "3 0", "101 0"]);
    returned(&answer, "done", "every last child exited with 0");
    for (task, code) in [(0, 2), (1, 3), (2, 101)] {
        let seen = story(&answer, task);
        assert_eq!(
            seen,
            ["started".into(), format!("exited with {code}"), "restarted".into(), "exited with 0".into()],
            "the child of task {task} exited with {code}, which is a failure, so it must be restarted: {seen:?}"
        );
        let processes = processes(&answer, task);
        assert!(
            processes.len() == 2 && processes[0] != processes[1],
            "task {task} should have had two processes, and had {processes:?}"
        );
        let lives: Vec<_> =
            answer.lines("child").filter(|line| line.starts_with(&format!("{task} "))).collect();
        assert!(
            lives.len() == 2 && lives.iter().all(|life| life.contains(&format!("task Some({task})"))),
            "the replacement must get the failed child's task, {task}, but the children of this task said: {lives:?}"
        );
    }
}

#[test]
fn a_killed_child_is_restarted() {
    testing::needs!(pidfd);
    let answer = ask(&["exits", "100", "SIGKILL SIGTERM 0"]);
    returned(&answer, "done", "the last child exited with 0");
    let seen = story(&answer, 0);
    let wanted =
        ["started", "killed by SIGKILL", "restarted", "killed by SIGTERM", "restarted", "exited with 0"];
    assert_eq!(
        seen, wanted,
        "a child that a signal killed has not finished its task, so it must be restarted"
    );
}

#[test]
fn exit_zero_is_not_restarted() {
    testing::needs!(pidfd);
    let answer = ask(&["exits", "100", "0 7", "3 0 7"]);
    assert_eq!(story(&answer, 0), ["started", "exited with 0"], "{NOT_AGAIN}");
    assert_eq!(story(&answer, 1), ["started", "exited with 3", "restarted", "exited with 0"], "{NOT_AGAIN}");
    returned(&answer, "done", "every last child exited with 0");
}

#[test]
fn max_restarts_restarts_are_allowed() {
    testing::needs!(pidfd);
    let answer = ask(&["exits", "4", "1 2 0", "3 SIGKILL 0"]);
    returned(&answer, "done", "4 restarts are allowed, and there were 4");
    let answer = ask(&["exits", "0", "0", "0"]);
    returned(&answer, "done", "0 restarts are allowed, and none was needed");
}

#[test]
fn max_restarts_counts_all_children_together() {
    testing::needs!(pidfd);
    let answer = ask(&["exits", "3", "1 2 0", "3 4 0"]);
    returned(
        &answer,
        "too many restarts: 3",
        "two children failed twice each. 3 restarts are allowed for all children together, so the fourth failure is an \
         error",
    );
    let restarts = events(&answer).iter().filter(|event| event.starts_with("restarted")).count();
    assert!(restarts <= 3, "3 restarts are allowed, and there were {restarts}");
    let answer = ask(&["exits", "1", "SIGKILL SIGKILL 0"]);
    returned(
        &answer,
        "too many restarts: 1",
        "a child was killed twice, and being killed counts as a failure",
    );
}

#[test]
fn two_failures_in_one_pause_count_as_two() {
    testing::needs!(pidfd);
    let answer = ask(&["fail-in-one-pause"]);
    returned(
        &answer,
        "too many restarts: 1",
        "two children failed, the second one before the first was restarted. 1 restart is allowed, so the second \
         failure is one too many: count a restart when the child has failed, not when its replacement is forked",
    );
    let restarts = events(&answer).iter().filter(|event| event.starts_with("restarted")).count();
    assert_eq!(restarts, 0, "the supervisor gave up before the first restart was due:\n{}", answer.0);
}

#[test]
fn one_failure_too_many_stops_the_other_children_first() {
    testing::needs!(pidfd);
    let answer = ask(&["gives-up", "2"]);
    nothing_is_left(&answer);
    returned(&answer, "too many restarts: 2", "2 restarts are allowed, and a child failed three times");
    let failed = ["started", "exited with 3", "restarted", "exited with 3", "restarted", "exited with 3"];
    let stopping = ["gave-up 2", "stopping SIGTERM"];
    assert_eq!(story(&answer, 0), [&failed[..], &stopping[..]].concat(), "task 0 fails once too often");
    for task in [1, 2] {
        assert_eq!(
            story(&answer, task),
            ["started", "gave-up 2", "stopping SIGTERM", "exited with 0"],
            "task {task} did not fail: it must get SIGTERM and be waited for, up to the grace period"
        );
    }
}

#[test]
fn after_too_many_failures_the_grace_period_applies() {
    testing::needs!(pidfd);
    for (grace, signal) in [("20", None), ("3600000", Some("SIGINT"))] {
        let answer = ask(&[&["gives-up-on", grace][..], signal.as_slice()].concat());
        assert_eq!(
            story(&answer, 1),
            ["started", "gave-up 0", "stopping SIGTERM", "killed", "killed by SIGKILL"],
            "a child failed once too often, and its sibling ignores SIGTERM. The sibling must be killed after the \
             grace period of {grace} ms, or earlier when a signal arrives: {signal:?}"
        );
        returned(
            &answer,
            "too many restarts: 0",
            "supervise stopped because a child failed, even if a signal arrived during the grace period",
        );
    }
}

#[test]
fn a_signal_is_forwarded_to_all_children() {
    testing::needs!(pidfd);
    for signal in ["SIGTERM", "SIGINT"] {
        let answer = ask(&["signal", signal, "3600000", "exits", "exits", "exits"]);
        let got: Vec<_> = answer.lines("got").collect();
        assert!(
            got.len() == 3 && got.iter().all(|line| line.ends_with(signal)),
            "the supervisor got {signal} and should have sent it to all three children. They got (task, signal): \
             {got:?}"
        );
        returned(
            &answer,
            &format!("stopped {signal}"),
            "the signal arrived, and all children have exited since",
        );
        for task in 0..3 {
            assert_eq!(
                story(&answer, task),
                ["started".into(), format!("stopping {signal}"), "exited with 0".into()]
            );
        }
    }
}

#[test]
fn no_child_is_restarted_while_stopping() {
    testing::needs!(pidfd);
    let answer = ask(&["signal", "SIGTERM", "3600000", "fails", "dies", "exits"]);
    let restarted: Vec<_> =
        events(&answer).into_iter().filter(|event| event.starts_with("restarted")).collect();
    assert!(
        restarted.is_empty(),
        "{restarted:?}: the supervisor is stopping, so a child that exits now must not be restarted, whatever its \
         status"
    );
    returned(
        &answer,
        "stopped SIGTERM",
        "a child that fails while the supervisor is stopping is not an error",
    );
    let answer = ask(&["signal-in-pause", "4000"]);
    stopped_in_pause(&answer);
}

#[test]
fn a_signal_does_not_wait_for_a_pause_to_end() {
    testing::needs!(pidfd);
    stopped_in_pause(&ask(&["signal-in-pause", "3600000"]));
}

#[track_caller]
fn stopped_in_pause(answer: &Answer) {
    assert_eq!(
        story(answer, 0),
        ["started", "exited with 3", "stopping SIGTERM"],
        "the signal arrived in the pause before a restart, which must not happen then"
    );
    returned(answer, "stopped SIGTERM", "the signal arrived, and the other child exits with 0");
}

#[test]
fn a_child_that_exits_as_the_signal_arrives_has_not_failed() {
    testing::needs!(pidfd);
    let answer = ask(&["signal-and-exit"]);
    returned(
        &answer,
        "stopped SIGTERM",
        "when the supervisor woke up, a child had exited and SIGTERM was pending. Ctrl-C signals parent and children \
         together, so that exit is not a failure. Are signals read before exits are judged?",
    );
}

#[test]
fn signals_are_read_again_before_each_exit_is_judged() {
    testing::needs!(pidfd);
    for exited in ["1", "2"] {
        let answer = ask(&["signal-between-exits", exited]);
        returned(
            &answer,
            "stopped SIGTERM",
            "the supervisor handled the exit of one child, or of two; then SIGTERM was sent to the supervisor and to \
             the last child, and killed that child; then the supervisor saw the exit. SIGTERM was pending by then, so \
             read the signals again before each exit is judged",
        );
        let last = exited.parse().expect("a number");
        assert_eq!(story(&answer, last), ["started", "stopping SIGTERM", "killed by SIGTERM"]);
    }
}

#[test]
fn a_signal_before_the_last_exit_stops_even_if_that_is_0() {
    testing::needs!(pidfd);
    let answer = ask(&["signal-before-the-last-exit"]);
    returned(
        &answer,
        "stopped SIGTERM",
        "SIGTERM was sent to the supervisor, and then the last child exited with 0. The signal was pending when that child was \
         reaped, so read it before you judge the exit, whatever the exit code. A signal that is left pending takes effect when \
         the caller's mask is restored, and kills the caller",
    );
}

#[test]
fn signals_that_were_ignored_at_the_start_are_read() {
    testing::needs!(pidfd);
    let answer = ask(&["ignored", "SIGTERM,SIGINT"]);
    assert_eq!(
        (answer.line("ended"), answer.line("got")),
        ("Ok(Stopped(SIGTERM))", "0 SIGTERM"),
        "the program was started with SIGTERM and SIGINT ignored, as a shell starts a program in the background. A \
         blocked signal becomes pending even if it is ignored, so supervise must read it and forward it"
    );
}

#[test]
fn a_child_killed_by_ctrl_c_has_not_failed() {
    testing::needs!(pidfd);
    let answer = ask(&["ctrl-c"]);
    let ended: Vec<_> = answer.lines("ended").collect();
    assert!(
        ended.len() == 20 && ended.iter().all(|how| *how == "Ok(Stopped(SIGINT))"),
        "SIGINT was sent to a whole process group, twenty times, and killed the children in it. Each time it was \
         pending for the supervisor before any child could be reaped, so it must stop the supervisor: {ended:?}"
    );
}

#[test]
fn children_are_killed_when_the_grace_period_ends() {
    testing::needs!(pidfd);
    for doing in ["ignores", "is-stopped"] {
        let answer = ask(&["signal", "SIGTERM", "20", doing]);
        assert_eq!(
            story(&answer, 0),
            ["started", "stopping SIGTERM", "killed", "killed by SIGKILL"],
            "the grace period of 20 ms ended, so a child that is still running must be killed with SIGKILL, and reaped"
        );
        returned(&answer, "stopped SIGTERM", "the signal arrived, and the child has been killed since");
    }
    let answer = ask(&["signal", "SIGTERM", "20", "ignores", "ignores", "ignores"]);
    for task in 0..3 {
        let seen = story(&answer, task);
        assert!(
            seen.ends_with(&["killed".into(), "killed by SIGKILL".into()]),
            "none of three children exited within the grace period of 20 ms, so all must be killed. Task {task}: \
             {seen:?}"
        );
    }
}

#[test]
fn no_child_is_killed_within_the_grace_period() {
    testing::needs!(pidfd);
    // The second child runs until the supervisor has seen the first one's exit.
    let answer = ask(&["signal", "SIGTERM", "3600000", "exits", "exits-late"]);
    assert_eq!(
        story(&answer, 1),
        ["started", "stopping SIGTERM", "exited with 0"],
        "the grace period is an hour, so a child that exits within it must not be killed"
    );
    returned(&answer, "stopped SIGTERM", "the signal arrived, and all children have exited since");
}

#[test]
fn second_signal_ends_the_grace_period() {
    testing::needs!(pidfd);
    for second in ["SIGTERM", "SIGINT"] {
        let answer = ask(&["two-signals", second]);
        assert_eq!(
            story(&answer, 0),
            ["started", "stopping SIGTERM", "killed", "killed by SIGKILL"],
            "a second signal, here {second}, must end the grace period of an hour at once"
        );
        returned(&answer, "stopped SIGTERM", "two signals arrived, and supervise must return the first");
    }
}

#[test]
fn a_third_signal_changes_nothing() {
    testing::needs!(pidfd);
    let Some(answer) = Helper::new(&["run", "third-signal"]).if_permitted() else { return };
    alone(&answer);
    assert_eq!(
        story(&answer, 0),
        ["started", "stopping SIGTERM", "killed", "exited with 0"],
        "the second signal ended the grace period, and the child was killed, but takes a moment to die. A third signal came \
         then. Send SIGKILL once to each child, and report one `Killed`"
    );
    returned(&answer, "stopped SIGTERM", "three signals arrived, and supervise must return the first");
}

#[test]
fn an_error_of_the_forwarded_signal_is_ignored() {
    testing::needs!(pidfd);
    let Some(answer) = Helper::new(&["run", "no-sigterm"]).if_permitted() else { return };
    alone(&answer);
    assert_eq!(story(&answer, 0), ["started", "stopping SIGTERM", "exited with 0"]);
    returned(
        &answer,
        "stopped SIGTERM",
        "the child could not be signaled (EPERM), as if it had changed its user, and exited with 0 by itself. Ignore errors of \
         the signal that you forward: the grace period deals with a child that did not get it",
    );
}

#[test]
fn children_are_signaled_through_their_pidfds() {
    testing::needs!(pidfd);
    let Some(answer) = Helper::new(&["run", "without-kill"]).if_permitted() else { return };
    alone(&answer);
    for task in [0, 1] {
        assert_eq!(
            story(&answer, task),
            ["started", "stopping SIGTERM", "exited with 0"],
            "kill(2) is forbidden in this supervisor, and the child of task {task} got no signal. kill takes a process \
             id, which may belong to another process once the child is reaped. Child::signal uses the child's pidfd \
             instead"
        );
    }
    returned(&answer, "stopped SIGTERM", "the signal arrived");
}

#[test]
fn restart_pauses_double_up_to_the_maximum() {
    testing::needs!(pidfd);
    let answer = ask(&["pauses", "5", "20"]);
    let pauses: Vec<_> = answer.lines("event").filter(|line| line.starts_with("restarted")).collect();
    let pauses: Vec<_> = pauses.iter().filter_map(|line| line.rsplit(' ').next()).collect();
    assert_eq!(
        pauses,
        ["5", "10", "20", "20", "20"],
        "a child failed at once, five times. The first pause should be 5 ms, each further one twice as long, and none \
         longer than 20 ms; they were {pauses:?}. Without pauses, a child is restarted as fast as it fails"
    );
    for (pause, waited) in pauses.iter().zip(answer.lines("waited")) {
        let (pause, waited): (u64, u64) = (pause.parse().unwrap_or(u64::MAX), waited.parse().unwrap_or(0));
        assert!(waited >= pause * 1000, "a pause of {pause} ms ended after {waited} µs");
    }
    returned(&answer, "done", "the sixth child exited with 0");
    let answer = ask(&["pauses", "20", "5"]);
    let restarts: Vec<_> =
        events(&answer).into_iter().filter(|event| event.starts_with("restarted")).collect();
    assert_eq!(
        restarts, ["restarted 0 5"; 5],
        "the first pause is 20 ms, but max_pause is 5 ms: every pause must be capped, including the first"
    );
}

#[test]
fn seventy_failures_do_not_overflow_the_pause() {
    testing::needs!(pidfd);
    let answer = ask(&["many-pauses"]);
    returned(
        &answer,
        "done",
        "a child failed at once 70 times, with a first pause of an hour and a max_pause of a microsecond. Doubling the \
         pause 70 times must not overflow: cap it each time",
    );
    let restarts = events(&answer).iter().filter(|event| *event == "restarted 0 0").count();
    assert_eq!(restarts, 70, "each pause must be capped at max_pause:\n{}", answer.0);
}

#[test]
fn the_earliest_restart_comes_first() {
    testing::needs!(pidfd);
    let mut seen = Vec::new();
    for _ in 0..3 {
        let answer = ask(&["two-pauses"]);
        returned(&answer, "stopped SIGTERM", "the helper sends SIGTERM once task 1 has been restarted");
        seen = events(&answer);
        let place = |wanted: &str| seen.iter().position(|event| event == wanted);
        // On a busy machine, both restarts may be due before the supervisor looks at one of them.
        if place("restarted 1 1")
            .is_some_and(|early| place("restarted 0 128").is_none_or(|late| early < late))
        {
            return;
        }
    }
    panic!(
        "three times, task 0 was due to be restarted in 128 ms; then task 1 failed and was due in 1 ms, but had to \
         wait for task 0. The sleep must end at the earliest due time. The events were {seen:?}"
    );
}

#[test]
fn a_child_that_ran_long_enough_resets_the_pause() {
    testing::needs!(pidfd);
    for _ in 0..10 {
        let answer = ask(&["long-life"]);
        returned(&answer, "done", "the fifth child exited with 0");
        // Milliseconds from one exit to the next. `min_uptime` is 100.
        let between: Vec<u64> = answer.lines("between").filter_map(|line| line.parse().ok()).collect();
        if [0, 1, 3].iter().any(|life| between[*life] >= 100) {
            // The machine was busy, and a child that failed at once ran for longer than `min_uptime`.
            continue;
        }
        let told: Vec<_> =
            events(&answer).into_iter().filter(|event| event.starts_with("restarted")).collect();
        assert_eq!(
            told,
            ["restarted 0 4", "restarted 0 8", "restarted 0 0", "restarted 0 4"],
            "pauses in milliseconds. Two children failed at once. The third failed after `min_uptime`, so it is \
             restarted without a pause. The fourth failed at once, and its pause must be the first one again: the \
             third has reset it"
        );
        return;
    }
    testing::skip!("this machine is too busy to tell a failure at once from a later one");
}

#[test]
fn without_a_min_uptime_nothing_fails_at_once() {
    testing::needs!(pidfd);
    let answer = ask(&["no-min-uptime"]);
    returned(&answer, "done", "`min_uptime` is 0, so no failure is one at once, and no restart is delayed");
    assert!(events(&answer).contains(&"restarted 0 0".into()), "{}", answer.0);
}

#[test]
fn each_call_of_supervise_counts_its_own_restarts() {
    testing::needs!(pidfd);
    let answer = ask(&["twice"]);
    let ended: Vec<_> = answer.lines("ended").collect();
    assert_eq!(
        ended, ["Ok(Done)"; 2],
        "two calls of supervise, one after the other, with one failure each. One restart is allowed in each call"
    );
}

#[test]
fn the_longest_durations_do_not_overflow() {
    testing::needs!(pidfd);
    let answer = ask(&["forever"]);
    returned(
        &answer,
        "stopped SIGTERM",
        "the grace period and the pause are the longest durations there are, and adding them to the clock must not \
         panic",
    );
    assert_eq!(
        story(&answer, 0),
        ["started", "exited with 3", "stopping SIGTERM"],
        "the pause should not end"
    );
}

#[test]
fn eintr_does_not_end_the_wait() {
    testing::needs!(pidfd);
    let answer = ask(&["interrupted"]);
    returned(
        &answer,
        "done",
        "a signal handler interrupted the sleep, which then returns EINTR. That is not an error: sleep again",
    );
    assert_eq!(story(&answer, 0), ["started", "exited with 0"]);
    assert_eq!(answer.line("handled"), "20", "supervise must leave the handlers of other signals alone");
}

#[test]
fn children_forked_by_other_code_are_not_reaped() {
    testing::needs!(pidfd);
    let answer = ask(&["other-children"]);
    assert_eq!(story(&answer, 0), ["started", "exited with 3", "restarted", "exited with 0"]);
    let seen: Vec<_> = answer.lines("other").collect();
    assert!(
        seen.len() == 2 && seen[0].contains(", 5)") && seen[1].contains(", 6)"),
        "two children that other code has forked exited with 5 and 6. That code waited for them and got {seen:?}. \
         waitpid(-1) reaps any child: wait for your own children only"
    );
}

#[test]
fn children_die_with_a_supervisor_killed_by_sigkill() {
    testing::needs!(pidfd);
    died("runs", "See PR_SET_PDEATHSIG in prctl(2)");
}

#[test]
fn children_that_have_changed_their_user_die_too() {
    testing::needs!(pidfd);
    const LIFELINE: &str = "The kernel clears the signal of PR_SET_PDEATHSIG when a process changes its user. Does the \
         child hold its lifeline?";
    died("lost-the-death-signal", LIFELINE);
    died("changed-its-user", LIFELINE);
    died("lost-the-death-signal-of-a-replacement", LIFELINE);
}

#[test]
fn children_that_have_closed_every_descriptor_die_too() {
    testing::needs!(pidfd);
    const DEATH_SIGNAL: &str = "They closed their lifelines, but PR_SET_PDEATHSIG needs no descriptor";
    died("closed-everything", DEATH_SIGNAL);
    died("replaced", DEATH_SIGNAL);
}

#[test]
fn one_way_to_die_with_the_parent_is_enough() {
    testing::needs!(pidfd);
    for sandbox in ["forbids-prctl", "forbids-fcntl"] {
        died(sandbox, "A sandbox forbids one of two ways. With the other one, a child can work");
    }
    let Some(answer) = Helper::new(&["run", "nothing-permitted"]).if_permitted() else { return };
    alone(&answer);
    assert!(
        !answer.0.contains("worked"),
        "a sandbox forbids both ways, so the child could outlive its parent. It must exit without calling `work`"
    );
    returned(&answer, "too many restarts: 0", "the child failed");
}

/// SIGKILL kills a supervisor whose three children have each done what `children` says. All three must die with it.
#[track_caller]
fn died(children: &str, meaning: &str) {
    let Some(answer) = Helper::new(&["run", "killed", children]).if_permitted() else { return };
    alone(&answer);
    let ended: Vec<_> = answer.lines("ended").collect();
    let killed = ended.iter().filter(|how| **how == "SIGKILL").count();
    assert_eq!(
        killed, 3,
        "SIGKILL killed the supervisor, and its three children ({children}) should have died of SIGKILL with it. They \
         ended with {ended:?}; SIGALRM is the alarm of this test, which ends a child that lives five seconds longer. \
         {meaning}"
    );
}

#[test]
fn a_child_whose_parent_is_outside_of_its_pid_namespace_works() {
    testing::needs!(pidfd);
    let Some(answer) = Helper::new(&["run", "pid-namespace"]).if_permitted() else { return };
    alone(&answer);
    returned(
        &answer,
        "done",
        "the child's parent lives, and has the process id 0 in the child's PID namespace",
    );
    assert_eq!(answer.line("parent"), "0");
}

#[test]
fn a_child_whose_parent_died_before_prctl_exits() {
    testing::needs!(pidfd);
    for copies in ["no-copies", "copies"] {
        let answer = ask(&["parent-died", copies]);
        assert_eq!(
            answer.line("worked"),
            "no",
            "the supervisor died before its child called prctl, so the kernel will never send the child a signal. The \
             lifeline does not show it if another process has a copy of its write end ({copies}). After prctl, compare \
             getppid with the process id that the parent had, and exit if they differ"
        );
    }
}

#[test]
fn a_child_whose_lifeline_was_cut_before_it_held_it_ends() {
    testing::needs!(pidfd);
    for (whose, status, meaning) in [
        ("any", "killed by SIGKILL", "it must kill itself"),
        (
            "first",
            "exited with 1",
            "the first process of a PID namespace survives its own SIGKILL, so it must exit",
        ),
    ] {
        let Some(answer) = Helper::new(&["run", "lifeline-is-cut", whose]).if_permitted() else { return };
        assert_eq!(
            (answer.lines("held").next(), answer.line("child")),
            (None, status),
            "the parent has closed its end of the lifeline, as the kernel does for one that has died, and no signal will \
             come for that anymore. When the child holds its lifeline, {meaning}"
        );
    }
}

#[test]
fn each_child_looks_at_its_parent_after_it_has_asked_for_a_signal() {
    testing::needs!(pidfd);
    // A first child, and its replacement.
    let Some(answer) = Helper::new(&["watched", "children", "no-min-uptime"]).if_permitted() else {
        return;
    };
    returned(&answer, "done", "the second child exited with 0");
    for pid in processes(&answer, 0) {
        let calls: Vec<&str> = answer.lines("call").filter_map(|call| call.strip_prefix(pid)).collect();
        let last = |name: &str| calls.iter().rposition(|call| call.trim() == name);
        let looked = last("getppid");
        assert!(
            looked.is_some() && looked > last("prctl(PR_SET_PDEATHSIG)") && looked > last("fcntl(F_SETFL)"),
            "a child asked for a signal at its parent's death, and called getppid before, or not at all. If the parent \
             dies after that, and before the child has asked, no signal comes, and the child does not notice. Call \
             getppid last, in a replacement too. The calls of this child were {calls:?}"
        );
    }
}

#[test]
fn children_are_killed_when_on_event_panics() {
    testing::needs!(pidfd);
    for when in ["started", "stopping", "killed"] {
        let answer = ask(&["panic", when]);
        let result = answer.line("result");
        assert_eq!(
            result, "panic: on purpose",
            "a panic of `on_event` must continue in the caller of supervise"
        );
        nothing_is_left(&answer);
    }
}

#[test]
fn children_are_stopped_when_a_fork_fails() {
    testing::needs!(pidfd);
    for (scenario, task) in [
        (&["no-descriptor", "15"][..], 0),
        (&["no-descriptor", "16"], 0),
        (&["no-descriptor-for-a-restart", "exits", "3600000"], 1),
    ] {
        let (answer, scenario) = (ask(scenario), scenario[0]);
        let result = answer.line("result");
        assert!(
            result.starts_with("EMFILE: "),
            "{scenario}: no descriptor was left for another child, and supervise returned `{result}`"
        );
        nothing_is_left(&answer);
        let story = story(&answer, task);
        assert_eq!(
            story.last().map(String::as_str),
            Some("exited with 0"),
            "{scenario}: a child could not be forked. The others did not fail, so they must get SIGTERM and the grace \
             period, as after a signal. Task {task}: {story:?}"
        );
    }
}

#[test]
fn after_a_failed_fork_the_grace_period_applies() {
    testing::needs!(pidfd);
    for (grace, signal) in [("20", None), ("3600000", Some("SIGINT"))] {
        let answer =
            ask(&[&["no-descriptor-for-a-restart", "ignores", grace][..], signal.as_slice()].concat());
        assert_eq!(
            story(&answer, 1),
            ["started", "stopping SIGTERM", "killed", "killed by SIGKILL"],
            "a child could not be forked, and its sibling ignores SIGTERM. The sibling must be killed after the grace \
             period of {grace} ms, or earlier when a signal arrives: {signal:?}"
        );
        let result = answer.line("result");
        assert!(
            result.starts_with("EMFILE: "),
            "supervise stopped because a fork failed, and must return that error even if a signal arrives later \
             ({signal:?}). It returned `{result}`"
        );
        nothing_is_left(&answer);
    }
}

#[test]
fn an_error_of_the_sleep_is_returned() {
    testing::needs!(pidfd);
    let Some(answer) = Helper::new(&["run", "no-sleep"]).if_permitted() else { return };
    alone(&answer);
    let result = answer.line("result");
    assert!(
        result.starts_with("EPERM: "),
        "the call that sleeps failed with EPERM, and supervise returned `{result}`. It will fail again, so a supervisor \
         that goes on spins: return every error except EINTR"
    );
    nothing_is_left(&answer);
}

#[test]
fn a_child_that_other_code_has_reaped_is_an_error() {
    testing::needs!(pidfd);
    let answer = ask(&["reaped-elsewhere"]);
    assert_eq!(answer.line("reaped"), "true", "the scenario reaps the child itself");
    let result = answer.line("result");
    assert!(
        result.starts_with("ECHILD: "),
        "`on_event` reaped a child, whose status is lost, and supervise returned `{result}` instead of ECHILD"
    );
    assert_eq!(
        story(&answer, 0),
        ["started"],
        "a child was reaped by other code, which is an error, and its sibling ignores SIGTERM. Only after a failed fork and \
         after too many failures do the others get SIGTERM and the grace period: after any other error, send SIGKILL at once"
    );
    nothing_is_left(&answer);
}

#[test]
fn a_child_that_may_not_be_killed_is_an_error() {
    testing::needs!(pidfd);
    let Some(answer) = Helper::new(&["run", "no-sigkill"]).if_permitted() else { return };
    alone(&answer);
    let (result, seen) = (answer.line("result"), story(&answer, 0));
    assert!(
        result.starts_with("EPERM: ") && !seen.contains(&"killed".into()),
        "the grace period ended, and the child could not be killed (EPERM). The result must be this error, because the \
         child may run forever, and there must be no `Event::Killed`. The result is `{result}`, and the events are \
         {seen:?}"
    );
}

#[test]
fn with_sigchld_ignored_no_child_is_forked() {
    testing::needs!(pidfd);
    let answer = ask(&["ignored", "SIGCHLD"]);
    let ended = answer.line("ended");
    assert!(
        ended.starts_with("ECHILD: ") && ended.contains("SIGCHLD"),
        "the program was started with SIGCHLD ignored, so the kernel discards how children end. The error must say so, \
         and it is `{ended}`"
    );
    assert_eq!(answer.line("children"), "none");
}

#[test]
fn supervise_in_a_child_is_ebusy() {
    testing::needs!(pidfd);
    let answer = ask(&["inside"]);
    let inside = answer.line("inside");
    assert!(
        inside.starts_with("EBUSY: "),
        "a child of a supervisor called supervise, and got: {inside}. A caller that does not know it runs in a child \
         would fork children of children"
    );
    assert_eq!(
        answer.line("unchanged"),
        "true",
        "supervise failed, and has changed the mask or the descriptors"
    );
    returned(&answer, "done", "the child exited with 0");
}

#[test]
fn children_start_with_an_empty_signal_mask() {
    testing::needs!(pidfd);
    let answer = ask(&["inherited"]);
    assert_eq!(answer.lines("blocked").count(), 4, "three children and one restart:\n{}", answer.0);
    for line in answer.lines("blocked") {
        let [task, life, mask] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        assert_eq!(
            mask.trim_start_matches('0'),
            "",
            "a child (task {task}, life {life}) starts with these signals blocked, in hexadecimal: {mask}. It would \
             never get them. Does `fork` reset the mask in the child?"
        );
    }
}

#[test]
fn children_inherit_no_pidfd_or_signalfd() {
    testing::needs!(pidfd);
    let answer = ask(&["inherited"]);
    assert_eq!(answer.lines("extra").count(), 4, "three children and one restart:\n{}", answer.0);
    for line in answer.lines("extra") {
        let (child, extra) = line.split_at(3);
        let extra = extra.trim();
        assert!(
            !extra.contains(", ") && extra.contains("pipe:"),
            "a child (task and life: {child}) should have only its lifeline, a pipe, in addition to what its parent \
             had before, and has {extra:?}. fork copies the pidfds and lifelines of its siblings and the parent's \
             signalfd, and close-on-exec closes them only at an exec"
        );
        assert!(extra.starts_with("close-on-exec"), "a program that the child starts would inherit {extra}");
    }
    returned(&answer, "done", "every last child exited with 0");
}

#[test]
fn the_supervisors_descriptors_are_close_on_exec() {
    testing::needs!(pidfd);
    let answer = ask(&["inherited"]);
    let opened: Vec<&str> = answer.lines("opened").collect();
    assert!(opened.len() >= 4, "three pidfds and a signalfd: {opened:?}");
    let inherited: Vec<_> = opened.iter().filter(|entry| !entry.starts_with("close-on-exec")).collect();
    assert!(
        inherited.is_empty(),
        "a program that the supervisor starts would inherit these: {inherited:?}. They are not close-on-exec"
    );
}

#[test]
fn a_reaped_child_leaves_no_descriptor() {
    testing::needs!(pidfd);
    let answer = ask(&["many-restarts"]);
    returned(&answer, "done", "the eleventh child exited with 0");
    let open: Vec<&str> = answer.lines("open").collect();
    assert!(
        open.len() == 10 && open.iter().all(|number| *number == open[0]),
        "a child was restarted ten times, and after each restart the supervisor had so many descriptors: {open:?}. A \
         supervisor that runs for months has none left in the end. Close the pidfd and the lifeline of a child when you have \
         reaped it"
    );
}

#[test]
fn the_supervisor_sleeps_while_nothing_happens() {
    testing::needs!(pidfd);
    for (scenario, result) in [("idle", "done"), ("idle-while-stopping", "stopped SIGTERM")] {
        let answer = ask(&[scenario]);
        let awake = answer.line("awake");
        assert!(
            awake.parse().is_ok_and(|times: u64| times < 5),
            "{scenario}: a child looked at the supervisor a hundred times while nothing happened, and it was awake \
             (times: {awake}): it polls in a loop instead of sleeping until a descriptor is ready or a task is due. (The \
             pidfd of a child that was reaped stays ready)"
        );
        returned(&answer, result, "the child exited with 0");
    }
}

/// Does this line of /proc/PID/syscall show a sleep that ends by itself? See proc_pid_syscall(5).
fn has_timeout(line: &str) -> bool {
    let words: Vec<&str> = line.split(' ').collect();
    let number: Option<libc::c_long> = words[0].parse().ok();
    let argument = |at: usize| {
        let hex = words.get(at).and_then(|word| word.strip_prefix("0x"));
        hex.and_then(|hex| u64::from_str_radix(hex, 16).ok()).unwrap_or_default()
    };
    match number {
        // A pointer to the timeout, which is null if there is none.
        Some(libc::SYS_ppoll) => argument(3) != 0,
        Some(libc::SYS_epoll_pwait2) => argument(4) != 0,
        Some(libc::SYS_pselect6) => argument(5) != 0,
        // Milliseconds, and -1 if there is none.
        Some(libc::SYS_epoll_pwait) => argument(4) as i32 != -1,
        #[cfg(target_arch = "x86_64")]
        Some(libc::SYS_poll) => argument(3) as i32 != -1,
        #[cfg(target_arch = "x86_64")]
        Some(libc::SYS_epoll_wait) => argument(4) as i32 != -1,
        Some(libc::SYS_nanosleep | libc::SYS_clock_nanosleep) => true,
        _ => false,
    }
}

#[test]
fn the_supervisor_sleeps_without_a_timeout_if_nothing_is_due() {
    testing::needs!(pidfd);
    let answer = ask(&["idle"]);
    let call = answer.line("sleeps-in");
    assert!(
        !has_timeout(call),
        "no restart was due and no grace period ran, and the supervisor slept in a call with a timeout, so it wakes up although \
         nothing has happened. Its line of /proc/PID/syscall was: {call}"
    );
    returned(&answer, "done", "both children exited with 0");
}

#[test]
fn each_pause_and_grace_period_is_one_sleep() {
    testing::needs!(pidfd);
    // Five pauses of 5 to 20 ms between six children; and a grace period of 20 ms.
    for (scenario, needed) in [(&["pauses", "5", "20"][..], 11), (&["signal", "SIGTERM", "20", "ignores"], 3)]
    {
        let Some(answer) = Helper::new(&[&["watched", "supervisor"], scenario].concat()).if_permitted()
        else {
            return;
        };
        let sleeps = answer.lines("sleep").count();
        assert!(
            sleeps <= needed + 5,
            "{scenario:?}: the supervisor has to sleep {needed} times, until a child exits, a signal comes, a pause ends, \
             or the grace period does, and it called {sleeps} times. A timeout that is too short, or rounded down to \
             milliseconds, ends before the moment that is due, and the supervisor sleeps again and again until then"
        );
    }
}
