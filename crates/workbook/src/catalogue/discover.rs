//! Finding chapters, experiments and exercises in the files of the checkout.
//!
//! - An experiment is a program in `experiments/CHAPTER/`.
//! - An exercise is a file in `crates/CRATE/exercises/`, or in `crates/CRATE/starters/`: one that the reader
//!   deleted is still known, and can be put back. A file in `exercises/` that has no other part is the reader's own.
//! - The book's SUMMARY.md gives the order. The page of an experiment is `CHAPTER/NAME.md`, the page of an exercise
//!   `CHAPTER/exercise-NAME.md`. Where two chapters have such a page, the one that includes the exercise's hints, or
//!   is in the experiment's chapter, is meant.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Result;

use super::{Catalogue, Chapter, Exercise, Experiment, Page, files};
use crate::checkout;

impl Catalogue {
    /// Look at the files of this checkout.
    ///
    /// # Errors
    /// When this is not a checkout, or it has no SUMMARY.md.
    pub fn discover() -> Result<Self> {
        let root = checkout::root()?;
        let pages = pages(&root)?;
        let mut chapters: Vec<Chapter> = Vec::new();
        for page in &pages {
            if let Some(number) = number(&folder(&page.path))
                && chapters.iter().all(|chapter| chapter.number != number)
            {
                chapters.push(Chapter { number, title: page.title.clone() });
            }
        }
        let (experiments, exercises) = (experiments(&root, &pages), exercises(&root, &pages));
        Ok(Self { root, chapters, experiments, exercises, pages })
    }
}

fn experiments(root: &Path, pages: &[Page]) -> Vec<Experiment> {
    let mut experiments = Vec::new();
    for source in files::folders(&root.join("experiments")).iter().flat_map(|folder| files::of(folder, "rs"))
    {
        let chapter_folder = files::name(source.parent().unwrap_or(root));
        let Some(chapter) = number(&chapter_folder) else { continue };
        let name = files::stem(&source);
        let page = page(root, pages, &name, |page| folder(&page.path) == chapter_folder);
        experiments.push(Experiment { name, chapter, source, page });
    }
    let place = |page: &Option<Page>| page.as_ref().map_or(usize::MAX, |page| page.place);
    experiments.sort_by_key(|e| (e.chapter, place(&e.page), e.name.clone()));
    experiments
}

/// By one of these an exercise is known, beside what the reader writes. A copy that the reader keeps has none.
const PARTS: [(&str, &str); 3] = [("starters", "rs"), ("hints", "md"), ("mistakes", "md")];

fn exercises(root: &Path, pages: &[Page]) -> Vec<Exercise> {
    let mut exercises = Vec::new();
    for folder in files::folders(&root.join("crates")) {
        let sources = ["exercises", "starters"].map(|name| files::of(&folder.join(name), "rs"));
        let mut modules: BTreeSet<String> = sources.iter().flatten().map(|path| files::stem(path)).collect();
        modules.retain(|module| {
            PARTS.iter().any(|(name, end)| folder.join(name).join(format!("{module}.{end}")).is_file())
        });
        for module in modules {
            let krate = files::name(&folder);
            let hints = format!("crates/{krate}/hints/{module}.md");
            let page = page(root, pages, &format!("exercise-{module}"), |page| {
                checkout::read(&root.join(&page.path)).is_ok_and(|text| text.contains(&hints))
            });
            let chapter = page.as_ref().and_then(|page| number(&self::folder(&page.path))).unwrap_or(0);
            let name = format!("{krate}/{module}");
            let (short, folder) = (name.clone(), folder.clone());
            exercises.push(Exercise { name, krate, module, short, chapter, page, folder });
        }
    }
    let modules: Vec<String> = exercises.iter().map(|exercise| exercise.module.clone()).collect();
    for exercise in &mut exercises {
        if modules.iter().filter(|module| **module == exercise.module).count() == 1 {
            exercise.short.clone_from(&exercise.module);
        }
    }
    exercises.sort_by_key(|e| (e.page.as_ref().map_or(usize::MAX, |page| page.place), e.name.clone()));
    exercises
}

/// The page of that name; of several, the one that is `meant`.
fn page(root: &Path, pages: &[Page], name: &str, meant: impl Fn(&Page) -> bool) -> Option<Page> {
    let mut called: Vec<&Page> = pages.iter().filter(|page| files::stem(&page.path) == name).collect();
    called.retain(|page| root.join(&page.path).is_file());
    match called[..] {
        [one] => Some(one.clone()),
        _ => called.into_iter().find(|page| meant(page)).cloned(),
    }
}

/// The pages in SUMMARY.md's order. An entry is `[Title](path)`, indented or not.
fn pages(root: &Path) -> Result<Vec<Page>> {
    let summary = checkout::read(&root.join("book/src/SUMMARY.md"))?;
    let mut pages = Vec::new();
    for line in summary.lines() {
        let Some((title, rest)) = line.split_once('[').and_then(|(_, rest)| rest.split_once("](")) else {
            continue;
        };
        if let Some((path, _)) = rest.split_once(')')
            && path.ends_with(".md")
        {
            let path = Path::new("book/src").join(path);
            pages.push(Page { place: pages.len(), path, title: title.to_owned() });
        }
    }
    Ok(pages)
}

/// The folder of a page below `book/src`, or nothing for a page at the top.
fn folder(page: &Path) -> String {
    page.parent().map(files::name).filter(|name| name != "src").unwrap_or_default()
}

/// The number that a chapter's folder begins with.
fn number(folder: &str) -> Option<u32> {
    folder.split('-').next()?.parse().ok()
}
