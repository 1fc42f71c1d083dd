//! Each diff in `breaks/` breaks the small loop in one way, and exactly one test of `small_loop` fails. The book prints the
//! diffs.
//!
//! All broken loops and their tests are the modules of one generated program, so that it is compiled once.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use mistakes::edit;

// The programs that are started inherit them.
testing::begin!();

const SOURCE: &str = include_str!("../src/small_loop.rs");
const TESTS: &str = include_str!("small_loop.rs");

/// A broken loop: the name of its diff, the test that fails, and what the test says.
const BREAKS: [(&str, &str, &str); 8] = [
    (
        "runs_callbacks_until_the_queue_is_empty",
        "a_callback_that_a_callback_adds_runs_after_the_handlers_of_this_iteration",
        "the loop must call its handlers before it runs a callback that was added in the same iteration",
    ),
    (
        "runs_timers_while_one_is_due",
        "a_timer_that_a_timer_adds_runs_after_the_handlers_of_this_iteration",
        "the loop must call its handlers before it runs a timer that was added while timers ran",
    ),
    (
        "takes_the_callbacks_of_due_timers",
        "a_timer_can_cancel_a_timer_that_is_due_too",
        "a timer ran although an earlier one had canceled it",
    ),
    (
        "leaves_a_tombstone",
        "canceling_a_timer_drops_what_its_callback_holds",
        "a canceled timer still holds what its callback captured. It must let go at once",
    ),
    (
        "sleeps_whole_milliseconds",
        "the_last_millisecond_is_one_sleep",
        "poll must sleep until the deadline is reached",
    ),
    (
        "uses_a_number_again",
        "a_new_handler_gets_no_event_of_a_removed_one",
        "a new handler got the event of the handler that was removed: its pipe is empty",
    ),
    (
        "calls_the_handlers_of_the_snapshot",
        "a_handler_that_was_removed_gets_no_event_of_the_same_iteration",
        "a handler was called after another handler had removed it",
    ),
    (
        "puts_a_handler_back_after_its_call",
        "a_handler_that_removes_itself_is_not_called_again",
        "a handler that had removed itself was called again",
    ),
];

/// The diff that the compiler refuses, and the compiler's words.
const REFUSED: (&str, &str) = ("reads_the_wall_clock", "expected `SystemTime`, found `Instant`");

fn here() -> PathBuf {
    fs::canonicalize(".").expect("the folder of this crate")
}

fn broken(name: &str) -> String {
    let path = here().join(format!("breaks/{name}.diff"));
    let diff = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let hunks = edit::hunks(&diff).unwrap_or_else(|wrong| panic!("{name}: {wrong}"));
    // Without the comments at the ends of lines, such as the chapters.
    let without = |line| str::split(line, " // ").next().unwrap_or_default().trim_end();
    let source: String = SOURCE.lines().map(without).flat_map(|line| [line, "\n"]).collect();
    edit::apply(&hunks, &source).unwrap_or_else(|wrong| panic!("{name}: {wrong}"))
}

/// A package with a test program for each of these roots: for each name in a root, a module with the loop that this
/// diff broke, and the tests.
fn package(roots: &[(&str, &[&str])]) -> PathBuf {
    let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("small_loop_breaks");
    let folder = here();
    let crates = folder.parent().expect("`crates`");
    let write = |path: &str, text: String| {
        let path = root.join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("the folder can be made");
        // A file that is the same stays, so that cargo does not compile it again.
        if fs::read_to_string(&path).ok().as_ref() != Some(&text) {
            fs::write(path, text).expect("the file can be written");
        }
    };
    let waker = crates.join("waker");
    write(
        "Cargo.toml",
        format!(
            "[package]\nname = \"breaks\"\nedition = \"2024\"\n[workspace]\n[dependencies]\n\
             nix = {{ version = \"*\", features = [\"poll\", \"fs\"] }}\nwaker = {{ path = {waker:?} }}\n"
        ),
    );
    write("src/lib.rs", String::new());
    // Without a lock file of its own, cargo would choose versions.
    let locked = fs::read_to_string(here().join("../../Cargo.lock")).expect("the lock file");
    if !root.join("Cargo.lock").exists() {
        write("Cargo.lock", locked);
    }
    let tests = TESTS.replace("stages::small_loop", "super::small_loop");
    for (program, names) in roots {
        let mut main = String::new();
        for name in *names {
            write(&format!("tests/{program}/{name}/small_loop.rs"), broken(name));
            write(&format!("tests/{program}/{name}/tests.rs"), tests.clone());
            main += &format!("mod {name} {{ pub mod small_loop; mod tests; }}\n");
        }
        write(&format!("tests/{program}/main.rs"), main);
    }
    root
}

fn cargo(package: &Path, program: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(package).args(["test", "-q", "--offline", "--test", program]).args(arguments);
    // As the workspace's own: a reader's RUSTFLAGS stay.
    command.env("CARGO_TARGET_DIR", package.join("target")).stdin(Stdio::null());
    command.output().expect("cargo runs")
}

#[test]
fn each_break_fails_exactly_its_test() {
    let names = BREAKS.map(|(name, ..)| name);
    let package = package(&[("broken", &names), ("refused", &[REFUSED.0])]);
    let output = cargo(&package, "broken", &["--", "--color", "never"]);
    let said = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    for (name, test, message) in BREAKS {
        // libtest lists the tests that failed last, one a line.
        let (_, list) =
            said.rsplit_once("failures:\n").unwrap_or_else(|| panic!("no test failed:\n{said}{errors}"));
        let start = format!("{name}::tests::");
        let failed: Vec<&str> = list.lines().filter_map(|line| line.trim().strip_prefix(&start)).collect();
        assert_eq!(failed, [test], "{name} fails other tests:\n{said}");
        let (_, section) = said
            .split_once(&format!("---- {start}{test} stdout ----\n"))
            .unwrap_or_else(|| panic!("no word of {name}:\n{said}"));
        let section = section.split("\n---- ").next().unwrap_or_default();
        assert!(section.contains(message), "{name} lacks «{message}»:\n{section}");
    }

    let output = cargo(&package, "refused", &["--no-run"]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && errors.contains(REFUSED.1), "«{}» is not said:\n{errors}", REFUSED.1);
}

#[test]
fn each_diff_is_proved() {
    let files = fs::read_dir(here().join("breaks")).expect("the folder");
    let mut files: Vec<String> = files
        .map(|file| file.expect("an entry").path())
        .map(|path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned())
        .collect();
    let mut proved: Vec<String> = BREAKS.map(|(name, ..)| name.to_owned()).to_vec();
    proved.push(REFUSED.0.to_owned());
    files.sort();
    proved.sort();
    assert_eq!(files, proved, "the diffs, and those that this test tries");
}
