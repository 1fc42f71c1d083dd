//! The workspace in which wrong answers become programs: below `target`, so no build of the book compiles it.
//!
//! Each wrong answer is a copy of its crate, as a package of another name, with the exercise's tests in it. There is no libtest:
//! the tests that are asked about are public functions, and a program for each exercise calls those that its arguments name, on
//! the wrong answer whose name it was started by. The tests' helper is that program again.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use mistakes::Mistake;
use toml::{Table, Value};

use super::asked::Exercise;
use super::source_of;
use crate::digest::files;
use crate::place::{Place, read, write};

/// The crates that the copies depend on, and the helper of the tests.
const CRATES: [&str; 8] =
    ["process", "cloexec", "nonblocking", "waker", "prefork", "ioloop", "httpserver", "testing"];

/// Folders of a crate that its library is not made of.
const LIBRARY: [&str; 2] = ["src", "Cargo.toml"];

/// Bring the workspace at `to` up to date.
///
/// # Errors
/// When a file cannot be read or written, an edit does not fit, or a text that is replaced is not there.
pub fn copy(place: &Place, exercises: &[Exercise], to: &Path) -> Result<()> {
    let mut kept = BTreeSet::new();
    let mut put = |name: String, text: &[u8]| {
        kept.insert(to.join(&name));
        write(&to.join(name), text)
    };
    put("Cargo.toml".to_owned(), workspace(place)?.as_bytes())?;
    put("Cargo.lock".to_owned(), &fs::read(place.root.join("Cargo.lock"))?)?;
    for (name, text) in loom(place)? {
        put(format!("loom/{name}"), &text)?;
    }
    for krate in CRATES {
        for (name, text) in sources(place, krate, &LIBRARY)? {
            let text = if krate == "testing" && name == "src/lib.rs" { helper(&text)? } else { text };
            put(format!("crates/{krate}/{name}"), &text)?;
        }
    }
    for exercise in exercises {
        let parts = [&LIBRARY[..], &["tests", "exercises"]].concat();
        let sources = sources(place, &exercise.krate, &parts)?;
        for mistake in &exercise.asked {
            let package = exercise.package(mistake);
            let answer = exercise.answer(mistake)?;
            for (name, text) in &sources {
                let text = match name.as_str() {
                    "Cargo.toml" => manifest(text, &package)?.into_bytes(),
                    "src/lib.rs" => library(text)?.into_bytes(),
                    _ if *name == format!("exercises/{}.rs", exercise.module) => answer.clone().into_bytes(),
                    _ if *name == format!("tests/{}.rs", exercise.module) => {
                        exercise.callable(str::from_utf8(text)?)?.into_bytes()
                    }
                    // A program has one allocator at most, and this one has the tests several times: nothing counts allocations.
                    _ => str::from_utf8(text)?.replace("#[global_allocator]\n", "").into_bytes(),
                };
                put(format!("wrong/{package}/{name}"), &text)?;
            }
        }
        put(format!("programs/{}/Cargo.toml", exercise.id()), program(exercise)?.as_bytes())?;
        put(format!("programs/{}/src/main.rs", exercise.id()), main_of(exercise).as_bytes())?;
    }
    for stale in files(to)?.iter().filter(|file| !kept.contains(*file)) {
        // What cargo has written: the versions that it has chosen.
        if !stale.ends_with("Cargo.lock") {
            fs::remove_file(stale)?;
            let _ = stale.ancestors().skip(1).try_for_each(fs::remove_dir); // cargo takes an empty one for a package.
        }
    }
    Ok(())
}

/// These parts of a crate: the names of their files, and what is in them.
fn sources(place: &Place, krate: &str, parts: &[&str]) -> Result<Vec<(String, Vec<u8>)>> {
    let folder = place.root.join("crates").join(krate);
    let mut found = Vec::new();
    for part in parts {
        let path = folder.join(part);
        let all = if path.is_dir() { files(&path)? } else { vec![path] };
        for file in all {
            found.push((file.strip_prefix(&folder)?.to_string_lossy().into_owned(), fs::read(&file)?));
        }
    }
    Ok(found)
}

/// The manifest of the workspace: the versions of the book's, and loom from here.
fn workspace(place: &Place) -> Result<String> {
    let mut manifest: Table = read(&place.root.join("Cargo.toml"))?.parse()?;
    let mut workspace = manifest.remove("workspace").and_then(table).context("no workspace")?;
    workspace.insert("members".to_owned(), vec!["crates/*", "wrong/*", "programs/*"].into());
    let loom = Table::from_iter([("path".to_owned(), "loom".into())]);
    let patch = Table::from_iter([("loom".to_owned(), loom.into())]);
    let patch = Table::from_iter([("crates-io".to_owned(), patch.into())]);
    let all = [("workspace".to_owned(), workspace.into()), ("patch".to_owned(), patch.into())];
    Ok(toml::to_string(&Table::from_iter(all))?)
}

fn table(value: Value) -> Option<Table> {
    if let Value::Table(table) = value { Some(table) } else { None }
}

/// loom's atomics of 64 bits are there only where pointers have as many, and its list of them names them everywhere.
fn loom(place: &Place) -> Result<Vec<(String, Vec<u8>)>> {
    const FILE: &str = "src/sync/atomic/int.rs";
    const ONLY: &str = "#[cfg(target_pointer_width = \"64\")]\n";
    let folder = source_of(place, "loom")?;
    let mut found = Vec::new();
    for file in files(&folder.join("src"))?.into_iter().chain([folder.join("Cargo.toml")]) {
        let name = file.strip_prefix(&folder)?.to_string_lossy().into_owned();
        let mut text = read(&file)?;
        if name == FILE {
            ensure!(text.contains(ONLY), "loom's {FILE} is another one than was known");
            text = text.replace(ONLY, "");
        }
        found.push((name, text.into_bytes()));
    }
    Ok(found)
}

/// `old` stands in this text, and `new` takes its place.
fn instead(text: &str, old: &str, new: &str) -> Result<String> {
    ensure!(text.contains(old), "there is no {old:?} to replace");
    Ok(text.replace(old, new))
}

/// The testing crate's macros make a function, and the program decides whose it calls before its `main`.
fn helper(text: &[u8]) -> Result<Vec<u8>> {
    let text = instead(
        str::from_utf8(text)?,
        "$crate::before_main!($crate::before_main($answer));",
        "pub fn asked_helper(args: &[&str]) -> i32 { let answer: fn(&[&str]) -> i32 = $answer; answer(args) }",
    )?;
    let begin = "pub fn asked_helper(_: &[&str]) -> i32 { 2 }";
    Ok(instead(&text, "$crate::before_main!($crate::begin());", begin)?.into_bytes())
}

/// The crate's library with the tests in it.
fn library(text: &[u8]) -> Result<String> {
    let text = instead(
        str::from_utf8(text)?,
        "#[cfg(all(test, feature = \"check\"))]",
        "#[cfg(feature = \"check\")]",
    )?;
    instead(&text, "\nmod t;", "\npub mod t;")
}

/// The manifest of a wrong answer's package.
fn manifest(text: &[u8], package: &str) -> Result<String> {
    let mut manifest: Table = str::from_utf8(text)?.parse()?;
    for section in ["lints", "bench", "test", "example", "bin"] {
        manifest.remove(section);
    }
    let tests = manifest.remove("dev-dependencies").and_then(table).unwrap_or_default();
    let dependencies =
        manifest.get_mut("dependencies").and_then(Value::as_table_mut).context("no dependencies")?;
    dependencies.extend(tests);
    for (_, dependency) in dependencies.iter_mut() {
        if let Some(Value::String(path)) = dependency.get_mut("path") {
            *path = path.replacen("../", "../../crates/", 1);
        }
    }
    let own = manifest.get_mut("package").and_then(Value::as_table_mut).context("no package")?;
    own.insert("name".to_owned(), package.into());
    for kind in ["autotests", "autobenches", "autoexamples", "autobins"] {
        own.insert(kind.to_owned(), false.into());
    }
    Ok(toml::to_string(&manifest)?)
}

/// The manifest of an exercise's program.
fn program(exercise: &Exercise) -> Result<String> {
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
    let all = manifest.get_mut("dependencies").and_then(Value::as_table_mut).context("no dependencies")?;
    all.extend(dependencies);
    Ok(toml::to_string(&manifest)?)
}

/// The program of an exercise: a line of JSON for each test that it ran, with what the test said if it failed.
fn main_of(exercise: &Exercise) -> String {
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
        println!("{}", serde_json::json!({ "test": test, "said": said }));
    }
    ExitCode::SUCCESS
}
"#;
