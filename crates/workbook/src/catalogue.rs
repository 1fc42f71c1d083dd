//! What there is: chapters, experiments and exercises, discovered from the files.
//!
//! - An experiment is a program in `experiments/CHAPTER/`.
//! - An exercise is a file in `crates/CRATE/exercises/`, or in `crates/CRATE/starters/`: one that the reader
//!   deleted is still known, and can be put back.
//! - The book's SUMMARY.md gives the order; the page that includes an experiment's transcript, or an
//!   exercise's hints, is its page, and the page's folder is its chapter.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::place::{self, Usage};

mod kinds;

pub use kinds::{Chapter, Exercise, Experiment, Page};

/// All of it.
#[derive(Debug)]
pub struct Catalogue {
    pub root: PathBuf,
    pub chapters: Vec<Chapter>,
    pub experiments: Vec<Experiment>,
    pub exercises: Vec<Exercise>,
    pub pages: Vec<Page>,
}

impl Catalogue {
    /// Look at the files of this checkout.
    pub fn discover() -> Result<Self> {
        Self::of(place::root()?)
    }

    /// Look at the files of the checkout at `root`.
    pub fn of(root: PathBuf) -> Result<Self> {
        let pages = pages(&root)?;
        let texts: Vec<String> =
            pages.iter().map(|p| place::read(&root.join(&p.path)).unwrap_or_default()).collect();
        let page_with =
            |needle: &str| texts.iter().position(|text| text.contains(needle)).map(|i| pages[i].clone());
        let mut experiments = Vec::new();
        for source in folders(&root.join("experiments")).iter().flat_map(|folder| files(folder, "rs")) {
            let folder = name_of(source.parent().unwrap_or(&root));
            let Some(chapter) = number(&folder) else { continue };
            let name = stem_of(&source);
            experiments.push(Experiment {
                page: page_with(&format!("experiments/{folder}/{name}.txt")),
                question: question(&place::read(&source)?),
                name,
                chapter,
                source,
            });
        }
        experiments
            .sort_by_key(|e| (e.chapter, e.page.as_ref().map_or(usize::MAX, |p| p.place), e.name.clone()));
        let mut exercises = Vec::new();
        for folder in folders(&root.join("crates")) {
            let sources = ["exercises", "starters"].map(|name| files(&folder.join(name), "rs"));
            let modules: BTreeSet<String> = sources.iter().flatten().map(|path| stem_of(path)).collect();
            for module in modules {
                let krate = name_of(&folder);
                let page = page_with(&format!("crates/{krate}/hints/{module}.md"));
                let chapter = page.as_ref().and_then(|p| number(&chapter_folder(&p.path))).unwrap_or(0);
                let name = format!("{krate}/{module}");
                let short = name.clone();
                exercises.push(Exercise {
                    name,
                    krate,
                    module,
                    short,
                    chapter,
                    page,
                    folder: folder.clone(),
                });
            }
        }
        let modules: Vec<String> = exercises.iter().map(|e: &Exercise| e.module.clone()).collect();
        for exercise in &mut exercises {
            if modules.iter().filter(|module| **module == exercise.module).count() == 1 {
                exercise.short.clone_from(&exercise.module);
            }
        }
        exercises.sort_by_key(|e| (e.page.as_ref().map_or(usize::MAX, |p| p.place), e.name.clone()));
        let mut chapters: Vec<Chapter> = Vec::new();
        for page in &pages {
            let folder = chapter_folder(&page.path);
            if let Some(number) = number(&folder)
                && chapters.iter().all(|c| c.number != number)
            {
                chapters.push(Chapter { number, title: page.title.clone() });
            }
        }
        Ok(Self { root, chapters, experiments, exercises, pages })
    }

    /// The exercise of that name: `crate/module`, or the module alone where only one crate has it.
    pub fn exercise(&self, name: &str) -> Result<&Exercise> {
        let called: Vec<_> = self.exercises.iter().filter(|e| e.name == name || e.module == name).collect();
        match called[..] {
            [one] => Ok(one),
            [] => {
                Err(self.unknown("exercise", name, self.exercises.iter().flat_map(|e| [&e.name, &e.module])))
            }
            _ => {
                let names: Vec<_> = called.iter().map(|e| e.name.as_str()).collect();
                Err(Usage(format!("`{name}` is in more than one crate: say {}", names.join(" or "))).into())
            }
        }
    }

    /// The experiment of that name.
    pub fn experiment(&self, name: &str) -> Result<&Experiment> {
        let found = self.experiments.iter().find(|e| e.name == name);
        found.ok_or_else(|| self.unknown("experiment", name, self.experiments.iter().map(|e| &e.name)))
    }

    fn unknown<'a>(&self, kind: &str, name: &str, names: impl Iterator<Item = &'a String>) -> anyhow::Error {
        let nearest = names
            .map(|known| (strsim::jaro_winkler(known, name), known))
            .filter(|(likeness, _)| *likeness > 0.8)
            .max_by(|a, b| a.0.total_cmp(&b.0));
        let other = match kind {
            "exercise" if self.experiments.iter().any(|e| e.name == name) => {
                format!(" It is an experiment: {}", place::command(&format!("run {name}")))
            }
            "experiment" if self.exercises.iter().any(|e| e.name == name || e.module == name) => {
                format!(" It is an exercise: {}", place::command(&format!("check {name}")))
            }
            _ => match nearest {
                Some((_, known)) => format!(" Did you mean `{known}`?"),
                None => format!(" {} names them all.", place::command("list")),
            },
        };
        Usage(format!("no {kind} is called `{name}`.{other}")).into()
    }
}

/// The pages in SUMMARY.md's order. An entry is `[Title](path)`, indented or not.
fn pages(root: &Path) -> Result<Vec<Page>> {
    let summary = place::read(&root.join("book/src/SUMMARY.md"))?;
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
fn chapter_folder(page: &Path) -> String {
    page.parent().map(name_of).filter(|name| name != "src").unwrap_or_default()
}

/// The number that a chapter's folder begins with.
fn number(folder: &str) -> Option<u32> {
    folder.split('-').next()?.parse().ok()
}

/// The text of `question: "…"` in an experiment's source, as Rust reads it.
fn question(source: &str) -> String {
    let Some((_, literal)) = source.split_once("question: \"") else { return String::new() };
    let mut text = String::new();
    let mut chars = literal.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' => break,
            '\\' => match chars.next() {
                Some('\n') => while chars.next_if(|c| c.is_whitespace()).is_some() {},
                Some('n') => text.push('\n'),
                Some(other) => text.push(other),
                None => break,
            },
            other => text.push(other),
        }
    }
    text
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut files = entries(folder);
    files.retain(|path| path.is_file() && path.extension().is_some_and(|e| e == extension));
    files
}

/// The same, in the folders below too.
fn files_below(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = files(folder, extension);
    found.extend(folders(folder).iter().flat_map(|folder| files_below(folder, extension)));
    found
}

fn folders(folder: &Path) -> Vec<PathBuf> {
    let mut folders = entries(folder);
    folders.retain(|path| path.is_dir());
    folders
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<_> =
        fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path()).collect();
    entries.sort();
    entries
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn stem_of(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::question;

    #[test]
    fn a_question_is_read_as_rust_reads_it() {
        let source = "ask(Question { question: \"Is \\\"a\\\" \\\n              b?\", choices";
        assert_eq!(question(source), "Is \"a\" b?");
        assert_eq!(question("none here"), "");
    }
}
