//! Tests of the exercise `cloexec/sweep`. Each looks at the flags of all descriptors before and after the sweep.
//!
//! The helper does the sweep, because it has only the descriptors that it opened at chosen numbers.

mod support;

#[path = "scenarios/sweep.rs"]
mod scenarios;

use nix::sys::resource::{Resource, getrlimit};
use support::{Answer, ask, traced};

testing::helper!(|args| support::helper::answer(args, scenarios::run));

/// The errnos of a kernel that lacks `close_range` or its flag.
const REFUSALS: [&str; 3] = ["close_range=ENOSYS", "close_range=EPERM", "close_range=EINVAL"];

/// Calls `set_from(first)` in a process with descriptors at these places. A star marks a descriptor that is close-on-exec
/// already.
#[track_caller]
fn sweep(first: &str, places: &str) -> Answer {
    let answer = ask(&["run", "sweep", first, places]);
    assert_eq!(answer.line("result"), "Ok", "set_from({first}) failed");
    answer
}

/// Does the same on a kernel where `close_range` fails. `None` if this machine does not permit tracing.
#[track_caller]
fn sweep_refused(kernel: &str, first: &str, places: &str) -> Option<Answer> {
    let answer = traced(kernel, &["sweep", first, places])?;
    assert!(answer.0.contains("call close_range "), "set_from({first}) did not try close_range");
    assert_eq!(
        answer.line("result"),
        "Ok",
        "{kernel}: set_from({first}) failed instead of falling back to /proc/self/fd. ENOSYS means an old kernel, \
         EPERM a seccomp filter, EINVAL a kernel without CLOSE_RANGE_CLOEXEC; EBADF means that the descriptor was \
         closed after it was listed"
    );
    Some(answer)
}

/// Checks that each of these descriptors is close-on-exec after the sweep.
#[track_caller]
fn all_set(answer: &Answer, numbers: &[i32]) {
    for number in numbers {
        let (before, after) = state(answer, *number);
        assert_ne!(
            after, "closed",
            "the sweep closed descriptor {number}. It should set close-on-exec and leave the descriptor open until exec"
        );
        assert_eq!(
            after, "close-on-exec",
            "descriptor {number} was {before} before the sweep and is {after} after it: the sweep missed it"
        );
    }
}

/// Checks that each of these descriptors is as it was before the sweep.
#[track_caller]
fn untouched(answer: &Answer, first: &str, numbers: &[i32]) {
    for number in numbers {
        let (before, after) = state(answer, *number);
        assert_eq!(
            before, after,
            "descriptor {number} is below {first}, and the sweep changed it. Skip the numbers below `first`"
        );
    }
}

/// Whether a descriptor was open, and close-on-exec, before the sweep and after it. The helper prints a line such as
/// `at 5 inheritable close-on-exec` for each descriptor.
#[track_caller]
fn state(answer: &Answer, number: i32) -> (&str, &str) {
    let found = answer.lines("at").find_map(|line| line.strip_prefix(&format!("{number} "))?.split_once(' '));
    found.unwrap_or_else(|| panic!("the helper printed no line about descriptor {number}:\n{}", answer.0))
}

#[test]
fn every_descriptor_from_first_up_is_set() {
    all_set(&sweep("10", "10 11 12* 13"), &[10, 11, 12, 13]);
}

#[test]
fn a_gap_does_not_end_the_sweep() {
    testing::needs!(descriptors(256));
    all_set(&sweep("10", "10 60 200"), &[10, 60, 200]);
}

#[test]
fn the_standard_streams_are_set_too() {
    all_set(&sweep("0", "5"), &[0, 1, 2, 5]);
    let Some(answer) = sweep_refused("close_range=ENOSYS", "0", "5") else { return };
    all_set(&answer, &[0, 1, 2, 5]);
}

#[test]
fn a_number_above_1023_is_set() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit can be read");
    if hard < 2000 {
        testing::skip!("this process may not have descriptor 1500 (its hard limit is {hard})");
    }
    all_set(&sweep("10", "limit=2000 10 1023 1024 1500"), &[10, 1023, 1024, 1500]);
}

#[test]
fn descriptors_below_first_do_not_change() {
    untouched(&sweep("10", "5 7* 9 10"), "10", &[0, 1, 2, 5, 7, 9]);
}

#[test]
fn the_sweep_leaves_no_descriptor_open() {
    let answer = sweep("3", "5");
    let new: Vec<&str> = answer.lines("at").filter(|line| line.contains("closed ")).collect();
    assert!(new.is_empty(), "the sweep left a descriptor open that was not open before: {new:?}");
}

#[test]
fn exec_keeps_only_descriptors_below_first() {
    let answer = ask(&["run", "sweep", "6", "5 6 60 exec"]);
    let inherited: Vec<&str> = answer.0.lines().filter(|line| line.contains("/memfd:")).collect();
    let only_the_fifth = matches!(inherited[..], [one] if one.starts_with("5 "));
    assert!(
        only_the_fifth,
        "after a sweep from 6 up, the next program should inherit descriptor 5, and neither 6 nor 60. It has \
         {inherited:?}"
    );
}

#[test]
fn a_negative_number_is_an_error() {
    for first in ["-1", "-2147483648"] {
        let answer = ask(&["run", "sweep", first, "5"]);
        assert!(
            answer.line("result").starts_with("Err"),
            "set_from({first}) returned Ok. Cast to an unsigned number, {first} is higher than every descriptor. \
             Return EINVAL"
        );
        assert_eq!(
            state(&answer, 5),
            ("inheritable", "inheritable"),
            "set_from({first}) failed, and still set close-on-exec on a descriptor"
        );
    }
}

#[test]
fn a_first_above_every_descriptor_changes_nothing() {
    untouched(&sweep("2147483647", "5 60"), "2147483647", &[0, 1, 2, 5, 60]);
}

#[test]
fn without_close_range_every_descriptor_is_set() {
    testing::needs!(descriptors(256));
    for kernel in REFUSALS {
        let Some(answer) = sweep_refused(kernel, "10", "5 7* 9 10 11 60 200") else { return };
        all_set(&answer, &[10, 11, 60, 200]);
        untouched(&answer, "10", &[0, 1, 2, 5, 7, 9]);
    }
}

#[test]
fn other_flags_are_kept() {
    let Some(answer) = sweep_refused("second-flag,close_range=ENOSYS", "10", "10 11") else { return };
    let sets: Vec<&str> = answer.lines("call").filter(|call| call.starts_with("fcntl(F_SETFD)")).collect();
    let lost = sets.iter().find(|call| !call.starts_with("fcntl(F_SETFD) 3 "));
    assert!(
        lost.is_none() && sets.len() >= 2,
        "without close_range, the sweep called {sets:?}. On a kernel with a second descriptor flag, which each of these \
         descriptors has, that flag would be lost. `crate::flags::set` keeps it"
    );
}

#[test]
fn the_listings_own_descriptor_is_ignored() {
    // From 3 up, so that the descriptor of the listing is in the range, whatever its number.
    let Some(answer) = sweep_refused("close_range=ENOSYS", "3", "4 5 6") else { return };
    all_set(&answer, &[4, 5, 6]);
    let new: Vec<&str> = answer.lines("at").filter(|line| line.contains("closed ")).collect();
    assert!(new.is_empty(), "the directory /proc/self/fd is still open after the sweep: {new:?}");
}

#[test]
fn a_lowered_limit_hides_no_descriptor() {
    testing::needs!(descriptors(256));
    let Some(answer) = sweep_refused("close_range=ENOSYS", "10", "10 200 limit=100") else { return };
    let (_, after) = state(&answer, 200);
    assert_eq!(
        after, "close-on-exec",
        "the sweep missed descriptor 200, which was opened before the limit was lowered to 100. RLIMIT_NOFILE limits \
         new descriptors; descriptors above it stay open"
    );
}

#[test]
fn without_close_range_and_proc_the_error_is_returned() {
    let Some(answer) = traced("no-proc", &["sweep", "10", "10"]) else { return };
    let result = answer.line("result");
    assert!(
        result.starts_with("Err ENOENT"),
        "close_range failed with ENOSYS, /proc/self/fd could not be opened (ENOENT), and set_from returned {result}. \
         No flag is set, so the caller needs to know"
    );
}

#[test]
fn any_other_error_is_returned() {
    let Some(answer) = traced("close_range=ENOMEM", &["sweep", "10", "10"]) else { return };
    let result = answer.line("result");
    assert!(
        result.starts_with("Err ENOMEM"),
        "close_range failed with ENOMEM, and set_from returned {result}. Fall back only if the kernel lacks the call"
    );
}

#[test]
fn an_error_of_the_fallback_is_returned() {
    let Some(answer) = traced("F_SETFD=EPERM", &["sweep", "10", "10"]) else { return };
    let result = answer.line("result");
    assert!(
        result.starts_with("Err EPERM"),
        "close_range failed with ENOSYS, setting the flag of descriptor 10 failed with EPERM, and set_from returned \
         {result}. Only EBADF is no error: then the descriptor was closed since you listed it"
    );
}

#[test]
fn the_call_names_every_number_and_one_flag() {
    let Some(answer) = traced("as-it-is", &["sweep", "10", "10"]) else { return };
    let calls: Vec<&str> = answer.lines("call").filter(|call| call.starts_with("close_range ")).collect();
    let [call] = calls[..] else { panic!("set_from should call close_range once. Its calls: {calls:?}") };
    let numbers: Vec<u32> = call.split(' ').skip(1).map_while(|word| word.parse().ok()).collect();
    let [first, last, flags] = numbers[..] else { panic!("close_range has three arguments: {call}") };
    assert!(
        first == 10 && last >= i32::MAX as u32,
        "set_from(10) called `{call}`: it should reach from 10 to the highest number that a descriptor can have. A limit \
         may be a million, and a descriptor may be above the limit"
    );
    assert_eq!(
        flags,
        nix::libc::CLOSE_RANGE_CLOEXEC,
        "`{call}` has other flags than CLOSE_RANGE_CLOEXEC. CLOSE_RANGE_UNSHARE would give this thread a table of its own, \
         so that the flags are set where no other thread sees them"
    );
}

#[test]
fn only_three_errnos_are_a_refusal() {
    for errno in (1..=133).map(nix::errno::Errno::from_raw) {
        let wanted = ["ENOSYS", "EINVAL", "EPERM"].contains(&&*format!("{errno:?}"));
        assert_eq!(
            cloexec::sweep::is_refusal(errno),
            wanted,
            "is_refusal({errno:?}): only ENOSYS, EINVAL and EPERM mean that the kernel cannot do it. Any other errno is for \
             the caller"
        );
    }
}

#[test]
fn without_close_range_every_number_counts() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit can be read");
    if hard < 2000 {
        testing::skip!("this process may not have descriptor 1500 (its hard limit is {hard})");
    }
    let mut numbers: Vec<i32> = (20..120).collect();
    numbers.extend([300, 1500]);
    numbers.extend((hard > 70_001).then_some(70_000));
    let places = numbers.iter().map(|number| format!(" {number}")).collect::<String>();
    let places = format!("limit={hard}{places}");
    let Some(answer) = sweep_refused("close_range=ENOSYS", "20", &places) else { return };
    all_set(&answer, &numbers);
}

#[test]
fn without_close_range_the_highest_number_is_no_overflow() {
    let Some(answer) = sweep_refused("close_range=ENOSYS", "2147483647", "5 60") else { return };
    untouched(&answer, "2147483647", &[0, 1, 2, 5, 60]);
}

#[test]
fn half_a_list_is_an_error() {
    let Some(answer) = traced("close_range=ENOSYS,getdents64=EIO", &["sweep", "10", "10"]) else { return };
    let result = answer.line("result");
    assert!(
        result.starts_with("Err EIO") && result.contains("/proc/self/fd"),
        "/proc/self/fd could be opened, reading it failed with EIO, and set_from returned {result}. A list that ends with an \
         error is not complete: return the error, with the name of the directory"
    );
}

#[test]
fn an_error_names_the_call_and_the_number() {
    let failed = ask(&["run", "sweep", "-7", "5"]);
    let result = failed.line("result");
    assert!(result.starts_with("Err EINVAL ") && result.contains("-7"), "set_from(-7) returned `{result}`");
    let Some(answer) = traced("close_range=ENOMEM", &["sweep", "10", "10"]) else { return };
    let result = answer.line("result");
    assert!(
        result.contains("close_range") && result.contains("10"),
        "close_range failed from 10 up, and the error is `{result}`. An error says which call failed, and on what"
    );
}

#[test]
fn a_second_sweep_finds_what_is_new() {
    let sweep = ["twice", "10", "10", "11 12"];
    let answer = ask(&[&["run"], &sweep[..]].concat());
    again(&answer);
    for kernel in REFUSALS {
        let Some(answer) = traced(kernel, &sweep) else { return };
        again(&answer);
    }
}

#[track_caller]
fn again(answer: &Answer) {
    assert_eq!(answer.line("again"), "Ok", "the second call of set_from failed");
    let later: Vec<&str> = answer.lines("later").collect();
    assert!(
        later.len() == 2 && later.iter().all(|line| line.ends_with(" close-on-exec")),
        "11 and 12 were opened after the first sweep, and a second one did not set their flags: {later:?}. Ask the \
         kernel in each call, because what the first call found out may have changed"
    );
}

#[test]
fn the_list_has_every_open_descriptor() {
    let answer = ask(&["run", "list", "5 6* 9 20*"]);
    let numbers =
        |key| answer.line(key).split(' ').filter_map(|word| word.parse::<i32>().ok()).collect::<Vec<_>>();
    let (listed, open) = (numbers("listed"), numbers("open"));
    let missed: Vec<_> = open.iter().filter(|number| !listed.contains(number)).collect();
    assert!(
        missed.is_empty(),
        "`open_descriptors` listed {listed:?}, and missed {missed:?}. It lists all that are open, 0 to 2 and those that are \
         close-on-exec as well"
    );
    let extra = listed.iter().filter(|number| !open.contains(number)).count();
    assert!(
        extra <= 1,
        "`open_descriptors` listed {listed:?}, and {open:?} are open. At most one number may be listed that is not open: the \
         descriptor that read the directory"
    );
}

#[test]
fn the_list_is_complete_however_many_are_open() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit can be read");
    if hard < 2000 {
        testing::skip!("this process may not have 1500 descriptors (its hard limit is {hard})");
    }
    let many = (hard - 500).min(6000);
    let answer = ask(&["run", "list-many", &many.to_string()]);
    assert_eq!(
        answer.line("missed"),
        "0",
        "{many} descriptors were opened, and `open_descriptors` missed this many of them. A buffer of a fixed size is too \
         small for some process: read the directory to its end"
    );
}

#[test]
fn what_the_child_calls_does_not_allocate() {
    let refused = traced("close_range=ENOSYS", &["in-a-child"]);
    for answer in [Some(ask(&["run", "in-a-child"])), refused].into_iter().flatten() {
        assert_eq!(
            answer.line("allocated"),
            "no",
            "`close_range_cloexec` or `is_refusal` used the memory allocator in the child of a fork. Another thread of the \
             caller may have held its lock at the fork, and then the child waits forever"
        );
    }
}
