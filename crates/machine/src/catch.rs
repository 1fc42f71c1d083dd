//! Wrong answers that run in the page: of each exercise some, with the tests that a reader can choose from.
//!
//! The page shows a wrong answer and asks which test fails, and what the test says. Then the tests run. All wrong answers of an
//! exercise are one static program ([`program`]), which the page puts into the machine's memory. Before that, each of them has
//! run in a machine, and the right test failed with the right words, and the others passed ([`proof`]).

mod asked;
mod loom;
mod packages;
mod program;
mod proof;

use std::fs;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use asked::{Exercise, exercises};
pub use program::Program;
pub use proof::proved;

use crate::digest::Inputs;
use crate::inputs::Pinned;
use crate::place::{Place, write};
use crate::processor::Processor;
use crate::programs::{cargo, compiler};
use crate::running::run;
use crate::step::step;

/// Small enough that a page fetches one in a second, and compiled in many pieces, because there are many.
const PROFILE: [(&str, &str); 4] = [
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "z"),
    ("CARGO_PROFILE_RELEASE_STRIP", "symbols"),
    ("CARGO_PROFILE_RELEASE_DEBUG", "false"),
    ("CARGO_PROFILE_RELEASE_PANIC", "unwind"),
];

/// Build the programs of the exercises with these names, or of all.
///
/// # Errors
/// When the toolchain cannot be had, an edit does not fit its reference, or cargo fails.
pub fn programs(place: &Place, names: &[String]) -> Result<Vec<Program>> {
    let mut exercises = exercises(place)?;
    let compiler = compiler(place, Processor::I686)?;
    let folder = place.folder("wrong-answers")?;
    let copy = folder.join("checkout");
    packages::copy(place, &exercises, &copy)?;
    asked::keep(&mut exercises, names)?;
    let mut inputs = Inputs::default();
    compiler.add_to(&mut inputs)?;
    Pinned::read(place)?.of("libc").for_each(|package| {
        inputs.text(&package.sha256);
    });
    for (name, value) in PROFILE {
        inputs.text(name).text(value);
    }
    exercises.iter().for_each(|exercise| {
        inputs.text(&exercise.id());
    });
    // cargo writes the copy's own, which is this one with the packages of the copy.
    inputs.file(&place.root.join("Cargo.lock"))?;
    inputs.tree(&copy, &|name| !name.ends_with("Cargo.lock"))?;
    let built = folder.join("programs");
    step(place, "wrong-answers", &inputs, &built, |log| {
        let target = folder.join("target");
        let mut cargo = cargo(&compiler, &copy, &target);
        cargo.args(["build", "--release"]).envs(PROFILE);
        exercises.iter().for_each(|exercise| {
            cargo.args(["--package", &exercise.id()]);
        });
        run("the wrong answers", log, &mut cargo)?;
        let _ = fs::remove_dir_all(&built);
        fs::create_dir_all(&built)?;
        for exercise in &exercises {
            let file = target.join(Processor::I686.target()).join("release").join(exercise.id());
            fs::copy(file, built.join(exercise.id()))
                .with_context(|| format!("cargo has not built the program of {}", exercise.name()))?;
        }
        Ok(())
    })?;
    let program = |exercise: Exercise| Program { file: built.join(exercise.id()), exercise };
    Ok(exercises.into_iter().map(program).collect())
}

/// The name of the first exercise of each crate.
///
/// # Errors
/// When a file cannot be read.
pub fn one_of_each_crate(place: &Place) -> Result<Vec<String>> {
    let mut all = exercises(place)?;
    all.dedup_by(|next, first| next.krate == first.krate);
    Ok(all.iter().map(Exercise::name).collect())
}

/// Put them beside the machine. Gives what `machine.json` says of them: of each exercise, the file of its questions.
///
/// # Errors
/// When a file cannot be read or written.
pub fn site(place: &Place, programs: &[Program]) -> Result<Value> {
    let folder = place.folder("site/wrong-answers")?;
    let _ = fs::remove_dir_all(&folder);
    let mut all = Map::new();
    for Program { exercise, file } in programs {
        let id = exercise.id();
        write(&folder.join(&id), &fs::read(file)?)?;
        let questions = json!({ "questions": exercise.questions() });
        write(&folder.join(format!("{id}.json")), questions.to_string().as_bytes())?;
        all.insert(exercise.name(), json!({ "file": id, "asked": exercise.asked.len() }));
    }
    Ok(all.into())
}
