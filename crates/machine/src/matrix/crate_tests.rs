//! The tests of the crates, as static programs that can run in a guest.

use std::collections::BTreeSet;
use std::env;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::digest::{Inputs, files};
use crate::place::{Place, read};
use crate::running::{output, run};
use crate::step::step;

/// The crates whose tests ask the kernel. Those of the others run cargo, a browser or a benchmark, and those of `faults` make one
/// system call after the other fail, which takes longer in an emulated machine than a program of tests may.
const CRATES: [&str; 9] =
    ["process", "cloexec", "nonblocking", "waker", "prefork", "ioloop", "httpserver", "stages", "testing"];

/// Programs of tests that start what the guest lacks: curl, Python, cargo.
const NOT_IN_THE_GUEST: [&str; 3] = ["httpserver/outside", "httpserver/pypi", "stages/small_loop_breaks"];

const TARGET: &str = "x86_64-unknown-linux-gnu";

/// One program of tests.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Program {
    /// `cloexec/flags`.
    pub name: String,
    /// The program itself.
    pub file: PathBuf,
    /// The folder of its crate.
    pub folder: PathBuf,
}

/// All programs, and what else they start.
#[derive(Default, Serialize, Deserialize)]
pub struct Built {
    /// The programs of tests, by crate and name.
    pub tests: Vec<Program>,
    /// Programs whose path is part of a test.
    pub others: Vec<PathBuf>,
}

/// Build them.
///
/// # Errors
/// When cargo fails.
pub fn tests(place: &Place) -> Result<(Built, String)> {
    let mut inputs = Inputs::default();
    inputs.text(&output(Command::new("rustc").arg("-vV"))?);
    for folder in CRATES.map(|name| place.root.join("crates").join(name)) {
        sources(&folder)?.iter().try_for_each(|file| inputs.file(file).map(drop))?;
    }
    inputs.file(&place.root.join("Cargo.lock"))?;
    let list = place.folder("kernels")?.join("tests.json");
    let digest = step(place, "tests-x86-64", &inputs, &list, |log| {
        run("the crates' tests", log, &mut cargo(place)?)?;
        // The second time nothing is left to do but to say what there is.
        let messages = output(cargo(place)?.arg("--message-format=json"))?;
        Ok(serde_json::to_writer_pretty(File::create(&list)?, &built(&messages)?)?)
    })?;
    Ok((serde_json::from_str(&read(&list)?)?, digest))
}

fn cargo(place: &Place) -> Result<Command> {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(&place.root)
        .args(["test", "--no-run", "--locked", "--target", TARGET, "--color", "never"]);
    CRATES.iter().for_each(|name| {
        cargo.args(["--package", name]);
    });
    for name in ["RUSTFLAGS", "CARGO_BUILD_TARGET", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER"] {
        cargo.env_remove(name);
    }
    // The names of functions stay, because some tests look at a stack.
    cargo.env("CARGO_PROFILE_DEV_STRIP", "debuginfo").env("CARGO_INCREMENTAL", "0");
    cargo.env("CARGO_ENCODED_RUSTFLAGS", "-C\u{1f}target-feature=+crt-static");
    cargo.env("CARGO_TARGET_DIR", place.folder("programs")?.join("target"));
    Ok(cargo)
}

/// What cargo says that it built.
fn built(messages: &str) -> Result<Built> {
    let mut built = Built::default();
    for line in messages.lines() {
        let message: Value = serde_json::from_str(line).context("a message of cargo")?;
        let Some(file) = message["executable"].as_str() else { continue };
        if message["profile"]["test"] == true {
            let manifest = Path::new(message["manifest_path"].as_str().unwrap_or_default());
            let folder = manifest.parent().unwrap_or(manifest).to_owned();
            let of = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let target = message["target"]["name"].as_str().unwrap_or_default();
            let name = format!("{of}/{}", if target == of { "lib" } else { target });
            if !NOT_IN_THE_GUEST.contains(&&*name) {
                built.tests.push(Program { name, file: file.into(), folder });
            }
        } else {
            built.others.push(file.into());
        }
    }
    built.tests.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(built)
}

/// The files of a crate that its tests are made of, or read.
///
/// # Errors
/// When a folder cannot be read.
pub fn sources(folder: &Path) -> Result<Vec<PathBuf>> {
    let apart: BTreeSet<_> = ["target", "mistakes", "alternatives", "equivalent"].into();
    let wanted = |file: &PathBuf| {
        let first = file.strip_prefix(folder).ok().and_then(|name| name.components().next());
        first.is_none_or(|part| !apart.contains(&*part.as_os_str().to_string_lossy()))
    };
    Ok(files(folder)?.into_iter().filter(wanted).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_of_tests_and_others_are_told_apart_and_some_are_left_out() {
        let messages = r#"{"reason":"build-script-executed"}
{"executable":"/t/flags-1","manifest_path":"/c/crates/cloexec/Cargo.toml","profile":{"test":true},"target":{"name":"flags"}}
{"executable":"/t/cloexec-2","manifest_path":"/c/crates/cloexec/Cargo.toml","profile":{"test":true},"target":{"name":"cloexec"}}
{"executable":"/t/stage","manifest_path":"/c/crates/stages/Cargo.toml","profile":{"test":false},"target":{"name":"stage"}}
{"executable":"/t/pypi-3","manifest_path":"/c/crates/httpserver/Cargo.toml","profile":{"test":true},"target":{"name":"pypi"}}
{"executable":null,"profile":{"test":false}}"#;
        let built = built(messages).expect("messages");
        let names: Vec<_> = built.tests.iter().map(|test| test.name.as_str()).collect();
        assert_eq!(names, ["cloexec/flags", "cloexec/lib"]);
        assert_eq!(built.tests[0].folder, Path::new("/c/crates/cloexec"));
        assert_eq!(built.others, [Path::new("/t/stage")]);
    }
}
