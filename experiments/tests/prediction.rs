//! A prediction is compared with what the kernel did, in the terminal and in JSON.

use std::fs;
use std::process::Command;

use serde_json::Value;
use support::{experiments, program, run};

mod support;

/// Run fd-vanishes with this prediction; its answer is c.
fn predict(letter: &str, format: &str) -> support::Run {
    run(Command::new(program("fd-vanishes")).args([format, "--predict", letter]))
}

#[test]
fn a_wrong_prediction_gets_the_same_sentence_in_json_and_in_text() {
    let report: Value = serde_json::from_str(&predict("a", "--json").stdout).expect("a report in JSON");
    assert_eq!((&report["prediction"], &report["observed"]), (&"a".into(), &"c".into()));
    let because = report["because"].as_str().expect("a sentence on choice a");
    let text = predict("a", "--plain").stdout;
    let one_line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let answer = format!("You predicted a. The kernel did c. {because} The answer is c.");
    assert!(one_line.contains(&answer), "expected {answer:?} in:\n{text}");
}

#[test]
fn a_right_prediction_is_confirmed() {
    let text = predict("c", "--plain").stdout;
    assert!(text.contains("You predicted c, and so it was.\nThe answer is c."), "{text}");
    let report: Value = serde_json::from_str(&predict("c", "--json").stdout).expect("a report in JSON");
    assert!(report["because"].is_null(), "nothing is wrong with choice c: {report:#}");
}

#[test]
fn a_letter_that_is_no_choice_is_wrong_usage() {
    let run = predict("e", "--plain");
    assert_eq!((run.status, run.stdout.as_str()), (Some(2), ""));
    assert!(run.stderr.contains("`e` is none of the letters a to d"), "{}", run.stderr);
}

#[test]
fn every_wrong_choice_says_why_it_is_wrong() {
    let mut faults = Vec::new();
    for (name, path) in experiments() {
        let source = fs::read_to_string(path.with_extension("rs")).expect("an experiment's source");
        let [choices, answers] = ["Choice::new(", ".because("].map(|call| source.matches(call).count());
        if choices < 2 || answers != choices - 1 {
            faults.push(format!(
                "{name}: {choices} choices need an answer each, except the right one: there are {answers} `.because(`"
            ));
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}
