//! What there is, chapter by chapter.

use std::process::ExitCode;

use anyhow::Result;
use serde_json::json;

use crate::catalogue::{Catalogue, Page};
use crate::output::say;
use crate::terminal::{BOLD, DIM, NAME, mark};
use crate::verdicts::Verdicts;

#[derive(clap::Args)]
pub struct Options {
    /// Print only a JSON object
    #[arg(long)]
    json: bool,
}

pub fn run(options: &Options) -> Result<ExitCode> {
    let catalogue = Catalogue::discover()?;
    let verdicts = Verdicts::load(&catalogue);
    if options.json {
        let exercises = catalogue.exercises.iter().map(|e| {
            let passes = verdicts.exercise(e);
            json!({
                "name": e.name, "crate": e.krate, "chapter": e.chapter, "done": passes == Some(true),
                "passes": passes, "page": path(&e.page), "title": title(&e.page), "feature": e.feature(),
            })
        });
        let experiments = catalogue.experiments.iter();
        let experiments = experiments.map(|e| {
            json!({
                "name": e.name, "chapter": e.chapter, "question": e.question(), "page": path(&e.page),
                "agrees": verdicts.experiment(e),
            })
        });
        let list = json!({
            "exercises": exercises.collect::<Vec<_>>(),
            "experiments": experiments.collect::<Vec<_>>(),
        });
        say!("{}", serde_json::to_string_pretty(&list)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    for chapter in &catalogue.chapters {
        say!("{BOLD}{} {}{BOLD:#}", chapter.number, chapter.title)?;
        for experiment in catalogue.experiments.iter().filter(|e| e.chapter == chapter.number) {
            let seen = mark(verdicts.experiment(experiment));
            let question = experiment.question();
            say!("  {seen} {NAME}{:22}{NAME:#} {DIM}{question}{DIM:#}", experiment.name)?;
        }
        for exercise in catalogue.exercises.iter().filter(|e| e.chapter == chapter.number) {
            let done = mark(verdicts.exercise(exercise));
            say!("  {done} {NAME}{:22}{NAME:#} {DIM}exercise{DIM:#}", exercise.name)?;
        }
        say!()?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A page's path from the checkout; null while there is none.
fn path(page: &Option<Page>) -> Option<String> {
    page.as_ref().map(|page| page.path.display().to_string())
}

fn title(page: &Option<Page>) -> Option<&str> {
    page.as_ref().map(|page| page.title.as_str())
}
