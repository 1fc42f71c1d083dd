//! Exercise `cloexec/pass`: what the program that was started must show.
//!
//! `spawn` is called in the helper, which has one thread, and nothing open but what it put at chosen
//! numbers. It starts itself, to list what it was born with.

mod support;

use std::path::Path;

use nix::libc::{SIGPIPE, SIGUSR1};
use support::{Answer, ask, traced};

/// Start a program that lists what it was born with. Each place is like `red@3`, with a star if that is
/// close-on-exec; each move is like `3>4`.
#[track_caller]
fn pass(places: &str, moves: &str) -> Answer {
    let answer = spawn("self", places, moves, &["born-with"]);
    started(&answer);
    answer
}

/// Have the helper call `spawn`.
#[track_caller]
fn spawn(program: &str, places: &str, moves: &str, args: &[&str]) -> Answer {
    let answer = ask(&[&["run", "pass", program, places, moves], args].concat());
    let escaped = answer.lines("escaped").next();
    assert!(
        escaped.is_none(),
        "the child of the fork came back out of `spawn`, with {}: now two processes run the caller's code. The child \
         ends in `execve` or in `_exit`",
        escaped.unwrap_or_default()
    );
    answer
}

#[track_caller]
fn started(answer: &Answer) {
    let seen = &answer.0;
    assert_eq!(answer.line("result"), "Ok", "the program was not started:\n{seen}");
    assert_eq!(answer.line("status"), "exited with 0", "the child ended before it was the program:\n{seen}");
}

/// The program had these above its standard streams, each like `4 red`, and nothing else.
#[track_caller]
fn arrived(answer: &Answer, wanted: &[&str], meaning: &str) {
    let mut seen = born(answer);
    seen.retain(|line| !line.starts_with("1 ") && !line.starts_with("2 "));
    let wanted_words = wanted.join(", ");
    let seen_words = if seen.is_empty() { "none of that".into() } else { seen.join(", ") };
    assert!(
        wanted.iter().all(|line| seen.iter().any(|other| other == line)),
        "the program was to have {wanted_words}, and was born with {seen_words}: {meaning}"
    );
    assert!(
        seen == wanted,
        "the program was to have {wanted_words} and nothing else, and was born with {seen_words}: whatever the \
         caller has open and unmarked leaks into the program unless it is swept"
    );
}

/// `4 red` for what the helper placed, `1 pipe:[8812]` for the rest.
fn born(answer: &Answer) -> Vec<String> {
    let lines = answer.0.lines().filter(|line| line.starts_with(|first: char| first.is_ascii_digit()));
    let short = |line: &str| {
        let mut words = line.split(' ');
        let (number, target) = (words.next()?, words.nth(1)?);
        Some(format!("{number} {}", target.trim_start_matches("/memfd:")))
    };
    lines.filter_map(short).collect()
}

const CLOBBERED: &str = "one landed where another had yet to be taken from. Copies out of the way come first";

#[test]
fn each_descriptor_arrives_at_its_number() {
    arrived(&pass("red@10* blue@11*", "10>3 11>4"), &["3 red", "4 blue"], "not every pair was carried out");
}

#[test]
fn two_numbers_can_be_swapped() {
    arrived(&pass("red@3* blue@4*", "3>4 4>3"), &["3 blue", "4 red"], CLOBBERED);
}

#[test]
fn numbers_can_overlap() {
    arrived(&pass("red@3* blue@4* green@5*", "3>4 4>5 5>6"), &["4 red", "5 blue", "6 green"], CLOBBERED);
    arrived(&pass("red@3* blue@4* green@5*", "3>5 5>4 4>3"), &["3 blue", "4 green", "5 red"], CLOBBERED);
}

#[test]
fn one_that_is_in_place_stays_open() {
    let meaning = "dup2 onto its own number does nothing, and leaves the close-on-exec flag set";
    arrived(&pass("red@5*", "5>5"), &["5 red"], meaning);
}

#[test]
fn one_source_can_go_to_two_numbers() {
    arrived(&pass("red@3*", "3>7 3>8"), &["7 red", "8 red"], "a source may be wanted again");
    arrived(&pass("red@3* blue@9*", "3>3 3>9 9>4"), &["3 red", "4 blue", "9 red"], CLOBBERED);
}

#[test]
fn a_standard_stream_can_be_replaced() {
    arrived(&pass("red@5*", "5>0"), &["0 red"], "0 is a number like any other");
}

#[test]
fn nothing_else_is_inherited() {
    let meaning = "the one that was chosen did not arrive";
    arrived(&pass("red@3 blue@9 green@200", "3>5"), &["5 red"], meaning);
}

#[test]
fn where_close_range_is_refused_nothing_else_is_inherited_either() {
    for kernel in ["close_range=ENOSYS", "close_range=EPERM", "close_range=EINVAL"] {
        let scenario = ["pass", "self", "red@3* blue@4* stray@9 high@200", "3>4 4>3", "born-with"];
        let Some(answer) = traced(kernel, &scenario) else { return };
        started(&answer);
        arrived(
            &answer,
            &["3 blue", "4 red"],
            &format!("{kernel} is a kernel where the rest has to be marked one by one"),
        );
    }
}

#[test]
fn the_callers_table_stays_as_it_was() {
    for program in ["self", "/proc/self/no-such-program"] {
        let answer = spawn(program, "red@3* blue@4 green@9", "3>4 4>3 9>9", &["born-with"]);
        assert_eq!(
            answer.line("table"),
            "same",
            "spawn changed its caller's descriptors. What comes before the fork \
             is seen by the caller, and each end of the pipe has to be closed"
        );
    }
}

#[test]
fn arguments_and_environment_arrive() {
    let answer = spawn("self", "", "", &["arguments", "two words", ""]);
    started(&answer);
    let arguments: Vec<&str> = answer.lines("argument").collect();
    let [program, "--helper", "arguments", "two words", ""] = arguments[..] else {
        panic!("the program's own path and four arguments were passed; it has {arguments:?}");
    };
    let own = std::env::current_exe().expect("a program that runs has a path");
    assert_eq!(own, Path::new(program), "argv[0] is the program's path, and was {program}");
    assert_eq!(answer.line("variable"), "it is here", "the environment did not arrive");
}

#[test]
fn the_program_starts_with_default_signals() {
    let answer = spawn("self", "", "", &["signals"]);
    started(&answer);
    for (what, number) in [("SigIgn:", SIGPIPE), ("SigBlk:", SIGUSR1)] {
        let mask = answer.0.lines().find_map(|line| line.strip_prefix(what)).unwrap_or_default().trim();
        let set = u64::from_str_radix(mask, 16).expect("a mask is hexadecimal") & (1 << (number - 1)) != 0;
        assert!(
            !set,
            "{what} {mask} in the program has signal {number}: ignored and blocked signals survive exec"
        );
    }
}

#[test]
fn a_program_that_cannot_be_started_is_an_error() {
    for (program, errno) in [("/proc/self/no-such-program", "ENOENT"), ("/dev/null", "EACCES")] {
        let answer = spawn(program, "red@3*", "3>4", &[]);
        let result = answer.line("result");
        assert!(
            result.starts_with(&format!("Err {errno} ")) && result.contains(program),
            "{program} cannot be started, and the caller hears `{result}` instead of {errno}: what execve answers in \
             the child has to come back to the caller, through a pipe that execve closes"
        );
    }
}

#[test]
fn no_zombie_stays_after_a_failure() {
    let answer = spawn("/proc/self/no-such-program", "red@3*", "3>4", &[]);
    let children = answer.line("children");
    assert_eq!(children, "none", "the caller got no pid, so it cannot wait for the child: spawn has to");
}

#[test]
fn a_target_on_the_pipe_does_not_silence_it() {
    // With 3 taken, the pipe that carries the errno gets two of the next numbers.
    let answer = spawn("/proc/self/no-such-program", "red@3*", "3>4 3>5 3>6 3>7 3>8 3>9", &[]);
    let result = answer.line("result");
    assert!(
        result.starts_with("Err ENOENT "),
        "the caller hears `{result}` instead of ENOENT: a target landed on the number of the pipe that was to carry it"
    );
}

#[test]
fn bad_input_is_an_error_and_leaves_no_child() {
    for (program, moves, arg) in [
        // One number twice, one that none can have, one with no room above it, and NUL bytes.
        ("self", "3>7 4>7", "born-with"),
        ("self", "3>-1", "born-with"),
        ("self", "3>2147483647", "born-with"),
        ("/bin/%sh", "3>3", "born-with"),
        ("self", "3>3", "born%with"),
    ] {
        let answer = spawn(program, "red@3 blue@4", moves, &[arg]);
        let seen = format!("{program} {moves} {arg}:\n{}", answer.0);
        assert!(answer.line("result").starts_with("Err"), "bad input was accepted: {seen}");
        assert_eq!(answer.line("children"), "none", "a child is left: {seen}");
        assert_eq!(answer.line("table"), "same", "a descriptor is left or lost: {seen}");
    }
}
