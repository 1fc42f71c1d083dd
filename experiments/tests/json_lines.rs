//! `--json-lines` prints each row when it happens, whatever becomes of the experiment.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::Value;
use support::{program, run};

mod support;

fn lines(stdout: &str) -> Vec<Value> {
    stdout.lines().map(|line| serde_json::from_str(line).expect("one JSON object a line")).collect()
}

fn of_kind<'a>(lines: &'a [Value], kind: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["kind"] == kind).collect()
}

#[test]
fn the_rows_are_those_of_the_report() {
    let streamed = run(Command::new(program("fd-vanishes")).args(["--json-lines", "--predict", "a"]));
    assert_eq!((streamed.status, streamed.stderr.as_str()), (Some(0), ""));
    let lines = lines(&streamed.stdout);
    let whole = run(Command::new(program("fd-vanishes")).args(["--json", "--predict", "a"])).stdout;
    let whole: Value = serde_json::from_str(&whole).expect("a report");
    // Without the numbers, which are pids and inodes.
    let without_numbers =
        |text: &Value| text.as_str().unwrap_or_default().replace(|c: char| c.is_ascii_digit(), "");
    let rows = |rows: Vec<&Value>, lane: &str| -> Vec<_> {
        rows.iter()
            .map(|row| (row[lane].clone(), row["event"].clone(), without_numbers(&row["text"])))
            .collect()
    };
    let report: Vec<&Value> = whole["timeline"].as_array().expect("a timeline").iter().collect();
    assert_eq!(rows(of_kind(&lines, "note"), "who"), rows(report, "lane"));
    let times: Vec<u64> = of_kind(&lines, "note").iter().filter_map(|row| row["at_us"].as_u64()).collect();
    assert_eq!(
        (times.len(), times[0]),
        (of_kind(&lines, "note").len(), 0),
        "each row has a time, the first one 0"
    );
    assert!(times.is_sorted(), "{times:?}");
    let [verdict] = of_kind(&lines, "verdict")[..] else { panic!("one verdict in {lines:#?}") };
    for (field, name) in [
        ("answer", "observed"),
        ("book", "book"),
        ("because", "because"),
        ("text", "shows"),
        ("facts", "facts"),
    ] {
        assert_eq!(verdict[field], whole[name], "{field}");
    }
    assert_eq!((&verdict["agrees"], &verdict["skipped"]), (&Value::Bool(true), &Value::Null));
    assert!(verdict["kernel"].as_str().is_some_and(|release| release.contains('.')), "{verdict}");
    assert_eq!(lines.last(), Some(&serde_json::json!({ "kind": "end", "status": 0, "cut": false })));
}

#[test]
fn an_experiment_that_cannot_be_asked_is_skipped_with_the_reason() {
    let streamed = run(Command::new("sh")
        .args(["-c", "ulimit -n 100; exec \"$0\" --json-lines"])
        .arg(program("fd-vanishes")));
    let lines = lines(&streamed.stdout);
    assert_eq!(streamed.status, Some(3), "{}", streamed.stderr);
    let [verdict] = of_kind(&lines, "verdict")[..] else { panic!("one verdict in {lines:#?}") };
    assert_eq!(verdict["agrees"], Value::Null);
    assert!(verdict["skipped"].as_str().is_some_and(|why| why.contains("ulimit -n")), "{verdict}");
}

#[test]
fn a_row_comes_before_the_experiment_ends_and_one_that_is_killed_has_a_verdict() {
    let mut command = Command::new(program("server-3"));
    command.arg("--json-lines").stdin(Stdio::null()).stdout(Stdio::piped()).process_group(0);
    let mut child = command.spawn().expect("it starts");
    let mut reader = BufReader::new(child.stdout.take().expect("its output"));
    let mut first = String::new();
    reader.read_line(&mut first).expect("a first row");
    assert_eq!(child.try_wait().expect("it is a child"), None, "it has not ended: {first}");
    let group = Pid::from_raw(child.id().cast_signed());
    let inner =
        std::fs::read_to_string(format!("/proc/{group}/task/{group}/children")).expect("its children");
    let inner: i32 = inner.trim().parse().expect("it has one child");
    nix::sys::signal::kill(Pid::from_raw(inner), Signal::SIGKILL).expect("the experiment is killed");
    let rest: Vec<Value> =
        reader.lines().map(|line| serde_json::from_str(&line.expect("a line")).expect("JSON")).collect();
    let _ = killpg(group, Signal::SIGKILL);
    child.wait().expect("its end");
    let [verdict, end] = &rest[rest.len() - 2..] else { panic!("two lines at least: {rest:?}") };
    assert_eq!((&verdict["kind"], &verdict["agrees"]), (&"verdict".into(), &Value::Bool(false)), "{rest:#?}");
    for why in ["text", "reason"] {
        assert!(verdict[why].as_str().is_some_and(|text| text.contains("SIGKILL")), "{why}: {verdict}");
    }
    assert_eq!(end["status"], Value::Null, "{end}");
}

#[test]
fn a_reader_that_is_gone_ends_the_experiment() {
    let run =
        run(Command::new("sh").args(["-c", "\"$0\" --json-lines | head -n 1"]).arg(program("server-3")));
    assert_eq!(run.stdout.lines().count(), 1, "{}", run.stdout);
    assert_eq!(run.left, Vec::<String>::new(), "no process outlives the run");
}
