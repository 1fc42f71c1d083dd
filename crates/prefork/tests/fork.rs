//! Exercise `prefork/fork`: what the kernel must show.
//!
//! A test process has threads, so all forks are the helper's: a process of its own, with one thread. What happens
//! in the middle of a fork, signals too, is done by functions that the C library calls there, so that no test
//! depends on timing.

mod support;

use nix::libc::{self, SIGRTMAX};
use support::{Answer, Helper, ask};

/// Have the helper fork.
#[track_caller]
fn fork(what: &[&str]) -> Answer {
    came_back(ask(&[&["run", "fork"], what].concat()))
}

/// The same. Nothing where this machine refuses what was asked.
#[track_caller]
fn fork_if_permitted(what: &[&str]) -> Option<Answer> {
    Helper::new(&[&["run", "fork"], what].concat()).if_permitted().map(came_back)
}

#[track_caller]
fn came_back(answer: Answer) -> Answer {
    let escaped = answer.lines("escaped").next();
    assert!(
        escaped.is_none(),
        "the child came back out of `fork`, {}: now two processes run the caller's code. Whatever the child does, it \
         ends in `_exit`:\n{}",
        escaped.unwrap_or_default(),
        answer.0
    );
    answer
}

#[track_caller]
fn nothing_left(answer: &Answer) {
    assert_eq!(answer.line("left"), "none", "a child is left to be waited for:\n{}", answer.0);
}

/// How often was this word written?
fn times(answer: &Answer, word: &str) -> usize {
    answer.0.split_whitespace().filter(|other| *other == word).count()
}

#[test]
fn output_buffered_before_the_fork_is_written_once() {
    let answer = fork(&["output"]);
    for (word, where_) in [
        ("rust-before", "Rust's standard output"),
        ("c-before", "C's standard output"),
        ("stream-before", "a stream of C's"),
    ] {
        let times = times(&answer, word);
        assert_eq!(
            times, 1,
            "before the fork a word was put into the buffer of {where_}, and it was written {times} times: a buffer that \
             is not empty at the fork is copied with what is in it"
        );
    }
}

#[test]
fn output_buffered_by_the_child_is_written() {
    let answer = fork(&["output"]);
    for (word, where_) in [
        ("rust-in-the-child", "Rust's standard output"),
        ("c-in-the-child", "C's standard output"),
        ("stream-in-the-child", "a stream of C's"),
    ] {
        let times = times(&answer, word);
        assert_eq!(
            times, 1,
            "the child put a word into the buffer of {where_}, and it was written {times} times: `_exit` writes no buffer"
        );
    }
}

#[test]
fn each_child_gets_its_own_random_numbers() {
    let answer = fork(&["random"]);
    let meant = answer.line("meant");
    let mut seen = vec![("the parent", answer.line("parent"))];
    seen.extend(answer.lines("child").map(|numbers| ("a child", numbers)));
    assert_eq!(seen.len(), 3, "there were to be two children:\n{}", answer.0);
    assert!(
        seen[1].1 != meant && seen[2].1 != meant,
        "C's rand gives the child {meant}, and its parent the same: a generator is memory, and memory is copied"
    );
    assert_ne!(
        seen[1].1, seen[2].1,
        "C's rand gives two children the same numbers: what they were seeded with was the same"
    );
    assert_eq!(
        seen[0].1, meant,
        "the parent was to go on with its own numbers: what is seeded is seeded in the child"
    );
}

#[test]
fn the_closures_result_is_the_exit_code() {
    let answer = fork(&["codes"]);
    let seen: Vec<&str> = answer.lines("code").collect();
    let codes = [(0, 0), (1, 1), (7, 7), (255, 255), (256, 0), (263, 7), (-1, 255)];
    let wanted: Vec<String> = codes.iter().map(|(code, exit)| format!("{code} exited with {exit}")).collect();
    assert_eq!(
        seen, wanted,
        "what the child gives is what it ends with; of a number, the kernel keeps the lowest byte"
    );
    nothing_left(&answer);
}

#[test]
fn a_panic_ends_the_child_with_101() {
    let answer = fork(&["panic", "words"]);
    let status = answer.line("status");
    assert_eq!(
        status, "exited with 101",
        "the child panicked, and {status}: 101 is what a program in Rust ends with then"
    );
    assert!(
        answer.lines("stderr").any(|line| line.contains("the child fell")),
        "the child panicked, and its words are not on standard error:\n{}",
        answer.0
    );
    nothing_left(&answer);
}

#[test]
fn output_buffered_before_a_panic_is_written() {
    let answer = fork(&["panic", "words"]);
    for (word, where_) in
        [("rust-in-the-child", "Rust's standard output"), ("c-in-the-child", "C's standard output")]
    {
        let times = times(&answer, word);
        assert_eq!(
            times, 1,
            "the child put a word into the buffer of {where_} and panicked, and the word was written {times} times: a \
             panic that is caught ends in `_exit` too, which writes no buffer"
        );
    }
}

#[test]
fn a_panic_payload_that_panics_on_drop_is_contained() {
    let answer = fork(&["panic", "again"]);
    let status = answer.line("status");
    assert_eq!(
        status, "exited with 101",
        "the child panicked with a value that panics when it is dropped, and {status}"
    );
}

#[test]
fn the_child_runs_no_exit_handlers() {
    let answer = fork(&["at-exit"]);
    let ran: Vec<&str> = answer.lines("at-exit").collect();
    assert_eq!(
        ran,
        ["parent"],
        "what the parent registered with atexit was run by {ran:?}: `exit` does whatever was to be done at the parent's \
         end, `_exit` ends the process"
    );
    assert_eq!(answer.line("status"), "exited with 3");
}

#[test]
fn a_child_can_fork_too() {
    let answer = fork(&["grandchild"]);
    assert_eq!(
        (answer.line("grandchild"), answer.line("status")),
        ("exited with 5", "exited with 6"),
        "a child forked, and so did its parent"
    );
}

/// Which signals are in the mask of that name, which /proc shows as `SigBlk:0000000000000400`?
fn mask(line: &str, name: &str) -> Vec<i32> {
    let hex = line.split(' ').find_map(|mask| mask.strip_prefix(name)?.strip_prefix(':'));
    let bits = hex.and_then(|hex| u64::from_str_radix(hex, 16).ok());
    let bits = bits.unwrap_or_else(|| panic!("there is no mask {name} in `{line}`"));
    (1..=SIGRTMAX()).filter(|signal| bits & 1 << (signal - 1) != 0).collect()
}

/// What the child's code does itself.
const FAULTS: [i32; 7] =
    [libc::SIGILL, libc::SIGTRAP, libc::SIGABRT, libc::SIGBUS, libc::SIGFPE, libc::SIGSEGV, libc::SIGSYS];

#[test]
fn the_child_has_none_of_its_parents_handlers() {
    let answer = fork(&["dispositions"]);
    let handled = mask(answer.line("child"), "SigCgt");
    let parents: Vec<i32> = handled.into_iter().filter(|signal| !FAULTS.contains(signal)).collect();
    assert!(
        parents.is_empty(),
        "the child runs its parent's handlers at signals {parents:?}: a fork copies them, and they would answer in the \
         parent's name. There are signals up to {}",
        SIGRTMAX()
    );
}

#[test]
fn handlers_for_faults_are_kept() {
    let answer = fork(&["dispositions"]);
    let handled = mask(answer.line("child"), "SigCgt");
    let gone: Vec<i32> = FAULTS.into_iter().filter(|signal| !handled.contains(signal)).collect();
    assert!(
        gone.is_empty(),
        "nobody handles signals {gone:?} in the child, and somebody does in the parent: that is how Rust tells that a \
         stack has overflowed"
    );
}

#[test]
fn ignored_signals_stay_ignored() {
    let answer = fork(&["dispositions"]);
    let (before, child) = (mask(answer.line("before"), "SigIgn"), mask(answer.line("child"), "SigIgn"));
    assert_eq!(
        child, before,
        "the parent ignores signals {before:?}, and the child {child:?}: whoever ignores SIGPIPE or SIGHUP means the \
         child too"
    );
}

#[test]
fn the_childs_signal_mask_is_empty() {
    let answer = fork(&["dispositions"]);
    let blocked = mask(answer.line("child"), "SigBlk");
    assert!(
        blocked.is_empty(),
        "signals {blocked:?} are blocked in the child, which can then not be told to end: a mask is copied by a fork too"
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
            "{name} of the parent, before the fork and after: what was blocked for the fork is to be given back"
        );
    }
}

#[test]
fn a_signal_during_the_fork_does_not_run_the_parents_handler() {
    for kind in ["SIGTERM", "real-time"] {
        let answer = fork(&["at-the-fork", kind]);
        let number = answer.line("number");
        let handled: Vec<&str> = answer.lines("handled").collect();
        assert!(
            !handled.contains(&"in the child"),
            "signal {number} came when the child was there and had done nothing yet, and the child ran its parent's \
             handler: until the handlers are gone, signals have to wait"
        );
        let status = answer.line("status");
        assert!(
            status.starts_with("killed by"),
            "signal {number} came for the child too, and nobody handles it there: it was to be killed, and {status}"
        );
        assert_eq!(
            handled,
            ["in the parent"],
            "signal {number} came for the parent too, and was to be handled there, once"
        );
    }
}

#[test]
fn the_parents_handler_cannot_reap_the_child_before_it_is_held() {
    let answer = fork(&["reaped-by-a-handler"]);
    let held = answer.line("held");
    assert_eq!(
        held, "yes",
        "the child ended at once, and a handler of the parent's waits for any child: `{held}`. As long as the parent's \
         signals wait, nobody can take the child before it is held"
    );
    let waited = answer.line("waited");
    assert!(
        waited.starts_with("Err ECHILD"),
        "a handler has waited for the child, and waiting for it again said `{waited}`"
    );
}

#[test]
fn fork_with_other_threads_is_ebusy() {
    for count in ["2", "5"] {
        let answer = fork(&["threads", count]);
        let result = answer.line("result");
        assert!(
            result.starts_with("Err EBUSY "),
            "this process has {count} threads, and the fork gave `{result}`: the child has one of them, and every lock \
             that another holds is locked there for ever"
        );
        assert!(
            result.contains(&format!("{count} threads")),
            "`{result}` does not say how many threads there are: {count} threads"
        );
        assert!(!answer.0.contains("the child ran"), "there was an error, and a child:\n{}", answer.0);
        assert_eq!(answer.line("children"), "none", "there was an error, and a child:\n{}", answer.0);
        assert_eq!(answer.line("then"), "exited with 3", "the other threads have ended");
    }
}

#[test]
fn a_thread_name_with_parentheses_does_not_hide_the_thread() {
    let answer = fork(&["thread-with-a-name"]);
    let result = answer.line("result");
    assert!(
        result.starts_with("Err EBUSY ") && result.contains("2 threads"),
        "another thread runs, called `)0 0 0 0 0 0 4 `, and the fork gave `{result}`: a name may have a parenthesis in \
         it, and what stands behind the last one is the kernel's"
    );
}

#[test]
fn an_exited_thread_does_not_count() {
    let answer = fork(&["joined"]);
    for joined in answer.lines("joined") {
        assert_eq!(joined, "exited with 3", "a thread was joined, so there is one");
    }
    assert_eq!(answer.lines("joined").count(), 100);
    let status = fork(&["main-ended"]).line("status").to_owned();
    assert_eq!(status, "exited with 3", "the main thread has ended and another has not, so there is one");
}

/// `crates/…/guards.rs:31`: where the guard of that name was made.
#[track_caller]
fn place<'a>(answer: &'a Answer, what: &str) -> &'a str {
    let place = answer.lines("made").find_map(|line| line.strip_prefix(what)?.strip_prefix(' '));
    let place = place.unwrap_or_else(|| panic!("no guard called {what} was made:\n{}", answer.0));
    // The column is a matter of taste.
    place.rsplit_once(':').map_or(place, |(place, _)| place)
}

#[track_caller]
fn refused(answer: &Answer, when: &str, what: &str) {
    let result = answer.line(when);
    assert!(
        result.starts_with("Err EBUSY "),
        "{when}: something lives that must not cross a fork, {what}, and the fork said `{result}`"
    );
    assert!(result.contains(what), "{when}: `{result}` does not say what must not cross a fork: {what}");
}

#[test]
fn fork_with_a_guard_alive_is_ebusy() {
    let answer = fork(&["guard"]);
    assert_eq!(answer.line("none"), "exited with 3", "nothing is guarded yet");
    refused(&answer, "guarded", "an event loop");
    assert_eq!(answer.line("dropped"), "exited with 3", "what was guarded is gone");
    nothing_left(&answer);
}

#[test]
fn the_error_names_the_place_of_the_guard() {
    let answer = fork(&["guard"]);
    let (place, result) = (place(&answer, "an event loop"), answer.line("guarded"));
    assert!(
        result.contains(place),
        "the guard was made at {place}, and the error is `{result}`: the place is the caller's, not the library's"
    );
}

#[test]
fn guards_can_be_dropped_in_any_order() {
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
            "{living:?} are alive, and the fork said `{result}`: each guard goes by itself, in whatever order"
        );
        assert!(
            living.iter().any(|what| result.contains(what)),
            "{living:?} are alive, and the error names another: `{result}`"
        );
    }
    assert_eq!(answer.line("none"), "exited with 3", "all guards are gone");
}

#[test]
fn a_copied_guard_does_not_count_in_the_child() {
    let answer = fork(&["guard-copied"]);
    let copy = answer.line("copy");
    assert_eq!(
        copy, "exited with 3",
        "a child, forked by other means, has a copy of its parent's guard, and its own fork said `{copy}`: a guard is \
         for the process that made it"
    );
    refused(&answer, "own", "the child's");
    refused(&answer, "copy-dropped", "the child's");
    assert_eq!(answer.line("own-dropped"), "exited with 3", "the child's own guard is gone");
    refused(&answer, "parent", "the parent's other one");
}

/// An error, no child, and nothing else that has changed.
#[track_caller]
fn failed(answer: &Answer, errno: &str) {
    let result = answer.line("result");
    assert!(
        result.starts_with(&format!("Err {errno} ")),
        "the fork was to fail with {errno}, and the answer is `{result}`"
    );
    for (what, wanted, meaning) in [
        ("children", "none", "a child is left, which nobody holds"),
        (
            "mask",
            "as it was",
            "the fork failed, and signals are still blocked: so the parent cannot be told to end",
        ),
    ] {
        assert_eq!(answer.line(what), wanted, "{meaning}:\n{}", answer.0);
    }
}

#[test]
fn a_failed_fork_changes_nothing() {
    let Some(answer) = fork_if_permitted(&["limit"]) else { return };
    failed(&answer, "EAGAIN");
    assert_eq!(answer.line("table"), "none", "the fork failed, and descriptors have changed");
    if let Some(then) = answer.lines("then").next() {
        assert_eq!(then, "exited with 3", "there was no limit any more");
    }
}

#[test]
fn without_a_descriptor_no_child_is_forked() {
    let answer = fork(&["no-number"]);
    failed(&answer, "EMFILE");
    assert!(!answer.0.contains("the child ran"), "there was an error, and a child ran:\n{}", answer.0);
    assert_eq!(answer.line("then"), "exited with 3", "one number was left");
    let answer = fork(&["numbers-run-out"]);
    let (status, children) = (answer.line("status"), answer.line("children"));
    assert_eq!(
        (status, children),
        ("exited with 3", "none"),
        "the last numbers were taken in the middle of the fork. What a child needs to be held by has to be there before \
         the child is"
    );
}

#[test]
fn if_pidfd_open_fails_no_child_is_left() {
    for when in ["before", "in the middle"] {
        let Some(answer) = fork_if_permitted(&["no-pidfd", when]) else { return };
        failed(&answer, "EPERM");
        assert_eq!(answer.line("table"), "none", "the fork failed, and descriptors have changed");
        if when == "before" {
            assert!(
                !answer.0.contains("the child ran"),
                "there was an error, and a child ran:\n{}",
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
            "with SIGCHLD {how} the kernel keeps nothing of a child that ends, and the fork said `{result}`"
        );
        assert_eq!(answer.line("children"), "none", "there was an error, and a child:\n{}", answer.0);
    }
}

#[test]
fn fork_leaks_no_descriptor_on_either_side() {
    let answer = fork(&["table"]);
    for (whose, meaning) in [
        ("child", "what its parent needs to hold it is not the child's"),
        ("parent", "the child has ended, and was dropped"),
    ] {
        let changes = answer.line(whose);
        assert_eq!(changes, "none", "descriptors of the {whose}, compared with before: {meaning}");
    }
    assert_eq!(answer.line("waited"), "exited with 0");
}

#[test]
fn the_pidfd_is_readable_when_the_child_has_exited() {
    let answer = fork(&["held"]);
    assert_eq!(answer.line("close-on-exec"), "true", "a program that is started would hold the child too");
    assert_eq!(answer.line("there"), "not ready", "the child is there");
    assert_eq!(answer.line("tried-there"), "nothing yet", "the child is there");
    assert_eq!(answer.line("signalled"), "Ok");
    assert_eq!(answer.line("ended"), "ready", "the child has ended");
    assert_eq!(answer.line("signalled-ended"), "Ok", "nobody has waited for it yet");
}

#[test]
fn the_status_stays_the_same_after_reaping() {
    let answer = fork(&["held"]);
    for when in ["tried", "waited", "again", "tried-again"] {
        assert_eq!(
            answer.line(when),
            "killed by SIGTERM",
            "{when}: the child was waited for, and has been told once"
        );
    }
    for when in ["once", "twice"] {
        assert_eq!(answer.line(when), "exited with 4", "a child was waited for {when}");
    }
    let signalled = answer.line("signalled-waited");
    assert!(
        signalled.starts_with("Err ESRCH "),
        "the child was waited for, and then it was signalled: {signalled}"
    );
}

#[test]
fn eintr_does_not_end_child_wait() {
    let answer = fork(&["interrupted"]);
    let (waited, helped) = (answer.line("waited"), answer.line("helped"));
    assert_eq!(
        waited, "killed by SIGTERM",
        "a signal was handled while the wait slept, and its answer is `{waited}`: EINTR is no answer, so ask again"
    );
    assert_eq!(helped, "0", "the wait was to be interrupted three times");
}

#[test]
fn a_process_that_reuses_the_pid_is_not_touched() {
    let Some(answer) = fork_if_permitted(&["reused"]) else { return };
    assert_eq!(answer.line("same number"), "true");
    for (when, errno, meaning) in [
        ("signalled", "ESRCH", "it was waited for"),
        ("theirs-signalled", "ESRCH", "somebody else waited for it"),
        ("theirs-tried", "ECHILD", "somebody else waited for it"),
        ("theirs-waited", "ECHILD", "somebody else waited for it"),
    ] {
        let result = answer.line(when);
        assert!(
            result.starts_with(&format!("Err {errno} ")),
            "{when}: {meaning}, another child has its number by now, and the answer is `{result}`"
        );
    }
    assert_eq!(
        answer.line("again"),
        "exited with 0",
        "what became of the child, when another has its number"
    );
    for other in answer.lines("other") {
        assert_eq!(other, "killed by SIGKILL", "the one that got the number was not to be touched");
    }
}

#[test]
fn dropping_a_child_does_not_reap_it() {
    let answer = fork(&["dropped"]);
    assert_eq!(answer.line("goes-on"), "true", "nobody holds the child any more, and it has ended");
    for (when, status) in [("waits", "killed by SIGTERM"), ("ended-waits", "exited with 4")] {
        assert_eq!(
            answer.line(when),
            status,
            "{when}: whoever drops what holds a child does not wait for it, and the kernel keeps what became of it"
        );
    }
}
