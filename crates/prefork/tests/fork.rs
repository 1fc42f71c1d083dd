//! Exercise `prefork/fork`: what the child inherits, what it must not inherit, and when `fork` is an error.
//!
//! A test process has threads, so the helper process forks, which has one thread. The C library calls functions of the
//! helper in the middle of a fork, which send signals for example, so that no test depends on timing.

mod support;

#[path = "scenarios/fork/mod.rs"]
mod scenarios;

use std::collections::BTreeSet;

use nix::libc::{self, SIGRTMAX};
use support::{Answer, Helper, ask};

testing::helper!(|args| support::helper::answer(args, scenarios::run));

/// Let the helper fork.
#[track_caller]
fn fork(what: &[&str]) -> Answer {
    checked(ask(&[&["run"], what].concat()))
}

/// The same. `None` if this machine does not permit it.
#[track_caller]
fn fork_if_permitted(what: &[&str]) -> Option<Answer> {
    Helper::new(&[&["run"], what].concat()).if_permitted().map(checked)
}

#[track_caller]
fn checked(answer: Answer) -> Answer {
    let escaped = answer.lines("escaped").next();
    assert!(
        escaped.is_none(),
        "the child returned from `fork` ({}), so two processes run the caller's code now. Whatever the closure does, \
         the child must end in `_exit`:\n{}",
        escaped.unwrap_or_default(),
        answer.0
    );
    answer
}

#[track_caller]
fn nothing_left(answer: &Answer) {
    assert_eq!(answer.line("left"), "none", "a child has not been reaped:\n{}", answer.0);
}

/// How often this word was written.
fn times(answer: &Answer, word: &str) -> usize {
    answer.0.split_whitespace().filter(|other| *other == word).count()
}

#[test]
fn output_buffered_before_the_fork_is_written_once() {
    let answer = fork(&["output"]);
    for (word, where_) in [
        ("rust-before", "Rust's standard output"),
        ("c-before", "C's standard output"),
        ("stream-before", "a C stream"),
    ] {
        let times = times(&answer, word);
        assert_eq!(
            times, 1,
            "a word in the buffer of {where_} before the fork was written {times} times. fork copies the buffer with \
             its contents, so flush it before"
        );
    }
}

#[test]
fn output_buffered_by_the_child_is_written() {
    testing::needs!(pidfd);
    let answer = fork(&["output"]);
    for (word, where_) in [
        ("rust-in-the-child", "Rust's standard output"),
        ("c-in-the-child", "C's standard output"),
        ("stream-in-the-child", "a C stream"),
    ] {
        let times = times(&answer, word);
        assert_eq!(
            times, 1,
            "a word that the child put into the buffer of {where_} was written {times} times. `_exit` does not write \
             buffers, so flush them first"
        );
    }
}

#[test]
fn each_child_gets_its_own_random_numbers() {
    testing::needs!(pidfd);
    let answer = fork(&["random"]);
    let seeded = answer.line("seeded");
    let mut seen = vec![("the parent", answer.line("parent"))];
    seen.extend(answer.lines("child").map(|numbers| ("a child", numbers)));
    assert_eq!(seen.len(), 3, "two children and the parent must print numbers:\n{}", answer.0);
    assert!(
        seen[1].1 != seeded && seen[2].1 != seeded,
        "C's rand gives a child {seeded}, the same numbers as its parent: fork copies the generator's state. Seed it \
         in the child"
    );
    assert_ne!(
        seen[1].1, seen[2].1,
        "C's rand gives two children the same numbers, so both got the same seed"
    );
    assert_eq!(
        seen[0].1, seeded,
        "the parent's numbers have changed: seed the generator in the child, and not before the fork"
    );
}

#[test]
fn sixty_children_get_sixty_random_numbers() {
    testing::needs!(pidfd);
    let answer = fork(&["many-random"]);
    let all: Vec<&str> = answer.lines("first").collect();
    let different = BTreeSet::from_iter(&all);
    assert_eq!(
        (all.len(), different.len()),
        (60, 60),
        "among sixty children, two got the same first number of C's rand. Are all bits of the seed random?"
    );
}

/// The numbers that two children print in lines which begin with `name` are not the same.
#[track_caller]
fn numbers_differ(answer: &Answer, name: &str, why: &str) {
    let all: Vec<&str> = answer.lines(name).collect();
    assert_eq!(all.len(), 2, "two children must print numbers:\n{}", answer.0);
    assert_ne!(all[0], all[1], "{why}");
}

#[test]
fn children_with_the_same_process_id_get_different_random_numbers() {
    testing::needs!(pidfd);
    let Some(answer) = fork_if_permitted(&["random-in-two-containers"]) else { return };
    numbers_differ(
        &answer,
        "process",
        "two children, each in a PID namespace of its own, have the same process id and got the same numbers of C's \
         rand. That happens in two containers, and when the kernel reuses a number: seed with random bytes, as of \
         getrandom(2)",
    );
}

#[test]
fn without_getrandom_each_child_gets_its_own_random_numbers() {
    testing::needs!(pidfd);
    let Some(answer) = fork_if_permitted(&["random-forbidden"]) else { return };
    numbers_differ(
        &answer,
        "child",
        "a sandbox forbids getrandom, so it has written no seed, and two children got the same numbers of C's rand. \
         Check what the call returned, and seed with something else then, such as the process id",
    );
}

#[test]
fn the_closures_result_is_the_exit_code() {
    testing::needs!(pidfd);
    let answer = fork(&["codes"]);
    let seen: Vec<&str> = answer.lines("code").collect();
    let codes = [(0, 0), (1, 1), (7, 7), (255, 255), (256, 0), (263, 7), (-1, 255)];
    let wanted: Vec<String> = codes.iter().map(|(code, exit)| format!("{code} exited with {exit}")).collect();
    assert_eq!(
        seen, wanted,
        "the child must exit with what the closure returns, of which the kernel keeps the lowest byte"
    );
    nothing_left(&answer);
}

#[test]
fn a_panic_ends_the_child_with_101() {
    testing::needs!(pidfd);
    let answer = fork(&["panic", "words"]);
    let status = answer.line("status");
    assert_eq!(
        status, "exited with 101",
        "the child panicked, and its status is `{status}`. Like any Rust program, it must exit with 101 then"
    );
    assert!(
        answer.lines("stderr").any(|line| line.contains("the child panics")),
        "the child panicked, and the panic message is not on standard error:\n{}",
        answer.0
    );
    nothing_left(&answer);
}

#[test]
fn output_buffered_before_a_panic_is_written() {
    testing::needs!(pidfd);
    let answer = fork(&["panic", "words"]);
    for (word, where_) in
        [("rust-in-the-child", "Rust's standard output"), ("c-in-the-child", "C's standard output")]
    {
        let times = times(&answer, word);
        assert_eq!(
            times, 1,
            "the child put a word into the buffer of {where_} and panicked, and the word was written {times} times. \
             After a panic too, flush the buffers before `_exit`"
        );
    }
}

#[test]
fn a_panic_payload_that_panics_on_drop_is_contained() {
    testing::needs!(pidfd);
    let answer = fork(&["panic", "again"]);
    let status = answer.line("status");
    assert_eq!(
        status, "exited with 101",
        "the child panicked with a payload that panics when it is dropped, and its status is `{status}`. It must be 101"
    );
}

#[test]
fn the_child_runs_no_exit_handlers() {
    testing::needs!(pidfd);
    let answer = fork(&["at-exit"]);
    let ran: Vec<&str> = answer.lines("at-exit").collect();
    assert_eq!(
        ran,
        ["parent"],
        "the parent's atexit handler ran in {ran:?}, and must run only in the parent. `exit` runs exit handlers, \
         `_exit` does not"
    );
    assert_eq!(answer.line("status"), "exited with 3");
}

#[test]
fn a_child_can_fork_too() {
    testing::needs!(pidfd);
    let answer = fork(&["grandchild"]);
    assert_eq!(
        (answer.line("grandchild"), answer.line("status")),
        ("exited with 5", "exited with 6"),
        "the child forked a grandchild, and both statuses must arrive"
    );
}

/// The signals in the mask of this name, which /proc shows as `SigBlk:0000000000000400`.
fn mask(line: &str, name: &str) -> Vec<i32> {
    let hex = line.split(' ').find_map(|mask| mask.strip_prefix(name)?.strip_prefix(':'));
    let bits = hex.and_then(|hex| u64::from_str_radix(hex, 16).ok());
    let bits = bits.unwrap_or_else(|| panic!("`{line}` has no mask {name}"));
    (1..=SIGRTMAX()).filter(|signal| bits & 1 << (signal - 1) != 0).collect()
}

/// Signals that a process's own code causes.
const FAULTS: [i32; 7] =
    [libc::SIGILL, libc::SIGTRAP, libc::SIGABRT, libc::SIGBUS, libc::SIGFPE, libc::SIGSEGV, libc::SIGSYS];

#[test]
fn the_child_has_none_of_its_parents_handlers() {
    testing::needs!(pidfd);
    let answer = fork(&["dispositions"]);
    let handled = mask(answer.line("child"), "SigCgt");
    let parents: Vec<i32> = handled.into_iter().filter(|signal| !FAULTS.contains(signal)).collect();
    assert!(
        parents.is_empty(),
        "the child still has its parent's handlers for signals {parents:?}. fork copies handlers, so restore the \
         default action of every signal up to {}",
        SIGRTMAX()
    );
}

#[test]
fn handlers_for_faults_are_kept() {
    testing::needs!(pidfd);
    let answer = fork(&["dispositions"]);
    let handled = mask(answer.line("child"), "SigCgt");
    let gone: Vec<i32> = FAULTS.into_iter().filter(|signal| !handled.contains(signal)).collect();
    assert!(
        gone.is_empty(),
        "the parent handles signals {gone:?}, and the child does not. Keep handlers for faults: with them, Rust \
         reports a stack overflow"
    );
}

#[test]
fn ignored_signals_stay_ignored() {
    testing::needs!(pidfd);
    let answer = fork(&["dispositions"]);
    let (before, child) = (mask(answer.line("before"), "SigIgn"), mask(answer.line("child"), "SigIgn"));
    assert_eq!(
        child, before,
        "the parent ignores signals {before:?}, and the child {child:?}. A program that ignores SIGPIPE or SIGTTIN \
         wants its children to ignore it too"
    );
}

#[test]
fn the_childs_signal_mask_is_empty() {
    testing::needs!(pidfd);
    let answer = fork(&["dispositions"]);
    let blocked = mask(answer.line("child"), "SigBlk");
    assert!(
        blocked.is_empty(),
        "signals {blocked:?} are blocked in the child, so SIGTERM may never end it. fork copies the signal mask: empty \
         it in the child"
    );
}

#[test]
fn the_parents_signals_are_restored() {
    let answer = fork(&["dispositions"]);
    let (before, after) = (answer.line("before"), answer.line("after"));
    for name in ["SigBlk", "SigIgn", "SigCgt"] {
        assert_eq!(
            mask(after, name),
            mask(before, name),
            "{name} of the parent has changed. Restore the mask that was there before the fork"
        );
    }
}

#[test]
fn a_signal_during_the_fork_does_not_run_the_parents_handler() {
    testing::needs!(pidfd);
    for kind in ["SIGTERM", "real-time"] {
        let answer = fork(&["signal-during-fork", kind]);
        let number = answer.line("number");
        let handled: Vec<&str> = answer.lines("handled").collect();
        assert!(
            !handled.contains(&"in the child"),
            "signal {number} arrived before the child ran any of its own code, and the child ran its parent's handler. \
             Block all signals until the child has removed the handlers"
        );
        let status = answer.line("status");
        assert!(
            status.starts_with("killed by"),
            "signal {number} was sent to the child too, where it has no handler, so it must kill the child. Its status \
             is `{status}`"
        );
        assert_eq!(
            handled,
            ["in the parent"],
            "signal {number} was sent to the parent too, whose handler must run once"
        );
    }
}

#[test]
fn the_parents_handler_cannot_reap_the_child_before_it_is_held() {
    testing::needs!(pidfd);
    let answer = fork(&["reaped-by-a-handler"]);
    let held = answer.line("held");
    assert_eq!(
        held, "yes",
        "the child exited at once, and the parent's SIGCHLD handler waits for any child: `{held}`. Keep the signals \
         blocked until the child is held, or the handler may reap it first"
    );
    let waited = answer.line("waited");
    assert!(
        waited.starts_with("Err ECHILD"),
        "a handler has reaped the child, so waiting for it must be ECHILD, and it is `{waited}`"
    );
}

#[test]
fn fork_with_other_threads_is_ebusy() {
    testing::needs!(pidfd);
    for count in ["2", "5"] {
        let answer = fork(&["threads", count]);
        let result = answer.line("result");
        assert!(
            result.starts_with("Err EBUSY "),
            "this process has {count} threads, and fork returned `{result}`. It must be EBUSY: the child would have \
             one of the threads, and every lock that another one holds would stay locked there forever"
        );
        assert!(
            result.contains(&format!("{count} threads")),
            "the error must say how many threads there are, which is {count} threads: `{result}`"
        );
        assert!(
            !answer.0.contains("the child ran"),
            "fork returned an error, and there is a child:\n{}",
            answer.0
        );
        assert_eq!(
            answer.line("children"),
            "none",
            "fork returned an error, and there is a child:\n{}",
            answer.0
        );
        assert_eq!(
            answer.line("then"),
            "exited with 3",
            "the other threads were joined, so fork must work again"
        );
    }
}

#[test]
fn a_thread_name_with_parentheses_does_not_hide_the_thread() {
    let answer = fork(&["thread-with-a-name"]);
    let result = answer.line("result");
    assert!(
        result.starts_with("Err EBUSY ") && result.contains("2 threads"),
        "another thread runs, called `)0 0 0 0 0 0 4 `, and fork returned `{result}`. A thread's name may contain \
         parentheses: the fields of /proc/self/task/TID/stat follow the last one"
    );
}

#[test]
fn an_exited_thread_does_not_count() {
    testing::needs!(pidfd);
    let answer = fork(&["joined"]);
    for joined in answer.lines("joined") {
        assert_eq!(joined, "exited with 3", "the other thread was joined, so only one counts");
    }
    assert_eq!(answer.lines("joined").count(), 100);
    let status = fork(&["main-ended"]).line("status").to_owned();
    assert_eq!(status, "exited with 3", "the main thread has exited, so only one counts");
}

/// The place where the guard of this name was made: `crates/…/guards.rs:31`.
#[track_caller]
fn place<'a>(answer: &'a Answer, what: &str) -> &'a str {
    let place = answer.lines("made").find_map(|line| line.strip_prefix(what)?.strip_prefix(' '));
    let place =
        place.unwrap_or_else(|| panic!("the helper did not make a guard called {what}:\n{}", answer.0));
    // The error need not contain the column.
    place.rsplit_once(':').map_or(place, |(place, _)| place)
}

#[track_caller]
fn refused(answer: &Answer, when: &str, what: &str) {
    let result = answer.line(when);
    assert!(
        result.starts_with("Err EBUSY "),
        "{when}: a guard for {what} is alive, so fork must return EBUSY, and it returned `{result}`"
    );
    assert!(result.contains(what), "{when}: the error does not name what is guarded, {what}: `{result}`");
}

#[test]
fn fork_with_a_guard_alive_is_ebusy() {
    testing::needs!(pidfd);
    let answer = fork(&["guard"]);
    assert_eq!(answer.line("none"), "exited with 3", "there is no guard yet, so fork must work");
    refused(&answer, "guarded", "an event loop");
    assert_eq!(answer.line("dropped"), "exited with 3", "the guard was dropped, so fork must work again");
    nothing_left(&answer);
}

#[test]
fn the_error_names_the_place_of_the_guard() {
    let answer = fork(&["guard"]);
    let (place, result) = (place(&answer, "an event loop"), answer.line("guarded"));
    assert!(
        result.contains(place),
        "the guard was made at {place}, and the error is `{result}`. It must name the caller's place: is `new` \
         #[track_caller]?"
    );
}

#[test]
fn guards_can_be_dropped_in_any_order() {
    testing::needs!(pidfd);
    let answer = fork(&["guards"]);
    for (when, living) in [
        ("three", &["first", "second", "third"][..]),
        ("first-and-third", &["first", "third"]),
        ("third-and-fourth", &["third", "fourth"]),
        ("fourth", &["fourth"]),
    ] {
        let result = answer.line(when);
        assert!(
            result.starts_with("Err EBUSY "),
            "the guards {living:?} are alive, so fork must return EBUSY, and it returned `{result}`. Dropping a guard \
             must remove only that one"
        );
        assert!(
            living.iter().any(|what| result.contains(what)),
            "the guards {living:?} are alive, and the error names another one: `{result}`"
        );
    }
    assert_eq!(answer.line("none"), "exited with 3", "all guards were dropped, so fork must work again");
}

#[test]
fn guards_of_the_same_name_are_two() {
    testing::needs!(pidfd);
    let answer = fork(&["guards-of-the-same-name"]);
    let result = answer.line("second");
    assert!(
        result.starts_with("Err EBUSY "),
        "two guards were made, both for an event loop, and the first was dropped. The second is alive, so fork must return \
         EBUSY, and it returned `{result}`. A process may have two event loops: tell guards apart by something that no two \
         of them share"
    );
    assert_eq!(answer.line("none"), "exited with 3", "both guards were dropped, so fork must work again");
}

#[test]
fn a_copied_guard_does_not_count_in_the_child() {
    testing::needs!(pidfd);
    let answer = fork(&["guard-copied"]);
    let copy = answer.line("copy");
    assert_eq!(
        copy, "exited with 3",
        "a child that was forked by other means has a copy of its parent's guard, and its own fork returned `{copy}`. \
         A guard counts only in the process that made it"
    );
    refused(&answer, "own", "the child's");
    refused(&answer, "copy-dropped", "the child's");
    assert_eq!(
        answer.line("own-dropped"),
        "exited with 3",
        "the child's own guard was dropped, so fork must work again"
    );
    refused(&answer, "parent", "the parent's other one");
}

#[test]
fn a_guard_that_a_panic_drops_guards_nothing() {
    testing::needs!(pidfd);
    let answer = fork(&["guard-dropped-by-a-panic"]);
    assert_eq!(
        (answer.line("panicked"), answer.line("then")),
        ("true", "exited with 3"),
        "a panic dropped the guard while it unwound, and the caller caught the panic, so fork must work again"
    );
}

#[test]
fn a_guard_that_another_thread_made_counts() {
    testing::needs!(pidfd);
    let answer = fork(&["guard-of-another-thread"]);
    refused(&answer, "guarded", "an event loop");
    assert_eq!(answer.line("then"), "exited with 3", "the guard was dropped, so fork must work again");
}

#[test]
fn a_name_that_panics_leaves_the_guards_usable() {
    testing::needs!(pidfd);
    let answer = fork(&["guard-whose-name-panics"]);
    assert_eq!(
        (answer.line("panicked"), answer.line("then")),
        ("true", "exited with 3"),
        "the code that writes the guard's name made another guard, and then panicked. No guard is left, so fork must \
         work. Is `what` written while the list of guards is locked?"
    );
    refused(&answer, "guarded", "an event loop");
}

#[test]
fn the_parent_drops_the_closure() {
    testing::needs!(pidfd);
    let answer = fork(&["closure"]);
    for when in ["forked", "failed"] {
        assert_eq!(
            answer.line(when),
            "closed",
            "{when}: the closure holds the write end of a pipe, and the parent's copy of it is still open, so the \
             reader would never see end of file. Drop the closure in the parent"
        );
    }
}

#[test]
fn without_proc_no_child_is_forked() {
    let Some(answer) = fork_if_permitted(&["no-proc"]) else { return };
    let result = answer.line("result");
    assert!(
        result.starts_with("Err ENOENT ") && result.contains("/proc"),
        "/proc is not there, so other threads cannot be ruled out, and the error must say so: `{result}`"
    );
    assert_eq!(answer.line("children"), "none");
}

/// fork has returned this error, without a child, and the parent's mask is unchanged.
#[track_caller]
fn failed(answer: &Answer, errno: &str) {
    let result = answer.line("result");
    assert!(
        result.starts_with(&format!("Err {errno} ")),
        "fork must return {errno}, and it returned `{result}`"
    );
    for (what, wanted, meaning) in [
        ("children", "none", "fork has failed, and has left a child that the caller cannot wait for"),
        (
            "mask",
            "unchanged",
            "fork has failed, and signals are still blocked, so SIGTERM cannot end the parent",
        ),
    ] {
        assert_eq!(answer.line(what), wanted, "{meaning}:\n{}", answer.0);
    }
}

#[test]
fn a_failed_fork_changes_nothing() {
    testing::needs!(pidfd);
    let Some(answer) = fork_if_permitted(&["limit"]) else { return };
    failed(&answer, "EAGAIN");
    assert_eq!(answer.line("table"), "none", "fork has failed, and has leaked or closed a descriptor");
    if let Some(then) = answer.lines("then").next() {
        assert_eq!(then, "exited with 3", "the limit was raised again, so fork must work");
    }
}

#[test]
fn without_a_descriptor_no_child_is_forked() {
    testing::needs!(pidfd);
    let answer = fork(&["no-descriptor"]);
    failed(&answer, "EMFILE");
    assert!(!answer.0.contains("the child ran"), "fork returned an error, and a child ran:\n{}", answer.0);
    assert_eq!(answer.line("then"), "exited with 3", "one descriptor was free, so fork must work");
    let answer = fork(&["descriptors-run-out"]);
    let (status, children) = (answer.line("status"), answer.line("children"));
    assert_eq!(
        (status, children),
        ("exited with 3", "none"),
        "the last free descriptors were taken in the middle of the fork. Reserve the child's pidfd before the fork, or \
         opening it fails when the child exists"
    );
}

#[test]
fn if_pidfd_open_fails_no_child_is_left() {
    testing::needs!(pidfd);
    for when in ["before", "in the middle"] {
        let Some(answer) = fork_if_permitted(&["no-pidfd", when]) else { return };
        failed(&answer, "EPERM");
        assert_eq!(answer.line("table"), "none", "fork has failed, and has leaked or closed a descriptor");
        if when == "before" {
            assert!(
                !answer.0.contains("the child ran"),
                "fork returned an error, and a child ran:\n{}",
                answer.0
            );
        }
    }
}

#[test]
fn fork_with_sigchld_ignored_is_echild() {
    for how in ["ignored", "SA_NOCLDWAIT"] {
        let answer = fork(&["sigchld-ignored", how]);
        let result = answer.line("result");
        assert!(
            result.starts_with("Err ECHILD ") && result.contains("SIGCHLD"),
            "with SIGCHLD {how}, the kernel discards the child's status, so fork must return ECHILD and name SIGCHLD. \
             It returned `{result}`"
        );
        assert_eq!(
            answer.line("children"),
            "none",
            "fork returned an error, and there is a child:\n{}",
            answer.0
        );
    }
}

#[test]
fn fork_leaks_no_descriptor_on_either_side() {
    testing::needs!(pidfd);
    let answer = fork(&["table"]);
    for (whose, meaning) in [
        ("child", "the child must drop its copy of the reserved pidfd"),
        ("parent", "the child was reaped and its `Child` dropped, so nothing of it may stay open"),
    ] {
        let changes = answer.line(whose);
        assert_eq!(changes, "none", "the descriptors of the {whose} have changed: {meaning}");
    }
    assert_eq!(answer.line("waited"), "exited with 0");
}

#[test]
fn the_pidfd_is_readable_when_the_child_has_exited() {
    testing::needs!(pidfd);
    let answer = fork(&["held"]);
    assert_eq!(
        answer.line("close-on-exec"),
        "true",
        "the pidfd must be close-on-exec, or every program started from now on inherits it"
    );
    assert_eq!(
        answer.line("running"),
        "not ready",
        "the child is running, so its pidfd must not be readable"
    );
    assert_eq!(
        answer.line("tried-running"),
        "nothing yet",
        "the child is running, so try_wait must return None"
    );
    assert_eq!(answer.line("signaled"), "Ok");
    assert_eq!(answer.line("exited"), "ready", "the child has exited, so its pidfd must be readable");
    assert_eq!(
        answer.line("signaled-exited"),
        "Ok",
        "the child has not been reaped, so it can still be signaled"
    );
}

#[test]
fn the_status_stays_the_same_after_reaping() {
    testing::needs!(pidfd);
    let answer = fork(&["held"]);
    for when in ["tried", "waited", "again", "tried-again"] {
        assert_eq!(
            answer.line(when),
            "killed by SIGTERM",
            "{when}: the child was reaped, and every later call must return the same status"
        );
    }
    for when in ["once", "twice"] {
        assert_eq!(answer.line(when), "exited with 4", "wait was called {when}");
    }
    let signaled = answer.line("signaled-waited");
    assert!(
        signaled.starts_with("Err ESRCH "),
        "the child has been reaped, so signaling it must be ESRCH, and it is `{signaled}`"
    );
}

#[test]
fn eintr_does_not_end_child_wait() {
    testing::needs!(pidfd);
    let answer = fork(&["interrupted"]);
    // A second child interrupts the wait with SIGUSR1 three times, and then kills the first one. `helped` is the second
    // child's raw wait status, which is 0 if it has done all of that.
    let (waited, helped) = (answer.line("waited"), answer.line("helped"));
    assert_eq!(
        waited, "killed by SIGTERM",
        "a signal handler interrupted the wait, which returned `{waited}`. After EINTR, wait again"
    );
    assert_eq!(helped, "0", "the wait must have been interrupted three times");
}

#[test]
fn without_waitid_a_child_is_held_by_its_process_id() {
    testing::needs!(pidfd);
    let Some(answer) = fork_if_permitted(&["no-waitid"]) else { return };
    for (what, wanted, meaning) in [
        ("tried-running", "nothing yet", "try_wait of a child that is running"),
        ("signaled", "Ok", "signal, which kill(2) can send"),
        ("waited", "killed by SIGTERM", "wait for a child that gets SIGTERM"),
        ("tried", "exited with 4", "try_wait of a child that has exited"),
    ] {
        assert_eq!(
            answer.line(what),
            wanted,
            "{meaning}, in a sandbox that refuses waitid(2) and pidfd_send_signal(2) with EPERM. waitid only asks whether the \
             child still has its process id. Where it is refused, use waitpid(2) and kill(2) without asking"
        );
    }
    let Some(reaped_elsewhere) = fork_if_permitted(&["reaped-without-pidfd-send-signal"]) else { return };
    for answer in [answer, reaped_elsewhere] {
        let signaled = answer.line("signaled-reaped");
        assert!(
            signaled.starts_with("Err ESRCH "),
            "the child was reaped, so kill(2) could hit another process with its process id. In this sandbox, too, \
             signaling it must be ESRCH, and it is `{signaled}`"
        );
    }
}

#[test]
fn a_process_that_reuses_the_pid_is_not_touched() {
    testing::needs!(pidfd);
    let Some(answer) = fork_if_permitted(&["reused"]) else { return };
    assert_eq!(answer.line("same-pid"), "true");
    for (when, errno, meaning) in [
        ("signaled", "ESRCH", "the child was reaped"),
        ("other-code-signaled", "ESRCH", "other code has reaped the child"),
        ("other-code-tried", "ECHILD", "other code has reaped the child"),
        ("other-code-waited", "ECHILD", "other code has reaped the child"),
    ] {
        let result = answer.line(when);
        assert!(
            result.starts_with(&format!("Err {errno} ")),
            "{when}: {meaning}, and another process has its process id. The result must be {errno}, and it is \
             `{result}`"
        );
    }
    assert_eq!(
        answer.line("again"),
        "exited with 0",
        "the stored status must be returned even when another process has the process id"
    );
    for other in answer.lines("other") {
        assert_eq!(
            other, "killed by SIGKILL",
            "the process that got the process id must not be signaled or reaped"
        );
    }
}

#[test]
fn dropping_a_child_does_not_reap_it() {
    testing::needs!(pidfd);
    let answer = fork(&["dropped"]);
    assert_eq!(answer.line("still-running"), "true", "dropping a `Child` must not end the child");
    for (when, status) in [("running-dropped", "killed by SIGTERM"), ("exited-dropped", "exited with 4")] {
        assert_eq!(
            answer.line(when),
            status,
            "{when}: dropping a `Child` must not reap the child, so its status must still be there"
        );
    }
}
