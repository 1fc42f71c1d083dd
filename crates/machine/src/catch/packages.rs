//! The workspace in which wrong answers become programs: below `target`, so no build of the book compiles it.
//!
//! Each wrong answer is a copy of its crate, as a package of another name, with the exercise's tests in it. There is no libtest:
//! the tests that are asked about are public functions, which the exercise's program calls: see [`program`].

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use toml::{Table, Value};

use super::asked::Exercise;
use super::{loom, program};
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
    for (name, text) in loom::sources(place)? {
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
        put(format!("programs/{}/Cargo.toml", exercise.id()), program::manifest(exercise)?.as_bytes())?;
        put(format!("programs/{}/src/main.rs", exercise.id()), program::main_of(exercise).as_bytes())?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tests_are_in_the_library_and_rustc_does_not_take_them_for_tests() {
        let text = "#[cfg(all(test, feature = \"check\"))]\n#[cfg_attr(feature = \"mine-a\", path = \"../tests/a.rs\")]\nmod t;\n";
        let made = library(text.as_bytes()).expect("both are there");
        assert_eq!(made.lines().next(), Some("#[cfg(feature = \"check\")]"));
        assert_eq!(made.lines().last(), Some("pub mod t;"));
        assert!(library(b"pub mod a;").is_err_and(|wrong| wrong.to_string().contains("no \"#[cfg(all(test")));
    }

    #[test]
    fn a_wrong_answer_is_a_package_of_its_own_with_what_its_tests_use() {
        let text = "[package]\nname = \"a\"\n[dependencies]\nnix.workspace = true\nb = { path = \"../b\" }\n\
                    [dev-dependencies]\ntesting = { path = \"../testing\" }\n[lints]\nworkspace = true\n";
        let made: Table = manifest(text.as_bytes(), "a-flags-one").expect("it is one").parse().expect("TOML");
        assert_eq!(made["package"]["name"].as_str(), Some("a-flags-one"));
        assert_eq!(made["dependencies"]["testing"]["path"].as_str(), Some("../../crates/testing"));
        assert_eq!(made["dependencies"]["b"]["path"].as_str(), Some("../../crates/b"));
        assert!(!made.contains_key("lints") && !made.contains_key("dev-dependencies"));
    }
}
