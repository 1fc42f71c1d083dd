//! Tests of the exercise `cloexec/pass`. Each looks at what the started program has, and at what the caller has left.
//!
//! The helper calls `spawn`: it has one thread, and only the descriptors that it opened at chosen numbers. It starts
//! itself as the program, which lists what it was started with.

mod support;

#[path = "scenarios/pass.rs"]
mod scenarios;

use std::path::Path;

use nix::libc::{SIGINT, SIGPIPE, SIGQUIT, SIGRTMIN, SIGTERM, SIGUSR1, SIGUSR2, SIGXFSZ};
use nix::sys::resource::{Resource, getrlimit};
use support::{Answer, ask, traced};

testing::helper!(|args| support::helper::answer(args, scenarios::run));

/// Starts a program that lists its descriptors. Each place is like `red@3`, with a star if that descriptor is
/// close-on-exec; each move is like `3>4`.
#[track_caller]
fn pass(places: &str, moves: &str) -> Answer {
    let answer = spawn("self", places, moves, &["inherited"]);
    started(&answer);
    answer
}

/// Lets the helper call `spawn`.
#[track_caller]
fn spawn(program: &str, places: &str, moves: &str, args: &[&str]) -> Answer {
    let answer = ask(&[&["run", "pass", program, places, moves], args].concat());
    let escaped = answer.lines("escaped").next();
    assert!(
        escaped.is_none(),
        "the child of the fork returned from `spawn`, with {}, so two processes run the caller's code now. The child \
         must call `execve` or `_exit`",
        escaped.unwrap_or_default()
    );
    assert!(
        answer.lines("handlers").next().is_none(),
        "the child ran the caller's exit handlers: `exit` runs them and flushes buffers, and the child has copies of both. \
         Call `libc::_exit`"
    );
    answer
}

#[track_caller]
fn started(answer: &Answer) {
    let seen = &answer.0;
    assert_eq!(answer.line("result"), "Ok", "`spawn` did not start the program:\n{seen}");
    assert_eq!(answer.line("status"), "exited with 0", "the program did not exit 0:\n{seen}");
}

/// Checks that the program had these descriptors, each like `4 red`, and no others beside 1 and 2. The helper adds a pair
/// for each of these two to every list, because the program reports through them.
#[track_caller]
fn arrived(answer: &Answer, wanted: &[&str], meaning: &str) {
    let mut seen = inherited(answer);
    seen.retain(|line| !line.starts_with("1 ") && !line.starts_with("2 "));
    let wanted_words = wanted.join(", ");
    let seen_words = if seen.is_empty() { "none".into() } else { seen.join(", ") };
    assert!(
        wanted.iter().all(|line| seen.iter().any(|other| other == line)),
        "the program should have the descriptors {wanted_words}, and has {seen_words}: {meaning}"
    );
    assert!(
        seen == wanted,
        "the program should have only the descriptors {wanted_words}, and has {seen_words}. The caller's inheritable \
         descriptors leak into the program unless the child sets close-on-exec on them"
    );
}

/// The program's descriptors: `4 red` for one that the helper opened, `1 pipe:[8812]` for any other.
fn inherited(answer: &Answer) -> Vec<String> {
    let lines = answer.0.lines().filter(|line| line.starts_with(|first: char| first.is_ascii_digit()));
    let short = |line: &str| {
        let mut words = line.split(' ');
        let (number, target) = (words.next()?, words.nth(1)?);
        Some(format!("{number} {}", target.trim_start_matches("/memfd:")))
    };
    lines.filter_map(short).collect()
}

const CLOBBERED: &str =
    "dup2 overwrote a source before it was copied. First copy every source to a number above all targets";

#[test]
fn each_descriptor_arrives_at_its_number() {
    testing::needs!(descriptors(256));
    arrived(&pass("red@10* blue@11*", "10>3 11>4"), &["3 red", "4 blue"], "`spawn` skipped a pair");
    let meaning = "a copy was made at the target itself, and dup2 does nothing if both numbers are equal";
    arrived(&pass("red@10*", "10>50"), &["50 red"], meaning);
}

#[test]
fn two_numbers_can_be_swapped() {
    testing::needs!(descriptors(256));
    arrived(&pass("red@3* blue@4*", "3>4 4>3"), &["3 blue", "4 red"], CLOBBERED);
}

#[test]
fn numbers_can_overlap() {
    testing::needs!(descriptors(256));
    arrived(&pass("red@3* blue@4* green@5*", "3>4 4>5 5>6"), &["4 red", "5 blue", "6 green"], CLOBBERED);
    arrived(&pass("red@3* blue@4* green@5*", "3>5 5>4 4>3"), &["3 blue", "4 green", "5 red"], CLOBBERED);
}

#[test]
fn a_descriptor_already_at_its_number_stays_open() {
    testing::needs!(descriptors(256));
    let meaning = "dup2 does nothing if both numbers are equal, so close-on-exec stays set";
    arrived(&pass("red@5*", "5>5"), &["5 red"], meaning);
}

#[test]
fn one_source_can_go_to_two_numbers() {
    testing::needs!(descriptors(256));
    arrived(&pass("red@3*", "3>7 3>8"), &["7 red", "8 red"], "a later pair may use the same source again");
    arrived(&pass("red@3* blue@9*", "3>3 3>9 9>4"), &["3 red", "4 blue", "9 red"], CLOBBERED);
}

#[test]
fn a_standard_stream_can_be_replaced() {
    testing::needs!(descriptors(256));
    arrived(&pass("red@5*", "5>0"), &["0 red"], "0 is a valid target");
}

#[test]
fn nothing_else_is_inherited() {
    testing::needs!(descriptors(256));
    let meaning = "the chosen descriptor did not arrive";
    arrived(&pass("red@3 blue@9 green@200", "3>5"), &["5 red"], meaning);
}

#[test]
fn the_standard_streams_are_not_inherited_either() {
    testing::needs!(descriptors(256));
    let refused = traced("close_range=ENOSYS", &["pass", "self", "", "", "inherited-to", "5"]);
    for answer in [Some(spawn("self", "", "", &["inherited-to", "5"])), refused].into_iter().flatten() {
        started(&answer);
        let seen = inherited(&answer);
        assert!(
            seen.len() == 1 && seen[0].starts_with("5 "),
            "the caller chose number 5 and no other, and the program has {}. 0, 1 and 2 are descriptors like any other: the \
             child sets close-on-exec on all, from 0 up",
            seen.join(", ")
        );
    }
}

#[test]
fn without_close_range_nothing_else_is_inherited() {
    testing::needs!(descriptors(256));
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit can be read");
    let places = format!("red@3* blue@4* stray@9 high@{}", if hard < 2000 { 200 } else { 1500 });
    for kernel in ["close_range=ENOSYS", "close_range=EPERM", "close_range=EINVAL"] {
        let scenario = ["pass", "self", &places, "3>4 4>3", "inherited"];
        let Some(answer) = traced(kernel, &scenario) else { return };
        started(&answer);
        arrived(
            &answer,
            &["3 blue", "4 red"],
            &format!("with {kernel}, `spawn` has to set close-on-exec on each descriptor with F_SETFD"),
        );
    }
}

#[test]
fn what_spawn_opens_is_close_on_exec_from_the_start() {
    testing::needs!(descriptors(256));
    let Some(answer) = traced("as-it-is", &["pass", "self", "red@3*", "3>4", "inherited"]) else { return };
    started(&answer);
    // dup2 onto a target is the one call that should leave the flag clear.
    let leaky = answer.lines("call").find(|call| call.contains(" no-cloexec") && !call.starts_with("dup2 "));
    assert!(
        leaky.is_none(),
        "`spawn` called `{}`. If another thread forks and execs at that moment, its program inherits this descriptor. \
         Use a call that sets close-on-exec, such as `crate::open::pipe`",
        leaky.unwrap_or_default()
    );
}

#[test]
fn the_callers_descriptors_do_not_change() {
    testing::needs!(descriptors(256));
    for program in ["self", "/proc/self/no-such-program"] {
        let answer = spawn(program, "red@3* blue@4 green@9", "3>4 4>3 9>9", &["inherited"]);
        assert_eq!(
            answer.line("table"),
            "same",
            "`spawn` changed its caller's descriptors. Copy and move descriptors in the child, after the fork, and close \
             both ends of the pipe in the caller"
        );
    }
}

#[test]
fn arguments_and_environment_arrive() {
    testing::needs!(descriptors(256));
    let answer = spawn("self", "", "", &["arguments", "two words", ""]);
    started(&answer);
    let arguments: Vec<&str> = answer.lines("argument").collect();
    let [program, "--helper", "arguments", "two words", ""] = arguments[..] else {
        panic!("the program should get its path and four arguments, and got {arguments:?}");
    };
    let own = std::env::current_exe().expect("a program that runs has a path");
    assert_eq!(own, Path::new(program), "argv[0] should be the program's path, and is {program}");
    assert_eq!(answer.line("variable"), "it is here", "the program did not get the caller's environment");
}

/// In the program, SIGPIPE is not ignored, and SIGUSR1 is not blocked.
#[track_caller]
fn has_default_signals(answer: &Answer, kernel: &str) {
    started(answer);
    // /proc/self/status has a line for the ignored signals and one for the blocked ones, with a bit for each signal.
    for (what, number) in [("SigIgn:", SIGPIPE), ("SigBlk:", SIGUSR1)] {
        let mask = answer.0.lines().find_map(|line| line.strip_prefix(what)).unwrap_or_default().trim();
        let set = u64::from_str_radix(mask, 16).expect("a mask is hexadecimal") & (1 << (number - 1)) != 0;
        assert!(
            !set,
            "in the program{kernel} {what} {mask} contains signal {number}. Ignored and blocked signals survive \
             execve, so reset them before it"
        );
    }
}

#[test]
fn the_program_starts_with_default_signals() {
    testing::needs!(descriptors(256));
    has_default_signals(&spawn("self", "", "", &["signals"]), "");
}

#[test]
fn without_close_range_the_program_starts_with_default_signals() {
    testing::needs!(descriptors(256));
    let answer = traced("close_range=ENOSYS", &["pass", "self", "", "", "signals"]);
    let Some(answer) = answer else { return };
    has_default_signals(&answer, ", on a kernel without close_range,");
}

/// The signals that the program ignores, a bit for each.
#[track_caller]
fn ignored() -> u64 {
    let answer = spawn("self", "", "", &["signals"]);
    started(&answer);
    let mask = answer.0.lines().find_map(|line| line.strip_prefix("SigIgn:")).unwrap_or_default().trim();
    u64::from_str_radix(mask, 16).expect("a mask is hexadecimal")
}

#[test]
fn the_caller_ignores_sigpipe_all_the_time() {
    testing::needs!(descriptors(256));
    for program in ["self", "/proc/self/no-such-program"] {
        let answer = spawn(program, "", "", &["inherited"]);
        assert_eq!(
            answer.line("sigpipe"),
            "ignored",
            "`spawn` gave SIGPIPE its default action in the caller. An action belongs to the process: if another thread writes \
             to a broken pipe meanwhile, SIGPIPE kills the caller. Reset it in the child, after the fork"
        );
    }
}

#[test]
fn other_ignored_signals_stay_ignored() {
    testing::needs!(descriptors(256));
    let ignored = ignored();
    for (name, number) in
        [("SIGUSR2", SIGUSR2), ("SIGINT", SIGINT), ("SIGQUIT", SIGQUIT), ("SIGXFSZ", SIGXFSZ)]
    {
        assert!(
            ignored & (1 << (number - 1)) != 0,
            "the caller ignored {name}, and the program does not. exec keeps ignored signals, and programs such as nohup \
             depend on it: give the default action only to signals that have a handler, and to SIGPIPE"
        );
    }
}

#[test]
fn a_signal_before_exec_runs_no_handler() {
    testing::needs!(descriptors(256));
    for number in [SIGTERM, SIGRTMIN()] {
        let answer = ask(&["run", "pass-signal", &number.to_string()]);
        assert!(
            answer.lines("handled").next().is_none(),
            "signal {number} came between fork and exec, and the child ran its caller's handler, so the program will never \
             know of the signal. Block all signals before the fork, and unblock them in the child when no signal has a \
             handler: `process::signals::Blocked`"
        );
        assert_eq!(
            answer.line("result"),
            "Ok",
            "a signal is no failure of `spawn`: the program was started, and killed"
        );
        let status = answer.line("status");
        assert!(
            !status.starts_with("exited") && (number != SIGTERM || status == "killed by SIGTERM"),
            "signal {number} came between fork and exec. It should kill the program, because that is its default action, and \
             the program's status is “{status}”"
        );
    }
}

#[test]
fn the_callers_mask_does_not_change() {
    testing::needs!(descriptors(256));
    for program in ["self", "/proc/self/no-such-program"] {
        let answer = spawn(program, "", "", &["inherited"]);
        assert_eq!(
            answer.line("mask"),
            "SIGUSR1",
            "the caller blocked SIGUSR1 and no other signal before `spawn`, and afterwards its mask is another one"
        );
    }
}

#[test]
fn interrupted_calls_are_made_again() {
    testing::needs!(descriptors(256));
    let Some(answer) = traced("interrupts", &["pass", "/proc/self/no-such-program", "red@3", "3>4"]) else {
        return;
    };
    let result = answer.line("result");
    assert!(
        result.starts_with("Err ENOENT "),
        "signals interrupted 200 reads of the error pipe (EINTR), and `spawn` returned `{result}` instead of ENOENT: read again, \
         as often as it takes"
    );
    assert_eq!(
        answer.line("children"),
        "none",
        "signals interrupted 200 waits for the child that failed (EINTR), and `spawn` left the child: wait again, as often as \
         it takes"
    );
}

#[test]
fn the_child_does_not_allocate() {
    testing::needs!(descriptors(256));
    let start = |program| spawn(program, "red@3* blue@4", "3>4 4>3", &["inherited"]);
    does_not_allocate(&start("self"), "");
    does_not_allocate(&start("/proc/self/no-such-program"), " to report that execve failed");
    let scenario = ["pass", "self", "red@3* blue@4", "3>4 4>3", "inherited"];
    let Some(answer) = traced("close_range=ENOSYS", &scenario) else { return };
    does_not_allocate(&answer, " where the kernel lacks close_range");
}

#[track_caller]
fn does_not_allocate(answer: &Answer, when: &str) {
    assert_eq!(
        answer.line("allocated"),
        "no",
        "the child used the memory allocator between fork and exec{when}. If another thread of the caller held the \
         allocator's lock at the fork, the child would wait forever. Build everything before the fork: vectors, strings, \
         the list of the open descriptors. `format!` and `Error::on` allocate, too"
    );
}

#[test]
fn an_exec_failure_is_returned_to_the_caller() {
    testing::needs!(descriptors(256));
    for (program, errno) in [("/proc/self/no-such-program", "ENOENT"), ("/dev/null", "EACCES")] {
        let answer = spawn(program, "red@3*", "3>4", &[]);
        let result = answer.line("result");
        assert!(
            result.starts_with(&format!("Err {errno} ")) && result.contains(program),
            "{program} cannot be started, and `spawn` returned `{result}` instead of {errno}. The child has to send \
             the errno of execve to the caller, through a pipe that a successful execve closes"
        );
    }
}

#[test]
fn each_step_that_fails_is_returned_and_named() {
    testing::needs!(descriptors(256));
    for (kernel, program, errno, step) in [
        ("F_DUPFD=EMFILE", "self", "EMFILE", "fcntl"),
        ("in-use:close_range=ENOMEM", "self", "ENOMEM", "close_range"),
        ("dup2=EBUSY", "self", "EBUSY", "dup2"),
        ("as-it-is", "/proc/self/no-such-program", "ENOENT", "execve"),
    ] {
        // A child that calls close_range only where the kernel has it makes no such call on another.
        if step == "close_range" && testing::machine::close_range().is_err() {
            continue;
        }
        let scenario = ["pass", program, "red@3* stray@9", "3>4", "inherited"];
        let Some(answer) = traced(kernel, &scenario) else { return };
        let result = answer.line("result");
        assert!(
            result.starts_with(&format!("Err {errno} ")),
            "in the child, {step} failed with {errno}, and `spawn` returned `{result}`. The program must run only with \
             the descriptors that its caller chose: after each call, look for an error, and report it"
        );
        // dup3 would be right, too.
        let named = step.trim_end_matches('2');
        assert!(
            result.starts_with(&format!("Err {errno} {named}")),
            "in the child, {step} failed with {errno}, and `spawn` returned `{result}`: the error names another call. \
             Report which step failed, beside the errno"
        );
        assert_eq!(answer.line("children"), "none", "{step} failed, and `spawn` left the child");
        does_not_allocate(&answer, &format!(" to report that {step} failed"));
    }
}

#[test]
fn only_a_refusal_of_close_range_is_worked_around() {
    testing::needs!(descriptors(256));
    for (kernel, errno) in [("close_range=ENOMEM", "ENOMEM"), ("F_SETFD=EPERM", "EPERM")] {
        let scenario = ["pass", "self", "red@3* stray@9", "3>4", "inherited"];
        let Some(answer) = traced(kernel, &scenario) else { return };
        let result = answer.line("result");
        assert!(
            result.starts_with(&format!("Err {errno} ")),
            "with {kernel}, `spawn` returned `{result}`. ENOSYS, EPERM and EINVAL of close_range say that the kernel lacks \
             it; any other error goes to the caller, and so does an error of F_SETFD other than EBADF"
        );
    }
}

#[test]
fn an_error_of_the_fallback_names_its_call() {
    testing::needs!(descriptors(256));
    for (kernel, errno, names, failed) in [
        (
            "close_range=ENOMEM",
            "ENOMEM",
            ["close_range"; 2],
            "close_range failed, and not because the kernel lacks it",
        ),
        ("F_SETFD=EPERM", "EPERM", ["fcntl(F_SETFD)", "ioctl"], "without close_range, fcntl(F_SETFD) failed"),
        ("no-proc", "ENOENT", ["/proc/self/fd"; 2], "without close_range, /proc/self/fd could not be opened"),
    ] {
        let scenario = ["pass", "self", "red@3* stray@9", "3>4", "inherited"];
        let Some(answer) = traced(kernel, &scenario) else { return };
        let result = answer.line("result");
        assert!(
            result.starts_with(&format!("Err {errno} ")),
            "{failed} ({errno}), and `spawn` returned `{result}`. Return the error: the program would inherit what its caller \
             did not choose"
        );
        assert!(
            names.iter().any(|name| result.contains(name)),
            "{failed} ({errno}), and `spawn` returned `{result}`: the error names another call. The caller would take ENOENT, \
             for example, for a program that does not exist"
        );
    }
}

#[test]
fn no_zombie_remains_after_a_failure() {
    testing::needs!(descriptors(256));
    let answer = spawn("/proc/self/no-such-program", "red@3*", "3>4", &[]);
    let children = answer.line("children");
    assert_eq!(
        children, "none",
        "`spawn` failed and left a child. The caller got no pid, so it cannot wait for the child; `spawn` has to"
    );
}

#[test]
fn an_ignored_sigchld_hides_no_errno() {
    testing::needs!(descriptors(256));
    let answer = ask(&["run", "pass-ignoring-sigchld"]);
    let result = answer.line("result");
    assert!(
        result.starts_with("Err ENOENT "),
        "the caller ignores SIGCHLD, so the kernel keeps no record of the child that could not call execve, and waitpid \
         fails with ECHILD when the child has exited. `spawn` returned `{result}` instead of ENOENT: return the errno that \
         the child sent, whatever waitpid says"
    );
    assert_eq!(answer.line("children"), "none", "`spawn` failed and left a child");
}

#[test]
fn a_target_on_the_pipes_number_does_not_lose_the_errno() {
    testing::needs!(descriptors(256));
    // Since 3 is taken, the pipe for the errno gets two of the next numbers.
    let answer = spawn("/proc/self/no-such-program", "red@3*", "3>4 3>5 3>6 3>7 3>8 3>9", &[]);
    let result = answer.line("result");
    assert!(
        result.starts_with("Err ENOENT "),
        "`spawn` returned `{result}` instead of ENOENT: dup2 overwrote the pipe that should carry the errno. Copy the \
         pipe to a number above all targets, too"
    );
}

#[test]
fn bad_input_is_an_error_and_starts_no_child() {
    testing::needs!(descriptors(256));
    for (program, moves, arg) in [
        // A number twice, a negative number, a number without room above it, and NUL bytes, which are written as `%`.
        ("self", "3>7 4>7", "inherited"),
        ("self", "3>-1", "inherited"),
        ("self", "3>2147483647", "inherited"),
        ("/bin/%sh", "3>3", "inherited"),
        ("self", "3>3", "in%herited"),
    ] {
        let answer = spawn(program, "red@3 blue@4", moves, &[arg]);
        let seen = format!("{program} {moves} {arg}:\n{}", answer.0);
        assert!(answer.line("result").starts_with("Err"), "`spawn` accepted bad input: {seen}");
        assert!(answer.line("result").starts_with("Err EINVAL "), "bad input is EINVAL: {seen}");
        assert_eq!(answer.line("children"), "none", "`spawn` left a child: {seen}");
        assert_eq!(answer.line("table"), "same", "`spawn` leaked or closed a descriptor: {seen}");
    }
}

#[test]
fn a_failed_fork_leaves_everything_as_it_was() {
    testing::needs!(descriptors(256));
    for errno in ["EAGAIN", "ENOMEM"] {
        let kernel = ["fork", "vfork", "clone", "clone3"].map(|call| format!("{call}={errno}")).join(",");
        let Some(answer) = traced(&kernel, &["pass", "self", "red@3*", "3>4", "inherited"]) else { return };
        let result = answer.line("result");
        assert!(
            result.starts_with(&format!("Err {errno} ")),
            "the kernel refused to fork with {errno}, and `spawn` returned `{result}`. Return the errno of fork"
        );
        assert_eq!(answer.line("table"), "same", "fork failed, and `spawn` left an end of its pipe open");
        assert_eq!(
            answer.line("mask"),
            "SIGUSR1",
            "fork failed, and `spawn` left its caller with other blocked signals than before. Restore the mask on every way \
             out"
        );
    }
}

#[test]
fn another_child_is_left_to_its_parent() {
    let answer = ask(&["run", "pass-beside-a-child"]);
    assert_eq!(answer.line("failed"), "true", "there is no such program");
    assert_eq!(
        answer.line("other"),
        "Ok(true)",
        "the caller has another child, which has exited, and `spawn` waited for that one. Wait for the pid that fork returned"
    );
}

#[test]
fn each_number_is_judged() {
    testing::needs!(descriptors(256));
    for moves in ["3>7 4>8 3>7", "3>7 3>7", "3>-2", "3>-2147483648 4>5"] {
        let answer = spawn("self", "red@3 blue@4", moves, &["inherited"]);
        let result = answer.line("result");
        assert!(
            result.starts_with("Err EINVAL "),
            "with the moves {moves}, `spawn` returned `{result}`. Any negative number is EINVAL, and so is a number that \
             is chosen twice, wherever in the list"
        );
        assert_eq!(answer.line("children"), "none", "`spawn` refused {moves}, and left a child");
    }
}

#[test]
fn any_number_of_descriptors_is_passed() {
    testing::needs!(descriptors(256));
    let moves: Vec<String> = (10..90).map(|number| format!("3>{number}")).collect();
    let wanted: Vec<String> = (10..90).map(|number| format!("{number} red")).collect();
    let wanted: Vec<&str> = wanted.iter().map(String::as_str).collect();
    let answer = pass("red@3*", &moves.join(" "));
    arrived(
        &answer,
        &wanted,
        "the list may have any length, here 80 pairs: make the vectors as long as the list, before the fork",
    );
}

#[test]
fn a_descriptor_that_is_closed_when_its_turn_comes_is_no_error() {
    testing::needs!(descriptors(256));
    // The descriptor that read the list is in the list. With a target as high as this one, no copy takes its number.
    let scenario = ["pass", "self", "red@3* stray@9 high@90", "3>60", "inherited"];
    let Some(answer) = traced("close_range=ENOSYS", &scenario) else { return };
    started(&answer);
    arrived(
        &answer,
        &["60 red"],
        "if a listed descriptor is closed by now (EBADF), go on with the rest of the list",
    );
}

#[test]
fn ignored_realtime_signals_stay_ignored() {
    testing::needs!(descriptors(256));
    let ignored = ignored();
    assert!(
        ignored & (1 << SIGRTMIN()) != 0,
        "the caller ignored the signal SIGRTMIN+1, and the program does not. Only SIGPIPE gets its default action"
    );
}
