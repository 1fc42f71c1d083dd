//! Every experiment, run again: the transcript in the book is what this kernel does, under all conditions that a reader
//! may have.

use std::fmt::Write;
use std::fs::{self, Permissions};
use std::iter;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::thread;

use nix::unistd::geteuid;
use serde_json::Value;
use similar::TextDiff;
use support::{Run, blessing, experiments, program, root, run};

mod support;

/// How many characters fit into the book's column of code.
const WIDEST: usize = 78;

/// How many experiments run at a time. Most of them wait most of the time.
const AT_A_TIME: usize = 2;

/// Run every experiment as `command` says, and compare: nothing may be left of it, and it prints its transcript.
fn compare(command: impl Fn(&str) -> Command + Sync) {
    let experiments = Mutex::new(experiments().into_iter());
    let next = || experiments.lock().ok()?.next();
    let faults = thread::scope(|scope| {
        let work = || {
            let all = iter::from_fn(next);
            all.flat_map(|(name, path)| faults(&name, &path, &mut command(&name))).collect::<Vec<_>>()
        };
        let workers: Vec<_> = (0..AT_A_TIME).map(|_| scope.spawn(work)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("no panic")).collect::<Vec<_>>()
    });
    assert!(faults.is_empty(), "\n{}\njust bless writes new ones", faults.join("\n"));
}

/// The faults of an experiment.
fn faults(name: &str, path: &Path, command: &mut Command) -> Vec<String> {
    let run = run(command);
    let mut faults: Vec<_> = outcome(name, &run).into_iter().collect();
    let written = fs::read_to_string(path).unwrap_or_default();
    if run.status != Some(3) && run.stdout != written {
        let mut diff = format!("{name}: - the transcript {}, + what came out now:\n", short(path));
        let lines = TextDiff::from_lines(&written, &run.stdout);
        let _ = write!(diff, "{}", lines.unified_diff().context_radius(2));
        faults.push(diff);
    }
    faults
}

/// A path from the top of the checkout, as the book writes it.
fn short(path: &Path) -> String {
    path.strip_prefix(root()).unwrap_or(path).display().to_string()
}

/// The fault of a run, whatever it printed. A skip is reported, but is not a fault.
fn outcome(name: &str, run: &Run) -> Option<String> {
    if !run.left.is_empty() {
        return Some(format!("{name}: these processes outlived it: {}", run.left.join(", ")));
    }
    match run.status {
        Some(0) if run.stderr.is_empty() => None,
        Some(0) => Some(format!("{name}: it agrees, but writes to stderr: {}", run.stderr)),
        Some(3) => {
            eprintln!("skipped: {name}: {}", run.stdout.lines().last().unwrap_or_default());
            None
        }
        status => {
            let status = status.map_or("a signal".to_owned(), |status| format!("exit status {status}"));
            Some(format!("{name}: it ended with {status}:\n{}{}", run.stdout, run.stderr))
        }
    }
}

fn plain(name: &str) -> Command {
    let mut command = Command::new(program(name));
    command.arg("--plain");
    command
}

#[test]
fn every_transcript_is_what_this_kernel_does() {
    if !blessing() {
        return compare(plain);
    }
    for (name, path) in experiments() {
        let run = run(&mut plain(&name));
        let fault = outcome(&name, &run);
        assert!(fault.is_none(), "not written: {}", fault.unwrap_or_default());
        if run.status == Some(0) {
            fs::write(&path, run.stdout).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
    }
}

#[test]
fn a_low_limit_and_leaked_descriptors_change_nothing() {
    if blessing() {
        return; // Nothing to compare with until the new ones are written.
    }
    compare(|name| {
        let mut command = Command::new("sh");
        let script = "ulimit -S -n 256 && exec 3</dev/null 5</dev/null 9</dev/null && exec \"$0\" --plain";
        command.args(["-c", script]).arg(program(name));
        command
    });
}

#[test]
fn an_ordinary_user_sees_the_same() {
    if blessing() {
        return;
    }
    if !geteuid().is_root() {
        return eprintln!("skipped: the other tests run as an ordinary user already");
    }
    if Command::new("setpriv").arg("--version").output().is_err() {
        return eprintln!("skipped: setpriv (util-linux) is not installed");
    }
    // Cargo may have built into a folder that only root can enter.
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::set_permissions(&folder, Permissions::from_mode(0o755)).expect("a folder that every user can enter");
    // install(1) copies, because this process forks for other tests meanwhile: a child before its exec would have the
    // copy open for writing, so that running it fails with ETXTBSY, "Text file busy".
    let mut copy = Command::new("install");
    copy.args(["-m", "755", "-t"]).arg(folder.path()).args(experiments().keys().map(|name| program(name)));
    assert!(copy.status().expect("install, of coreutils").success(), "the programs cannot be copied");
    compare(|name| {
        let mut command = Command::new("setpriv");
        command
            .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--"])
            .arg(folder.path().join(name));
        command.arg("--plain").current_dir("/");
        command
    });
}

#[test]
fn rows_fit_into_the_books_column() {
    let mut faults = Vec::new();
    for (name, path) in experiments().into_iter().filter(|_| !blessing()) {
        let text = fs::read_to_string(&path).unwrap_or_default();
        for (i, line) in text.lines().enumerate().filter(|(_, line)| line.chars().count() > WIDEST) {
            let width = line.chars().count();
            faults.push(format!("{name}.txt:{}: {width} characters, {WIDEST} fit: {line}", i + 1));
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn the_report_for_programs_is_well_formed() {
    let mut faults = Vec::new();
    for name in experiments().keys() {
        let run = run(Command::new(program(name)).arg("--json"));
        let outcome = match serde_json::from_str(&run.stdout) {
            Ok(report) => well_formed(name, &run, &report).map_err(|fault| format!("{fault}\n{report:#}")),
            Err(error) => Err(format!("it prints no JSON: {error}\n{}{}", run.stdout, run.stderr)),
        };
        faults.extend(outcome.err().map(|fault| format!("{name} --json: {fault}")));
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

fn well_formed(name: &str, run: &Run, report: &Value) -> Result<(), String> {
    let demand = |holds: bool, what: &str| if holds { Ok(()) } else { Err(what.to_owned()) };
    let texts = |key: &str| -> Vec<&str> {
        report[key].as_array().into_iter().flatten().map(|text| text.as_str().unwrap_or_default()).collect()
    };
    let choices = texts("choices");
    let letter = |key: &str| report[key].as_str().and_then(|text| text.bytes().next());
    let is_choice =
        |letter: Option<u8>| letter.is_some_and(|l| l >= b'a' && usize::from(l - b'a') < choices.len());
    demand(report["name"] == name, "`name` is not the experiment's")?;
    demand(report["question"].as_str().is_some_and(|text| text.ends_with('?')), "`question` asks nothing")?;
    demand(choices.len() >= 2, "`choices` leaves no choice")?;
    demand(choices.iter().all(|choice| choice.ends_with('.')), "`choices` has one that is not a sentence")?;
    demand(is_choice(letter("book")), "`book` is none of the choices")?;
    demand(report["prediction"].is_null(), "`prediction` is set, but no reader was asked")?;
    demand(report["shows"].as_str().is_some_and(|text| text.ends_with('.')), "`shows` is not a sentence")?;
    let facts: Vec<_> = report["facts"].as_array().into_iter().flatten().collect();
    match report["verdict"].as_str() {
        Some("agrees") => {
            demand(run.status == Some(0), "it agrees, but its exit status is not 0")?;
            demand(letter("observed") == letter("book"), "it agrees, but observed something else")?;
            demand(!facts.is_empty(), "it agrees without a fact that was checked")?;
            demand(facts.iter().all(|fact| fact["holds"] == true), "it agrees, but a fact does not hold")?;
            demand(report["reason"].is_null(), "`reason` is set, but it agrees")?;
            let rows: Vec<_> = report["timeline"].as_array().into_iter().flatten().collect();
            demand(!rows.is_empty(), "`timeline` is empty")?;
            let whole = |row: &&Value| {
                ["lane", "text"].iter().all(|key| row[key].as_str().is_some_and(|t| !t.is_empty()))
            };
            demand(rows.iter().all(whole), "`timeline` has a row without lane or text")
        }
        Some("skipped") => {
            demand(run.status == Some(3), "it was skipped, but its exit status is not 3")?;
            demand(
                report["reason"].as_str().is_some_and(|text| !text.is_empty()),
                "it was skipped without a reason",
            )
        }
        _ => Err("this kernel disagrees with the book".to_owned()),
    }
}
