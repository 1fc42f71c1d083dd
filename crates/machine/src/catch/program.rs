//! The program of an exercise: it calls the tests that its arguments name, on the wrong answer whose name it was started by. The
//! tests' helper is that program again.

use std::path::PathBuf;

use anyhow::{Context, Result};
use mistakes::Mistake;
use toml::{Table, Value};

use super::asked::Exercise;

/// The program with the wrong answers of an exercise.
pub struct Program {
    /// The exercise, and what is asked about it.
    pub exercise: Exercise,
    /// The program. It runs the tests that its arguments name, on the wrong answer whose name it has.
    pub file: PathBuf,
}

/// The manifest of an exercise's program.
///
/// # Errors
/// When it is no TOML.
pub fn manifest(exercise: &Exercise) -> Result<String> {
    let wrong = |(number, mistake): (usize, &Mistake)| {
        let package = exercise.package(mistake);
        let features = vec!["check".to_owned(), format!("mine-{}", exercise.module)];
        let dependency = Table::from_iter([
            ("package".to_owned(), Value::from(package.clone())),
            ("path".to_owned(), format!("../../wrong/{package}").into()),
            ("features".to_owned(), features.into()),
        ]);
        (format!("wrong{number}"), Value::from(dependency))
    };
    let dependencies: Table = exercise.asked.iter().enumerate().map(wrong).collect();
    let text = format!(
        "[package]\nname = \"{}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[dependencies]\n\
         serde_json.workspace = true\ntesting = {{ path = \"../../crates/testing\" }}\n",
        exercise.id()
    );
    let mut manifest: Table = text.parse()?;
    manifest
        .get_mut("dependencies")
        .and_then(Value::as_table_mut)
        .context("no dependencies")?
        .extend(dependencies);
    Ok(toml::to_string(&manifest)?)
}

/// The program of an exercise: a line of JSON for each test that it ran, with what the test said if it failed.
pub fn main_of(exercise: &Exercise) -> String {
    let arms = |what: &dyn Fn(usize) -> String| {
        let arm =
            |(number, mistake)| format!("        {:?} => {},\n", exercise.package(mistake), what(number));
        exercise.asked.iter().enumerate().map(arm).collect::<String>()
    };
    let calls = |number: usize| {
        let tests = exercise.tests();
        let call = |test: &&str| format!("({test:?}, wrong{number}::t::{test} as fn())");
        format!("&[{}]", tests.iter().map(call).collect::<Vec<_>>().join(", "))
    };
    format!(
        "{MAIN}\nfn helper(args: &[&str]) -> i32 {{\n    match &*name() {{\n{}        _ => 2,\n    }}\n}}\n\n\
         fn tests() -> &'static [(&'static str, fn())] {{\n    match &*name() {{\n{}        _ => &[],\n    }}\n}}\n",
        arms(&|number| format!("wrong{number}::t::asked_helper(args)")),
        arms(&calls),
    )
}

const MAIN: &str = r#"//! Runs the tests that its arguments name, on the wrong answer whose name it has.
use std::process::ExitCode;
use std::{env, panic, thread};

testing::before_main!(testing::before_main(helper));

fn name() -> String {
    let program = env::args().next().unwrap_or_default();
    program.rsplit('/').next().unwrap_or_default().to_owned()
}

fn main() -> ExitCode {
    panic::set_hook(Box::new(|_| {}));
    for asked in env::args().skip(1) {
        let Some(&(test, run)) = tests().iter().find(|(test, _)| *test == asked) else {
            eprintln!("there is no test {asked}");
            return ExitCode::from(2);
        };
        let ended = thread::Builder::new().name(test.to_owned()).spawn(run).expect("a thread").join();
        let said = ended.err().map(|panic| match panic.downcast::<String>() {
            Ok(said) => *said,
            Err(panic) => panic.downcast_ref::<&str>().copied().unwrap_or("it failed without a word").to_owned(),
        });
        println!("{}", serde_json::json!({ "kind": "test", "test": test, "said": said }));
    }
    ExitCode::SUCCESS
}
"#;
