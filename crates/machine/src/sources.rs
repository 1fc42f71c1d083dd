//! The copy in which all experiments are one program: the crates that they use, and a file that calls the right one.
//!
//! The copy is below `target`, so no build of the workspace compiles it. In it, the `main` of each experiment is public, and
//! each experiment is a module of the program. The name by which the program is started decides which one runs: a hard link
//! for each. `current_exe` gives the name of a hard link, so an experiment that starts itself again stays itself.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::digest::files;
use crate::place::{Place, read, write};

/// Where the program's own files are in the copy.
const PROGRAM: &str = "experiments/all";

/// Folders of a crate that its library is not made of.
const APART: [&str; 8] =
    ["target", "tests", "benches", "mistakes", "alternatives", "equivalent", "hints", "fuzz"];

/// An experiment: its name, and its file below `experiments`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Experiment {
    /// The name by which it is run.
    pub name: String,
    /// `01-fork-and-exec/fork-returns-twice.rs`.
    pub file: String,
}

/// All experiments, in the order of the book.
///
/// # Errors
/// When the manifest cannot be read.
pub fn experiments(place: &Place) -> Result<Vec<Experiment>> {
    let manifest: toml::Table = read(&place.root.join("experiments/Cargo.toml"))?.parse()?;
    let bins = manifest.get("bin").and_then(|bins| bins.as_array()).context("no experiments")?;
    let text = |bin: &toml::Value, key| bin.get(key).and_then(|value| value.as_str()).map(str::to_owned);
    let found =
        bins.iter().filter_map(|bin| Some(Experiment { name: text(bin, "name")?, file: text(bin, "path")? }));
    Ok(found.collect())
}

/// What else the program is, apart from the guest's first process: the tools that have a `main` in `guest`.
///
/// # Errors
/// When a file cannot be read.
pub fn tools(place: &Place) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for file in files(&place.source("guest"))? {
        let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if stem != "init" && read(&file)?.contains("\npub fn main()") {
            found.push(stem);
        }
    }
    Ok(found)
}

/// Bring the copy at `to` up to date. What is the same keeps its time, so that cargo does not compile it again.
///
/// # Errors
/// When a file cannot be read or written, or an experiment has no `main` that can be called.
pub fn copy(place: &Place, to: &Path) -> Result<()> {
    let mut kept = BTreeSet::new();
    let mut put = |name: &str, content: &[u8]| {
        kept.insert(to.join(name));
        write(&to.join(name), content)
    };
    for name in ["Cargo.toml", "Cargo.lock"] {
        put(name, &fs::read(place.root.join(name))?)?;
    }
    for folder in crates(place)? {
        for file in files(&place.root.join(&folder))? {
            let name = file.strip_prefix(&place.root)?.to_string_lossy().into_owned();
            let within = file.strip_prefix(place.root.join(&folder))?.components().next();
            if within.is_none_or(|part| !APART.iter().any(|apart| part.as_os_str() == *apart)) {
                put(&name, &fs::read(&file)?)?;
            }
        }
    }
    let experiments = experiments(place)?;
    for Experiment { file, .. } in &experiments {
        let name = format!("experiments/{file}");
        let text = read(&place.root.join(&name))?;
        if text.matches("\nfn main() ").count() != 1 {
            bail!("{name} has no line that begins with `fn main() `, or several: it cannot be called");
        }
        put(&name, text.replace("\nfn main() ", "\npub fn main() ").as_bytes())?;
    }
    let mut guests = Vec::new();
    for file in files(&place.source("guest"))? {
        let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        put(&format!("{PROGRAM}/{stem}.rs"), &fs::read(&file)?)?;
        guests.push(stem);
    }
    put(&format!("{PROGRAM}/main.rs"), main_of(&experiments, &guests, &tools(place)?).as_bytes())?;
    let manifest = read(&place.root.join("experiments/Cargo.toml"))?.replacen(
        "nix.workspace = true",
        "nix = { workspace = true, features = [\"mount\"] }",
        1,
    );
    let bin = "\n[[bin]]\nname = \"all\"\npath = \"all/main.rs\"\ntest = false\n";
    put("experiments/Cargo.toml", format!("{manifest}{bin}").as_bytes())?;
    for stale in files(to)?.iter().filter(|file| !kept.contains(*file)) {
        fs::remove_file(stale)?;
    }
    Ok(())
}

/// The folders of the crates that the experiments are made of, and of those that their manifests name.
fn crates(place: &Place) -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    let mut left = vec!["experiments".to_owned()];
    while let Some(folder) = left.pop() {
        let manifest = read(&place.root.join(&folder).join("Cargo.toml"))?;
        if found.insert(folder) {
            let paths =
                manifest.lines().filter_map(|line| line.split("path = \"../").nth(1)?.split('"').next());
            left.extend(paths.map(|path| format!("crates/{}", path.trim_start_matches("crates/"))));
        }
    }
    Ok(found)
}

/// The file with the program's `main`.
fn main_of(experiments: &[Experiment], guests: &[String], tools: &[String]) -> String {
    let module = |name: &str| name.replace('-', "_");
    let mut text = String::from(
        "//! All experiments, and what runs them in a machine of their own: the name of the program decides.\n\
         #![allow(missing_docs, dead_code)]\n",
    );
    for guest in guests {
        text += &format!("mod {guest};\n");
    }
    for Experiment { name, file } in experiments {
        text += &format!("#[path = \"../{file}\"]\nmod {};\n", module(name));
    }
    // Called through a pointer that the compiler knows nothing of, an experiment's `main` stays a function, whose name is in
    // the stacks that one of them prints.
    text += "fn main() -> std::process::ExitCode {\n    let program = std::env::args_os().next().unwrap_or_default();\n    \
             let name = std::path::Path::new(&program).file_name().and_then(|name| name.to_str());\n    \
             let main: fn() -> std::process::ExitCode = match name.unwrap_or_default() {\n";
    for Experiment { name, .. } in experiments {
        text += &format!("        \"{name}\" => {}::main,\n", module(name));
    }
    for tool in tools {
        text += &format!("        \"{tool}\" => {tool}::main,\n");
    }
    text + "        _ => init::main,\n    };\n    std::hint::black_box(main)()\n}\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_experiment_is_called_by_its_name_and_everything_else_is_the_first_process() {
        let all = [Experiment {
            name: "fd-vanishes".to_owned(),
            file: "02-close-on-exec/fd-vanishes.rs".to_owned(),
        }];
        let text = main_of(&all, &["init", "tail"].map(str::to_owned), &["tail".to_owned()]);
        for line in [
            "#[path = \"../02-close-on-exec/fd-vanishes.rs\"]\nmod fd_vanishes;",
            "\"fd-vanishes\" => fd_vanishes::main,",
            "\"tail\" => tail::main,",
            "_ => init::main,",
        ] {
            assert!(text.contains(line), "there is no {line:?} in {text}");
        }
    }

    #[test]
    fn every_experiment_of_the_checkout_is_found() {
        let place = Place::find().unwrap();
        let found = experiments(&place).unwrap();
        let files = files(&place.root.join("experiments")).unwrap();
        let transcripts = files.iter().filter(|file| file.extension().is_some_and(|kind| kind == "txt"));
        assert_eq!(found.len(), transcripts.count(), "each experiment has a transcript");
    }
}
