//! Exercise `cloexec/sweep`: what the kernel must show.
//!
//! The sweep happens in the helper, which has nothing open but what it put at chosen numbers.

mod support;

use support::{Answer, ask, traced};

/// The ways in which a kernel says that it cannot do it.
const REFUSALS: [&str; 3] = ["close_range=ENOSYS", "close_range=EPERM", "close_range=EINVAL"];

/// Sweep from `first` on, with something at each place; a star is close-on-exec already.
#[track_caller]
fn sweep(first: &str, places: &str) -> Answer {
    let answer = ask(&["run", "sweep", first, places]);
    assert_eq!(answer.line("result"), "Ok", "mark_from({first}) failed");
    answer
}

/// The same where `close_range` fails; nothing where that cannot be staged.
#[track_caller]
fn sweep_refused(kernel: &str, first: &str, places: &str) -> Option<Answer> {
    let answer = traced(kernel, &["sweep", first, places])?;
    assert!(answer.0.contains("call close_range "), "mark_from({first}) did not try close_range");
    assert_eq!(
        answer.line("result"),
        "Ok",
        "{kernel}: mark_from({first}) gave up where /proc/self/fd would have done. ENOSYS is an old kernel, EPERM a \
         seccomp filter, EINVAL a kernel without CLOSE_RANGE_CLOEXEC; EBADF is a number that has gone since it was \
         listed"
    );
    Some(answer)
}

/// Each of these numbers is close-on-exec now.
#[track_caller]
fn marked(answer: &Answer, numbers: &[i32]) {
    for number in numbers {
        let (before, after) = state(answer, *number);
        assert_ne!(
            after, "closed",
            "descriptor {number} was closed: it was to be marked, and to stay open until exec"
        );
        assert_eq!(after, "marked", "descriptor {number} was {before} and is {after}: the sweep missed it");
    }
}

/// Each of these numbers is as it was.
#[track_caller]
fn untouched(answer: &Answer, first: &str, numbers: &[i32]) {
    for number in numbers {
        let (before, after) = state(answer, *number);
        assert_eq!(before, after, "descriptor {number} is below {first} and was to stay as it was");
    }
}

#[track_caller]
fn state(answer: &Answer, number: i32) -> (&str, &str) {
    let found = answer.lines("at").find_map(|line| line.strip_prefix(&format!("{number} "))?.split_once(' '));
    found.unwrap_or_else(|| panic!("nothing was said about descriptor {number}:\n{}", answer.0))
}

#[test]
fn everything_from_the_first_on_is_marked() {
    marked(&sweep("10", "10 11 12* 13"), &[10, 11, 12, 13]);
}

#[test]
fn a_gap_does_not_end_the_sweep() {
    marked(&sweep("10", "10 60 200"), &[10, 60, 200]);
}

#[test]
fn what_is_below_stays_as_it_was() {
    untouched(&sweep("10", "5 7* 9 10"), "10", &[0, 1, 2, 5, 7, 9]);
}

#[test]
fn nothing_is_left_open() {
    let answer = sweep("3", "5");
    let new: Vec<&str> = answer.lines("at").filter(|line| line.contains("closed ")).collect();
    assert!(new.is_empty(), "after the sweep there is a descriptor that was not there before: {new:?}");
}

#[test]
fn after_exec_only_what_is_below_is_left() {
    let answer = ask(&["run", "sweep", "6", "5 6 60 exec"]);
    let born: Vec<&str> = answer.0.lines().filter(|line| line.contains("/memfd:")).collect();
    let only_the_fifth = matches!(born[..], [one] if one.starts_with("5 "));
    assert!(
        only_the_fifth,
        "swept from 6 on, the next program was to have 5 of 5, 6 and 60. It has {born:?}"
    );
}

#[test]
fn a_negative_number_is_an_error() {
    for first in ["-1", "-2147483648"] {
        let answer = ask(&["run", "sweep", first, "5"]);
        assert!(
            answer.line("result").starts_with("Err"),
            "mark_from({first}) says Ok: as an unsigned number {first} is one that no descriptor has"
        );
        assert_eq!(
            state(&answer, 5),
            ("unmarked", "unmarked"),
            "mark_from({first}) marked something all the same"
        );
    }
}

#[test]
fn a_number_beyond_all_marks_nothing() {
    untouched(&sweep("2147483647", "5 60"), "2147483647", &[0, 1, 2, 5, 60]);
}

#[test]
fn where_close_range_is_refused_everything_is_marked_too() {
    for kernel in REFUSALS {
        let Some(answer) = sweep_refused(kernel, "10", "5 7* 9 10 11 60 200") else { return };
        marked(&answer, &[10, 11, 60, 200]);
        untouched(&answer, "10", &[0, 1, 2, 5, 7, 9]);
    }
}

#[test]
fn the_listing_does_not_trip_over_itself() {
    // From 3 on: whatever number the listing itself has, it is among those to be marked.
    let Some(answer) = sweep_refused("close_range=ENOSYS", "3", "4 5 6") else { return };
    marked(&answer, &[4, 5, 6]);
    let new: Vec<&str> = answer.lines("at").filter(|line| line.contains("closed ")).collect();
    assert!(new.is_empty(), "the listing of /proc/self/fd is still open: {new:?}");
}

#[test]
fn a_lowered_limit_hides_nothing() {
    let Some(answer) = sweep_refused("close_range=ENOSYS", "10", "10 200 limit=100") else { return };
    let (_, after) = state(&answer, 200);
    assert_eq!(
        after, "marked",
        "descriptor 200 was missed: the limit of 100 came after it was opened. RLIMIT_NOFILE says what may be opened \
         next, not what is open"
    );
}

#[test]
fn another_error_is_returned() {
    let Some(answer) = traced("close_range=ENOMEM", &["sweep", "10", "10"]) else { return };
    let result = answer.line("result");
    assert!(result.starts_with("Err ENOMEM"), "close_range failed with ENOMEM, and mark_from says {result}");
}
