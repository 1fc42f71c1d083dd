//! The main command: a greeting for a new reader, and for the others where they are and what comes next.

use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::catalogue::{Catalogue, Page};
use crate::experiment::{self, Verdict};
use crate::output::say;
use crate::terminal::{self, BOLD, DIM, mark};
use crate::verdicts::Verdicts;

pub fn run() -> Result<ExitCode> {
    let catalogue = Catalogue::discover()?;
    let verdicts = Verdicts::load(&catalogue);
    if verdicts.is_empty() && catalogue.exercises.iter().all(crate::catalogue::Exercise::untouched) {
        return welcome(&catalogue);
    }
    say!("{BOLD}From the File Descriptor to the Event Loop{BOLD:#}\n")?;
    chapters(&catalogue, &verdicts)?;
    next(&catalogue, &verdicts)?;
    Ok(ExitCode::SUCCESS)
}

fn welcome(catalogue: &Catalogue) -> Result<ExitCode> {
    say!("{BOLD}From the File Descriptor to the Event Loop{BOLD:#}")?;
    say!(
        "
Welcome. You read a chapter, predict what the kernel will do, run an experiment that
asks it, and then write the part yourself. The exercises are handed out unwritten, so
their tests fail: that is how they are meant to look until you have written them.

Here is a first question.
"
    )?;
    // The first one in the order of the book.
    let experiment = catalogue.experiments.first().context("there is no experiment")?;
    let mut verdicts = Verdicts::load(catalogue);
    let programs = experiment::build(catalogue, &verdicts, &[experiment])?;
    let ready = &programs[&experiment.name];
    let ran = experiment::in_foreground(ready, experiment, &[])?;
    experiment::remember(&mut verdicts, experiment, ready, &ran);
    say!("\n{BOLD}What to do next{BOLD:#}")?;
    let start = catalogue.pages.first().map(|page| page.path.display().to_string()).unwrap_or_default();
    say!("  Read    {start}, or the whole book in a browser: {}", terminal::command("serve"))?;
    if let Some(experiment) = catalogue.experiments.get(1) {
        say!("  Run     {}", terminal::command(&format!("run {}", experiment.name)))?;
    }
    if let Some(exercise) = catalogue.exercises.first() {
        say!("  Write   {}", catalogue.shown(&exercise.source()))?;
        say!("  Check   {}", terminal::command(&format!("check {}", exercise.short)))?;
    }
    say!("\n  {DIM}Where you are, at any time:{DIM:#} {}", terminal::command("status"))?;
    Ok(ExitCode::from(u8::from(ran.verdict == Verdict::Disagrees)))
}

/// A line a chapter: a mark for each experiment and each exercise.
fn chapters(catalogue: &Catalogue, verdicts: &Verdicts) -> Result<()> {
    for chapter in &catalogue.chapters {
        let experiments = catalogue.experiments.iter().filter(|e| e.chapter == chapter.number);
        let experiments: String = experiments.map(|e| mark(verdicts.experiment(e))).collect();
        let exercises = catalogue.exercises.iter().filter(|e| e.chapter == chapter.number);
        let exercises: String = exercises.map(|e| mark(verdicts.exercise(e))).collect();
        say!("  {} {BOLD}{}{BOLD:#}", chapter.number, chapter.title)?;
        if !experiments.is_empty() {
            say!("    experiments  {experiments}")?;
        }
        if !exercises.is_empty() {
            say!("    exercises    {exercises}")?;
        }
    }
    let asked = catalogue.experiments.iter().filter(|e| verdicts.experiment(e).is_some()).count();
    let done = catalogue.exercises.iter().filter(|e| verdicts.exercise(e) == Some(true)).count();
    let (experiments, exercises) = (catalogue.experiments.len(), catalogue.exercises.len());
    say!("\n  {asked} of {experiments} experiments run, {done} of {exercises} exercises done")
}

/// The first thing in the book's order that is not done, and is not known to be impossible here.
fn next(catalogue: &Catalogue, verdicts: &Verdicts) -> Result<()> {
    let skips = catalogue.experiments.iter().any(|e| verdicts.skips_experiment(e))
        || catalogue.exercises.iter().any(|e| verdicts.skips_exercise(e));
    let experiments = catalogue.experiments.iter();
    let experiments =
        experiments.filter(|e| verdicts.experiment(e).is_none() && !verdicts.skips_experiment(e));
    let experiments = experiments.map(|e| (&e.page, format!("run {}", e.name), None));
    let exercises = catalogue.exercises.iter();
    let exercises = exercises.filter(|e| verdicts.exercise(e) != Some(true) && !verdicts.skips_exercise(e));
    let exercises = exercises.map(|e| (&e.page, format!("check {}", e.short), Some(e.source())));
    let place = |page: &Option<Page>| page.as_ref().map_or(usize::MAX, |page| page.place);
    let Some((page, command, source)) = experiments.chain(exercises).min_by_key(|(page, ..)| place(page))
    else {
        let except = if skips { ", except for what this machine cannot be asked" } else { "" };
        return say!("\n{BOLD}All of it is done{except}.{BOLD:#} The next chapters are being written.");
    };
    say!("\n{BOLD}Next{BOLD:#}")?;
    if let Some(page) = page {
        say!("  Read    {}  {DIM}{}{DIM:#}", page.title, page.path.display())?;
    }
    match source {
        Some(source) => {
            say!("  Write   {}", catalogue.shown(&source))?;
            say!("  Check   {}", terminal::command(&command))
        }
        None => say!("  Run     {}", terminal::command(&command)),
    }
}
