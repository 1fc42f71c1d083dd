//! Asking cargo to build one thing, and learning where it put it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use nix::unistd::{AccessFlags, access};
use serde_json::Value;

use crate::{place, watchdog};

/// What came of a build.
pub enum Built {
    /// The programs, by name. What rustc said although it succeeded: warnings.
    Programs(BTreeMap<String, Program>, String),
    /// What rustc said.
    Failed(String),
}

/// A program that cargo built.
#[derive(Debug, Clone)]
pub struct Program {
    pub path: PathBuf,
    /// Its package's folder, where its tests expect to run.
    pub folder: PathBuf,
}

/// Run `cargo ARGS` in the checkout at `root` and collect the programs it made. `target` is another target
/// folder than the usual one, for builds that must not disturb the reader's.
pub fn build(root: &Path, target: Option<&Path>, args: &[&str]) -> Result<Built> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root).args(args).args(["--quiet", "--message-format=json-render-diagnostics"]);
    if colourful() {
        command.args(["--color", "always"]);
    }
    if let Some(target) = target {
        command.arg("--target-dir").arg(target);
    }
    let (status, output, said) =
        watchdog::collect(&mut command).context("cannot run cargo; is Rust installed?")?;
    // rustc may have refused the code; or cargo never got as far as that.
    if !status.success() && said.contains("could not compile") {
        return Ok(Built::Failed(said));
    }
    if !status.success() {
        let target = target.map_or_else(|| place::target(root), Path::to_owned);
        let advice = match writable(&target) {
            true => String::new(),
            false => format!(
                "\nNothing can be written in {}: set CARGO_TARGET_DIR to a folder where that is possible.",
                target.display()
            ),
        };
        bail!("cargo cannot build here ({status}):\n{}{advice}", said.trim_end());
    }
    let mut programs = BTreeMap::new();
    for line in output.lines() {
        let Ok(message) = serde_json::from_str::<Value>(line) else { continue };
        let (Some(name), Some(path)) = (message["target"]["name"].as_str(), message["executable"].as_str())
        else {
            continue;
        };
        // A test of the same name as a program is the one meant: `cargo test` builds both.
        let key = if message["profile"]["test"] == true { name.to_owned() } else { format!("bin {name}") };
        let manifest = Path::new(message["manifest_path"].as_str().unwrap_or_default());
        let folder = manifest.parent().unwrap_or(root).to_owned();
        // Libraries and programs with unit tests may share a test's name.
        let kind = message["target"]["kind"][0].as_str().unwrap_or_default();
        let key = if kind == "test" || key.starts_with("bin ") { key } else { format!("{kind} {key}") };
        programs.insert(format!("{}{key}", prefix(&folder)), Program { path: path.into(), folder });
    }
    Ok(Built::Programs(programs, said))
}

fn prefix(folder: &Path) -> String {
    format!("{}: ", folder.file_name().unwrap_or_default().to_string_lossy())
}

/// Build the tests of one exercise. On the reference they are a test program of their crate. With a feature,
/// which puts the reader's file in the reference's place, the crate is compiled with them inside, in the module
/// `t`: one run of rustc instead of two. See the end of any topic crate's `src/lib.rs`.
pub fn build_tests(
    root: &Path,
    target: Option<&Path>,
    krate: &str,
    module: &str,
    feature: Option<&str>,
) -> Result<std::result::Result<(Program, String), String>> {
    // The fewer pieces a crate is compiled in, the faster it is from nothing, and the more of it one change touches.
    // Here one file changes all the time.
    let pieces = format!("profile.dev.package.{krate}.codegen-units=256");
    let mut args = vec!["test", "--no-run", "--package", krate];
    let name = match feature {
        Some(feature) => {
            args.extend(["--config", &pieces, "--lib", "--features", "check", "--features", feature]);
            format!("{krate}: lib {krate}")
        }
        None => {
            args.extend(["--test", module]);
            format!("{krate}: {module}")
        }
    };
    match build(root, target, &args)? {
        Built::Failed(said) => Ok(Err(said)),
        Built::Programs(programs, said) => match programs.get(&name) {
            Some(program) => Ok(Ok((program.clone(), said))),
            None => bail!("cargo built no test called {module} in {krate}"),
        },
    }
}

/// Do colours reach the reader's eyes? cargo writes into a pipe here and cannot know.
fn colourful() -> bool {
    anstream::AutoStream::choice(&std::io::stdout()) != anstream::ColorChoice::Never
}

/// Can something be written in this folder, or the folder be made?
fn writable(folder: &Path) -> bool {
    let there = folder.ancestors().find(|path| path.exists());
    there.is_some_and(|path| access(path, AccessFlags::W_OK | AccessFlags::X_OK).is_ok())
}
